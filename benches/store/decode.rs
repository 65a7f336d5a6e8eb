//! Measures the time to decode a pod from JSON and from protobuf.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use k8s_openapi::api::core::v1::Pod;
use kube_protobuf::{Object, encode, message_of};
use serde::Deserialize;
use serde_json::Value;

use super::ingest::{POD, changes, json};
use super::{PODS, Setup, scattered, support};

/// The fields that identify an object.
///
/// No decoder can be faster than one that reads only these fields, because every decoder must at least skip the
/// remaining fields.
#[derive(Deserialize)]
struct Identity {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    resource_version: String,
}

/// The same pods in JSON and in protobuf.
struct Pods {
    json: Vec<Vec<u8>>,
    protobuf: Vec<Vec<u8>>,
}

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let before = Pods {
        json: json(0),
        protobuf: protobuf(0),
    };
    let size = |pods: &[Vec<u8>]| pods.iter().map(Vec::len).sum::<usize>() / PODS;
    println!(
        "bytes of a pod: {} in JSON, {} in protobuf",
        size(&before.json),
        size(&before.protobuf)
    );
    let mut group = c.benchmark_group("decode a pod");
    decode::<Pod>(&mut group, &before, "all of it", |pod| {
        pod.metadata.uid.is_some()
    });
    decode::<Identity>(&mut group, &before, "limit: identity only", |object| {
        object.metadata.uid.len() > object.metadata.resource_version.len()
    });
    group.finish();
    let mut group = c.benchmark_group("ingest a pod as protobuf");
    let message = message_of("v1", "Pod").expect("pods have protobuf");
    let encode = |pod: &Value| encode::message(message, pod).expect("a generated pod is valid");
    changes(&mut group, &POD, encode, |pod| {
        setup.writer.apply_protobuf(pod)
    });
    group.finish();
    setup.reset();
}

/// Returns all pods in protobuf. `state` selects the values that change while a pod runs.
fn protobuf(state: usize) -> Vec<Vec<u8>> {
    let message = message_of("v1", "Pod").expect("pods have protobuf");
    let pods = (0..PODS).map(|at| encode::message(message, &support::pod(at, state)));
    pods.collect::<Result<_, _>>()
        .expect("a generated pod is valid")
}

fn decode<T: serde::de::DeserializeOwned>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    pods: &Pods,
    name: &str,
    is_right: fn(&T) -> bool,
) {
    let message = message_of("v1", "Pod").expect("pods have protobuf");
    let mut next = scattered();
    group.bench_function(format!("JSON, {name}"), |b| {
        b.iter(|| {
            let pod = serde_json::from_slice::<T>(black_box(&pods.json[next()]));
            assert!(is_right(&pod.expect("a generated pod decodes")));
        });
    });
    group.bench_function(format!("protobuf, {name}"), |b| {
        b.iter(|| {
            let pod = Object::new(message, black_box(&pods.protobuf[next()])).to::<T>();
            assert!(is_right(&pod.expect("a generated pod decodes")));
        });
    });
}
