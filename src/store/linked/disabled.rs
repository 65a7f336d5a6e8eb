//! Without configurations there are no companions.

use std::any::Any;

use super::super::MetricsStore;
use crate::decode::{DecodeError, decode};
use crate::resource::CollectedResource;

/// What a store knows of its companion: there is none.
#[derive(Debug, Default)]
pub(in super::super) struct Link(());

/// What a writer knows of its store's companion: there is none.
#[derive(Debug)]
pub(in super::super) struct Companion;

impl Link {
    pub(in super::super) fn leads_to(&self, _store: &dyn Any) -> bool {
        false
    }

    pub(in super::super) fn take_for_host(&self) {}
}

impl Companion {
    pub(in super::super) fn new<K: CollectedResource>(
        _store: &MetricsStore<K>,
        _joins: bool,
    ) -> Self {
        Self
    }

    pub(in super::super) fn is_awaited<K: CollectedResource>(
        &self,
        _store: &MetricsStore<K>,
    ) -> bool {
        false
    }

    pub(in super::super) fn apply<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        json: &[u8],
    ) -> Result<K, DecodeError> {
        let schema = store.schema();
        decode(schema.resource().kind(), json, schema.fields())
    }

    pub(in super::super) fn delete<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        json: &[u8],
    ) -> Result<K, DecodeError> {
        self.apply(store, json)
    }

    pub(in super::super) fn delete_key(&mut self, _namespace: &str, _name: &str) {}

    pub(in super::super) fn begin_list<K: CollectedResource>(&mut self, _store: &MetricsStore<K>) {}

    pub(in super::super) fn end_list(&mut self) {}

    pub(in super::super) fn abandon_list(&mut self) {}

    pub(in super::super) fn close(&mut self) {}
}
