//! The options of the exporter.
//!
//! [`table`] has a row per option, [`flags`] and [`file`] have the values of options, and [`Reader`] merges both. For
//! each group of options, one module reads the values and checks their combinations.

mod custom_resources;
mod default_kubeconfig;
mod file;
mod flags;
mod high_availability;
mod ignored;
mod logging;
mod metrics;
pub(crate) mod names;
pub(crate) mod parse;
mod reader;
mod row;
mod server;
mod source;
mod successors;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use reader::{Phase, Reader};

pub(crate) use file::{IgnoredKey, OptionsFile, OptionsFileError};
pub(crate) use flags::{Flags, RenderFlags, with_manual};
pub(crate) use high_availability::HighAvailability;
pub(crate) use logging::LogOptions;
pub(crate) use metrics::MetricsOptions;
pub(crate) use parse::{DebugAccess, LONGEST_LEASE, LogFormat, OnOutage};
pub(crate) use reader::first_messages;
pub(crate) use server::{Address, AuthLimits, Limits, ServerOptions};
pub(crate) use source::SourceOptions;
pub(crate) use successors::OldFlag;

/// The values of all options. The values are valid, and can be used together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) metrics: MetricsOptions,
    pub(crate) source: SourceOptions,
    pub(crate) server: ServerOptions,
    /// The options of high availability; `None` without `--ha`.
    pub(crate) high_availability: Option<HighAvailability>,
}

/// The flags about the options file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FileOptions {
    pub(crate) path: Option<PathBuf>,
    /// Whether the exporter may start without the file.
    pub(crate) may_be_missing: bool,
}

/// All problems of the options.
#[derive(Debug)]
pub(crate) struct OptionsError {
    problems: Vec<String>,
    /// The files that the options name. The exporter watches them, because a change of these files may solve the
    /// problems.
    pub(crate) named: Vec<PathBuf>,
}

// === impl Options ===

impl Options {
    /// Reads the flags and the options file at startup. The options file takes precedence. Also returns warnings.
    ///
    /// # Errors
    ///
    /// The error lists all problems. Each problem names the flag or key and its value, and states what to write
    /// instead.
    pub(crate) fn new(
        flags: &Flags,
        file: Option<(&Path, &OptionsFile)>,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        Self::read(Reader::new(flags, file), file)
    }

    /// Reads the flags and the options file again during a reload.
    ///
    /// # Errors
    ///
    /// The function fails in the same cases as [`new`](Self::new). The function also fails if a new configuration of
    /// custom resources has an error and would replace another configuration, or if the file of the configuration in
    /// use does not exist now. The flag `--continue-without-custom-resource-state-config-file` does not change this.
    pub(crate) fn reload(
        &self,
        flags: &Flags,
        file: Option<(&Path, &OptionsFile)>,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let phase = Phase::Reload {
            custom_config: self.metrics.custom.in_use(),
            custom_file: self.metrics.custom.file_in_use(),
        };
        Self::read(Reader::new(flags, file).in_phase(phase), file)
    }

    fn read(
        mut reader: Reader<'_>,
        file: Option<(&Path, &OptionsFile)>,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let metrics = MetricsOptions::read(&mut reader);
        let source = SourceOptions::read(&mut reader);
        let server = ServerOptions::read(&mut reader);
        let options = Self {
            high_availability: HighAvailability::read(&mut reader, &metrics, &source),
            metrics,
            source,
            server,
        };
        ignored::check(&mut reader);
        LogOptions::read(&mut reader);
        options.server.check(&mut reader);
        options.source.check(&mut reader);
        options.metrics.custom.check(&mut reader);
        options.metrics.check(&mut reader);
        let Reader {
            problems,
            mut warnings,
            ..
        } = reader;
        if !problems.is_empty() {
            let named = options.metrics.custom.file.iter();
            let named = named.map(|file| file.path.clone()).collect();
            return Err(OptionsError { problems, named });
        }
        if let Some((path, file)) = file {
            let path = config_file::shown_path(path);
            let unknown = (file.unknown.iter())
                .map(|key| format!("{path}: there is no option `{key}`; the key is ignored"));
            warnings.extend(first_messages(unknown, &path, ""));
            let without_value: Vec<_> = (file.without_value())
                .map(|(key, reason)| format!("{path}: `{key}`: {reason}"))
                .collect();
            warnings.extend(first_messages(without_value.into_iter(), &path, ""));
        }
        Ok((options, warnings))
    }
}

// === impl FileOptions ===

impl FileOptions {
    pub(crate) fn of(flags: &Flags) -> Self {
        let mut reader = Reader::new(flags, None);
        Self {
            path: reader.value(&table::CONFIG),
            may_be_missing: reader.value(&table::CONTINUE_WITHOUT_CONFIG),
        }
    }
}

// === impl OptionsError ===

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => f.write_str(problem),
            problems => {
                write!(f, "{} problems with the options:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for OptionsError {}

#[cfg(test)]
mod compat;
#[cfg(test)]
mod tests;
