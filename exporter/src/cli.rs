//! The command line: the flags of the exporter and its subcommands.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::{Subcommands, examples};
use crate::options::{Flags, OldFlag};

/// Exports the state of Kubernetes objects as Prometheus metrics.
///
/// Without a subcommand, the exporter serves the metrics of a cluster or of manifests until it
/// receives SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(name = "kube-state-metrics", version, args_override_self = true)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100, styles = STYLES)]
#[command(after_help = examples::EXPORTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<Subcommands>,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

// === impl Cli ===

impl Cli {
    /// Parses the arguments of the process. The first item of `args` is the name of the program.
    ///
    /// # Errors
    ///
    /// Returns the error of clap. For `--help` and `--version`, clap also returns an error, and the error contains the
    /// text to print.
    pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(args);
        Self::from_arg_matches(&matches.map_err(with_successor)?)
    }
}

/// Returns an error of clap. If the error is about a flag of an old version, the returned error names the flag to use
/// instead.
fn with_successor(error: clap::Error) -> clap::Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => {
            argument
        }
        _ => return error,
    };
    match OldFlag::find(argument) {
        Some(old) => Cli::command().error(ErrorKind::UnknownArgument, old.advice()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
