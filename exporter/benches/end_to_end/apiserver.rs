//! A synthetic API server with pods and nodes. The server supports complete, paged and streaming lists, and watches.
//! The server also changes some of the pods at a given rate. These pods are called the *pool*.
//!
//! The server runs as a separate process, so that the measured CPU time and memory of an exporter do not include the
//! server. Each line on the standard input of the server is a command. The server answers each command with a line on
//! its standard output.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::pods;

/// Approximate number of pods in the pool.
const POOL: usize = 2_000;
const PODS_PER_NODE: usize = 30;
/// Time without events after which a watch sends a bookmark.
const BOOKMARKS: Duration = Duration::from_secs(30);

struct Server {
    /// `metadata.resourceVersion` of the last change.
    version: AtomicU64,
    pods: Mutex<Collection>,
    nodes: Mutex<Collection>,
    /// Whether the server refuses streaming lists, as older servers do.
    paged_only: Mutex<bool>,
    /// Number of lists that the server has sent completely.
    lists: AtomicUsize,
    events: AtomicU64,
    rate: Mutex<Rate>,
}

#[derive(Clone, Copy, Default)]
struct Rate {
    per_second: f64,
    batch: usize,
    begun: Option<Instant>,
    done: u64,
}

/// Objects of one kind in the order of their keys, and the watches of that kind.
#[derive(Default)]
struct Collection {
    kind: &'static str,
    objects: Vec<Object>,
    /// The pool. For each pod, it has the index of the pod in `objects`, three texts of the pod, and the index of the
    /// text in use. Each change of the pod selects the next text.
    pool: Vec<(usize, [Text; 3], usize)>,
    watches: Vec<Sender<Arc<[u8]>>>,
}

struct Object {
    text: Text,
    version: u64,
}

/// The JSON of an object without its resource version: the text before the version, and the text after the version.
#[derive(Clone)]
struct Text {
    head: Arc<str>,
    tail: Arc<str>,
}

/// Serves `count` pods until standard input ends.
pub(crate) fn run(count: usize) -> io::Result<()> {
    let server = Arc::new(Server::new(count));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let accepting = Arc::clone(&server);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let server = Arc::clone(&accepting);
            // A client that disconnects is not an error.
            thread::spawn(move || server.connection(stream).ok());
        }
    });
    let changing = Arc::clone(&server);
    thread::spawn(move || changing.change());
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["rate", per_second, batch] => {
                *server.rate.lock() = Rate {
                    per_second: per_second.parse().map_err(io::Error::other)?,
                    batch: batch.parse().map_err(io::Error::other)?,
                    begun: Some(Instant::now()),
                    done: 0,
                };
            }
            ["paged", on] => *server.paged_only.lock() = on == "on",
            // The server changes `changed` pods without an event, and ends all watches of pods with the error
            // "Expired".
            ["expire", changed] => server.expire(changed.parse().map_err(io::Error::other)?),
            ["status"] => {}
            _ => return Err(io::Error::other(format!("unknown command: {line:?}"))),
        }
        let watches = server.pods.lock().watches.len();
        let watches = watches + server.nodes.lock().watches.len();
        let events = server.events.load(Ordering::Relaxed);
        println!(
            "{events} {} {watches}",
            server.lists.load(Ordering::Relaxed)
        );
    }
    Ok(())
}

// === impl Server ===

