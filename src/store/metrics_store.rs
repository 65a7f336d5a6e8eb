//! [`MetricsStore`]: the rows of all objects of a kind, in a table for each feeder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

#[cfg(feature = "watch")]
use super::feeder_rows::FeederRows;
use super::feeder_table::FeederTable;
use super::list_page::ListPage;
use super::page::{Identity, Page, RowPlace};
use super::row_feeder::RowFeeder;
use super::schema::{Allowlists, Schema};
use super::snapshot::StoreSnapshot;
use super::stats::{ExceededLimit, StoreCounters, StoreStats};
use super::table::{Applied, Deleted, Table};
use super::updated_cells::UpdatedCells;
use crate::decode::{DecodeError, DecodeReason, Fingerprints};
#[cfg(feature = "custom-resources")]
use crate::dynamic::JsonObject;
use crate::family::{Collector, SampleBuffer, work};
use crate::joins::SourceFeed;
use crate::resource::{CollectedResource, ResourceInfo};
use crate::scope::ObjectFilter;

/// The rendered samples of all objects of a kind.
///
/// A clone is another handle to the same store. Each source of objects feeds the store through a
/// [`Writer`](super::Writer). The methods of [`CacheStore`](super::CacheStore) also feed the store, and share one
/// writer.
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
    inner: Arc<StoreInner<K>>,
}

/// The state that all handles to one store share.
struct StoreInner<K> {
    schema: Schema<K>,
    /// Whether the host feeds the store. If not, the sources of the crate feed the store.
    host_fed: bool,
    filter: RwLock<Arc<ObjectFilter>>,
    feeder_tables: Mutex<Vec<FeederTable>>,
    feeders: AtomicUsize,
    /// The feeder that the methods of `CacheStore` share.
    cache_feeder: Mutex<Option<RowFeeder>>,
    /// The store of the configured families of the same resource.
    #[cfg(feature = "custom-resources")]
    linked: RwLock<Option<MetricsStore<JsonObject>>>,
    counters: StoreCounters,
}

/// The result of a change of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowChange {
    Applied(Applied),
    /// The object has no row, because the filter of the store excludes the object, or because the feeder was removed.
    Excluded,
    /// The update was not applied, because the object must be rendered as a whole.
    NeedsWholeObject,
}

// === impl MetricsStore ===

impl<K: CollectedResource> MetricsStore<K> {
    /// Creates an empty store for a collector's families, without filters and allowlists.
    ///
    /// The host feeds a store that is created with this function. The store does not check the names of families and
    /// base labels; a [`StateMetrics`](crate::StateMetrics) refuses invalid names.
    #[must_use]
    pub fn new(collector: Collector<K>) -> Self {
        let (resource, labels, families) = collector.into_parts();
        let mut schema = Schema::new(resource);
        schema.add(labels, &[], families, &Allowlists::default());
        Self::with_schema(schema, true)
    }

    /// Creates an empty store. If `host_fed` is true, the host feeds the store. If not, the sources of the crate feed
    /// the store.
    pub(crate) fn with_schema(schema: Schema<K>, host_fed: bool) -> Self {
        let over_text_limit = schema.joins().map(|joins| joins.over_text_limit().clone());
        Self {
            inner: Arc::new(StoreInner {
                schema,
                host_fed,
                filter: RwLock::default(),
                feeder_tables: Mutex::default(),
                feeders: AtomicUsize::new(0),
                cache_feeder: Mutex::default(),
                #[cfg(feature = "custom-resources")]
                linked: RwLock::default(),
                counters: StoreCounters::new(over_text_limit.unwrap_or_default()),
            }),
        }
    }

