//! [`RowFeeder`]: the number of a feeder, and the buffers that the feeder reuses.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::list_page::ListPage;
use super::row_cells::RowCells;
use crate::family::SampleBuffer;
use crate::k8s::resource_version;
use crate::resource::{CollectedResource, Scope};

/// The number of a feeder, and the buffers that the feeder reuses for each object.
#[derive(Default)]
pub(super) struct RowFeeder {
    pub(super) id: usize,
    pub(super) samples: SampleBuffer,
    pub(super) cells: RowCells,
    /// The values of the last object that are joined to samples of other objects.
    pub(super) source: Vec<u8>,
    /// The key of the last object.
    pub(super) key: String,
    /// `metadata.resourceVersion` of the last object.
    pub(super) version: String,
    /// Whether the last object that was applied has a row.
    pub(super) has_row: bool,
    /// The rows of a list that the feeder collects. `None` if the feeder writes each row to its table.
    pub(super) list_page: Option<Box<ListPage>>,
    /// Whether whole objects must be decoded, because the Rust type of the objects cannot be decoded from only some of
    /// the fields.
    pub(super) needs_whole_objects: bool,
}

/// The metadata of an object that is needed to store its row, in addition to the key.
pub(super) struct ObjectMetadata<'o> {
    pub(super) namespace: &'o str,
    pub(super) uid: &'o str,
    pub(super) version: u64,
}

// === impl RowFeeder ===

impl RowFeeder {
    pub(super) fn new(id: usize) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Reads the metadata of an object, and stores the key and the version in this feeder.
    pub(super) fn read<'o, K: CollectedResource>(
        &mut self,
        object: &'o K,
        scope: Scope,
    ) -> ObjectMetadata<'o> {
        self.read_metadata(object.meta(), scope)
    }

    /// Reads the metadata, and stores the key and the version in this feeder.
    pub(super) fn read_metadata<'o>(
        &mut self,
        meta: &'o ObjectMeta,
        scope: Scope,
    ) -> ObjectMetadata<'o> {
        let namespace = namespace_in(scope, meta.namespace.as_deref().unwrap_or_default());
        self.set_key(namespace, meta.name.as_deref().unwrap_or_default());
        ObjectMetadata {
            namespace,
            uid: meta.uid.as_deref().unwrap_or_default(),
            version: self.set_version(meta.resource_version.as_deref().unwrap_or_default()),
        }
    }

    /// Sets the key of an object. If the scope is [`Scope::Cluster`], the namespace is ignored.
    pub(super) fn set_key_in(&mut self, scope: Scope, namespace: &str, name: &str) {
        self.set_key(namespace_in(scope, namespace), name);
    }

    pub(super) fn set_key(&mut self, namespace: &str, name: &str) {
        self.key.clear();
        write_key(&mut self.key, namespace, name);
    }

    /// Stores the version of an object in this feeder, and returns the version as a number. Returns 0 if the version is
    /// not a number.
    pub(super) fn set_version(&mut self, version: &str) -> u64 {
        self.version.clear();
        self.version.push_str(version);
        resource_version::as_u64(version).unwrap_or(0)
    }
}

/// Appends the key of an object: `namespace/name`, or `name` without a namespace.
pub(crate) fn write_key(key: &mut String, namespace: &str, name: &str) {
    if !namespace.is_empty() {
        key.push_str(namespace);
        key.push('/');
    }
    key.push_str(name);
}

/// The namespace of an object. Objects of a cluster-scoped resource have no namespace, even if their metadata contains
/// the field.
pub(crate) fn namespace_in(scope: Scope, namespace: &str) -> &str {
    match scope {
        Scope::Namespaced => namespace,
        Scope::Cluster => "",
    }
}
