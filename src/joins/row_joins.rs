//! [`RowJoins`]: the joined labels of one store. The objects from which labels are joined are called sources.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::join::{Join, JoinedObject, JoinedValue, MetadataMap};
use super::joined_text::{HASHER, JoinedText, JoinedTextBuilder};
use super::kinds::SourceKind;
use super::object::{CONTROLLER, MAX_VALUE, NODE_NAME, ObjectView, has_node};
use super::reference::{FIELD_END, ObjectName, Reference};
use super::row_key::RowKey;
use super::source::Source;
use super::source_table::SourceTable;
use super::sources::JoinSources;
use crate::k8s::write_label_value;
use crate::limits::LimitCounter;
use crate::resource::{CollectedResource, ResourceInfo};

/// The joined labels of the rows of one store.
pub(crate) struct RowJoins {
    sources: Arc<JoinSources>,
    labels: Vec<JoinedLabel>,
    /// The names of the labels, sorted.
    names: Vec<Cow<'static, str>>,
    /// The kind of the objects in the store. `None` if labels cannot be joined from objects of this kind.
    kind: Option<SourceKind>,
    /// The keys of the labels and annotations that are joined from the object of the row itself.
    own: Vec<(MetadataMap, String)>,
    reads_namespace: bool,
    reads_node: bool,
    reads_workload: bool,
    /// Counts the objects that get no joined labels, because these labels would make the text of the object too long.
    over_text_limit: Arc<LimitCounter>,
}

struct JoinedLabel {
    /// The text before the value, such as `,team="`.
    start: Box<[u8]>,
    value: LabelSource,
}

/// Where the value of a joined label is stored. In `Own`, the number is the index of the value in the row. In the other
/// variants, the number is the index of the value in the source.
#[derive(Clone, Copy, Debug)]
enum LabelSource {
    Own(usize),
    Namespace(usize),
    Node(usize),
    NodeName,
    Workload(usize),
    WorkloadName,
    WorkloadKind,
}

/// The sources of the joined labels of a row.
#[derive(Clone, Copy, Default)]
struct Resolved<'a> {
    namespace: Option<&'a Source>,
    node: Option<&'a Source>,
    /// The controller of the row's object, if this controller is a ReplicaSet or a Job.
    intermediate: Option<&'a Source>,
    workload: Option<Reference<'a>>,
    /// The source of the labels of the workload. Usually, this source is the workload. If the crate does not read
    /// objects of the workload's kind, the source is the ReplicaSet or Job that the workload controls.
    top: Option<&'a Source>,
}

/// The values of the sources of a row, and of the row itself. The text of a source is split once for all joined labels,
/// so that the time does not grow with the product of values and labels.
#[derive(Default)]
struct RowValues<'a> {
    own: Vec<&'a [u8]>,
    namespace: SourceValues<'a>,
    node: SourceValues<'a>,
    top: SourceValues<'a>,
}

/// The values of a source. They stay until a row has another source.
#[derive(Default)]
struct SourceValues<'a> {
    /// The id of the source.
    id: Option<u64>,
    values: Vec<&'a [u8]>,
}

/// The length of the quotation mark after a value.
const END_LEN: usize = 1;
/// The approximate length of a value, in bytes.
const VALUE_LEN: usize = 12;

// === impl RowJoins ===

impl RowJoins {
    /// Creates the joined labels of a resource. Returns `None` if the resource has no joined labels.
    pub(crate) fn new(
        resource: &ResourceInfo,
        joins: &[&Join],
        sources: &Arc<JoinSources>,
    ) -> Option<Arc<Self>> {
        if joins.is_empty() {
            return None;
        }
        let mut row_joins = Self {
            sources: Arc::clone(sources),
            labels: Vec::new(),
            names: Vec::new(),
            kind: SourceKind::of(resource),
            own: Vec::new(),
            reads_namespace: false,
            reads_node: false,
            reads_workload: false,
            over_text_limit: Arc::default(),
        };
        let mut names = HashSet::new();
        for join in joins {
            // A configuration can contain the same label twice, for `deployments` and for `deployments.apps`, which are
            // the same resource.
            if names.insert(join.label_name()) {
                row_joins.add(join);
            }
        }
        row_joins.names.sort_unstable();
        Some(Arc::new(row_joins))
    }

    fn add(&mut self, join: &Join) {
        let value = match &join.value {
            JoinedValue::Key { object, map, key } => {
                // `sources` knows the keys of all joined labels, so `position` is never `None`.
                let position = self.sources.wanted.position(*object, *map, key);
                let position = position.unwrap_or(usize::MAX - 1);
                match object {
                    JoinedObject::Itself => {
                        self.own.push((*map, key.clone()));
                        LabelSource::Own(self.own.len() - 1)
                    }
                    JoinedObject::Namespace => LabelSource::Namespace(position),
                    JoinedObject::Node => LabelSource::Node(position),
                    JoinedObject::Workload => LabelSource::Workload(position),
                }
            }
            JoinedValue::NodeName => LabelSource::NodeName,
            JoinedValue::WorkloadName => LabelSource::WorkloadName,
            JoinedValue::WorkloadKind => LabelSource::WorkloadKind,
        };
        match value {
            LabelSource::Own(_) => {}
            LabelSource::Namespace(_) => self.reads_namespace = true,
            LabelSource::Node(_) | LabelSource::NodeName => self.reads_node = true,
            LabelSource::Workload(_) | LabelSource::WorkloadName | LabelSource::WorkloadKind => {
                self.reads_workload = true;
            }
        }
        let name = join.label_name();
        self.labels.push(JoinedLabel {
            start: format!(",{name}=\"").into_bytes().into(),
            value,
        });
        self.names.push(Cow::Owned(name.to_owned()));
    }

