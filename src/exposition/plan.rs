//! The plan: which columns of which stores feed each family, in the order of the exposition.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::duplicates::repeated_lines;
use super::{Format, Prefix, header, prefix};
#[cfg(feature = "custom-resources")]
use crate::custom_resource_state::CustomObject;
use crate::family::FamilyDescriptor;
use crate::resource::{Kind, ResourceInfo};
use crate::scope::ObjectFilter;
use crate::store::{MetricsStore, StoreSnapshot, StoreStats};

/// Names and values of the labels that every sample carries.
pub(crate) type ConstantLabels = Vec<(String, String)>;

/// Families in the order of the exposition, whoever feeds them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    slots: Vec<Arc<dyn Slot>>,
    families: Vec<PlanFamily>,
}

/// One family of the exposition: one header, and samples from one or more columns.
#[derive(Debug)]
pub(crate) struct PlanFamily {
    name: String,
    text_header: Box<[u8]>,
    open_metrics_header: Box<[u8]>,
    pub(crate) sources: Vec<Source>,
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
pub(crate) struct Source {
    pub(crate) slot: usize,
    pub(crate) base: usize,
    pub(crate) column: usize,
    pub(crate) prefix: Prefix,
}

/// A family that two collectors declare in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanProblem {
    pub(crate) family: String,
    pub(crate) what: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// A store of any kind, as the plan sees it.
pub(crate) trait Slot: Send + Sync + fmt::Debug {
    fn resource(&self) -> &ResourceInfo;
    fn families(&self) -> Vec<SlotFamily<'_>>;
    fn snapshot(&self) -> StoreSnapshot;
    fn stats(&self) -> StoreStats;
    fn filter(&self) -> Arc<ObjectFilter>;
    fn set_filter(&self, filter: ObjectFilter);
    /// A writer for a feed of the host's, which feeds the companion as well.
    fn object_writer(&self) -> Box<dyn crate::ObjectWriter>;
    /// The same for a feed of the crate's own.
    #[cfg(feature = "watch")]
    fn own_writer(&self) -> Box<dyn crate::ObjectWriter>;
    /// Whether the host took a writer: it feeds the store itself.
    #[cfg(feature = "watch")]
    fn is_host_fed(&self) -> bool;
    /// Whether another store is fed along with this one.
    fn has_companion(&self, other: &dyn Slot) -> bool;
    /// Changes which one that is.
    #[cfg(feature = "custom-resources")]
    fn set_companion(&self, companion: Option<MetricsStore<CustomObject>>);
    fn as_any(&self) -> &dyn Any;
}

/// A family of a slot and its columns.
pub(crate) struct SlotFamily<'a> {
    pub(crate) descriptor: &'a FamilyDescriptor,
    /// Names that stand in front of its own labels.
    #[cfg(feature = "testing")]
    pub(crate) base_labels: &'a [Cow<'static, str>],
    pub(crate) base: usize,
    pub(crate) column: usize,
    /// Base labels follow the name.
    pub(crate) open: bool,
    /// The base labels tell any two objects apart.
    pub(crate) identity: bool,
}

// === impl Plan ===

impl Plan {
    /// Arranges the families of all slots: resources by name, families in their order.
    ///
    /// A name that several slots feed is one family at its first place.
    pub(crate) fn new(
        mut slots: Vec<Arc<dyn Slot>>,
        constants: &[(String, String)],
    ) -> Result<Self, Vec<PlanProblem>> {
        slots.sort_by(|a, b| sort_name(a.resource()).cmp(&sort_name(b.resource())));
        let mut declared: BTreeMap<&str, (usize, &FamilyDescriptor, &ResourceInfo)> =
            BTreeMap::new();
        let mut arranged: Vec<(Vec<&FamilyDescriptor>, Vec<Source>, bool)> = Vec::new();
        let mut problems = Vec::new();
        for (slot, store) in slots.iter().enumerate() {
            for family in store.families() {
                let name = family.descriptor.name();
                let source = Source {
                    slot,
                    base: family.base,
                    column: family.column,
                    prefix: prefix(name, constants, family.open),
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
        Ok(Self { slots, families })
    }

    pub(crate) fn slots(&self) -> &[Arc<dyn Slot>] {
        &self.slots
    }

    pub(crate) fn families(&self) -> &[PlanFamily] {
        &self.families
    }

    /// The store that a store is fed along with, where it is one's companion.
    pub(crate) fn feeder_of(&self, slot: &dyn Slot) -> Option<&Arc<dyn Slot>> {
        self.slots.iter().find(|own| own.has_companion(slot))
    }

    /// The stores that are fed for themselves.
    pub(crate) fn feeders(&self) -> impl Iterator<Item = &Arc<dyn Slot>> {
        (self.slots.iter()).filter(|slot| self.feeder_of(&***slot).is_none())
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
                .get(source.slot)
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
    pub(super) fn has_headers_of(&self, other: &Self) -> bool {
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

// === impl Slot for MetricsStore ===

impl<K: Kind> Slot for MetricsStore<K> {
    fn resource(&self) -> &ResourceInfo {
        self.schema().resource()
    }

    fn families(&self) -> Vec<SlotFamily<'_>> {
        let schema = self.schema();
        (schema.families().iter().enumerate())
            .map(|(at, active)| SlotFamily {
                descriptor: active.family.descriptor(),
                #[cfg(feature = "testing")]
                base_labels: schema.base_labels(active.base),
                base: active.base,
                column: schema.column(at),
                open: schema.base_is_open(active.base),
                identity: schema.base_is_identity(active.base),
            })
            .collect()
    }

    fn snapshot(&self) -> StoreSnapshot {
        MetricsStore::snapshot(self)
    }

    fn stats(&self) -> StoreStats {
        MetricsStore::stats(self)
    }

    fn set_filter(&self, filter: ObjectFilter) {
        MetricsStore::set_filter(self, filter);
    }

    fn filter(&self) -> Arc<ObjectFilter> {
        MetricsStore::filter(self)
    }

    fn object_writer(&self) -> Box<dyn crate::ObjectWriter> {
        Box::new(self.joint_writer())
    }

    #[cfg(feature = "watch")]
    fn own_writer(&self) -> Box<dyn crate::ObjectWriter> {
        Box::new(MetricsStore::own_writer(self))
    }

    #[cfg(feature = "watch")]
    fn is_host_fed(&self) -> bool {
        MetricsStore::is_host_fed(self)
    }

    fn has_companion(&self, other: &dyn Slot) -> bool {
        MetricsStore::has_companion(self, other.as_any())
    }

    #[cfg(feature = "custom-resources")]
    fn set_companion(&self, companion: Option<MetricsStore<CustomObject>>) {
        MetricsStore::set_companion(self, companion);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
