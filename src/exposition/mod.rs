//! The exposition: stored samples as Prometheus text or OpenMetrics.
//!
//! Sources: [Prometheus text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/),
//! [OpenMetrics 1.0](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md).

mod chunks;
mod duplicates;
mod header;
mod plan;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub use chunks::Chunks;
pub(crate) use plan::{ConstantLabels, Plan, PlanFamily, PlanProblem, Slot};

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
}

// === impl Selection ===

impl Selection {
    /// Only these resources, by their names; an empty list selects nothing.
    #[must_use]
    pub fn resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.resources = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Not these resources.
    #[must_use]
    pub fn exclude_resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.excluded = names.into_iter().map(Into::into).collect();
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

    fn has_resource(&self, name: &str) -> bool {
        self.resources
            .as_ref()
            .is_none_or(|names| names.iter().any(|own| own == name))
            && !self.excluded.iter().any(|own| own == name)
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

// === impl Exposition ===

impl Exposition {
    pub(crate) fn new(plan: Arc<Plan>, format: Format, selection: Selection) -> Self {
        let snapshots = plan.slots().iter().map(|slot| slot.snapshot()).collect();
        Self {
            plan,
            snapshots,
            format,
            selection,
        }
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
    /// Appends the lines of one row: prefix and base labels in front of every tail of the cell.
    pub(crate) fn write_row(&self, out: &mut BytesMut, base: &[u8], cell: &[u8]) {
        let mut rest = cell;
        // A raw newline only ever ends a sample: label values escape theirs.
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (tail, after) = rest.split_at(end + 1);
            out.extend_from_slice(&self.0);
            out.extend_from_slice(base);
            out.extend_from_slice(tail);
            rest = after;
        }
    }
}