    pub(crate) fn sources(&self) -> &Arc<JoinSources> {
        &self.sources
    }

    /// The number of the joined labels.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The names of the joined labels, sorted.
    pub(crate) fn names(&self) -> &[Cow<'static, str>] {
        &self.names
    }

    /// Counts the objects that get no joined labels, because these labels would make the text of the object too long.
    pub(crate) fn over_text_limit(&self) -> &Arc<LimitCounter> {
        &self.over_text_limit
    }

    /// The maximum length of the joined labels of a row, in bytes.
    pub(crate) fn max_len(&self) -> usize {
        let labels = self.labels.iter();
        let lengths = labels.map(|label| label.start.len() + MAX_VALUE + END_LEN);
        lengths.sum()
    }

    /// The approximate length of the joined labels of a row, in bytes.
    pub(crate) fn approximate_len(&self) -> usize {
        let labels = self.labels.iter();
        labels.map(|label| label.start.len() + VALUE_LEN).sum()
    }

    /// The fields of an object that [`write_links`](Self::write_links) reads.
    pub(crate) fn reads<K: CollectedResource>(&self) -> Vec<&'static str> {
        let mut reads: Vec<_> = self.own.iter().map(|(map, _)| map.path()).collect();
        if self.reads_node && has_node::<K>() {
            reads.push(NODE_NAME);
        }
        if self.reads_workload {
            reads.extend(CONTROLLER);
        }
        reads
    }

    /// Appends to `out` the references of an object to its node and its controller, and the values that are joined from
    /// the object itself.
    ///
    /// `max_len` is the maximum length of the joined labels. It is `None` if the joined labels cannot make the text of
    /// the object exceed its limit.
    pub(crate) fn write_links<K: CollectedResource>(
        &self,
        object: &K,
        resource: &ResourceInfo,
        max_len: Option<usize>,
        out: &mut Vec<u8>,
    ) {
        let (start, view) = (out.len(), ObjectView::of(object));
        if self.reads_node {
            let node = match self.kind {
                Some(SourceKind::Node) => Some(view.name()),
                _ => view.node(),
            };
            write_label_value(out, node.unwrap_or_default());
        }
        out.push(FIELD_END);
        if self.reads_workload
            && let Some(controller) = self.workload_of(view, resource)
        {
            controller.write_reference(out);
        }
        for (map, key) in &self.own {
            out.push(FIELD_END);
            write_label_value(out, view.value(*map, key).unwrap_or_default());
        }
        if let Some(max_len) = max_len {
            out.push(FIELD_END);
            out.extend_from_slice(max_len.to_string().as_bytes());
        }
        if out.iter().skip(start).all(|&byte| byte == FIELD_END) {
            // If the object has neither references nor values, store an empty cell, so that all such cells are equal.
            out.truncate(start);
        }
    }

    /// Returns the workload of the object, as far as the object shows it: the controller of the object, or the object
    /// itself. The result can also be a ReplicaSet or Job that the workload controls, because the function reads no
    /// other objects.
    fn workload_of<'a>(
        &self,
        view: ObjectView<'a>,
        resource: &'a ResourceInfo,
    ) -> Option<ObjectName<'a>> {
        let itself = ObjectName {
            group: resource.group(),
            kind: resource.kind(),
            name: view.name(),
        };
        match self.kind.filter(|kind| kind.is_workload()) {
            Some(kind) if kind.is_intermediate() => Some(view.controller().unwrap_or(itself)),
            Some(_) => Some(itself),
            None => view.controller(),
        }
    }

    /// A number that increases when a source changes, if rows of this store can refer to sources of its kind.
    pub(crate) fn generation(&self, table: &SourceTable) -> u64 {
        let kinds = SourceKind::ALL.into_iter();
        let kinds = kinds.filter(|kind| match kind {
            SourceKind::Namespace => self.reads_namespace,
            SourceKind::Node => self.reads_node,
            _ => self.reads_workload,
        });
        kinds.map(|kind| table.generation(kind)).sum()
    }

    /// A hash of the ids of all sources to which the rows refer. When a source changes, its id changes.
    ///
    /// If neither the hash nor the rows have changed, the joined labels have not changed. The hash has 64 bits and a
    /// random key, so two different sets of sources practically never have the same hash.
    pub(crate) fn fingerprint<'a>(
        &self,
        table: &'a SourceTable,
        rows: impl Iterator<Item = RowKey<'a>>,
    ) -> u64 {
        let mut hasher = HASHER.build_hasher();
        let mut key = String::new();
        for row in rows {
            let resolved = self.resolve(table, row, &mut key);
            for source in [
                resolved.namespace,
                resolved.node,
                resolved.intermediate,
                resolved.top,
            ] {
                hasher.write_u64(source.map_or(0, Source::id));
            }
        }
        hasher.finish()
    }

    /// Returns the joined labels of rows. A row gets no joined labels if they would make the text of its object too
    /// long. Such objects are counted.
    pub(crate) fn text<'a>(
        &self,
        table: &'a SourceTable,
        rows: impl Iterator<Item = RowKey<'a>>,
    ) -> JoinedText {
        let mut joined = JoinedTextBuilder::default();
        let (mut key, mut labels) = (String::new(), Vec::new());
        let mut values = RowValues::default();
        for row in rows {
            let resolved = self.resolve(table, row, &mut key);
            values.set(row, self.own.len(), &resolved);
            labels.clear();
            for label in &self.labels {
                let value = label.value.read(row, &resolved, &values);
                if !value.is_empty() {
                    labels.extend_from_slice(&label.start);
                    labels.extend_from_slice(value);
                    labels.push(b'"');
                }
            }
            let max_len = row.max_len(self.own.len());
            if max_len.is_some_and(|max_len| labels.len() > max_len) {
                self.over_text_limit.add(1, row.key);
                labels.clear();
            }
            joined.push(&labels);
        }
        joined.build()
    }

    fn resolve<'a>(
        &self,
        table: &'a SourceTable,
        row: RowKey<'a>,
        key: &mut String,
    ) -> Resolved<'a> {
        let mut resolved = Resolved::default();
        let namespace = row.namespace();
        if self.reads_namespace {
            let name = match self.kind {
                Some(SourceKind::Namespace) => row.key,
                _ => namespace,
            };
            resolved.namespace = table.get(SourceKind::Namespace, name);
        }
        if self.reads_node {
            let node = std::str::from_utf8(row.node()).unwrap_or_default();
            resolved.node = table.get(SourceKind::Node, node);
        }
        let controller = Reference::read(row.controller()).filter(|_| self.reads_workload);
        let Some(controller) = controller else {
            return resolved;
        };
        let find = |reference: Reference<'_>, key: &mut String| match reference {
            Reference::Known { kind, name } => {
                set_key(key, namespace, name);
                table.get(kind, key)
            }
            Reference::Other { .. } => None,
        };
        let found = find(controller, key);
        match controller {
            Reference::Known { kind, .. } if kind.is_intermediate() => {
                // If the ReplicaSet or Job is not known, its controller is not known either.
                let Some(intermediate) = found else {
                    return resolved;
                };
                resolved.intermediate = Some(intermediate);
                let above = intermediate.controller();
                resolved.workload = above.or(Some(controller));
                resolved.top = match above {
                    Some(above @ Reference::Known { .. }) => find(above, key),
                    _ => Some(intermediate),
                };
            }
            _ => {
                resolved.workload = Some(controller);
                resolved.top = found;
            }
        }
        resolved
    }
}

