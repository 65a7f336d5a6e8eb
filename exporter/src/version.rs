//! The version of the program and how it was built.

/// The version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit from which the program was built; empty if unknown.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");
/// The branch from which the program was built; empty if unknown.
pub(crate) const BRANCH: &str = env!("BUILD_BRANCH");
/// The compiler that built the program.
pub(crate) const RUSTC: &str = env!("BUILD_RUSTC");

/// The operating system as Go names it, for dashboards of the Go program.
pub(crate) fn goos() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The processor architecture as Go names it.
pub(crate) fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
