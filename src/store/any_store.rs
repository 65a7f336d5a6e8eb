//! [`AnyStore`]: a store without the type of its objects, for code that handles all resources.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "watch")]
use super::watch_writer::WatchWriter;
use super::{
    CacheStore, ExceededLimit, MetricsStore, ObjectWriter, StoreSnapshot, StoreStats, StoredObject,
};
#[cfg(feature = "custom-resources")]
use crate::dynamic::JsonObject;
use crate::family::FamilyDescriptor;
use crate::joins::RowJoins;
#[cfg(feature = "watch")]
use crate::joins::{SourceFeed, SourceKind};
use crate::resource::{CollectedResource, ResourceInfo};
use crate::scope::ObjectFilter;

/// A [`MetricsStore`] without the type of its objects.
pub(crate) trait AnyStore: Send + Sync + fmt::Debug {
    fn resource(&self) -> &ResourceInfo;
    fn families(&self) -> Vec<StoreFamily<'_>>;
    fn snapshot(&self) -> StoreSnapshot;
    /// The joined labels of the samples; `None` if the samples have no joined labels.
    fn row_joins(&self) -> Option<&Arc<RowJoins>>;
    /// The kind of the objects of the store, if their labels are joined to the samples of other objects.
    #[cfg(feature = "watch")]
    fn source_kind(&self) -> Option<SourceKind>;
    fn stats(&self) -> StoreStats;
    /// The limits that objects have exceeded.
    fn exceeded_limits(&self) -> Vec<ExceededLimit>;
    fn filter(&self) -> Arc<ObjectFilter>;
    fn set_filter(&self, filter: ObjectFilter);
    /// The keys of all objects, in ascending order.
    fn keys(&self) -> Vec<String>;
    /// The stored identity and samples of an object.
    fn stored_object(&self, key: &str) -> Option<StoredObject>;
    /// Returns a writer for a new feeder. The writer also feeds the linked store, which has the configured families of
    /// the same resource.
    fn object_writer(&self) -> Box<dyn ObjectWriter>;
    /// Returns a writer for a new feeder. An audit can read the rows of the writer.
    #[cfg(feature = "watch")]
    fn watch_writer(&self) -> Box<dyn WatchWriter>;
    /// Whether the host feeds the store. If not, the sources of the crate feed the store.
    fn is_host_fed(&self) -> bool;
    /// Whether writers of this store also feed `other`.
    fn is_linked_to(&self, other: &dyn AnyStore) -> bool;
    /// Changes the linked store. Writers of this store also feed the linked store.
    #[cfg(feature = "custom-resources")]
    fn set_linked_store(&self, linked: Option<MetricsStore<JsonObject>>);
    fn as_any(&self) -> &dyn Any;
}

/// A family of a store, with the indexes of the columns for its samples and for its base labels.
pub(crate) struct StoreFamily<'a> {
    pub(crate) descriptor: &'a FamilyDescriptor,
    /// The names of the labels that precede the labels of the family: the constant labels, then the base labels.
    pub(crate) base_labels: &'a [Cow<'static, str>],
    pub(crate) base: usize,
    pub(crate) column: usize,
    /// Whether the samples of the family have base labels.
    pub(crate) has_base_labels: bool,
    /// Whether the base labels of each object are unique.
    pub(crate) identity: bool,
    /// Whether a sample of the family can already have a label with the name of a joined label. Such a sample does not
    /// get the joined label.
    pub(crate) own_wins: bool,
}

/// Identifies a store by its address, for use as the key of a map. Two stores that exist at the same time have
/// different addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreAddress(usize);

// === impl StoreAddress ===

impl StoreAddress {
    pub(crate) fn of(store: &Arc<dyn AnyStore>) -> Self {
        Self(Arc::as_ptr(store).addr())
    }
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
                base_labels: schema.base_labels(active.base),
                base: active.base,
                column: schema.column(at),
                has_base_labels: schema.has_base_labels(active.base),
                identity: schema.base_is_identity(active.base),
                own_wins: active.own_wins,
            })
            .collect()
    }

    fn snapshot(&self) -> StoreSnapshot {
        MetricsStore::snapshot(self)
    }

    fn row_joins(&self) -> Option<&Arc<RowJoins>> {
        self.schema().joins()
    }

    #[cfg(feature = "watch")]
    fn source_kind(&self) -> Option<SourceKind> {
        self.schema().source().map(SourceFeed::kind)
    }

    fn stats(&self) -> StoreStats {
        MetricsStore::stats(self)
    }

    fn exceeded_limits(&self) -> Vec<ExceededLimit> {
        MetricsStore::exceeded_limits(self)
    }

    fn set_filter(&self, filter: ObjectFilter) {
        MetricsStore::set_filter(self, filter);
    }

    fn filter(&self) -> Arc<ObjectFilter> {
        MetricsStore::filter(self)
    }

    fn keys(&self) -> Vec<String> {
        CacheStore::list_keys(self)
    }

    fn stored_object(&self, key: &str) -> Option<StoredObject> {
        CacheStore::get(self, key)
    }

    fn object_writer(&self) -> Box<dyn ObjectWriter> {
        Box::new(self.writer())
    }

    #[cfg(feature = "watch")]
    fn watch_writer(&self) -> Box<dyn WatchWriter> {
        Box::new(self.writer().with_names())
    }

    fn is_host_fed(&self) -> bool {
        MetricsStore::is_host_fed(self)
    }

    fn is_linked_to(&self, other: &dyn AnyStore) -> bool {
        MetricsStore::is_linked_to(self, other.as_any())
    }

    #[cfg(feature = "custom-resources")]
    fn set_linked_store(&self, linked: Option<MetricsStore<JsonObject>>) {
        MetricsStore::set_linked_store(self, linked);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
