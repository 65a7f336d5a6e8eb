//! A simulated API server for the tests of the exporter. The server reviews tokens, has a few objects, and records the
//! requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::authority::Authority;
use super::support::eventually;

pub struct Api {
    pub url: String,
    /// The certificate of the authority that issued the server's certificate. Kubeconfigs contain it.
    authority: Option<String>,
    state: Arc<State>,
}

/// A request that the server has received.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The HTTP method, the path and the query, such as `GET /path?query`.
    pub line: String,
    pub authorization: Option<String>,
    pub user_agent: Option<String>,
    pub accept: Option<String>,
    /// The client's certificate.
    pub certificate: Option<Vec<u8>>,
    /// Whether the server accepted the credentials, that is, whether the status of the response was not 401.
    pub accepted: bool,
}

#[derive(Default)]
struct State {
    url: String,
    requests: Mutex<Vec<Asked>>,
    /// Names of resources for which the response is 403.
    forbidden: &'static [&'static str],
    /// Names of resources for which a test has called `revoke`. The response for these resources is 403.
    revoked: Mutex<Vec<String>>,
    /// Names of resources whose requests get no response.
    hanging: Mutex<Vec<String>>,
    /// Names of resources whose responses have endless headers.
    flooding: Mutex<Vec<String>>,
    /// Names of resources whose requests get endless informational responses (1xx).
    hinting: Mutex<Vec<String>>,
    /// Whether the server omits the bookmark that ends a streaming list.
    endless: AtomicBool,
    /// Whether the server closes every connection.
    is_stopped: AtomicBool,
    /// Names of resources for which the response is 500.
    broken: Mutex<Vec<String>>,
    /// The responses that tests set with `say`, by the name of the resource.
    said: Mutex<BTreeMap<String, String>>,
    /// The token that a request needs; `None` if requests need no token.
    token: Mutex<Option<String>>,
    /// The token that the server issues if it is an identity provider.
    id_token: Mutex<Option<String>>,
    /// The refresh token that the identity provider accepts next; `None` if it accepts every refresh token.
    refresh_token: Mutex<Option<String>>,
    /// The URL of the server to which this server redirects requests.
    redirect: Mutex<Option<String>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    connections: Mutex<Vec<TcpStream>>,
    objects: Mutex<Objects>,
    changed: Condvar,
    /// The Leases, by their URL path.
    leases: Mutex<BTreeMap<String, Value>>,
}

#[derive(Default)]
struct Objects {
    /// The current objects. The first key is the plural name of the resource; the second key is the name of the object.
    now: BTreeMap<String, BTreeMap<String, Value>>,
    /// The events of all watches, each with the plural name of its resource.
    events: Vec<(String, Value)>,
}

