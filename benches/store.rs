//! The store over 10,000 pods: rendering, updates and memory, beside the usual design.
//!
//! `cargo bench --bench store`; the figures are in docs/performance.md.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::cast_precision_loss)]

mod support;

use std::hint::black_box;
use std::io::Write;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::testing::Generator;
use kube_state_metrics::{Format, Selection, StateMetrics, Writer};
use support::{Renderer, TextMap};

const PODS: usize = 10_000;
const BUFFER: usize = 64 * 1024;

struct Setup {
    pods: Vec<Pod>,
    metrics: StateMetrics,
    writer: Writer<Pod>,
    map: TextMap,
    text: Vec<u8>,
}

fn setup() -> Setup {
    let pods = support::pods(PODS);
    let metrics = (StateMetrics::builder()
        .collector(support::collector())
        .build())
    .expect("the built-in families are valid");
    let mut writer = metrics.writer().expect("pods are registered");
    writer.begin_list();
    pods.iter().for_each(|pod| writer.apply_object(pod));
    writer.end_list();
    let (mut map, mut renderer) = (TextMap::new(), Renderer::new());
    pods.iter().for_each(|pod| map.insert(&mut renderer, pod));
    let mut text = Vec::new();
    (metrics
        .exposition(Format::Text, Selection::default())
        .write_to(&mut text))
    .expect("memory takes all");
    Setup {
        pods,
        metrics,
        writer,
        map,
        text,
    }
}

/// Goes through an exposition in recycled buffers and returns how long it is.
fn render(metrics: &StateMetrics) -> usize {
    let chunks = metrics
        .exposition(Format::Text, Selection::default())
        .chunks();
    chunks.map(|chunk| black_box(chunk).len()).sum()
}

fn rendering(c: &mut Criterion, setup: &mut Setup) {
    let mut group = c.benchmark_group("render 10,000 pods");
    group
        .throughput(Throughput::Bytes(setup.text.len() as u64))
        .sample_size(20);
    group.bench_function("pages, recycled buffers", |b| {
        b.iter(|| assert_eq!(render(&setup.metrics), setup.text.len()));
    });
    group.bench_function("limit: memcpy into a recycled 64 KiB buffer", |b| {
        let mut buffer = vec![0; BUFFER];
        b.iter(|| {
            for piece in setup.text.chunks(BUFFER) {
                buffer[..piece.len()].copy_from_slice(piece);
                black_box(&mut buffer);
            }
        });
    });
    group.bench_function("usual: map of texts, one buffer after another", |b| {
        struct Recycled(Vec<u8>, usize);
        impl Write for Recycled {
            fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
                if self.0.len() + text.len() > BUFFER {
                    black_box(&mut self.0).clear();
                }
                self.0.extend_from_slice(text);
                self.1 += text.len();
                Ok(text.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        b.iter(|| {
            let mut out = Recycled(Vec::with_capacity(2 * BUFFER), 0);
            setup.map.write(&mut out);
            out.1
        });
    });
    group.bench_function("pages, 1 % of the pods changed in between", |b| {
        let mut state = 0;
        b.iter_batched(
            || {
                state += 1;
                for at in (0..PODS).step_by(100) {
                    setup.writer.apply_object(&support::typed(at, state));
                }
            },
            |()| render(&setup.metrics),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn updates(c: &mut Criterion, setup: &mut Setup) {
    let mut group = c.benchmark_group("update a pod");
    let mut at = 0;
    let mut next = move || {
        at = (at + 7919) % PODS;
        at
    };
    let mut generator = Generator::new(support::collector());
    group.bench_function("baseline: generate alone", |b| {
        b.iter(|| generator.generate(&setup.pods[next()]));
    });
    setup
        .pods
        .iter()
        .for_each(|pod| setup.writer.apply_object(pod));
    group.bench_function("nothing changes", |b| {
        b.iter(|| setup.writer.apply_object(&setup.pods[next()]));
    });
    let restarted: Vec<_> = (0..PODS).map(|at| support::typed(at, 9)).collect();
    let mut round = 0;
    group.bench_function("one family changes", |b| {
        b.iter(|| {
            round += 1;
            let from = if (round / PODS).is_multiple_of(2) {
                &restarted
            } else {
                &setup.pods
            };
            let pod = &from[round * 7919 % PODS];
            setup.writer.apply_object(pod);
        });
    });
    group.finish();
}

fn memory(setup: &Setup) {
    let (_, stats) = setup.metrics.stats().next().expect("pods are registered");
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
    let mut setup = setup();
    memory(&setup);
    rendering(c, &mut setup);
    updates(c, &mut setup);
}

criterion_group!(benches, all);
criterion_main!(benches);
