//! All that is read from files: options, and what the stores are fed from besides manifests.

use std::path::{Path, PathBuf};

use crate::cluster;
use crate::config_file::{ConfigFile, ConfigFileError};
use crate::follow::Follower;
use crate::options::{Flags, Options, OptionsError, parse};
use crate::telemetry::{ConfigKind, Telemetry};

/// Options and the files they are from, as they were read.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) options: Options,
    config: Option<InputFile>,
    kubeconfig: Option<InputFile>,
}

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// A file and its content.
#[derive(Debug, PartialEq)]
struct InputFile {
    path: PathBuf,
    /// Nothing where it cannot be read.
    content: Option<Vec<u8>>,
}

// === impl Inputs ===

impl Inputs {
    /// Reads everything the flags name, directly or by the options file.
    ///
    /// Returns a follower of those files as well, which misses no change after they were read;
    /// `followed` is where to begin, and `first` says whether the program is just starting.
    pub(crate) fn read(
        flags: &Flags,
        mut followed: Vec<PathBuf>,
        first: bool,
    ) -> (Follower, Result<Self, InputError>) {
        if followed.is_empty() {
            followed.extend(config_path(flags));
        }
        loop {
            let follower = Follower::new(followed.clone());
            let inputs = Self::read_once(flags, first);
            match &inputs {
                // Files that were not named before may have changed since they were read.
                Ok(inputs)
                    if inputs
                        .followed()
                        .iter()
                        .any(|path| !followed.contains(path)) =>
                {
                    followed = inputs.followed();
                }
                // What is wrong may be a file that the options name only now.
                Err(InputError::Options(error))
                    if error.named.iter().any(|path| !followed.contains(path)) =>
                {
                    followed.extend(error.named.iter().cloned());
                }
                _ => return (follower, inputs),
            }
        }
    }

    fn read_once(flags: &Flags, first: bool) -> Result<Self, InputError> {
        let config = config_path(flags).map(InputFile::read);
        let file = config.as_ref().map(|config| {
            let path = &config.path;
            let content =
                std::fs::read_to_string(path).map_err(|source| ConfigFileError::Read {
                    path: path.clone(),
                    source,
                })?;
            let file = ConfigFile::parse(path, &content)?;
            Ok((path.as_path(), file))
        });
        let file = match file.transpose() {
            Ok(file) => file,
            Err(error) if first && continues_without(flags) => {
                tracing::warn!("{error}; going on with the flags alone");
                None
            }
            Err(error) => return Err(error),
        };
        let used = file.is_some();
        let file = file.as_ref().map(|(path, file)| (*path, file));
        let (options, warnings) = Options::new(flags, file)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let kubeconfig = options.source.kubeconfig.clone().map(InputFile::read);
        Ok(Self {
            options,
            config: config.map(|config| if used { config } else { config.unusable() }),
            kubeconfig,
        })
    }

    /// The files to follow.
    pub(crate) fn followed(&self) -> Vec<PathBuf> {
        let files = [&self.config, &self.kubeconfig].into_iter().flatten();
        let custom = self.options.metrics.custom.file.iter();
        let custom = custom.map(|file| file.path.clone());
        files.map(|file| file.path.clone()).chain(custom).collect()
    }

    /// Whether the stores would hold the same with `other`.
    pub(crate) fn feeds_the_same(&self, other: &Self) -> bool {
        self.options.metrics == other.options.metrics
            && self.options.source == other.options.source
            && (self.kubeconfig == other.kubeconfig
                || self.server().is_some() && self.server() == other.server())
    }

    /// The server that the kubeconfig leads to; credentials for the same one are renewed in place.
    fn server(&self) -> Option<String> {
        cluster::server(self.kubeconfig.as_ref()?.content.as_deref()?)
    }

    /// Notes in metrics that the files are in use, and those from `before` no more.
    pub(crate) fn note(&self, before: Option<&Self>, telemetry: &Telemetry) {
        let old = before.into_iter().flat_map(Self::config_files);
        for (path, kind, _) in old {
            if self.config_files().all(|(own, ..)| own != path) {
                telemetry.config_absent(path, kind);
            }
        }
        for (path, kind, content) in self.config_files() {
            match content {
                Some(content) => telemetry.config_loaded(path, kind, content),
                // It was said that it may come later, so that there is nothing to complain of.
                None if !path.exists() => telemetry.config_absent(path, kind),
                None => telemetry.config_failed(path, kind),
            }
        }
    }

    /// Notes in metrics that the files which have changed since are not in use.
    pub(crate) fn note_changes(&self, telemetry: &Telemetry) {
        for (path, kind, content) in self.config_files() {
            if std::fs::read(path).ok().as_deref() != content {
                telemetry.config_failed(path, kind);
            }
        }
    }

    /// The files that configure something, and what is in use of them.
    fn config_files(&self) -> impl Iterator<Item = (&Path, ConfigKind, Option<&[u8]>)> {
        let config = self.config.iter().map(|file| {
            let content = file.content.as_deref();
            (file.path.as_path(), ConfigKind::Options, content)
        });
        let custom = self.options.metrics.custom.file.iter().map(|file| {
            let content = file.content.as_deref().map(str::as_bytes);
            (file.path.as_path(), ConfigKind::CustomResources, content)
        });
        config.chain(custom)
    }
}

fn config_path(flags: &Flags) -> Option<PathBuf> {
    flags
        .config
        .config
        .as_deref()
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn continues_without(flags: &Flags) -> bool {
    let given = flags.config.continue_without_config.as_deref();
    given.is_some_and(|text| parse::switch(text).unwrap_or(false))
}

// === impl InputFile ===

impl InputFile {
    fn read(path: PathBuf) -> Self {
        let content = std::fs::read(&path).ok();
        Self { path, content }
    }

    fn unusable(self) -> Self {
        Self {
            content: None,
            ..self
        }
    }
}
