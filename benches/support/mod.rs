//! What the benchmarks share: generated pods, and a stand-in for the usual design of an exporter.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::collections::HashMap;
use std::io::{Read, Write};

use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::{CacheStore, Collector, MetricsStore, families};
use serde_json::{Value, json};

/// A pod of a believable cluster: two containers, requests and limits, five conditions, a claim.
///
/// The same numbers always give the same pod; `state` changes what a running pod changes.
pub(crate) fn pod(at: usize, state: usize) -> Value {
    let (namespace, app) = (at % 20, at % 200);
    let node = format!(
        "ip-10-{}-{}-{}.eu-west-1.compute.internal",
        at % 7,
        at % 61,
        at % 250
    );
    let time = |offset: usize| {
        let second = at * 7 + offset;
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        format!(
            "2026-11-{:02}T{hour:02}:{minute:02}:{:02}Z",
            1 + at % 20,
            second % 60
        )
    };
    let container = |name: &str, cpu: &str, memory: &str| {
        json!({
            "name": name,
            "image": format!("registry.example.com/team-{namespace}/{name}:1.{}.0", app % 9),
            "env": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "PORT", "value": "8080" }],
            "ports": [{ "containerPort": 8080, "name": "http" }],
            "resources": {
                "requests": { "cpu": cpu, "memory": memory },
                "limits": { "cpu": "1", "memory": memory },
            },
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 10 },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        })
    };
    let status = |name: &str, restarts: usize| {
        json!({
            "name": name,
            "ready": true,
            "restartCount": restarts,
            "started": true,
            "image": format!("registry.example.com/team-{namespace}/{name}:1.{}.0", app % 9),
            "imageID": format!("registry.example.com/team-{namespace}/{name}@sha256:{:064x}", app * 7919),
            "containerID": format!("containerd://{:064x}", at * 104_729 + name.len()),
            "state": { "running": { "startedAt": time(9) } },
        })
    };
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": time(10) });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("app-{app:03}-7d4b9c6f5-{at:06x}"),
            "namespace": format!("team-{namespace:02}"),
            "uid": format!("{:08x}-13c6-4bdc-a996-{:012x}", at * 2_654_435, at),
            "resourceVersion": (1_000_000 + at * 10 + state).to_string(),
            "creationTimestamp": time(0),
            "labels": { "app.kubernetes.io/name": format!("app-{app:03}"), "pod-template-hash": "7d4b9c6f5" },
            "annotations": { "checksum/config": format!("{:064x}", at) },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": format!("app-{app:03}-7d4b9c6f5"), "uid": format!("owner-{app}"),
            }],
            "managedFields": [{ "manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1",
                "fieldsV1": { "f:status": { "f:conditions": { "k:{\"type\":\"Ready\"}": { ".": {}, "f:status": {} } } } } }],
        },
        "spec": {
            "nodeName": node,
            "serviceAccountName": format!("app-{app:03}"),
            "schedulerName": "default-scheduler",
            "restartPolicy": "Always",
            "priorityClassName": "standard",
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
            "containers": [container("app", "250m", "512Mi"), container("istio-proxy", "100m", "128Mi")],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": format!("data-{at}") } }],
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "hostIP": format!("10.{}.{}.{}", at % 7, at % 61, at % 250),
            "podIP": format!("10.128.{}.{}", at / 250 % 250, at % 250),
            "podIPs": [{ "ip": format!("10.128.{}.{}", at / 250 % 250, at % 250) }],
            "startTime": time(1),
            "conditions": [
                condition("PodReadyToStartContainers"), condition("Initialized"), condition("Ready"),
                condition("ContainersReady"), condition("PodScheduled"),
            ],
            "containerStatuses": [status("app", state), status("istio-proxy", 0)],
        },
    })
}

pub(crate) fn typed(at: usize, state: usize) -> Pod {
    serde_json::from_value(pod(at, state)).expect("a generated pod is a pod")
}

/// The first `count` pods.
pub(crate) fn pods(count: usize) -> Vec<Pod> {
    (0..count).map(|at| typed(at, 0)).collect()
}

/// The built-in families of pods that need no list.
pub(crate) fn collector() -> Collector<Pod> {
    families::pods()
}

/// A stand-in for the usual design: a map from object to rendered text, one piece per family.
///
/// A scrape goes through the map once per family; gzip runs over the whole text at each scrape.
#[derive(Default)]
pub(crate) struct TextMap {
    headers: Vec<String>,
    objects: HashMap<String, Vec<Box<str>>>,
}

impl TextMap {
    pub(crate) fn new() -> Self {
        let names = families::pods();
        let headers = names.iter().map(|family| {
            let family = family.descriptor();
            format!(
                "# HELP {0} {1}\n# TYPE {0} gauge\n",
                family.name(),
                family.help()
            )
        });
        Self {
            headers: headers.collect(),
            objects: HashMap::new(),
        }
    }

    /// Files the text of an object, already rendered by `renderer`, whole and family by family.
    pub(crate) fn insert(&mut self, renderer: &mut Renderer, pod: &Pod) {
        let texts = renderer.families(pod);
        self.objects
            .insert(pod.metadata.uid.clone().unwrap_or_default(), texts);
    }

    pub(crate) fn write(&self, out: &mut impl Write) {
        for (at, header) in self.headers.iter().enumerate() {
            out.write_all(header.as_bytes()).expect("memory takes all");
            for texts in self.objects.values() {
                if let Some(text) = texts.get(at) {
                    out.write_all(text.as_bytes()).expect("memory takes all");
                }
            }
        }
    }

    pub(crate) fn gzip(&self, level: u32) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        self.write(&mut out);
        out.finish().expect("memory takes all")
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let objects = self.objects.iter().map(|(uid, texts)| {
            let texts = texts.iter().map(|text| text.len() + size_of::<Box<str>>());
            uid.len() + size_of::<String>() + texts.sum::<usize>()
        });
        objects.sum()
    }
}

/// Renders the text of single objects, for the stand-in.
pub(crate) struct Renderer {
    store: MetricsStore<Pod>,
    names: Vec<String>,
}

impl Renderer {
    pub(crate) fn new() -> Self {
        let names = families::pods()
            .iter()
            .map(|own| own.descriptor().name().to_owned())
            .collect();
        Self {
            store: MetricsStore::new(collector()),
            names,
        }
    }

    /// The lines of all families of a pod.
    pub(crate) fn text(&self, pod: &Pod) -> String {
        self.store.replace([pod]);
        let key = self.store.list_keys().pop().unwrap_or_default();
        self.store
            .get(&key)
            .map(|entry| entry.samples)
            .unwrap_or_default()
    }

    fn families(&self, pod: &Pod) -> Vec<Box<str>> {
        let text = self.text(pod);
        let mut texts = vec![String::new(); self.names.len()];
        for line in text.split_inclusive('\n') {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if let Some(at) = self.names.iter().position(|own| own == name) {
                texts[at].push_str(line);
            }
        }
        texts.into_iter().map(String::into_boxed_str).collect()
    }
}

/// Reads all of a compressed text, as a scraper does.
pub(crate) fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut text)
        .expect("valid gzip");
    text
}
