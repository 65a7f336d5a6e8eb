//! The exposition: stored samples as Prometheus text or OpenMetrics.
//!
//! Sources: [Prometheus text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/),
//! [OpenMetrics 1.0](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).

mod chunks;
mod duplicates;
#[cfg(feature = "gzip")]
mod gzip;
mod header;
mod live;
mod plan;
mod walk;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub use chunks::Chunks;
#[cfg(feature = "gzip")]
use gzip::GzipCache;
#[cfg(feature = "gzip")]
use gzip::GzipChunks;
pub(crate) use live::Live;
pub(crate) use plan::{ConstantLabels, Plan, PlanFamily, PlanProblem, Slot};

use crate::resource::ResourceInfo;
use crate::shared::MARK;
use crate::store::StoreSnapshot;

/// A text format of metrics.
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
/// use kube_state_metrics::Selection;
///
/// let selection = Selection::default().resources(["pods"]).namespaces(["shop"]);
/// assert!(!selection.is_everything());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    resources: Option<Vec<String>>,
    excluded: Vec<String>,
    namespaces: Option<Vec<String>>,
    families: Option<Vec<String>>,
}

/// One consistent state of all stores, ready to be written.
///
/// It shares the stores' memory; writers go on while it is read.
#[derive(Clone, Debug)]
pub struct Exposition {
    plan: Arc<Plan>,
    snapshots: Vec<StoreSnapshot>,
    format: Format,
    selection: Selection,
    #[cfg(feature = "gzip")]
    gzip: Arc<GzipCache>,
}

// === impl Selection ===

impl Selection {
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
    pub(crate) fn new(plan: Arc<Plan>, format: Format, selection: Selection) -> Self {
        let snapshots = plan.slots().iter().map(|slot| slot.snapshot()).collect();
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
    /// use kube_state_metrics::{BuiltIn, Encoding, Format, Selection, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).build()?;
    /// let exposition = metrics.exposition(Format::OpenMetrics, Selection::default());
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

/// What every line of a family starts with, up to the base labels.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(Box<[u8]>);

/// The prefix of the family `name` with constant labels; `open` where base labels follow.
pub(crate) fn prefix(name: &str, constants: &[(String, String)], open: bool) -> Prefix {
    let mut text = name.as_bytes().to_vec();
    if open || !constants.is_empty() {
        text.push(b'{');
    }
    for (at, (name, value)) in constants.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"=\"");
        crate::value::write_label_value(&mut text, value);
        text.push(b'"');
    }
    if open && !constants.is_empty() {
        text.push(b',');
    }
    Prefix(text.into())
}

impl Prefix {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends the lines of one row: prefix and base labels in front of every tail of the cell.
    ///
    /// `shared` says what a code in the cell stands for.
    pub(crate) fn write_row<'v>(
        &self,
        out: &mut BytesMut,
        base: &[u8],
        cell: &[u8],
        shared: impl Fn(u8) -> &'v [u8],
    ) {
        let (mut rest, mut begun) = (cell, false);
        // A raw newline only ever ends a sample: label values escape theirs.
        while let Some(at) = memchr::memchr2(b'\n', MARK, rest) {
            if !begun {
                out.extend_from_slice(&self.0);
                out.extend_from_slice(base);
            }
            let (text, after) = rest.split_at(at);
            begun = after.first() == Some(&MARK);
            if begun {
                out.extend_from_slice(text);
                out.extend_from_slice(after.get(1).map_or(&[], |&code| shared(code)));
                rest = after.get(2..).unwrap_or_default();
            } else {
                let (tail, after) = rest.split_at(at + 1);
                out.extend_from_slice(tail);
                rest = after;
            }
        }
    }
}
