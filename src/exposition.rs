//! The exposition: stored samples as Prometheus text or OpenMetrics.
//!
//! Sources: [Prometheus text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/),
//! [OpenMetrics 1.0](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).

mod chunks;
mod cursor;
mod duplicates;
#[cfg(feature = "gzip")]
mod gzip;
mod header;
mod plan;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

pub use chunks::Chunks;
#[cfg(feature = "gzip")]
pub(crate) use gzip::GzipCache;
#[cfg(feature = "gzip")]
use gzip::GzipChunks;
pub(crate) use plan::{ConstantLabels, Plan, PlanFamily, PlanProblem};

use crate::resource::ResourceInfo;
use crate::store::StoreSnapshot;

/// A text format of metrics.
///
/// ```
/// use kube_state_metrics::Format;
///
/// assert_eq!(Format::default().content_type(), "text/plain; version=0.0.4; charset=utf-8");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl Format {
    /// The value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
        }
    }
}

/// How the bytes of an exposition are coded.
///
/// Source: [RFC 9110, content codings](https://www.rfc-editor.org/rfc/rfc9110#name-content-codings).
///
/// ```
/// use kube_state_metrics::{Encoding, Format, ExpositionFilter, StateMetrics};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = || metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let plain: Vec<_> = exposition().encoded(Encoding::Identity).collect();
/// assert_eq!(plain.concat(), b"# EOF\n");
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[cfg(feature = "gzip")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// As they are.
    #[default]
    Identity,
    /// As one gzip member.
    Gzip,
}

/// The pieces of an exposition in some [`Encoding`], in order.
///
/// ```
/// use kube_state_metrics::{Encoding, Format, ExpositionFilter, StateMetrics};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = || metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let gzip: Vec<u8> = exposition().encoded(Encoding::Gzip).flatten().collect();
/// assert!(gzip.starts_with(&[0x1f, 0x8b]));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[cfg(feature = "gzip")]
#[derive(Debug)]
pub struct Encoded(EncodedKind);

#[cfg(feature = "gzip")]
#[derive(Debug)]
enum EncodedKind {
    Identity(Box<Chunks>),
    Gzip(Box<GzipChunks>),
}

/// Which part of an exposition is asked for; the default is all of it.
///
/// ```
/// use kube_state_metrics::ExpositionFilter;
///
/// let selection = ExpositionFilter::default().resources(["pods"]).namespaces(["shop"]);
/// assert!(!selection.is_everything());
/// ```
///
/// Or by what is left out, and by family:
///
/// ```
/// use kube_state_metrics::ExpositionFilter;
///
/// let selection = ExpositionFilter::default()
///     .exclude_resources(["secrets"])
///     .families(["kube_pod_info", "kube_node_info"]);
/// assert_ne!(selection, ExpositionFilter::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpositionFilter {
    resources: Option<Vec<String>>,
    excluded: Vec<String>,
    namespaces: Option<Vec<String>>,
    families: Option<Vec<String>>,
}

/// One consistent state of all stores, ready to be written.
///
/// It shares the stores' memory; writers go on while it is read.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_state_metrics::{BuiltIn, Format, ExpositionFilter, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Namespaces]).build()?;
/// let shop = serde_json::from_value(serde_json::json!({ "metadata": { "name": "shop" } }))?;
/// metrics.writer::<Namespace>()?.apply_object(&shop);
///
/// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
/// assert_eq!(exposition.format(), Format::Text);
/// let mut bytes = Vec::new();
/// exposition.clone().write_to(&mut bytes)?;
/// assert_eq!(bytes, exposition.to_string().as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exposition {
    plan: Arc<Plan>,
    snapshots: Vec<StoreSnapshot>,
    format: Format,
    selection: ExpositionFilter,
    #[cfg(feature = "gzip")]
    gzip: Arc<GzipCache>,
}

// === impl ExpositionFilter ===

