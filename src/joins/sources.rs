//! [`JoinSources`]: the objects from which labels are joined. Such an object is called a source; here, the word does
//! not mean a component that feeds stores.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::join::Join;
use super::kinds::SourceKind;
use super::object::ObjectView;
use super::source::{SourceObject, write_source};
use super::source_table::SourceTable;
use super::wanted::Wanted;
use crate::decode::Fields;
use crate::resource::CollectedResource;

/// The objects from which the stores of a registry join labels. If a store has these objects, the feed of the store
/// also updates them here. Otherwise, a separate feed updates them.
pub(crate) struct JoinSources {
    pub(super) wanted: Wanted,
    state: Mutex<SourcesState>,
    /// If an object is a source and also has a row, the writer holds this lock for writing while it changes both. An
    /// exposition holds this lock for reading while it takes its snapshots. Therefore, a scrape shows either both
    /// changes or neither of them.
    step: RwLock<()>,
    /// The kinds of sources that the feed of a store updates.
    of_stores: Mutex<BTreeSet<SourceKind>>,
    feeders: AtomicU64,
}

#[derive(Default)]
struct SourcesState {
    table: Arc<SourceTable>,
    /// The incomplete lists, by kind and feeder.
    lists: HashMap<(SourceKind, u64), StagedList>,
}

/// The sources of an incomplete list: the text of each source, by key.
type StagedList = HashMap<Arc<str>, Box<[u8]>>;

/// A handle that updates the sources of one kind.
#[derive(Clone)]
pub(crate) struct SourceFeed {
    sources: Arc<JoinSources>,
    kind: SourceKind,
    /// The fields to decode if no store needs the objects of this kind.
    fields: Arc<Fields>,
}

// === impl JoinSources ===

