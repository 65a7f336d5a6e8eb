//! Writers: how one feeder's objects get into a store.

use std::fmt;

use super::MetricsStore;
use super::linked::Companion;
use super::page::Identity;
use super::schema::Rendered;
use crate::decode::{self, DecodeError, Peeked};
use crate::family::SampleBuffer;
use crate::k8s::resource_version;
use crate::resource::{CollectedResource, Scope};

/// Feeds the objects of one source into a [`MetricsStore`].
///
/// Each source (a watch, a namespace's watch, a directory of manifests) holds a writer of its own,
/// and a list replaces only what that writer fed. Rows stay when a writer is dropped; a list that
/// was begun is then abandoned. [`close`](Self::close) takes the rows along.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{CacheStore, Collector, Family, MetricsStore};
/// use serde_json::json;
///
/// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
/// let store = MetricsStore::new(Collector::<Pod>::new().family(seen));
/// let pod = |name| serde_json::from_value::<Pod>(json!({ "metadata": { "name": name } }));
///
/// let mut writer = store.writer();
/// writer.apply_object(&pod("a")?);
/// writer.begin_list();
/// writer.apply_object(&pod("b")?);
/// assert_eq!(store.list_keys(), ["a"]); // readers see the old state until the list is complete
/// writer.end_list();
/// assert_eq!(store.list_keys(), ["b"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Objects come as types or as JSON:
///
/// ```
/// use kube_state_metrics::{MetricsStore, families};
///
/// let store = MetricsStore::new(families::nodes());
/// let mut writer = store.writer();
/// let node = br#"{ "metadata": { "name": "a", "resourceVersion": "7" } }"#;
/// writer.apply_json(node)?;
/// assert_eq!(writer.last_version(), "7");
/// writer.delete_json(node)?;
///
/// let node = serde_json::from_slice(node)?;
/// writer.apply_object(&node);
/// writer.delete_object(&node);
/// writer.apply_object(&node);
/// writer.delete_key("", "a");
/// writer.begin_list();
/// writer.apply_object(&node);
/// writer.abandon_list();
/// assert_eq!(writer.store().stats().objects, 0);
/// writer.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<K: CollectedResource> {
    store: MetricsStore<K>,
    feed: Feed,
    companion: Companion,
}

/// A feeder's number, and memory it reuses.
#[derive(Default)]
pub(super) struct Feed {
    id: usize,
    lines: SampleBuffer,
    cells: Rendered,
    key: String,
    /// `metadata.resourceVersion` of the object fed last.
    version: String,
}

// === impl Writer ===

impl<K: CollectedResource> Writer<K> {
    /// A writer with rows of its own; where it `joins`, its JSON feeds the companion as well.
    pub(super) fn new(store: MetricsStore<K>, joins: bool) -> Self {
        let feed = Feed::new(store.open_part());
        let companion = Companion::new(&store, joins);
        Self {
            store,
            feed,
            companion,
        }
    }

    /// The store the writer feeds.
    #[must_use]
    pub fn store(&self) -> &MetricsStore<K> {
        &self.store
    }

    /// Adds an object or replaces its samples.
    ///
    /// Outside a list, an object with the uid of the stored one and a lower `resourceVersion` is
    /// ignored. Another uid under the same namespace and name replaces what is stored. An object
    /// outside the namespaces or the shard of the store is not taken.
    pub fn apply_object(&mut self, object: &K) {
        self.feed.apply(&self.store, object);
    }

    /// Removes an object.
    ///
    /// It is ignored where the store holds another uid, or a higher `resourceVersion`, under the
    /// object's namespace and name.
    pub fn delete_object(&mut self, object: &K) {
        self.feed.delete(&self.store, object);
    }

    /// Removes whatever is stored as `namespace/name`; cluster-scoped kinds have no namespace.
    pub fn delete_key(&mut self, namespace: &str, name: &str) {
        self.feed.delete_key(&self.store, namespace, name);
        self.companion.delete_key(namespace, name);
    }

