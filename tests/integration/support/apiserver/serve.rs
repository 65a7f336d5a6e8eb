//! Responds to a request to the simulated server. If a fault applies to the request, the response has this fault.

use std::io;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::ApiServer;
use super::fault::Fault;
use super::requests::ApiRequest;
use super::responses::{ApiResponse, once, refusal, spoil, status, streamed, whole, with_code};
use super::wire::Wire;

impl ApiServer {
    pub(super) async fn answer(&self, request: ApiRequest, body: &[u8]) -> io::Result<ApiResponse> {
        let fault = self.state.lock().fault_for(&request);
        let wire = self.state.lock().wire(&request);
        if self.state.lock().down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        match fault {
            None if request.method == "PATCH" => Ok(self.patch(&request, body)),
            None => Ok(self.healthy(&request, &wire).await),
            Some(Fault::Refused) => Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Status(code, reason)) => {
                let refusal = refusal(code, reason, "scripted", None);
                Ok(wire.rewritten(refusal).await)
            }
            Some(Fault::RetryAfter(code, seconds)) => {
                let refusal = refusal(code, "TooManyRequests", "scripted", Some(seconds));
                Ok(wire.rewritten(refusal).await)
            }
            Some(Fault::Body(text)) => Ok(whole(text.into())),
            Some(Fault::ErrorEvent(code, reason)) => {
                let event = wire.event("ERROR", &status(code, reason, "scripted"));
                Ok(wire.watch_headers(streamed(200, once(event))))
            }
            Some(Fault::Script(code, body)) => {
                let response = streamed(code, body(&request));
                Ok(match request.is_watch() {
                    true => wire.watch_headers(response),
                    false => wire.list_headers(response),
                })
            }
            Some(fault) => {
                let response = self.healthy(&request, &wire).await;
                Ok(response.map(|body| spoil(body, fault)))
            }
        }
    }

    /// Merges a patch into an object, or creates the object. If the patch changes nothing, the resource version does
    /// not increase.
    fn patch(&self, request: &ApiRequest, body: &[u8]) -> ApiResponse {
        let patch: Value = serde_json::from_slice(body).unwrap();
        let key = (
            request.namespace.clone().unwrap_or_default(),
            request.name.clone().unwrap(),
        );
        let before = self.state.lock().collections[&request.plural]
            .objects
            .get(&key)
            .cloned();
        let mut object = before.clone().unwrap_or_else(|| json!({}));
        merge(&mut object, &patch);
        if before.as_ref() != Some(&object) {
            object = self.put(&request.plural, object);
        }
        whole(object.to_string())
    }

    /// Returns the response of a server without faults, in the encoding that the request prefers.
    async fn healthy(&self, request: &ApiRequest, wire: &Wire) -> ApiResponse {
        let response = self.good(request);
        let is_open = request.is_watch() && response.status() == 200;
        if is_open || request.name.is_some() {
            return response;
        }
        let (parts, body) = wire.rewritten(response).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let size = (request.plural.clone(), bytes.len());
        self.state.lock().list_bytes.push(size);
        ApiResponse::from_parts(parts, streamed(200, once(bytes)).into_body())
    }

    fn good(&self, request: &ApiRequest) -> ApiResponse {
        let mut state = self.state.lock();
        let known = state.collections.get(&request.plural);
        if known.is_none_or(|own| !request.path.starts_with(&own.prefix)) {
            return refusal(
                404,
                "NotFound",
                "the server could not find the requested resource",
                None,
            );
        }
        if let Some(name) = &request.name {
            let key = (request.namespace.clone().unwrap_or_default(), name.clone());
            return match state.collections[&request.plural].objects.get(&key) {
                Some(object) => whole(object.to_string()),
                None => refusal(404, "NotFound", "no such object", None),
            };
        }
        if !request.fields_are_known() {
            return refusal(400, "BadRequest", "field label not supported", None);
        }
        if request.is_stream() && !state.streaming {
            return refusal(422, "Invalid", "sendInitialEvents is forbidden", None);
        }
        let mut request = request.clone();
        if !state.shards {
            request.query.remove("shardSelector");
        }
        let too_large = request
            .version()
            .is_some_and(|version| version > state.version);
        if too_large && (!request.is_watch() || request.is_stream()) {
            let mut body = status(504, "Timeout", "Too large resource version");
            body["details"] = json!({ "causes": [{ "reason": "ResourceVersionTooLarge" }] });
            return with_code(504, body.to_string(), None);
        }
        if request.is_watch() {
            state.watch(request, &self.state)
        } else {
            state.list(&request)
        }
    }
}

/// Applies a JSON merge patch, [RFC 7396](https://www.rfc-editor.org/rfc/rfc7396).
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