impl Server {
    fn new(count: usize) -> Self {
        let mut keyed: Vec<_> = (0..count)
            .map(|at| {
                let pod = pods::pod(at, 0);
                let meta = |name: &str| {
                    pod["metadata"][name]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                };
                ((meta("namespace"), meta("name")), Text::of(&pod), at)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut collection = Collection {
            kind: "Pod",
            ..Collection::default()
        };
        // The pods that change are spread over all pods, so that the changes affect every page (block of rows) of a
        // store.
        let step = (count / POOL).max(1);
        for (place, (_, text, at)) in keyed.into_iter().enumerate() {
            if place % step == 0 {
                let states = [0, 1, 2].map(|state| Text::of(&crashed(pods::pod(at, 0), state)));
                collection.pool.push((place, states, 0));
            }
            collection.objects.push(Object { text, version: 1 });
        }
        let nodes = (0..count.div_ceil(PODS_PER_NODE)).map(|at| Object {
            text: Text::of(&node(at)),
            version: 1,
        });
        let nodes = Collection {
            kind: "Node",
            objects: nodes.collect(),
            ..Collection::default()
        };
        Self {
            version: AtomicU64::new(1_000),
            pods: Mutex::new(collection),
            nodes: Mutex::new(nodes),
            paged_only: Mutex::new(false),
            lists: AtomicUsize::new(0),
            events: AtomicU64::new(0),
            rate: Mutex::default(),
        }
    }

    /// Changes pods at the requested rate.
    fn change(&self) {
        let mut next = 0;
        loop {
            let rate = *self.rate.lock();
            let due = rate.begun.map_or(0.0, |begun| {
                begun.elapsed().as_secs_f64() * rate.per_second - rate.done as f64
            });
            if due < 1.0 {
                thread::sleep(Duration::from_micros(500));
                continue;
            }
            let mut pods = self.pods.lock();
            for _ in 0..rate.batch.max(1) {
                // 7919 is a prime number, so steps of this size reach every pod of the pool, but not in the order of
                // the pods.
                next += 7919;
                let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
                pods.change(next, version, true);
            }
            drop(pods);
            let made = rate.batch.max(1) as u64;
            self.events.fetch_add(made, Ordering::Relaxed);
            self.rate.lock().done += made;
        }
    }

    fn expire(&self, changed: usize) {
        let mut pods = self.pods.lock();
        for at in 0..changed {
            let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
            pods.change(at, version, false);
        }
        let status = json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410,
        } });
        let line: Arc<[u8]> = format!("{status}\n").into_bytes().into();
        for watch in pods.watches.drain(..) {
            // The loop drops the sender after this error, so the watch ends.
            let _ = watch.send(Arc::clone(&line));
        }
    }

    /// Answers the requests of a connection, one after another.
    fn connection(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = BufWriter::with_capacity(64 * 1024, stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line)? > 2 {
                line.clear();
            }
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let query: HashMap<_, _> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .collect();
            let collection = match path.rsplit('/').next() {
                Some("pods") => &self.pods,
                Some("nodes") => &self.nodes,
                _ => {
                    plain(
                        &mut out,
                        404,
                        &json!({ "kind": "Status", "code": 404 }).to_string(),
                    )?;
                    continue;
                }
            };
            if query.contains_key("watch") {
                self.watch(
                    &mut out,
                    collection,
                    query.contains_key("sendInitialEvents"),
                )?;
            } else {
                self.list(&mut out, collection, &query)?;
            }
        }
    }

    fn watch(
        &self,
        out: &mut impl Write,
        collection: &Mutex<Collection>,
        streaming: bool,
    ) -> io::Result<()> {
        if streaming && *self.paged_only.lock() {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "reason": "Invalid", "code": 422, "message": "sendInitialEvents is forbidden" });
            return plain(out, 422, &status.to_string());
        }
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let (sender, receiver) = channel();
        let (kind, version, objects) = {
            let mut collection = collection.lock();
            collection.watches.push(sender);
            let objects: Vec<_> = (collection.objects.iter())
                .map(|object| (object.text.clone(), object.version))
                .collect();
            (
                collection.kind,
                self.version.load(Ordering::Relaxed),
                objects,
            )
        };
        if streaming {
            let mut piece = Vec::new();
            for (text, version) in &objects {
                text.event("ADDED", *version, &mut piece);
                if piece.len() > 16 * 1024 {
                    chunk(out, &piece)?;
                    piece.clear();
                }
            }
            bookmark(kind, version, true, &mut piece);
            chunk(out, &piece)?;
            self.lists.fetch_add(1, Ordering::Relaxed);
        }
        drop(objects);
        out.flush()?;
        self.follow(out, kind, &receiver)
    }

    fn follow(
        &self,
        out: &mut impl Write,
        kind: &str,
        events: &Receiver<Arc<[u8]>>,
    ) -> io::Result<()> {
        let mut piece = Vec::new();
        loop {
            piece.clear();
            match events.recv_timeout(BOOKMARKS) {
                Ok(event) => {
                    piece.extend_from_slice(&event);
                    while piece.len() < 64 * 1024
                        && let Ok(event) = events.try_recv()
                    {
                        piece.extend_from_slice(&event);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bookmark(
                        kind,
                        self.version.load(Ordering::Relaxed),
                        false,
                        &mut piece,
                    );
                }
                Err(RecvTimeoutError::Disconnected) => {
                    out.write_all(b"0\r\n\r\n")?;
                    return out.flush();
                }
            }
            chunk(out, &piece)?;
            out.flush()?;
        }
    }

    fn list(
        &self,
        out: &mut impl Write,
        collection: &Mutex<Collection>,
        query: &HashMap<&str, &str>,
    ) -> io::Result<()> {
        let number = |name: &str| {
            query
                .get(name)
                .and_then(|value| value.parse::<usize>().ok())
        };
        let from = number("continue").unwrap_or(0);
        let (kind, version, total, objects) = {
            let collection = collection.lock();
            let limit = number("limit")
                .filter(|&limit| limit > 0)
                .unwrap_or(usize::MAX);
            let objects: Vec<_> = (collection.objects.iter().skip(from).take(limit))
                .map(|object| (object.text.clone(), object.version))
                .collect();
            (
                collection.kind,
                self.version.load(Ordering::Relaxed),
                collection.objects.len(),
                objects,
            )
        };
        let next = from + objects.len();
        let more = if next < total {
            next.to_string()
        } else {
            String::new()
        };
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let mut piece = format!(
            r#"{{"kind":"{kind}List","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{more}"}},"items":["#
        )
        .into_bytes();
        for (at, (text, version)) in objects.iter().enumerate() {
            if at > 0 {
                piece.push(b',');
            }
            text.write(*version, &mut piece);
            if piece.len() > 16 * 1024 {
                chunk(out, &piece)?;
                piece.clear();
            }
        }
        piece.extend_from_slice(b"]}\n");
        chunk(out, &piece)?;
        out.write_all(b"0\r\n\r\n")?;
        out.flush()?;
        if more.is_empty() {
            self.lists.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

// === impl Collection ===

impl Collection {
    /// Replaces a pod of the pool by its next text. If `seen` is true, sends an event to the watches.
    fn change(&mut self, at: usize, version: u64, seen: bool) {
        let len = self.pool.len().max(1);
        let Some((place, states, state)) = self.pool.get_mut(at % len) else {
            return;
        };
        *state = (*state + 1) % states.len();
        let Some(object) = self.objects.get_mut(*place) else {
            return;
        };
        *object = Object {
            text: states[*state].clone(),
            version,
        };
        if seen {
            let mut line = Vec::new();
            object.text.event("MODIFIED", version, &mut line);
            let line: Arc<[u8]> = line.into();
            self.watches
                .retain(|watch| watch.send(Arc::clone(&line)).is_ok());
        }
    }
}

// === impl Text ===

impl Text {
    fn of(object: &Value) -> Self {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!("@");
        let text = object.to_string();
        let (head, tail) = text.split_once('@').unwrap_or((&text, ""));
        Self {
            head: head.into(),
            tail: tail.into(),
        }
    }

    fn write(&self, version: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(self.tail.as_bytes());
    }

    fn event(&self, kind: &str, version: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!(r#"{{"type":"{kind}","object":"#).as_bytes());
        self.write(version, out);
        out.extend_from_slice(b"}\n");
    }
}

/// Returns a pod in one of three states: the original pod (0), the first container has crashed (1), or the container
/// runs again (2).
fn crashed(mut pod: Value, state: usize) -> Value {
    if state == 0 {
        return pod;
    }
    let (down, time) = (state == 1, format!("2026-11-24T12:{state:02}:00Z"));
    let conditions = pod["status"]["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        if ["Ready", "ContainersReady"].contains(&condition["type"].as_str().unwrap_or_default()) {
            condition["status"] = json!(if down { "False" } else { "True" });
            condition["lastTransitionTime"] = json!(time);
        }
    }
    let container = &mut pod["status"]["containerStatuses"][0];
    container["lastState"] = json!({ "terminated": {
        "exitCode": 137, "reason": "OOMKilled", "finishedAt": time,
        "startedAt": container["state"]["running"]["startedAt"],
        "containerID": container["containerID"],
    } });
    container["restartCount"] = json!(container["restartCount"].as_u64().unwrap_or(0) + 1);
    container["ready"] = json!(!down);
    container["started"] = json!(!down);
    container["state"] = if down {
        json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off restarting" } })
    } else {
        json!({ "running": { "startedAt": time } })
    };
    pod
}

/// Returns a node with the fields that a kubelet reports, including images.
fn node(at: usize) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({ "type": kind, "status": status, "reason": "KubeletHasNoDiskPressure",
            "lastHeartbeatTime": "2026-11-20T08:00:00Z", "lastTransitionTime": "2026-11-01T08:00:00Z" })
    };
    let images: Vec<_> = (0..40)
        .map(|image| {
            json!({ "names": [format!("registry.example.com/team-{image}/app@sha256:{:064x}", at * image)],
            "sizeBytes": 40_000_000 + image })
        })
        .collect();
    let amounts = json!({ "cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": format!("node-{at:05}.eu-west-1.compute.internal"),
            "uid": format!("{at:08x}-aaaa-4bdc-a996-{at:012x}"),
            "creationTimestamp": "2026-11-01T08:00:00Z",
            "labels": { "kubernetes.io/arch": "amd64", "node-role.kubernetes.io/worker": "",
                "topology.kubernetes.io/zone": format!("eu-west-1{}", ["a", "b", "c"][at % 3]) },
        },
        "spec": { "podCIDR": format!("10.{}.{}.0/24", at / 256, at % 256), "providerID": format!("aws:///eu-west-1/i-{at:017x}") },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": format!("172.16.{}.{}", at / 256, at % 256) }],
            "capacity": amounts.clone(), "allocatable": amounts, "images": images,
            "conditions": [condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                condition("PIDPressure", "False"), condition("Ready", "True")],
            "nodeInfo": { "kernelVersion": "6.12.0", "osImage": "Debian GNU/Linux 13", "kubeletVersion": "v1.37.0",
                "containerRuntimeVersion": "containerd://2.2.0", "kubeProxyVersion": "", "architecture": "amd64",
                "operatingSystem": "linux", "machineID": format!("{at:032x}"), "bootID": "", "systemUUID": format!("{at:032x}") },
        },
    })
}

fn bookmark(kind: &str, version: u64, initial_end: bool, out: &mut Vec<u8>) {
    let mut metadata = json!({ "resourceVersion": version.to_string(), "creationTimestamp": null });
    if initial_end {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    let event = json!({ "type": "BOOKMARK", "object": { "kind": kind, "apiVersion": "v1",
        "metadata": metadata, "spec": { "containers": [] }, "status": {} } });
    out.extend_from_slice(format!("{event}\n").as_bytes());
}

fn chunk(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(out, "{:x}\r\n", bytes.len())?;
    out.write_all(bytes)?;
    out.write_all(b"\r\n")
}

fn plain(out: &mut impl Write, code: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 {code} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    out.flush()
}