impl fmt::Debug for RowJoins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RowJoins").field(&self.names).finish()
    }
}

// === impl RowValues ===

impl<'a> RowValues<'a> {
    /// Sets the values of a row, of which `own` values come from the row itself.
    fn set(&mut self, row: RowKey<'a>, own: usize, resolved: &Resolved<'a>) {
        self.own.clear();
        self.own.extend(row.own(own));
        self.namespace.set(resolved.namespace);
        self.node.set(resolved.node);
        self.top.set(resolved.top);
    }
}

// === impl SourceValues ===

impl<'a> SourceValues<'a> {
    fn set(&mut self, source: Option<&'a Source>) {
        let id = source.map(Source::id);
        if self.id != id {
            self.id = id;
            self.values.clear();
            self.values
                .extend(source.into_iter().flat_map(Source::values));
        }
    }
}

// === impl LabelSource ===

impl LabelSource {
    /// Returns the escaped value; empty if there is no value.
    fn read<'a>(
        self,
        row: RowKey<'a>,
        resolved: &Resolved<'a>,
        values: &RowValues<'a>,
    ) -> &'a [u8] {
        let at = |values: &[&'a [u8]], position| values.get(position).copied().unwrap_or_default();
        match self {
            Self::Own(position) => at(&values.own, position),
            Self::Namespace(position) => at(&values.namespace.values, position),
            Self::Node(position) => at(&values.node.values, position),
            Self::NodeName => row.node(),
            Self::Workload(position) => at(&values.top.values, position),
            Self::WorkloadName => resolved.workload.map_or(&[], Reference::name),
            Self::WorkloadKind => resolved.workload.map_or(&[], Reference::kind),
        }
    }
}

/// Sets `key` to the key of a namespaced object: `namespace/name`.
fn set_key(key: &mut String, namespace: &str, name: &[u8]) {
    key.clear();
    key.push_str(namespace);
    key.push('/');
    key.push_str(std::str::from_utf8(name).unwrap_or_default());
}
