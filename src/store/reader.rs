//! [`StoreReader`]: read access to one store of a registry.

use std::fmt;
use std::sync::Arc;

use super::{AnyStore, ExceededLimit, StoreStats, StoredObject};
use crate::resource::ResourceInfo;

/// Read access to the store of a registered resource.
///
/// [`StateMetrics::stores`](crate::StateMetrics::stores) returns a `StoreReader` for each resource. A clone is another
/// handle to the same store.
///
/// ```
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Nodes]).all_fed_by_host().build()?;
/// for mut nodes in metrics.feeds_of(BuiltIn::Nodes)? {
///     nodes.apply_json(br#"{ "metadata": { "name": "worker-1" } }"#)?;
/// }
/// let store = &metrics.stores()[0];
/// assert_eq!((store.resource().kind(), store.stats().objects), ("Node", 1));
/// assert_eq!(store.list_keys(), ["worker-1"]);
/// assert!(store.get("worker-1").is_some_and(|node| node.samples.contains("kube_node_info{")));
/// assert!(store.is_fed_by_host());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StoreReader {
    store: Arc<dyn AnyStore>,
}

// === impl StoreReader ===

impl StoreReader {
    pub(crate) fn new(store: Arc<dyn AnyStore>) -> Self {
        Self { store }
    }

    /// The resource of the store.
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        self.store.resource()
    }

    /// The current size of the store, and counts of its changes and errors.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.store.stats()
    }

    /// The limits that objects have exceeded since the store was created. For each limit, the result names the first
    /// object that exceeded the limit.
    #[must_use]
    pub fn exceeded_limits(&self) -> Vec<ExceededLimit> {
        self.store.exceeded_limits()
    }

    /// The keys of all objects, `namespace/name` or `name`, in ascending order.
    #[must_use]
    pub fn list_keys(&self) -> Vec<String> {
        self.store.keys()
    }

    /// The identity and the samples of the object with a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<StoredObject> {
        self.store.stored_object(key)
    }

    /// Whether the host feeds the store. If not, the sources of the crate feed the store.
    #[must_use]
    pub fn is_fed_by_host(&self) -> bool {
        self.store.is_host_fed()
    }
}

impl fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreReader")
            .field("resource", self.resource())
            .field("fed_by_host", &self.is_fed_by_host())
            .finish()
    }
}
