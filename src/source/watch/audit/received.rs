//! [`ReceivedObjects`]: data for audits about the objects that a watch has received. An audit checks whether the watch
//! has missed changes. The key of an object is `namespace/name`, or `name` for a cluster-scoped object.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::super::failure::Failure;
use super::window::{MAX_CHANGES, Window};
use crate::resource::Scope;
use crate::source::health::FailureReason;
use crate::store::{namespace_in, write_key};

/// Data about the received objects of a watch, which audits need in addition to the rows of the store.
#[derive(Debug)]
pub(in crate::source::watch) struct ReceivedObjects {
    keys: KeyHasher,
    /// Hashes of the keys of existing objects that have no row, because they belong to another shard or were skipped.
    without_row: HashSet<u64>,
    /// Like `without_row`, but for the objects of the list in progress; `None` if no list is in progress.
    listed_without_row: Option<HashSet<u64>>,
    /// The changes that the watch has received since the current audit began; `None` if there is no audit.
    window: Option<Window>,
}

/// Hashes the keys of objects.
#[derive(Clone, Debug)]
pub(in crate::source::watch) struct KeyHasher {
    scope: Scope,
    hasher: RandomState,
}

/// Whether an object exists after a change, and whether it has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::watch) enum Presence {
    /// The store has a row for the object.
    Row,
    /// The object exists, but has no row.
    NoRow,
    Deleted,
}

// === impl ReceivedObjects ===

impl ReceivedObjects {
    pub(in crate::source::watch) fn new(scope: Scope) -> Self {
        Self {
            keys: KeyHasher {
                scope,
                hasher: RandomState::default(),
            },
            without_row: HashSet::new(),
            listed_without_row: None,
            window: None,
        }
    }

    /// Returns the hash function for keys and uids.
    pub(in crate::source::watch) fn hasher(&self) -> RandomState {
        self.keys.hasher.clone()
    }

    /// Returns a copy of the hash function for keys, for another thread.
    pub(in crate::source::watch) fn key_hasher(&self) -> KeyHasher {
        self.keys.clone()
    }

    /// Returns the key of an object: `namespace/name`, or `name` for a cluster-scoped object.
    pub(in crate::source::watch) fn key(scope: Scope, namespace: &str, name: &str) -> String {
        let mut key = String::new();
        write_key(&mut key, namespace_in(scope, namespace), name);
        key
    }

    /// Like [`Self::changed`], for an object that is given by its namespace and name.
    pub(in crate::source::watch) fn changed_by_name(
        &mut self,
        (namespace, name): (&str, &str),
        presence: Presence,
        version: Option<u64>,
        rows: impl FnOnce() -> usize,
    ) {
        let key = Self::key(self.keys.scope, namespace, name);
        self.changed(&key, presence, version, rows);
    }

    /// Records a change of an object. `rows` is the number of rows after the change.
    pub(in crate::source::watch) fn changed(
        &mut self,
        key: &str,
        presence: Presence,
        version: Option<u64>,
        rows: impl FnOnce() -> usize,
    ) {
        let is_recorded = self.window.is_some() && self.listed_without_row.is_none();
        let set = match &mut self.listed_without_row {
            Some(listed) => listed,
            None => &mut self.without_row,
        };
        if presence != Presence::NoRow && set.is_empty() && !is_recorded {
            return;
        }
        let key = self.keys.hash(key);
        if presence == Presence::NoRow {
            set.insert(key);
        } else {
            set.remove(&key);
        }
        if let Some(window) = self.window.as_mut().filter(|_| is_recorded) {
            let count = rows() + self.without_row.len();
            window.note(key, version.unwrap_or(0), count as u64);
        }
    }

    /// Records that these objects of the list in progress have no row. `keys` contains the hashes of their keys.
    pub(in crate::source::watch) fn listed_without_row(&mut self, keys: HashSet<u64>) {
        if let Some(listed) = &mut self.listed_without_row {
            listed.extend(keys);
        }
    }

    /// Begins a list of all objects. Changes are not recorded until the next audit begins.
    pub(in crate::source::watch) fn begin_list(&mut self) {
        self.window = None;
        self.listed_without_row = Some(HashSet::new());
    }

    pub(in crate::source::watch) fn end_list(&mut self) {
        if let Some(listed) = self.listed_without_row.take() {
            self.without_row = listed;
        }
    }

    pub(in crate::source::watch) fn abandon_list(&mut self) {
        self.listed_without_row = None;
    }

    /// Begins to record changes for an audit. `rows` is the current number of rows.
    pub(in crate::source::watch) fn open_window(&mut self, rows: usize) {
        let count = rows + self.without_row.len();
        self.window = Some(Window::new(count as u64));
    }

    /// Stops recording changes.
    pub(in crate::source::watch) fn close_window(&mut self) {
        self.window = None;
    }

    /// The recorded changes. `None` if changes are not being recorded, or if there were too many to record all of them.
    pub(in crate::source::watch) fn window(&self) -> Option<&Window> {
        self.window.as_ref().filter(|window| !window.is_full())
    }

    /// The failure of an audit during which too many objects have changed.
    pub(in crate::source::watch) fn too_many_changes(&self) -> Option<Failure> {
        let is_full = self.window.as_ref().is_some_and(Window::is_full);
        let message = format!("more than {MAX_CHANGES} changes have arrived during the audit");
        is_full.then(|| Failure::new(FailureReason::Expired, message))
    }

    /// Hashes of the keys of existing objects without a row.
    pub(in crate::source::watch) fn without_row(&self) -> &HashSet<u64> {
        &self.without_row
    }

    /// Replaces `without_row` with `listed`, but keeps the previous state of objects that have changed during the
    /// audit.
    pub(in crate::source::watch) fn replace_without_row(&mut self, listed: HashSet<u64>) {
        let Some(window) = &self.window else { return };
        let touched = window.touched();
        let now = std::mem::take(&mut self.without_row);
        let changed = now.into_iter().filter(|key| touched.contains(key));
        let others = listed.into_iter().filter(|key| !touched.contains(key));
        self.without_row = changed.chain(others).collect();
    }
}

// === impl KeyHasher ===

impl KeyHasher {
    pub(in crate::source::watch) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The hash of the key of an object that is given by its namespace and name.
    pub(in crate::source::watch) fn hash_name(&self, (namespace, name): (&str, &str)) -> u64 {
        self.hash(&ReceivedObjects::key(self.scope, namespace, name))
    }
}
