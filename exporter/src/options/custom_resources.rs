//! The configuration of custom resource metrics.

use std::io;
use std::path::PathBuf;

use kube_state_metrics::custom_resources::Config;

use super::flags::ContentFlags;
use super::parse;
use super::reader::Reader;
use crate::config_file::ConfigFile;

/// The metrics of custom resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CustomResources {
    /// What is configured.
    pub(crate) config: Option<Configured>,
    /// The file it is from, also where it is missing.
    pub(crate) file: Option<ConfigSource>,
    /// No built-in resources.
    pub(crate) only: bool,
}

/// A configuration without errors.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    text: String,
    pub(crate) config: Config,
}

/// A file, and what it held when it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigSource {
    pub(crate) path: PathBuf,
    /// Nothing where it is missing.
    pub(crate) content: Option<String>,
}

/// The names of an option, on the command line and in the options file.
const INLINE: (&str, &str) = ("--custom-resource-state-config", "custom_resource_config");
const FILE: (&str, &str) = (
    "--custom-resource-state-config-file",
    "custom_resource_state_config_file",
);

// === impl CustomResources ===

impl CustomResources {
    /// Reads it from flags and options file, and the file they name.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &ContentFlags, file: &ConfigFile) -> Self {
        if file.custom_resource_file_old.0.is_some() {
            reader.warnings.push(
                "the key `custom_resource_config_file` is old; use `custom_resource_state_config_file`"
                    .into(),
            );
        }
        let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let in_file = given(file.custom_resource_file.0.as_ref())
            .or_else(|| given(file.custom_resource_file_old.0.as_ref()));
        let path_from = reader.from(FILE.0, FILE.1, in_file.is_some());
        let path = in_file.or_else(|| given(flags.custom_resource_state_config_file.as_ref()));
        let in_file = given(file.custom_resource_config.0.as_ref());
        let inline_from = reader.from(INLINE.0, INLINE.1, in_file.is_some());
        let inline = in_file.or_else(|| given(flags.custom_resource_state_config.as_ref()));
        let may_be_missing = reader.value(
            "--continue-without-custom-resource-state-config-file",
            &flags.continue_without_custom_resource_state_config_file,
            "continue_without_custom_resource_state_config_file",
            &file.continue_without_custom_resource_file,
            parse::switch,
            false,
        );
        let only = reader.value(
            "--custom-resource-state-only",
            &flags.custom_resource_state_only,
            "custom_resources_only",
            &file.custom_resources_only,
            parse::switch,
            false,
        );
        if let Some(text) = inline {
            if path.is_some() {
                reader.warnings.push(format!(
                    "{path_from} has no effect: {inline_from} wins; remove one of the two"
                ));
            }
            return Self {
                config: Configured::parse(reader, &inline_from, text),
                file: None,
                only,
            };
        }
        let source = path.map(|path| ConfigSource::read(reader, &path_from, path, may_be_missing));
        let text = source.as_ref().and_then(|source| {
            let path = source.path.display().to_string();
            Some((path, source.content.clone()?))
        });
        Self {
            config: text.and_then(|(path, text)| Configured::parse(reader, &path, text)),
            file: source,
            only,
        }
    }

    /// Notes what the rest of the options makes of it.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.only && self.config.is_none() && self.file.is_none() && reader.problems.is_empty() {
            reader.warnings.push(
                "--custom-resource-state-only without a configuration of custom resources: there \
                 will be no metrics"
                    .into(),
            );
        }
    }
}

// === impl Configured ===

impl Configured {
    /// Parses a configuration and notes all that is wrong or odd.
    fn parse(reader: &mut Reader<'_>, from: &str, text: String) -> Option<Self> {
        match Config::parse(&text) {
            Ok(config) => {
                let warnings = config.warnings().iter();
                reader
                    .warnings
                    .extend(warnings.map(|warning| format!("{from}: {warning}")));
                Some(Self { text, config })
            }
            Err(error) => {
                let problems = error.problems().iter();
                reader
                    .problems
                    .extend(problems.map(|problem| format!("{from}: {problem}")));
                None
            }
        }
    }
}

impl PartialEq for Configured {
    /// The same text is the same configuration.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

// === impl ConfigSource ===

impl ConfigSource {
    fn read(reader: &mut Reader<'_>, from: &str, path: String, may_be_missing: bool) -> Self {
        let path = PathBuf::from(path);
        let content = match std::fs::read_to_string(&path) {
            Ok(content) => Some(content),
            Err(error) => {
                let shown = path.display();
                if error.kind() != io::ErrorKind::NotFound {
                    reader
                        .problems
                        .push(format!("{from}: cannot read {shown}: {error}"));
                } else if may_be_missing {
                    reader.warnings.push(format!(
                        "{from}: {shown} is not there; its metrics show once it is"
                    ));
                } else {
                    reader.problems.push(format!(
                        "{from}: {shown} is not there; create it, or give \
                         --continue-without-custom-resource-state-config-file"
                    ));
                }
                None
            }
        };
        Self { path, content }
    }
}
