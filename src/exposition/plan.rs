//! [`Plan`]: the columns of stores for each family, in the order of the exposition.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::family_column::FamilyColumn;
use super::family_metadata::FamilyMetadata;
use super::header_names::HeaderNames;
use super::plan_family::PlanFamily;
use crate::family::FamilyDescriptor;
use crate::resource::ResourceInfo;
use crate::store::{AnyStore, RowPrefix};

/// Names and values of the labels that every sample has.
pub(crate) type ConstantLabels = Vec<(String, String)>;

/// The stores, and the families of all stores in the order of the exposition.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    stores: Vec<Arc<dyn AnyStore>>,
    families: Vec<PlanFamily>,
}

/// A family that two collectors in Rust declare differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanProblem {
    pub(crate) family: String,
    pub(crate) what: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// The declarations and columns of one family while a plan is made.
struct DeclaredFamily<'a> {
    first: &'a FamilyDescriptor,
    /// The first declaration in Rust, with its resource.
    first_in_rust: Option<(&'a ResourceInfo, &'a FamilyDescriptor)>,
    others: Vec<&'a FamilyDescriptor>,
    columns: Vec<FamilyColumn>,
    may_repeat: bool,
}

// === impl Plan ===

impl Plan {
    /// Arranges the families of all stores: resources by name, families in their order.
    ///
    /// A family that several stores feed is written once, at the position of its first store, with
    /// the help text of that store. Declarations of a configuration may differ from the others: the
    /// family then has a type that covers all of them. Declarations in Rust must agree.
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
                let column = FamilyColumn {
                    store: index,
                    base_labels: family.base,
                    samples: family.column,
                    prefix: RowPrefix::new(name, constants, family.has_base_labels),
                };
                let in_rust =
                    (!store.resource().is_configured()).then_some((store.resource(), descriptor));
                let position = *positions.entry(name).or_insert(declared.len());
                if let Some(earlier) = declared.get_mut(position) {
                    if let Some((resource, descriptor)) = in_rust {
                        problems.extend(earlier.conflicts(descriptor, resource));
                    }
                    earlier.first_in_rust = earlier.first_in_rust.or(in_rust);
                    earlier.others.push(descriptor);
                    earlier.columns.push(column);
                    earlier.may_repeat = true;
                } else {
                    declared.push(DeclaredFamily {
                        first: descriptor,
                        first_in_rust: in_rust,
                        others: Vec::new(),
                        columns: vec![column],
                        may_repeat: !family.identity,
                    });
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut header_names = HeaderNames::new(positions.keys().copied());
        let families = declared.into_iter().map(|family| {
            let metadata = FamilyMetadata::new(family.first, &family.others, &mut header_names);
            PlanFamily::new(metadata, family.columns, family.may_repeat)
        });
        let families = families.collect();
        Ok(Self { stores, families })
    }

    pub(crate) fn stores(&self) -> &[Arc<dyn AnyStore>] {
        &self.stores
    }

    pub(crate) fn families(&self) -> &[PlanFamily] {
        &self.families
    }

    /// The store whose writers also feed `store`, if `store` is linked to another one.
    pub(crate) fn feeder_of(&self, store: &dyn AnyStore) -> Option<&Arc<dyn AnyStore>> {
        self.stores.iter().find(|own| own.is_linked_to(store))
    }

    /// The stores that are not fed through another store.
    pub(crate) fn feeders(&self) -> impl Iterator<Item = &Arc<dyn AnyStore>> {
        (self.stores.iter()).filter(|store| self.feeder_of(&***store).is_none())
    }
}

/// Custom resources sort among the plural names as `group/version, Resource=plural`.
fn sort_name(resource: &ResourceInfo) -> (Cow<'_, str>, &str, &str) {
    (resource.name(), resource.group(), resource.version())
}

// === impl DeclaredFamily ===

impl DeclaredFamily<'_> {
    /// How another declaration in Rust differs from the first one in Rust.
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
