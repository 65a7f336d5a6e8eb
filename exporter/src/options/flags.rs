//! Defines the flags for clap, and reads their values from the command line.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use super::row::{Form, Row};
use super::table::TABLE;

/// The values of the flags that occur on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, Vec<String>>,
}

/// The values of the flags that the subcommand `render` accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct RenderFlags(pub(crate) Flags);

// === impl Flags ===

impl Flags {
    /// The value of an option. If the flag occurs several times, the last value applies.
    pub(super) fn value(&self, row: &Row) -> Option<&str> {
        self.values(row).last().map(String::as_str)
    }

    /// Returns all values of an option, in the order of the command line.
    pub(super) fn values(&self, row: &Row) -> &[String] {
        self.values.get(row.flag).map_or(&[], Vec::as_slice)
    }

    /// Sets a flag to a single value.
    #[cfg(test)]
    pub(super) fn with(mut self, row: &Row, value: &str) -> Self {
        self.values.insert(row.flag, vec![value.to_owned()]);
        self
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(TABLE.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = TABLE.iter().filter_map(|row| {
            // A subcommand defines only some of the flags. For other flags, clap returns an error, which this code
            // ignores.
            let values = matches.try_get_many::<String>(row.flag).ok()??;
            Some((row.flag, values.cloned().collect()))
        });
        Ok(Self {
            values: values.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.values.extend(Self::from_arg_matches(matches)?.values);
        Ok(())
    }
}

// === impl RenderFlags ===

impl Args for RenderFlags {
    fn augment_args(command: Command) -> Command {
        command.args(TABLE.iter().filter(|row| row.render).map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RenderFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Flags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Adds the long descriptions of options, which only the man page shows.
pub(crate) fn with_manual(command: Command) -> Command {
    command.mut_args(|arg| {
        let row = TABLE.iter().find(|row| arg.get_id() == row.flag);
        match row {
            Some(row) => arg.long_help(row.manual()),
            None => arg,
        }
    })
}

/// Creates the clap definition of an option's flag. `row` is the option in the table of options.
fn arg(row: &Row) -> Arg {
    let help = match row.default_shown() {
        Some(default) => format!("{} [default: {default}]", row.help),
        None => row.help.to_owned(),
    };
    let name = row.flag.trim_start_matches('-');
    let arg = Arg::new(row.flag)
        .long(name)
        .help(help)
        .help_heading(row.heading)
        .hide(row.hidden);
    let mut letters = name.chars();
    let arg = match (letters.next(), letters.next()) {
        (Some(letter), None) => arg.short(letter),
        _ => arg,
    };
    let (value_name, action) = match row.form {
        // The user may write `--name` or `--name=BOOL`.
        Form::Switch => {
            return arg
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true");
        }
        Form::Value(name) | Form::Allowlists(name) => (name, ArgAction::Set),
        Form::List(name) | Form::Keys(name) => (name, ArgAction::Append),
    };
    let hint = match value_name {
        "FILE" => ValueHint::FilePath,
        "DIR" => ValueHint::DirPath,
        _ => ValueHint::Unknown,
    };
    // The argument after the flag is its value, even if this argument starts with `-`.
    arg.value_name(value_name)
        .action(action)
        .value_hint(hint)
        .allow_hyphen_values(true)
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn flags(line: &str) -> Flags {
        let command = Flags::augment_args(Command::new("exporter").args_override_self(true));
        let args = ["exporter"].into_iter().chain(line.split_whitespace());
        Flags::from_arg_matches(&command.get_matches_from(args)).unwrap()
    }

    #[test]
    fn lists_accumulate_and_everything_else_takes_the_last() {
        let flags = flags(
            "--resources=pods --resources nodes --port 1 --port=2 \
             --metric-labels-allowlist=a=[b] --metric-labels-allowlist=c=[d]",
        );
        assert_eq!(flags.values(&table::RESOURCES.row), ["pods", "nodes"]);
        assert_eq!(flags.value(&table::PORT.row), Some("2"));
        assert_eq!(
            flags.value(&table::METRIC_LABELS_ALLOWLIST.row),
            Some("c=[d]")
        );
    }

    #[test]
    fn switches_take_a_value_only_with_an_equals_sign() {
        let flags = flags("--auth-filter --auto-gomemlimit=false --shard -1 -v 4");
        assert_eq!(flags.value(&table::AUTH_FILTER.row), Some("true"));
        assert_eq!(flags.value(&table::AUTO_GOMEMLIMIT.row), Some("false"));
        assert_eq!(flags.value(&table::SHARD.row), Some("-1"));
        assert_eq!(flags.value(&table::VERBOSITY.row), Some("4"));
    }
}
