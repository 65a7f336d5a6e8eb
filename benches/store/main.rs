//! Measures a store with 10,000 pods: rendering, gzip, decoding, ingest, updates, lists and memory.
//!
//! For comparison, each group also measures two alternatives. The first alternative is the usual design of exporters: a
//! map of texts, complete decoding, and gzip per scrape. The second alternative is a lower limit of the time: only
//! memcpy, only the compressor, or only the JSON parser. Run the benchmark with `cargo bench --bench store --features
//! gzip,protobuf,testing`. The results are in docs/explanation/performance.md.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::cast_precision_loss)]

mod decode;
mod gzip;
mod ingest;
mod joins;
mod nodes;
mod render;
mod update;

#[path = "../support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::{Encoding, ExpositionFilter, Format};
use kube_state_metrics::store::Writer;
use kube_state_metrics::testing::Generator;

use support::TextMap;

pub(crate) const PODS: usize = 10_000;

/// The data of all benchmarks: the same pods in a store, in a map of texts, and as objects.
pub(crate) struct Setup {
    pods: Vec<Pod>,
    metrics: StateMetrics,
    writer: Writer<Pod>,
    map: TextMap,
    text: Vec<u8>,
}

impl Setup {
    fn new() -> Self {
        let pods = support::pods(PODS);
        let metrics = (StateMetrics::builder()
            .collector(support::collector().fed_by_host())
            .build())
        .expect("the built-in families are valid");
        let mut writer = metrics.feed().expect("pods are registered");
        writer.begin_list();
        pods.iter().for_each(|pod| writer.apply_object(pod));
        writer.end_list();
        let (mut map, mut generator) = (TextMap::new(), Generator::new(support::collector()));
        pods.iter().for_each(|pod| map.insert(&mut generator, pod));
        let mut text = Vec::new();
        (metrics
            .exposition(Format::Text, ExpositionFilter::default())
            .write_to(&mut text))
        .expect("writing to memory does not fail");
        Self {
            pods,
            metrics,
            writer,
            map,
            text,
        }
    }

    /// Applies a list, which restores the initial state of all pods. Single events could not restore it, because the
    /// store ignores an event with a lower resource version.
    fn reset(&mut self) {
        self.writer.begin_list();
        (self.pods.iter()).for_each(|pod| self.writer.apply_object(pod));
        self.writer.end_list();
    }
}

/// Reads a whole exposition and returns its length in bytes.
pub(crate) fn scrape(metrics: &StateMetrics, encoding: Encoding) -> usize {
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    let pieces = exposition.encoded(encoding);
    pieces.map(|piece| std::hint::black_box(piece).len()).sum()
}

/// Returns a function that yields the indexes of all pods in an irregular order.
pub(crate) fn scattered() -> impl FnMut() -> usize {
    let mut at = 0;
    move || {
        at = (at + 7919) % PODS;
        at
    }
}

fn memory(setup: &Setup) {
    let stats = setup.metrics.stores()[0].stats();
    let per_pod = |bytes: u64| bytes as f64 / PODS as f64;
    println!(
        "memory per pod: {:.0} bytes in pages, {:.0} bytes as a map of texts; {:.1} series, {:.0} bytes of text",
        per_pod(stats.memory_bytes),
        per_pod(setup.map.heap_bytes() as u64),
        per_pod(stats.series),
        per_pod(setup.text.len() as u64),
    );
}

fn all(c: &mut Criterion) {
    let mut setup = Setup::new();
    memory(&setup);
    render::bench(c, &mut setup);
    gzip::bench(c, &mut setup);
    decode::bench(c, &mut setup);
    ingest::bench(c, &mut setup);
    update::bench(c, &mut setup);
    nodes::bench(c);
    joins::bench(c, &mut setup);
}

criterion_group!(benches, all);
criterion_main!(benches);
