//! `man`: man pages.

use std::io;

use clap::{Args, Command};
use clap_mangen::Man;

use crate::options::with_manual;

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Subcommand to describe instead of the exporter
    command: Option<String>,
}

/// The reason why a man page cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManError {
    #[error("there is no subcommand `{0}`; `kube-state-metrics help` lists them")]
    Unknown(String),
    #[error("cannot write the man page: {0}")]
    Write(#[from] io::Error),
}

/// The man page of the command line `definition`, or of one of its subcommands, as roff.
///
/// # Errors
///
/// The function fails if the subcommand does not exist.
pub(super) fn page(args: &ManArgs, definition: Command) -> Result<Vec<u8>, ManError> {
    // `build` is necessary, because clap sets the full names of subcommands only in this call.
    let mut definition = definition;
    definition.build();
    let command = match &args.command {
        None => definition.override_usage(
            "kube-state-metrics [OPTIONS]\nkube-state-metrics COMMAND [OPTIONS] [ARGUMENTS]",
        ),
        Some(name) => definition
            .find_subcommand(name)
            .filter(|command| !command.is_hide_set())
            .cloned()
            .ok_or_else(|| ManError::Unknown(name.clone()))?,
    };
    let mut page = Vec::new();
    Man::new(with_manual(command)).render(&mut page)?;
    // clap writes the heading EXTRA before the examples. The following line replaces this heading by EXAMPLES.
    let page = String::from_utf8_lossy(&page);
    Ok(page
        .replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n")
        .into_bytes())
}
