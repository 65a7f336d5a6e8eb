//! The state of the simulated server: the collections of objects (one for each kind), with their history and open
//! watches. This module also creates the content of lists and watches. Partial objects have only metadata, or are rows
//! of a table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc::unbounded;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::fault::{Fault, On};
use super::partial::{Form, columns};
use super::requests::ApiRequest;
use super::responses::{ApiResponse, Sender, once, refusal, status, streamed, whole, with_code};
use super::wire::Wire;

pub(super) struct State {
    pub(super) version: u64,
    /// The lowest version from which a watch can start. Watches from lower versions are expired.
    pub(super) oldest: u64,
    pub(super) collections: BTreeMap<String, Collection>,
    pub(super) faults: Vec<(On, String, usize, Fault)>,
    pub(super) log: Vec<ApiRequest>,
    pub(super) tokens: HashMap<String, (u64, Vec<Value>)>,
    pub(super) streaming: bool,
    /// Whether the server sends the bookmark that ends a streaming list.
    pub(super) end_marks: bool,
    pub(super) whole_from_cache: bool,
    pub(super) expiry_as_status: bool,
    pub(super) shards: bool,
    pub(super) protobuf: bool,
    pub(super) down: bool,
    /// Whether the server sends partial objects to a client that requests them.
    pub(super) partial: bool,
    /// Collections of which the server sends only metadata, even if a client requests whole objects or tables.
    pub(super) only_metadata: Vec<String>,
    /// The columns of tables.
    pub(super) columns: &'static [&'static str],
    pub(super) bookmarks: Duration,
    pub(super) watches: u64,
    /// The plural name and the number of bytes of each list and page.
    pub(super) list_bytes: Vec<(String, usize)>,
}

pub(super) struct Collection {
    pub(super) prefix: String,
    pub(super) kind: String,
    pub(super) api_version: String,
    pub(super) objects: BTreeMap<(String, String), Value>,
    pub(super) history: Vec<(u64, &'static str, Value)>,
    pub(super) watches: Vec<OpenWatch>,
    /// The number of the next changes that no watch receives.
    pub(super) lost_changes: usize,
    /// Namespaces and names of objects that streaming lists omit.
    pub(super) unstreamed: Vec<(String, String)>,
    /// Namespaces and names of objects that lists of whole objects omit. Lists of metadata still contain these objects.
    pub(super) without_body: Vec<(String, String)>,
    pub(super) liveliness: Liveliness,
}

/// What all watches of a collection receive after their initial events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Liveliness {
    #[default]
    Live,
    /// The watches receive only bookmarks. The version of a bookmark is the higher of two versions: this version, and
    /// the start version of the watch.
    Frozen(u64),
    /// The watches receive nothing.
    Mute,
}

pub(super) struct OpenWatch {
    pub(super) id: u64,
    pub(super) request: ApiRequest,
    pub(super) sender: Sender,
    wire: Wire,
    form: Form,
    /// The columns of the table, which the first event of the watch contains. After the first event, this field is
    /// `None`.
    columns: Option<Value>,
    pub(super) muted: bool,
    /// The version after which the watch has started.
    start: u64,
}

impl OpenWatch {
    /// Returns an event in the encoding of the watch.
    pub(super) fn event(&self, kind: &str, object: &Value) -> Bytes {
        self.wire.event(kind, object)
    }

    fn send(&mut self, kind: &str, object: &Value) {
        let object = self.form.event(object, self.columns.take());
        let event = self.event(kind, &object);
        // The error is ignored, because the client may have closed the connection.
        let _ = self.sender.unbounded_send(Ok(event));
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: 100,
            oldest: 0,
            collections: BTreeMap::new(),
            faults: Vec::new(),
            log: Vec::new(),
            tokens: HashMap::new(),
            streaming: true,
            end_marks: true,
            whole_from_cache: false,
            expiry_as_status: false,
            shards: false,
            protobuf: false,
            down: false,
            partial: true,
            only_metadata: Vec::new(),
            columns: &["Name", "Type", "Data", "Age"],
            bookmarks: Duration::from_secs(60),
            watches: 0,
            list_bytes: Vec::new(),
        }
    }
}

impl State {
    /// Logs a request. Returns the fault that applies to the request, and reduces the number of remaining uses of this
    /// fault.
    pub(super) fn fault_for(&mut self, request: &ApiRequest) -> Option<Fault> {
        self.log.push(request.clone());
        let kind = match request {
            request if request.name.is_some() => On::Get,
            request if request.is_stream() => On::StreamingList,
            request if request.is_watch() => On::Watch,
            request if request.get("continue").is_some() => On::NextPage,
            _ => On::List,
        };
        let at = self.faults.iter().position(|(on, plural, times, _)| {
            let is_meant = plural.is_empty() || *plural == request.plural;
            (*on == On::Any || *on == kind) && is_meant && *times > 0
        })?;
        let (.., times, fault) = &mut self.faults[at];
        *times -= 1;
        Some(fault.clone())
    }

    /// Returns the encoding of the response to a request.
    pub(super) fn wire(&self, request: &ApiRequest) -> Wire {
        let collection = self.collections.get(&request.plural);
        let api_version = collection
            .map(|own| own.api_version.clone())
            .unwrap_or_default();
        let kind = collection.map(|own| own.kind.clone()).unwrap_or_default();
        let has_protobuf = kube_protobuf::message_of(&api_version, &kind).is_some();
        let protobuf = self.protobuf && has_protobuf && request.accepts_protobuf();
        Wire {
            protobuf,
            api_version,
            kind,
        }
    }

