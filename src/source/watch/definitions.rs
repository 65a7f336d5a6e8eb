//! Watches the CustomResourceDefinitions (*definitions*), which show which custom resources exist in the cluster. The
//! *known kinds* are the built-in kinds and the kinds of the definitions. From the known kinds, a configuration of
//! custom resources selects the kinds that get stores.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kube::core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::context::WatchContext;
use super::reflector::Reflector;
use super::request::Target;
use super::sink::ListWatchSink;
use crate::custom_resources::{DefinitionChanges, KnownKind};
use crate::decode::{DecodeError, Encoded, Fields, decode};
use crate::registry::StateMetrics;
use crate::resource::{ResourceInfo, Scope};
use crate::self_metrics::DefinitionMetrics;

/// Watches the definitions, and sets the known kinds of a [`StateMetrics`] accordingly.
pub(super) struct DefinitionWatch {
    reflector: Reflector<DefinitionSink>,
    kinds: Arc<DefinedKinds>,
}

/// Receives the definitions that the watch sends.
struct DefinitionSink {
    definition_metrics: DefinitionMetrics,
    /// The number of definitions, which the health reports.
    count: Arc<AtomicU64>,
    resource: ResourceInfo,
    kinds: Arc<DefinedKinds>,
    /// Whether at least one list has been complete.
    has_listed: bool,
    /// The definitions that a list in progress has sent so far. At the end of the list, they replace the previous
    /// definitions.
    listed: Option<BTreeMap<String, Definition>>,
    version: String,
}

/// The current definitions, and the [`StateMetrics`] whose known kinds depend on them.
struct DefinedKinds {
    metrics: StateMetrics,
    /// The built-in kinds, which exist without a definition.
    built_in: Vec<KnownKind>,
    definitions: Mutex<BTreeMap<String, Definition>>,
    /// Is notified when the kinds of the definitions have changed.
    changed: Notify,
    log: Mutex<ChangeLog>,
}

/// Limits the log lines about added and removed resources. A cluster can have thousands of definitions.
#[derive(Debug, Default)]
struct ChangeLog {
    /// When the current period began; `None` before the first change.
    since: Option<Instant>,
    /// The number of changes in the current period.
    changes: usize,
}

/// The number of changes in a period that have log lines of level info. Further changes have lines of level debug.
const MAX_LOGGED: usize = 20;
/// The length of a period.
const PERIOD: Duration = Duration::from_secs(60);

/// The resource version of one definition, and the kinds that it defines.
#[derive(Debug)]
struct Definition {
    version: String,
    kinds: Vec<KnownKind>,
}

/// The fields of a definition that describe its kinds. The schemas, which are the largest fields, are skipped.
#[derive(Deserialize, Serialize)]
struct DefinitionFields {
    metadata: Metadata,
    spec: Spec,
    /// The conditions, which show whether the API server serves the kinds.
    status: Option<Status>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    resource_version: String,
    /// If there are more kinds than the limit allows, the creation times of the definitions decide which kinds are left
    /// out.
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

// === impl DefinitionWatch ===

impl DefinitionWatch {
    pub(super) fn new(context: &WatchContext) -> Self {
        let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let resource = ResourceInfo::dynamic(&ApiResource::from_gvk(&gvk), Scope::Cluster);
        let count = Arc::default();
        let kinds = Arc::new(DefinedKinds {
            metrics: context.config.metrics.clone(),
            built_in: KnownKind::built_in(),
            definitions: Mutex::default(),
            changed: Notify::new(),
            log: Mutex::default(),
        });
        let sink = DefinitionSink {
            definition_metrics: context.metrics.definitions().clone(),
            count: Arc::clone(&count),
            resource: resource.clone(),
            kinds: Arc::clone(&kinds),
            has_listed: false,
            listed: None,
            version: String::new(),
        };
        let target = Target::all(resource);
        let feed = context.feed(&target);
        let health = &context.health;
        health.add_counted(&target.resource, count, feed.reporter());
        Self {
            reflector: context.unsharded_reflector(sink, target, feed, &context.metrics),
            kinds,
        }
    }

