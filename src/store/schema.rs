//! [`Schema`]: the base labels and families of a store, which render an object to cells.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::row_cells::RowCells;
use crate::decode::Fields;
#[cfg(feature = "protobuf")]
use crate::decode::{DecodeError, Encoded, Encoding};
use crate::family::referenced_labels::DICTIONARY_COLUMNS;
use crate::family::{
    Allowlisted, BaseLabel, BaseSource, Family, SampleBuffer, SamplePolicy, Samples, work,
};
use crate::filter::LabelAllowlist;
use crate::k8s::write_label_value;
use crate::limits::Limits;
use crate::resource::{CollectedResource, ResourceInfo, Scope};

/// The base labels and families of a store.
#[derive(Debug)]
pub(crate) struct Schema<K> {
    resource: ResourceInfo,
    bases: Vec<BaseLabels<K>>,
    families: Vec<ActiveFamily<K>>,
    fields: Fields,
    limits: Limits,
    /// The fields of the kind in protobuf.
    #[cfg(feature = "protobuf")]
    message: Option<&'static kube_protobuf::Message>,
}

/// Base labels that one or more families share.
#[derive(Debug)]
struct BaseLabels<K> {
    labels: Vec<BaseLabel<K>>,
    /// The names of constant labels, then those of the base labels.
    reserved_names: Vec<Cow<'static, str>>,
}

/// A family that the filters include.
#[derive(Debug)]
pub(crate) struct ActiveFamily<K> {
    pub(crate) family: Family<K>,
    /// The position of the family's base labels in `Schema::bases`.
    pub(crate) base: usize,
    allowlist: Option<Arc<LabelAllowlist>>,
}

// === impl Schema ===

impl<K: CollectedResource> Schema<K> {
    pub(crate) fn new(resource: ResourceInfo) -> Self {
        Self {
            #[cfg(feature = "protobuf")]
            message: kube_protobuf::message_of(&resource.api_version(), resource.kind()),
            resource,
            bases: Vec::new(),
            families: Vec::new(),
            fields: Fields::union::<[&str; 0]>([]),
            limits: Limits::default(),
        }
    }

