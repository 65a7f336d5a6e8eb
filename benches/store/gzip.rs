//! Measures compressed scrapes.

use std::hint::black_box;
use std::io::Write;

use criterion::{BatchSize, Criterion, Throughput};
use flate2::Compression;
use flate2::write::GzEncoder;
use kube_state_metrics::exposition::{Encoding, ExpositionFilter, Format};

use super::{PODS, Setup, scrape, support};

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let exposition = setup
        .metrics
        .exposition(Format::Text, ExpositionFilter::default());
    let body: Vec<_> = exposition.encoded(Encoding::Gzip).collect();
    assert!(support::gunzip(&body.concat()) == setup.text);
    drop(body);
    let mut group = c.benchmark_group("gzip 10,000 pods");
    group
        .throughput(Throughput::Bytes(setup.text.len() as u64))
        .sample_size(10);
    let size = scrape(&setup.metrics, Encoding::Gzip);
    group.bench_function("unchanged", |b| {
        b.iter(|| assert_eq!(scrape(&setup.metrics, Encoding::Gzip), size));
    });
    for (name, step) in [
        ("one family of 1 % of the pods changed", 100),
        ("one family of all pods changed", 1),
    ] {
        let mut state = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    state += 1;
                    for at in (0..PODS).step_by(step) {
                        let pod = support::typed(at, state);
                        setup.writer.apply_object(&pod);
                    }
                },
                |()| assert!(scrape(&setup.metrics, Encoding::Gzip) > size / 2),
                BatchSize::PerIteration,
            );
        });
    }
    for (name, level) in [
        ("limit: the compressor alone, level 3", 3),
        ("limit: the compressor alone, level 1", 1),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut out = GzEncoder::new(Vec::new(), Compression::new(level));
                out.write_all(&setup.text)
                    .expect("writing to memory does not fail");
                black_box(out.finish().expect("writing to memory does not fail")).len()
            });
        });
    }
    group.bench_function("usual: map of texts, gzip per scrape at level 6", |b| {
        b.iter(|| setup.map.gzip(6).len());
    });
    group.finish();
    setup.reset();
}
