//! The entries of a map, including the entries of maps that the key `<<` merges into this map.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Node, Scalar, Value};

/// An entry of a map.
pub(crate) struct Entry<'n> {
    pub(crate) key: Cow<'n, str>,
    pub(crate) line: usize,
    pub(crate) value: &'n Arc<Node>,
}

/// Counts the entries that were merged into other maps of a document. Merged maps can merge further maps, so a small
/// text can cause a very large number of merged entries.
#[derive(Debug, Default)]
pub(crate) struct Merges(usize);

/// Maximum number of merged entries in a document.
const MAX_MERGED: usize = 100_000;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MapProblem {
    #[error("a key must be a string, a number, true or false")]
    Key,
    #[error("the key `{key}` is given twice, in lines {first} and {second}; remove one")]
    Twice {
        key: String,
        first: usize,
        second: usize,
    },
    /// The map has a second merge key. In a configuration of custom resources, this is a problem. In a manifest, this
    /// is no problem, because kubectl merges the maps of all merge keys.
    #[error("the key `<<` is given twice, in lines {first} and {second}; remove one")]
    MergedTwice { first: usize, second: usize },
    #[error("`<<` needs a map, or a list of maps, to merge")]
    Merge,
    #[error("more than {MAX_MERGED} entries of maps are merged; write the entries without `<<`")]
    TooManyMerges,
}

/// A function that returns the text of a key, or `None` if the node cannot be a key.
pub(crate) type KeyText<'k> = dyn Fn(&Node) -> Option<Cow<'_, str>> + 'k;

/// A function that is called for each problem, with the node that has the problem.
pub(crate) type Problems<'p> = dyn FnMut(&Node, MapProblem) + 'p;

/// Returns the entries of a map in their order, and then the entries of merged maps. Three rules apply if a key occurs
/// several times:
/// - An entry of the map replaces entries of merged maps.
/// - If two merged maps have the same key, the entry of the first map is used.
/// - If one map has the same key twice, this is reported as a problem, and the second entry is skipped.
///
/// This function is recursive. [`MAX_DEPTH`](super::MAX_DEPTH) limits the depth of the recursion.
pub(crate) fn entries<'n>(
    pairs: &'n [(Arc<Node>, Arc<Node>)],
    key_text: &KeyText<'_>,
    merges: &mut Merges,
    problems: &mut Problems<'_>,
) -> Vec<Entry<'n>> {
    let mut entries: Vec<Entry<'n>> = Vec::with_capacity(pairs.len());
    let mut lines = HashMap::with_capacity(pairs.len());
    let mut merged: Vec<(&Node, &Arc<Node>)> = Vec::new();
    for (key, value) in pairs {
        let line = key.line;
        if is_merge(key) {
            if let Some((first, _)) = merged.first() {
                let (first, second) = (first.line, line);
                problems(key, MapProblem::MergedTwice { first, second });
            }
            merged.push((key, value));
            continue;
        }
        let Some(text) = key_text(key) else {
            problems(key, MapProblem::Key);
            continue;
        };
        match lines.get(&text) {
            Some(first) => problems(key, MapProblem::twice(&text, *first, line)),
            None => {
                lines.insert(text.clone(), line);
                let key = text;
                entries.push(Entry { key, line, value });
            }
        }
    }
    let maps = merged
        .into_iter()
        .flat_map(|(_, value)| match &value.value {
            Value::List(items) => items.as_slice(),
            // The loop below reports a problem if this value is a scalar.
            Value::Map(_) | Value::Scalar(_) => std::slice::from_ref(value),
        });
    for map in maps {
        let Value::Map(pairs) = &map.value else {
            problems(map, MapProblem::Merge);
            continue;
        };
        if !merges.add(pairs.len(), || problems(map, MapProblem::TooManyMerges)) {
            break;
        }
        for entry in self::entries(pairs, key_text, merges, problems) {
            if !lines.contains_key(&entry.key) {
                lines.insert(entry.key.clone(), entry.line);
                entries.push(entry);
            }
        }
    }
    entries
}

/// Whether a key is `<<`, or has the tag `!!merge`.
fn is_merge(key: &Node) -> bool {
    let Value::Scalar(scalar) = &key.value else {
        return false;
    };
    let Scalar { text, plain, tag } = scalar;
    text == "<<"
        && match tag.core() {
            Some(tag) => tag == "merge",
            None => *plain,
        }
}

// === impl Merges ===

impl Merges {
    /// Counts the entries of a map that is merged. Returns `false` if the total exceeds the limit. Calls `report` when
    /// the total exceeds the limit for the first time.
    fn add(&mut self, entries: usize, report: impl FnOnce()) -> bool {
        let is_first = self.0 <= MAX_MERGED;
        self.0 += 1 + entries;
        let is_within = self.0 <= MAX_MERGED;
        if is_first && !is_within {
            report();
        }
        is_within
    }
}

// === impl MapProblem ===

impl MapProblem {
    fn twice(key: &str, first: usize, second: usize) -> Self {
        let key = key.to_owned();
        Self::Twice { key, first, second }
    }
}
