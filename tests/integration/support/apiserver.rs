//! The server: collections, their history, open watches, and faults on demand.

mod requests;
mod responses;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc::unbounded;
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use requests::Asked;
use responses::{
    Answer, Sender, bookmark, line, refusal, spoil, status, streamed, whole, with_code,
};

/// Cloning gives another handle to the same server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Any,
    /// The first or only page of a list.
    List,
    /// A page that is not the first.
    NextPage,
    StreamingList,
    Watch,
    Get,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer with this code and reason.
    Status(u16, &'static str),
    /// The same, and how many seconds to stay away.
    RetryAfter(u16, u64),
    /// The connection is refused.
    Refused,
    /// No answer ever.
    Hang,
    /// The body breaks off with an error after so many bytes.
    Cut(usize),
    /// The body ends, as if complete, after so many bytes.
    Truncate(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// The body comes in pieces of so many bytes, a second apart.
    Slow(usize),
    /// Another body.
    Body(&'static str),
    /// A good watch that consists of an `ERROR` event of this code and reason.
    ErrorEvent(u16, &'static str),
}

struct State {
    version: u64,
    /// Watches of lower versions are expired.
    oldest: u64,
    collections: BTreeMap<String, Collection>,
    faults: Vec<(On, String, usize, Fault)>,
    log: Vec<Asked>,
    tokens: HashMap<String, (u64, Vec<Value>)>,
    streaming: bool,
    whole_from_cache: bool,
    expiry_as_status: bool,
    shards: bool,
    down: bool,
    bookmarks: Duration,
    watches: u64,
}

struct Collection {
    prefix: String,
    kind: String,
    api_version: String,
    objects: BTreeMap<(String, String), Value>,
    history: Vec<(u64, &'static str, Value)>,
    watches: Vec<OpenWatch>,
}

struct OpenWatch {
    id: u64,
    asked: Asked,
    sender: Sender,
    muted: bool,
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
            whole_from_cache: false,
            expiry_as_status: false,
            shards: false,
            down: false,
            bookmarks: Duration::from_secs(60),
            watches: 0,
        }
    }
}

impl ApiServer {
    /// A server of configmaps, namespaces, pods and statefulsets, all empty.
    pub(crate) fn new() -> Self {
        let server = Self::default();
        for (prefix, api_version, plural, kind) in [
            ("/api/v1", "v1", "configmaps", "ConfigMap"),
            ("/api/v1", "v1", "namespaces", "Namespace"),
            ("/api/v1", "v1", "pods", "Pod"),
            ("/apis/apps/v1", "apps/v1", "statefulsets", "StatefulSet"),
        ] {
            server.serve(prefix, api_version, plural, kind);
        }
        server
    }

    /// Serves one more collection, empty.
    pub(crate) fn serve(&self, prefix: &str, api_version: &str, plural: &str, kind: &str) {
        let collection = Collection {
            prefix: prefix.into(),
            kind: kind.into(),
            api_version: api_version.into(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            watches: Vec::new(),
        };
        let mut state = self.state.lock();
        state.collections.insert(plural.into(), collection);
    }

    /// A client of the server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let asked = Asked::new(&request);
                let body = request.into_body().collect().await;
                server.answer(asked, &body.unwrap().to_bytes()).await
            }
        });
        Client::new(service, "default")
    }

    // === the state of the cluster ===

    /// Creates or changes an object; it gets a uid from its name where it has none.
    pub(crate) fn put(&self, plural: &str, mut object: Value) -> Value {
        let mut state = self.state.lock();
        state.version += 1;
        let version = state.version;
        let collection = state.collections.get_mut(plural).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), json!(version.to_string()));
        let name = metadata["name"].as_str().unwrap().to_owned();
        let namespace = metadata
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let key = (namespace.to_owned(), name.clone());
        let uid = format!("{}-{name}-uid", key.0);
        metadata.entry("uid").or_insert(json!(uid));
        object["kind"] = json!(collection.kind);
        object["apiVersion"] = json!(collection.api_version);
        let before = collection.objects.insert(key, object.clone());
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        collection.happen(version, kind, object.clone());
        object
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.state.lock();
        state.version += 1;
        let version = state.version;
        let collection = state.collections.get_mut(plural).unwrap();
        let key = (namespace.to_owned(), name.to_owned());
        let mut object = collection.objects.remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        collection.happen(version, "DELETED", object);
    }

    /// All objects of a collection, in order.
    pub(crate) fn objects(&self, plural: &str) -> Vec<Value> {
        let state = self.state.lock();
        state.collections[plural]
            .objects
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.state.lock().version
    }

    /// Sets the server back, as a restored backup does: versions go down, watches go on.
    pub(crate) fn set_back(&self, version: u64) {
        let mut state = self.state.lock();
        (state.version, state.oldest) = (version, 0);
        for collection in state.collections.values_mut() {
            collection.history.clear();
        }
    }

    // === what the server is like ===

    pub(crate) fn without_streaming_lists(self) -> Self {
        self.state.lock().streaming = false;
        self
    }

    pub(crate) fn set_streaming_lists(&self, on: bool) {
        self.state.lock().streaming = on;
    }

    /// Lists of version 0 are answered whole, whatever limit they ask for.
    pub(crate) fn with_whole_lists(self) -> Self {
        self.state.lock().whole_from_cache = true;
        self
    }

    pub(crate) fn with_shards(self) -> Self {
        self.state.lock().shards = true;
        self
    }

    pub(crate) fn bookmark_every(self, time: Duration) -> Self {
        self.state.lock().bookmarks = time;
        self
    }

    // === faults ===

    /// The next so many requests of a kind fail.
    pub(crate) fn fault(&self, on: On, plural: &str, times: usize, fault: Fault) {
        self.state
            .lock()
            .faults
            .push((on, plural.into(), times, fault));
    }

    pub(crate) fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Refuses connections and cuts those there are, or takes them again.
    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
        if down {
            self.cut_watches("");
        }
    }

    /// Forgets all changes so far: watches cannot be resumed.
    pub(crate) fn compact(&self) {
        let mut state = self.state.lock();
        state.oldest = state.version;
    }

    /// Breaks the connections of watches that cannot be resumed then; empty stands for all.
    pub(crate) fn expire_watches(&self, plural: &str) {
        self.state.lock().version += 1;
        self.compact();
        self.cut_watches(plural);
    }

    /// Says that a watch has expired by the status of the answer, not by an event.
    pub(crate) fn expire_by_status(&self) {
        self.state.lock().expiry_as_status = true;
    }

    /// Page tokens handed out so far are no longer good.
    pub(crate) fn expire_tokens(&self) {
        self.state.lock().tokens.clear();
    }

    fn watches(&self, plural: &str, mut each: impl FnMut(&mut OpenWatch)) {
        let mut state = self.state.lock();
        for (own, collection) in &mut state.collections {
            if plural.is_empty() || own == plural {
                collection.watches.iter_mut().for_each(&mut each);
            }
        }
    }

    /// Breaks connections; an empty name stands for all collections.
    pub(crate) fn cut_watches(&self, plural: &str) {
        self.watches(plural, |watch| {
            let _ = watch
                .sender
                .unbounded_send(Err(io::ErrorKind::ConnectionReset.into()));
            watch.sender.close_channel();
        });
    }

    /// Ends watches in good order.
    pub(crate) fn end_watches(&self, plural: &str) {
        self.watches(plural, |watch| watch.sender.close_channel());
    }

    /// Sends nothing any more on the watches that are open.
    pub(crate) fn mute_watches(&self, plural: &str) {
        self.watches(plural, |watch| watch.muted = true);
    }

    /// Sends bytes on the watches that are open.
    pub(crate) fn send_raw(&self, plural: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.watches(plural, |watch| {
            let _ = watch.sender.unbounded_send(Ok(bytes.clone()));
        });
    }

    /// Sends an event on the watches that are open.
    pub(crate) fn send_event(&self, plural: &str, kind: &str, object: &Value) {
        self.send_raw(plural, line(kind, object));
    }

    /// How many watches are open.
    pub(crate) fn open_watches(&self, plural: &str) -> usize {
        let mut open = 0;
        self.watches(plural, |watch| {
            open += usize::from(!watch.sender.is_closed())
        });
        open
    }

    // === what was asked ===

    /// All requests for a collection since the log was cleared.
    pub(crate) fn log(&self, plural: &str) -> Vec<Asked> {
        let state = self.state.lock();
        state
            .log
            .iter()
            .filter(|asked| asked.plural == plural)
            .cloned()
            .collect()
    }

    pub(crate) fn clear_log(&self) {
        self.state.lock().log.clear();
    }

    /// How many lists, streaming lists and watches were asked for since the log was cleared.
    pub(crate) fn counts(&self, plural: &str) -> (usize, usize, usize) {
        let mut log = self.log(plural);
        log.retain(|asked| asked.method == "GET");
        let streams = log.iter().filter(|asked| asked.is_stream()).count();
        let watches = log.iter().filter(|asked| asked.is_watch()).count();
        (log.len() - watches, streams, watches - streams)
    }

    // === answers ===

    async fn answer(&self, asked: Asked, body: &[u8]) -> io::Result<Answer> {
        let fault = self.state.lock().fault_for(&asked);
        if self.state.lock().down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        match fault {
            None if asked.method == "PATCH" => Ok(self.patch(&asked, body)),
            None => Ok(self.good(&asked)),
            Some(Fault::Refused) => Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Status(code, reason)) => Ok(refusal(code, reason, "scripted", None)),
            Some(Fault::RetryAfter(code, seconds)) => {
                Ok(refusal(code, "TooManyRequests", "scripted", Some(seconds)))
            }
            Some(Fault::Body(text)) => Ok(whole(text.into())),
            Some(Fault::ErrorEvent(code, reason)) => {
                Ok(whole(line("ERROR", &status(code, reason, "scripted"))))
            }
            Some(fault) => Ok(self.good(&asked).map(|body| spoil(body, fault))),
        }
    }

    /// Merges into an object, or creates it; what changes nothing makes no new version.
    fn patch(&self, asked: &Asked, body: &[u8]) -> Answer {
        let patch: Value = serde_json::from_slice(body).unwrap();
        let key = (
            asked.namespace.clone().unwrap_or_default(),
            asked.name.clone().unwrap(),
        );
        let before = self.state.lock().collections[&asked.plural]
            .objects
            .get(&key)
            .cloned();
        let mut object = before.clone().unwrap_or_else(|| json!({}));
        merge(&mut object, &patch);
        if before.as_ref() != Some(&object) {
            object = self.put(&asked.plural, object);
        }
        whole(object.to_string())
    }

    fn good(&self, asked: &Asked) -> Answer {
        let mut state = self.state.lock();
        let known = state.collections.get(&asked.plural);
        if known.is_none_or(|own| !asked.path.starts_with(&own.prefix)) {
            return refusal(
                404,
                "NotFound",
                "the server could not find the requested resource",
                None,
            );
        }
        if let Some(name) = &asked.name {
            let key = (asked.namespace.clone().unwrap_or_default(), name.clone());
            return match state.collections[&asked.plural].objects.get(&key) {
                Some(object) => whole(object.to_string()),
                None => refusal(404, "NotFound", "no such object", None),
            };
        }
        if !asked.fields_are_known() {
            return refusal(400, "BadRequest", "field label not supported", None);
        }
        if asked.is_stream() && !state.streaming {
            return refusal(422, "Invalid", "sendInitialEvents is forbidden", None);
        }
        let mut asked = asked.clone();
        if !state.shards {
            asked.query.remove("shardSelector");
        }
        let too_large = asked
            .version()
            .is_some_and(|version| version > state.version);
        if too_large && (!asked.is_watch() || asked.is_stream()) {
            let mut body = status(504, "Timeout", "Too large resource version");
            body["details"] = json!({ "causes": [{ "reason": "ResourceVersionTooLarge" }] });
            return with_code(504, body.to_string(), None);
        }
        if asked.is_watch() {
            state.watch(asked, &self.state)
        } else {
            state.list(&asked)
        }
    }
}

