//! [`Wanted`]: the labels and annotations of each kind of source that the joined labels of all resources need.

use std::collections::HashMap;

use super::join::{Join, JoinedObject, JoinedValue, MetadataMap};
use super::kinds::SourceKind;
use super::object::CONTROLLER;

/// A key of the labels or of the annotations.
pub(super) type WantedKey = (MetadataMap, String);

/// The labels and annotations to read from sources. A source is an object from which labels are joined. It stores the
/// values in the order of these lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    namespace: Vec<WantedKey>,
    node: Vec<WantedKey>,
    workload: Vec<WantedKey>,
    /// The position of each key in the list of its object, by object, map and key.
    positions: HashMap<(JoinedObject, MetadataMap), HashMap<String, usize>>,
    /// Whether a joined label contains the name or the kind of a workload.
    has_workload_facts: bool,
}

// === impl Wanted ===

impl Wanted {
    /// Adds the label, the annotation, the name or the kind that a joined label needs.
    pub(super) fn add(&mut self, join: &Join) {
        match &join.value {
            JoinedValue::Key { object, map, key } => {
                let is_known = self.position(*object, *map, key).is_some();
                if let Some(keys) = self.keys_mut(*object).filter(|_| !is_known) {
                    keys.push((*map, key.clone()));
                    let position = keys.len() - 1;
                    let positions = self.positions.entry((*object, *map)).or_default();
                    positions.insert(key.clone(), position);
                }
            }
            JoinedValue::NodeName => {}
            JoinedValue::WorkloadName | JoinedValue::WorkloadKind => self.has_workload_facts = true,
        }
    }

    /// The index of a label or an annotation in the values that a source stores.
    pub(super) fn position(
        &self,
        object: JoinedObject,
        map: MetadataMap,
        key: &str,
    ) -> Option<usize> {
        self.positions.get(&(object, map))?.get(key).copied()
    }

    /// The labels and annotations to read from objects of this kind.
    pub(super) fn of_kind(&self, kind: SourceKind) -> &[WantedKey] {
        self.keys(match kind {
            SourceKind::Namespace => JoinedObject::Namespace,
            SourceKind::Node => JoinedObject::Node,
            _ => JoinedObject::Workload,
        })
    }

    /// The fields to read from objects of this kind.
    pub(super) fn reads(&self, kind: SourceKind) -> Vec<&'static str> {
        let keys = self.of_kind(kind).iter();
        let mut reads: Vec<_> = keys.map(|(map, _)| map.path()).collect();
        if kind.is_intermediate() {
            reads.extend(CONTROLLER);
        }
        reads
    }

    /// Whether a joined label needs the objects of this kind.
    pub(super) fn needs(&self, kind: SourceKind) -> bool {
        let needs_name = kind.is_intermediate() && self.has_workload_facts;
        needs_name || !self.of_kind(kind).is_empty()
    }

    fn keys(&self, object: JoinedObject) -> &[WantedKey] {
        match object {
            JoinedObject::Itself => &[],
            JoinedObject::Namespace => &self.namespace,
            JoinedObject::Node => &self.node,
            JoinedObject::Workload => &self.workload,
        }
    }

    fn keys_mut(&mut self, object: JoinedObject) -> Option<&mut Vec<WantedKey>> {
        match object {
            JoinedObject::Itself => None,
            JoinedObject::Namespace => Some(&mut self.namespace),
            JoinedObject::Node => Some(&mut self.node),
            JoinedObject::Workload => Some(&mut self.workload),
        }
    }
}
