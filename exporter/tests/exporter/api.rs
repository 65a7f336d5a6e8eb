//! A stand-in for an API server: it reviews tokens, has a few objects, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

pub struct Api {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    forbidden: &'static [&'static str],
    requests: Mutex<Vec<String>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By plural name, in order of their names.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Events with the plural names of their objects.
    events: Vec<(String, Value)>,
}

// === impl Api ===

impl Api {
    /// Answers `403` for the resources named `forbidden`.
    pub fn start(forbidden: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            forbidden,
            ..Shared::default()
        });
        let served = Arc::clone(&shared);
        // The threads end with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || shared.while_open(&stream));
            }
        });
        Self { url, shared }
    }

    /// Creates or changes an object; who watches is told.
    pub fn put(&self, plural: &str, object: Value) {
        let mut state = self.shared.state.lock().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let of_kind = state.objects.entry(plural.to_owned()).or_default();
        let before = of_kind.insert(name, object.clone());
        let kind = before.map_or("ADDED", |_| "MODIFIED");
        let event = json!({ "type": kind, "object": object });
        state.events.push((plural.to_owned(), event));
        self.shared.changed.notify_all();
    }

    /// What it was asked so far, as `GET /path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How often it was asked for a path.
    pub fn count(&self, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.contains(path))
            .count()
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": self.url } }],
            "users": [{ "name": "c", "user": { "token": "own" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        })
        .to_string()
    }
}

// === impl Shared ===

impl Shared {
    fn while_open(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let request = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
            if request.is_empty() {
                return None;
            }
            let mut length = 0;
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).ok()?;
                let field = field.trim().to_ascii_lowercase();
                if field.is_empty() {
                    break;
                }
                if let Some(value) = field.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            self.requests.lock().unwrap().push(request.clone());
            let path = request.split([' ', '?']).nth(1).unwrap();
            let mut segments = path.rsplit('/');
            let (last, parent) = (
                segments.next().unwrap(),
                segments.next().unwrap_or_default(),
            );
            if self.forbidden.contains(&last) {
                answer(stream, 403, &status(403));
            } else if request.contains("watch=") {
                self.watch(stream, last, request.contains("sendInitialEvents=true"));
                return None;
            } else {
                let (code, value) = match (last, parent) {
                    ("tokenreviews", _) => token_review(&serde_json::from_slice(&body).unwrap()),
                    ("subjectaccessreviews", _) => {
                        access_review(&serde_json::from_slice(&body).unwrap())
                    }
                    (name, "pods" | "statefulsets") => match self.object(parent, name) {
                        Some(object) => (200, object),
                        None => (404, status(404)),
                    },
                    (plural, _) => (200, self.list(plural)),
                };
                answer(stream, code, &value);
            }
        }
    }

    fn object(&self, plural: &str, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        state.objects.get(plural)?.get(name).cloned()
    }

    fn list(&self, plural: &str) -> Value {
        let state = self.state.lock().unwrap();
        let items = state.objects.get(plural).into_iter().flatten();
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        let kind = if plural == "pods" { "PodList" } else { "List" };
        json!({ "kind": kind, "apiVersion": "v1", "metadata": { "resourceVersion": "5" }, "items": items })
    }

    /// A watch, for as long as the other side wants it.
    fn watch(&self, mut stream: &TcpStream, plural: &str, initial: bool) -> Option<()> {
        let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let mut state = self.state.lock().unwrap();
        let mut told = state.events.len();
        let mut lines = Vec::new();
        if initial {
            let objects = state.objects.get(plural).into_iter().flatten();
            lines.extend(objects.map(|(_, object)| json!({ "type": "ADDED", "object": object })));
            lines.push(json!({ "type": "BOOKMARK", "object": {
                "kind": "X", "apiVersion": "v1",
                "metadata": { "resourceVersion": "5", "annotations": { "k8s.io/initial-events-end": "true" } },
            } }));
        }
        loop {
            for line in lines.drain(..) {
                let line = format!("{line}\n");
                let chunk = format!("{:x}\r\n{line}\r\n", line.len());
                stream.write_all(chunk.as_bytes()).ok()?;
            }
            while state.events.len() == told {
                state = self.changed.wait(state).unwrap();
            }
            let new = state.events[told..].iter();
            lines.extend(
                new.filter(|(of, _)| of == plural)
                    .map(|(_, event)| event.clone()),
            );
            told = state.events.len();
        }
    }
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

/// The reader may get `/metrics` and `/debug/resources`.
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

fn status(code: u16) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "No", "code": code })
}

fn answer(mut stream: &TcpStream, code: u16, value: &Value) {
    let body = value.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all((head + &body).as_bytes());
}
