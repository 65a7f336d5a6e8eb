//! The tree of field names that some family reads.

use std::collections::BTreeMap;

/// Which fields of an object are wanted: all, or those named in a tree.
///
/// Lists are walked through: `spec.containers.name` is the name of every container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Everything from here on.
    #[default]
    All,
    /// Everything but these fields.
    AllBut(&'static [&'static str]),
    /// Only these fields.
    Some(BTreeMap<String, Fields>),
}

/// Read for every object, whatever its families read: identity and ordering.
const ALWAYS: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
];

impl Fields {
    /// The union of what families read; `None` stands for a family that may read everything.
    pub(crate) fn union<'a, P>(families: impl IntoIterator<Item = Option<P>>) -> Self
    where
        P: IntoIterator<Item = &'a str>,
    {
        let mut tree = Self::Some(BTreeMap::new());
        for path in ALWAYS {
            tree.insert(path.split('.'));
        }
        for paths in families {
            let Some(paths) = paths else {
                return Self::whole_object();
            };
            for path in paths {
                if path.is_empty() {
                    return Self::All;
                }
                tree.insert(path.split('.'));
            }
        }
        tree
    }

    /// The whole object but the bookkeeping that no metric shows and that is often the larger half.
    pub(crate) fn whole_object() -> Self {
        Self::AllBut(&["managedFields"])
    }

    fn insert<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        let Self::Some(children) = self else { return };
        match path.next() {
            None => *self = Self::All,
            Some(name) => (children.entry(name.to_owned()))
                .or_insert_with(|| Self::Some(BTreeMap::new()))
                .insert(path),
        }
    }
}
