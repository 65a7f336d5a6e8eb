//! [`JoinSettings`]: the joined labels of a registry, and the objects from which they are joined.
//!
//! The names in the code call these objects *sources*. In the comments, a source is a component that feeds stores, such
//! as a watch.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::errors::BuildProblem;
use super::host_fed::HostFed;
use crate::joins::{Join, JoinConfig, JoinSources, RowJoins, SourceFeed, SourceKind};
use crate::k8s::is_valid_label_name;
use crate::resource::{ResourceInfo, ResourceName};

/// The maximum number of joined labels of a resource. Each sample of the resource repeats its joined labels.
const MAX_JOINED_LABELS: usize = 100;

/// The configuration of the joined labels of all resources, and the objects that provide these labels.
#[derive(Debug, Default)]
pub(crate) struct JoinSettings {
    config: JoinConfig,
    /// `None` if there are no joined labels.
    sources: Option<Arc<JoinSources>>,
}

// === impl JoinSettings ===

impl JoinSettings {
    /// Checks the configuration of joined labels. `registered` contains the resources that have samples, and `known`
    /// contains the resources that `config` may name. Both are `None` if custom resources are configured, because any
    /// resource can be added later. `constants` contains the names of the constant labels.
    pub(super) fn new(
        config: JoinConfig,
        registered: Option<&[ResourceInfo]>,
        known: Option<&[ResourceInfo]>,
        constants: &[Cow<'static, str>],
        problems: &mut Vec<BuildProblem>,
    ) -> Self {
        let joins: Vec<_> = config.iter().map(|(_, join)| join).collect();
        let constants = constants.iter().map(AsRef::as_ref);
        check_declared(problems, &joins, "the constant labels", constants);
        let mut seen = HashSet::new();
        for (resource, join) in config.iter() {
            if !seen.insert((resource, join.label_name())) {
                problems.push(BuildProblem::RepeatedLabel {
                    label: join.label_name().to_owned(),
                    subject: format!("the joined labels of {resource}"),
                });
            }
            if !is_valid_label_name(join.label_name()) {
                problems.push(BuildProblem::LabelName {
                    label: join.label_name().to_owned(),
                    subject: format!("the joined label `{join}`"),
                });
            }
        }
        let over_limit = config.over_limit(MAX_JOINED_LABELS).into_iter();
        problems.extend(
            over_limit.map(|(resource, count)| BuildProblem::TooManyJoinedLabels {
                resource: resource.to_string(),
                count,
                limit: MAX_JOINED_LABELS,
            }),
        );
        let unknown = known.map(|known| config.unknown_resources(known));
        problems.extend(unknown.into_iter().flatten().map(|resource| {
            BuildProblem::UnknownJoinResource {
                resource: resource.to_string(),
            }
        }));
        // `JoinSources` needs only the joined labels of registered resources.
        let used: Vec<_> = match registered {
            Some(registered) => config.of_resources(registered).collect(),
            None => joins,
        };
        let sources = (!used.is_empty()).then(|| JoinSources::new(used));
        Self { config, sources }
    }

    /// The joined labels of a resource, in the form that its store needs.
    pub(super) fn row_joins(&self, resource: &ResourceInfo) -> Option<Arc<RowJoins>> {
        let sources = self.sources.as_ref()?;
        RowJoins::new(resource, &self.config.of_resource(resource), sources)
    }

    /// Returns a handle for the store of a resource. The store uses the handle to pass its objects to the
    /// [`JoinSources`], because labels are joined from these objects. Returns `None` if no labels are joined from these
    /// objects, or if another store already has this handle.
    pub(super) fn source_feed(&self, resource: &ResourceInfo) -> Option<SourceFeed> {
        let sources = self.sources.as_ref()?;
        // A store of configured families never updates the `JoinSources`, because such a store may be removed at run
        // time.
        let kind = SourceKind::of(resource).filter(|_| !resource.is_configured())?;
        sources.feed_of_store(kind)
    }

    /// The joined labels of a resource.
    pub(super) fn of_resource(&self, resource: &ResourceInfo) -> Vec<&Join> {
        self.config.of_resource(resource)
    }

    /// The objects from which labels are joined; `None` if there are no joined labels.
    pub(crate) fn sources(&self) -> Option<&Arc<JoinSources>> {
        self.sources.as_ref()
    }

    /// Whether labels are joined from the objects of the resource `name`.
    pub(super) fn has_source(&self, name: &ResourceName) -> bool {
        let mut needed = self.sources.iter().flat_map(|sources| sources.needed());
        needed.any(|kind| name.matches(&kind.info()))
    }

    /// Returns feeds for objects that no store contains, and that only provide joined labels. If `by_host` is true,
    /// returns the feeds that the host uses. Otherwise, returns the feeds that the sources of this crate use.
    pub(super) fn without_store(&self, host_fed: &HostFed, by_host: bool) -> Vec<SourceFeed> {
        let Some(sources) = &self.sources else {
            return Vec::new();
        };
        let kinds = sources.without_store().into_iter();
        let kinds = kinds.filter(|kind| host_fed.includes(&kind.info()) == by_host);
        kinds.map(|kind| sources.feed(kind)).collect()
    }
}

/// Reports each joined label whose name is in `declared`. `declared` contains the names of the labels of `subject`.
pub(super) fn check_declared<'a>(
    problems: &mut Vec<BuildProblem>,
    joins: &[&Join],
    subject: &str,
    declared: impl Iterator<Item = &'a str>,
) {
    let declared: BTreeSet<_> = declared.collect();
    for join in joins
        .iter()
        .filter(|join| declared.contains(join.label_name()))
    {
        problems.push(BuildProblem::JoinedLabel {
            join: join.to_string(),
            label: join.label_name().to_owned(),
            subject: subject.to_owned(),
        });
    }
}
