//! Compares the rows of a store (one row per object) with a list of the API server. This is a step of an audit, which
//! checks whether a watch has missed changes.
//!
//! The key of an object is `namespace/name`, or `name` for a cluster-scoped object. To save memory, the objects are
//! identified by hashes of their keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::decode::Peeked;
use crate::errors::shortened;
use crate::k8s::resource_version;
use crate::scope::ObjectFilter;
use crate::store::{FeederRows, Uid};

/// The objects in a list of the API server, with their uids and versions.
#[derive(Debug)]
pub(in crate::source::watch) struct Listed {
    /// The version of the list.
    pub(in crate::source::watch) version: u64,
    /// The filter of the store, which accepts objects by namespace and shard.
    pub(in crate::source::watch) filter: Arc<ObjectFilter>,
    /// The hash function of keys and uids.
    hasher: RandomState,
    /// The objects. The key of the map is the hash of the object's key.
    objects: HashMap<u64, ListedObject>,
    /// Hashes of the keys of objects that are too large to be read. Their uids and versions are unknown.
    unknown: HashSet<u64>,
    /// The objects that differed in the first comparison, as hashes of their keys. A message will need the names of
    /// some of these objects.
    suspects: HashMap<u64, Difference>,
    /// Names of objects in `suspects` that are missing in the store.
    names: Names,
}

/// The names of some objects: the first in alphabetical order, each of them shortened. The size is limited, because the
/// API server sends the names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The shortened names, with the hashes of the objects' keys.
    all: BTreeSet<(String, u64)>,
}

/// Maximum number of names. This number is higher than the number of names in a message, because the second comparison
/// does not confirm each difference.
const MAX_NAMES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListedObject {
    uid: u64,
    version: u64,
    /// Whether the filter of the store excludes the object, because of its namespace or its shard.
    is_foreign: bool,
}

/// How the row of an object differs from the object in the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source::watch) enum Difference {
    /// The API server has the object, but the store has no row for it.
    Missing,
    /// The API server has a newer version of the object, or another object with the same name.
    Outdated,
    /// The store has a row for the object, but the API server does not have the object.
    Deleted,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The objects that differ, by the hashes of their keys.
    pub(super) differences: HashMap<u64, Difference>,
    /// Names of objects that differed in the same way in the first comparison.
    pub(super) names: Names,
    /// Hashes of the keys of existing objects that have no row, because the filter excludes them or because they were
    /// skipped.
    pub(super) without_row: HashSet<u64>,
}

// === impl Listed ===

impl Listed {
    pub(super) fn new(
        filter: Arc<ObjectFilter>,
        hasher: RandomState,
        suspects: HashMap<u64, Difference>,
    ) -> Self {
        Self {
            version: 0,
            filter,
            hasher,
            objects: HashMap::new(),
            unknown: HashSet::new(),
            suspects,
            names: Names::default(),
        }
    }

    /// Adds an object with its key.
    pub(super) fn add(&mut self, key: &str, namespace: &str, object: &Peeked) {
        let hash = self.hasher.hash_one(key);
        let listed = ListedObject {
            uid: self.hasher.hash_one(Uid::new(&object.uid)),
            version: resource_version::as_u64(&object.resource_version).unwrap_or(0),
            is_foreign: !self.filter.takes(namespace, &object.uid),
        };
        self.objects.insert(hash, listed);
        if self.suspects.get(&hash) == Some(&Difference::Missing) {
            self.names.add(key, hash);
        }
    }

    /// Adds an object that is too large to be read.
    pub(super) fn add_unknown(&mut self, key: &str) {
        self.unknown.insert(self.hasher.hash_one(key));
    }

    /// Compares the objects with the rows of the store. `touched` and `without_row` contain objects, as hashes of their
    /// keys. The objects in `touched` have changed since the list was requested. The objects in `without_row` exist,
    /// but have no row.
    pub(super) fn compare(
        mut self,
        rows: &FeederRows,
        touched: &HashSet<u64>,
        without_row: &HashSet<u64>,
    ) -> Comparison {
        let mut comparison = Comparison::default();
        for row in rows.iter() {
            let key = self.hasher.hash_one(row.key);
            let listed = self.objects.remove(&key);
            if touched.contains(&key) || self.unknown.contains(&key) {
                continue;
            }
            let how = match listed {
                None => Difference::Deleted,
                // This is not a difference: the store itself removes objects that its filter excludes.
                Some(object) if object.is_foreign => continue,
                Some(object) if object.uid != self.hasher.hash_one(row.uid) => Difference::Outdated,
                Some(object) if row.version != 0 && object.version > row.version => {
                    Difference::Outdated
                }
                Some(_) => continue,
            };
            comparison.differences.insert(key, how);
            if self.suspects.get(&key) == Some(&how) {
                comparison.names.add(row.key, key);
            }
        }
        for (key, object) in self.objects {
            if object.is_foreign || without_row.contains(&key) {
                comparison.without_row.insert(key);
            } else if !touched.contains(&key) {
                comparison.differences.insert(key, Difference::Missing);
            }
        }
        for (name, key) in self.names.all {
            if comparison.differences.get(&key) == Some(&Difference::Missing) {
                comparison.names.insert(name, key);
            }
        }
        comparison
    }
}

// === impl Names ===

impl Names {
    fn add(&mut self, name: &str, key: u64) {
        let is_late = |(last, _): &(String, u64)| name > last.as_str();
        if self.all.len() < MAX_NAMES || !self.all.last().is_some_and(is_late) {
            self.insert(shortened(name.to_owned()), key);
        }
    }