    pub(super) fn list(&mut self, request: &ApiRequest) -> ApiResponse {
        let collection = &self.collections[&request.plural];
        let (version, mut objects) = match request.get("continue") {
            Some(token) => match self.tokens.remove(token) {
                Some(page) => page,
                None => return refusal(410, "Expired", "the continue token is too old", None),
            },
            None => {
                let of_metadata = request.accept.contains("PartialObjectMetadata");
                let selected = collection.objects.iter().filter(|(key, own)| {
                    request.selects(own) && (of_metadata || !collection.without_body.contains(key))
                });
                (self.version, selected.map(|(_, own)| own.clone()).collect())
            }
        };
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        let from_cache = request.version() == Some(0) && self.whole_from_cache;
        let limit = request
            .get("limit")
            .map(|limit| limit.parse::<usize>().unwrap());
        if let Some(limit) = limit.filter(|limit| *limit < objects.len() && !from_cache) {
            let rest = objects.split_off(limit);
            let token = format!("t{}-{}", self.log.len(), rest.len());
            metadata["continue"] = json!(token);
            if request.get("fieldSelector").is_none() && request.get("labelSelector").is_none() {
                metadata["remainingItemCount"] = json!(rest.len());
            }
            self.tokens.insert(token, (version, rest));
        }
        if let Some(selector) = request.get("shardSelector") {
            metadata["shardInfo"] = json!({ "selector": selector });
        }
        let collection = &self.collections[&request.plural];
        for object in &mut objects {
            // Items of a list do not contain their kind.
            let object = object.as_object_mut().unwrap();
            object.remove("kind");
            object.remove("apiVersion");
        }
        let list =
            self.form(request)
                .list(&collection.kind, &metadata, &objects, columns(self.columns));
        whole(list.to_string())
    }

    /// Returns the form of the objects in the response to a request.
    fn form(&self, request: &ApiRequest) -> Form {
        if self.only_metadata.contains(&request.plural) {
            return Form::Metadata;
        }
        match self.partial {
            true => Form::of(request),
            false => Form::Whole,
        }
    }

    pub(super) fn watch(&mut self, request: ApiRequest, state: &Arc<Mutex<State>>) -> ApiResponse {
        let (version, wire) = (request.version(), self.wire(&request));
        if !request.is_stream() && version.is_some_and(|version| version < self.oldest) {
            let body = status(410, "Expired", "too old resource version");
            return if self.expiry_as_status {
                with_code(410, body.to_string(), None)
            } else {
                wire.watch_headers(streamed(200, once(wire.event("ERROR", &body))))
            };
        }
        let (sender, receiver) = unbounded();
        self.watches += 1;
        let (id, now) = (self.watches, self.version);
        let seconds = request.get("timeoutSeconds").unwrap().parse().unwrap();
        let (plural, every) = (request.plural.clone(), self.bookmarks);
        let mut watch = OpenWatch {
            id,
            form: self.form(&request),
            request,
            sender,
            wire: wire.clone(),
            columns: Some(columns(self.columns)),
            muted: false,
            start: version.unwrap_or(now),
        };
        let collection = self.collections.get_mut(&plural).unwrap();
        if watch.request.is_stream() {
            watch.start = now;
            for (key, object) in &collection.objects {
                let is_left_out = [&collection.unstreamed, &collection.without_body]
                    .iter()
                    .any(|left_out| left_out.contains(key));
                if watch.request.selects(object) && !is_left_out {
                    watch.send("ADDED", object);
                }
            }
            if self.end_marks {
                let bookmark = watch.wire.bookmark(now, true);
                watch.send("BOOKMARK", &bookmark);
            }
        } else if collection.liveliness == Liveliness::Live {
            for (at, kind, object) in &collection.history {
                if version.is_some_and(|version| *at > version) && watch.request.selects(object) {
                    watch.send(kind, object);
                }
            }
        }
        collection.watches.retain(|watch| !watch.sender.is_closed());
        collection.watches.push(watch);
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
            loop {
                let next = tokio::time::Instant::now() + every;
                tokio::time::sleep_until(next.min(end)).await;
                let mut state = state.lock();
                let version = state.version;
                let Some(collection) = state.collections.get_mut(&plural) else {
                    return;
                };
                let mut watches = collection.watches.iter_mut();
                let Some(watch) = watches.find(|watch| watch.id == id) else {
                    return;
                };
                if next > end {
                    watch.sender.close_channel();
                }
                if watch.sender.is_closed() {
                    return;
                }
                let version = match collection.liveliness {
                    Liveliness::Live => Some(version),
                    Liveliness::Frozen(version) => Some(version.max(watch.start)),
                    Liveliness::Mute => None,
                };
                if let Some(version) = version.filter(|_| !watch.muted) {
                    let bookmark = watch.wire.bookmark(version, false);
                    watch.send("BOOKMARK", &bookmark);
                }
            }
        });
        wire.watch_headers(streamed(200, receiver))
    }
}

impl Collection {
    pub(super) fn happen(&mut self, version: u64, kind: &'static str, object: Value) {
        if self.lost_changes > 0 {
            self.lost_changes -= 1;
            return;
        }
        if self.liveliness != Liveliness::Live {
            self.history.push((version, kind, object));
            return;
        }
        self.watches.retain(|watch| !watch.sender.is_closed());
        for watch in self.watches.iter_mut().filter(|watch| !watch.muted) {
            // A watch that starts from a later version does not receive this event.
            let wanted = watch.request.version().is_none_or(|from| from < version);
            if wanted && watch.request.selects(&object) {
                watch.send(kind, &object);
            }
        }
        self.history.push((version, kind, object));
    }
}