impl ExpositionFilter {
    /// Only these resources, by their names; an empty list selects nothing.
    ///
    /// A kind from a configuration is named by its plural (`widgets`), with its group
    /// (`widgets.acme.dev`), or as `acme.dev/v1, Resource=widgets`, also where a list separated by
    /// commas has torn that apart.
    #[must_use]
    pub fn resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.resources = Some(rejoined(names));
        self
    }

    /// Not these resources.
    #[must_use]
    pub fn exclude_resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.excluded = rejoined(names);
        self
    }

    /// Only objects of these namespaces; cluster-scoped objects are not selected then.
    #[must_use]
    pub fn namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.namespaces = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only families of these names.
    #[must_use]
    pub fn families(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.families = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    fn has_resource(&self, resource: &ResourceInfo) -> bool {
        let is_it = |name: &String| {
            name == resource.plural()
                || *name == resource.name()
                || resource.is_configured() && *name == resource.to_string()
        };
        self.resources
            .as_ref()
            .is_none_or(|names| names.iter().any(is_it))
            && !self.excluded.iter().any(is_it)
    }

    fn has_family(&self, name: &str) -> bool {
        self.families
            .as_ref()
            .is_none_or(|names| names.iter().any(|own| own == name))
    }

    /// Whether the object with a key is selected.
    fn has_key(&self, key: &str) -> bool {
        let Some(names) = &self.namespaces else {
            return true;
        };
        let namespace = key.split_once('/').map(|(namespace, _)| namespace);
        namespace.is_some_and(|namespace| names.iter().any(|own| own == namespace))
    }
}

/// Names, with `Resource=plural` behind the `group/version` it belongs to.
fn rejoined(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for name in names.into_iter().map(Into::into) {
        match joined.last_mut() {
            Some(last) if last.contains('/') && name.trim_start().starts_with("Resource=") => {
                last.push_str(", ");
                last.push_str(name.trim());
            }
            _ => joined.push(name),
        }
    }
    joined
}

// === impl Exposition ===

impl Exposition {
    pub(crate) fn new(plan: Arc<Plan>, format: Format, selection: ExpositionFilter) -> Self {
        let snapshots = plan.stores().iter().map(|store| store.snapshot()).collect();
        Self {
            plan,
            snapshots,
            format,
            selection,
            #[cfg(feature = "gzip")]
            gzip: Arc::default(),
        }
    }

    /// Takes compressed blocks from `cache`, and leaves new ones there.
    #[cfg(feature = "gzip")]
    pub(crate) fn with_cache(mut self, cache: &Arc<GzipCache>) -> Self {
        self.gzip = Arc::clone(cache);
        self
    }

    /// The bytes in an encoding.
    ///
    /// Compressed blocks are kept between expositions of one [`StateMetrics`](crate::StateMetrics),
    /// so that only what changed since the last one is compressed.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, Encoding, Format, ExpositionFilter, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
    /// let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
    /// let body: Vec<bytes::Bytes> = exposition.encoded(Encoding::Gzip).collect();
    /// assert!(body[0].starts_with(&[0x1f, 0x8b]));
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn encoded(self, encoding: Encoding) -> Encoded {
        Encoded(match encoding {
            Encoding::Identity => EncodedKind::Identity(Box::new(self.chunks())),
            Encoding::Gzip => EncodedKind::Gzip(Box::new(Arc::clone(&self.gzip).scrape(self))),
        })
    }

    /// The format it is written in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The bytes, in pieces of about 64 KiB whose memory is used again once they are dropped.
    ///
    /// ```
    /// use kube_state_metrics::{Format, ExpositionFilter, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// assert_eq!(exposition.chunks().map(|chunk| chunk.len()).sum::<usize>(), 0, "nothing was fed");
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[must_use]
    pub fn chunks(self) -> Chunks {
        Chunks::new(self)
    }

    /// Writes all bytes to `out`.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub fn write_to(self, mut out: impl io::Write) -> io::Result<()> {
        self.chunks()
            .try_for_each(|chunk: Bytes| out.write_all(&chunk))
    }
}

impl std::fmt::Display for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        for chunk in self.clone().chunks() {
            text.extend_from_slice(&chunk);
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(feature = "gzip")]
impl Iterator for Encoded {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            EncodedKind::Identity(chunks) => chunks.next(),
            EncodedKind::Gzip(chunks) => chunks.next(),
        }
    }
}
