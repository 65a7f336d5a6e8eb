//! Tests feeds of manifests: which objects are read from files, which problems are reported, and what a reload changes.

mod changing;
mod documents;
mod feed;
#[cfg(feature = "custom-resources")]
mod kinds;
mod paths;
mod reading;

use std::path::{Path, PathBuf};
#[cfg(feature = "custom-resources")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};

use super::changing::HoldTimes;
use super::reading::{Content, FileSink, FileStates};
use super::*;
use crate::exposition::{ExpositionFilter, Format};
use crate::resource::Scope;
#[cfg(feature = "custom-resources")]
use crate::source::Source;
use crate::source::health::{FeedOrigin, ReadinessPolicy, ResourceState};
use crate::{BuiltIn, Collector, Family, StateMetrics};

/// A directory with files. When the value is dropped, the directory is deleted.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "ksm-manifests-{}-{number}-{name}",
            std::process::id()
        ));
        std::fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        Self(directory)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .allow_metrics(["_info$", "namespace_status_phase"])
        .build()
        .unwrap()
}

/// Returns the samples and the problems of some files. The name of the directory is removed from the problems.
fn load(name: &str, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let directory = Files::new(name, files);
    let metrics = metrics();
    let report = ManifestSource::new([&directory.0]).open(&metrics).reload();
    let prefix = format!("{}/", directory.0.display());
    let problems = report
        .problems
        .iter()
        .map(|problem| problem.to_string().replace(&prefix, ""));
    (samples(&metrics), problems.collect())
}

fn samples(metrics: &StateMetrics) -> Vec<String> {
    let text = metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(String::from)
        .collect()
}

fn info(name: &str) -> String {
    format!("kube_configmap_info{{namespace=\"ns\",configmap=\"{name}\"}} 1")
}

const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good, namespace: ns}\n";

/// Returns the problems of a report. In each text, `dir` replaces the path of the directory.
fn problems(report: &LoadReport, files: &Files) -> Vec<String> {
    let directory = files.0.display().to_string();
    let problems = report.problems.iter().map(ToString::to_string);
    problems.map(|own| own.replace(&directory, "dir")).collect()
}

const HOUR: Duration = Duration::from_secs(3600);