impl JoinSources {
    /// Creates an empty set of sources for the joined labels in `joins`.
    pub(crate) fn new<'a>(joins: impl IntoIterator<Item = &'a Join>) -> Arc<Self> {
        let mut wanted = Wanted::default();
        joins.into_iter().for_each(|join| wanted.add(join));
        Arc::new(Self {
            wanted,
            state: Mutex::default(),
            step: RwLock::default(),
            of_stores: Mutex::default(),
            // The feeders of a store are numbered from 0. Feeders without a store have higher numbers, so that they
            // never share a number with a feeder of a store.
            feeders: AtomicU64::new(1 << 32),
        })
    }

    /// Returns the handle with which a store updates the sources of this kind. Returns `None` if no joined label needs
    /// the kind, or if another store already has this handle.
    pub(crate) fn feed_of_store(self: &Arc<Self>, kind: SourceKind) -> Option<SourceFeed> {
        let is_new = self.wanted.needs(kind) && self.of_stores.lock().insert(kind);
        is_new.then(|| self.feed(kind))
    }

    /// Returns a handle that is independent of stores.
    pub(crate) fn feed(self: &Arc<Self>, kind: SourceKind) -> SourceFeed {
        SourceFeed {
            sources: Arc::clone(self),
            kind,
            fields: Arc::new(Fields::union(vec![Some(self.wanted.reads(kind))])),
        }
    }

    /// The kinds of sources that the joined labels need.
    pub(crate) fn needed(&self) -> impl Iterator<Item = SourceKind> {
        let kinds = SourceKind::ALL.into_iter();
        kinds.filter(|kind| self.wanted.needs(*kind))
    }

    /// The kinds of sources that the joined labels need, but that no store updates.
    pub(crate) fn without_store(&self) -> Vec<SourceKind> {
        let of_stores = self.of_stores.lock();
        self.needed()
            .filter(|kind| !of_stores.contains(kind))
            .collect()
    }

    /// Calls `read` with the current sources. Until `read` returns, no writer changes a source together with a row.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Arc<SourceTable>) -> T) -> T {
        let _step = self.step.read();
        read(&self.table())
    }

    /// Returns a snapshot of the current sources.
    pub(crate) fn table(&self) -> Arc<SourceTable> {
        Arc::clone(&self.state.lock().table)
    }

    /// Returns a new number for a feeder that does not belong to a store.
    pub(crate) fn next_feeder(&self) -> u64 {
        self.feeders.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for JoinSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSources")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

// === impl SourceFeed ===

impl SourceFeed {
    pub(crate) fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The fields of an object that joined labels need.
    pub(crate) fn reads(&self) -> Vec<&'static str> {
        self.sources.wanted.reads(self.kind)
    }

    /// The fields to decode if no store needs the objects of this kind, so that only joined labels need them.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The number of sources of this kind.
    pub(crate) fn len(&self) -> usize {
        self.sources.table().len(self.kind)
    }

    /// Returns a new number for a feeder that does not belong to a store.
    pub(crate) fn next_feeder(&self) -> u64 {
        self.sources.next_feeder()
    }

    /// Begins a change of sources and rows, which ends when the returned guard is dropped. A scrape sees the whole
    /// change or nothing of it.
    pub(crate) fn begin_step(&self) -> RwLockWriteGuard<'_, ()> {
        self.sources.step.write()
    }

    /// Writes to `out` the values of an object that joined labels need.
    pub(crate) fn read<K: CollectedResource>(&self, object: &K, out: &mut Vec<u8>) {
        out.clear();
        write_source(self.kind, &self.sources.wanted, ObjectView::of(object), out);
    }

    /// Does the same as [`read`](Self::read), but needs only the metadata of the object.
    pub(crate) fn read_metadata(&self, object: &SourceObject, out: &mut Vec<u8>) {
        out.clear();
        let view = ObjectView::of_metadata(&object.metadata);
        write_source(self.kind, &self.sources.wanted, view, out);
    }

    /// Sets a source. `text` is the result of [`read`](Self::read).
    pub(crate) fn set(&self, feeder: u64, key: &str, text: &[u8]) {
        let SourcesState { table, lists } = &mut *self.sources.state.lock();
        match lists.get_mut(&(self.kind, feeder)) {
            Some(list) => drop(list.insert(key.into(), text.into())),
            None => Arc::make_mut(table).set(self.kind, key, feeder, text),
        }
    }

    /// Keeps the source of an object that has not changed. If the feeder has begun a list, adds the source to this
    /// list. Returns false if the feeder has not set this source.
    pub(crate) fn keep(&self, feeder: u64, key: &str) -> bool {
        let SourcesState { table, lists } = &mut *self.sources.state.lock();
        let mut list = lists.get_mut(&(self.kind, feeder));
        if list.as_ref().is_some_and(|list| list.contains_key(key)) {
            return true;
        }
        let Some(source) = table.get_of(self.kind, key, feeder) else {
            return false;
        };
        if let Some(list) = &mut list {
            list.insert(key.into(), source.text().into());
        }
        true
    }

    /// Removes a source.
    pub(crate) fn remove(&self, feeder: u64, key: &str) {
        let SourcesState { table, lists } = &mut *self.sources.state.lock();
        match lists.get_mut(&(self.kind, feeder)) {
            Some(list) => drop(list.remove(key)),
            None => Arc::make_mut(table).remove(self.kind, key, feeder),
        }
    }

    /// Begins a list. From now on, each source that the feeder sets belongs to this list.
    pub(crate) fn begin_list(&self, feeder: u64) {
        let mut state = self.sources.state.lock();
        state
            .lists
            .insert((self.kind, feeder), StagedList::default());
    }

    /// Ends a list: replaces the sources of the feeder by the sources of the list in one step.
    pub(crate) fn end_list(&self, feeder: u64) {
        let SourcesState { table, lists } = &mut *self.sources.state.lock();
        let Some(list) = lists.remove(&(self.kind, feeder)) else {
            return;
        };
        let table = Arc::make_mut(table);
        table.retain_of(self.kind, feeder, |key| list.contains_key(key));
        for (key, text) in &list {
            table.set(self.kind, key, feeder, text);
        }
    }

    /// Discards the incomplete list of a feeder.
    pub(crate) fn abandon_list(&self, feeder: u64) {
        self.sources.state.lock().lists.remove(&(self.kind, feeder));
    }

    /// Removes the sources of a feeder.
    pub(crate) fn close(&self, feeder: u64) {
        self.abandon_list(feeder);
        let mut state = self.sources.state.lock();
        Arc::make_mut(&mut state.table).retain_of(self.kind, feeder, |_| false);
    }
}

impl fmt::Debug for SourceFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFeed").field(&self.kind).finish()
    }
}