impl Api {
    /// Starts a server that responds with 403 for the resources whose names are in `forbidden`.
    pub fn start(forbidden: &'static [&'static str]) -> Self {
        Self::with(State {
            forbidden,
            ..State::default()
        })
    }

    /// Starts a server with TLS. The kubeconfigs for this server contain the certificate of its authority.
    pub fn start_secure() -> Self {
        let authority = Authority::new("cluster");
        Self {
            authority: Some(authority.pem()),
            ..Self::start_tls(authority.server())
        }
    }

    /// Starts a server with TLS.
    pub fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::with(State {
            tls: Mutex::new(Some(config)),
            ..State::default()
        })
    }

    fn with(mut state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = match *state.tls.lock().unwrap() {
            Some(_) => "https",
            None => "http",
        };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        state.url.clone_from(&url);
        let state = Arc::new(state);
        let own = Arc::clone(&state);
        // The threads of this server end with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.is_stopped.load(Ordering::Relaxed) {
                    continue;
                }
                let state = Arc::clone(&own);
                let copy = stream.try_clone().unwrap();
                state.connections.lock().unwrap().push(copy);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self {
            url,
            authority: None,
            state,
        }
    }

    /// Creates or changes an object, and sends the event to all watches of its resource.
    pub fn put(&self, plural: &str, mut object: Value) {
        // Clients in Go need `apiVersion` and `kind` in each object.
        if let (Some((version, kind)), None) = (kind(plural), object.get("kind")) {
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
        }
        let mut objects = self.state.objects.lock().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let of_kind = objects.now.entry(plural.to_owned()).or_default();
        let before = of_kind.insert(name, object.clone());
        let kind = before.map_or("ADDED", |_| "MODIFIED");
        let event = json!({ "type": kind, "object": object });
        objects.events.push((plural.to_owned(), event));
        self.state.changed.notify_all();
    }

    /// Deletes an object, and sends the event to all watches.
    pub fn delete(&self, plural: &str, name: &str) {
        let mut objects = self.state.objects.lock().unwrap();
        let of_kind = objects.now.get_mut(plural).unwrap();
        let event = json!({ "type": "DELETED", "object": of_kind.remove(name).unwrap() });
        objects.events.push((plural.to_owned(), event));
        self.state.changed.notify_all();
    }

    /// Returns the Lease with this name, as JSON.
    pub fn lease(&self, name: &str) -> Option<Value> {
        let leases = self.state.leases.lock().unwrap();
        let mut leases = leases.iter();
        leases.find_map(|(path, lease)| path.ends_with(&format!("/{name}")).then(|| lease.clone()))
    }

    /// Writes a Lease as if another program had written it. `path` includes the namespace, for example
    /// `default/leases/NAME`.
    pub fn put_lease(&self, path: &str, spec: Value) {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{path}");
        let mut leases = self.state.leases.lock().unwrap();
        let before = leases
            .get(&path)
            .map(|lease| &lease["metadata"]["resourceVersion"]);
        let before: u64 = before.map_or(0, |own| own.as_str().unwrap().parse().unwrap());
        let name = path.rsplit('/').next().unwrap();
        let metadata = json!({ "name": name, "resourceVersion": (before + 1).to_string() });
        leases.insert(path.clone(), json!({ "metadata": metadata, "spec": spec }));
    }

    /// Makes the server respond with 500 for a resource from now on.
    pub fn fail(&self, plural: &str) {
        self.state.broken.lock().unwrap().push(plural.into());
    }

    /// Makes the server send `response` for a resource from now on. `response` includes the status line and the
    /// headers. If `response` is empty, the server responds as usual.
    pub fn say(&self, plural: &str, response: &str) {
        let mut said = self.state.said.lock().unwrap();
        if response.is_empty() {
            said.remove(plural);
        } else {
            said.insert(plural.into(), response.into());
        }
    }

    /// Makes the server respond with 403 for a resource from now on.
    pub fn revoke(&self, plural: &str) {
        self.state.revoked.lock().unwrap().push(plural.into());
    }

    /// Makes the server send no response for a resource from now on.
    pub fn hang(&self, plural: &str) {
        self.state.hanging.lock().unwrap().push(plural.into());
    }

    /// Makes the server send endless headers in responses for a resource from now on.
    pub fn flood_headers(&self, plural: &str) {
        self.state.flooding.lock().unwrap().push(plural.into());
    }

    /// Makes the server send endless informational responses (1xx) for a resource from now on.
    pub fn flood_hints(&self, plural: &str) {
        self.state.hinting.lock().unwrap().push(plural.into());
    }

    /// Makes the server omit the bookmark that ends a streaming list from now on.
    pub fn never_end_lists(&self) {
        self.state.endless.store(true, Ordering::Relaxed);
    }

    /// Returns the requests until now, each as a text such as `GET /path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// Returns the requests until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Returns the number of requests for a path.
    pub fn count(&self, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.contains(path))
            .count()
    }

    /// Makes the server accept only this token from now on. The server responds with 401 to requests with another
    /// token.
    pub fn accept(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.into());
    }

    /// Makes the server act as an OpenID Connect provider from now on. The server issues this token to every client.
    pub fn provide(&self, id_token: &str) {
        *self.state.id_token.lock().unwrap() = Some(id_token.into());
    }

    /// Does the same as [`provide`](Self::provide), but accepts each refresh token only once. The first one is
    /// `refresh_token`, and each response contains the next one.
    pub fn provide_once(&self, id_token: &str, refresh_token: &str) {
        self.provide(id_token);
        *self.state.refresh_token.lock().unwrap() = Some(refresh_token.into());
    }

    /// Makes the server redirect every request to the same path of another server from now on.
    pub fn redirect(&self, url: &str) {
        *self.state.redirect.lock().unwrap() = Some(url.into());
    }

    /// Uses another TLS configuration for new connections.
    pub fn set_tls(&self, config: Arc<ServerConfig>) {
        *self.state.tls.lock().unwrap() = Some(config);
    }

    /// Closes all connections, and removes the recorded requests.
    pub fn cut(&self) {
        self.state.requests.lock().unwrap().clear();
        for connection in self.state.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Closes all connections, and closes each new connection from now on.
    pub fn stop(&self) {
        self.state.is_stopped.store(true, Ordering::Relaxed);
        self.cut();
    }

    /// Closes all connections, waits for a request on a new connection, and returns the requests on new connections.
    #[track_caller]
    pub fn asked_after_cut(&self) -> Vec<Asked> {
        self.cut();
        eventually("a request comes on a new connection", || {
            Some(self.asked()).filter(|asked| !asked.is_empty())
        })
    }

    /// Returns a kubeconfig for this server.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with(json!({}), json!({}))
    }

    /// Returns a kubeconfig for this server. `cluster` has further settings of the server, and `user` has the settings
    /// of the user.
    pub fn kubeconfig_with(&self, mut cluster: Value, user: Value) -> String {
        cluster["server"] = json!(self.url);
        if let Some(authority) = &self.authority {
            cluster["certificate-authority-data"] = json!(BASE64_STANDARD.encode(authority));
        }
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": cluster }],
            "users": [{ "name": "c", "user": user }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        })
        .to_string()
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let tls = self.tls.lock().unwrap().clone();
        let Some(tls) = tls else {
            self.while_open(stream, None);
            return;
        };
        let mut connection = ServerConnection::new(tls).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                return;
            }
        }
        let certificates = connection.peer_certificates();
        let certificate = certificates.and_then(|all| Some(all.first()?.to_vec()));
        self.while_open(StreamOwned::new(connection, stream), certificate);
    }

    fn while_open(&self, stream: impl Read + Write, certificate: Option<Vec<u8>>) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
            if line.is_empty() {
                return None;
            }
            let mut asked = Asked {
                line,
                authorization: None,
                user_agent: None,
                accept: None,
                certificate: certificate.clone(),
                accepted: true,
            };
            let mut length = 0;
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).ok()?;
                let Some((name, value)) = field.trim().split_once(": ") else {
                    break;
                };
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => asked.authorization = Some(value.to_owned()),
                    "accept" => asked.accept = Some(value.to_owned()),
                    "user-agent" => asked.user_agent = Some(value.to_owned()),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let wanted = self.token.lock().unwrap().clone();
            let wanted = wanted.map(|token| format!("Bearer {token}"));
            asked.accepted = wanted.is_none() || wanted == asked.authorization;
            self.requests.lock().unwrap().push(asked.clone());
            self.answer(&asked, &body, reader.get_mut())?;
        }
    }

    /// Sends the response to one request. Returns `None` if the server must close the connection.
    fn answer(&self, asked: &Asked, body: &[u8], stream: &mut (impl Read + Write)) -> Option<()> {
        let path = asked.line.split([' ', '?']).nth(1).unwrap();
        if let Some(url) = &*self.redirect.lock().unwrap() {
            let head =
                format!("HTTP/1.1 302 X\r\nlocation: {url}{path}\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.flush();
            return Some(());
        }
        let said = self.said.lock().unwrap();
        if let Some(response) = said.get(path.rsplit('/').next().unwrap_or_default()) {
            let _ = stream.write_all(response.as_bytes());
            let _ = stream.flush();
            return Some(());
        }
        drop(said);
        if let Some(id_token) = &*self.id_token.lock().unwrap() {
            let mut refresh_token = self.refresh_token.lock().unwrap();
            let body = String::from_utf8_lossy(body);
            let (code, value) = match (path, refresh_token.as_mut()) {
                ("/token", None) => (200, json!({ "id_token": id_token })),
                ("/token", Some(next)) => {
                    let sent = form_urlencoded::parse(body.as_bytes())
                        .any(|(name, value)| name == "refresh_token" && value == next.as_str());
                    match sent {
                        true => {
                            next.push('+');
                            (200, json!({ "id_token": id_token, "refresh_token": next }))
                        }
                        false => (400, json!({ "error": "invalid_grant" })),
                    }
                }
                _ => (
                    200,
                    json!({ "token_endpoint": format!("{}/token", self.url) }),
                ),
            };
            respond(stream, code, &value);
        } else if !asked.accepted {
            respond(stream, 401, &status(401));
        } else if names(&self.hanging, path) {
            let mut end = [0];
            let _ = stream.read(&mut end);
            return None;
        } else if names(&self.flooding, path) {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\n");
            return flood(stream, &format!("x: {}\r\n", "y".repeat(1_000)));
        } else if names(&self.hinting, path) {
            return flood(stream, &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000));
        } else if names(&self.revoked, path)
            || self
                .forbidden
                .iter()
                .any(|name| path.ends_with(&format!("/{name}")))
        {
            respond(stream, 403, &status(403));
        } else if names(&self.broken, path) {
            respond(stream, 500, &status(500));
        } else if asked.line.contains("watch=") {
            let plural = path.rsplit('/').next().unwrap();
            return self.watch(
                stream,
                plural,
                asked.line.contains("sendInitialEvents=true"),
            );
        } else {
            let mut segments = path.rsplit('/');
            let last = segments.next().unwrap();
            let (code, value) = match (last, segments.next().unwrap_or_default()) {
                ("leases", _) if asked.line.starts_with("POST ") => self.lease(&asked.line, body),
                (_, "leases") => self.lease(&asked.line, body),
                ("tokenreviews", _) => token_review(&serde_json::from_slice(body).unwrap()),
                ("subjectaccessreviews", _) => {
                    access_review(&serde_json::from_slice(body).unwrap())
                }
                ("selfsubjectaccessreviews", _) => {
                    self.own_review(&serde_json::from_slice(body).unwrap())
                }
                ("apis", _) => (200, groups()),
                ("v1", "acme.dev") => (200, resources_of_acme()),
                (name, plural @ ("pods" | "statefulsets")) => match self.object(plural, name) {
                    Some(object) => (200, object),
                    None => (404, status(404)),
                },
                (plural, _) => (200, self.list(plural)),
            };
            respond(stream, code, &value);
        }
        Some(())
    }

    /// Reads or writes a Lease. If a PUT request names a resource version that is not the current version, the response
    /// is 409 (conflict).
    fn lease(&self, line: &str, body: &[u8]) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let mut leases = self.leases.lock().unwrap();
        if method == "GET" {
            return match leases.get(path) {
                Some(lease) => (200, lease.clone()),
                None => (404, status(404)),
            };
        }
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        let path = match method {
            "POST" => format!("{path}/{}", lease["metadata"]["name"].as_str().unwrap()),
            _ => path.to_owned(),
        };
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        let is_current = match leases.get(&path) {
            None if method == "PUT" => return (404, status(404)),
            None => true,
            Some(before) => method == "PUT" && version(before) == version(&lease),
        };
        if !is_current {
            return (409, status(409));
        }
        let before = lease["metadata"]["resourceVersion"]
            .as_str()
            .map_or(0, |own| own.parse().unwrap());
        lease["metadata"]["resourceVersion"] = json!((before + 1_u64).to_string());
        leases.insert(path, lease.clone());
        (200, lease)
    }

    /// Reviews the client's own permissions. Everything is allowed, but not the resources for which the response is
    /// 403.
    fn own_review(&self, review: &Value) -> (u16, Value) {
        let wanted = &review["spec"]["resourceAttributes"];
        let resource = wanted["resource"].as_str().unwrap();
        let revoked = self.revoked.lock().unwrap();
        let forbidden =
            self.forbidden.contains(&resource) || revoked.iter().any(|own| own == resource);
        let status = json!({ "allowed": !forbidden });
        (
            201,
            json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}, "status": status }),
        )
    }

    fn object(&self, plural: &str, name: &str) -> Option<Value> {
        let objects = self.objects.lock().unwrap();
        objects.now.get(plural)?.get(name).cloned()
    }

    fn list(&self, plural: &str) -> Value {
        let objects = self.objects.lock().unwrap();
        let items = objects.now.get(plural).into_iter().flatten();
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        let (version, kind) = kind(plural).unwrap_or(("v1", ""));
        json!({ "kind": format!("{kind}List"), "apiVersion": version, "metadata": { "resourceVersion": "5" }, "items": items })
    }

    /// Sends events to a watch until the client closes the connection.
    fn watch(&self, stream: &mut impl Write, plural: &str, initial: bool) -> Option<()> {
        let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let mut objects = self.objects.lock().unwrap();
        let mut told = objects.events.len();
        let mut lines = Vec::new();
        if initial {
            let now = objects.now.get(plural).into_iter().flatten();
            lines.extend(now.map(|(_, object)| json!({ "type": "ADDED", "object": object })));
            let (version, kind) = kind(plural).unwrap_or(("v1", "X"));
            let end = json!({ "type": "BOOKMARK", "object": {
                "kind": kind, "apiVersion": version,
                "metadata": { "resourceVersion": "5", "annotations": { "k8s.io/initial-events-end": "true" } },
            } });
            lines.extend((!self.endless.load(Ordering::Relaxed)).then_some(end));
        }
        loop {
            for line in lines.drain(..) {
                let line = format!("{line}\n");
                let chunk = format!("{:x}\r\n{line}\r\n", line.len());
                stream.write_all(chunk.as_bytes()).ok()?;
            }
            stream.flush().ok()?;
            while objects.events.len() == told {
                objects = self.changed.wait(objects).unwrap();
            }
            let new = objects.events[told..].iter();
            lines.extend(
                new.filter(|(of, _)| of == plural)
                    .map(|(_, event)| event.clone()),
            );
            told = objects.events.len();
        }
    }
}