    /// Watches until the future is dropped.
    pub(super) async fn run(self) {
        tokio::join!(self.reflector.run(), apply_changes(self.kinds));
    }
}

/// After a call that sets the known kinds, there is a pause before the next call. The pause is as long as the call,
/// multiplied by this number. Each call takes time for all kinds, even if only one has changed. Without the pause, the
/// CPU time for many definitions that arrive one after another would grow with the square of their number.
const PAUSE_FACTOR: u32 = 9;

/// Waits for changes of the definitions, and passes the kinds of the definitions to the registry after each change. If
/// there are several changes during a pause, the registry gets the kinds once.
async fn apply_changes(kinds: Arc<DefinedKinds>) {
    loop {
        kinds.changed.notified().await;
        let start = Instant::now();
        let applied = Arc::clone(&kinds);
        if let Err(error) = spawn_blocking(move || applied.apply()).await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        tokio::time::sleep(start.elapsed() * PAUSE_FACTOR).await;
    }
}

// === impl DefinedKinds ===

impl DefinedKinds {
    /// Sets the known kinds: the built-in kinds, and the kinds of the definitions.
    fn apply(&self) {
        let defined = kinds_of(&self.definitions.lock());
        let kinds = self.built_in.iter().cloned().chain(defined);
        match self.metrics.custom_resources().set_known_kinds(kinds) {
            Ok(changes) => {
                let mut log = self.log.lock();
                for resource in changes.added {
                    log.changed(&resource.label(), "added a configured resource");
                }
                for resource in changes.removed {
                    log.changed(&resource.label(), "removed a configured resource");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot apply the changed set of custom resources; the previous set stays in use");
            }
        }
    }
}

// === impl ChangeLog ===

impl ChangeLog {
    /// Logs that a resource was added or removed.
    fn changed(&mut self, resource: &str, message: &str) {
        if self.since.is_none_or(|since| since.elapsed() >= PERIOD) {
            (self.since, self.changes) = (Some(Instant::now()), 0);
        }
        self.changes += 1;
        if self.changes <= MAX_LOGGED {
            tracing::info!(resource, "{message}");
            return;
        }
        if self.changes == MAX_LOGGED + 1 {
            tracing::info!(
                "more configured resources are added or removed; their log lines have the level debug for {PERIOD:?}"
            );
        }
        tracing::debug!(resource, "{message}");
    }
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

    /// Adds or replaces one definition after an event of the watch. If `new` is `None`, removes the definition.
    fn change(&mut self, name: String, new: Option<Definition>) {
        let mut definitions = self.kinds.definitions.lock();
        let before = BTreeMap::from_iter(definitions.remove_entry(&name));
        let after = BTreeMap::from_iter(new.map(|new| (name, new)));
        let mut changes = DefinitionChanges::between(&before, &after, is_updated);
        // Do nothing if the kinds are the same, because most updates of a definition change only its status.
        let has_other_kinds = kinds_of(&before) != kinds_of(&after);
        definitions.extend(after);
        changes.known = definitions.len();
        drop(definitions);
        self.record(changes);
        if has_other_kinds {
            self.kinds.changed.notify_one();
        }
    }

    fn replace(&mut self, new: BTreeMap<String, Definition>) {
        let mut definitions = self.kinds.definitions.lock();
        let changes = DefinitionChanges::between(&definitions, &new, is_updated);
        let has_other_kinds = kinds_of(&definitions) != kinds_of(&new);
        *definitions = new;
        drop(definitions);
        self.record(changes);
        if !self.has_listed {
            // Set the known kinds at the end of the first list, before the watch reports that it is complete. Even if
            // the list is empty, the built-in kinds must be known.
            self.has_listed = true;
            self.kinds.apply();
        } else if has_other_kinds {
            self.kinds.changed.notify_one();
        }
    }

    fn record(&self, changes: DefinitionChanges) {
        self.count.store(changes.known as u64, Ordering::Relaxed);
        self.definition_metrics.record(changes);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom_resources::Config;

    #[tokio::test(start_paused = true)]
    async fn definitions_that_arrive_one_by_one_are_applied_together() {
        let config = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: '*', kind: '*' }
    metrics:
    - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }";
        let config = Config::parse(config).expect("a valid configuration");
        let metrics = StateMetrics::builder().custom_resources(&config).build();
        let kinds = Arc::new(DefinedKinds {
            metrics: metrics.expect("valid metrics"),
            built_in: Vec::new(),
            definitions: Mutex::default(),
            changed: Notify::new(),
            log: Mutex::default(),
        });
        let mut changes = kinds.metrics.current_plan().changes();
        let known = || kinds.metrics.custom_resources().collectors().len();
        let define = |number: u32| {
            let (kind, plural) = (format!("Kind{number}"), format!("kind{number}s"));
            let kind = KnownKind::new("acme.dev", "v1", kind, plural, Scope::Cluster);
            let definition = Definition {
                version: String::new(),
                kinds: vec![kind],
            };
            let mut definitions = kinds.definitions.lock();
            definitions.insert(number.to_string(), definition);
            kinds.changed.notify_one();
        };
        let applying = tokio::spawn(apply_changes(Arc::clone(&kinds)));
        define(0);
        changes.changed().await.expect("the metrics exist");
        assert_eq!(known(), 1, "the first change is applied at once");

        for number in 1..=100 {
            define(number);
            tokio::task::yield_now().await;
        }
        assert_eq!(known(), 1, "the other changes wait for the pause");
        changes.changed().await.expect("the metrics exist");
        assert_eq!(known(), 101, "all other changes are applied together");
        applying.abort();
    }
}
