//! The tree of the field names that the families read.

/// The wanted fields of an object: the fields that the families read.
///
/// Paths apply to the items of lists: `spec.containers.name` is the name of every container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    /// All fields.
    #[default]
    All,
    /// All fields except these fields of the metadata.
    AllBut(&'static [&'static str]),
    /// Only these fields.
    Some(Tree),
}

/// The wanted fields by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// The fields, sorted by name. A linear search is fast, because there are few names, and most of them differ in
    /// length from the name that is searched.
    fields: Vec<(String, Fields)>,
    /// Whether the names apply only to the items of a list. If they do, and the value is not a list, the decoder keeps
    /// all fields of the value.
    of_items: bool,
}

/// This suffix of a name states that the rest of the path applies to the items of a list. If the value is not a list,
/// the decoder keeps all fields of the value.
pub(crate) const ITEMS: &str = "[]";

/// Fields that the decoder keeps for every object: the kind, the identity and the resource version.
const ALWAYS: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
];

impl Fields {
    /// The union of the fields of families; `None` means a family that may read everything.
    ///
    /// The parameter is a list and not a generic iterator. Otherwise, the program would contain a copy of this function
    /// for each kind.
    pub(crate) fn union(families: Vec<Option<Vec<&str>>>) -> Self {
        let mut tree = Self::Some(Tree::default());
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

    /// The whole object except `metadata.managedFields`, which no metric reads and which is often more than half of an
    /// object.
    pub(crate) fn whole_object() -> Self {
        Self::AllBut(&["managedFields"])
    }

    /// The paths of the wanted fields. If there is no tree, the only path is the empty path, which means the whole
    /// object.
    pub(super) fn paths(&self) -> Vec<Vec<&str>> {
        let Self::Some(tree) = self else {
            return vec![Vec::new()];
        };
        let paths = tree.fields.iter().flat_map(|(name, below)| {
            let below = below.paths().into_iter();
            below.map(move |path| [&[name.as_str()], &*path].concat())
        });
        paths.collect()
    }

    fn insert<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        let Self::Some(tree) = self else { return };
        let Some(name) = path.next() else {
            *self = Self::All;
            return;
        };
        let (name, of_items) = match name.strip_suffix(ITEMS) {
            Some(name) => (name, true),
            None => (name, false),
        };
        let below = tree.at(name, || Self::Some(Tree::default()));
        if let Self::Some(below) = below {
            below.of_items |= of_items;
        }
        below.insert(path);
    }

    /// Whether all wanted fields are within these paths, apart from `apiVersion` and `kind`.
    pub(crate) fn are_within(&self, paths: &[&str]) -> bool {
        let is_within =
            |path: &[&str]| (0..=path.len()).any(|end| paths.contains(&&*path[..end].join(".")));
        let mut wanted = self.paths().into_iter();
        wanted.all(|path| is_header(&path) || is_within(&path))
    }
}

/// Whether `path` is `apiVersion` or `kind`. In protobuf, these fields are in the envelope and not in the object.
pub(super) fn is_header(path: &[&str]) -> bool {
    matches!(path, ["apiVersion" | "kind"])
}

// === impl Tree ===

impl Tree {
    /// The wanted fields below the field `name`; `None` if the field is not wanted.
    pub(super) fn get(&self, name: &str) -> Option<&Fields> {
        let mut fields = self.fields.iter();
        fields
            .find(|(own, _)| own == name)
            .map(|(_, fields)| fields)
    }

    /// The wanted fields below the field `name`. If the tree lacks the field, adds the field with the value of `new`.
    fn at(&mut self, name: &str, new: impl FnOnce() -> Fields) -> &mut Fields {
        let at = match self.fields.binary_search_by(|(own, _)| (**own).cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                self.fields.insert(at, (name.to_owned(), new()));
                at
            }
        };
        &mut self.fields[at].1
    }

    /// Whether the tree has the fields of the items of a list. If it does, and the value is not a list, the decoder
    /// keeps all fields of the value.
    pub(super) fn is_of_items(&self) -> bool {
        self.of_items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_within_paths_that_have_all_of_them() {
        let union = |paths: &[&'static str]| Fields::union(vec![Some(paths.to_vec())]);
        let fields = union(&["metadata.labels", "metadata.finalizers[]", "type"]);
        assert!(fields.are_within(&["metadata", "type"]));
        assert!(!fields.are_within(&["metadata"]));
        assert!(!fields.are_within(&["metadata.labels", "type"]));
        assert!(union(&[]).are_within(&["metadata"]));
        assert!(union(&["data.key"]).are_within(&["metadata", "data"]));
        assert!(!union(&["type.x"]).are_within(&["metadata", "type.y"]));
        assert!(!union(&[""]).are_within(&["metadata", "type"]));
        assert!(!Fields::whole_object().are_within(&["metadata"]));
    }
}
