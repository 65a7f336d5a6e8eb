//! [`StateMetrics`]: the stores of an application's resources, and what it reads and feeds them by.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "custom-resources")]
use super::configured::Configured;
use super::current_plan::CurrentPlan;
use super::settings::Settings;
use crate::errors::debug_is_display;
use crate::exposition::{Exposition, ExpositionFilter, Format, Plan};
use crate::filter::FilterWarning;
use crate::resource::{CollectedResource, ResourceInfo};
use crate::scope::{ObjectFilter, Shard};
use crate::store::{MetricsStore, ObjectWriter, StoreStats, Writer};

/// The metrics of a set of resources: their stores, and one exposition over all of them.
///
/// Cloning gives another handle to the same stores.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_state_metrics::{BuiltIn, Format, ExpositionFilter, StateMetrics};
/// use serde_json::json;
///
/// let metrics = StateMetrics::builder()
///     .built_in([BuiltIn::ConfigMaps])
///     .deny_metrics(["_created$"])
///     .build()?;
///
/// let mut config_maps = metrics.writer::<ConfigMap>()?;
/// config_maps.apply_object(&serde_json::from_value(json!({
///     "metadata": { "name": "a", "namespace": "b", "creationTimestamp": "2023-11-14T22:13:20Z" }
/// }))?);
/// let text = metrics.exposition(Format::Text, ExpositionFilter::default()).to_string();
/// assert!(text.ends_with("kube_configmap_info{namespace=\"b\",configmap=\"a\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StateMetrics {
    current: Arc<CurrentPlan>,
    settings: Arc<Settings>,
    warnings: Arc<[FilterWarning]>,
    /// Held while a change is prepared, so that changes come one after another.
    #[cfg(feature = "custom-resources")]
    configured: Arc<parking_lot::Mutex<Configured>>,
}
/// No such collector is registered, or more than one.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().resources(["nodes"]).build()?;
/// let error = metrics.writer::<Pod>().unwrap_err();
/// assert!(error.to_string().ends_with("Pod is registered; add one to the builder"));
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(kind, others))]
pub struct NotRegistered {
    kind: String,
    /// The resources there are to choose from, where the type alone does not tell which is meant.
    others: Vec<String>,
}
// === impl StateMetrics ===

impl StateMetrics {
    pub(crate) fn new(
        current: CurrentPlan,
        settings: Settings,
        warnings: Vec<FilterWarning>,
    ) -> Self {
        Self {
            current: Arc::new(current),
            settings: Arc::new(settings),
            warnings: warnings.into(),
            #[cfg(feature = "custom-resources")]
            configured: Arc::default(),
        }
    }

    /// Adds the configured families that the plan holds.
    #[cfg(feature = "custom-resources")]
    pub(super) fn with_configured(mut self, configured: Configured) -> Self {
        self.configured = Arc::new(parking_lot::Mutex::new(configured));
        self
    }

