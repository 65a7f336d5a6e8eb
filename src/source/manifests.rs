//! Manifests as a source: reads objects from files with YAML, JSON or JSON lines instead of a cluster.
//!
//! A file may contain several documents, `List` objects, and the output of `kubectl get -o yaml`. Invalid documents,
//! objects of an unknown kind, and objects without `metadata.name` are skipped. The [`LoadReport`] names their
//! locations.
//!
//! When the files are read again, the feed removes an object if its file was deleted, or no longer contains the object.
//! In the following cases, the objects of the previous reading stay, and the report contains a problem:
//!
//! * A file cannot be read, or seems to be only half written. Its objects stay until the file is repaired or deleted. A
//!   document is *broken* if it is not a Kubernetes object. A file seems to be half written if it has more broken
//!   documents than at the previous reading, or if its last document is broken and it has fewer documents than before.
//!   The feed still updates the objects of other files, and the objects in the valid documents of this file.
//! * A file has become empty, or a directory has lost all its files. If the file or the directory is still empty at the
//!   next reading, that reading removes the objects. With [`ManifestFeed::hold_changes`], the objects stay until the
//!   file or the directory has been empty for the longest time of a change.
//! * A path of the [`ManifestSource`] does not exist any more. The objects of the path stay until the path exists
//!   again.
//! * The target of a symbolic link does not exist. The objects below the link stay until the link is repaired or
//!   deleted.
//! * Files were added, renamed or deleted during the reading. The objects of missing files stay until a reading during
//!   which no paths change, or for three readings.
//! * With [`ManifestFeed::hold_changes`], a program may still be writing a changed file. The objects of the file stay
//!   until the file has not changed for some time.
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

mod changing;
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

pub use feed::{LastReading, ManifestFeed};
pub use progress::ReadingProgress;
pub use report::{LoadReport, ManifestProblem, Place};
pub use source::ManifestSource;

#[cfg(test)]
mod tests;
