//! The configuration of custom resource metrics.

use std::path::PathBuf;

use super::reader::Reader;
use crate::cli::ContentFlags;
use crate::config_file::ConfigFile;
use crate::values;

/// Where custom resource metrics are configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CustomResources {
    pub(crate) inline: Option<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) continue_without_file: bool,
    pub(crate) only: bool,
}

// === impl CustomResources ===

impl CustomResources {
    /// Reads it from flags and file.
    pub(super) fn read(reader: &mut Reader<'_>, flags: &ContentFlags, file: &ConfigFile) -> Self {
        if file.custom_resource_file_old.0.is_some() {
            reader.warnings.push(
                "the key `custom_resource_config_file` is old; use `custom_resource_state_config_file`"
                    .into(),
            );
        }
        let config_file = (file.custom_resource_file.0.as_ref())
            .or(file.custom_resource_file_old.0.as_ref())
            .or(flags.custom_resource_state_config_file.as_ref());
        let inline = (file.custom_resource_config.0.as_ref())
            .or(flags.custom_resource_state_config.as_ref());
        if [config_file, inline]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty())
        {
            reader.warnings.push(
                "this version of the exporter does not evaluate the custom resource configuration: \
                 its families are missing; the library's `custom_resource_state` module does"
                    .into(),
            );
        }
        Self {
            inline: inline.filter(|text| !text.is_empty()).cloned(),
            file: config_file
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            continue_without_file: reader.value(
                "--continue-without-custom-resource-state-config-file",
                &flags.continue_without_custom_resource_state_config_file,
                "continue_without_custom_resource_state_config_file",
                &file.continue_without_custom_resource_file,
                values::switch,
                false,
            ),
            only: reader.value(
                "--custom-resource-state-only",
                &flags.custom_resource_state_only,
                "custom_resources_only",
                &file.custom_resources_only,
                values::switch,
                false,
            ),
        }
    }

    /// Notes what the rest of the options makes of it.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.only && self.inline.is_none() && self.file.is_none() {
            reader.warnings.push(
                "--custom-resource-state-only without a configuration of custom resources: there \
                 will be no metrics"
                    .into(),
            );
        }
    }
}
