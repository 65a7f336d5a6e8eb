//! A stand-in for an API server: it reviews tokens, has few objects, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub struct Api {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// Has no objects, and answers `403` for the resources named `forbidden`.
    pub fn start(forbidden: &'static [&'static str]) -> Self {
        Self::with_objects(forbidden, Vec::new())
    }

    /// The same with objects in the collections at some paths.
    pub fn with_objects(
        forbidden: &'static [&'static str],
        objects: Vec<(&'static str, Value)>,
    ) -> Self {
        let objects = Arc::new(objects);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // The threads end with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, objects) = (Arc::clone(&seen), Arc::clone(&objects));
                std::thread::spawn(move || while_open(&stream, &seen, forbidden, &objects));
            }
        });
        Self { url, requests }
    }

    /// What it was asked so far, as `GET /path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
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

fn while_open(
    stream: &TcpStream,
    seen: &Mutex<Vec<String>>,
    forbidden: &[&str],
    objects: &[(&str, Value)],
) -> Option<()> {
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
        seen.lock().unwrap().push(request.clone());
        let path = request.split([' ', '?']).nth(1).unwrap();
        let objects = objects.iter().filter(|(own, _)| *own == path);
        let objects: Vec<_> = objects.map(|(_, object)| object).collect();
        if forbidden
            .iter()
            .any(|name| path.ends_with(&format!("/{name}")))
        {
            answer(stream, 403, &status(403));
        } else if request.contains("watch=") {
            watch(stream, request.contains("sendInitialEvents=true"), &objects);
            return None;
        } else {
            let (code, value) = match path.rsplit('/').next().unwrap() {
                "tokenreviews" => token_review(&serde_json::from_slice(&body).unwrap()),
                "subjectaccessreviews" => access_review(&serde_json::from_slice(&body).unwrap()),
                _ => (
                    200,
                    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "5" }, "items": objects }),
                ),
            };
            answer(stream, code, &value);
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

/// A watch without changes, for as long as the other side wants it.
fn watch(mut stream: &TcpStream, initial: bool, objects: &[&Value]) {
    let head =
        "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let _ = stream.write_all(head.as_bytes());
    if initial {
        for object in objects {
            let line = format!("{}\n", json!({ "type": "ADDED", "object": object }));
            let _ = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
        }
        let bookmark = json!({ "type": "BOOKMARK", "object": {
            "kind": "X", "apiVersion": "v1",
            "metadata": { "resourceVersion": "5", "annotations": { "k8s.io/initial-events-end": "true" } },
        } });
        let line = format!("{bookmark}\n");
        let _ = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    }
    let _ = stream.set_read_timeout(Some(Duration::from_secs(300)));
    let _ = stream.read(&mut [0]);
}
