//! [`Plan`]: the columns of stores for each family, in the order of the exposition.
//!
//! A family is declared in one of two places: in a Custom Resource State configuration, or in Rust, by a collector of
//! this crate or of the host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::family_column::FamilyColumn;
use super::family_metadata::FamilyMetadata;
use super::header_names::HeaderNames;
use super::plan_family::PlanFamily;
use crate::family::FamilyDescriptor;
use crate::resource::ResourceInfo;
use crate::store::{AnyStore, RowPrefix, StoreSnapshot};

/// The names and the values of the constant labels. Every sample has these labels.
pub(crate) type ConstantLabels = Vec<(String, String)>;

/// All stores, and all families in the order of the exposition.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    stores: Vec<Arc<dyn AnyStore>>,
    /// The indexes of those stores whose families are declared in Rust. Only such a store can share its feed with
    /// another store, the *linked* store.
    in_rust: Vec<usize>,
    families: Vec<PlanFamily>,
}

/// A difference between the declarations of one family by two collectors in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanProblem {
    pub(crate) family: String,
    pub(crate) what: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// The declarations of one family and its columns, while a plan is created.
struct DeclaredFamily<'a> {
    first: &'a FamilyDescriptor,
    /// The first declaration in Rust, and the resource of its collector.
    first_in_rust: Option<(&'a ResourceInfo, &'a FamilyDescriptor)>,
    others: Vec<&'a FamilyDescriptor>,
    columns: Vec<DeclaredColumn>,
}

/// A column, and the properties that determine whether its samples can repeat a series.
struct DeclaredColumn {
    column: FamilyColumn,
    is_in_rust: bool,
    /// Whether no two objects have the same base labels.
    has_identity: bool,
    /// Whether no sample of this column can have the same series as a sample of a configured family.
    is_apart: bool,
}

/// Each sample of a configured family has labels with these names.
const CONFIGURED_LABELS: [&str; 3] = [
    "customresource_group",
    "customresource_kind",
    "customresource_version",
];

// === impl Plan ===

