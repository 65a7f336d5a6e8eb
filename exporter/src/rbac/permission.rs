//! [`Permission`]: verbs on one resource, and sets of them.

use std::collections::BTreeSet;
use std::fmt;

/// The verbs of a permission, in the order in which a rule lists them.
pub(crate) type Verbs = &'static [&'static str];

/// The verbs that a watch needs. A watch does not need `get`, because the exporter reads only lists and changes.
pub(super) const LIST_AND_WATCH: Verbs = &["list", "watch"];
pub(super) const GET: Verbs = &["get"];
pub(super) const CREATE: Verbs = &["create"];

/// Verbs on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// `None` for all namespaces, and for cluster-scoped resources.
    pub(crate) namespace: Option<String>,
    /// Empty for the core group.
    pub(crate) group: String,
    /// The plural name; `*` for all resources of the group.
    pub(crate) resource: String,
    /// The name of the only object that the permission applies to; `None` for all objects.
    pub(crate) name: Option<String>,
    pub(crate) verbs: Verbs,
}

/// A set of permissions. None of them includes another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions(BTreeSet<Permission>);

// === impl Permission ===

impl Permission {
    /// Verbs on all objects of a resource.
    pub(super) fn new(namespace: Option<&str>, group: &str, resource: &str, verbs: Verbs) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: None,
            verbs,
        }
    }

    /// `list` and `watch` on all objects of a resource.
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

    /// Whether the permission allows everything that the other permission allows.
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

/// Writes the resource with its group, and the name and the namespace if there are any, such as
/// `deployments.apps in namespace shop`.
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
    /// Adds a permission, unless another one includes it. Removes the permissions that the new one includes.
    pub(super) fn add(&mut self, permission: Permission) {
        let namespace = permission.namespace.as_deref();
        let includes = |own: &Permission| own.includes(&permission);
        if self.of_namespace(None).any(includes) || self.of_namespace(namespace).any(includes) {
            return;
        }
        let included = |own: &&Permission| permission.includes(own);
        // Of a permission in one namespace, only those are looked at: there may be thousands of namespaces.
        let included: Vec<_> = match namespace {
            None => self.0.iter().filter(included).cloned().collect(),
            Some(_) => (self.of_namespace(namespace).filter(included))
                .cloned()
                .collect(),
        };
        for narrower in &included {
            self.0.remove(narrower);
        }
        self.0.insert(permission);
    }

    /// The permissions of a namespace, or those in all namespaces.
    fn of_namespace<'a>(
        &'a self,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'a Permission> + use<'a> {
        let namespace = namespace.map(str::to_owned);
        let first = Permission {
            namespace: namespace.clone(),
            group: String::new(),
            resource: String::new(),
            name: None,
            verbs: &[],
        };
        let from_there = self.0.range(first..);
        from_there.take_while(move |own| own.namespace == namespace)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.0.iter()
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
