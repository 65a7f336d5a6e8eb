//! [`JoinWriter`]: feeds objects whose labels are joined to the samples of other objects, for kinds without a store.

use std::fmt;

use super::object_writer::ObjectWriter;
use super::object_writer::sealed::Sealed;
use super::row_feeder::RowFeeder;
use crate::decode::{DecodeError, Encoded, Encoding, decode};
use crate::joins::{SourceFeed, SourceObject};
use crate::resource::ResourceInfo;

/// Feeds the objects of one kind, so that their labels can be joined to the samples of other objects. The objects of
/// this kind have no samples.
pub(crate) struct JoinWriter {
    resource: ResourceInfo,
    source: SourceFeed,
    feeder: u64,
    /// Whether an object without a name is an error, as for the objects of stores.
    needs_names: bool,
    /// The fields of the protobuf message of the kind.
    #[cfg(feature = "protobuf")]
    message: Option<&'static kube_protobuf::Message>,
    /// The last object: its key, its version, and the values that are joined to the samples of other objects.
    last: RowFeeder,
}

// === impl JoinWriter ===

impl JoinWriter {
    pub(crate) fn boxed(source: SourceFeed) -> Box<dyn ObjectWriter> {
        Box::new(Self::new(source))
    }

    pub(crate) fn new(source: SourceFeed) -> Self {
        let resource = source.kind().info();
        Self {
            #[cfg(feature = "protobuf")]
            message: kube_protobuf::message_of(&resource.api_version(), resource.kind()),
            resource,
            feeder: source.next_feeder(),
            needs_names: false,
            last: RowFeeder::default(),
            source,
        }
    }

    /// Makes an object without a name an error.
    #[cfg(feature = "watch")]
    pub(crate) fn with_required_names(mut self) -> Self {
        self.needs_names = true;
        self
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

    /// Decodes an object, and stores its key and version in `last`.
    fn read(&mut self, object: Encoded<'_>) -> Result<SourceObject, DecodeError> {
        let decoded = decode::<SourceObject>(self.resource.kind(), object, self.source.fields());
        let object = decoded.inspect_err(|error| {
            if let Some((namespace, name)) = error.identity()
                && !error.is_only_metadata()
            {
                self.delete_key(namespace, name);
            }
        })?;
        let name = object.metadata.name.as_ref();
        if self.needs_names && name.is_none_or(String::is_empty) {
            return Err(DecodeError::unnamed(self.resource.kind()));
        }
        self.last
            .read_metadata(&object.metadata, self.resource.scope());
        Ok(object)
    }

    #[cfg(feature = "protobuf")]
    fn protobuf<'a>(&self, object: &'a [u8]) -> Result<Encoded<'a>, DecodeError> {
        match self.message {
            Some(message) => Ok(Encoding::Protobuf(message).object(object)),
            None => Err(DecodeError::no_protobuf(self.resource.kind())),
        }
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
        self.last.set_key_in(self.resource.scope(), namespace, name);
        let _step = self.source.begin_step();
        self.source.remove(self.feeder, &self.last.key);
    }

    fn keep_key(&mut self, namespace: &str, name: &str) -> bool {
        self.last.set_key_in(self.resource.scope(), namespace, name);
        self.source.keep(self.feeder, &self.last.key)
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
