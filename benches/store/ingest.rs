//! Measures how fast a store applies objects in JSON.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::store::DecodeError;
use kube_state_metrics::testing::Generator;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{PODS, Setup, scattered, support};

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let before = json(0);
    let bytes: usize = before.iter().map(Vec::len).sum();
    let mut group = c.benchmark_group("ingest a pod as JSON");
    group.throughput(Throughput::Bytes((bytes / PODS) as u64));
    let encode = |pod: &Value| pod.to_string().into_bytes();
    changes(&mut group, &POD, encode, |pod| setup.writer.apply_json(pod));
    let mut next = scattered();
    group.bench_function("limit: the JSON parser alone", |b| {
        b.iter(|| {
            let parsed = serde_json::from_slice::<IgnoredAny>(black_box(&before[next()]));
            parsed.expect("it is JSON")
        });
    });
    group.bench_function("usual: decode all of it", |b| {
        b.iter(|| {
            let pod = serde_json::from_slice::<Pod>(black_box(&before[next()]));
            pod.expect("a generated pod decodes")
        });
    });
    let (mut generator, mut map) = (Generator::new(support::collector()), HashMap::new());
    group.bench_function("usual: decode all of it, render texts into a map", |b| {
        b.iter(|| {
            let pod = serde_json::from_slice::<Pod>(&before[next()]);
            let pod = pod.expect("a generated pod decodes");
            map.insert(pod.metadata.uid.clone(), generator.texts(&pod))
        });
    });
    group.finish();
    setup.reset();
}

/// Returns all pods in JSON. `state` selects the values that change while a pod runs.
pub(crate) fn json(state: usize) -> Vec<Vec<u8>> {
    (0..PODS)
        .map(|at| support::pod(at, state).to_string().into_bytes())
        .collect()
}

/// A change of an object: its name in the results, and the function that makes the change.
type Change = (&'static str, fn(&mut Value));

/// The objects of one kind, and the changes that the benchmark makes to these objects.
pub(crate) struct Kind {
    pub(crate) objects: usize,
    pub(crate) object: fn(usize) -> Value,
    pub(crate) changes: &'static [Change],
}

pub(crate) const POD: Kind = Kind {
    objects: PODS,
    object: |at| support::pod(at, 0),
    changes: &[
        ("only the version changes", |_| {}),
        ("a field changes that no family reads", |pod| {
            pod["metadata"]["annotations"]["seen"] = "2026-11-29T12:00:00Z".into();
        }),
        ("a label changes", |pod| {
            pod["metadata"]["labels"]["pod-template-hash"] = "5b9c8d7f4".into();
        }),
        ("the time of a condition changes", |pod| {
            pod["status"]["conditions"][2]["lastProbeTime"] = "2026-11-29T12:00:00Z".into();
        }),
        ("a container restarts", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] = 9.into();
        }),
        // If the uid differs, the store decodes and renders the whole object, as it does for a new object.
        ("another object with the same name", |pod| {
            pod["metadata"]["uid"] = "another".into();
        }),
    ],
};

/// The resource version of all objects before their first event. All later versions have the same number of digits, so
/// they can replace this version in the encoded bytes.
const FIRST_VERSION: u64 = 1_000_000_000;

/// The encoded objects of a kind. The benchmark replaces the resource versions in these bytes.
struct Objects {
    objects: Vec<Vec<u8>>,
    /// For each object, the offset of the resource version in its bytes.
    versions: Vec<usize>,
}

impl Objects {
    fn new(kind: &Kind, encode: &impl Fn(&Value) -> Vec<u8>, change: fn(&mut Value)) -> Self {
        let version = FIRST_VERSION.to_string();
        let objects = (0..kind.objects).map(|at| {
            let mut object = (kind.object)(at);
            object["metadata"]["resourceVersion"] = version.as_str().into();
            change(&mut object);
            encode(&object)
        });
        let objects: Vec<_> = objects.collect();
        let find = |object: &Vec<u8>| {
            let mut windows = object.windows(version.len());
            windows.position(|window| window == version.as_bytes())
        };
        let versions = objects
            .iter()
            .map(|object| find(object).expect("it has a version"));
        Self {
            versions: versions.collect(),
            objects,
        }
    }

    /// Returns an object whose resource version is `version`.
    fn with_version(&mut self, at: usize, version: u64) -> &[u8] {
        let start = self.versions[at];
        let digits = version.to_string();
        self.objects[at][start..start + digits.len()].copy_from_slice(digits.as_bytes());
        &self.objects[at]
    }
}

/// Measures updates with unchanged objects, and then updates that alternate between two states of the objects.
///
/// Each event has a higher resource version than the previous event.
pub(crate) fn changes(
    group: &mut BenchmarkGroup<'_, WallTime>,
    kind: &Kind,
    encode: impl Fn(&Value) -> Vec<u8>,
    mut apply: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) {
    let mut before = Objects::new(kind, &encode, |_| {});
    let mut version = FIRST_VERSION;
    for at in 0..kind.objects {
        version += 1;
        apply(before.with_version(at, version)).expect("a generated object decodes");
    }
    let mut at = 0;
    group.bench_function("nothing changes", |b| {
        b.iter(|| {
            at += 7919;
            apply(&before.objects[at % kind.objects]).expect("a generated object decodes");
        });
    });
    for &(name, change) in kind.changes {
        let mut after = Objects::new(kind, &encode, change);
        let mut round = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                (round, version) = (round + 1, version + 1);
                let from = match (round / kind.objects) % 2 {
                    0 => &mut after,
                    _ => &mut before,
                };
                let object = from.with_version(round * 7919 % kind.objects, version);
                apply(object).expect("a generated object decodes");
            });
        });
    }
}
