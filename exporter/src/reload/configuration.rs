//! [`Configuration`]: the options of the exporter, and the content of the files from which the exporter has read the
//! options.

use std::path::{Path, PathBuf};

use crate::cluster::{self, ServerIdentity};
use crate::file_limits;
use crate::file_watcher::FileWatcher;
use crate::options::{
    FileOptions, Flags, IgnoredKey, Options, OptionsError, OptionsFile, OptionsFileError,
};
use crate::telemetry::{ConfigKind, Telemetry};

/// The options, and the content of the files from which the exporter has read the options.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) options: Options,
    options_file: Option<FileContent>,
    /// Whether the options file contains no options, for example because it is empty.
    is_blank: bool,
    /// The keys of the options file that have no effect.
    ignored_keys: Vec<IgnoredKey>,
    kubeconfig: Vec<FileContent>,
}

/// The reason why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    #[error(transparent)]
    Config(#[from] OptionsFileError),
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(
        "the kubeconfig {} is missing or incomplete now; restore the file, or restart the exporter to use only the other \
         files of $KUBECONFIG",
        config_file::shown_path(.0)
    )]
    Kubeconfig(PathBuf),
}

/// A configuration file about which the exporter has metrics, and the content that is in use.
struct ConfigFile<'a> {
    path: &'a Path,
    kind: ConfigKind,
    content: Option<&'a [u8]>,
    /// The keys in the content that have no effect.
    ignored: &'a [IgnoredKey],
    /// The maximum length of the file, in bytes.
    limit: u64,
}

/// A file, and its content when the exporter read it.
#[derive(Debug, PartialEq)]
struct FileContent {
    path: PathBuf,
    /// The content of the file; `None` if the file cannot be read, or if its content is invalid.
    content: Option<Vec<u8>>,
}

// === impl Configuration ===

impl Configuration {
    /// Reads the options, and all files that the flags or the options file name.
    ///
    /// Also returns a watcher that reports every later change of these files. `running` is the configuration of the
    /// running program; `None` at startup.
    pub(crate) fn read(
        flags: &Flags,
        running: Option<&Self>,
    ) -> (FileWatcher, Result<Self, ConfigurationError>) {
        let mut watched = running.map(Self::watched_files).unwrap_or_default();
        if watched.is_empty() {
            watched.extend(FileOptions::of(flags).path);
        }
        loop {
            let file_watcher = FileWatcher::new(watched.clone());
            let mut warnings = Vec::new();
            let configuration = Self::read_once(flags, running, &mut warnings);
            match &configuration {
                // The configuration names a file that the watcher does not include yet. This file may have changed
                // after the exporter read it. So the loop adds the file to the watcher, and reads all files again.
                Ok(configuration)
                    if configuration
                        .watched_files()
                        .iter()
                        .any(|path| !watched.contains(path)) =>
                {
                    watched = configuration.watched_files();
                }
                // The error may be in a file that the watcher does not include yet. The loop adds this file to the
                // watcher, so that the exporter notices when a user corrects the file.
                Err(ConfigurationError::Options(error))
                    if error.named.iter().any(|path| !watched.contains(path)) =>
                {
                    watched.extend(error.named.iter().cloned());
                }
                _ => {
                    // The loop logs warnings only at its end, so that it does not repeat them if it reads the files
                    // again.
                    for warning in warnings {
                        tracing::warn!("{warning}");
                    }
                    return (file_watcher, configuration);
                }
            }
        }
    }

