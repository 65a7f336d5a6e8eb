//! The store: rendered samples of all objects of a kind, and nothing of the objects themselves.
//!
//! Rows are objects in key order, a *page* is a run of rows, and each family has a *column* in a
//! page. Base labels are kept once per row and names once per family. A column is shared with the
//! snapshots that hold it and cloned when it changes, so a snapshot costs a reference count and a
//! scrape never holds a lock.

mod any;
mod cache;
mod column;
mod linked;
mod object_writer;
mod page;
mod row;
mod sample_line;
mod schema;
mod snapshot;
mod table;
mod uid;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

pub(crate) use any::AnyStore;
pub use cache::{CacheStore, StoredObject};
pub(crate) use column::Column;
pub use object_writer::ObjectWriter;
#[cfg(feature = "watch")]
pub(crate) use object_writer::sealed::Sealed;
pub(crate) use page::Page;
pub(crate) use row::RowPrefix;
pub(crate) use sample_line::SampleLine;
#[cfg(feature = "testing")]
pub(crate) use schema::Rendered;
pub(crate) use schema::{Allowlists, Schema};
pub(crate) use snapshot::StoreSnapshot;
pub use writer::Writer;

use crate::decode::DecodeReason;
use crate::family::Collector;
use crate::family::SampleBuffer;
use crate::resource::{CollectedResource, ResourceInfo};
use crate::scope::ObjectFilter;
use linked::Link;
use page::Identity;
use table::{Applied, Deleted, Table};
use writer::Feed;

/// The rendered samples of all objects of a kind.
///
/// Cloning gives another handle to the same store. Objects come in through [`Writer`]s, one per
/// feeder, or through the [`CacheStore`] methods, which share one.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{CacheStore, Collector, Family, MetricsStore};
/// use serde_json::json;
///
/// let seen = Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1));
/// let store = MetricsStore::new(Collector::<Pod>::new().family(seen));
///
/// let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "a", "namespace": "b" } }))?;
/// store.add(&pod);
/// assert_eq!(store.list_keys(), ["b/a"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct MetricsStore<K> {
    shared: Arc<Shared<K>>,
}

/// Counts of what happened to a store since it was made.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{MetricsStore, families};
/// use serde_json::json;
///
/// let node: Node = serde_json::from_value(json!({ "metadata": { "name": "a" } }))?;
/// let store = MetricsStore::new(families::nodes());
/// assert_eq!(store.resource().plural(), "nodes");
/// let mut writer = store.writer();
/// writer.apply_object(&node);
/// writer.apply_object(&node);
/// let stats = store.stats();
/// assert_eq!((stats.objects, stats.changed, stats.unchanged), (1, 1, 1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Objects stored now.
    pub objects: u64,
    /// Series stored now, over all families.
    pub series: u64,
    /// Memory held by rows and columns now, in bytes.
    pub memory_bytes: u64,
    /// Objects applied that changed at least one sample, or were new.
    pub changed: u64,
    /// Objects applied whose samples were the same as before.
    pub unchanged: u64,
    /// Objects deleted one by one.
    pub deleted: u64,
    /// Applies and deletes ignored because the store had a newer version of the object.
    pub stale: u64,
    /// Lists completed.
    pub relists: u64,
    /// Objects that a list no longer named.
    pub swept: u64,
    /// Samples dropped because their object had an equal series already.
    pub duplicates: u64,
    /// Generators and base labels that panicked, each of which cost one object's samples of one
    /// family, or one label its value.
    pub panics: u64,
    /// Objects that could not be decoded because their bytes were not JSON.
    pub decode_syntax_errors: u64,
    /// Objects that could not be decoded because a field did not fit their kind.
    pub decode_field_errors: u64,
}

/// What all handles to one store share.
struct Shared<K> {
    schema: Schema<K>,
    filter: RwLock<Arc<ObjectFilter>>,
    parts: Mutex<Vec<Part>>,
    direct: Mutex<Option<Feed>>,
    writers: AtomicUsize,
    /// A writer was taken from outside the crate.
    host_fed: AtomicBool,
    /// Where the families of a configuration are.
    companion: Link,
    counts: Counts,
}

/// The rows of one feeder.
///
/// Each feeder has its own, so that a list in progress hides nothing that others feed, and ends
/// or is abandoned without a look at their rows.
struct Part {
    writer: usize,
    /// What readers see.
    front: Arc<Table>,
    /// What a list in progress is making of it.
    working: Option<Arc<Table>>,
}

#[derive(Default)]
struct Counts {
    changed: AtomicU64,
    unchanged: AtomicU64,
    deleted: AtomicU64,
    stale: AtomicU64,
    relists: AtomicU64,
    swept: AtomicU64,
    duplicates: AtomicU64,
    panics: AtomicU64,
    decode_syntax: AtomicU64,
    decode_field: AtomicU64,
}

// === impl MetricsStore ===

