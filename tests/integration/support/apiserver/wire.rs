//! [`Wire`]: writes the objects, lists and events of the simulated server in JSON or protobuf.

use bytes::Bytes;
use http_body_util::BodyExt;
use kube_protobuf::{ANY_OBJECT, Envelope, encode, message_of};
use serde_json::{Value, json};

use super::requests::ApiRequest;
use super::responses::ApiResponse;

/// The kind of objects that contain only metadata.
const PARTIAL: &str = "PartialObjectMetadata";
/// In JSON, the server replaces this character with bytes that are not UTF-8.
pub(crate) const NOT_UTF8: &str = "\u{e000}";

/// The encoding in which the server writes the objects of a collection for a request.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(super) protobuf: bool,
    pub(super) api_version: String,
    pub(super) kind: String,
}

impl Wire {
    /// Returns the encoding of configmaps in protobuf or JSON.
    pub(crate) fn config_maps(protobuf: bool) -> Self {
        Self {
            protobuf,
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
        }
    }

    /// Returns the encoding of configmaps that a request prefers.
    pub(crate) fn of_config_maps(request: &ApiRequest) -> Self {
        Self::config_maps(request.accepts_protobuf())
    }

    /// Encodes an object in the form that events contain. The object must have the kind `self.kind`, or be a `Status`.
    pub(crate) fn object(&self, object: &Value) -> Bytes {
        if !self.protobuf {
            return object.to_string().into();
        }
        if object["kind"] == PARTIAL {
            return encode::envelope("meta.k8s.io/v1", PARTIAL, &self.item(object)).into();
        }
        let mut object = typed(object);
        let (api_version, kind) = match object["kind"].as_str() {
            Some("Status") => ("v1", "Status"),
            _ => (&*self.api_version, &*self.kind),
        };
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        encode::object(&object).unwrap().unwrap().into()
    }

    /// Encodes an object of the collection in the form that lists contain.
    pub(crate) fn item(&self, object: &Value) -> Bytes {
        let mut object = object.clone();
        let fields = object.as_object_mut().unwrap();
        fields.remove("kind");
        fields.remove("apiVersion");
        if !self.protobuf {
            return object.to_string().into();
        }
        let message = message_of(&self.api_version, &self.kind).unwrap();
        encode::message(message, &typed(&object)).unwrap().into()
    }

    /// Returns an event of a watch.
    pub(crate) fn event(&self, event: &str, object: &Value) -> Bytes {
        if self.protobuf {
            return encode::watch_event(event, &self.object(object)).into();
        }
        json_bytes(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n"))
    }

    /// Returns the object of a bookmark. If `initial_end` is true, the bookmark ends the initial events of a streaming
    /// list.
    pub(crate) fn bookmark(&self, version: u64, initial_end: bool) -> Value {
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        json!({ "kind": self.kind, "metadata": metadata })
    }

    pub(crate) fn list(&self, metadata: &Value, items: &[Value]) -> Bytes {
        if self.protobuf {
            let items: Vec<_> = items.iter().map(typed).collect();
            let list = encode::list(&self.api_version, &self.kind, metadata, &items);
            return list.unwrap().unwrap().into();
        }
        let kind = format!("{}List", self.kind);
        let list = json!({ "kind": kind, "metadata": metadata, "items": items });
        list.to_string().into()
    }

    /// Sets the content type of a watch.
    pub(super) fn watch_headers(&self, response: ApiResponse) -> ApiResponse {
        self.with_type(response, "application/vnd.kubernetes.protobuf;stream=watch")
    }

    /// Sets the content type of a list or an error.
    pub(super) fn list_headers(&self, response: ApiResponse) -> ApiResponse {
        self.with_type(response, kube_protobuf::CONTENT_TYPE)
    }

    fn with_type(&self, mut response: ApiResponse, content_type: &'static str) -> ApiResponse {
        if self.protobuf {
            let content_type = http::HeaderValue::from_static(content_type);
            let headers = response.headers_mut();
            headers.insert(http::header::CONTENT_TYPE, content_type);
        }
        response
    }

    /// Converts a list or an error from JSON to the encoding of the request.
    pub(super) async fn rewritten(&self, response: ApiResponse) -> ApiResponse {
        if !self.protobuf {
            return response;
        }
        let (parts, body) = response.into_parts();
        let json = body.collect().await.unwrap().to_bytes();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let bytes = match (json["items"].as_array(), json["kind"].as_str()) {
            (Some(items), Some("PartialObjectMetadataList")) => {
                let list = self.list(&json["metadata"], items);
                let raw = Envelope::parse(&list).unwrap().object_as(&ANY_OBJECT).raw();
                let kind = format!("{PARTIAL}List");
                encode::envelope("meta.k8s.io/v1", &kind, raw).into()
            }
            (Some(items), _) => self.list(&json["metadata"], items),
            (None, _) => self.object(&json),
        };
        let body = http_body_util::Full::new(bytes);
        let body = body.map_err(|never| match never {}).boxed_unsync();
        self.list_headers(http::Response::from_parts(parts, body))
    }
}

/// Returns the bytes of a JSON text, in which [`NOT_UTF8`] is replaced.
pub(crate) fn json_bytes(text: String) -> Bytes {
    if !text.contains(NOT_UTF8) {
        return text.into();
    }
    let parts: Vec<_> = text.split(NOT_UTF8).map(str::as_bytes).collect();
    parts.join(&b"\xff\xc0"[..]).into()
}

/// Returns the object in a form that protobuf can encode.
///
/// Some tests use an array as the time of creation, so that the JSON does not decode. This function replaces the array
/// with a number that does not decode in protobuf. The function also moves the unknown field `z` into `data`.
fn typed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(unknown) = object.get("z").cloned() {
        object["data"] = json!({ "z": unknown });
    }
    let time = object.pointer_mut("/metadata/creationTimestamp");
    if let Some(time) = time.filter(|time| time.is_array()) {
        *time = json!(i64::MAX);
    }
    object
}
