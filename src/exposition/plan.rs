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
use crate::store::{AnyStore, RowPrefix, StoreFamily, StoreSnapshot};

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
    /// Whether no two samples of the column can have the same series.
    has_identity: bool,
    /// For a column in Rust: whether no sample has the label [`KIND_LABEL`]. For a configured column: whether each
    /// sample has this label.
    is_apart: bool,
}

/// Each sample of a configured family has a label with this name. If the configuration does not replace the label, its
/// value is not empty.
const KIND_LABEL: &str = "customresource_kind";

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
                        // Joined labels come before the other labels, so they can separate labels that are sorted.
                        sorts_labels: in_rust.is_none() && store.row_joins().is_none(),
                        own_wins: family.own_wins,
                    },
                    is_in_rust: in_rust.is_some(),
                    has_identity: family.identity && has_distinct_labels(&family),
                    is_apart: match in_rust {
                        Some(_) => !may_have_kind_label(&family, &**store),
                        None => !descriptor.may_replace_kind_label(),
                    },
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

/// Whether a sample of a family in Rust can have the label [`KIND_LABEL`]: as a constant label, a base label, a joined
/// label or a declared label.
fn may_have_kind_label(family: &StoreFamily<'_>, store: &dyn AnyStore) -> bool {
    let joined = store.row_joins().map_or(&[][..], |joins| joins.names());
    let mut names = family.base_labels.iter().chain(joined);
    let mut declared = family.descriptor.labels();
    names.any(|name| name == KIND_LABEL)
        || declared.any(|label| match label.strip_suffix('*') {
            Some(prefix) => KIND_LABEL.starts_with(prefix),
            None => label == KIND_LABEL,
        })
}

/// Whether two samples of one object always have different series in an exposition, if their own labels differ.
///
/// If a label of a sample can replace a joined label, a sample with its own label can have the same series as a sample
/// with the joined label. But the families `*_labels` and `*_annotations` have only one sample for each object.
fn has_distinct_labels(family: &StoreFamily<'_>) -> bool {
    !family.own_wins || family.descriptor.allowlisted().is_some()
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
        let mut configured = (self.columns.iter()).filter(|declared| !declared.is_in_rust);
        let all_have_kind_label = configured.all(|declared| declared.is_apart);
        let columns = self.columns.into_iter().map(|declared| {
            let DeclaredColumn {
                column,
                is_in_rust,
                has_identity,
                is_apart,
            } = declared;
            let is_apart = is_apart && all_have_kind_label;
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
