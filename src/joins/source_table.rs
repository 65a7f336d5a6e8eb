//! [`SourceTable`]: a snapshot of all sources, that is of the objects from which labels are joined.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::kinds::SourceKind;
use super::source::Source;

/// The sources of one kind, by `namespace/name` or by `name`.
pub(super) type SourceMap = HashMap<Arc<str>, FedSource, RandomState>;

/// A source, and the number of the feeder that last set this source.
#[derive(Clone, Debug)]
pub(super) struct FedSource {
    pub(super) feeder: u64,
    pub(super) source: Arc<Source>,
}

/// A snapshot of all sources. A clone shares the maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceTable {
    /// For each kind, a number that increases when a source of this kind changes.
    generations: [u64; SourceKind::ALL.len()],
    maps: [Arc<SourceMap>; SourceKind::ALL.len()],
}

// === impl SourceTable ===

impl SourceTable {
    /// A number that increases when a source of this kind changes.
    pub(super) fn generation(&self, kind: SourceKind) -> u64 {
        self.generations[kind as usize]
    }

    /// The number of sources of a kind.
    pub(super) fn len(&self, kind: SourceKind) -> usize {
        self.map(kind).len()
    }

    pub(super) fn get(&self, kind: SourceKind, key: &str) -> Option<&Source> {
        self.map(kind).get(key).map(|fed| &*fed.source)
    }

    /// The source with this key; `None` if this feeder was not the last to set the source.
    pub(super) fn get_of(&self, kind: SourceKind, key: &str, feeder: u64) -> Option<&Source> {
        let fed = self.map(kind).get(key)?;
        (fed.feeder == feeder).then_some(&*fed.source)
    }

    pub(super) fn map(&self, kind: SourceKind) -> &SourceMap {
        &self.maps[kind as usize]
    }

    /// Adds or replaces a source. If the text of the source has not changed, the source keeps its id.
    pub(super) fn set(&mut self, kind: SourceKind, key: &str, feeder: u64, text: &[u8]) {
        match self.map(kind).get(key) {
            Some(fed) if *fed.source.text() == *text => {
                if fed.feeder != feeder
                    && let Some(fed) = self.map_mut(kind).get_mut(key)
                {
                    fed.feeder = feeder;
                }
            }
            _ => {
                let source = Arc::new(Source::new(text));
                let fed = FedSource { feeder, source };
                self.map_mut(kind).insert(key.into(), fed);
                self.count_change(kind);
            }
        }
    }

    /// Removes the source with this key, if this feeder was the last to set it.
    pub(super) fn remove(&mut self, kind: SourceKind, key: &str, feeder: u64) {
        if self
            .map(kind)
            .get(key)
            .is_some_and(|fed| fed.feeder == feeder)
        {
            self.map_mut(kind).remove(key);
            self.count_change(kind);
        }
    }

    /// Removes the sources of a feeder for which `keeps` returns false.
    pub(super) fn retain_of(
        &mut self,
        kind: SourceKind,
        feeder: u64,
        keeps: impl Fn(&str) -> bool,
    ) {
        let is_removed = |key: &str, fed: &FedSource| fed.feeder == feeder && !keeps(key);
        if self.map(kind).iter().any(|(key, fed)| is_removed(key, fed)) {
            self.map_mut(kind).retain(|key, fed| !is_removed(key, fed));
            self.count_change(kind);
        }
    }

    fn count_change(&mut self, kind: SourceKind) {
        self.generations[kind as usize] += 1;
    }

    fn map_mut(&mut self, kind: SourceKind) -> &mut SourceMap {
        Arc::make_mut(&mut self.maps[kind as usize])
    }
}
