//! Watches the definitions of custom resources. The definitions determine which configured kinds exist.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

use super::context::WatchContext;
use super::reflector::Reflector;
use super::request::Target;
use super::sink::ListWatchSink;
use crate::custom_resources::{DefinitionChanges, KnownKind};
use crate::decode::{DecodeError, Encoded, Fields, decode};
use crate::registry::StateMetrics;
use crate::resource::{ResourceInfo, Scope};
use crate::self_metrics::DefinitionMetrics;

/// Sets the known kinds of a [`StateMetrics`] from definitions.
pub(super) struct DefinitionSink {
    metrics: StateMetrics,
    definition_metrics: DefinitionMetrics,
    /// The number of definitions, for health.
    count: Arc<AtomicU64>,
    resource: ResourceInfo,
    /// Kinds that exist without a definition.
    built_in: Vec<KnownKind>,
    definitions: BTreeMap<String, Definition>,
    /// The definitions of a list in progress. At the end of the list, the listed definitions replace the previous
    /// definitions.
    listed: Option<BTreeMap<String, Definition>>,
    version: String,
}

/// The version of one definition, and the kinds that it serves.
#[derive(Debug)]
struct Definition {
    version: String,
    kinds: Vec<KnownKind>,
}

/// The fields of a definition that determine its kinds. The schemas, which are the largest part, are skipped.
#[derive(Deserialize, Serialize)]
struct DefinitionFields {
    metadata: Metadata,
    spec: Spec,
    /// Shows whether the API server serves the kinds.
    status: Option<Status>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    resource_version: String,
    /// If there are too many kinds, this time decides which kinds are left out.
    creation_timestamp: Option<String>,
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

#[derive(Deserialize, Serialize)]
struct Status {
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize, Serialize)]
struct Condition {
    #[serde(rename = "type")]
    condition: String,
    status: String,
}

/// The reflector of the definitions.
pub(super) fn reflector(context: &WatchContext) -> Reflector<DefinitionSink> {
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ResourceInfo::dynamic(&ApiResource::from_gvk(&gvk), Scope::Cluster);
    let count = Arc::default();
    let sink = DefinitionSink {
        metrics: context.config.metrics.clone(),
        definition_metrics: context.metrics.definitions().clone(),
        count: Arc::clone(&count),
        resource: resource.clone(),
        built_in: KnownKind::built_in(),
        definitions: BTreeMap::new(),
        listed: None,
        version: String::new(),
    };
    let target = Target::all(resource);
    let feed = context.feed(&target);
    let health = &context.health;
    health.add_counted(&target.resource, count, feed.reporter());
    context.unsharded_reflector(sink, target, feed, &context.metrics)
}

// === impl DefinitionSink ===

impl DefinitionSink {
    fn read(&mut self, object: Encoded<'_>) -> Result<(String, Definition), DecodeError> {
        let fields: DefinitionFields = decode(self.resource.kind(), object, &Fields::All)?;
        let value = serde_json::to_value(&fields).unwrap_or_default();
        self.version.clone_from(&fields.metadata.resource_version);
        let definition = Definition {
            version: fields.metadata.resource_version,
            kinds: KnownKind::of_definition(&value),
        };
        Ok((fields.metadata.name, definition))
    }

    /// Adds or replaces one definition while no list is in progress. If `new` is `None`, removes the definition.
    fn change(&mut self, name: String, new: Option<Definition>) {
        let before = BTreeMap::from_iter(self.definitions.remove_entry(&name));
        let after = BTreeMap::from_iter(new.map(|new| (name, new)));
        let mut changes = DefinitionChanges::between(&before, &after, is_updated);
        // Most updates of a definition change only its status.
        let has_other_kinds = kinds_of(&before) != kinds_of(&after);
        self.definitions.extend(after);
        changes.known = self.definitions.len();
        self.count.store(changes.known as u64, Ordering::Relaxed);
        self.definition_metrics.record(changes);
        if has_other_kinds {
            self.set_known_kinds(kinds_of(&self.definitions));
        }
    }

    fn replace(&mut self, definitions: BTreeMap<String, Definition>) {
        let changes = DefinitionChanges::between(&self.definitions, &definitions, is_updated);
        self.definition_metrics.record(changes);
        self.count.store(changes.known as u64, Ordering::Relaxed);
        let (old, new) = (kinds_of(&self.definitions), kinds_of(&definitions));
        self.definitions = definitions;
        // The first list is applied even if it is empty, so that built-in kinds become known.
        if old != new || old.is_empty() {
            self.set_known_kinds(new);
        }
    }

    fn set_known_kinds(&self, defined: Vec<KnownKind>) {
        let kinds = self.built_in.iter().cloned().chain(defined);
        match self.metrics.custom_resources().set_known_kinds(kinds) {
            Ok(changes) => {
                for resource in changes.added {
                    tracing::info!(resource = resource.label(), "added a configured resource");
                }
                for resource in changes.removed {
                    tracing::info!(resource = resource.label(), "removed a configured resource");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot apply the changed set of custom resources; the previous set stays in use");
            }
        }
    }
}

impl ListWatchSink for DefinitionSink {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        let (name, definition) = self.read(object)?;
        match &mut self.listed {
            Some(listed) => {
                listed.insert(name, definition);
            }
            None => self.change(name, Some(definition)),
        }
        Ok(())
    }

    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        let (name, _) = self.read(object)?;
        match &mut self.listed {
            Some(listed) => {
                listed.remove(&name);
            }
            None => self.change(name, None),
        }
        Ok(())
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
}

fn is_updated(old: &Definition, new: &Definition) -> bool {
    old.version != new.version
}

fn kinds_of(definitions: &BTreeMap<String, Definition>) -> Vec<KnownKind> {
    let kinds = definitions.values().flat_map(|own| own.kinds.iter());
    kinds.cloned().collect()
}
