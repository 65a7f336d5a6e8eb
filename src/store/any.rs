//! [`AnyStore`]: a store without the type of its objects, for code that handles all resources alike.

use std::any::Any;
#[cfg(feature = "testing")]
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{MetricsStore, ObjectWriter, StoreSnapshot, StoreStats};
#[cfg(feature = "custom-resources")]
use crate::dynamic::JsonObject;
use crate::family::FamilyDescriptor;
use crate::resource::{CollectedResource, ResourceInfo};
use crate::scope::ObjectFilter;

/// A [`MetricsStore`] without the type of its objects.
pub(crate) trait AnyStore: Send + Sync + fmt::Debug {
    fn resource(&self) -> &ResourceInfo;
    fn families(&self) -> Vec<StoreFamily<'_>>;
    fn snapshot(&self) -> StoreSnapshot;
    fn stats(&self) -> StoreStats;
    fn filter(&self) -> Arc<ObjectFilter>;
    fn set_filter(&self, filter: ObjectFilter);
    /// A writer for a feed of the host's, which feeds the companion as well.
    fn object_writer(&self) -> Box<dyn ObjectWriter>;
    /// The same for a feed of the crate's own.
    #[cfg(feature = "watch")]
    fn own_writer(&self) -> Box<dyn ObjectWriter>;
    /// Whether the host took a writer: it feeds the store itself.
    #[cfg(feature = "watch")]
    fn is_host_fed(&self) -> bool;
    /// Whether another store is fed along with this one.
    fn has_companion(&self, other: &dyn AnyStore) -> bool;
    /// Changes which one that is.
    #[cfg(feature = "custom-resources")]
    fn set_companion(&self, companion: Option<MetricsStore<JsonObject>>);
    fn as_any(&self) -> &dyn Any;
}

/// A family of a store, and the columns that hold it.
pub(crate) struct StoreFamily<'a> {
    pub(crate) descriptor: &'a FamilyDescriptor,
    /// Names that stand in front of its own labels.
    #[cfg(feature = "testing")]
    pub(crate) base_labels: &'a [Cow<'static, str>],
    pub(crate) base: usize,
    pub(crate) column: usize,
    /// Base labels follow the name.
    pub(crate) has_base_labels: bool,
    /// The base labels tell any two objects apart.
    pub(crate) identity: bool,
}

// === impl AnyStore for MetricsStore ===

impl<K: CollectedResource> AnyStore for MetricsStore<K> {
    fn resource(&self) -> &ResourceInfo {
        self.schema().resource()
    }

    fn families(&self) -> Vec<StoreFamily<'_>> {
        let schema = self.schema();
        (schema.families().iter().enumerate())
            .map(|(at, active)| StoreFamily {
                descriptor: active.family.descriptor(),
                #[cfg(feature = "testing")]
                base_labels: schema.base_labels(active.base),
                base: active.base,
                column: schema.column(at),
                has_base_labels: schema.has_base_labels(active.base),
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

    fn object_writer(&self) -> Box<dyn ObjectWriter> {
        Box::new(self.joint_writer())
    }

    #[cfg(feature = "watch")]
    fn own_writer(&self) -> Box<dyn ObjectWriter> {
        Box::new(MetricsStore::own_writer(self))
    }

    #[cfg(feature = "watch")]
    fn is_host_fed(&self) -> bool {
        MetricsStore::is_host_fed(self)
    }

    fn has_companion(&self, other: &dyn AnyStore) -> bool {
        MetricsStore::has_companion(self, other.as_any())
    }

    #[cfg(feature = "custom-resources")]
    fn set_companion(&self, companion: Option<MetricsStore<JsonObject>>) {
        MetricsStore::set_companion(self, companion);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
