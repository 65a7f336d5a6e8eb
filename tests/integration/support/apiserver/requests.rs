//! Parses requests to the simulated API server.

use std::collections::BTreeMap;

use serde_json::Value;

/// A parsed request.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) accept: String,
    pub(crate) accept_encoding: Option<String>,
}

impl ApiRequest {
    pub(crate) fn new(request: &http::Request<kube::client::Body>) -> Self {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default().as_bytes();
        let query = form_urlencoded::parse(query).into_owned().collect();
        let mut parsed = Self {
            method: request.method().to_string(),
            path: uri.path().to_owned(),
            query,
            ..Self::default()
        };
        let header = |name| {
            let value = request.headers().get(name);
            value.map(|value: &http::HeaderValue| value.to_str().unwrap().to_owned())
        };
        parsed.accept = header(http::header::ACCEPT).unwrap_or_default();
        parsed.accept_encoding = header(http::header::ACCEPT_ENCODING);
        let mut parts = uri.path().trim_start_matches('/').split('/');
        let skip = if parts.next() == Some("api") { 1 } else { 2 };
        let parts: Vec<_> = parts.skip(skip).map(str::to_owned).collect();
        match &parts[..] {
            [namespaces, namespace, rest @ ..]
                if namespaces == "namespaces" && !rest.is_empty() =>
            {
                parsed.namespace = Some(namespace.clone());
                parsed.plural = rest[0].clone();
                parsed.name = rest.get(1).cloned();
            }
            [plural, rest @ ..] => {
                parsed.plural = plural.clone();
                parsed.name = rest.first().cloned();
            }
            [] => {}
        }
        parsed
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn accepts_protobuf(&self) -> bool {
        self.accept.starts_with(kube_protobuf::CONTENT_TYPE)
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.get("watch") == Some("true")
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.get("sendInitialEvents") == Some("true")
    }

    pub(crate) fn version(&self) -> Option<u64> {
        self.get("resourceVersion")
            .map(|version| version.parse().unwrap())
    }

    /// Whether the request selects an object.
    pub(crate) fn selects(&self, object: &Value) -> bool {
        let text = |path: &str| {
            object
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let in_namespace = (self.namespace.as_deref())
            .is_none_or(|namespace| namespace == text("/metadata/namespace"));
        let fields = self.get("fieldSelector").unwrap_or_default();
        let by_fields = terms(fields).into_iter().all(|(path, equal, value)| {
            let path = format!("/{}", path.replace('.', "/"));
            (text(&path) == value) == equal
        });
        let labels = self.get("labelSelector").unwrap_or_default();
        let by_labels = terms(labels).into_iter().all(|(key, equal, value)| {
            let own = object
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get(key));
            (own.and_then(Value::as_str).unwrap_or_default() == value) == equal
        });
        in_namespace && by_fields && by_labels && self.in_shard(text("/metadata/uid"))
    }

    fn in_shard(&self, uid: &str) -> bool {
        let Some(selector) = self.get("shardSelector") else {
            return true;
        };
        let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        selector.split(" || ").any(|range| {
            let bounds: Vec<_> = range
                .split('\'')
                .filter(|part| part.starts_with("0x"))
                .collect();
            let bound = |at: usize| u128::from_str_radix(&bounds[at][2..], 16).unwrap();
            (bound(0)..bound(1)).contains(&u128::from(hash))
        })
    }

    /// Whether the server supports all fields of the request's field selector.
    pub(crate) fn fields_are_known(&self) -> bool {
        let terms = terms(self.get("fieldSelector").unwrap_or_default());
        terms.into_iter().all(|(path, ..)| {
            path.starts_with("metadata.name") || self.plural == "pods" && path == "spec.nodeName"
        })
    }
}

/// Returns the terms of a selector. Each term has the name, a flag that is true if the value must be equal, and the
/// value.
fn terms(selector: &str) -> Vec<(String, bool, String)> {
    let unescaped = selector.replace("\\,", "\0");
    let terms = unescaped.split(',').filter(|term| !term.is_empty());
    let terms = terms.map(|term| {
        let (name, equal, value) = match term.split_once("!=") {
            Some((name, value)) => (name, false, value),
            None => {
                let (name, value) = term.split_once('=').unwrap();
                (name, true, value.trim_start_matches('='))
            }
        };
        (name.to_owned(), equal, value.replace('\0', ","))
    });
    terms.collect()
}