    #[cfg(feature = "custom-resources")]
    pub(super) fn configured(&self) -> parking_lot::MutexGuard<'_, Configured> {
        self.configured.lock()
    }

    /// All samples as they are now.
    #[must_use]
    pub fn exposition(&self, format: Format, selection: ExpositionFilter) -> Exposition {
        self.current.exposition(format, selection)
    }

    /// Keeps the cache of compressed blocks in shape; call it about once a second from a timer.
    ///
    /// Blocks are refreshed shortly before the next compressed scrape is due, at most once between
    /// two scrapes, and dropped when nobody has asked for them for five minutes. Without these
    /// calls a scrape compresses what changed, and blocks stay.
    ///
    /// ```
    /// use kube_state_metrics::{Encoding, Format, ExpositionFilter, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let _ = metrics.exposition(Format::Text, ExpositionFilter::default()).encoded(Encoding::Gzip).count();
    /// metrics.tend_gzip_cache(); // from a timer
    /// assert_eq!(metrics.gzip_cache_bytes(), 0, "nothing was fed");
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[cfg(feature = "gzip")]
    pub fn tend_gzip_cache(&self) {
        self.current.tend_gzip_cache();
    }

    /// Memory held by compressed blocks, in bytes.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn gzip_cache_bytes(&self) -> usize {
        self.current.gzip_cache_bytes()
    }

    /// A writer for a feed of `K`.
    ///
    /// Taking one means that you feed the store: the crate does not watch the resource. Families
    /// that a configuration adds to the kind read JSON: the crate watches them for itself, or you
    /// take [`object_writers_of`](Self::object_writers_of) to feed both.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` is registered, or several resources have that type, as
    /// [`DynamicObject`](kube::core::DynamicObject) may; [`writer_of`](Self::writer_of) says which.
    pub fn writer<K: CollectedResource>(&self) -> Result<Writer<K>, NotRegistered> {
        Ok(self.store::<K>()?.writer())
    }

    /// A writer for a feed of one resource of type `K`.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` for this resource is registered.
    ///
    /// ```
    /// use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
    /// use kube_state_metrics::{Collector, Family, ResourceInfo, Scope, StateMetrics};
    ///
    /// let resource = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("acme.dev", "v1", kind));
    /// let collector = |kind, name| {
    ///     let size = Family::gauge(name, "Size.")
    ///         .generate(|own: &DynamicObject, s| s.maybe_value(own.data["spec"]["size"].as_f64()));
    ///     Collector::dynamic(&resource(kind), Scope::Namespaced).family(size)
    /// };
    /// let metrics = StateMetrics::builder()
    ///     .collector(collector("Widget", "widget_size"))
    ///     .collector(collector("Gadget", "gadget_size"))
    ///     .build()?;
    /// assert!(metrics.writer::<DynamicObject>().is_err(), "of which of the two?");
    ///
    /// let widgets = ResourceInfo::dynamic(&resource("Widget"), Scope::Namespaced);
    /// let mut widgets = metrics.writer_of::<DynamicObject>(&widgets)?;
    /// widgets.apply_json(br#"{ "metadata": { "name": "a" }, "spec": { "size": 3 } }"#)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writer_of<K: CollectedResource>(
        &self,
        resource: &ResourceInfo,
    ) -> Result<Writer<K>, NotRegistered> {
        let mut stores = self.stores::<K>();
        stores.retain(|store| store.resource() == resource);
        let store = stores.pop().ok_or_else(|| NotRegistered {
            kind: resource.to_string(),
            others: Vec::new(),
        })?;
        Ok(store.writer())
    }

    /// The store of `K`.
    ///
    /// # Errors
    ///
    /// As for [`writer`](Self::writer).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Node;
    /// use kube_state_metrics::{BuiltIn, CacheStore, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).build()?;
    /// let nodes = metrics.store::<Node>()?;
    /// let node = serde_json::from_value(serde_json::json!({ "metadata": { "name": "worker-1" } }))?;
    /// nodes.add(&node);
    /// assert_eq!(nodes.list_keys(), ["worker-1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store<K: CollectedResource>(&self) -> Result<MetricsStore<K>, NotRegistered> {
        let mut stores = self.stores::<K>();
        match (stores.pop(), stores.is_empty()) {
            (Some(store), true) => Ok(store),
            (last, _) => Err(NotRegistered {
                kind: std::any::type_name::<K>().to_owned(),
                others: (stores.iter().chain(&last))
                    .map(|store| store.resource().to_string())
                    .collect(),
            }),
        }
    }

    /// All stores of `K`: more than one where several resources have the same type.
    fn stores<K: CollectedResource>(&self) -> Vec<MetricsStore<K>> {
        let plan = self.plan();
        let stores = plan.stores().iter().map(|store| store.as_any());
        let stores = stores.filter_map(|store| store.downcast_ref::<MetricsStore<K>>());
        stores.cloned().collect()
    }

    /// The registered resources, in the order of the exposition.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = ResourceInfo> + use<> {
        let plan = self.plan();
        let infos: Vec<_> = (plan.stores().iter())
            .map(|store| store.resource().clone())
            .collect();
        infos.into_iter()
    }

    /// What happened in each store, and what it holds, in the order of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods, BuiltIn::Nodes]).build()?;
    /// assert!(metrics.resources().map(|own| own.to_string()).eq(["nodes", "pods"]));
    /// for (resource, stats) in metrics.stats() {
    ///     assert_eq!((stats.objects, stats.series), (0, 0), "{resource}");
    /// }
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    pub fn stats(&self) -> impl ExactSizeIterator<Item = (ResourceInfo, StoreStats)> + use<> {
        let plan = self.plan();
        let stats: Vec<_> = (plan.stores().iter())
            .map(|store| (store.resource().clone(), store.stats()))
            .collect();
        stats.into_iter()
    }

    /// The shard whose objects the stores take.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.settings.filter.read().shard
    }

    /// Changes the shard of all stores.
    ///
    /// Objects that are not of the shard are removed; those that belong to it now come with the
    /// next list of each feed.
    ///
    /// ```
    /// use kube_state_metrics::{Shard, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// assert_eq!(metrics.shard(), Shard::default());
    /// metrics.set_shard(Shard::new(1, 3)?);
    /// assert_eq!(metrics.shard().to_string(), "1 of 3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_shard(&self, shard: Shard) {
        self.set_shards(shard, Vec::new());
    }

    /// Changes the shard and the earlier shards whose objects are still taken.
    pub(crate) fn set_shards(&self, shard: Shard, leaving: Vec<Shard>) {
        // Stores that are being added must not miss it.
        #[cfg(feature = "custom-resources")]
        let _changing = self.configured.lock();
        {
            let mut filter = self.settings.filter.write();
            filter.shard = shard;
            filter.leaving.clone_from(&leaving);
        }
        for store in self.plan().stores() {
            let filter = store.filter();
            store.set_filter(ObjectFilter {
                shard,
                leaving: leaving.clone(),
                ..ObjectFilter::clone(&filter)
            });
        }
    }

    /// Writers for every registered resource, for a source that feeds them all.
    ///
    /// Taking them means that the source feeds all stores: the crate does not watch any resource.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).build()?;
    /// for mut writer in metrics.object_writers() {
    ///     writer.apply(br#"{ "metadata": { "name": "worker-1" } }"#)?;
    /// }
    /// let (_, stats) = metrics.stats().next().expect("one resource is registered");
    /// assert_eq!(stats.objects, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn object_writers(&self) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        plan.feeders().map(|store| store.object_writer()).collect()
    }

    /// Writers for one resource; there is more than one where collectors of several types read it,
    /// and none where nothing is registered for it.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).build()?;
    /// assert_eq!(metrics.object_writers_of(&BuiltIn::Nodes.info()).len(), 1);
    /// assert_eq!(metrics.object_writers_of(&BuiltIn::Pods.info()).len(), 0);
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[must_use]
    pub fn object_writers_of(&self, resource: &ResourceInfo) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        let stores = plan.feeders().filter(|store| {
            let own = store.resource();
            own.kind() == resource.kind() && own.api_version() == resource.api_version()
        });
        stores.map(|store| store.object_writer()).collect()
    }

    /// What is odd about the filters, though not wrong.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
    /// let metrics = builder.allow_labels(BuiltIn::Pods, ["*", "team"]).build()?;
    /// assert_eq!(metrics.warnings().len(), 1, "`*` allows `team` anyway");
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[FilterWarning] {
        &self.warnings
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.current.plan()
    }

    #[cfg(any(feature = "custom-resources", feature = "watch"))]
    pub(crate) fn current_plan(&self) -> &CurrentPlan {
        &self.current
    }

    #[cfg(feature = "custom-resources")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn describe(kind: &str, others: &[String]) -> String {
    match others {
        [] => format!("no collector of {kind} is registered; add one to the builder"),
        others => format!(
            "{kind} is the type of several resources; say which is meant of {}",
            others.join(", ")
        ),
    }
}

debug_is_display!(NotRegistered);

impl fmt::Debug for StateMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMetrics")
            .field("resources", &self.resources().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests;