    /// Adds a name that is already shortened.
    fn insert(&mut self, name: String, key: u64) {
        self.all.insert((name, key));
        if self.all.len() > MAX_NAMES {
            self.all.pop_last();
        }
    }

    /// The names, with the hashes of the objects' keys.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (String, u64)> {
        self.all.into_iter()
    }
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Outdated => "outdated",
            Self::Deleted => "deleted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;
    use crate::scope::Shard;
    use crate::store::{AnyStore, MetricsStore};

    fn object(name: &str, uid: &str, version: &str) -> Peeked {
        Peeked {
            namespace: String::new(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            resource_version: version.to_owned(),
        }
    }

    /// Returns the rows of nodes. Each node is a tuple of a name, a uid and a version.
    fn rows(filter: &ObjectFilter, nodes: &[(&str, &str, &str)]) -> FeederRows {
        let store = MetricsStore::new(families::nodes());
        store.set_filter(filter.clone());
        let mut writer = store.watch_writer();
        for (name, uid, version) in nodes {
            let node = serde_json::json!({
                "metadata": { "name": name, "uid": uid, "resourceVersion": version }
            });
            writer.apply_json(node.to_string().as_bytes()).unwrap();
        }
        writer.written_rows().unwrap().published().unwrap()
    }

    /// Returns the differences between rows and listed objects, as text. `touched` and `without_row` contain names.
    fn differences(
        filter: &ObjectFilter,
        stored: &[(&str, &str, &str)],
        listed: &[(&str, &str, &str)],
        touched: &[&str],
        without_row: &[&str],
    ) -> (Vec<String>, usize) {
        let hasher = RandomState::default();
        let hashes = |names: &[&str]| names.iter().map(|name| hasher.hash_one(*name)).collect();
        let rows = rows(filter, stored);
        let compare = |suspects| {
            let mut list = Listed::new(Arc::new(filter.clone()), hasher.clone(), suspects);
            for (name, uid, version) in listed {
                list.add(name, "", &object(name, uid, version));
            }
            list.add_unknown("large");
            list.compare(&rows, &hashes(touched), &hashes(without_row))
        };
        let first = compare(HashMap::new());
        assert_eq!(first.names.into_sorted().count(), 0);
        let second = compare(first.differences.clone());
        assert_eq!(second.differences, first.differences);
        let names = second.names.into_sorted();
        let texts = names.map(|(name, key)| format!("{name} {}", second.differences[&key]));
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts.len(), second.differences.len());
        (texts, second.without_row.len())
    }

    #[test]
    fn each_difference_is_found_and_named() {
        let all = ObjectFilter::default();
        let stored = [
            ("a", "1", "7"),
            ("b", "2", "8"),
            ("c", "3", "9"),
            ("d", "4", "9"),
            ("e", "5", ""),
            ("large", "6", "9"),
        ];
        let listed = [
            ("a", "1", "7"),
            ("b", "2", "10"),
            ("c", "33", "9"),
            ("e", "5", "12"),
            ("f", "7", "11"),
        ];
        let expected = ["b outdated", "c outdated", "d deleted", "f missing"];
        let expected = (expected.map(String::from).to_vec(), 0);
        assert_eq!(differences(&all, &stored, &listed, &[], &[]), expected);
        let touched = ["b", "c", "d", "f"];
        assert_eq!(
            differences(&all, &stored, &listed, &touched, &[]),
            (vec![], 0)
        );
        let (found, without_row) = differences(&all, &stored, &listed, &["b", "c", "d"], &["f"]);
        assert_eq!((found, without_row), (vec![], 1));
    }

    #[test]
    fn the_names_of_many_objects_take_little_memory() {
        let hasher = RandomState::default();
        let name = |number: usize| format!("{number:05}{}", "n".repeat(10_000));
        let keys = (0..2_000).map(|number| hasher.hash_one(name(number)));
        let suspects = keys.map(|key| (key, Difference::Missing)).collect();
        let filter = ObjectFilter::default();
        let mut list = Listed::new(Arc::new(filter.clone()), hasher, suspects);
        for number in (0..2_000).rev() {
            list.add(&name(number), "", &object("", "1", "7"));
        }
        let rows = rows(&filter, &[]);
        let found = list.compare(&rows, &HashSet::new(), &HashSet::new());
        assert_eq!(found.differences.len(), 2_000);
        let names: Vec<_> = found.names.into_sorted().map(|(name, _)| name).collect();
        assert_eq!(names.len(), MAX_NAMES);
        assert!(names[0].starts_with("00000n") && names[99].starts_with("00099n"));
        let bytes: usize = names.iter().map(String::capacity).sum();
        assert!(bytes <= 4096 * MAX_NAMES, "{bytes} bytes");
    }

    #[test]
    fn objects_of_other_shards_are_no_differences() {
        let shard = ObjectFilter {
            shard: Shard::new(0, 2).unwrap(),
            ..ObjectFilter::default()
        };
        let (own, foreign) = (
            "e41b66d4-13c6-4bdc-a996-431cfcb2185a",
            "f6674cdf-4c09-4967-8fee-3c11732a4852",
        );
        let listed = [("a", own, "7"), ("b", foreign, "7")];
        let found = differences(&shard, &[("a", own, "7")], &listed, &[], &[]);
        assert_eq!(found, (vec![], 1));
        let found = differences(&shard, &[], &listed, &[], &[]);
        assert_eq!(found, (vec![String::from("a missing")], 1));
    }
}
