//! [`CacheStore`]: a store interface with the methods of client-go's `cache.Store`.

use bytes::BytesMut;

use super::{MetricsStore, RowLabels, RowPrefix};
use crate::resource::CollectedResource;

/// A store that a feed updates with the methods of client-go's `cache.Store`.
///
/// The methods have the same names as in client-go's
/// [`cache.Store`](https://pkg.go.dev/k8s.io/client-go/tools/cache#Store). The key of an object is `namespace/name`, or
/// `name` for a cluster-scoped object.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{CacheStore, MetricsStore, families};
/// use serde_json::json;
///
/// let node = |name| serde_json::from_value::<Node>(json!({ "metadata": { "name": name } }));
/// let store = MetricsStore::new(families::nodes());
/// store.add(&node("a")?);
/// store.update(&node("a")?);
/// store.replace([&node("b")?, &node("c")?]);
/// store.delete(&node("c")?);
/// store.resync();
/// assert_eq!(store.list_keys(), ["b"]);
/// assert!(store.get("b").is_some() && store.get("a").is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub trait CacheStore<K> {
    /// The type of the record of an object.
    type Entry;

    /// Adds an object, or replaces the object with the same key.
    fn add(&self, object: &K);

    /// Does the same as [`add`](Self::add).
    fn update(&self, object: &K);

    /// Removes the object with the key of `object`.
    fn delete(&self, object: &K);

    /// Replaces all objects of the store by `objects`. Readers see either all old objects or all new objects.
    fn replace<'a>(&self, objects: impl IntoIterator<Item = &'a K>)
    where
        K: 'a;

    /// The keys of all objects, in ascending order.
    fn list_keys(&self) -> Vec<String>;

    /// The record of the object with this key.
    fn get(&self, key: &str) -> Option<Self::Entry>;

    /// Feeds call this method at each resync interval.
    fn resync(&self);
}

/// The record of an object in a [`MetricsStore`]: its identity and its samples.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_state_metrics::{CacheStore, MetricsStore, families};
/// use serde_json::json;
///
/// let map = json!({
///     "metadata": { "name": "a", "namespace": "b", "uid": "u1", "resourceVersion": "7" }
/// });
/// let store = MetricsStore::new(families::configmaps());
/// store.add(&serde_json::from_value::<ConfigMap>(map)?);
/// let entry = store.get("b/a").expect("it was just added");
/// assert_eq!((entry.uid.as_str(), entry.resource_version), ("u1", Some(7)));
/// assert!(entry.samples.starts_with("kube_configmap_info{namespace=\"b\",configmap=\"a\"} 1\n"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredObject {
    /// The key of the object: `namespace/name`, or `name` for a cluster-scoped object.
    pub key: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`; `None` if this version is 0 or not a decimal integer.
    pub resource_version: Option<u64>,
    /// The sample lines of all families, as in the text format.
    pub samples: String,
}

/// All methods of this trait use the same writer, so `replace` does not affect the rows of other writers.
///
/// The store contains no objects, so `get` returns the identity, the version and the rendered samples of an object.
/// `resync` does nothing, because samples depend only on objects, not on time.
impl<K: CollectedResource> CacheStore<K> for MetricsStore<K> {
    type Entry = StoredObject;

    fn add(&self, object: &K) {
        self.with_cache_feeder(|feeder| self.apply_object(feeder, object));
    }

    fn update(&self, object: &K) {
        self.add(object);
    }

    fn delete(&self, object: &K) {
        self.with_cache_feeder(|feeder| self.delete_object(feeder, object));
    }

    fn replace<'a>(&self, objects: impl IntoIterator<Item = &'a K>)
    where
        K: 'a,
    {
        self.with_cache_feeder(|feeder| {
            self.begin_list(feeder.id);
            for object in objects {
                self.apply_object(feeder, object);
            }
            self.end_list(feeder.id);
        });
    }

    fn list_keys(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let mut keys: Vec<_> = (snapshot.pages())
            .flat_map(|page| (0..page.len()).map(|row| page.key(row).to_owned()))
            .collect();
        keys.sort_unstable();
        keys
    }

    fn get(&self, key: &str) -> Option<StoredObject> {
        let snapshot = self.snapshot();
        let (page, row) = snapshot.find(key)?;
        let joined = (self.schema().joins())
            .map(|joins| joins.text(&joins.sources().table(), page.row_keys().skip(row).take(1)));
        let mut samples = BytesMut::new();
        for (at, active) in self.schema().families().iter().enumerate() {
            let column = page.columns().get(self.schema().column(at))?;
            let base = page.columns().get(active.base)?;
            let has_base_labels = self.schema().has_base_labels(active.base);
            let name = active.family.descriptor().name();
            let labels = RowLabels {
                base: base.cell(row),
                joined: joined.as_ref().map_or(&[], |joined| joined.row(0)),
                own_wins: active.own_wins,
            };
            let shared = |code| page.shared_value(row, code);
            let prefix = RowPrefix::new(name, &[], has_base_labels);
            prefix.write_row(&mut samples, labels, column.cell(row), shared);
        }
        Some(StoredObject {
            key: key.to_owned(),
            uid: page.uid(row).map(ToString::to_string).unwrap_or_default(),
            resource_version: Some(page.version(row)).filter(|&version| version > 0),
            samples: String::from_utf8_lossy(&samples).into_owned(),
        })
    }

    fn resync(&self) {}
}
