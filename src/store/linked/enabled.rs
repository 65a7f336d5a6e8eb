//! Companions that follow the configuration in force.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::super::{MetricsStore, Writer};
use crate::decode::{DecodeError, Fields, decode, read};
use crate::dynamic::JsonObject;
use crate::resource::CollectedResource;

/// What a store knows of its companion.
#[derive(Default)]
pub(in super::super) struct Link {
    store: RwLock<Option<MetricsStore<JsonObject>>>,
    /// A host feeds both.
    host_fed: AtomicBool,
}

/// What a writer knows of its store's companion.
#[derive(Debug)]
pub(in super::super) struct Companion {
    /// Whether the writer feeds it.
    joins: bool,
    joined: Option<Box<Joined>>,
}

/// A companion that is fed.
#[derive(Debug)]
struct Joined {
    writer: Writer<JsonObject>,
    /// What the families of both stores read.
    fields: Fields,
}

// === impl Link ===

impl Link {
    /// Whether a store of the plan is the companion.
    pub(in super::super) fn leads_to(&self, store: &dyn Any) -> bool {
        let store = store.downcast_ref::<MetricsStore<JsonObject>>();
        store.is_some_and(|store| self.is(store))
    }

    /// Notes that a host feeds both stores.
    pub(in super::super) fn take_for_host(&self) {
        self.host_fed.store(true, Ordering::Relaxed);
        if let Some(store) = &*self.store.read() {
            store.note_host();
        }
    }

    fn is(&self, other: &MetricsStore<JsonObject>) -> bool {
        let own = self.store.read();
        own.as_ref().is_some_and(|own| is_same(own, other))
    }
}

fn is_same(a: &MetricsStore<JsonObject>, b: &MetricsStore<JsonObject>) -> bool {
    Arc::ptr_eq(&a.shared, &b.shared)
}

impl<K: CollectedResource> MetricsStore<K> {
    /// Changes the companion.
    ///
    /// Samples of one that is new come with the next list of each feeder.
    pub(crate) fn set_companion(&self, store: Option<MetricsStore<JsonObject>>) {
        let link = &self.shared.companion;
        if let Some(store) = store
            .as_ref()
            .filter(|_| link.host_fed.load(Ordering::Relaxed))
        {
            store.note_host();
        }
        let before = std::mem::replace(&mut *link.store.write(), store);
        if let Some(before) = before.filter(|before| !link.is(before)) {
            // Writers let go of it only with the next object.
            before.shared.parts.lock().clear();
        }
    }
}

// === impl Companion ===

impl Companion {
    pub(in super::super) fn new<K: CollectedResource>(
        store: &MetricsStore<K>,
        joins: bool,
    ) -> Self {
        let mut companion = Self {
            joins,
            joined: None,
        };
        companion.join(store);
        companion
    }

    /// Whether there is one whose objects only a list brings.
    pub(in super::super) fn is_awaited<K: CollectedResource>(
        &self,
        store: &MetricsStore<K>,
    ) -> bool {
        let wanted = store.shared.companion.store.read();
        match (&*wanted, &self.joined) {
            _ if !self.joins => false,
            (None, _) => false,
            (Some(_), None) => true,
            (Some(wanted), Some(joined)) => !is_same(wanted, joined.writer.store()),
        }
    }

    /// Parses an object, applies it to the companion, and reads its type.
    pub(in super::super) fn apply<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        json: &[u8],
    ) -> Result<K, DecodeError> {
        self.pass_on(store, json, Writer::apply_object)
    }

    /// The same for an object that is to be removed.
    pub(in super::super) fn delete<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        json: &[u8],
    ) -> Result<K, DecodeError> {
        self.pass_on(store, json, Writer::delete_object)
    }

    pub(in super::super) fn delete_key(&mut self, namespace: &str, name: &str) {
        if let Some(joined) = &mut self.joined {
            joined.writer.delete_key(namespace, name);
        }
    }

    /// Begins a list, of a companion that has come since the last one as well.
    pub(in super::super) fn begin_list<K: CollectedResource>(&mut self, store: &MetricsStore<K>) {
        self.join(store);
        if let Some(joined) = &mut self.joined {
            joined.writer.begin_list();
        }
    }

    pub(in super::super) fn end_list(&mut self) {
        if let Some(joined) = &mut self.joined {
            joined.writer.end_list();
        }
    }

    pub(in super::super) fn abandon_list(&mut self) {
        if let Some(joined) = &mut self.joined {
            joined.writer.abandon_list();
        }
    }

    pub(in super::super) fn close(&mut self) {
        if let Some(joined) = self.joined.take() {
            joined.writer.close();
        }
    }

    fn pass_on<K: CollectedResource>(
        &mut self,
        store: &MetricsStore<K>,
        json: &[u8],
        pass: fn(&mut Writer<JsonObject>, &JsonObject),
    ) -> Result<K, DecodeError> {
        let schema = store.schema();
        let (kind, fields) = (schema.resource().kind(), schema.fields());
        let Some(joined) = self.joined(store) else {
            return decode(kind, json, fields);
        };
        let object: JsonObject = decode(kind, json, &joined.fields)?;
        pass(&mut joined.writer, &object);
        read(object.value(), fields)
            // What is wrong, and where, only the bytes tell.
            .or_else(|_| decode(kind, json, fields))
    }

    /// What is fed, unless another configuration is in force.
    fn joined<K: CollectedResource>(&mut self, store: &MetricsStore<K>) -> Option<&mut Joined> {
        let joined = self.joined.as_ref()?;
        if !store.shared.companion.is(joined.writer.store()) {
            self.close();
        }
        self.joined.as_deref_mut()
    }

    fn join<K: CollectedResource>(&mut self, store: &MetricsStore<K>) {
        if !self.joins || self.joined(store).is_some() {
            return;
        }
        let Some(companion) = store.shared.companion.store.read().clone() else {
            return;
        };
        let fields = store.schema().fields().with(companion.schema().fields());
        let writer = Writer::new(companion, false);
        self.joined = Some(Box::new(Joined { writer, fields }));
    }
}
