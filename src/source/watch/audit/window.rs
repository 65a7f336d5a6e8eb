//! [`Window`]: the changes that a watch receives during an audit, which checks whether the watch has missed changes.
//! Objects that change during the audit cannot be compared.

use std::collections::HashSet;
use std::sync::Arc;

/// The changes that a watch has received since an audit sent its first request.
#[derive(Debug)]
pub(in crate::source::watch) struct Window {
    /// Hashes of the keys of the changed objects.
    touched: Arc<HashSet<u64>>,
    /// For each change, its version and the number of objects after the change. The changes are in the order in which
    /// they arrived.
    counts: Vec<(u64, u64)>,
}

/// Maximum number of recorded changes. If there are more changes, the audit ends without a result.
pub(super) const MAX_CHANGES: usize = 1 << 20;

// === impl Window ===

impl Window {
    /// Creates a window. `count` is the number of objects before the first change.
    pub(super) fn new(count: u64) -> Self {
        Self {
            touched: Arc::default(),
            counts: vec![(0, count)],
        }
    }

    /// Records a change of an object. `key` is the hash of the object's key, `version` is its resource version (0 if
    /// unknown), and `count` is the number of all objects after the change.
    pub(super) fn note(&mut self, key: u64, version: u64, count: u64) {
        if !self.is_full() {
            let last = self.counts.last().map_or(0, |(version, _)| *version);
            let version = version.max(last);
            Arc::make_mut(&mut self.touched).insert(key);
            self.counts.push((version, count));
        }
    }

    /// Whether there were too many changes to record all of them.
    pub(super) fn is_full(&self) -> bool {
        self.counts.len() > MAX_CHANGES
    }

    /// Hashes of the keys of the changed objects.
    pub(super) fn touched(&self) -> Arc<HashSet<u64>> {
        Arc::clone(&self.touched)
    }

    /// The number of objects after all changes up to this version.
    pub(super) fn count_at(&self, version: u64) -> u64 {
        let until = self.counts.partition_point(|(own, _)| *own <= version);
        let last = until.checked_sub(1).and_then(|at| self.counts.get(at));
        last.map_or(0, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_objects_is_known_at_each_version() {
        let mut window = Window::new(10);
        assert_eq!(window.count_at(99), 10);
        for (key, version, count) in [(1, 101, 11), (2, 103, 12), (1, 106, 11)] {
            window.note(key, version, count);
        }
        let counts = [100, 101, 102, 103, 105, 106, 200].map(|version| window.count_at(version));
        assert_eq!(counts, [10, 11, 11, 12, 12, 11, 11]);
        assert_eq!(*window.touched(), HashSet::from([1, 2]));
    }
}
