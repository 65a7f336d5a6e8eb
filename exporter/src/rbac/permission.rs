//! [`Permission`]: the permission to use some verbs on one resource of the API server. [`Permissions`]: all permissions
//! that the exporter needs.
//!
//! A permission *includes* another permission if it allows everything that the other permission allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The verbs of a permission, in the order in which a rule of a role lists them.
pub(crate) type Verbs = &'static [&'static str];

/// The verbs that a watch needs. `get` is not needed, because the exporter does not request single objects.
pub(super) const LIST_AND_WATCH: Verbs = &["list", "watch"];
pub(super) const GET: Verbs = &["get"];
pub(super) const CREATE: Verbs = &["create"];
pub(super) const GET_AND_UPDATE: Verbs = &["get", "update"];

/// The permission to use some verbs on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// The namespace in which the permission applies; `None` for all namespaces, and for cluster-scoped resources.
    pub(crate) namespace: Option<String>,
    /// The API group of the resource; empty for the core group.
    pub(crate) group: String,
    /// The plural name of the resource; `*` for all resources of the group.
    pub(crate) resource: String,
    /// If the permission applies to only one object, its name; otherwise `None`.
    pub(crate) name: Option<String>,
    pub(crate) verbs: Verbs,
}

/// A set of permissions for each [`Permission::namespace`]. No permission includes another permission, and no set is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions(BTreeMap<Option<String>, BTreeSet<Permission>>);

// === impl Permission ===

impl Permission {
    /// Creates the permission to use verbs on all objects of a resource.
    pub(super) fn new(namespace: Option<&str>, group: &str, resource: &str, verbs: Verbs) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: None,
            verbs,
        }
    }

    /// Creates the permission to `list` and `watch` all objects of a resource.
    pub(super) fn watch(namespace: Option<&str>, group: &str, resource: &str) -> Self {
        Self::new(namespace, group, resource, LIST_AND_WATCH)
    }

    /// Restricts the permission to one object.
    pub(super) fn named(self, name: String) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    fn includes(&self, other: &Self) -> bool {
        let includes_name = self.name.is_none() || self.name == other.name;
        let includes_namespace = self.namespace.is_none() || self.namespace == other.namespace;
        let includes_resource = self.resource == "*" || self.resource == other.resource;
        includes_name
            && includes_namespace
            && includes_resource
            && self.group == other.group
            && other.verbs.iter().all(|verb| self.verbs.contains(verb))
    }
}

/// Writes the resource with its group, such as `deployments.apps in namespace shop`. If the permission has a name or a
/// namespace, the text also contains these.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " named {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

// === impl Permissions ===

impl Permissions {
    /// Adds a permission. If an existing permission includes the new one, adds nothing. Removes existing permissions
    /// that the new permission includes.
    pub(super) fn add(&mut self, permission: Permission) {
        let is_included = |namespace: &Option<String>| {
            let set = self.0.get(namespace);
            set.is_some_and(|set| set.iter().any(|own| own.includes(&permission)))
        };
        if is_included(&None) || is_included(&permission.namespace) {
            return;
        }
        let is_kept = |own: &Permission| !permission.includes(own);
        if permission.namespace.is_none() {
            self.0.retain(|_, set| {
                set.retain(is_kept);
                !set.is_empty()
            });
        } else if let Some(set) = self.0.get_mut(&permission.namespace) {
            // Here, the new permission applies to one namespace, so it can include only permissions in the set of this
            // namespace. The code does not search the sets of other namespaces, because there may be thousands of them.
            set.retain(is_kept);
        }
        let set = self.0.entry(permission.namespace.clone()).or_default();
        set.insert(permission);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.0.values().flatten()
    }

    /// The permissions by namespace. Permissions for all namespaces come first.
    pub(super) fn by_namespace(
        &self,
    ) -> impl Iterator<Item = (Option<&str>, &BTreeSet<Permission>)> {
        let sets = self.0.iter();
        sets.map(|(namespace, set)| (namespace.as_deref(), set))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut all = Self::default();
        for permission in permissions {
            all.add(permission);
        }
        all
    }
}
