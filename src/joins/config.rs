//! [`JoinConfig`]: the joined labels of all resources.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use super::join::{Join, JoinError};
use crate::resource::{ResourceInfo, ResourceName};

/// The joined labels of all resources.
///
/// ```
/// use kube_state_metrics::registry::{Join, JoinConfig};
///
/// let parsed: JoinConfig = "pods=[namespace/team,node/zone],*=[self/tier]".parse()?;
/// let mut built = JoinConfig::default();
/// built.insert("pods", Join::namespace_label("team"));
/// built.insert("pods", Join::node_label("zone"));
/// built.insert("*", Join::self_label("tier"));
/// assert_eq!(parsed, built);
/// assert_eq!(built.to_string(), "pods=[namespace/team,node/zone],*=[self/tier]");
/// assert!(!parsed.is_empty());
/// assert!("pods=namespace/team".parse::<JoinConfig>().is_err());
/// # Ok::<(), kube_state_metrics::registry::JoinError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinConfig {
    joins: Vec<(ResourceName, Join)>,
}

/// The name that means all resources.
const ALL: &str = "*";

// === impl JoinConfig ===

impl JoinConfig {
    /// Adds a joined label to a resource.
    ///
    /// The resource `*` means all resources.
    ///
    /// A resource and `*` may have joined labels with the same name. Then the samples of the resource get only the
    /// label of the resource.
    pub fn insert(&mut self, resource: impl Into<ResourceName>, join: Join) {
        self.joins.push((resource.into(), join));
    }

    /// Whether no resource has a joined label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.joins.is_empty()
    }

    /// The joined labels, each with its resource, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, &Join)> {
        self.joins.iter().map(|(resource, join)| (resource, join))
    }

    /// The joined labels of `resources` and of `*`. The result may contain the same joined label several times.
    pub(crate) fn of_resources<'a>(
        &'a self,
        resources: &'a [ResourceInfo],
    ) -> impl Iterator<Item = &'a Join> {
        let is_used = |name: &ResourceName| {
            name.as_str() == ALL || resources.iter().any(|resource| name.matches(resource))
        };
        let joins = self.joins.iter().filter(move |(name, _)| is_used(name));
        joins.map(|(_, join)| join)
    }

    /// Adds the joined labels of another configuration.
    pub(crate) fn extend(&mut self, other: Self) {
        self.joins.extend(other.joins);
    }

    /// The names of resources in this configuration that are not known. The name `*` is always known.
    pub(crate) fn unknown_resources(&self, known: &[ResourceInfo]) -> Vec<&ResourceName> {
        let names = self.joins.iter().map(|(name, _)| name);
        let unknown = names.filter(|name| {
            name.as_str() != ALL && !known.iter().any(|resource| name.matches(resource))
        });
        let mut unknown: Vec<_> = unknown.collect();
        unknown.dedup();
        unknown
    }

    /// The resources that have more joined labels than `limit`, each with the number of its joined labels. The joined
    /// labels of `*` count for each resource. If they alone exceed the limit, the result contains `*`, and for the other
    /// resources only their own labels count.
    pub(crate) fn over_limit(&self, limit: usize) -> Vec<(&ResourceName, usize)> {
        let mut own = BTreeMap::<_, HashSet<_>>::new();
        for (resource, join) in &self.joins {
            own.entry(resource).or_default().insert(join.label_name());
        }
        let of_all = own.get(&ResourceName::from(ALL)).cloned();
        let of_all = of_all.filter(|names| names.len() <= limit);
        let of_all = of_all.unwrap_or_default();
        let counts = own.into_iter().map(|(resource, names)| {
            let others = of_all.iter().filter(|name| !names.contains(*name));
            (resource, names.len() + others.count())
        });
        counts.filter(|(_, count)| *count > limit).collect()
    }

    /// The joined labels of a resource: first the labels of the resource itself, then the labels of `*`.
    ///
    /// ```
    /// use kube_state_metrics::BuiltIn;
    /// use kube_state_metrics::registry::JoinConfig;
    ///
    /// let config: JoinConfig = "pods=[namespace/team],*=[self/team,self/tier]".parse()?;
    /// let of_pods = config.of_resource(&BuiltIn::Pods.info());
    /// let names: Vec<_> = of_pods.iter().map(|join| join.to_string()).collect();
    /// assert_eq!(names, ["namespace/team", "self/tier"]);
    /// # Ok::<(), kube_state_metrics::registry::JoinError>(())
    /// ```
    #[must_use]
    pub fn of_resource(&self, resource: &ResourceInfo) -> Vec<&Join> {
        let own = self.joins.iter().filter(|(name, _)| name.matches(resource));
        let own: Vec<_> = own.map(|(_, join)| join).collect();
        let of_all = self.joins.iter().filter(|(name, _)| name.as_str() == ALL);
        let names: HashSet<_> = own.iter().map(|join| join.label_name()).collect();
        let of_all = of_all.map(|(_, join)| join);
        let of_all: Vec<_> = of_all
            .filter(|join| !names.contains(join.label_name()))
            .collect();
        [own, of_all].concat()
    }
}

/// Writes the form that the command line accepts.
impl fmt::Display for JoinConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.joins.chunk_by(|(one, _), (other, _)| one == other);
        for (at, group) in groups.enumerate() {
            let separator = if at > 0 { "," } else { "" };
            let joins: Vec<_> = group.iter().map(|(_, join)| join.to_string()).collect();
            let resource = group.first().map(|(resource, _)| resource.as_str());
            write!(
                f,
                "{separator}{}=[{}]",
                resource.unwrap_or_default(),
                joins.join(",")
            )?;
        }
        Ok(())
    }
}

impl FromStr for JoinConfig {
    type Err = JoinError;

    /// Parses the form that the command line accepts: groups `resource=[join,join,...]` with `,` between them.
    fn from_str(text: &str) -> Result<Self, JoinError> {
        let mut config = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let error = || JoinError::List {
                text: rest.to_owned(),
            };
            let (resource, after) = rest.split_once("=[").ok_or_else(error)?;
            let (joins, after) = after.split_once(']').ok_or_else(error)?;
            let resource = resource.trim();
            let name = ResourceName::from(resource);
            if resource != ALL && !name.is_valid() {
                return Err(error());
            }
            for join in joins.split(',').map(str::trim) {
                if joins.trim().is_empty() {
                    break;
                }
                config.insert(name.clone(), join.parse()?);
            }
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) if !next.trim().is_empty() => next.trim(),
                Some(_) => return Err(error()),
                None if after.is_empty() => "",
                None => return Err(error()),
            };
        }
        Ok(config)
    }
}
