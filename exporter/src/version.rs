//! What this program is and how it was built.

/// The version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from; empty where that is not known.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");
/// The branch it was built from; empty where that is not known.
pub(crate) const BRANCH: &str = env!("BUILD_BRANCH");
/// The compiler it was built with.
pub(crate) const RUSTC: &str = env!("BUILD_RUSTC");

/// The operating system in the words of Go, which dashboards know.
pub(crate) fn goos() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The processor architecture in the words of Go.
pub(crate) fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The text of the subcommand `version`: six lines, as the reference prints them.
pub(crate) fn text() -> String {
    let known = |text: &'static str| if text.is_empty() { "unknown" } else { text };
    let (branch, revision) = (known(BRANCH), known(REVISION));
    let (user, date) = (known(env!("BUILD_USER")), known(env!("BUILD_DATE")));
    let (os, arch) = (goos(), goarch());
    format!(
        "kube-state-metrics, version {VERSION} (branch: {branch}, revision: {revision})\n  \
         build user:       {user}\n  build date:       {date}\n  \
         go version:       none ({RUSTC})\n  platform:         {os}/{arch}\n  \
         tags:             {}\n",
        env!("BUILD_TARGET"),
    )
}