    /// Decodes an object from JSON, skipping what no family reads, and applies it.
    ///
    /// # Errors
    ///
    /// An object that does not decode loses the samples it had, is counted, and is named in the
    /// error; the message never holds a value of the object.
    pub fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        if let Some(foreign) = self.foreign(json) {
            // What is stored under its name is of another object, or was ours before.
            self.delete_key(&foreign.namespace, &foreign.name);
            self.feed.version = foreign.resource_version;
            return Ok(());
        }
        let decoded = self.companion.apply(&self.store, json);
        let object = self.decoded(decoded)?;
        self.apply_object(&object);
        Ok(())
    }

    /// Decodes an object from JSON and removes it.
    ///
    /// # Errors
    ///
    /// As for [`apply_json`](Self::apply_json); whatever is stored under its name is removed then.
    pub fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        if let Some(foreign) = self.foreign(json) {
            self.feed.version = foreign.resource_version;
            return Ok(());
        }
        let decoded = self.companion.delete(&self.store, json);
        let object = self.decoded(decoded)?;
        self.delete_object(&object);
        Ok(())
    }

    /// Begins a complete list of this writer's objects.
    ///
    /// Until [`end_list`](Self::end_list), readers see what was there before. A list that was
    /// begun already starts over.
    pub fn begin_list(&mut self) {
        self.store.begin_list(self.feed.id);
        self.companion.begin_list(&self.store);
    }

    /// Ends a list: what it did not name is removed, and readers see the result, all at once.
    pub fn end_list(&mut self) {
        self.store.end_list(self.feed.id);
        self.companion.end_list();
    }

    /// Gives a list up: all it did is undone.
    pub fn abandon_list(&mut self) {
        self.store.abandon_list(self.feed.id);
        self.companion.abandon_list();
    }

    /// `metadata.resourceVersion` of the object fed last, empty where it had none.
    #[must_use]
    pub fn last_version(&self) -> &str {
        &self.feed.version
    }

    /// Removes all rows of this writer and the writer.
    pub fn close(mut self) {
        self.store.close_part(self.feed.id);
        self.companion.close();
    }

    /// Whether there are families that only a list fills: a configuration has brought them since
    /// the last one.
    pub(crate) fn wants_list(&self) -> bool {
        self.companion.is_awaited(&self.store)
    }

    /// Who the object is, where it belongs to another shard: most do, and decoding them is in vain.
    fn foreign(&self, json: &[u8]) -> Option<Peeked> {
        let filter = self.store.filter();
        if filter.shard.total() == 1 {
            return None;
        }
        decode::peek(json).filter(|object| !filter.takes(&object.namespace, &object.uid))
    }

    /// Notes an object that does not decode.
    fn decoded(&mut self, decoded: Result<K, DecodeError>) -> Result<K, DecodeError> {
        decoded.inspect_err(|error| {
            self.store.count_decode_error(error.reason());
            if let Some((namespace, name)) = error.identity() {
                self.feed.delete_key(&self.store, namespace, name);
            }
        })
    }
}

impl<K: CollectedResource> Drop for Writer<K> {
    fn drop(&mut self) {
        self.store.abandon_list(self.feed.id);
    }
}

impl<K: CollectedResource> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("resource", self.store.resource())
            .field("id", &self.feed.id)
            .finish_non_exhaustive()
    }
}

// === impl Feed ===

impl Feed {
    pub(super) fn new(id: usize) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    pub(super) fn id(&self) -> usize {
        self.id
    }

    pub(super) fn apply<K: CollectedResource>(&mut self, store: &MetricsStore<K>, object: &K) {
        let (uid, version) = self.identify(store, object);
        let identity = Identity {
            key: &self.key,
            uid,
            version,
        };
        let namespace = namespace_of(store, object.meta().namespace.as_deref());
        let filter = store.filter();
        if !filter.takes(namespace, uid) {
            // It may have been ours before it moved out of scope.
            store.delete_row(
                self.id,
                Identity {
                    uid: "",
                    ..identity
                },
            );
            return;
        }
        store
            .schema()
            .render(object, &mut self.lines, &mut self.cells);
        store.count_left_out(&self.lines);
        store.apply_row(self.id, &filter, identity, &self.cells);
    }

    pub(super) fn delete<K: CollectedResource>(&mut self, store: &MetricsStore<K>, object: &K) {
        let (uid, version) = self.identify(store, object);
        let identity = Identity {
            key: &self.key,
            uid,
            version,
        };
        store.delete_row(self.id, identity);
    }

    fn delete_key<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        namespace: &str,
        name: &str,
    ) {
        self.set_key(namespace_of(store, Some(namespace)), name);
        let identity = Identity {
            key: &self.key,
            uid: "",
            version: 0,
        };
        store.delete_row(self.id, identity);
    }

    fn identify<'o, K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        object: &'o K,
    ) -> (&'o str, u64) {
        let meta = object.meta();
        self.set_key(
            namespace_of(store, meta.namespace.as_deref()),
            meta.name.as_deref().unwrap_or_default(),
        );
        self.version.clear();
        let version_text = meta.resource_version.as_deref().unwrap_or_default();
        self.version.push_str(version_text);
        let version = meta
            .resource_version
            .as_deref()
            .and_then(resource_version::as_u64);
        (
            meta.uid.as_deref().unwrap_or_default(),
            version.unwrap_or(0),
        )
    }

    fn set_key(&mut self, namespace: &str, name: &str) {
        self.key.clear();
        if !namespace.is_empty() {
            self.key.push_str(namespace);
            self.key.push('/');
        }
        self.key.push_str(name);
    }
}

/// The namespace of an object; one of a cluster-scoped kind has none, whatever it says itself.
fn namespace_of<'o, K: CollectedResource>(
    store: &MetricsStore<K>,
    own: Option<&'o str>,
) -> &'o str {
    match store.resource().scope() {
        Scope::Namespaced => own.unwrap_or_default(),
        Scope::Cluster => "",
    }
}