impl<K: CollectedResource> MetricsStore<K> {
    /// An empty store for a collector's families, without filters and allowlists.
    ///
    /// Invalid names are sanitised here; a [`StateMetrics`](crate::StateMetrics) refuses them.
    #[must_use]
    pub fn new(collector: Collector<K>) -> Self {
        let (resource, labels, families) = collector.into_parts();
        let mut schema = Schema::new(resource);
        schema.add(labels, &[], families, &Allowlists::default());
        Self::with_schema(schema)
    }

    pub(crate) fn with_schema(schema: Schema<K>) -> Self {
        Self {
            shared: Arc::new(Shared {
                schema,
                filter: RwLock::default(),
                parts: Mutex::default(),
                direct: Mutex::default(),
                writers: AtomicUsize::new(0),
                host_fed: AtomicBool::new(false),
                companion: Link::default(),
                counts: Counts::default(),
            }),
        }
    }

    /// The resource the store holds.
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        self.shared.schema.resource()
    }

    /// A writer for one more feeder, with rows of its own.
    ///
    /// Taking one means that the host feeds this store: the crate does not watch the resource.
    ///
    /// ```
    /// use kube_state_metrics::{MetricsStore, families};
    ///
    /// let store = MetricsStore::new(families::nodes());
    /// let (mut one, mut other) = (store.writer(), store.writer());
    /// one.apply_json(br#"{ "metadata": { "name": "a" } }"#)?;
    /// other.apply_json(br#"{ "metadata": { "name": "b" } }"#)?;
    /// other.close();
    /// assert_eq!((store.resource().kind(), store.stats().objects), ("Node", 1));
    /// # Ok::<(), kube_state_metrics::DecodeError>(())
    /// ```
    #[must_use]
    pub fn writer(&self) -> Writer<K> {
        self.note_host();
        Writer::new(self.clone(), false)
    }

    /// The same for a host that brings JSON, which the companion reads as well.
    pub(crate) fn joint_writer(&self) -> Writer<K> {
        self.note_host();
        self.shared.companion.take_for_host();
        self.own_writer()
    }

    /// A writer for a feed of the crate's own, which feeds the companion as well.
    pub(crate) fn own_writer(&self) -> Writer<K> {
        Writer::new(self.clone(), true)
    }

    /// Whether a store of the plan is fed along with this one.
    pub(crate) fn has_companion(&self, store: &dyn std::any::Any) -> bool {
        self.shared.companion.leads_to(store)
    }

    fn note_host(&self) {
        self.shared.host_fed.store(true, Ordering::Relaxed);
    }

    #[cfg(feature = "watch")]
    pub(crate) fn is_host_fed(&self) -> bool {
        self.shared.host_fed.load(Ordering::Relaxed)
    }

    /// What happened so far, and what is stored now.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let snapshot = self.snapshot();
        let counts = &self.shared.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            objects: snapshot.objects() as u64,
            series: snapshot.lines(self.shared.schema.column(0)),
            memory_bytes: snapshot.heap_bytes() as u64,
            changed: count(&counts.changed),
            unchanged: count(&counts.unchanged),
            deleted: count(&counts.deleted),
            stale: count(&counts.stale),
            relists: count(&counts.relists),
            swept: count(&counts.swept),
            duplicates: count(&counts.duplicates),
            panics: count(&counts.panics),
            decode_syntax_errors: count(&counts.decode_syntax),
            decode_field_errors: count(&counts.decode_field),
        }
    }

    pub(crate) fn schema(&self) -> &Schema<K> {
        &self.shared.schema
    }

    /// All rows as they are now. Later changes do not show in a snapshot.
    pub(crate) fn snapshot(&self) -> StoreSnapshot {
        let fronts = self
            .shared
            .parts
            .lock()
            .iter()
            .map(|part| Arc::clone(&part.front))
            .collect();
        StoreSnapshot::new(fronts)
    }

    pub(crate) fn filter(&self) -> Arc<ObjectFilter> {
        Arc::clone(&self.shared.filter.read())
    }

    /// Changes which objects the store takes, and removes those it would not take any more.
    pub(crate) fn set_filter(&self, filter: ObjectFilter) {
        *self.shared.filter.write() = Arc::new(filter);
        let filter = self.filter();
        for part in &mut *self.shared.parts.lock() {
            for table in [Some(&mut part.front), part.working.as_mut()]
                .into_iter()
                .flatten()
            {
                let table = Arc::make_mut(table);
                let removed = table.retain(|key, page, row| {
                    let uid = page.uid(row).map(ToString::to_string).unwrap_or_default();
                    filter.takes(namespace_of(key), &uid)
                });
                if removed > 0 {
                    table.compact();
                }
            }
        }
    }

    fn count_decode_error(&self, reason: DecodeReason) {
        let counts = &self.shared.counts;
        match reason {
            DecodeReason::Syntax => bump(&counts.decode_syntax, 1),
            DecodeReason::Field => bump(&counts.decode_field, 1),
        }
    }

    /// Counts what a rendering had to leave out.
    fn count_left_out(&self, lines: &SampleBuffer) {
        let counts = &self.shared.counts;
        for (counter, by) in [
            (&counts.duplicates, lines.duplicates()),
            (&counts.panics, lines.panics()),
        ] {
            if by > 0 {
                bump(counter, by);
            }
        }
    }

    /// Files a row that `filter` let in.
    fn apply_row(
        &self,
        writer: usize,
        filter: &Arc<ObjectFilter>,
        identity: Identity<'_>,
        cells: &schema::Rendered,
    ) {
        let mut parts = self.shared.parts.lock();
        let current = self.filter();
        if !Arc::ptr_eq(filter, &current)
            && !current.takes(namespace_of(identity.key), identity.uid)
        {
            // The filter changed while the object was rendered, and what it removes is gone already.
            return;
        }
        let Some(part) = parts.iter_mut().find(|part| part.writer == writer) else {
            return;
        };
        let listing = part.working.is_some();
        let table = part.working.as_mut().unwrap_or(&mut part.front);
        let applied = Arc::make_mut(table).apply(identity, cells, !listing);
        let counts = &self.shared.counts;
        match applied {
            Applied::Inserted | Applied::Updated => bump(&counts.changed, 1),
            Applied::Unchanged => bump(&counts.unchanged, 1),
            Applied::Stale => bump(&counts.stale, 1),
        }
        if applied == Applied::Inserted && !listing && parts.len() > 1 {
            // The object fed last wins: no other feeder keeps a row of that key.
            for other in parts.iter_mut().filter(|part| part.writer != writer) {
                other.forget(identity.key);
            }
        }
    }

    fn delete_row(&self, writer: usize, identity: Identity<'_>) {
        let mut parts = self.shared.parts.lock();
        let Some(part) = parts.iter_mut().find(|part| part.writer == writer) else {
            return;
        };
        let listing = part.working.is_some();
        let table = part.working.as_mut().unwrap_or(&mut part.front);
        if table.find(identity.key).is_none() {
            return;
        }
        match Arc::make_mut(table).delete(identity, !listing) {
            Deleted::Removed => bump(&self.shared.counts.deleted, 1),
            Deleted::Stale => bump(&self.shared.counts.stale, 1),
            Deleted::Absent => {}
        }
    }

    fn begin_list(&self, writer: usize) {
        let mut parts = self.shared.parts.lock();
        if let Some(part) = parts.iter_mut().find(|part| part.writer == writer) {
            let mut table = Table::clone(&part.front);
            table.unmark();
            part.working = Some(Arc::new(table));
        }
    }

    fn end_list(&self, writer: usize) {
        let mut parts = self.shared.parts.lock();
        let Some(part) = parts.iter_mut().find(|part| part.writer == writer) else {
            return;
        };
        let Some(mut working) = part.working.take() else {
            return;
        };
        let table = Arc::make_mut(&mut working);
        let swept = table.sweep();
        table.compact();
        part.front = Arc::clone(&working);
        for other in parts.iter_mut().filter(|part| part.writer != writer) {
            other.forget_all(&working);
        }
        bump(&self.shared.counts.relists, 1);
        bump(&self.shared.counts.swept, swept as u64);
    }

    fn abandon_list(&self, writer: usize) {
        let mut parts = self.shared.parts.lock();
        if let Some(part) = parts.iter_mut().find(|part| part.writer == writer) {
            part.working = None;
        }
    }

    /// Makes room for one more feeder's rows and returns its number.
    fn open_part(&self) -> usize {
        let writer = self.shared.writers.fetch_add(1, Ordering::Relaxed);
        self.shared.parts.lock().push(Part {
            writer,
            front: Arc::new(Table::new(self.shared.schema.columns())),
            working: None,
        });
        writer
    }

    fn close_part(&self, writer: usize) {
        self.shared
            .parts
            .lock()
            .retain(|part| part.writer != writer);
    }
}

