//! [`FeederRows`]: the identities of the objects that one feeder has stored.

use std::sync::Arc;

use super::table::Table;
use super::uid::Uid;
use crate::scope::ObjectFilter;

/// The rows of one feeder at one moment, and the filter of their store.
#[derive(Clone, Debug)]
pub(crate) struct FeederRows {
    pub(super) table: Arc<Table>,
    pub(super) filter: Arc<ObjectFilter>,
}

/// The identity of a stored object.
pub(crate) struct StoredIdentity<'a> {
    /// `namespace/name` or `name`.
    pub(crate) key: &'a str,
    pub(crate) uid: &'a Uid,
    /// `metadata.resourceVersion`; 0 if this version is not a number.
    pub(crate) version: u64,
}

// === impl FeederRows ===

impl FeederRows {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn filter(&self) -> &Arc<ObjectFilter> {
        &self.filter
    }

    /// The stored objects, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = StoredIdentity<'_>> {
        self.table.pages().flat_map(|page| {
            (0..page.len()).filter_map(|row| {
                Some(StoredIdentity {
                    key: page.key(row),
                    uid: page.uid(row)?,
                    version: page.version(row),
                })
            })
        })
    }
}
