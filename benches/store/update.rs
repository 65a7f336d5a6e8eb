//! Measures updates and relists with decoded objects, with and without a scrape at the same time.

use std::hint::black_box;

use criterion::Criterion;
use k8s_openapi::api::core::v1::Pod;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::testing::Generator;

use super::support::TextMap;
use super::{PODS, Setup, scattered, support};

pub(crate) fn bench(c: &mut Criterion, setup: &mut Setup) {
    updates(c, setup);
    lists(c, setup);
}

fn updates(c: &mut Criterion, setup: &mut Setup) {
    let restarted: Vec<_> = (0..PODS).map(|at| support::typed(at, 9)).collect();
    let others: Vec<_> = (0..PODS)
        .map(|at| Pod {
            metadata: setup.pods[at].metadata.clone(),
            ..support::typed(at + PODS, 1)
        })
        .collect();
    let mut group = c.benchmark_group("update a pod");
    let mut next = scattered();
    let mut generator = Generator::new(support::collector());
    group.bench_function("limit: generate alone", |b| {
        b.iter(|| black_box(generator.generate(&setup.pods[next()])));
    });
    group.bench_function("nothing changes", |b| {
        b.iter(|| setup.writer.apply_object(&setup.pods[next()]));
    });
    for (name, changed) in [
        ("one family changes", &restarted),
        ("nearly all families change", &others),
    ] {
        for held in [false, true] {
            let name = match held {
                true => format!("{name}, a scrape holds the state before"),
                false => name.to_owned(),
            };
            let mut round = 0;
            group.bench_function(name, |b| {
                b.iter(|| {
                    round += 1;
                    let from = match (round / PODS) % 2 {
                        0 => changed,
                        _ => &setup.pods,
                    };
                    let scrape = held.then(|| {
                        setup
                            .metrics
                            .exposition(Format::Text, ExpositionFilter::default())
                    });
                    setup.writer.apply_object(&from[round * 7919 % PODS]);
                    scrape
                });
            });
            setup.reset();
        }
    }
    let mut map = TextMap::new();
    group.bench_function("usual: render texts into a map", |b| {
        b.iter(|| map.insert(&mut generator, &setup.pods[next()]));
    });
    group.finish();
}

fn lists(c: &mut Criterion, setup: &mut Setup) {
    let mut group = c.benchmark_group("relist 10,000 pods");
    group.sample_size(10);
    let mut changed = setup.pods.clone();
    for at in (0..PODS).step_by(100) {
        changed[at] = support::typed(at, 9);
    }
    for (name, other) in [
        ("nothing changed", setup.pods.clone()),
        ("1 % changed", changed),
    ] {
        let mut round = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                round += 1;
                let listed = if round % 2 == 0 { &setup.pods } else { &other };
                setup.writer.begin_list();
                listed.iter().for_each(|pod| setup.writer.apply_object(pod));
                setup.writer.end_list();
            });
        });
        let stats = setup.metrics.stores()[0].stats();
        assert_eq!((stats.objects, stats.swept), (PODS as u64, 0));
    }
    let mut generator = Generator::new(support::collector());
    group.bench_function("limit: generate alone", |b| {
        b.iter(|| -> usize {
            let sizes = setup.pods.iter().map(|pod| generator.generate(pod));
            sizes.sum()
        });
    });
    group.bench_function("usual: a new map of texts", |b| {
        b.iter(|| {
            let mut map = TextMap::new();
            setup
                .pods
                .iter()
                .for_each(|pod| map.insert(&mut generator, pod));
            map
        });
    });
    group.finish();
    setup.reset();
}
