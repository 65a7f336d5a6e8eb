//! A simulated API server: a `tower` service that stores objects, and simulates the faults that tests inject. A
//! *collection* has all objects of one kind.

mod fault;
mod partial;
mod requests;
mod responses;
mod serve;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) use fault::{ByteStream, Fault, On};
pub(crate) use requests::ApiRequest;
use state::{Collection, Liveliness, OpenWatch, State};
pub(crate) use wire::{NOT_UTF8, Wire, json_bytes};

/// A simulated API server. A clone is another handle to the same server.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
}

impl ApiServer {
    /// Creates a server with empty collections of configmaps, namespaces, pods and statefulsets.
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

    /// Adds an empty collection.
    pub(crate) fn serve(&self, prefix: &str, api_version: &str, plural: &str, kind: &str) {
        let collection = Collection {
            prefix: prefix.into(),
            kind: kind.into(),
            api_version: api_version.into(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            watches: Vec::new(),
            lost_changes: 0,
            unstreamed: Vec::new(),
            without_body: Vec::new(),
            liveliness: Liveliness::Live,
        };
        let mut state = self.state.lock();
        state.collections.insert(plural.into(), collection);
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let head = ApiRequest::new(&request);
                let body = request.into_body().collect().await;
                server.answer(head, &body.unwrap().to_bytes()).await
            }
        });
        Client::new(service, "default")
    }

    // === the state of the cluster ===

    /// Creates or changes an object. If the object has no uid, it gets a uid that is derived from its name.
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

    /// Returns all objects of a collection, sorted by namespace and name.
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

    /// Simulates that the server is restored from a backup: the resource version decreases to `version`, and open
    /// watches continue.
    pub(crate) fn set_back(&self, version: u64) {
        let mut state = self.state.lock();
        (state.version, state.oldest) = (version, 0);
        for collection in state.collections.values_mut() {
            collection.history.clear();
        }
    }

    // === the behaviour of the server ===

    pub(crate) fn without_streaming_lists(self) -> Self {
        self.state.lock().streaming = false;
        self
    }

    pub(crate) fn set_streaming_lists(&self, on: bool) {
        self.state.lock().streaming = on;
    }

    /// Sets whether the server sends the bookmark that ends a streaming list.
    pub(crate) fn set_end_marks(&self, on: bool) {
        self.state.lock().end_marks = on;
    }

    /// Makes the server ignore the parameter `limit` of lists with resource version 0.
    pub(crate) fn with_whole_lists(self) -> Self {
        self.state.lock().whole_from_cache = true;
        self
    }

    /// Makes the server send whole objects, even if a client requests only metadata or tables.
    pub(crate) fn without_partial_objects(self) -> Self {
        self.state.lock().partial = false;
        self
    }

    /// Makes the server send only the metadata of the objects in these collections, even if a client requests whole
    /// objects or tables. A misconfigured proxy can have this effect.
    pub(crate) fn send_only_metadata_of(&self, plurals: &[&str]) {
        let plurals = plurals.iter().map(|&plural| plural.into());
        self.state.lock().only_metadata = plurals.collect();
    }

    /// Makes the server send tables with these columns.
    pub(crate) fn with_columns(self, columns: &'static [&'static str]) -> Self {
        self.state.lock().columns = columns;
        self
    }

    pub(crate) fn with_shards(self) -> Self {
        self.state.lock().shards = true;
        self
    }

    /// Makes the server answer in protobuf if the request accepts protobuf. All real API servers do so.
    pub(crate) fn with_protobuf(self) -> Self {
        self.set_protobuf(true);
        self
    }

    pub(crate) fn set_protobuf(&self, on: bool) {
        self.state.lock().protobuf = on;
    }

    pub(crate) fn bookmark_every(self, time: Duration) -> Self {
        self.state.lock().bookmarks = time;
        self
    }

    // === faults ===

    /// Makes the next `times` requests that match `on` fail. If `plural` is empty, the fault applies to all
    /// collections.
    pub(crate) fn fault(&self, on: On, plural: &str, times: usize, fault: Fault) {
        self.state
            .lock()
            .faults
            .push((on, plural.into(), times, fault));
    }

    /// Makes the server forbid the requests for a collection until the test calls `heal`. If `plural` is empty, the
    /// server forbids all collections.
    pub(crate) fn forbid(&self, plural: &str) {
        self.fault(On::Any, plural, usize::MAX, Fault::Status(403, "Forbidden"));
    }

    pub(crate) fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Sets whether the server refuses connections. Closes open connections.
    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
        if down {
            self.cut_watches("");
        }
    }

    /// Removes the history of changes, so that clients cannot resume watches.
    pub(crate) fn compact(&self) {
        let mut state = self.state.lock();
        state.oldest = state.version;
    }

    /// Breaks the connections of watches and removes the history, so that clients cannot resume the watches. If
    /// `plural` is empty, this applies to all collections.
    pub(crate) fn expire_watches(&self, plural: &str) {
        self.state.lock().version += 1;
        self.compact();
        self.cut_watches(plural);
    }

    /// Makes the server answer an expired watch with a response of status 410. By default, the server sends an event of
    /// type `ERROR`.
    pub(crate) fn expire_by_status(&self) {
        self.state.lock().expiry_as_status = true;
    }

    /// Makes all page tokens invalid that the server has sent so far.
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

    /// Breaks the connections of watches. Clients can resume these watches. If `plural` is empty, this applies to all
    /// collections.
    pub(crate) fn cut_watches(&self, plural: &str) {
        self.watches(plural, |watch| {
            let _ = watch
                .sender
                .unbounded_send(Err(io::ErrorKind::ConnectionReset.into()));
            watch.sender.close_channel();
        });
    }

    /// Ends the open watches without an error.
    pub(crate) fn end_watches(&self, plural: &str) {
        self.watches(plural, |watch| watch.sender.close_channel());
    }

    /// Stops sending on the open watches, but does not close them.
    pub(crate) fn mute_watches(&self, plural: &str) {
        self.watches(plural, |watch| watch.muted = true);
    }

    fn collection(&self, plural: &str, change: impl FnOnce(&mut Collection, u64)) {
        let mut state = self.state.lock();
        let version = state.version;
        change(state.collections.get_mut(plural).unwrap(), version);
    }

    /// Hides the next changes of a collection from all watches, including watches that are resumed.
    pub(crate) fn lose_changes(&self, plural: &str, changes: usize) {
        self.collection(plural, |own, _| own.lost_changes = changes);
    }

    /// Makes streaming lists omit an object.
    pub(crate) fn leave_out_of_streams(&self, plural: &str, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.collection(plural, |own, _| own.unstreamed.push(key));
    }

    /// Makes lists omit an object. Lists that request only metadata still contain the object.
    pub(crate) fn leave_out_of_objects(&self, plural: &str, name: &str) {
        let key = (String::new(), name.to_owned());
        self.collection(plural, |own, _| own.without_body.push(key));
    }

    /// Makes the server send no events on open and later watches. The server sends only bookmarks with the current
    /// version.
    pub(crate) fn freeze_watches(&self, plural: &str) {
        self.collection(plural, |own, version| {
            own.liveliness = Liveliness::Frozen(version)
        });
    }

    /// Makes the server send neither events nor bookmarks on open and later watches. Later watches still receive their
    /// initial events.
    pub(crate) fn mute_all_watches(&self, plural: &str) {
        self.collection(plural, |own, _| own.liveliness = Liveliness::Mute);
    }

    /// Sends bytes on the open watches.
    pub(crate) fn send_raw(&self, plural: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.watches(plural, |watch| {
            let _ = watch.sender.unbounded_send(Ok(bytes.clone()));
        });
    }

    /// Sends an event on the open watches.
    pub(crate) fn send_event(&self, plural: &str, kind: &str, object: &Value) {
        self.watches(plural, |watch| {
            let event = watch.event(kind, object);
            let _ = watch.sender.unbounded_send(Ok(event));
        });
    }

    /// Returns the number of open watches.
    pub(crate) fn open_watches(&self, plural: &str) -> usize {
        let mut open = 0;
        self.watches(plural, |watch| {
            open += usize::from(!watch.sender.is_closed())
        });
        open
    }

    // === requests ===

    /// Returns all requests for a collection since the log of requests was cleared.
    pub(crate) fn log(&self, plural: &str) -> Vec<ApiRequest> {
        let state = self.state.lock();
        state
            .log
            .iter()
            .filter(|request| request.plural == plural)
            .cloned()
            .collect()
    }

    /// Returns the number of bytes of each list or page of a collection. Streaming lists are not included.
    pub(crate) fn list_bytes(&self, plural: &str) -> Vec<usize> {
        let state = self.state.lock();
        let lists = state.list_bytes.iter().filter(|(own, _)| own == plural);
        lists.map(|(_, bytes)| *bytes).collect()
    }

    pub(crate) fn clear_log(&self) {
        let mut state = self.state.lock();
        state.log.clear();
        state.list_bytes.clear();
    }

    /// Returns the numbers of lists, streaming lists and watches since the log of requests was cleared.
    pub(crate) fn counts(&self, plural: &str) -> (usize, usize, usize) {
        let mut log = self.log(plural);
        log.retain(|request| request.method == "GET");
        let streams = log.iter().filter(|request| request.is_stream()).count();
        let watches = log.iter().filter(|request| request.is_watch()).count();
        (log.len() - watches, streams, watches - streams)
    }
}