impl<K> Clone for MetricsStore<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K: CollectedResource> fmt::Debug for MetricsStore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsStore")
            .field("resource", self.resource())
            .field("stats", &self.stats())
            .finish()
    }
}

// === impl Part ===

impl Part {
    /// Removes the row of a key that another feeder has now.
    fn forget(&mut self, key: &str) {
        let any = Identity {
            key,
            uid: "",
            version: 0,
        };
        for table in [Some(&mut self.front), self.working.as_mut()]
            .into_iter()
            .flatten()
        {
            if table.find(key).is_some() {
                Arc::make_mut(table).delete(any, false);
            }
        }
    }

    /// Removes the rows of all keys of another feeder's table.
    fn forget_all(&mut self, other: &Table) {
        let (Some(first), Some(last)) = (other.first_key(), other.last_key()) else {
            return;
        };
        let overlaps = |table: &Table| {
            table.first_key().is_some_and(|own| own <= last)
                && table.last_key().is_some_and(|own| own >= first)
        };
        if !overlaps(&self.front) && !self.working.as_deref().is_some_and(overlaps) {
            return;
        }
        for page in other.pages() {
            for row in 0..page.len() {
                self.forget(page.key(row));
            }
        }
    }
}

/// The namespace in a key, empty for cluster-scoped objects.
fn namespace_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn bump(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
