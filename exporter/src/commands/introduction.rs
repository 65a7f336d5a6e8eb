//! The first lines that the exporter logs: the source of its objects, and the resources that are disabled by default.

use kube_state_metrics::BuiltIn;

use super::output::list;
use crate::options::{MetricsOptions, SourceOptions};
use crate::reload::Configuration;

/// The lines about a configuration: the files that the exporter reads, the source of its objects, and the resources
/// that are disabled by default.
pub(super) fn lines(configuration: &Configuration) -> Vec<String> {
    let mut read: Vec<_> = configuration
        .options_file()
        .map(|path| format!("options file {}", config_file::shown_path(path)))
        .into_iter()
        .collect();
    let options = &configuration.options;
    if let Some(file) = &options.metrics.custom.file {
        read.push(format!(
            "custom resources {}",
            config_file::shown_path(&file.path)
        ));
    }
    read.push(source(&options.source));
    let first = format!("reading {}", read.join(", "));
    [Some(first), off(&options.metrics)]
        .into_iter()
        .flatten()
        .collect()
}

fn source(options: &SourceOptions) -> String {
    if !options.manifests.is_empty() {
        format!("manifests {}", list(&options.manifests))
    } else if !options.kubeconfig.is_empty() {
        format!("kubeconfig {}", list(&options.kubeconfig))
    } else if let Some(url) = &options.apiserver {
        format!("API server {url} without credentials")
    } else {
        "the service account of this pod".to_owned()
    }
}

/// The line about resources that are disabled by default; `None` if an option sets another list of resources.
fn off(options: &MetricsOptions) -> Option<String> {
    let defaults = BuiltIn::defaults().map(|resource| resource.name());
    if !defaults.eq(options.resources.iter().map(String::as_str)) {
        return None;
    }
    let off = BuiltIn::ALL.iter().filter(|own| !own.is_default());
    let off: Vec<_> = off.map(|own| own.name()).collect();
    Some(format!(
        "disabled by default: {}; --resources replaces the default list of resources",
        off.join(", ")
    ))
}
