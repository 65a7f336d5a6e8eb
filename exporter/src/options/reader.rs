//! [`Reader`]: reads the values of options from the options file and the flags.
//!
//! The *text* of an option is its value as the user wrote it.

use std::path::Path;

use kube_state_metrics::custom_resources::Config;
use kube_state_metrics::filter::AllowlistConfig;
use kube_state_metrics::registry::{Join, JoinConfig};

use super::file::{FileValue, OptionsFile};
use super::flags::Flags;
use super::row::{Form, Items, Row, Single};
use super::table::TABLE;

/// Reads options and collects problems and warnings. The options file takes precedence over flags, and flags over
/// defaults.
pub(super) struct Reader<'a> {
    flags: &'a Flags,
    file: Option<(&'a Path, &'a OptionsFile)>,
    phase: Phase<'a>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// The maximum number of messages about one file or option. A broken file can have a problem in each line. Without this
/// limit, the messages would fill the log.
const MOST_MESSAGES: usize = 20;

/// Returns the first messages about `from`, a file or an option. If there are more messages, a last message states how many, and `all`
/// states how to see them.
pub(crate) fn first_messages(
    messages: impl ExactSizeIterator<Item = String>,
    from: &str,
    all: &str,
) -> Vec<String> {
    let count = messages.len();
    first_of(messages, count, from, all)
}

/// Returns the first messages as [`first_messages`] does. `count` is the number of all messages.
pub(super) fn first_of(
    messages: impl Iterator<Item = String>,
    count: usize,
    from: &str,
    all: &str,
) -> Vec<String> {
    let more = count.saturating_sub(MOST_MESSAGES);
    let mut first: Vec<_> = messages.take(MOST_MESSAGES).collect();
    if more > 0 {
        first.push(format!("{from}: {more} more such messages{all}"));
    }
    first
}

/// The phase in which the options are read: the startup or a reload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase<'a> {
    Startup,
    /// A reload: the new options replace the options in use if they are valid.
    Reload {
        /// The text and the content of the current configuration of custom resources; `None` if there is no such
        /// configuration.
        custom_config: Option<(&'a str, &'a Config)>,
        /// The file of this configuration; `None` if the configuration is not from a file.
        custom_file: Option<&'a Path>,
    },
}

// === impl Phase ===

