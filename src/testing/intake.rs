//! [`Intake`]: the objects of a test on their way into the stores.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::registry::StateMetrics;
use crate::resource::CollectedResource;

/// Puts the objects of a fixture into the stores, and counts those that no collector reads.
///
/// A fixture may have objects of more kinds than a test is about, so they are skipped. If nothing is
/// left, the test has the wrong fixture.
#[derive(Debug)]
pub struct Intake<'m> {
    metrics: &'m StateMetrics,
    fed: usize,
    /// The skipped objects by their `apiVersion` and `kind`.
    skipped: BTreeMap<String, usize>,
}

// === impl Intake ===

impl<'m> Intake<'m> {
    pub(super) fn new(metrics: &'m StateMetrics) -> Self {
        Self {
            metrics,
            fed: 0,
            skipped: BTreeMap::new(),
        }
    }

    /// The kinds of the skipped objects.
    ///
    /// # Errors
    ///
    /// If all objects were skipped.
    pub(super) fn finish(self) -> Result<Vec<String>, String> {
        let count = |(kind, count): (String, usize)| match count {
            1 => kind,
            count => format!("{kind} ({count} objects)"),
        };
        let skipped: Vec<_> = self.skipped.into_iter().map(count).collect();
        if self.fed > 0 || skipped.is_empty() {
            return Ok(skipped);
        }
        let resources = self.metrics.resources();
        let registered = resources.map(|own| format!("{} {}", own.api_version(), own.kind()));
        Err(format!(
            "no collector of {} is registered; those registered are of {}",
            skipped.join(", "),
            registered.collect::<Vec<_>>().join(", "),
        ))
    }

    /// Feeds a typed object.
    pub(super) fn add<K: CollectedResource>(&mut self, object: &K) -> Result<(), String> {
        let writer = self.metrics.writer::<K>();
        writer
            .map_err(|error| error.to_string())?
            .apply_object(object);
        self.fed += 1;
        Ok(())
    }

    /// Feeds an object to the only collector there is, or skips one of another kind. An object that
    /// does not state its kind is of the collector's.
    pub(super) fn add_json<K: CollectedResource>(&mut self, object: &Value) -> Result<(), String> {
        let mut writer = self
            .metrics
            .writer::<K>()
            .map_err(|error| error.to_string())?;
        let mut resources = self.metrics.resources();
        let is_other = |field: &str, wanted: &str| {
            let stated = object.get(field).and_then(Value::as_str);
            stated.is_some_and(|stated| stated != wanted)
        };
        let is_other = resources.next().is_some_and(|own| {
            is_other("apiVersion", &own.api_version()) || is_other("kind", own.kind())
        });
        if is_other {
            self.skip(object);
            return Ok(());
        }
        let applied = writer.apply_json(object.to_string().as_bytes());
        applied.map_err(|error| error.to_string())?;
        self.fed += 1;
        Ok(())
    }

    /// Feeds an object to the collectors of its kind, or skips it if there are none.
    pub(super) fn add_any(&mut self, object: &Value) -> Result<(), String> {
        let field = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if api_version.is_empty() || kind.is_empty() {
            return Err(String::from(
                "an object does not state its `apiVersion` and `kind`, which choose its store",
            ));
        }
        let mut resources = self.metrics.resources();
        let resource = resources.find(|own| own.kind() == kind && own.api_version() == api_version);
        let Some(resource) = resource else {
            self.skip(object);
            return Ok(());
        };
        for mut writer in self.metrics.object_writers_of(&resource) {
            let applied = writer.apply(object.to_string().as_bytes());
            applied.map_err(|error| error.to_string())?;
        }
        self.fed += 1;
        Ok(())
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
