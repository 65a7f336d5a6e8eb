//! Manifests as a source: reads objects from YAML, JSON and JSON lines instead of a cluster.
//!
//! A file may contain several documents, `List` objects, and the output of `kubectl get -o yaml`.
//! Documents that are invalid or of an unknown kind are skipped and reported with their location.
//!
//! When files are read again, the objects of deleted files, and objects that were deleted from files, are removed. In
//! the following cases, the objects of the previous reading stay, and the report has a problem:
//!
//! * A file has more broken documents than at the previous reading, or cannot be read. Its objects stay until the file
//!   is repaired or deleted. Other files, and the valid documents of the file, are updated.
//! * A file has become empty, or a directory has lost all its files. The next reading removes the objects if the file
//!   or the directory is still empty.
//! * A path of the [`ManifestSource`] does not exist any more. Its objects stay until the path exists again.
//!
//! ```
//! use kube_state_metrics::source::manifests::ManifestSource;
//! use kube_state_metrics::exposition::{Format, ExpositionFilter};
//! use kube_state_metrics::StateMetrics;
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let report = ManifestSource::new(["examples/cluster"]).open(&metrics).reload();
//! assert!(report.problems.is_empty());
//! metrics.exposition(Format::Text, ExpositionFilter::default()).write_to(std::io::sink())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod documents;
mod feed;
#[cfg(feature = "custom-resources")]
mod kinds;
mod loader;
mod paths;
mod progress;
mod read;
mod reading;
mod report;
mod source;
mod stdin;
mod writers;

pub use feed::ManifestFeed;
pub use progress::ReadingProgress;
pub use report::{LoadReport, ManifestProblem, Place};
pub use source::ManifestSource;

#[cfg(test)]
mod tests;