impl Plan {
    /// Sorts the families of all stores: first by the name of the resource, then in the order of their declaration.
    ///
    /// If several stores have the same family, the exposition contains it once, with the position and the help text
    /// from the first of these stores. If several collectors in Rust declare the same family, the declarations must be
    /// equal. A declaration in a configuration may differ. Then the family gets a more general type.
    pub(crate) fn new(
        mut stores: Vec<Arc<dyn AnyStore>>,
        constants: &[(String, String)],
    ) -> Result<Self, Vec<PlanProblem>> {
        stores.sort_by(|a, b| sort_name(a.resource()).cmp(&sort_name(b.resource())));
        let mut positions: HashMap<&str, usize> = HashMap::new();
        let mut declared: Vec<DeclaredFamily<'_>> = Vec::new();
        let mut problems = Vec::new();
        let has_joins = stores.iter().any(|store| store.row_joins().is_some());
        for (index, store) in stores.iter().enumerate() {
            for family in store.families() {
                let descriptor = family.descriptor;
                let name = descriptor.name();
                let in_rust =
                    (!store.resource().is_configured()).then_some((store.resource(), descriptor));
                let column = DeclaredColumn {
                    column: FamilyColumn {
                        store: index,
                        base_labels: family.base,
                        samples: family.column,
                        prefix: RowPrefix::new(name, constants, family.has_base_labels),
                        may_repeat: true,
                        own_wins: family.own_wins,
                    },
                    is_in_rust: in_rust.is_some(),
                    has_identity: family.identity,
                    // `excludes_configured_labels` is correct only if the labels of configured samples are sorted by
                    // name. Joined labels come before the other labels, so the labels of a resource with joined labels
                    // are not sorted.
                    is_apart: !has_joins
                        && excludes_configured_labels(family.base_labels, constants.len()),
                };
                let position = *positions.entry(name).or_insert(declared.len());
                if let Some(earlier) = declared.get_mut(position) {
                    if let Some((resource, descriptor)) = in_rust {
                        problems.extend(earlier.conflicts(descriptor, resource));
                    }
                    earlier.first_in_rust = earlier.first_in_rust.or(in_rust);
                    earlier.others.push(descriptor);
                    earlier.columns.push(column);
                } else {
                    declared.push(DeclaredFamily {
                        first: descriptor,
                        first_in_rust: in_rust,
                        others: Vec::new(),
                        columns: vec![column],
                    });
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut header_names = HeaderNames::new(positions.keys().copied());
        let mut families: Vec<_> = (declared.into_iter())
            .map(|family| {
                let metadata = FamilyMetadata::new(family.first, &family.others);
                (family, metadata)
            })
            .collect();
        // A configuration must not change the OpenMetrics names of families that are declared in Rust. So these
        // families reserve their names first.
        for is_in_rust in [true, false] {
            for (family, metadata) in &mut families {
                if family.first_in_rust.is_some() == is_in_rust {
                    metadata.take_short_name(&mut header_names);
                }
            }
        }
        let families = (families.into_iter())
            .map(|(family, metadata)| PlanFamily::new(metadata, family.columns()));
        let families = families.collect();
        let in_rust = (stores.iter().enumerate())
            .filter(|(_, store)| !store.resource().is_configured())
            .map(|(index, _)| index);
        Ok(Self {
            in_rust: in_rust.collect(),
            stores,
            families,
        })
    }

    pub(crate) fn stores(&self) -> &[Arc<dyn AnyStore>] {
        &self.stores
    }

    /// Returns snapshots of all stores. All joined labels in the snapshots come from the same
    /// moment.
    pub(super) fn snapshots(&self) -> Arc<[StoreSnapshot]> {
        let stores = || self.stores.iter();
        let Some(joins) = stores().find_map(|store| store.row_joins()) else {
            return stores().map(|store| store.snapshot()).collect();
        };
        joins.sources().read(|table| {
            let snapshots = stores().map(|store| match store.row_joins() {
                Some(joins) => store.snapshot().with_joins(joins, table),
                None => store.snapshot(),
            });
            snapshots.collect()
        })
    }

    pub(crate) fn families(&self) -> &[PlanFamily] {
        &self.families
    }

    /// Returns the store that shares its feed with `store`; `None` if `store` has its own feed.
    pub(crate) fn feeder_of(&self, store: &dyn AnyStore) -> Option<&Arc<dyn AnyStore>> {
        let mut in_rust = self.in_rust.iter().filter_map(|at| self.stores.get(*at));
        in_rust.find(|own| own.is_linked_to(store))
    }

    /// Returns the stores that do not share the feed of another store.
    pub(crate) fn feeders(&self) -> impl Iterator<Item = &Arc<dyn AnyStore>> {
        (self.stores.iter()).filter(|store| self.feeder_of(&***store).is_none())
    }
}

/// Whether no sample with these base labels can have the same series as a sample of a configured family.
///
/// Two series are equal only if their texts are equal, so their labels must have the same order. A configured sample
/// begins with the constant labels. Its other labels are sorted by name, and include [`CONFIGURED_LABELS`]. So those
/// with a later name follow [`CONFIGURED_LABELS`].
///
/// So the series always differ if the base labels contain a label with such a later name, but none of
/// [`CONFIGURED_LABELS`].
fn excludes_configured_labels(base_labels: &[Cow<'_, str>], constants: usize) -> bool {
    let is_configured = |label: &Cow<'_, str>| CONFIGURED_LABELS.contains(&&**label);
    let [.., last] = CONFIGURED_LABELS;
    let mut behind_constants = base_labels.iter().skip(constants);
    // If a constant label has one of these names, it replaces the label of the configured sample.
    !base_labels.iter().any(is_configured) && behind_constants.any(|label| **label > *last)
}

/// Returns the key by which resources are sorted: `group/version, Resource=plural` for custom resources, and the plural
/// for all other resources.
fn sort_name(resource: &ResourceInfo) -> (Cow<'_, str>, &str, &str) {
    (resource.name(), resource.group(), resource.version())
}

// === impl DeclaredFamily ===

impl DeclaredFamily<'_> {
    /// Returns the columns. Each column states whether its samples can repeat the series of another row.
    fn columns(self) -> Vec<FamilyColumn> {
        let in_rust = (self.columns.iter()).filter(|declared| declared.is_in_rust);
        let is_only_in_rust = in_rust.count() == 1;
        let is_only = self.columns.len() == 1;
        let columns = self.columns.into_iter().map(|declared| {
            let DeclaredColumn {
                column,
                is_in_rust,
                has_identity,
                is_apart,
            } = declared;
            let excludes_others = is_only || is_in_rust && is_only_in_rust && is_apart;
            FamilyColumn {
                may_repeat: !(has_identity && excludes_others),
                ..column
            }
        });
        columns.collect()
    }

    /// Compares a later declaration in Rust with the first declaration in Rust, and returns the differences.
    fn conflicts(
        &self,
        other: &FamilyDescriptor,
        resource: &ResourceInfo,
    ) -> impl Iterator<Item = PlanProblem> {
        let first = self.first_in_rust.into_iter();
        first.flat_map(move |(first_resource, first)| {
            let differences = [
                ("type", first.metric_type() != other.metric_type()),
                ("help", first.help() != other.help()),
            ];
            let differences = differences.into_iter().filter(|(_, differs)| *differs);
            differences.map(move |(what, _)| PlanProblem {
                family: other.name().to_owned(),
                what,
                first: first_resource.to_string(),
                second: resource.to_string(),
            })
        })
    }
}