    /// Sets the limits for the output of the families.
    pub(crate) fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The fields of the kind in protobuf; `None` if the kind has no protobuf encoding.
    #[cfg(feature = "protobuf")]
    pub(crate) fn message(&self) -> Option<&'static kube_protobuf::Message> {
        self.message
    }

    /// Whether a message has all fields that the families read.
    ///
    /// Returns false if a family of a configuration reads a part of the object as a whole, because that part may
    /// contain newer fields.
    #[cfg(feature = "protobuf")]
    pub(crate) fn is_in(&self, message: &'static kube_protobuf::Message) -> bool {
        if self.resource.is_configured() {
            self.fields.are_values_of(message)
        } else {
            self.fields.are_in(message)
        }
    }

    /// Returns an object in protobuf, for decoding.
    #[cfg(feature = "protobuf")]
    pub(crate) fn protobuf<'a>(&self, object: &'a [u8]) -> Result<Encoded<'a>, DecodeError> {
        match self.message {
            Some(message) => Ok(Encoding::Protobuf(message).object(object)),
            None => Err(DecodeError::no_protobuf(self.resource.kind())),
        }
    }

    /// Adds families with their base labels. `constants` contains the names of constant labels.
    ///
    /// A family of labels or annotations with an empty allowlist never has samples, so the family is not added.
    pub(crate) fn add(
        &mut self,
        labels: Vec<BaseLabel<K>>,
        constants: &[Cow<'static, str>],
        families: impl IntoIterator<Item = Family<K>>,
        allowlists: &Allowlists,
    ) {
        let base = self.bases.len();
        let names = labels.iter().map(|label| &label.name);
        let reserved_names = constants.iter().chain(names).cloned().collect();
        self.bases.push(BaseLabels {
            labels,
            reserved_names,
        });
        for family in families {
            let allowlist = match family.descriptor().allowlisted() {
                None => None,
                Some(Allowlisted::Labels) => Some(Arc::clone(&allowlists.labels)),
                Some(Allowlisted::Annotations) => Some(Arc::clone(&allowlists.annotations)),
            };
            if allowlist.as_ref().is_some_and(|list| list.is_empty()) {
                continue;
            }
            self.families.push(ActiveFamily {
                family,
                base,
                allowlist,
            });
        }
        let computed = (self.bases.iter().flat_map(|base| &base.labels)).filter_map(|label| {
            match &label.source {
                BaseSource::Computed { reads, .. } => Some(reads.map(|path| vec![path])),
                _ => None,
            }
        });
        let read = (self.families.iter())
            .map(|active| active.family.descriptor().reads().map(Iterator::collect));
        self.fields = Fields::union(computed.chain(read));
    }

    pub(crate) fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    /// The fields that any enabled family or base label reads.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn families(&self) -> &[ActiveFamily<K>] {
        &self.families
    }

    /// The number of columns of a page: base labels, families, and the dictionary.
    pub(crate) fn columns(&self) -> usize {
        self.bases.len() + self.families.len() + DICTIONARY_COLUMNS
    }

    /// The index of the column of a family.
    pub(crate) fn column(&self, family: usize) -> usize {
        self.bases.len() + family
    }

    /// The names before a family's labels: constant labels and base labels.
    pub(crate) fn base_labels(&self, base: usize) -> &[Cow<'static, str>] {
        self.bases
            .get(base)
            .map_or(&[], |base| &base.reserved_names)
    }

    /// Whether a family's samples have base labels.
    pub(crate) fn has_base_labels(&self, base: usize) -> bool {
        self.bases
            .get(base)
            .is_some_and(|base| !base.labels.is_empty())
    }

    /// Whether the base labels are different for all objects.
    pub(crate) fn base_is_identity(&self, base: usize) -> bool {
        let Some(base) = self.bases.get(base) else {
            return false;
        };
        let has = |wanted: fn(&BaseSource<K>) -> bool| {
            base.labels.iter().any(|label| wanted(&label.source))
        };
        let namespaced = self.resource.scope() == Scope::Namespaced;
        has(|source| matches!(source, BaseSource::Name))
            && (!namespaced || has(|source| matches!(source, BaseSource::Namespace)))
    }

    /// Renders all cells of an object. The buffer counts the samples that the policy drops.
    ///
    /// If a generator panics, the object has no samples of that family. If a base label panics, the label is empty.
    /// Other samples are not affected. If the object needs more work than the limit of the thread allows, the cells are
    /// incomplete (see `work::is_interrupted`).
    pub(crate) fn render(&self, object: &K, buffer: &mut SampleBuffer, cells: &mut RowCells) {
        cells.clear();
        buffer.clear();
        for base in &self.bases {
            for (at, label) in base.labels.iter().enumerate() {
                if at > 0 {
                    cells.text.push(b',');
                }
                cells.text.extend_from_slice(label.name.as_bytes());
                cells.text.extend_from_slice(b"=\"");
                match catch_unwind(AssertUnwindSafe(|| label.source.value(object))) {
                    Ok(value) => write_label_value(&mut cells.text, &value),
                    Err(_) => buffer.discard_after_panic(0),
                }
                cells.text.push(b'"');
            }
            cells.ends.push(cells.text.len());
        }
        let start = cells.text.len();
        for active in &self.families {
            let policy = SamplePolicy::new(
                active.family.descriptor().metric_type(),
                self.base_labels(active.base),
                active.allowlist.as_deref(),
                self.limits,
                cells.len_of(active.base),
            );
            let policy = policy.within_work(work::left());
            let start_of_family = buffer.text().len();
            let mut samples = Samples::new(buffer, policy);
            let generator = active.family.generator();
            let generated = catch_unwind(AssertUnwindSafe(|| {
                generator.generate(object, &mut samples)
            }));
            if generated.is_err() {
                buffer.discard_after_panic(start_of_family);
            }
            work::spend(buffer.work_of_family());
            if work::is_interrupted() {
                return;
            }
            cells.ends.push(start + buffer.text().len());
        }
        cells.text.extend_from_slice(buffer.text());
        buffer
            .dictionary()
            .lists()
            .for_each(|list| cells.push(list));
    }
}

/// The keys that the label and annotation families of one resource export.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowlists {
    pub(crate) labels: Arc<LabelAllowlist>,
    pub(crate) annotations: Arc<LabelAllowlist>,
}

// === impl BaseSource ===

impl<K: CollectedResource> BaseSource<K> {
    fn value<'o>(&self, object: &'o K) -> Cow<'o, str> {
        let meta = object.meta();
        let field = match self {
            Self::Namespace => &meta.namespace,
            Self::Name => &meta.name,
            Self::Uid => &meta.uid,
            Self::Computed { value, .. } => return value(object),
        };
        Cow::Borrowed(field.as_deref().unwrap_or_default())
    }
}