impl State {
    /// Logs a request and takes the fault that is meant for it.
    fn fault_for(&mut self, asked: &Asked) -> Option<Fault> {
        self.log.push(asked.clone());
        let kind = match asked {
            asked if asked.name.is_some() => On::Get,
            asked if asked.is_stream() => On::StreamingList,
            asked if asked.is_watch() => On::Watch,
            asked if asked.get("continue").is_some() => On::NextPage,
            _ => On::List,
        };
        let at = self.faults.iter().position(|(on, plural, times, _)| {
            (*on == On::Any || *on == kind) && *plural == asked.plural && *times > 0
        })?;
        let (.., times, fault) = &mut self.faults[at];
        *times -= 1;
        Some(fault.clone())
    }

    fn list(&mut self, asked: &Asked) -> Answer {
        let collection = &self.collections[&asked.plural];
        let (version, mut objects) = match asked.get("continue") {
            Some(token) => match self.tokens.remove(token) {
                Some(page) => page,
                None => return refusal(410, "Expired", "the continue token is too old", None),
            },
            None => {
                let selected = collection.objects.values().filter(|own| asked.selects(own));
                (self.version, selected.cloned().collect())
            }
        };
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        let from_cache = asked.version() == Some(0) && self.whole_from_cache;
        let limit = asked
            .get("limit")
            .map(|limit| limit.parse::<usize>().unwrap());
        if let Some(limit) = limit.filter(|limit| *limit < objects.len() && !from_cache) {
            let rest = objects.split_off(limit);
            let token = format!("t{}-{}", self.log.len(), rest.len());
            metadata["continue"] = json!(token);
            self.tokens.insert(token, (version, rest));
        }
        if let Some(selector) = asked.get("shardSelector") {
            metadata["shardInfo"] = json!({ "selector": selector });
        }
        for object in &mut objects {
            // Items of a list do not say their kind.
            let object = object.as_object_mut().unwrap();
            object.remove("kind");
            object.remove("apiVersion");
        }
        let kind = format!("{}List", collection.kind);
        whole(json!({ "kind": kind, "metadata": metadata, "items": objects }).to_string())
    }

