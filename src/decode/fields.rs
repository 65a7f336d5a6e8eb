//! The names of the fields that families read, as a tree.

/// The wanted fields of an object, that is, the fields that families read.
///
/// In a path, the name after a list is a field of its items: `spec.containers.name` is the name of every container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fields {
    /// All fields.
    #[default]
    All,
    /// All fields, but not these fields of the metadata.
    AllBut(&'static [&'static str]),
    /// Only these fields.
    Some(Tree),
}

/// Wanted fields. Each field has a name and the wanted fields below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// The fields, sorted by name. A lookup compares the names one after another. This is fast, because there are few
    /// names, and names of different lengths differ immediately.
    fields: Vec<(String, Fields)>,
    /// Whether the names are fields of the items of a list. In this case, the value in an object should be a list. If
    /// it is not, the decoder keeps all fields of the value.
    of_items: bool,
}

/// In a path, this suffix of a name states that the value is a list. The next name in the path is then a field of the
/// items. If the value in an object is not a list, the decoder keeps all fields of the value.
pub(crate) const ITEMS: &str = "[]";

/// Fields that the decoder keeps in every object: the API version, the kind, the identity and the resource version.
const ALWAYS: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
];

impl Fields {
    /// Returns all fields that any of these families reads. `None` stands for a family that may read every field.
    ///
    /// The parameter is a list, not a generic iterator. With a generic parameter, the compiled program would contain a
    /// copy of this function for each kind.
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

    /// The whole object without `metadata.managedFields`. No metric reads this field, and it is often more than half of
    /// the object.
    pub(crate) fn whole_object() -> Self {
        Self::AllBut(&["managedFields"])
    }

    /// Returns the paths of the wanted fields. If all fields are wanted, the only path is the empty path, which stands
    /// for the whole object.
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

    /// Whether families read only the metadata. Then an object of the kind [`PARTIAL`](super::PARTIAL) has all fields
    /// that they read.
    pub(super) fn are_in_metadata(&self) -> bool {
        let Self::Some(tree) = self else { return false };
        let mut names = tree.fields.iter().map(|(name, _)| name.as_str());
        names.all(|name| name == "metadata" || is_header(&[name]))
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

    /// Whether each wanted field is at or below one of these paths. The fields `apiVersion` and `kind` do not matter.
    pub(crate) fn are_within(&self, paths: &[&str]) -> bool {
        let is_within =
            |path: &[&str]| (0..=path.len()).any(|end| paths.contains(&&*path[..end].join(".")));
        let mut wanted = self.paths().into_iter();
        wanted.all(|path| is_header(&path) || is_within(&path))
    }
}

/// Whether `path` is `apiVersion` or `kind`. In protobuf, these two fields are in the envelope, not in the object.
pub(super) fn is_header(path: &[&str]) -> bool {
    matches!(path, ["apiVersion" | "kind"])
}

// === impl Tree ===

impl Tree {
    /// Returns the wanted fields below the field `name`; `None` if this field is not wanted.
    pub(super) fn get(&self, name: &str) -> Option<&Fields> {
        let mut fields = self.fields.iter();
        fields
            .find(|(own, _)| own == name)
            .map(|(_, fields)| fields)
    }

    /// Returns the wanted fields below the field `name`. If the field `name` is not in the tree, adds it with the
    /// result of `new`.
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

    /// Whether the names in this tree are fields of the items of a list. In this case, the value in an object should be
    /// a list. If it is not, the decoder keeps all fields of the value.
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
