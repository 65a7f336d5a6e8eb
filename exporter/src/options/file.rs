//! Reads the options file (`--config`): a YAML map from keys to the values of options.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use config_file::{ReadError, YamlProblem};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::parse;
use super::row::{Compat, Form, Row};
use super::table::TABLE;

/// The values that an options file sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionsFile {
    values: BTreeMap<&'static str, FileValue>,
    /// The keys that are not options.
    pub(crate) unknown: Vec<String>,
    /// The keys without a value.
    empty: Vec<&'static str>,
    /// Whether the file contains no map: it is empty, contains only comments, or contains only `null`.
    pub(crate) is_blank: bool,
}

/// A key of an options file that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IgnoredKey {
    pub(crate) key: String,
    /// Why the key has no effect.
    pub(crate) reason: String,
}

/// A value of an options file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FileValue {
    Text(String),
    List(Vec<String>),
    Keys(Vec<String>),
    Allowlists(BTreeMap<String, Vec<String>>),
}

/// The maximum number of problems that one error message lists.
const MOST_PROBLEMS: usize = 20;

/// The maximum number of characters of an unknown key that messages show.
const MOST_SHOWN: usize = 100;

/// Why a key that is not in the table of options has no effect.
const UNKNOWN: &str = "there is no such option";

/// The state of the parser while it reads the values of a file.
#[derive(Clone, Copy)]
struct FileSeed<'a> {
    /// The keys whose values are invalid. The parser skips these keys.
    left_out: &'a BTreeSet<&'static str>,
    /// The key whose value is being read.
    current: &'a RefCell<Option<&'static str>>,
}

/// A deserializer of a map. An empty value results in `None`.
struct Map<V> {
    /// The expected form of the map, for errors.
    form: &'static str,
    values: PhantomData<V>,
}

/// The expected form of a map of keys, for errors. The exporter refuses a list of the keys, because the Go program
/// kube-state-metrics also requires a map.
const KEYS: &str = "a map such as `{pods: {}, nodes: {}}`";
/// The expected form of a map of lists, for errors. The exporter refuses the text that the flag accepts, such as
/// `pods=[team]`.
const ALLOWLISTS: &str = "a map of lists such as `{pods: [team], nodes: [\"*\"]}`";

const AUTH_FILTER: &str = "auth_filter";

/// The keys of the options that protect the ports, and the expected values. A key without a value is an error, because
/// the file may be cut, or a template may have had no value. Then the exporter would serve without the protection. An
/// empty path is also an error, because it would override the flag.
const PROTECTIONS: [(&str, &str); 2] = [
    (
        "tls_config",
        "the path of a file; to serve without TLS and passwords, remove the key",
    ),
    (
        AUTH_FILTER,
        "`true` or `false`; to serve without tokens, write `false`",
    ),
];

/// What the exporter expects in place of a key that resembles a key of [`PROTECTIONS`], for errors. With only a warning
/// about an unknown key, the exporter would serve without the protection. A misspelled `auth_filter: false` requests no
/// protection, so it is only an unknown key.
const SPELLING: &str = "the key with exactly this spelling";

/// A single value of any YAML type, as text. The parser of the option checks the text later.
struct Scalar(Option<String>);

/// The reason why an options file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsFileError {
    #[error(
        "cannot read the options file {}: {source}",
        config_file::shown_path(path)
    )]
    Read { path: PathBuf, source: ReadError },
    #[error(
        "the options file {} has no options; a reload does not remove all options of a file, so write the options, or \
         write {{}} to use no options",
        config_file::shown_path(.0)
    )]
    Blank(PathBuf),
    #[error(
        "the options file {} is not valid: {}",
        config_file::shown_path(path),
        list(problems)
    )]
    Invalid {
        path: PathBuf,
        problems: Vec<YamlProblem>,
    },
}

// === impl OptionsFile ===