    /// The resource of the store.
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        self.inner.schema.resource()
    }

    /// Whether the host feeds the store. If not, the sources of the crate feed the store.
    pub(crate) fn is_host_fed(&self) -> bool {
        self.inner.host_fed
    }

    /// The current size of the store, and counts of its changes and errors.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let snapshot = self.snapshot();
        StoreStats {
            objects: snapshot.objects() as u64,
            series: snapshot.lines(self.inner.schema.column(0)),
            memory_bytes: snapshot.heap_bytes() as u64,
            ..self.inner.counters.stats()
        }
    }

    /// The limits that objects have exceeded since the store was created.
    #[must_use]
    pub fn exceeded_limits(&self) -> Vec<ExceededLimit> {
        self.inner.counters.exceeded_limits()
    }

    pub(crate) fn schema(&self) -> &Schema<K> {
        &self.inner.schema
    }

    /// Returns a snapshot of all rows. Later changes do not affect the snapshot.
    pub(crate) fn snapshot(&self) -> StoreSnapshot {
        let feeder_tables = self.inner.feeder_tables.lock();
        let published = feeder_tables
            .iter()
            .map(|table| Arc::clone(&table.published));
        StoreSnapshot::new(published.collect())
    }

    pub(crate) fn filter(&self) -> Arc<ObjectFilter> {
        Arc::clone(&self.inner.filter.read())
    }

    /// Changes the filter of the store, and removes the objects that the new filter excludes.
    pub(crate) fn set_filter(&self, filter: ObjectFilter) {
        *self.inner.filter.write() = Arc::new(filter);
        let filter = self.filter();
        for feeder_table in &mut *self.inner.feeder_tables.lock() {
            for table in feeder_table.tables() {
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

    /// Counts an object that does not decode, and removes its row (see
    /// [`remove_undecodable`](Self::remove_undecodable)).
    pub(super) fn reject(&self, feeder: &mut RowFeeder, error: &DecodeError) {
        let counters = &self.inner.counters;
        match error.reason() {
            DecodeReason::Syntax => counters.decode_syntax.add(1),
            DecodeReason::Field => counters.decode_field.add(1),
        }
        feeder.has_row = false;
        self.remove_undecodable(feeder, error);
    }

    /// Removes the row of an object that does not decode. The row stays if only the metadata of the object arrived.
    pub(super) fn remove_undecodable(&self, feeder: &mut RowFeeder, error: &DecodeError) {
        if let Some((namespace, name)) = error.identity()
            && !error.is_only_metadata()
        {
            self.delete_key(feeder, namespace, name);
        }
    }

    /// Adds an object or replaces its row.
    pub(super) fn apply_object(&self, feeder: &mut RowFeeder, object: &K) {
        self.apply_decoded(feeder, object, &Fingerprints::default());
    }

    /// Adds an object, or replaces its row. `fingerprints` are hashes of groups of fields of the object.
    pub(super) fn apply_decoded(
        &self,
        feeder: &mut RowFeeder,
        object: &K,
        fingerprints: &Fingerprints,
    ) {
        let metadata = feeder.read(object, self.resource().scope());
        let mut identity = Identity {
            key: &feeder.key,
            uid: metadata.uid,
            version: metadata.version,
        };
        let filter = self.filter();
        if !filter.takes(metadata.namespace, metadata.uid) {
            // The row of the object is removed, because the object may have matched the filter before.
            identity.uid = "";
            self.flush_row(feeder.id, &mut feeder.list_page, identity.key);
            let source = self.source_of(metadata.namespace);
            let _step = source.map(SourceFeed::begin_step);
            self.delete_row(feeder.id, identity);
            if let Some(source) = source {
                source.read(object, &mut feeder.source);
                source.set(feeder.id as u64, &feeder.key, &feeder.source);
            }
            feeder.has_row = false;
            return;
        }
        let (samples, cells) = (&mut feeder.samples, &mut feeder.cells);
        self.schema().render(object, samples, cells);
        if work::is_interrupted() {
            // The object needs too much work for this thread. The rendered cells are discarded, because the source
            // applies the object again on another thread.
            return;
        }
        self.count_dropped(&feeder.key, samples);
        // A row gets no fingerprints if samples or labels were dropped, or if a generator counted an error. Each event
        // must count such cases again. Without fingerprints, each event renders the whole object, and so counts them. A
        // row with much text gets no fingerprints either; see `Schema::is_small_update`.
        let is_kept = samples.may_be_kept() && self.schema().is_small_row(samples);
        let unknown = Fingerprints::default();
        let fingerprints = if is_kept { fingerprints } else { &unknown };
        let source = self.schema().source();
        if let Some(source) = source {
            source.read(object, &mut feeder.source);
        }
        let _step = source.map(SourceFeed::begin_step);
        let change = match &mut feeder.list_page {
            Some(list_page) => {
                if !list_page.takes(identity.key, &filter) {
                    self.add_list_page(feeder.id, list_page, &filter);
                }
                list_page.push(identity, cells, fingerprints);
                RowChange::Applied(Applied::Inserted)
            }
            None => self.change_row(feeder.id, &filter, identity, |table, ordered| {
                Some(table.apply(identity, cells, fingerprints, ordered))
            }),
        };
        let is_stale = change == RowChange::Applied(Applied::Stale);
        if let Some(source) = source.filter(|_| !is_stale) {
            source.set(feeder.id as u64, &feeder.key, &feeder.source);
        }
        feeder.has_row = change != RowChange::Excluded;
    }

    /// Updates the row of an object. The caller has rendered only the families that read a changed group of fields.
    pub(super) fn update_row(
        &self,
        feeder: usize,
        filter: &Arc<ObjectFilter>,
        identity: Identity<'_>,
        updated: UpdatedCells<'_>,
    ) -> RowChange {
        self.change_row(feeder, filter, identity, |table, ordered| {
            table.update(identity, updated, ordered)
        })
    }

    /// Finds the row with this key, and calls `read` with its place, its page and its index in the page. Returns `None`
    /// if the feeder has no such row.
    pub(super) fn read_row<T>(
        &self,
        feeder: usize,
        key: &str,
        read: impl FnOnce(RowPlace, &Page, usize) -> Option<T>,
    ) -> Option<T> {
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let table = find(&mut feeder_tables, feeder)?.current();
        let place = table.place_of(key)?;
        let (page, row) = table.row_at(place)?;
        read(place, page, row)
    }

    /// The published rows of a feeder, and the filter of the store.
    #[cfg(feature = "watch")]
    pub(super) fn rows_of(&self, feeder: usize) -> Option<FeederRows> {
        let mut feeder_tables = self.inner.feeder_tables.lock();
        // The filter is read while the tables are locked, so that the rows and the filter belong together.
        let filter = self.filter();
        find(&mut feeder_tables, feeder).map(|table| FeederRows {
            table: Arc::clone(&table.published),
            filter,
        })
    }

    /// Counts the samples and labels of an object that were dropped.
    pub(super) fn count_dropped(&self, key: &str, samples: &SampleBuffer) {
        self.inner.counters.count_dropped(key, samples.dropped());
    }

    /// Returns the feed for labels that are joined from the objects of this store. Returns `None` if there is no such
    /// feed, or if the filter of the store excludes the namespace. The shard is not checked, because samples of this
    /// shard may get labels from objects of all shards.
    pub(super) fn source_of(&self, namespace: &str) -> Option<&SourceFeed> {
        let source = self.schema().source()?;
        let filter = self.filter();
        filter.takes_namespace(namespace).then_some(source)
    }

    /// Removes an object. Does nothing if the store has a different object with the same key, or a newer version of the
    /// object.
    pub(super) fn delete_object(&self, feeder: &mut RowFeeder, object: &K) {
        let metadata = feeder.read(object, self.resource().scope());
        let identity = Identity {
            key: &feeder.key,
            uid: metadata.uid,
            version: metadata.version,
        };
        let _step = self.schema().source().map(SourceFeed::begin_step);
        let deleted = self.delete_row(feeder.id, identity);
        if matches!(deleted, None | Some(Deleted::Removed)) {
            self.delete_source(feeder.id, &feeder.key);
        }
    }

    /// Removes the object with this key.
    pub(super) fn delete_key(&self, feeder: &mut RowFeeder, namespace: &str, name: &str) {
        let _step = self.schema().source().map(SourceFeed::begin_step);
        self.forget_key(feeder, namespace, name);
        self.delete_source(feeder.id, &feeder.key);
    }

    /// Keeps the object with this namespace and name in the list in progress of `feeder`. Returns whether the table of
    /// the feeder contains the object.
    pub(super) fn keep_key(&self, feeder: &mut RowFeeder, namespace: &str, name: &str) -> bool {
        feeder.set_key_in(self.resource().scope(), namespace, name);
        self.flush_row(feeder.id, &mut feeder.list_page, &feeder.key);
        if let Some(source) = self.schema().source() {
            source.keep(feeder.id as u64, &feeder.key);
        }
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let feeder_table = find(&mut feeder_tables, feeder.id);
        let staging = feeder_table.and_then(|table| table.staging.as_mut());
        staging.is_some_and(|table| Arc::make_mut(table).keep(&feeder.key))
    }

    /// Removes the labels that samples of other objects get from the object with this key.
    pub(super) fn delete_source(&self, feeder: usize, key: &str) {
        if let Some(source) = self.schema().source() {
            source.remove(feeder as u64, key);
        }
    }

    /// Removes the row of the object with this key.
    pub(super) fn forget_key(&self, feeder: &mut RowFeeder, namespace: &str, name: &str) {
        feeder.set_key_in(self.resource().scope(), namespace, name);
        self.flush_row(feeder.id, &mut feeder.list_page, &feeder.key);
        let identity = Identity {
            key: &feeder.key,
            uid: "",
            version: 0,
        };
        self.delete_row(feeder.id, identity);
    }

    /// Calls `change` to store an object that `filter` has accepted. The first argument of `change` is the table of the
    /// feeder. If the second argument is true, `change` must ignore an object that is older than the stored row.
    fn change_row(
        &self,
        feeder: usize,
        filter: &Arc<ObjectFilter>,
        identity: Identity<'_>,
        change: impl FnOnce(&mut Table, bool) -> Option<Applied>,
    ) -> RowChange {
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let current = self.filter();
        if !Arc::ptr_eq(filter, &current)
            && !current.takes(namespace_of(identity.key), identity.uid)
        {
            // The object is not stored, because the filter changed while the object was rendered, and the new filter
            // excludes the object.
            return RowChange::Excluded;
        }
        let Some(feeder_table) = find(&mut feeder_tables, feeder) else {
            return RowChange::Excluded;
        };
        let listing = feeder_table.is_listing();
        let Some(applied) = change(Arc::make_mut(feeder_table.current()), !listing) else {
            return RowChange::NeedsWholeObject;
        };
        self.inner.counters.count(applied);
        if applied == Applied::Inserted && !listing && feeder_tables.len() > 1 {
            // An object belongs to the feeder that applied it last, so the key is removed from the tables of all other
            // feeders.
            for other in feeder_tables
                .iter_mut()
                .filter(|table| table.feeder != feeder)
            {
                other.forget(identity.key);
            }
        }
        RowChange::Applied(applied)
    }

    /// If `list_page` has a row with the key, adds all rows of `list_page` to the table.
    fn flush_row(&self, feeder: usize, list_page: &mut Option<Box<ListPage>>, key: &str) {
        if let Some(list_page) = list_page.as_mut().filter(|page| page.contains(key)) {
            self.add_list_page(feeder, list_page, &self.filter());
        }
    }

    /// Adds all rows in the `list_page` of the feeder to the table of the feeder.
    #[cfg(feature = "watch")]
    pub(super) fn flush_list_page(&self, feeder: &mut RowFeeder) {
        if let Some(list_page) = &mut feeder.list_page {
            self.add_list_page(feeder.id, list_page, &self.filter());
        }
    }

    /// Adds the rows of `list_page` to the table of the list in progress. If the list was discarded, discards the rows.
    /// After this, `list_page` collects rows that `filter` has accepted.
    fn add_list_page(&self, feeder: usize, list_page: &mut ListPage, filter: &Arc<ObjectFilter>) {
        let Some((page, accepted_by)) = list_page.take(filter) else {
            return;
        };
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let current = self.filter();
        let feeder_table = find(&mut feeder_tables, feeder);
        let Some(staging) = feeder_table.and_then(|table| table.staging.as_mut()) else {
            return;
        };
        let (table, rows) = (Arc::make_mut(staging), page.len());
        let left = match Arc::ptr_eq(&accepted_by, &current) {
            true => table.insert_page(page),
            // The filter has changed since it accepted the objects of this page. So the code below checks each row
            // again.
            false => Some(page),
        };
        let counters = &self.inner.counters;
        let Some(page) = left else {
            counters.changed.add(rows as u64);
            return;
        };
        page.for_each_row(|identity, cells, fingerprints| {
            if current.takes(namespace_of(identity.key), identity.uid) {
                counters.count(table.apply(identity, cells, fingerprints, false));
            }
        });
    }

    /// Ends the last page of the list in progress. The rows of the following objects are added to another page.
    #[cfg(feature = "watch")]
    pub(super) fn end_page(&self, feeder: usize) {
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let feeder_table = find(&mut feeder_tables, feeder);
        if let Some(staging) = feeder_table.and_then(|table| table.staging.as_mut()) {
            Arc::make_mut(staging).end_page();
        }
    }

    /// Removes a row. Returns `None` if there is no row with the key.
    fn delete_row(&self, feeder: usize, identity: Identity<'_>) -> Option<Deleted> {
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let feeder_table = find(&mut feeder_tables, feeder)?;
        let listing = feeder_table.is_listing();
        let table = feeder_table.current();
        if !table.contains(identity.key) {
            return None;
        }
        let deleted = Arc::make_mut(table).delete(identity, !listing);
        match deleted {
            Deleted::Removed => self.inner.counters.deleted.add(1),
            Deleted::Stale => self.inner.counters.stale.add(1),
            Deleted::Absent => {}
        }
        Some(deleted)
    }

    pub(super) fn begin_list(&self, feeder: usize) {
        if let Some(source) = self.schema().source() {
            source.begin_list(feeder as u64);
        }
        if let Some(feeder_table) = find(&mut self.inner.feeder_tables.lock(), feeder) {
            feeder_table.begin_list();
        }
    }

    pub(super) fn end_list(&self, feeder: usize) {
        let source = self.schema().source();
        let _step = source.map(SourceFeed::begin_step);
        if let Some(source) = source {
            source.end_list(feeder as u64);
        }
        let mut feeder_tables = self.inner.feeder_tables.lock();
        let Some(feeder_table) = find(&mut feeder_tables, feeder) else {
            return;
        };
        let Some(swept) = feeder_table.end_list() else {
            return;
        };
        let published = Arc::clone(&feeder_table.published);
        for other in feeder_tables
            .iter_mut()
            .filter(|table| table.feeder != feeder)
        {
            other.forget_all(&published);
        }
        self.inner.counters.relists.add(1);
        self.inner.counters.swept.add(swept as u64);
    }

    pub(super) fn abandon_list(&self, feeder: usize) {
        if let Some(source) = self.schema().source() {
            source.abandon_list(feeder as u64);
        }
        if let Some(feeder_table) = find(&mut self.inner.feeder_tables.lock(), feeder) {
            feeder_table.staging = None;
        }
    }

    /// Adds a table for a new feeder, and returns the number of the feeder.
    pub(super) fn add_feeder(&self) -> usize {
        let feeder = self.inner.feeders.fetch_add(1, Ordering::Relaxed);
        let feeder_table = FeederTable::new(feeder, self.inner.schema.layout());
        self.inner.feeder_tables.lock().push(feeder_table);
        feeder
    }

    /// Returns another [`RowFeeder`] with the same number. This feeder collects the rows of a list in pages.
    #[cfg(feature = "watch")]
    pub(super) fn collecting_feeder(&self, feeder: usize) -> RowFeeder {
        let page = ListPage::new(self.schema().layout(), self.filter());
        RowFeeder {
            list_page: Some(Box::new(page)),
            ..RowFeeder::new(feeder)
        }
    }

    pub(super) fn remove_feeder(&self, feeder: usize) {
        let source = self.schema().source();
        let _step = source.map(SourceFeed::begin_step);
        if let Some(source) = source {
            source.close(feeder as u64);
        }
        let mut feeder_tables = self.inner.feeder_tables.lock();
        feeder_tables.retain(|table| table.feeder != feeder);
    }

    /// Removes all rows, and the tables of all feeders.
    #[cfg(feature = "custom-resources")]
    pub(super) fn remove_all_feeders(&self) {
        self.inner.feeder_tables.lock().clear();
    }

    /// Calls `feed` with the feeder that the methods of [`CacheStore`](super::CacheStore) share.
    pub(super) fn with_cache_feeder(&self, feed: impl FnOnce(&mut RowFeeder)) {
        let mut feeder = self.inner.cache_feeder.lock();
        feed(feeder.get_or_insert_with(|| RowFeeder::new(self.add_feeder())));
    }

    /// The store of the configured families of the same resource.
    #[cfg(feature = "custom-resources")]
    pub(super) fn linked(&self) -> &RwLock<Option<MetricsStore<JsonObject>>> {
        &self.inner.linked
    }
}

#[cfg(feature = "custom-resources")]
impl<K> MetricsStore<K> {
    /// Whether two handles are for the same store.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl<K> Clone for MetricsStore<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
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

fn find(feeder_tables: &mut [FeederTable], feeder: usize) -> Option<&mut FeederTable> {
    feeder_tables
        .iter_mut()
        .find(|table| table.feeder == feeder)
}

/// Returns the namespace in a key. For a cluster-scoped object, the namespace is empty.
fn namespace_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(namespace, _)| namespace)
}