/// Returns the version and the kind of a resource that Prometheus discovers.
fn kind(plural: &str) -> Option<(&'static str, &'static str)> {
    match plural {
        "pods" => Some(("v1", "Pod")),
        "services" => Some(("v1", "Service")),
        "endpointslices" => Some(("discovery.k8s.io/v1", "EndpointSlice")),
        _ => None,
    }
}

/// Whether the path is the path of one of these resources.
fn names(resources: &Mutex<Vec<String>>, path: &str) -> bool {
    let resources = resources.lock().unwrap();
    resources
        .iter()
        .any(|name| path.ends_with(&format!("/{name}")))
}

fn token_review(review: &Value) -> (u16, Value) {
    let token = review["spec"]["token"].as_str().unwrap();
    if token == "trouble" {
        return (500, status(500));
    }
    let status = match token {
        "reader" | "stranger" => {
            json!({ "authenticated": true, "user": { "username": token, "groups": ["g"] } })
        }
        _ => json!({ "authenticated": false }),
    };
    (
        201,
        json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {}, "status": status }),
    )
}

/// Responds to a SubjectAccessReview: the user `reader` may get `/metrics` and `/debug/resources`.
fn access_review(review: &Value) -> (u16, Value) {
    let spec = &review["spec"];
    assert_eq!(spec["groups"], json!(["g", "system:authenticated"]));
    let wanted = &spec["nonResourceAttributes"];
    let paths = ["/metrics", "/debug/resources"];
    let allowed = spec["user"] == "reader"
        && wanted["verb"] == "get"
        && paths.contains(&wanted["path"].as_str().unwrap());
    (
        201,
        json!({ "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}, "status": { "allowed": allowed } }),
    )
}

/// Returns the API groups for the discovery API.
fn groups() -> Value {
    let version = json!({ "groupVersion": "acme.dev/v1", "version": "v1" });
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [
        { "name": "acme.dev", "versions": [version], "preferredVersion": version }] })
}

/// Returns the resources of the group `acme.dev`. The group has one kind, whose plural name cannot be guessed from the
/// name of the kind.
fn resources_of_acme() -> Value {
    let verbs = json!(["list", "watch"]);
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "acme.dev/v1", "resources": [
        { "name": "widgetry", "singularName": "widget", "namespaced": true, "kind": "Widget", "verbs": verbs },
        { "name": "widgetry/status", "singularName": "", "namespaced": true, "kind": "Widget", "verbs": verbs }] })
}

fn status(code: u16) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "No", "code": code })
}

/// Writes the same text again and again until the client closes the connection.
fn flood(stream: &mut impl Write, text: &str) -> Option<()> {
    while stream.write_all(text.as_bytes()).is_ok() {}
    None
}

fn respond(stream: &mut impl Write, code: u16, value: &Value) {
    let body = value.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all((head + &body).as_bytes());
    let _ = stream.flush();
}
