//! Ingests the JSON of a list or a watch into the store.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::store::DecodeError;
use kube_state_metrics::testing::Generator;
use serde::de::IgnoredAny;

use super::{PODS, Setup, scattered, support};

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let (before, after) = (json(0), json(9));
    let bytes: usize = before.iter().map(Vec::len).sum();
    let mut group = c.benchmark_group("ingest a pod as JSON");
    group.throughput(Throughput::Bytes((bytes / PODS) as u64));
    changes(&mut group, &before, &after, |pod| {
        setup.writer.apply_json(pod)
    });
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

/// All pods in JSON.
pub(crate) fn json(state: usize) -> Vec<Vec<u8>> {
    (0..PODS)
        .map(|at| support::pod(at, state).to_string().into_bytes())
        .collect()
}

/// Measures updates by pods that equal those in the store, then by pods that alternate between two states.
pub(crate) fn changes(
    group: &mut BenchmarkGroup<'_, WallTime>,
    before: &[Vec<u8>],
    after: &[Vec<u8>],
    mut apply: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) {
    let mut next = scattered();
    group.bench_function("nothing changes", |b| {
        b.iter(|| apply(&before[next()]).expect("a generated pod decodes"));
    });
    let mut round = 0;
    group.bench_function("one family changes", |b| {
        b.iter(|| {
            round += 1;
            let from = match (round / PODS) % 2 {
                0 => after,
                _ => before,
            };
            apply(&from[round * 7919 % PODS]).expect("a generated pod decodes");
        });
    });
}
