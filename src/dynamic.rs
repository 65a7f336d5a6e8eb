//! [`JsonObject`]: an object as JSON, for kinds whose families come only from a configuration of custom resources.

mod bounded_value;

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::resource::ResourceInfo;

/// An object of any kind, as JSON.
///
/// An object can have any structure, but at most 500,000 values. A map counts as 10 values. The identity of an object
/// consists of the fields `name`, `namespace`, `uid` and `resourceVersion` of `metadata`. If the value of one of these
/// fields is not a string, the field is ignored, and the object can be decoded nevertheless.
///
/// ```
/// use kube_state_metrics::custom_resources::JsonObject;
///
/// let widget: JsonObject = serde_json::from_value(serde_json::json!({ "spec": { "size": 3 } }))?;
/// assert_eq!(widget.value()["spec"]["size"], 3);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject {
    metadata: ObjectMeta,
    value: Value,
}

impl JsonObject {
    /// Sets the fields `apiVersion` and `kind` to those of `resource`.
    pub(crate) fn set_type(&mut self, resource: &ResourceInfo) {
        let Value::Object(fields) = &mut self.value else {
            return;
        };
        let (api_version, kind) = (resource.api_version(), resource.kind());
        for (name, text) in [("apiVersion", &*api_version), ("kind", kind)] {
            if fields.get(name).and_then(Value::as_str) != Some(text) {
                fields.insert(name.to_owned(), text.into());
            }
        }
    }

    /// The whole object. Fields that no configured metric reads may be missing.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns `namespace/name` or `name`, for messages.
    pub(super) fn key(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or("<unnamed>");
        match &self.metadata.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }
}

impl From<Value> for JsonObject {
    fn from(value: Value) -> Self {
        let metadata = value.get("metadata");
        let text = |name| {
            let field = metadata.and_then(|metadata| metadata.get(name));
            field.and_then(Value::as_str).map(str::to_owned)
        };
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Self { metadata, value }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded_value::read(deserializer).map(Self::from)
    }
}

impl Resource for JsonObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.api_version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
