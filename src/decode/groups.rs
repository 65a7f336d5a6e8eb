//! [`FieldGroups`]: the fields that families read, in groups of fields that often change together.
//!
//! A scan of an object computes a hash (*fingerprint*) for each group, and the store keeps these hashes. Few groups
//! save memory. Many groups save CPU time: the samples of a family are generated again only if a group that the family
//! reads has changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::fields::ITEMS;
use super::fingerprint::{GroupSet, MAX_GROUPS};

/// The fields that families read. Each field belongs to a group. Paths are cut after the second name: the path
/// `status.conditions.type` becomes `status.conditions`.
#[derive(Debug)]
pub(crate) struct FieldGroups {
    /// The fields of the object. The first field is always the metadata.
    fields: Vec<GroupedField>,
    count: usize,
    has_all_fields: bool,
}

/// A top-level field that families read.
#[derive(Debug)]
pub(super) struct GroupedField {
    pub(super) name: String,
    /// The groups of all fields below this field. If the value of this field is not a map, the value belongs to all
    /// these groups.
    pub(super) groups: GroupSet,
    /// The fields below this field, with their groups; empty if a family reads the whole value.
    pub(super) below: Vec<(String, GroupSet)>,
}

/// The changes of an object after which a family must generate its samples again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The groups of the fields that the family reads.
    pub(crate) groups: GroupSet,
    /// Whether every event can change the samples. This is true if the family reads undeclared fields or the resource
    /// version.
    pub(crate) each_event: bool,
}

/// What a path selects in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'p> {
    /// The name, the namespace or the UID, which identify the object.
    Identity,
    /// The resource version, the API version or the kind. Every event can change these fields.
    Header,
    /// More than one grouped field, such as the whole metadata.
    Everything,
    Field(&'p str, Option<&'p str>),
}

/// The name of the top-level field that contains the metadata.
pub(super) const METADATA: &str = "metadata";
const STATUS: &str = "status";
/// The field of a status that changes most often, because conditions can contain the time of a heartbeat.
const CONDITIONS: &str = "conditions";

/// Returns the class of a field that is not in the status: 0 for the metadata, 1 for the specification, 2 for all other
/// fields. All fields of a class share one group.
fn group_outside_status(name: &str) -> usize {
    match name {
        METADATA => 0,
        "spec" => 1,
        _ => 2,
    }
}

// === impl FieldGroups ===

impl FieldGroups {
    /// Divides the paths that families read into groups. `None` stands for a family that may read every field.
    ///
    /// The parameter is a list, not a generic iterator. With a generic parameter, the compiled program would contain a
    /// copy of this function for each kind.
    pub(crate) fn new(families: Vec<Option<Vec<&str>>>) -> Self {
        // The key is a field. The value is the number of paths that select the field.
        let mut paths: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        let mut has_all_fields = true;
        for reads in families {
            has_all_fields &= reads.is_some();
            for path in reads.into_iter().flatten() {
                match part(path) {
                    Part::Identity | Part::Header => {}
                    Part::Everything => has_all_fields = false,
                    Part::Field(name, below) => *paths.entry((name, below)).or_default() += 1,
                }
            }
        }
        let whole: Vec<_> = (paths.keys().filter(|(_, below)| below.is_none()))
            .map(|(name, _)| *name)
            .collect();
        // If a family reads a whole value, the value is not divided into its fields.
        paths.retain(|(name, below), _| below.is_none() || !whole.contains(name));
        let is_hot = |(name, below): (&str, Option<&str>)| name == STATUS && below.is_some();
        let mut outside = [None; 3];
        let mut count = 0;
        for &(name, below) in paths.keys() {
            let group = &mut outside[group_outside_status(name)];
            if !is_hot((name, below)) && group.is_none() {
                *group = Some(count);
                count += 1;
            }
        }
        let mut hot: Vec<_> = (paths.iter().filter(|(path, _)| is_hot(**path)))
            .map(|((_, below), paths)| (below.unwrap_or_default(), *paths))
            .collect();
        hot.sort_by_key(|&(name, paths)| (Reverse((name == CONDITIONS, paths)), name));
        let first_hot = count;
        let group_of_hot = |name: &str| {
            let at = hot.iter().position(|(hot, _)| *hot == name).unwrap_or(0);
            (first_hot + at).min(MAX_GROUPS - 1)
        };
        count = (count + hot.len()).clamp(1, MAX_GROUPS);

        let mut fields = vec![GroupedField::new(METADATA)];
        for &(name, below) in paths.keys() {
            let group = match below {
                Some(below) if is_hot((name, Some(below))) => group_of_hot(below),
                _ => outside[group_outside_status(name)].unwrap_or(0),
            };
            let at = fields.iter().position(|field| field.name == name);
            let at = at.unwrap_or_else(|| {
                fields.push(GroupedField::new(name));
                fields.len() - 1
            });
            let field = &mut fields[at];
            field.groups = field.groups.with(GroupSet::of(group));
            if let Some(below) = below {
                field.below.push((below.to_owned(), GroupSet::of(group)));
            }
        }
        Self {
            fields,
            count,
            has_all_fields,
        }
    }

    /// Whether families read only the grouped fields, the identity, the API version and the kind.
    pub(super) fn has_all_fields(&self) -> bool {
        self.has_all_fields
    }

