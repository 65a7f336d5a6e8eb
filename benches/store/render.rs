//! Measures how fast a store renders its samples as text.

use std::hint::black_box;
use std::io::Write;

use criterion::{BatchSize, Criterion, Throughput};
use kube_state_metrics::exposition::Encoding;

use super::{PODS, Setup, scrape, support};

const BUFFER: usize = 64 * 1024;

/// A buffer, and the number of bytes that were written to it. When the buffer is full, its content is discarded.
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

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    let mut group = c.benchmark_group("render 10,000 pods");
    group
        .throughput(Throughput::Bytes(setup.text.len() as u64))
        .sample_size(20);
    group.bench_function("pages, recycled buffers", |b| {
        b.iter(|| assert_eq!(scrape(&setup.metrics, Encoding::Identity), setup.text.len()));
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
    group.bench_function("usual: map of texts, recycled buffer", |b| {
        b.iter(|| {
            let mut out = Recycled(Vec::with_capacity(2 * BUFFER), 0);
            setup.map.write(&mut out);
            assert!(out.1 >= setup.text.len());
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
            |()| assert!(scrape(&setup.metrics, Encoding::Identity) >= setup.text.len()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    setup.reset();
}
