//! From an object to cells: every enabled family of a resource, in one reused buffer.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::decode::Fields;
use crate::family::dictionary::DICTIONARY_COLUMNS;
use crate::family::{Allowlisted, Family, MetricType};
use crate::family::{BaseLabel, BaseSource};
use crate::family::{FamilyContext, SampleBuffer, Samples};
use crate::filter::LabelAllowlist;
use crate::k8s::write_label_value;
use crate::resource::{CollectedResource, ResourceInfo};

/// The cells of one object: base labels, families, and the values they share.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// What a store renders for its objects: sets of base labels and the families upon them.
#[derive(Debug)]
pub(crate) struct Schema<K> {
    resource: ResourceInfo,
    bases: Vec<BaseSet<K>>,
    families: Vec<Active<K>>,
    fields: Fields,
}

/// Base labels that one or more families share.
#[derive(Debug)]
struct BaseSet<K> {
    labels: Vec<BaseLabel<K>>,
    /// Their names and those of constant labels.
    reserved_names: Vec<Cow<'static, str>>,
}

/// A family that filters left in.
#[derive(Debug)]
pub(crate) struct Active<K> {
    pub(crate) family: Family<K>,
    /// Its set of base labels.
    pub(crate) base: usize,
    allowlist: Option<Arc<LabelAllowlist>>,
}

// === impl Rendered ===

impl Rendered {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn push(&mut self, cell: &[u8]) {
        self.text.extend_from_slice(cell);
        self.ends.push(self.text.len());
    }

    /// What a code in a cell stands for.
    #[cfg(feature = "testing")]
    pub(crate) fn shared(&self, code: u8) -> &[u8] {
        use crate::family::dictionary::{column_of, value_in};

        let at = self.ends.len().saturating_sub(DICTIONARY_COLUMNS) + column_of(code);
        self.iter().nth(at).map_or(&[], |list| value_in(list, code))
    }

    /// The cells, in the order of a page's columns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.text.get(start..end).unwrap_or(&[]);
            start = end;
            cell
        })
    }
}

// === impl Schema ===

impl<K: CollectedResource> Schema<K> {
    pub(crate) fn new(resource: ResourceInfo) -> Self {
        Self {
            resource,
            bases: Vec::new(),
            families: Vec::new(),
            fields: Fields::union::<[&str; 0]>([]),
        }
    }

    /// Adds families upon base labels; `constants` are the names of constant labels.
    ///
    /// A family of labels or annotations whose allowlist is empty has no sample ever and is left
    /// out here.
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
        self.bases.push(BaseSet {
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
            self.families.push(Active {
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

    /// The fields some active family reads.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn families(&self) -> &[Active<K>] {
        &self.families
    }

    /// How many columns a page has: sets of base labels, families, and the values rows share.
    pub(crate) fn columns(&self) -> usize {
        self.bases.len() + self.families.len() + DICTIONARY_COLUMNS
    }

    /// The column of a family.
    pub(crate) fn column(&self, family: usize) -> usize {
        self.bases.len() + family
    }

    /// The names that stand in front of a family's own labels: constants and base labels.
    pub(crate) fn base_labels(&self, base: usize) -> &[Cow<'static, str>] {
        self.bases
            .get(base)
            .map_or(&[], |base| &base.reserved_names)
    }

    /// Whether a set of base labels is never empty.
    pub(crate) fn has_base_labels(&self, base: usize) -> bool {
        self.bases
            .get(base)
            .is_some_and(|base| !base.labels.is_empty())
    }

    /// Whether two objects always differ in a set of base labels.
    pub(crate) fn base_is_identity(&self, base: usize) -> bool {
        let Some(base) = self.bases.get(base) else {
            return false;
        };
        let has = |wanted: fn(&BaseSource<K>) -> bool| {
            base.labels.iter().any(|label| wanted(&label.source))
        };
        let namespaced = self.resource.scope() == crate::Scope::Namespaced;
        has(|source| matches!(source, BaseSource::Name))
            && (!namespaced || has(|source| matches!(source, BaseSource::Namespace)))
    }

    /// Renders all cells of an object; `lines` tells afterwards what had to be left out.
    ///
    /// A generator that panics loses its samples of this object, and a base label its value:
    /// nobody else's samples, and the feed goes on.
    pub(crate) fn render(&self, object: &K, lines: &mut SampleBuffer, cells: &mut Rendered) {
        cells.clear();
        lines.clear();
        for base in &self.bases {
            for (at, label) in base.labels.iter().enumerate() {
                if at > 0 {
                    cells.text.push(b',');
                }
                cells.text.extend_from_slice(label.name.as_bytes());
                cells.text.extend_from_slice(b"=\"");
                match catch_unwind(AssertUnwindSafe(|| label.source.value(object))) {
                    Ok(value) => write_label_value(&mut cells.text, &value),
                    Err(_) => lines.discard_after_panic(0),
                }
                cells.text.push(b'"');
            }
            cells.ends.push(cells.text.len());
        }
        let start = cells.text.len();
        for active in &self.families {
            let context = FamilyContext {
                reserved_names: self.base_labels(active.base),
                counter: active.family.descriptor().metric_type() == MetricType::Counter,
                allowlist: active.allowlist.as_deref(),
            };
            let own = lines.text().len();
            let mut samples = Samples::new(lines, context);
            let generator = active.family.generator();
            let generated = catch_unwind(AssertUnwindSafe(|| {
                generator.generate(object, &mut samples)
            }));
            if generated.is_err() {
                lines.discard_after_panic(own);
            }
            cells.ends.push(start + lines.text().len());
        }
        cells.text.extend_from_slice(lines.text());
        lines.dictionary().lists().for_each(|list| cells.push(list));
    }
}

/// The keys that label and annotation families of one resource show.
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