impl OptionsFile {
    /// Parses the content of an options file.
    ///
    /// # Errors
    ///
    /// The function fails if the text is not YAML, or if values have the wrong form. The error lists all problems with
    /// their lines and keys, but contains no value of the file, because a value may be secret.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, OptionsFileError> {
        let invalid = |problems| OptionsFileError::Invalid {
            path: path.to_owned(),
            problems,
        };
        let text = config_file::without_empty_documents(text);
        // The code first checks only the syntax. So if a bracket is not closed, the error is about the bracket, and not
        // about a value with a wrong type.
        serde_saphyr::from_str::<IgnoredAny>(text)
            .map_err(|error| invalid(vec![config_file::yaml_problem(&error, text, &[])]))?;
        let mut problems: Vec<YamlProblem> = Vec::new();
        let mut left_out = BTreeSet::new();
        // The parser stops at the first error. To find further errors, the parser runs again, and skips the keys with
        // errors.
        loop {
            let seed = FileSeed {
                left_out: &left_out,
                current: &RefCell::default(),
            };
            let parsed = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
                deserializer.deserialize_option(seed)
            });
            let error = match parsed {
                Ok(file) if problems.is_empty() => return Ok(file),
                Ok(_) => return Err(invalid(problems)),
                Err(error) => error,
            };
            let key = seed.current.take();
            let mut problem = config_file::yaml_problem(&error, text, &[]);
            problem.key = key.map(str::to_owned);
            problems.push(problem);
            match key {
                Some(key) if problems.len() < MOST_PROBLEMS => left_out.insert(key),
                _ => return Err(invalid(problems)),
            };
        }
    }

    /// Returns the keys without effect: unknown keys, old keys if the new key is also set, keys without a value, and
    /// options without effect.
    pub(crate) fn ignored(&self) -> Vec<IgnoredKey> {
        let unknown = self.unknown.iter().map(|key| (&**key, UNKNOWN.to_owned()));
        let known = TABLE.iter().flat_map(|row| {
            let keys = row.keys().filter(|key| self.has(key));
            keys.filter_map(|key| Some((key, self.why_ignored(row, key)?)))
        });
        let ignored = unknown.chain(known).map(|(key, reason)| IgnoredKey {
            key: key.to_owned(),
            reason,
        });
        ignored.collect()
    }

    /// Returns the keys without a value, and why such a key has no effect. Keys that have no effect for another reason
    /// are not included.
    pub(super) fn without_value(&self) -> impl Iterator<Item = (&'static str, String)> {
        let rows = TABLE
            .iter()
            .flat_map(|row| row.keys().map(move |key| (row, key)));
        rows.filter(|(_, key)| self.empty.contains(key))
            .filter_map(|(row, key)| {
                let reason = self.why_ignored(row, key)?;
                (reason == without_value(row)).then_some((key, reason))
            })
    }

    fn has(&self, key: &str) -> bool {
        self.values.contains_key(key) || self.empty.contains(&key)
    }

    /// Returns why a key of an option has no effect; `None` if it has an effect.
    fn why_ignored(&self, row: &Row, key: &str) -> Option<String> {
        if let Compat::NoEffect(reason) = row.compat {
            return Some(format!("the option has no effect: {reason}"));
        }
        let current = row.key.filter(|current| *current != key);
        if let Some(current) = current.filter(|current| self.get(current).is_some()) {
            return Some(format!("`{current}` replaces this key"));
        }
        let is_set = self.get(key).is_some_and(|value| !value.is_empty_map());
        (!is_set).then(|| without_value(row))
    }

    pub(super) fn get(&self, key: &str) -> Option<&FileValue> {
        self.values.get(key)
    }
}

// === impl FileValue ===

impl FileValue {
    /// Whether the value is a map without keys. Such a map does not set the option.
    pub(super) fn is_empty_map(&self) -> bool {
        match self {
            Self::Keys(keys) => keys.is_empty(),
            Self::Allowlists(lists) => lists.is_empty(),
            Self::Text(_) | Self::List(_) => false,
        }
    }
}

// === impl FileSeed ===

