//! [`ObjectView`]: reads the fields of an object that joined labels need. The object is a typed object or JSON.

use std::any::{Any, TypeId};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
#[cfg(feature = "custom-resources")]
use serde_json::Value;

use super::join::MetadataMap;
use super::reference::ObjectName;
#[cfg(feature = "custom-resources")]
use crate::dynamic::JsonObject;
use crate::k8s::label_value_len;
use crate::resource::CollectedResource;

/// The field with the name of the node on which an object runs.
pub(super) const NODE_NAME: &str = "spec.nodeName";
/// The fields that identify the controller of an object.
pub(super) const CONTROLLER: [&str; 4] = [
    "metadata.ownerReferences.apiVersion",
    "metadata.ownerReferences.kind",
    "metadata.ownerReferences.name",
    "metadata.ownerReferences.controller",
];

/// Maximum length of a joined value, in bytes, including the backslashes of escapes. Labels and names in Kubernetes are
/// always shorter. A longer annotation is not joined, because it would be repeated in each sample.
pub(super) const MAX_VALUE: usize = 1 << 10;

/// Whether objects of this type have the field [`NODE_NAME`]. If not, the watch need not read the field, and can
/// request protobuf or only the metadata of the objects.
pub(super) fn has_node<K: 'static>() -> bool {
    let types = [
        TypeId::of::<Pod>(),
        TypeId::of::<VolumeAttachment>(),
        TypeId::of::<DynamicObject>(),
        #[cfg(feature = "custom-resources")]
        TypeId::of::<JsonObject>(),
    ];
    types.contains(&TypeId::of::<K>())
}

/// The fields of an object that joined labels need.
#[derive(Clone, Copy)]
pub(super) struct ObjectView<'a> {
    metadata: &'a ObjectMeta,
    object: Option<&'a dyn Any>,
}

// === impl ObjectView ===

impl<'a> ObjectView<'a> {
    pub(super) fn of<K: CollectedResource>(object: &'a K) -> Self {
        Self {
            metadata: object.meta(),
            object: Some(object),
        }
    }

    pub(super) fn of_metadata(metadata: &'a ObjectMeta) -> Self {
        Self {
            metadata,
            object: None,
        }
    }

    pub(super) fn name(self) -> &'a str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The value of a label or an annotation; `None` if the key is missing or the value is too long.
    pub(super) fn value(self, map: MetadataMap, key: &str) -> Option<&'a str> {
        self.any_value(map, key).filter(is_short)
    }

    /// The owner that controls the object; `None` if there is no such owner, or if its kind or name is too long.
    pub(super) fn controller(self) -> Option<ObjectName<'a>> {
        let controller = self.any_controller();
        controller.filter(|owner| is_short(&owner.kind) && is_short(&owner.name))
    }

    /// The node on which the object runs: `spec.nodeName`.
    pub(super) fn node(self) -> Option<&'a str> {
        self.any_node().filter(is_short)
    }

    fn any_value(self, map: MetadataMap, key: &str) -> Option<&'a str> {
        #[cfg(feature = "custom-resources")]
        if let Some(metadata) = self.json_metadata() {
            let map = match map {
                MetadataMap::Labels => "labels",
                MetadataMap::Annotations => "annotations",
            };
            return metadata.get(map)?.get(key)?.as_str();
        }
        let map = match map {
            MetadataMap::Labels => &self.metadata.labels,
            MetadataMap::Annotations => &self.metadata.annotations,
        };
        map.as_ref()?.get(key).map(String::as_str)
    }

    fn any_controller(self) -> Option<ObjectName<'a>> {
        #[cfg(feature = "custom-resources")]
        if let Some(metadata) = self.json_metadata() {
            let owners = metadata.get("ownerReferences")?.as_array()?;
            let is_controller = |owner: &&Value| owner["controller"] == true;
            let owner = owners.iter().find(is_controller)?;
            let api_version = owner["apiVersion"].as_str()?;
            return Some(ObjectName {
                group: group_of(api_version),
                kind: owner["kind"].as_str()?,
                name: owner["name"].as_str()?,
            });
        }
        let mut owners = self.metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        Some(ObjectName {
            group: group_of(&owner.api_version),
            kind: &owner.kind,
            name: &owner.name,
        })
    }

    fn any_node(self) -> Option<&'a str> {
        let object = self.object?;
        if let Some(pod) = object.downcast_ref::<Pod>() {
            return pod.spec.as_ref()?.node_name.as_deref();
        }
        if let Some(attachment) = object.downcast_ref::<VolumeAttachment>() {
            return Some(&attachment.spec.node_name);
        }
        #[cfg(feature = "custom-resources")]
        if let Some(json) = object.downcast_ref::<JsonObject>() {
            return json.value().get("spec")?.get("nodeName")?.as_str();
        }
        let object = object.downcast_ref::<DynamicObject>()?;
        object.data.get("spec")?.get("nodeName")?.as_str()
    }

    /// The metadata of a [`JsonObject`], as JSON. This function is needed because the typed metadata of a
    /// [`JsonObject`] has no labels, annotations or owners.
    #[cfg(feature = "custom-resources")]
    fn json_metadata(self) -> Option<&'a Value> {
        let json = self.object?.downcast_ref::<JsonObject>()?;
        Some(json.value().get("metadata").unwrap_or(&Value::Null))
    }
}

fn is_short(value: &&str) -> bool {
    value.len() <= MAX_VALUE && label_value_len(value) <= MAX_VALUE
}

/// The group in an `apiVersion` such as `apps/v1`; empty for the core group.
fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
