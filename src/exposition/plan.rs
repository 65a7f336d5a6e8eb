//! The plan: which columns of which stores feed each family, in the order of the exposition.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::duplicates::repeated_lines;
use super::{Format, header};
use crate::family::FamilyDescriptor;
use crate::resource::ResourceInfo;
use crate::store::{AnyStore, RowPrefix, StoreSnapshot};

/// Names and values of the labels that every sample carries.
pub(crate) type ConstantLabels = Vec<(String, String)>;

/// Families in the order of the exposition, whoever feeds them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    stores: Vec<Arc<dyn AnyStore>>,
    families: Vec<PlanFamily>,
}

/// One family of the exposition: one header, and samples from one or more columns.
#[derive(Debug)]
pub(crate) struct PlanFamily {
    name: String,
    text_header: Box<[u8]>,
    open_metrics_header: Box<[u8]>,
    pub(crate) sources: Vec<SourceColumn>,
    /// Equal series from different rows are possible and have to be looked for.
    may_repeat: bool,
    /// The repeated lines of the columns last looked at.
    repeated: Mutex<Repeated>,
}

/// The versions of some columns, and the lines among them that repeat earlier series.
#[derive(Debug)]
struct Repeated {
    versions: Vec<u64>,
    lines: Arc<[usize]>,
}

/// One column that feeds a family.
#[derive(Debug)]
pub(crate) struct SourceColumn {
    pub(crate) store: usize,
    pub(crate) base: usize,
    pub(crate) column: usize,
    pub(crate) prefix: RowPrefix,
}

/// A family that two collectors declare in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanProblem {
    pub(crate) family: String,
    pub(crate) what: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
}

// === impl Plan ===

impl Plan {
    /// Arranges the families of all stores: resources by name, families in their order.
    ///
    /// A name that several stores feed is one family at its first place.
    pub(crate) fn new(
        mut stores: Vec<Arc<dyn AnyStore>>,
        constants: &[(String, String)],
    ) -> Result<Self, Vec<PlanProblem>> {
        stores.sort_by(|a, b| sort_name(a.resource()).cmp(&sort_name(b.resource())));
        let mut declared: BTreeMap<&str, (usize, &FamilyDescriptor, &ResourceInfo)> =
            BTreeMap::new();
        let mut arranged: Vec<(Vec<&FamilyDescriptor>, Vec<SourceColumn>, bool)> = Vec::new();
        let mut problems = Vec::new();
        for (index, store) in stores.iter().enumerate() {
            for family in store.families() {
                let name = family.descriptor.name();
                let source = SourceColumn {
                    store: index,
                    base: family.base,
                    column: family.column,
                    prefix: RowPrefix::new(name, constants, family.has_base_labels),
                };
                let Some(&(at, first, resource)) = declared.get(name) else {
                    declared.insert(name, (arranged.len(), family.descriptor, store.resource()));
                    arranged.push((vec![family.descriptor], vec![source], !family.identity));
                    continue;
                };
                let (first_by, second_by) = (resource.to_string(), store.resource().to_string());
                let mut conflict = |what| {
                    problems.push(PlanProblem {
                        family: name.to_owned(),
                        what,
                        first: first_by.clone(),
                        second: second_by.clone(),
                    });
                };
                if first.metric_type() != family.descriptor.metric_type() {
                    conflict("type");
                }
                if first.help() != family.descriptor.help() {
                    conflict("help");
                }
                if let Some((declared, sources, may_repeat)) = arranged.get_mut(at) {
                    declared.push(family.descriptor);
                    sources.push(source);
                    *may_repeat = true;
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let families = arranged.into_iter().map(|(own, sources, may_repeat)| {
            let taken = |name: &str| declared.contains_key(name);
            PlanFamily {
                name: own.first().map_or("", |own| own.name()).to_owned(),
                text_header: header::header(&own, Format::Text, taken),
                open_metrics_header: header::header(&own, Format::OpenMetrics, taken),
                sources,
                may_repeat,
                repeated: Mutex::new(Repeated {
                    versions: Vec::new(),
                    lines: Arc::default(),
                }),
            }
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

    /// The store that a store is fed along with, where it is one's companion.
    pub(crate) fn feeder_of(&self, store: &dyn AnyStore) -> Option<&Arc<dyn AnyStore>> {
        self.stores.iter().find(|own| own.has_companion(store))
    }

    /// The stores that are fed for themselves.
    pub(crate) fn feeders(&self) -> impl Iterator<Item = &Arc<dyn AnyStore>> {
        (self.stores.iter()).filter(|store| self.feeder_of(&***store).is_none())
    }
}

/// Custom resources sort among the plural names as `group/version, Resource=plural`.
fn sort_name(resource: &ResourceInfo) -> (Cow<'_, str>, &str, &str) {
    (resource.name(), resource.group(), resource.version())
}

// === impl PlanFamily ===

impl PlanFamily {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The lines that repeat an earlier row's series, numbered over all sources.
    ///
    /// Looks only where such lines are possible, and only once while nothing changes.
    pub(crate) fn repeated_lines(&self, snapshots: &[StoreSnapshot]) -> Arc<[usize]> {
        if !self.may_repeat {
            return Arc::default();
        }
        let mut versions = Vec::new();
        for source in &self.sources {
            let pages = snapshots
                .get(source.store)
                .into_iter()
                .flat_map(StoreSnapshot::pages);
            for page in pages {
                let columns = [source.base, source.column].map(|at| page.columns().get(at));
                let own = columns.map(|column| column.map_or(0, |column| column.version()));
                versions.extend(own.into_iter().chain([page.shared_version()]));
            }
        }
        let mut repeated = self.repeated.lock();
        if repeated.versions != versions {
            repeated.lines = repeated_lines(&self.sources, snapshots).into();
            repeated.versions = versions;
        }
        Arc::clone(&repeated.lines)
    }

    /// Whether two families look the same around their samples.
    #[cfg(all(feature = "gzip", feature = "custom-resources"))]
    pub(crate) fn has_headers_of(&self, other: &Self) -> bool {
        self.text_header == other.text_header
            && self.open_metrics_header == other.open_metrics_header
    }

    pub(crate) fn header(&self, format: Format) -> &[u8] {
        match format {
            Format::Text => &self.text_header,
            Format::OpenMetrics => &self.open_metrics_header,
        }
    }
}
