//! [`JoinWriter`]: feeds the objects from which labels are joined, for kinds without a store.

use std::fmt;

use super::object_writer::ObjectWriter;
use super::object_writer::sealed::Sealed;
use super::row_feeder::{RowFeeder, namespace_in};
use crate::decode::{DecodeError, Encoded, Encoding, Fields, decode};
use crate::joins::{SourceFeed, SourceObject};
use crate::resource::ResourceInfo;

/// Feeds the objects of one kind from which labels are joined. The objects have no samples.
pub(crate) struct JoinWriter {
    resource: ResourceInfo,
    source: SourceFeed,
    feeder: u64,
    fields: Fields,
    /// The key, the version and the text of the last object.
    last: RowFeeder,
}

// === impl JoinWriter ===

impl JoinWriter {
    pub(crate) fn new(source: SourceFeed) -> Self {
        Self {
            resource: source.kind().info(),
            feeder: source.next_feeder(),
            fields: source.fields(),
            last: RowFeeder::default(),
            source,
        }
    }

    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        let object = self.read(object)?;
        self.source.read_metadata(&object, &mut self.last.source);
        let _step = self.source.begin_step();
        self.source
            .set(self.feeder, &self.last.key, &self.last.source);
        Ok(())
    }

    fn delete(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        self.read(object)?;
        let _step = self.source.begin_step();
        self.source.remove(self.feeder, &self.last.key);
        Ok(())
    }

    /// Decodes an object, and remembers its key and version.
    fn read(&mut self, object: Encoded<'_>) -> Result<SourceObject, DecodeError> {
        let kind = self.resource.kind();
        let decoded = decode::<SourceObject>(kind, object, &self.fields);
        let object = decoded.inspect_err(|error| {
            if let Some((namespace, name)) = error.identity() {
                let namespace = namespace_in(self.resource.scope(), namespace);
                self.last.set_key(namespace, name);
                self.source.remove(self.feeder, &self.last.key);
            }
        })?;
        let metadata = &object.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let namespace = namespace_in(self.resource.scope(), namespace);
        let name = metadata.name.as_deref().unwrap_or_default();
        self.last.set_key(namespace, name);
        let version = metadata.resource_version.as_deref().unwrap_or_default();
        self.last.version.clear();
        self.last.version.push_str(version);
        Ok(object)
    }

    #[cfg(feature = "protobuf")]
    fn protobuf<'a>(&self, object: &'a [u8]) -> Result<Encoded<'a>, DecodeError> {
        let kind = self.resource.kind();
        let message = kube_protobuf::message_of(&self.resource.api_version(), kind);
        let message = message.ok_or_else(|| DecodeError::no_protobuf(kind))?;
        Ok(Encoding::Protobuf(message).object(object))
    }
}

impl Sealed for JoinWriter {}

impl ObjectWriter for JoinWriter {
    fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    fn apply_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.apply(Encoding::Json.object(json))
    }

    fn delete_json(&mut self, json: &[u8]) -> Result<(), DecodeError> {
        self.delete(Encoding::Json.object(json))
    }

    #[cfg(feature = "protobuf")]
    fn apply_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        self.apply(self.protobuf(object)?)
    }

    #[cfg(feature = "protobuf")]
    fn delete_protobuf(&mut self, object: &[u8]) -> Result<(), DecodeError> {
        self.delete(self.protobuf(object)?)
    }

    #[cfg(feature = "protobuf")]
    fn reads_protobuf(&self) -> bool {
        true
    }

    fn delete_key(&mut self, namespace: &str, name: &str) {
        let namespace = namespace_in(self.resource.scope(), namespace);
        self.last.set_key(namespace, name);
        let _step = self.source.begin_step();
        self.source.remove(self.feeder, &self.last.key);
    }

    fn last_version(&self) -> &str {
        &self.last.version
    }

    fn begin_list(&mut self) {
        self.source.begin_list(self.feeder);
    }

    fn end_list(&mut self) {
        let _step = self.source.begin_step();
        self.source.end_list(self.feeder);
    }

    fn abandon_list(&mut self) {
        self.source.abandon_list(self.feeder);
    }

    fn reads_only(&self, paths: &[&str]) -> bool {
        paths.contains(&"metadata")
    }

    fn is_for_joins(&self) -> bool {
        true
    }

    fn close(self: Box<Self>) {
        let _step = self.source.begin_step();
        self.source.close(self.feeder);
    }
}

impl Drop for JoinWriter {
    fn drop(&mut self) {
        self.abandon_list();
    }
}

impl fmt::Debug for JoinWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinWriter").field(&self.source).finish()
    }
}
