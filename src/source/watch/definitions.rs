//! Definitions of custom resources: which kinds exist, as they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

use crate::StateMetrics;
use crate::custom_resources::KnownKind;
use crate::decode::{DecodeError, Fields, decode};
use crate::resource::{ResourceInfo, Scope};
use crate::self_metrics::DefinitionMetrics;
use crate::store::{ObjectWriter, Sealed};

/// Tells a [`StateMetrics`] which kinds the definitions it is fed serve.
#[derive(Debug)]
pub(super) struct DefinitionWriter {
    metrics: StateMetrics,
    counts: DefinitionMetrics,
    known: Arc<AtomicU64>,
    resource: ResourceInfo,
    /// Kinds that exist without a definition.
    built_in: Vec<KnownKind>,
    definitions: BTreeMap<String, Definition>,
    /// The names a list in progress has named; what it changes shows at its end.
    listed: Option<BTreeMap<String, Definition>>,
    version: String,
}

/// One definition: its version, and what it serves.
#[derive(Clone, Debug)]
struct Definition {
    version: String,
    kinds: Vec<KnownKind>,
}

/// What matters of a definition; its schemas, which are most of it, are skipped.
#[derive(Deserialize, Serialize)]
struct Read {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    resource_version: String,
}

#[derive(Deserialize, Serialize)]
struct Spec {
    group: String,
    #[serde(default)]
    scope: String,
    names: Names,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Serialize)]
struct Names {
    kind: String,
    plural: String,
}

#[derive(Deserialize, Serialize)]
struct Version {
    name: String,
    served: bool,
}

// === impl DefinitionWriter ===

impl DefinitionWriter {
    pub(super) fn new(metrics: StateMetrics, counts: DefinitionMetrics) -> Self {
        let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        Self {
            metrics,
            counts,
            known: Arc::default(),
            resource: ResourceInfo::dynamic(&ApiResource::from_gvk(&gvk), Scope::Cluster),
            built_in: KnownKind::built_in(),
            definitions: BTreeMap::new(),
            listed: None,
            version: String::new(),
        }
    }

    /// How many definitions are known.
    pub(super) fn known(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.known)
    }

    fn read(&mut self, json: &[u8]) -> Result<(String, Definition), DecodeError> {
        let read: Read = decode(self.resource.kind(), json, &Fields::All)?;
        let value = serde_json::to_value(&read).unwrap_or_default();
        self.version.clone_from(&read.metadata.resource_version);
        let definition = Definition {
            version: read.metadata.resource_version,
            kinds: KnownKind::of_definition(&value),
        };
        Ok((read.metadata.name, definition))
    }

    fn replace(&mut self, definitions: BTreeMap<String, Definition>) {
        for (name, new) in &definitions {
            match self.definitions.get(name) {
                None => self.counts.added.inc(),
                Some(old) if old.version != new.version => self.counts.updated.inc(),
                Some(_) => {}
            }
        }
        let gone = |name: &&String| !definitions.contains_key(*name);
        let gone = self.definitions.keys().filter(gone).count();
        self.counts.deleted.inc_by(gone as u64);
        let kinds = |of: &BTreeMap<_, Definition>| -> Vec<KnownKind> {
            of.values()
                .flat_map(|own| own.kinds.iter().cloned())
                .collect()
        };
        let (old, new) = (kinds(&self.definitions), kinds(&definitions));
        self.definitions = definitions;
        let count = self.definitions.len();
        self.known.store(count as u64, Ordering::Relaxed);
        self.counts
            .known
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        // The first list counts even where it is empty: built-in kinds are known from then on.
        if old == new && !old.is_empty() {
            return;
        }
        let kinds = self.built_in.iter().cloned().chain(new);
        match self.metrics.custom_resources().set_known_kinds(kinds) {
            Ok(changes) => {
                for resource in changes.added {
                    tracing::info!(resource = resource.label(), "a configured kind came");
                }
                for resource in changes.removed {
                    tracing::info!(resource = resource.label(), "a configured kind went");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot serve the kinds that exist now"),
        }
    }
}

impl Sealed for DefinitionWriter {}

impl ObjectWriter for DefinitionWriter {
    fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        let (name, definition) = self.read(json)?;
        if let Some(listed) = &mut self.listed {
            listed.insert(name, definition);
            return Ok(());
        }
        let mut definitions = self.definitions.clone();
        definitions.insert(name, definition);
        self.replace(definitions);
        Ok(())
    }

    fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        let (name, _) = self.read(json)?;
        self.delete_key("", &name);
        Ok(())
    }

    fn delete_key(&mut self, _namespace: &str, name: &str) {
        if let Some(listed) = &mut self.listed {
            listed.remove(name);
        } else if self.definitions.contains_key(name) {
            let mut definitions = self.definitions.clone();
            definitions.remove(name);
            self.replace(definitions);
        }
    }

    fn last_version(&self) -> &str {
        &self.version
    }

    fn begin_list(&mut self) {
        self.listed = Some(BTreeMap::new());
    }

    fn end_list(&mut self) {
        if let Some(listed) = self.listed.take() {
            self.replace(listed);
        }
    }

    fn abandon_list(&mut self) {
        self.listed = None;
    }

    fn close(self: Box<Self>) {}
}