impl Phase<'_> {
    /// Whether the running program uses the content of this configuration file of custom resources.
    pub(super) fn uses_custom_file(self, path: &Path) -> bool {
        matches!(self, Self::Reload { custom_file: Some(file), .. } if file == path)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Creates a reader of flags and of an options file. `file` also contains the path of the file.
    pub(super) fn new(flags: &'a Flags, file: Option<(&'a Path, &'a OptionsFile)>) -> Self {
        let mut reader = Self {
            flags,
            file,
            phase: Phase::Startup,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        for row in TABLE {
            if let (Some(old), Some(key)) = (row.old_key, row.key)
                && reader.in_file(old).is_some()
            {
                let warning = format!("the key `{old}` is old; use `{key}`");
                reader.warnings.push(warning);
            }
        }
        reader
    }

    /// Sets the phase. The default is the startup.
    pub(super) fn in_phase(mut self, phase: Phase<'a>) -> Self {
        self.phase = phase;
        self
    }

    pub(super) fn phase(&self) -> Phase<'a> {
        self.phase
    }

    /// The value of an option. If the value cannot be parsed, the function records a problem, and returns the default
    /// of the type.
    pub(super) fn value<T: Default>(&mut self, option: &Single<T>) -> T {
        let row = &option.row;
        let mut texts = self.texts(row);
        let text = texts.next().unwrap_or_else(|| row.default_text());
        drop(texts);
        (option.parse)(text).unwrap_or_else(|cure| {
            let source = self.source(row);
            // A URL with `@` or with a query may contain a password, so the error does not show the URL.
            let problem = match row.form {
                Form::Value("URL") if text.contains(['@', '?', '#']) => {
                    format!("{source}: the URL {cure}")
                }
                // The value is from the options file. The error does not show this value, because a user may have
                // written a secret in the wrong place.
                _ if source != row.flag => format!("{source}: the value {cure}"),
                _ => format!("{source}: `{text}` {cure}"),
            };
            self.problems.push(problem);
            T::default()
        })
    }

    /// Returns the text of an option, and the key or flag that sets it. Empty texts are skipped. A text in the options
    /// file takes precedence over the flag.
    pub(super) fn non_empty(&self, row: &Row) -> Option<(String, &'a str)> {
        let in_file = self.texts_in_file(row).find(|text| !text.is_empty());
        let on_command_line = || self.on_command_line(row).filter(|text| !text.is_empty());
        match in_file {
            Some(text) => Some((self.source(row), text)),
            None => Some((row.flag.to_owned(), on_command_line()?)),
        }
    }

    /// The items of an option whose value is a list.
    pub(super) fn items(&self, option: &Items) -> Vec<String> {
        match self.list_in_file(&option.row) {
            Some(FileValue::List(items)) => (option.parse)(items),
            Some(FileValue::Keys(keys)) => keys.clone(),
            _ => match self.flags.values(&option.row) {
                [] => (option.parse)(&[option.row.default_text().to_owned()]),
                items => (option.parse)(items),
            },
        }
    }

    /// The value of an option that has patterns per resource.
    pub(super) fn allowlists(&mut self, option: &Single<AllowlistConfig>) -> AllowlistConfig {
        if let Some(FileValue::Allowlists(lists)) = self.list_in_file(&option.row) {
            let mut config = AllowlistConfig::default();
            for (resource, patterns) in lists {
                config.insert(resource, patterns);
            }
            return config;
        }
        self.lists_in_flag(option)
    }

    /// The value of an option that has joined labels per resource (`--join-labels`).
    pub(super) fn joins(&mut self, option: &Single<JoinConfig>) -> JoinConfig {
        if let Some(FileValue::Allowlists(lists)) = self.list_in_file(&option.row) {
            let mut config = JoinConfig::default();
            let source = self.source(&option.row);
            let mut errors = Vec::new();
            for (resource, joins) in lists {
                for join in joins {
                    match join.parse::<Join>() {
                        Ok(join) => config.insert(resource, join),
                        Err(error) => errors.push(error),
                    }
                }
            }
            let problems = errors.iter().map(|error| format!("{source}: {error}"));
            let problems = first_messages(problems, &source, "");
            self.problems.extend(problems);
            return config;
        }
        self.lists_in_flag(option)
    }

    /// The value of an option with lists per resource, from the command line. If the flag is missing, the function
    /// returns the default.
    fn lists_in_flag<T: Default>(&mut self, option: &Single<T>) -> T {
        let text = self.on_command_line(&option.row);
        let text = text.unwrap_or_else(|| option.row.default_text());
        (option.parse)(text).unwrap_or_else(|problem| {
            let problem = format!("{}: {problem}", option.row.flag);
            self.problems.push(problem);
            T::default()
        })
    }

    pub(super) fn on_command_line(&self, row: &Row) -> Option<&'a str> {
        self.flags.value(row)
    }

    /// The source of an option's value: the key in the options file, or the flag.
    pub(super) fn source(&self, row: &Row) -> String {
        let is_in_file =
            self.texts_in_file(row).next().is_some() || self.list_in_file(row).is_some();
        match (self.file, row.key) {
            (Some((path, _)), Some(key)) if is_in_file => {
                format!("{}: `{key}`", config_file::shown_path(path))
            }
            _ => row.flag.to_owned(),
        }
    }

    /// The list or the map in the options file for an option; `None` if the value is a single text or an empty map.
    fn list_in_file(&self, row: &Row) -> Option<&'a FileValue> {
        let value = row.keys().find_map(|key| self.in_file(key))?;
        let is_list = !matches!(value, FileValue::Text(_)) && !value.is_empty_map();
        is_list.then_some(value)
    }

    /// The texts of an option, in order of precedence.
    fn texts(&self, row: &Row) -> impl Iterator<Item = &'a str> {
        self.texts_in_file(row).chain(self.on_command_line(row))
    }

    fn texts_in_file(&self, row: &Row) -> impl Iterator<Item = &'a str> {
        row.keys().filter_map(|key| match self.in_file(key)? {
            FileValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    fn in_file(&self, key: &str) -> Option<&'a FileValue> {
        self.file.and_then(|(_, file)| file.get(key))
    }
}