    fn read_once(
        flags: &Flags,
        running: Option<&Self>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigurationError> {
        let FileOptions {
            path,
            may_be_missing,
        } = FileOptions::of(flags);
        let (mut options_file, mut file) = (None, Ok(None));
        if let Some(path) = path {
            let read = config_file::read(&path, file_limits::OPTIONS);
            let content = read.as_ref().ok().cloned();
            let text = read.and_then(config_file::text);
            let text = text.map_err(|source| OptionsFileError::Read {
                path: path.clone(),
                source,
            });
            file = text.and_then(|text| OptionsFile::parse(&path, &text).map(Some));
            options_file = Some(FileContent { path, content });
        }
        let file = match file {
            Ok(file) => file,
            Err(error) if running.is_none() && may_be_missing => {
                warnings.push(format!("{error}; continuing with the flags alone"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let is_used = file.is_some();
        let is_blank = file.as_ref().is_some_and(|file| file.is_blank);
        let path = options_file.as_ref().map(|own| own.path.as_path());
        let file = path.zip(file.as_ref());
        if let Some(path) = path.filter(|_| is_blank) {
            match running {
                // The file may be empty for a short time while a program writes it. Without its options, the exporter
                // could, for example, export denied namespaces or serve without TLS.
                Some(running) if !running.is_blank => {
                    return Err(OptionsFileError::Blank(path.to_owned()).into());
                }
                Some(_) => {}
                None => warnings.push(format!(
                    "the options file {} has no options, so only the flags apply; write the options, write {{}} to use \
                     no options, or remove --config",
                    config_file::shown_path(path)
                )),
            }
        }
        let (mut options, of_options) = match running {
            None => Options::new(flags, file)?,
            Some(running) => running.options.reload(flags, file)?,
        };
        warnings.extend(of_options);
        let server = &options.server;
        if options_file.is_some() && !is_used && server.tls_config.is_none() && !server.auth_filter
        {
            let opened = "the options file is not in use, so its `tls_config` and `auth_filter` do not apply: every client \
                          may read the metrics; correct the file, or give --tls-config or --auth-filter as flags";
            warnings.push(opened.to_owned());
        }
        let is_named = !options.source.kubeconfig.is_empty()
            || options.source.apiserver.is_some()
            || !options.source.manifests.is_empty();
        options.source.find_kubeconfig();
        let kubeconfig = options.source.kubeconfig.iter().cloned();
        let kubeconfig: Vec<_> = kubeconfig
            .map(|path| FileContent::read(path, file_limits::KUBECONFIG))
            .collect();
        if let Some(running) = running.filter(|_| !is_named) {
            running.refuse_lost(&kubeconfig)?;
        }
        Ok(Self {
            options,
            is_blank,
            ignored_keys: file.map(|(_, file)| file.ignored()).unwrap_or_default(),
            options_file: options_file.map(|file| if is_used { file } else { file.unusable() }),
            kubeconfig,
        })
    }

    /// Returns an error if a file of the kubeconfig had content, and is now missing or empty. Also returns an error if a
    /// file set the current context, and does not set it now. The file may be incomplete for a short time while a program
    /// writes it. Without its content, the next file of `$KUBECONFIG` could name another API server.
    fn refuse_lost(&self, now: &[FileContent]) -> Result<(), ConfigurationError> {
        if self.kubeconfig.len() < 2 {
            return Ok(());
        }
        let is_lost = |own: &&FileContent| {
            let new = now.iter().find(|new| new.path == own.path);
            let lost = |is: fn(&FileContent) -> bool| is(own) && !new.is_some_and(is);
            lost(|file| !file.is_blank()) || lost(FileContent::sets_context)
        };
        match self.kubeconfig.iter().find(is_lost) {
            Some(lost) => Err(ConfigurationError::Kubeconfig(lost.path.clone())),
            None => Ok(()),
        }
    }

    /// The files whose changes cause a reload. Manifests and credentials are not included, because the sources watch
    /// these files.
    pub(crate) fn watched_files(&self) -> Vec<PathBuf> {
        let files = self.options_file.iter().chain(&self.kubeconfig);
        let custom = self.options.metrics.custom.file.iter();
        let custom = custom.map(|file| file.path.clone());
        files.map(|file| file.path.clone()).chain(custom).collect()
    }

    /// The files and directories that must exist so that the exporter can use this configuration, but that
    /// [`watched_files`](Self::watched_files) does not include.
    pub(crate) fn required_files(&self) -> Vec<PathBuf> {
        let manifests = self.options.source.manifests.iter();
        let manifests = manifests.filter(|path| *path != Path::new("-"));
        let web = self.options.server.tls_config.iter();
        manifests.chain(web).cloned().collect()
    }

    /// The path of the options file; `None` if there is no options file, or if its content is not in use.
    pub(crate) fn options_file(&self) -> Option<&Path> {
        let file = self.options_file.as_ref()?;
        file.content.as_ref().map(|_| file.path.as_path())
    }

    /// Whether both configurations need the same stores and the same source, so that a reload can keep the instance.
    pub(crate) fn has_same_instance(&self, other: &Self, is_other_server: bool) -> bool {
        self.options.metrics == other.options.metrics
            && self.has_same_source(other, is_other_server)
    }

    /// Whether both configurations have the same source of objects, and the same API server for reviews of tokens.
    pub(crate) fn has_same_source(&self, other: &Self, is_other_server: bool) -> bool {
        self.options.source == other.options.source && !is_other_server
    }

    /// Returns the API server in the kubeconfig of `new`, with which the caller must compare the server in use. Even if
    /// both configurations have the same files, a client may have followed a change in between. Returns `None` if `new`
    /// has the same kubeconfig, which names no server.
    ///
    /// # Errors
    ///
    /// The error is the reason why `new` certainly leads to another server than this configuration.
    pub(crate) fn server_to_compare(
        &self,
        new: &Self,
    ) -> Result<Option<ServerIdentity>, &'static str> {
        let (source, other) = (&self.options.source, &new.options.source);
        if source.apiserver != other.apiserver {
            return Err("--apiserver has changed");
        }
        if source.kubeconfig != other.kubeconfig {
            return Err("--kubeconfig has changed");
        }
        match new.server() {
            None if self.kubeconfig != new.kubeconfig => {
                Err("the kubeconfig is incomplete, or names no API server")
            }
            server => Ok(server),
        }
    }

    /// The API server in the kubeconfig; `None` if a file of the kubeconfig is unreadable, or names no server.
    fn server(&self) -> Option<ServerIdentity> {
        let files = self.kubeconfig.iter();
        let files = files.map(|file| Some((&*file.path, file.content.as_deref()?)));
        let apiserver = self.options.source.apiserver.as_ref();
        ServerIdentity::of_kubeconfigs(files.collect::<Option<Vec<_>>>()?, apiserver)
    }

    /// Updates the metrics about files, so that they show which files are in use. The files of this configuration are
    /// in use. Files that only `before` contains are no longer in use.
    pub(crate) fn record_use(&self, before: Option<&Self>, telemetry: &Telemetry) {
        for old in before.into_iter().flat_map(Self::config_files) {
            if self.config_files().all(|file| file.path != old.path) {
                telemetry.config_absent(old.path, old.kind);
            }
        }
        for file in self.config_files() {
            match file.content {
                Some(content) => {
                    let ignored = file.ignored.to_vec();
                    telemetry.config_loaded(file.path, file.kind, content, ignored);
                }
                // A missing file is not a failure here. The exporter has accepted that the file is missing, because an
                // option such as `--continue-without-config` allows this.
                None if !file.path.exists() => telemetry.config_absent(file.path, file.kind),
                None => telemetry.config_failed(file.path, file.kind),
            }
        }
    }

    /// Updates the metrics about files that have changed since the exporter read them. The metrics show that the new
    /// content of these files is not in use.
    pub(crate) fn record_changes(&self, telemetry: &Telemetry) {
        for file in self.config_files() {
            let content = config_file::read(file.path, file.limit).ok();
            if content.as_deref() != file.content {
                telemetry.config_failed(file.path, file.kind);
            }
        }
    }

    /// The configuration files about which the exporter has metrics. The web configuration file is not included,
    /// because `reload::web_config` updates its metrics.
    fn config_files(&self) -> impl Iterator<Item = ConfigFile<'_>> {
        let options_file = self.options_file.iter().map(|file| ConfigFile {
            path: &file.path,
            kind: ConfigKind::Options,
            content: file.content.as_deref(),
            ignored: &self.ignored_keys,
            limit: file_limits::OPTIONS,
        });
        let custom = self.options.metrics.custom.file.iter();
        let custom = custom.map(|file| ConfigFile {
            path: &file.path,
            kind: ConfigKind::CustomResources,
            content: file.content.as_deref().map(str::as_bytes),
            ignored: &[],
            limit: file_limits::CUSTOM_RESOURCES,
        });
        options_file.chain(custom)
    }
}

// === impl FileContent ===

impl FileContent {
    /// Reads a file. If the file cannot be read, the content is `None`.
    fn read(path: PathBuf, limit: u64) -> Self {
        let content = config_file::read(&path, limit).ok();
        Self { path, content }
    }

    /// Whether the file is missing, or contains only white space.
    fn is_blank(&self) -> bool {
        let content = self.content.as_deref().unwrap_or_default();
        content.trim_ascii().is_empty()
    }

    /// Whether the file is a kubeconfig that sets the current context.
    fn sets_context(&self) -> bool {
        self.content.as_deref().is_some_and(cluster::sets_context)
    }

    fn unusable(self) -> Self {
        Self {
            content: None,
            ..self
        }
    }
}
