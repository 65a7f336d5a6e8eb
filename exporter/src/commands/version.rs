//! `version`: the version and the build of the program.

use std::ffi::OsString;

use clap::Args;

use crate::version::{BRANCH, REVISION, RUSTC, VERSION, goarch, goos};

#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    /// Accepted and ignored, as in the Go program
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<OsString>,
}

/// The version and the build in six lines, in the layout of the Go program kube-state-metrics.
pub(super) fn text() -> String {
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
