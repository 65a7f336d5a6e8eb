//! The command line: the flags of the exporter and its subcommands.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Command, CommandFactory, FromArgMatches, Parser};

use crate::commands::Subcommands;
use crate::options::Flags;

/// Exports the state of Kubernetes objects as Prometheus metrics.
///
/// Without a subcommand, the exporter serves the metrics of a cluster or of manifests until it
/// receives SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(name = "kube-state-metrics", version, args_override_self = true)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100, styles = STYLES)]
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
    /// The command as clap knows it, with the habits of GNU flags.
    pub(crate) fn definition() -> Command {
        fn gnu(command: Command) -> Command {
            let command = command.mut_args(|arg| {
                let is_switch = (arg.get_value_names().into_iter().flatten()).any(|n| n == "BOOL");
                if is_switch {
                    // `--name` or `--name=VALUE`.
                    arg.num_args(0..=1)
                        .require_equals(true)
                        .default_missing_value("true")
                } else if !arg.is_positional() && arg.get_action().takes_values() {
                    // The next argument is the value, whatever it looks like.
                    arg.allow_hyphen_values(true)
                } else {
                    arg
                }
            });
            command.mut_subcommands(gnu)
        }
        gnu(Self::command())
    }

    /// Parses the arguments of the process, program name first.
    ///
    /// # Errors
    ///
    /// The error that clap reports, also for `--help` and `--version`.
    pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::definition().try_get_matches_from(args)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        let args = ["kube-state-metrics"]
            .into_iter()
            .chain(line.split_whitespace());
        Cli::read(args.map(OsString::from)).unwrap().flags
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn lists_accumulate_and_everything_else_takes_the_last() {
        let flags = flags(
            "--resources=pods --resources nodes --port 1 --port=2 \
             --metric-labels-allowlist=a=[b] --metric-labels-allowlist=c=[d]",
        );
        assert_eq!(flags.content.resources, ["pods", "nodes"]);
        assert_eq!(flags.server.port.as_deref(), Some("2"));
        assert_eq!(
            flags.content.metric_labels_allowlist.as_deref(),
            Some("c=[d]")
        );
    }

    #[test]
    fn switches_take_a_value_only_with_an_equals_sign() {
        let flags = flags("--auth-filter --auto-gomemlimit=false --shard -1 -v 4");
        assert_eq!(flags.server.auth_filter.as_deref(), Some("true"));
        assert_eq!(flags.ignored.auto_gomemlimit.as_deref(), Some("false"));
        assert_eq!(flags.content.shard.as_deref(), Some("-1"));
        assert_eq!(flags.logging.verbosity.as_deref(), Some("4"));
    }
}
