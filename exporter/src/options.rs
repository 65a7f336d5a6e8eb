//! What the program is told to do: flags and options file together, checked before anything starts.
//!
//! A file per group of options: what they are, how they are read, what does not go together.

mod custom_resources;
mod flags;
mod ignored;
mod logging;
mod metrics;
pub(crate) mod parse;
mod reader;
mod server;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config_file::ConfigFile;
use reader::Reader;

pub(crate) use custom_resources::CustomResources;
pub(crate) use flags::{ContentFlags, Flags, LogFlags};
pub(crate) use logging::LogOptions;
pub(crate) use metrics::MetricsOptions;
pub(crate) use server::{Address, Limits, ServerOptions};
pub(crate) use source::SourceOptions;

/// Everything the flags and the options file say, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) metrics: MetricsOptions,
    pub(crate) source: SourceOptions,
    pub(crate) server: ServerOptions,
}

/// Everything that is wrong with the options.
#[derive(Debug)]
pub(crate) struct OptionsError {
    problems: Vec<String>,
    /// Files that the options name, which may be to blame.
    pub(crate) named: Vec<PathBuf>,
}

// === impl Options ===

impl Options {
    /// Puts flags and file together; values of the file win.
    ///
    /// Also returns what is odd about them, for the log.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its flag or key, its value and what would be right.
    pub(crate) fn new(
        flags: &Flags,
        file: Option<(&Path, &ConfigFile)>,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let empty = ConfigFile::default();
        let mut reader = Reader::new(file.map(|(path, _)| path));
        let file = file.map_or(&empty, |(_, file)| file);
        let options = Self {
            metrics: MetricsOptions::read(&mut reader, &flags.content, file),
            source: SourceOptions::read(&mut reader, &flags.source, file),
            server: ServerOptions::read(&mut reader, &flags.server, file),
        };
        ignored::check(&mut reader, &flags.ignored, file);
        logging(&mut reader, &flags.logging);
        options.server.check(&mut reader);
        options.source.check(&mut reader);
        options.metrics.custom.check(&mut reader);
        options.metrics.check(&mut reader);
        let Reader {
            problems,
            mut warnings,
            path,
        } = reader;
        if !problems.is_empty() {
            let named = options.metrics.custom.file.iter();
            let named = named.map(|file| file.path.clone()).collect();
            return Err(OptionsError { problems, named });
        }
        for key in &file.unknown {
            let path = path.unwrap_or(Path::new("")).display();
            warnings.push(format!(
                "{path}: there is no option `{key}`; the key is ignored"
            ));
        }
        Ok((options, warnings))
    }
}

fn logging(reader: &mut Reader<'_>, flags: &LogFlags) {
    if let Err(error) = LogOptions::new(flags) {
        reader.problems.extend(error);
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
mod tests;
