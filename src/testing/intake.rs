//! [`Intake`]: feeds the objects of a test into the stores.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::registry::StateMetrics;
use crate::resource::CollectedResource;
use crate::store::MetricsStore;

/// Feeds the objects of a fixture into the stores, and counts the objects that no collector reads.
///
/// A *fixture* is the objects of a test. A fixture may have objects of kinds that the test does not need. These objects
/// are skipped. If all objects are skipped, the fixture is wrong for the test.
#[derive(Debug)]
pub struct Intake<'m> {
    metrics: &'m StateMetrics,
    /// The paths of fields that are removed from JSON objects.
    hidden: &'m [&'static [&'static str]],
    fed: usize,
    /// The skipped objects by their `apiVersion` and `kind`.
    skipped: BTreeMap<String, usize>,
}

// === impl Intake ===

impl<'m> Intake<'m> {
    pub(super) fn new(metrics: &'m StateMetrics, hidden: &'m [&'static [&'static str]]) -> Self {
        Self {
            metrics,
            hidden,
            fed: 0,
            skipped: BTreeMap::new(),
        }
    }

    /// The kinds of the skipped objects.
    ///
    /// # Errors
    ///
    /// Returns an error if all objects were skipped.
    pub(super) fn finish(self) -> Result<Vec<String>, String> {
        let count = |(kind, count): (String, usize)| match count {
            1 => kind,
            count => format!("{kind} ({count} objects)"),
        };
        let skipped: Vec<_> = self.skipped.into_iter().map(count).collect();
        if self.fed > 0 || skipped.is_empty() {
            return Ok(skipped);
        }
        let stores = self.metrics.stores();
        let registered = stores.iter().map(|store| {
            let resource = store.resource();
            format!("{} {}", resource.api_version(), resource.kind())
        });
        Err(format!(
            "no collector of {} is registered; registered collectors: {}",
            skipped.join(", "),
            registered.collect::<Vec<_>>().join(", "),
        ))
    }

    /// Feeds a typed object.
    pub(super) fn add<K: CollectedResource>(&mut self, object: &K) -> Result<(), String> {
        self.store::<K>()?.writer().apply_object(object);
        self.fed += 1;
        Ok(())
    }

    /// Feeds an object to the collector of a test that has a single collector. Skips the object if its kind is not the
    /// kind of the collector. An object without a kind is assumed to have the kind of the collector.
    pub(super) fn add_json<K: CollectedResource>(&mut self, object: &Value) -> Result<(), String> {
        let store = self.store::<K>()?;
        let is_other = |field: &str, wanted: &str| {
            let stated = object.get(field).and_then(Value::as_str);
            stated.is_some_and(|stated| stated != wanted)
        };
        let resource = store.resource();
        if is_other("apiVersion", &resource.api_version()) || is_other("kind", resource.kind()) {
            self.skip(object);
            return Ok(());
        }
        let mut object = object.clone();
        for path in self.hidden {
            remove(&mut object, path);
        }
        let applied = store.writer().apply_json(object.to_string().as_bytes());
        applied.map_err(|error| error.to_string())?;
        self.fed += 1;
        Ok(())
    }

    /// Feeds an object to the collectors of its kind. Skips the object if no collector reads its kind.
    pub(super) fn add_any(&mut self, object: &Value) -> Result<(), String> {
        let field = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if api_version.is_empty() || kind.is_empty() {
            return Err(String::from(
                "an object has no `apiVersion` or no `kind`, so its resource is unknown",
            ));
        }
        let plan = self.metrics.plan();
        let stores = plan.feeders().filter(|store| {
            let resource = store.resource();
            resource.kind() == kind && resource.api_version() == api_version
        });
        let mut writers: Vec<_> = stores.map(|store| store.object_writer()).collect();
        if writers.is_empty() {
            self.skip(object);
            return Ok(());
        }
        for writer in &mut writers {
            let applied = writer.apply_json(object.to_string().as_bytes());
            applied.map_err(|error| error.to_string())?;
        }
        self.fed += 1;
        Ok(())
    }

    /// The store of a type. In a program, the sources of the crate feed some stores. A test may feed every store
    /// itself.
    fn store<K: CollectedResource>(&self) -> Result<MetricsStore<K>, String> {
        let store = self.metrics.store_of_type::<K>();
        store.map_err(|error| error.to_string())
    }

    fn skip(&mut self, object: &Value) {
        let field = |name| {
            object
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("unknown")
        };
        let kind = format!("{} {}", field("apiVersion"), field("kind"));
        *self.skipped.entry(kind).or_default() += 1;
    }
}

/// Removes the field at a path.
fn remove(object: &mut Value, path: &[&str]) {
    let Some((name, parents)) = path.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .try_fold(object, |object, name| object.get_mut(name));
    if let Some(Value::Object(fields)) = parent {
        fields.remove(*name);
    }
}
