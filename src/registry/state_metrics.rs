//! [`StateMetrics`]: the stores of an application's resources, and the exposition of all of them.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "custom-resources")]
use super::configured::Configured;
use super::current_plan::CurrentPlan;
use super::settings::Settings;
use crate::exposition::{Exposition, ExpositionFilter, FamilySize, Format, Plan};
use crate::filter::{ExhaustedPattern, FilterWarning};
use crate::joins::SourceKind;
use crate::resource::ResourceInfo;
use crate::scope::{ObjectFilter, Shard};
use crate::store::StoreReader;

/// The stores of all registered resources, and the exposition of their samples.
///
/// A clone is another handle to the same stores.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_state_metrics::exposition::{Format, ExpositionFilter};
/// use kube_state_metrics::{BuiltIn, StateMetrics};
/// use serde_json::json;
///
/// let metrics = StateMetrics::builder()
///     .built_in([BuiltIn::ConfigMaps])
///     .deny_metrics(["_created$"])
///     .all_fed_by_host()
///     .build()?;
///
/// let mut config_maps = metrics.feed::<ConfigMap>()?;
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
    /// The configured families. A change locks this field until the change is complete, so that changes run one after
    /// another.
    #[cfg(feature = "custom-resources")]
    configured: Arc<parking_lot::Mutex<Configured>>,
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

    /// Sets the configured families that the plan contains.
    #[cfg(feature = "custom-resources")]
    pub(super) fn with_configured(mut self, configured: Configured) -> Self {
        self.configured = Arc::new(parking_lot::Mutex::new(configured));
        self
    }

    #[cfg(feature = "custom-resources")]
    pub(super) fn configured(&self) -> parking_lot::MutexGuard<'_, Configured> {
        self.configured.lock()
    }

    /// Returns a snapshot of the samples of all stores.
    #[must_use]
    pub fn exposition(&self, format: Format, filter: ExpositionFilter) -> Exposition {
        self.current.exposition(format, filter)
    }

    /// Compresses the changes since the last compressed scrape, if the next scrape is expected within a second.
    ///
    /// This call is optional.
    ///
    /// The first compressed scrape has an empty cache. If this scrape is in progress, the function compresses the
    /// second half of the text, so that the scrape takes about half the time.
    ///
    /// If you call this function once a second, a scrape needs to compress only few changes. Without these calls, each
    /// scrape compresses all changes. The function predicts the next scrape from the times of the last scrapes, and
    /// does nothing if no scrape is expected soon. The function may run for some hundred milliseconds, so call it on a
    /// thread that may block, for example in `spawn_blocking`.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{Encoding, Format, ExpositionFilter};
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// exposition.encoded(Encoding::Gzip).for_each(drop);
    /// metrics.refresh_gzip_cache(); // from a timer
    /// assert_eq!(metrics.gzip_cache_bytes(), 0, "no objects yet");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[cfg(feature = "gzip")]
    pub fn refresh_gzip_cache(&self) {
        self.current.refresh_gzip_cache();
    }

    /// Returns the memory of the compressed blocks, in bytes.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn gzip_cache_bytes(&self) -> usize {
        self.current.gzip_cache_bytes()
    }

    /// Returns a reader for the store of each registered resource, in the order of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods, BuiltIn::Nodes]).build()?;
    /// let stores = metrics.stores();
    /// assert_eq!(stores[0].resource().plural(), "nodes");
    /// assert_eq!(stores[1].resource().plural(), "pods");
    /// assert!(stores.iter().all(|store| store.stats().objects == 0));
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn stores(&self) -> Vec<StoreReader> {
        let plan = self.plan();
        let stores = plan.stores().iter();
        stores
            .map(|store| StoreReader::new(Arc::clone(store)))
            .collect()
    }

    /// For each resource, the number of series and bytes of each family that has samples.
    ///
    /// Each call computes the result from the stored samples, but does not write the text of the exposition.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).all_fed_by_host().build()?;
    /// for mut nodes in metrics.feeds_of(BuiltIn::Nodes)? {
    ///     nodes.apply_json(br#"{ "metadata": { "name": "worker-1" } }"#)?;
    /// }
    /// let sizes = metrics.family_sizes();
    /// let unschedulable = sizes.iter().find(|own| own.family == "kube_node_spec_unschedulable");
    /// let line = "kube_node_spec_unschedulable{node=\"worker-1\"} 0\n";
    /// assert_eq!(unschedulable.map(|own| (own.series, own.bytes)), Some((1, line.len() as u64)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn family_sizes(&self) -> Vec<FamilySize> {
        self.plan().family_sizes()
    }

    /// The shard whose objects the stores accept.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.settings.filter.read().shard
    }

    /// Changes the shard of all stores.
    ///
    /// The samples of objects of other shards are removed. Objects that now belong to the shard have samples after the
    /// next list of each feed.
    ///
    /// ```
    /// use kube_state_metrics::registry::Shard;
    /// use kube_state_metrics::StateMetrics;
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

    /// Changes the shard. Until the next change of the shard, the stores also accept the objects of the earlier shards
    /// in `leaving`.
    pub(crate) fn set_shards(&self, shard: Shard, leaving: Vec<Shard>) {
        // While this lock is held, no store is added, so each store gets the new shard.
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

    /// The resources whose objects provide [joined labels](super::Builder::join_label).
    ///
    /// The sources of this crate watch these resources. If one of them is not registered, the sources watch only the
    /// metadata of its objects.
    ///
    /// ```
    /// use kube_state_metrics::registry::Join;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
    /// let metrics = builder.join_label(BuiltIn::Pods, Join::namespace_label("team")).build()?;
    /// assert_eq!(metrics.join_sources()[0].plural(), "namespaces");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn join_sources(&self) -> Vec<ResourceInfo> {
        let sources = self.settings.joins.sources();
        let kinds = sources.into_iter().flat_map(|sources| sources.needed());
        kinds.map(SourceKind::info).collect()
    }

    /// Returns warnings about filters that are valid, but have no effect.
    ///
    /// Log these warnings.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Pods]);
    /// let metrics = builder.allow_labels(BuiltIn::Pods, ["*", "team"]).build()?;
    /// assert_eq!(metrics.warnings().len(), 1, "`*` allows `team` anyway");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[FilterWarning] {
        &self.warnings
    }

    /// The patterns of the metric allowlist, denylist and opt-in list that need too much backtracking for the name of a
    /// family.
    ///
    /// In the denylist, such a pattern excludes the family. In the allowlist or opt-in list, such a pattern does not
    /// match the family.
    ///
    /// ```
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// let metrics = StateMetrics::builder()
    ///     .built_in([BuiltIn::Deployments])
    ///     .deny_metrics([r"^(?:(\w+)\1*)+!$"])
    ///     .build()?;
    /// assert_eq!(metrics.exhausted_patterns().len(), 1);
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn exhausted_patterns(&self) -> Vec<ExhaustedPattern> {
        self.settings.metrics.exhausted()
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.current.plan()
    }

    pub(crate) fn current_plan(&self) -> &CurrentPlan {
        &self.current
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for StateMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMetrics")
            .field("stores", &self.stores())
            .finish()
    }
}

#[cfg(test)]
mod tests;
