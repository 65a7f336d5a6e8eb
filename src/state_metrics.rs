//! [`StateMetrics`]: the stores of an application's resources, and what it reads and feeds them by.

use std::fmt;
use std::sync::Arc;

use crate::builder::{Builder, Settings};
use crate::exposition::{Exposition, Format, Live, Plan, Selection};
use crate::filter::FilterWarning;
use crate::resource::{Kind, ResourceInfo};
use crate::scope::{ObjectFilter, Shard};
use crate::store::{MetricsStore, ObjectWriter, StoreStats, Writer};

/// The metrics of a set of resources: their stores, and one exposition over all of them.
///
/// Cloning gives another handle to the same stores.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_state_metrics::{BuiltIn, Format, Selection, StateMetrics};
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
/// let text = metrics.exposition(Format::Text, Selection::default()).to_string();
/// assert!(text.ends_with("kube_configmap_info{namespace=\"b\",configmap=\"a\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StateMetrics {
    live: Arc<Live>,
    settings: Arc<Settings>,
    warnings: Arc<[FilterWarning]>,
}
/// No such collector is registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no collector of {kind} is registered; add one to the builder")]
pub struct NotRegistered {
    kind: String,
}
// === impl StateMetrics ===

impl StateMetrics {
    pub(crate) fn new(live: Live, settings: Settings, warnings: Vec<FilterWarning>) -> Self {
        Self {
            live: Arc::new(live),
            settings: Arc::new(settings),
            warnings: warnings.into(),
        }
    }

    /// Starts with nothing registered.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// All samples as they are now.
    #[must_use]
    pub fn exposition(&self, format: Format, selection: Selection) -> Exposition {
        self.live.exposition(format, selection)
    }

    /// Keeps the cache of compressed blocks in shape; call it about once a second from a timer.
    ///
    /// Blocks are refreshed shortly before the next compressed scrape is due, at most once between
    /// two scrapes, and dropped when nobody has asked for them for five minutes. Without these
    /// calls a scrape compresses what changed, and blocks stay.
    #[cfg(feature = "gzip")]
    pub fn tend_gzip_cache(&self) {
        self.live.tend_gzip_cache();
    }

    /// Memory held by compressed blocks, in bytes.
    #[cfg(feature = "gzip")]
    #[must_use]
    pub fn gzip_cache_bytes(&self) -> usize {
        self.live.gzip_cache_bytes()
    }

    /// A writer for a feed of `K`.
    ///
    /// Taking one means that you feed the store: the crate does not watch the resource. Families
    /// that a configuration adds to the kind read JSON: the crate watches them for itself, or you
    /// take [`object_writers_of`](Self::object_writers_of) to feed both.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` is registered.
    pub fn writer<K: Kind>(&self) -> Result<Writer<K>, NotRegistered> {
        Ok(self.store::<K>()?.writer())
    }

    /// The store of `K`.
    ///
    /// # Errors
    ///
    /// Where no collector of `K` is registered.
    pub fn store<K: Kind>(&self) -> Result<MetricsStore<K>, NotRegistered> {
        let plan = self.plan();
        let stores = plan.slots().iter().map(|slot| slot.as_any());
        let mut stores = stores.filter_map(|slot| slot.downcast_ref::<MetricsStore<K>>());
        stores.next().cloned().ok_or_else(|| NotRegistered {
            kind: std::any::type_name::<K>().to_owned(),
        })
    }

    /// The registered resources, in the order of the exposition.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = ResourceInfo> + use<> {
        let plan = self.plan();
        let infos: Vec<_> = (plan.slots().iter())
            .map(|slot| slot.resource().clone())
            .collect();
        infos.into_iter()
    }

    /// What happened in each store, and what it holds, in the order of the exposition.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = (ResourceInfo, StoreStats)> + use<> {
        let plan = self.plan();
        let stats: Vec<_> = (plan.slots().iter())
            .map(|slot| (slot.resource().clone(), slot.stats()))
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
    pub fn set_shard(&self, shard: Shard) {
        self.set_shards(shard, Vec::new());
    }

    /// Changes the shard and the earlier shards whose objects are still taken.
    pub(crate) fn set_shards(&self, shard: Shard, leaving: Vec<Shard>) {
        // Stores that are being added must not miss it.
        #[cfg(feature = "custom-resources")]
        let _custom = self.live.custom.lock();
        {
            let mut filter = self.settings.filter.write();
            filter.shard = shard;
            filter.leaving.clone_from(&leaving);
        }
        for slot in self.plan().slots() {
            let filter = slot.filter();
            slot.set_filter(ObjectFilter {
                shard,
                leaving: leaving.clone(),
                ..ObjectFilter::clone(&filter)
            });
        }
    }

    /// Writers for every registered resource, for a source that feeds them all.
    ///
    /// Taking them means that the source feeds all stores: the crate does not watch any resource.
    #[must_use]
    pub fn object_writers(&self) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        plan.feeders().map(|slot| slot.object_writer()).collect()
    }

    /// Writers for one resource; there is more than one where collectors of several types read it,
    /// and none where nothing is registered for it.
    #[must_use]
    pub fn object_writers_of(&self, resource: &ResourceInfo) -> Vec<Box<dyn ObjectWriter>> {
        let plan = self.plan();
        let slots = plan.feeders().filter(|slot| {
            let own = slot.resource();
            own.kind() == resource.kind() && own.api_version() == resource.api_version()
        });
        slots.map(|slot| slot.object_writer()).collect()
    }

    /// What is odd about the filters, though not wrong.
    #[must_use]
    pub fn warnings(&self) -> &[FilterWarning] {
        &self.warnings
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.live.plan()
    }

    #[cfg(any(feature = "custom-resources", feature = "watch"))]
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    #[cfg(feature = "custom-resources")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for StateMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMetrics")
            .field("resources", &self.resources().collect::<Vec<_>>())
            .finish()
    }
}
