//! Families that a YAML or JSON configuration declares for custom resources (feature `custom-resources`). The format is
//! that of the Custom Resource State files of kube-state-metrics.
//!
//! [`Config::parse`] reports all errors together. [`Config::collectors`] matches the configuration with the [kinds that
//! exist](KnownKind), and returns one [`CustomResourceCollector`] for each kind that the configuration selects. If a
//! kind has a Rust type, you can also write its families in Rust ([`Family`](crate::Family)). Families in Rust can
//! express more, and need less CPU time. See `docs/reference/custom-resources.md`.
//!
//! ```
//! use kube_state_metrics::custom_resources::{Config, KnownKind};
//! use kube_state_metrics::exposition::{Format, ExpositionFilter};
//! use kube_state_metrics::resource::Scope;
//! use kube_state_metrics::StateMetrics;
//!
//! let config = Config::parse("
//! spec:
//!   resources:
//!   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
//!     metricNamePrefix: acme_widget
//!     labelsFromPath: { name: [metadata, name] }
//!     metrics:
//!     - name: size
//!       help: Size the widget asks for.
//!       each: { type: Gauge, gauge: { path: [spec, size] } }
//! ")?;
//! let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
//! let builder = StateMetrics::builder().custom_resources(&config).known_kinds([widgets]);
//! let metrics = builder.all_fed_by_host().build()?;
//! for mut writer in metrics.feeds() {
//!     writer.apply_json(br#"{ "metadata": { "name": "a" }, "spec": { "size": 3 } }"#)?;
//! }
//! let text = metrics.exposition(Format::Text, ExpositionFilter::default()).to_string();
//! assert!(text.contains("acme_widget_size{") && text.ends_with("name=\"a\"} 3\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod base;
mod collector;
mod compile;
mod config;
mod definition_changes;
mod differences;
mod document;
mod errors;
mod evaluate;
mod expr;
mod kinds;
mod labels;
mod number;
mod path;
mod problem;
mod reads;
mod selector;

pub use crate::dynamic::JsonObject;
pub use collector::CustomResourceCollector;
pub use config::Config;
pub use definition_changes::DefinitionChanges;
pub use errors::FamilyErrors;
pub use kinds::KnownKind;
pub use problem::{ConfigError, ConfigProblem};
pub use selector::KindSelector;

#[cfg(test)]
mod tests;

/// Runs the code blocks of the guide as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/reference/custom-resources.md")]
struct Guide;