    /// The number of groups, at least 1.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the changes of an object after which a family that reads these paths must generate its samples again.
    /// `None` stands for a family that may read every field.
    pub(crate) fn dependency<'a>(
        &self,
        reads: Option<impl IntoIterator<Item = &'a str>>,
    ) -> Dependency {
        let mut dependency = Dependency {
            each_event: reads.is_none(),
            ..Dependency::default()
        };
        for path in reads.into_iter().flatten() {
            match part(path) {
                Part::Identity => {}
                Part::Header | Part::Everything => dependency.each_event = true,
                Part::Field(name, below) => {
                    let groups = self.group_of(name, below);
                    dependency.groups = dependency.groups.with(groups);
                }
            }
        }
        dependency
    }

    /// The grouped fields. The metadata is always the first field.
    pub(super) fn fields(&self) -> &[GroupedField] {
        &self.fields
    }

    fn group_of(&self, name: &str, below: Option<&str>) -> GroupSet {
        let mut fields = self.fields.iter();
        let Some(field) = fields.find(|field| field.name == name) else {
            return GroupSet::EMPTY;
        };
        let mut fields = field.below.iter();
        let found = below.and_then(|below| fields.find(|(name, _)| name == below));
        found.map_or(field.groups, |(_, group)| *group)
    }
}

// === impl GroupedField ===

impl GroupedField {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: GroupSet::EMPTY,
            below: Vec::new(),
        }
    }

    /// Whether the scan reads the fields inside the value one by one. This is necessary if they belong to different
    /// groups, or if some of them belong to no group.
    pub(super) fn is_split(&self) -> bool {
        !self.below.is_empty() || self.name == METADATA
    }
}

// === impl Dependency ===

impl Dependency {
    /// Combines two dependencies. The result contains the groups of both.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            groups: self.groups.with(other.groups),
            each_event: self.each_event || other.each_event,
        }
    }

    /// Whether an event that changes these groups can change the samples.
    pub(crate) fn is_on(self, changed: GroupSet) -> bool {
        self.each_event || self.groups.overlaps(changed)
    }
}

/// Returns what a path selects in an object.
fn part(path: &str) -> Part<'_> {
    let mut names = path.split('.');
    let name = names.next().unwrap_or_default();
    let (name, below) = match name.strip_suffix(ITEMS) {
        // The value is a list, so the next name is a field of its items.
        Some(name) => (name, None),
        None => (name, names.next()),
    };
    let below = below.map(|below| below.strip_suffix(ITEMS).unwrap_or(below));
    match (name, below) {
        ("", _) | (METADATA, None | Some("" | "managedFields")) => Part::Everything,
        // The API server does not send `apiVersion` and `kind` with every object, so each event can add or remove them.
        ("apiVersion" | "kind", _) | (METADATA, Some("resourceVersion")) => Part::Header,
        (METADATA, Some("name" | "namespace" | "uid")) => Part::Identity,
        (name, below) => Part::Field(name, below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(families: &[&[&'static str]]) -> FieldGroups {
        FieldGroups::new(families.iter().map(|paths| Some(paths.to_vec())).collect())
    }

    fn dependency(groups: &FieldGroups, path: &str) -> Dependency {
        groups.dependency(Some([path]))
    }

    #[test]
    fn the_conditions_and_the_fields_of_the_status_with_most_readers_have_groups_of_their_own() {
        let groups = groups(&[
            &["metadata.labels", "spec.a.b", "spec.c", "other"],
            &[
                "status.conditions.type",
                "status.few",
                "status.fewer",
                "status.rare",
            ],
            &["status.many.a", "status.many.b"],
        ]);
        assert_eq!(groups.count(), MAX_GROUPS);
        let group = |path| dependency(&groups, path).groups;
        assert_eq!(group("spec.a.b"), group("spec.c"));
        assert_eq!(group("status.few"), group("status.fewer"));
        assert_eq!(group("status.few"), group("status.rare"));
        let all = [
            "metadata.labels",
            "spec.c",
            "other",
            "status.conditions.type",
            "status.many.a",
            "status.few",
        ];
        for (at, path) in all.iter().enumerate() {
            assert!(!group(path).is_empty());
            assert!(all[..at].iter().all(|other| group(other) != group(path)));
        }
    }

    #[test]
    fn a_resource_without_a_status_needs_few_groups() {
        assert_eq!(groups(&[]).count(), 1);
        assert_eq!(
            groups(&[&["metadata.labels", "metadata.annotations"]]).count(),
            1
        );
        assert_eq!(
            groups(&[&["metadata.labels"], &["rules.a", "subjects"]]).count(),
            2
        );
    }

    #[test]
    fn a_family_that_reads_what_each_event_changes_is_always_generated() {
        let groups = groups(&[&["metadata.labels"]]);
        for path in [
            "",
            "metadata",
            "metadata[].x",
            "kind",
            "metadata.resourceVersion",
        ] {
            assert!(dependency(&groups, path).is_on(GroupSet::EMPTY), "{path}");
        }
        assert!(groups.dependency(None::<[&str; 0]>).each_event);
        let identity = groups.dependency(Some(["metadata.name", "metadata.uid"]));
        assert_eq!(identity, Dependency::default());
    }

    #[test]
    fn a_value_that_a_family_reads_as_a_whole_is_not_split() {
        let groups = groups(&[
            &["status.phase"],
            &["status"],
            &["list[].a"],
            &["spec.parts[].name"],
        ]);
        let fields = groups.fields().iter().skip(1);
        let split: Vec<_> = fields
            .map(|field| (&*field.name, field.is_split()))
            .collect();
        assert_eq!(split, [("list", false), ("spec", true), ("status", false)]);
        assert_eq!(
            dependency(&groups, "status.phase"),
            dependency(&groups, "status")
        );
    }
}
