//! The version of the exporter, and how it was built.

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The Git commit from which the exporter was built; empty if unknown.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");
/// The Git branch from which the exporter was built; empty if unknown.
pub(crate) const BRANCH: &str = env!("BUILD_BRANCH");
/// The version of the compiler that built the exporter.
pub(crate) const RUSTC: &str = env!("BUILD_RUSTC");

/// Returns the operating system as Go names it, because dashboards of kube-state-metrics expect this name.
pub(crate) fn goos() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// Returns the processor architecture as Go names it.
pub(crate) fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