    fn watch(&mut self, asked: Asked, state: &Arc<Mutex<State>>) -> Answer {
        let version = asked.version();
        if !asked.is_stream() && version.is_some_and(|version| version < self.oldest) {
            let body = status(410, "Expired", "too old resource version");
            return if self.expiry_as_status {
                with_code(410, body.to_string(), None)
            } else {
                whole(line("ERROR", &body))
            };
        }
        let (sender, receiver) = unbounded();
        let send = |line: String| sender.unbounded_send(Ok(line.into())).unwrap();
        self.watches += 1;
        let (id, now) = (self.watches, self.version);
        let collection = self.collections.get_mut(&asked.plural).unwrap();
        if asked.is_stream() {
            for object in collection.objects.values().filter(|own| asked.selects(own)) {
                send(line("ADDED", object));
            }
            send(bookmark(&collection.kind, now, true));
        } else {
            for (at, kind, object) in &collection.history {
                if version.is_some_and(|version| *at > version) && asked.selects(object) {
                    send(line(kind, object));
                }
            }
        }
        let seconds = asked.get("timeoutSeconds").unwrap().parse().unwrap();
        let (plural, every) = (asked.plural.clone(), self.bookmarks);
        collection.watches.retain(|watch| !watch.sender.is_closed());
        collection.watches.push(OpenWatch {
            id,
            asked,
            sender,
            muted: false,
        });
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
                let line = bookmark(&collection.kind, version, false);
                let Some(watch) = collection.watches.iter().find(|watch| watch.id == id) else {
                    return;
                };
                if next > end {
                    watch.sender.close_channel();
                }
                if watch.sender.is_closed() {
                    return;
                }
                if !watch.muted {
                    let _ = watch.sender.unbounded_send(Ok(line.into()));
                }
            }
        });
        streamed(200, receiver)
    }
}

impl Collection {
    fn happen(&mut self, version: u64, kind: &'static str, object: Value) {
        self.watches.retain(|watch| !watch.sender.is_closed());
        for watch in self.watches.iter().filter(|watch| !watch.muted) {
            // A watch from a version that is yet to come waits for it, without a word.
            let wanted = watch.asked.version().is_none_or(|from| from < version);
            if wanted && watch.asked.selects(&object) {
                let _ = watch.sender.unbounded_send(Ok(line(kind, &object).into()));
            }
        }
        self.history.push((version, kind, object));
    }
}

/// A JSON merge patch, [RFC 7396](https://www.rfc-editor.org/rfc/rfc7396).
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
