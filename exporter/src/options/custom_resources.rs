//! Reads the options of custom resource metrics, and their configuration file.

use std::path::{Path, PathBuf};

use kube_state_metrics::custom_resources::{Config, ConfigProblem};

use super::reader::{Phase, Reader, first_messages, first_of};
use super::table;
use crate::file_limits;

/// The options of custom resource metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CustomResources {
    /// The configuration, if there is one.
    pub(crate) config: Option<Configured>,
    /// The configuration file that the options name. The value is set even if the file does not exist.
    pub(crate) file: Option<ConfigSource>,
    /// Whether the exporter exports only custom resources, and no built-in resources.
    pub(crate) only: bool,
}

/// A parsed configuration. The configuration contains only families without errors.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// The flag or key that sets the configuration.
    from: String,
    text: String,
    pub(crate) config: Config,
}

/// How to see more messages about a configuration.
const ALL_MESSAGES: &str = "; `kube-state-metrics check FILE` shows more of them";

/// A configuration file, and its content when the exporter read it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigSource {
    pub(crate) path: PathBuf,
    /// The content of the file; `None` if the file is missing.
    pub(crate) content: Option<String>,
}

// === impl CustomResources ===

impl CustomResources {
    /// Reads the options, and the file that the options name.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let path = reader.non_empty(&table::CUSTOM_RESOURCE_STATE_CONFIG_FILE.row);
        let inline = reader.non_empty(&table::CUSTOM_RESOURCE_STATE_CONFIG.row);
        let may_be_missing =
            reader.value(&table::CONTINUE_WITHOUT_CUSTOM_RESOURCE_STATE_CONFIG_FILE);
        let only = reader.value(&table::CUSTOM_RESOURCE_STATE_ONLY);
        if let Some((inline_from, text)) = inline {
            if let Some((path_from, _)) = path {
                reader.warnings.push(format!(
                    "{path_from} has no effect: {inline_from} takes precedence; remove one of the two"
                ));
            }
            return Self {
                config: Configured::parse(reader, inline_from, text.to_owned(), may_be_missing),
                file: None,
                only,
            };
        }
        let source =
            path.map(|(from, path)| ConfigSource::read(reader, &from, path, may_be_missing));
        let text = source.as_ref().and_then(|source| {
            let path = config_file::shown_path(&source.path).into_owned();
            Some((path, source.content.clone()?))
        });
        Self {
            config: text
                .and_then(|(path, text)| Configured::parse(reader, path, text, may_be_missing)),
            file: source,
            only,
        }
    }

    /// The configuration file; `None` if it was missing, or if the options do not name it.
    pub(super) fn file_in_use(&self) -> Option<&Path> {
        let file = self.file.as_ref()?;
        file.content.as_ref().map(|_| file.path.as_path())
    }

    /// The text of the configuration, and the parsed configuration.
    pub(super) fn in_use(&self) -> Option<(&str, &Config)> {
        let configured = self.config.as_ref()?;
        Some((&configured.text, &configured.config))
    }

    /// Warns if the options select no metrics.
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
    /// Parses a configuration and collects its problems and warnings.
    ///
    /// With `may_be_missing`, the exporter may start without a configuration. So it also starts without the families
    /// that have errors. A configuration that replaces another configuration must have no errors.
    fn parse(
        reader: &mut Reader<'_>,
        from: String,
        text: String,
        may_be_missing: bool,
    ) -> Option<Self> {
        let in_use = match reader.phase() {
            Phase::Startup => None,
            Phase::Reload { custom_config, .. } => custom_config,
        };
        let in_use = in_use.filter(|(in_use, _)| *in_use != text);
        let is_accepted = in_use.is_none();
        let config = match may_be_missing && is_accepted {
            true => Config::parse_valid_families(&text),
            false => Config::parse(&text),
        };
        match config {
            Ok(config) => {
                // If a part has lost its value, another program may still be writing the file. A user who wants no
                // metrics writes an empty list.
                if in_use.is_some_and(|(_, in_use)| in_use.parts_without_value().is_empty()) {
                    let missing = config.parts_without_value().iter();
                    let missing = missing.map(|problem| {
                        format!(
                            "{from}: {problem}; the configuration in use has this part. If it should have no metrics, \
                             write an empty list (`resources: []` or `metrics: []`)"
                        )
                    });
                    let missing = first_messages(missing, &from, ALL_MESSAGES);
                    reader.problems.extend(missing);
                }
                let warnings = from_each(&from, config.warnings());
                reader.warnings.extend(warnings);
                Some(Self { from, text, config })
            }
            Err(error) => {
                let problems = from_each(&from, error.problems());
                reader.problems.extend(problems);
                None
            }
        }
    }

    /// The flag or key that sets the configuration, for messages.
    pub(super) fn from(&self) -> &str {
        &self.from
    }
}

/// Returns messages about the first problems of a configuration. `from` is the flag or key that sets it.
pub(super) fn from_each(from: &str, problems: &[ConfigProblem]) -> Vec<String> {
    let count = problems.iter().map(ConfigProblem::count).sum();
    let messages = problems.iter().map(|problem| format!("{from}: {problem}"));
    first_of(messages, count, from, ALL_MESSAGES)
}

impl PartialEq for Configured {
    /// Compares only the texts of the configurations, not the flags or keys that set them.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

// === impl ConfigSource ===

impl ConfigSource {
    fn read(reader: &mut Reader<'_>, from: &str, path: &str, may_be_missing: bool) -> Self {
        let path = PathBuf::from(path);
        let content = match config_file::read_text(&path, file_limits::CUSTOM_RESOURCES) {
            Ok(content) => Some(content),
            Err(error) => {
                let shown = config_file::shown_path(&path);
                if !error.is_not_found() {
                    reader
                        .problems
                        .push(format!("{from}: cannot read {shown}: {error}"));
                } else if may_be_missing && reader.phase().uses_custom_file(&path) {
                    // The file may be missing for a short time while a program writes it.
                    reader.problems.push(format!(
                        "{from}: {shown} does not exist now, and the exporter uses its previous content; restore the \
                         file; to remove its metrics, write `resources: []`, or restart the exporter"
                    ));
                } else if may_be_missing {
                    reader.warnings.push(format!(
                        "{from}: {shown} does not exist; its metrics appear once it exists"
                    ));
                } else {
                    reader.problems.push(format!(
                        "{from}: {shown} does not exist; create it, or give \
                         --continue-without-custom-resource-state-config-file"
                    ));
                }
                None
            }
        };
        Self { path, content }
    }
}
