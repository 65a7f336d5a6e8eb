//! [`set_type`]: sets the kind of an object whose Rust type does not determine the kind.

use std::any::Any;

use kube::core::{DynamicObject, TypeMeta};

use crate::resource::ResourceInfo;

/// Sets `apiVersion` and `kind` of an object to those of `resource`. Does nothing if the Rust type of the object
/// determines the kind.
///
/// API servers omit these two fields in the items of some lists, and send another kind if a client requests only
/// metadata. Families that read the fields must always see the same values.
pub(super) fn set_type<K: Any>(object: &mut K, resource: &ResourceInfo) {
    let object: &mut dyn Any = object;
    #[cfg(feature = "custom-resources")]
    if let Some(object) = object.downcast_mut::<crate::dynamic::JsonObject>() {
        object.set_type(resource);
    }
    if let Some(object) = object.downcast_mut::<DynamicObject>() {
        object.types = Some(TypeMeta {
            api_version: resource.api_version().into_owned(),
            kind: resource.kind().to_owned(),
        });
    }
}
