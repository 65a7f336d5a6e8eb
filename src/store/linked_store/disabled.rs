//! Replaces linked stores if the feature `custom-resources` is disabled: no store is linked to another store.

use std::any::Any;

use super::super::MetricsStore;
use super::super::row_feeder::RowFeeder;
use crate::decode::{DecodeError, Encoded};
use crate::resource::CollectedResource;

/// The writer of a linked store. It does nothing, because there is no linked store without the feature.
pub(in super::super) struct LinkedWriter(());

impl<K: CollectedResource> MetricsStore<K> {
    pub(crate) fn is_linked_to(&self, _store: &dyn Any) -> bool {
        false
    }
}

impl LinkedWriter {
    pub(in super::super) fn new<K: CollectedResource>(_store: &MetricsStore<K>) -> Self {
        Self(())
    }

    #[cfg(feature = "watch")]
    #[allow(clippy::unused_self, reason = "the same signature as with the feature")]
    pub(in super::super) fn for_another_thread(&self) -> Self {
        Self(())
    }

    #[cfg(feature = "watch")]
    #[allow(clippy::unused_self, reason = "the same signature as with the feature")]
    pub(in super::super) fn flush(&mut self) {}

    #[cfg(feature = "watch")]
    #[allow(clippy::unused_self, reason = "the same signature as with the feature")]
    pub(in super::super) fn end_page(&self) {}

    pub(in super::super) fn wants_list<K: CollectedResource>(
        &self,
        _store: &MetricsStore<K>,
    ) -> bool {
        false
    }

    pub(in super::super) fn apply<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        feeder: &mut RowFeeder,
        object: Encoded<'_>,
    ) -> (Result<(), DecodeError>, Result<(), DecodeError>) {
        (store.apply_encoded(feeder, object), Ok(()))
    }

    pub(in super::super) fn delete<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        object: Encoded<'_>,
    ) -> Result<K, DecodeError> {
        store.decode_whole(object)
    }

    /// Whether `paths` contain all fields that the families of the store read.
    pub(in super::super) fn reads_only<K: CollectedResource>(
        &self,
        store: &MetricsStore<K>,
        paths: &[&str],
    ) -> bool {
        store.schema().fields().are_within(paths)
    }

    pub(in super::super) fn delete_key(&mut self, _namespace: &str, _name: &str) {}

    pub(in super::super) fn keep_key(&mut self, _namespace: &str, _name: &str) {}

    pub(in super::super) fn begin_list<K: CollectedResource>(&mut self, _store: &MetricsStore<K>) {}

    pub(in super::super) fn end_list(&mut self) {}

    pub(in super::super) fn abandon_list(&mut self) {}

    #[cfg(feature = "protobuf")]
    pub(in super::super) fn is_in<K: CollectedResource>(
        _store: &MetricsStore<K>,
        _message: &'static kube_protobuf::Message,
    ) -> bool {
        true
    }

    pub(in super::super) fn close(&mut self) {}
}
