//! Computes the permissions that the exporter needs with given options.

use kube_state_metrics::registry::BuildError;
use kube_state_metrics::resource::{ResourceInfo, Scope};

use super::custom_kinds::CustomKinds;
use super::permission::{CREATE, GET, GET_AND_UPDATE, Permission, Permissions};
use crate::options::{MetricsOptions, Options, SourceOptions};

// === impl Permissions ===

impl Permissions {
    /// The minimal permissions with which an exporter with these options can export everything.
    ///
    /// - `kinds` are the kinds that the configuration of custom resources selects.
    /// - `stateful_set` is the name of the StatefulSet of the exporter. The function uses this name only if the options
    ///   name the pod by a placeholder such as `$(POD_NAME)`. Otherwise, the name of the pod contains the name of the
    ///   StatefulSet.
    /// - `namespace` is the namespace of the exporter. By default, the Leases of `--ha` are in this namespace.
    ///
    /// The result includes the permissions for the Leases of all shards, because the exporters of all shards have the
    /// same role.
    ///
    /// # Errors
    ///
    /// The function fails if the stores cannot be built from the options.
    pub(crate) fn of(
        options: &Options,
        kinds: &CustomKinds,
        stateful_set: &str,
        namespace: &str,
    ) -> Result<Self, BuildError> {
        let mut permissions = Self::default();
        if options.source.manifests.is_empty() {
            permissions.add_watches(options, kinds)?;
            if let Some((namespace, pod)) = &options.source.pod {
                permissions.add_own_pod(namespace, pod, stateful_set);
            }
        }
        let shards = options.metrics.shard.total();
        if let Some(options) = &options.high_availability {
            let namespace = options.namespace.as_deref().unwrap_or(namespace);
            let lease =
                |verbs| Permission::new(Some(namespace), "coordination.k8s.io", "leases", verbs);
            // This rule does not name the Lease, because Kubernetes does not support names in rules for `create`.
            permissions.add(lease(CREATE));
            for name in options.lease_names(shards) {
                permissions.add(lease(GET_AND_UPDATE).named(name));
            }
        }
        if options.server.auth_filter {
            for (group, resource) in [
                ("authentication.k8s.io", "tokenreviews"),
                ("authorization.k8s.io", "subjectaccessreviews"),
            ] {
                permissions.add(Permission::new(None, group, resource, CREATE));
            }
        }
        Ok(permissions)
    }

    fn add_watches(&mut self, options: &Options, kinds: &CustomKinds) -> Result<(), BuildError> {
        let metrics = options.metrics.build()?;
        let stores = metrics.stores();
        let watched = stores.iter().map(|store| store.resource());
        for resource in watched.chain(kinds.resources.iter()) {
            self.add_watch(options, resource);
        }
        for resource in &metrics.join_sources() {
            self.add_join_source(options, resource);
        }
        for group in &kinds.whole_groups {
            self.add(Permission::watch(None, group, "*"));
        }
        if options.metrics.custom.config.is_some() {
            let (group, resource) = ("apiextensions.k8s.io", "customresourcedefinitions");
            self.add(Permission::watch(None, group, resource));
        }
        Ok(())
    }

    /// Adds the permissions to watch a resource. If the exporter does not export the resource, adds nothing.
    fn add_watch(&mut self, options: &Options, resource: &ResourceInfo) {
        if !is_left_out(&options.source, resource) {
            self.add_collections(&options.metrics, resource);
        }
    }

    /// Adds the permissions to watch all objects of a resource. If the options name namespaces, adds only the
    /// permissions for the objects in these namespaces.
    fn add_collections(&mut self, metrics: &MetricsOptions, resource: &ResourceInfo) {
        let (group, plural) = (resource.group(), resource.plural());
        if resource.scope() == Scope::Cluster || metrics.namespaces.is_empty() {
            self.add(Permission::watch(None, group, plural));
            return;
        }
        for namespace in namespaces(metrics) {
            self.add(Permission::watch(Some(namespace), group, plural));
        }
    }

    /// Adds the permissions to watch the objects whose labels the exporter joins to other metrics. If the options name
    /// the namespaces or the node, the permissions apply only to objects with these names.
    fn add_join_source(&mut self, options: &Options, resource: &ResourceInfo) {
        let (group, plural) = (resource.group(), resource.plural());
        let (metrics, source) = (&options.metrics, &options.source);
        match plural {
            "namespaces" if !metrics.namespaces.is_empty() => {
                for name in namespaces(metrics) {
                    self.add(Permission::watch(None, group, plural).named(name.clone()));
                }
            }
            "nodes" if source.unscheduled_pods => {}
            "nodes" if source.node.is_some() => {
                let node = source.node.clone().unwrap_or_default();
                self.add(Permission::watch(None, group, plural).named(node));
            }
            _ => self.add_collections(metrics, resource),
        }
    }

    /// Adds the permissions to read the pod of the exporter, and to watch its StatefulSet. The pod names the
    /// StatefulSet, and the StatefulSet determines the number of shards.
    fn add_own_pod(&mut self, namespace: &str, pod: &str, stateful_set: &str) {
        // The rule does not name the pod, because all replicas have the same role.
        self.add(Permission::new(Some(namespace), "", "pods", GET));
        let set = match pod.rsplit_once('-') {
            Some((set, ordinal)) if ordinal.parse::<u32>().is_ok() => set,
            _ => stateful_set,
        };
        let set = Permission::watch(Some(namespace), "apps", "statefulsets").named(set.to_owned());
        self.add(set);
    }
}

/// The namespaces that the options select, without the denied namespaces.
fn namespaces(metrics: &MetricsOptions) -> impl Iterator<Item = &String> {
    let denied = &metrics.denied_namespaces;
    let namespaces = metrics.namespaces.iter();
    namespaces.filter(move |namespace| !denied.contains(namespace))
}

/// Whether `--node` or `--track-unscheduled-pods` excludes the resource. With one of these flags, the exporter exports
/// no namespaced resources except pods.
fn is_left_out(source: &SourceOptions, resource: &ResourceInfo) -> bool {
    let is_pods = resource.group().is_empty() && resource.plural() == "pods";
    let selects_pods = source.node.is_some() || source.unscheduled_pods;
    selects_pods && resource.scope() == Scope::Namespaced && !is_pods
}