impl<'de> Visitor<'de> for FileSeed<'_> {
    type Value = OptionsFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of options")
    }

    /// Handles an empty file, or a file that contains only comments.
    fn visit_none<E: de::Error>(self) -> Result<OptionsFile, E> {
        self.visit_unit()
    }

    fn visit_unit<E>(self) -> Result<OptionsFile, E> {
        Ok(OptionsFile {
            is_blank: true,
            ..OptionsFile::default()
        })
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<OptionsFile, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OptionsFile, A::Error> {
        let mut file = OptionsFile::default();
        while let Some(key) = map.next_key::<String>()? {
            let Some((key, form)) = form(&key) else {
                let misspelled = misspelled_protection(&key);
                if let Some(meant) = misspelled.filter(|own| !self.left_out.contains(own)) {
                    self.current.replace(Some(meant));
                    let value = map.next_value::<Scalar>().ok().and_then(|value| value.0);
                    let is_off = value.is_some_and(|text| parse::switch(&text) == Ok(false));
                    if meant != AUTH_FILTER || !is_off {
                        return Err(de::Error::invalid_value(Unexpected::Str(""), &SPELLING));
                    }
                    self.current.take();
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
                file.unknown.push(shown(key));
                continue;
            };
            if self.left_out.contains(key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.current.replace(Some(key));
            let value = match form {
                Form::Switch | Form::Value(_) => map.next_value::<Scalar>()?.0.map(FileValue::Text),
                Form::List(_) => map.next_value::<Option<_>>()?.map(FileValue::List),
                Form::Keys(_) => {
                    let keys = map.next_value_seed(Map::<IgnoredAny>::new(KEYS))?;
                    keys.map(|keys| FileValue::Keys(keys.into_keys().collect()))
                }
                Form::Allowlists(_) => {
                    let lists = map.next_value_seed(Map::new(ALLOWLISTS))?;
                    lists.map(FileValue::Allowlists)
                }
            };
            let is_empty = match &value {
                Some(FileValue::Text(text)) => text.is_empty(),
                other => other.is_none(),
            };
            let protection = PROTECTIONS
                .iter()
                .find(|(protection, _)| *protection == key);
            if let Some((_, expected)) = protection.filter(|_| is_empty) {
                return Err(de::Error::invalid_value(Unexpected::Str(""), expected));
            }
            self.current.take();
            match value {
                Some(value) => drop(file.values.insert(key, value)),
                None => file.empty.push(key),
            }
        }
        file.unknown.sort();
        Ok(file)
    }
}

/// Returns a key for messages. A very long key is truncated.
fn shown(key: String) -> String {
    match key.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &key[..end]),
        None => key,
    }
}

/// Returns the key of [`PROTECTIONS`] from which `key` differs only in case, hyphens, underscores, dots and spaces.
fn misspelled_protection(key: &str) -> Option<&'static str> {
    let letters = |key: &str| {
        let letters = key.chars().filter(char::is_ascii_alphanumeric);
        letters
            .map(|own| own.to_ascii_lowercase())
            .collect::<String>()
    };
    let key = letters(key);
    let mut protections = PROTECTIONS.iter().map(|(protection, _)| *protection);
    protections.find(|protection| letters(protection) == key)
}

/// Returns why the key of an option has no effect if it has no value.
fn without_value(row: &Row) -> String {
    format!("it has no value, so `{}` or its default applies", row.flag)
}

/// Formats problems for an error message. A single problem stays on the first line of the message. If there are several
/// problems, each of them is on a separate line.
fn list(problems: &[YamlProblem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines = problems.iter().map(|problem| format!("\n  {problem}"));
            format!("{} problems:{}", problems.len(), lines.collect::<String>())
        }
    }
}

/// Finds an option by its key. Returns the key as a static text, and the form of the option's value.
fn form(key: &str) -> Option<(&'static str, Form)> {
    TABLE.iter().find_map(|row| {
        let known = row.keys().find(|known| *known == key)?;
        Some((known, row.form))
    })
}

// === impl Map ===

impl<V> Map<V> {
    fn new(form: &'static str) -> Self {
        Self {
            form,
            values: PhantomData,
        }
    }
}

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for Map<V> {
    type Value = Option<BTreeMap<String, V>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Map<V> {
    type Value = Option<BTreeMap<String, V>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

// === impl Scalar ===

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Returns all keys, sorted.
#[cfg(test)]
pub(super) fn keys() -> Vec<&'static str> {
    let mut keys: Vec<_> = TABLE.iter().flat_map(Row::keys).collect();
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests;
