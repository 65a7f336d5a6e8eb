//! Tests limits on the memory per pod and on the number of allocations per update. The measured numbers are the same on
//! all machines.
//!
//! A counting allocator replaces the allocator of the system. This binary has only one test, because the counts would
//! include the allocations of a second test.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

#[path = "../benches/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::{Encoding, ExpositionFilter, Format};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

fn grown(by: usize) {
    let live = LIVE.fetch_add(by, Relaxed) + by;
    PEAK.fetch_max(live, Relaxed);
    CALLS.fetch_add(1, Relaxed);
}

// SAFETY: the allocator passes every call unchanged to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PODS: usize = 2_000;

#[test]
fn memory_per_pod_and_allocations_per_update_stay_where_they_are() {
    let pods = support::pods(PODS);
    let metrics = StateMetrics::builder()
        .collector(support::collector().fed_by_host())
        .build()
        .unwrap();
    let mut writer = metrics.feed().unwrap();

    let before = LIVE.load(Relaxed);
    writer.begin_list();
    pods.iter().for_each(|pod| writer.apply_object(pod));
    writer.end_list();
    let per_pod = (LIVE.load(Relaxed) - before) / PODS;
    let stats = metrics.stores()[0].stats();
    let estimate = usize::try_from(stats.memory_bytes).unwrap() / PODS;
    println!("{per_pod} bytes per pod, {estimate} by the store's own count");
    assert!(per_pod < 1_650, "{per_pod} bytes per pod");
    assert!(
        estimate.abs_diff(per_pod) * 10 < per_pod,
        "{estimate} is not near {per_pod}"
    );

    let calls = CALLS.load(Relaxed);
    pods.iter().for_each(|pod| writer.apply_object(pod));
    let per_update = (CALLS.load(Relaxed) - calls) as f64 / PODS as f64;
    println!("{per_update} allocations per update that changes nothing");
    assert!(
        per_update <= 1.0,
        "{per_update} allocations per update that changes nothing"
    );

    let (live, peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    PEAK.store(live, Relaxed);
    writer.begin_list();
    pods.iter().for_each(|pod| writer.apply_object(pod));
    writer.end_list();
    let relist = PEAK.load(Relaxed) - live;
    println!(
        "{relist} bytes more while relisting an unchanged cluster, {} in all",
        live
    );
    assert!(
        relist * 20 < per_pod * PODS,
        "{relist} bytes more while relisting"
    );
    PEAK.fetch_max(peak, Relaxed);

    let (live, changed) = (LIVE.load(Relaxed), PODS / 100);
    PEAK.store(live, Relaxed);
    writer.begin_list();
    for (at, pod) in pods.iter().enumerate() {
        match at % 100 {
            0 => writer.apply_object(&support::typed(at, 9)),
            _ => writer.apply_object(pod),
        }
    }
    writer.end_list();
    let relist = (PEAK.load(Relaxed) - live) / changed;
    println!("{relist} bytes more per changed pod while relisting");
    assert!(
        relist < 2_400,
        "{relist} bytes more per changed pod while relisting"
    );

    for encoding in [Encoding::Identity, Encoding::Gzip] {
        let scrape = || {
            let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
            exposition
                .encoded(encoding)
                .map(|piece| piece.len())
                .sum::<usize>()
        };
        let before = LIVE.load(Relaxed);
        let first = scrape();
        let live = LIVE.load(Relaxed);
        if encoding == Encoding::Gzip {
            let cache = live - before;
            println!("{cache} bytes in the gzip cache, {first} sent");
            // The cache keeps an idle compressor, whose tables need several hundred kilobytes. This size does not
            // depend on the number of pods.
            assert!(
                cache < first + 512 * 1024,
                "{cache} bytes in the gzip cache"
            );
        }
        PEAK.store(live, Relaxed);
        assert_eq!(scrape(), first);
        let extra = PEAK.load(Relaxed) - live;
        println!("{extra} bytes more during a scrape of {first} bytes, {encoding:?}");
        assert!(
            extra < 2 * 1024 * 1024,
            "{extra} bytes more during a scrape, {encoding:?}"
        );
    }
    drop((metrics, writer, pods));
    #[cfg(feature = "custom-resources")]
    kinds_that_come_and_go_leave_nothing_behind();
}

/// Adds and removes kinds several hundred times, and checks that the memory does not grow.
///
/// The Custom Resource State configuration has wildcards, and adds families to a built-in kind.
#[cfg(feature = "custom-resources")]
fn kinds_that_come_and_go_leave_nothing_behind() {
    use kube_state_metrics::BuiltIn;
    use kube_state_metrics::custom_resources::{Config, KnownKind};
    use kube_state_metrics::resource::Scope;

    let config = Config::parse(
        "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: '*', kind: '*' }
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
  - groupVersionKind: { group: '', version: v1, kind: ConfigMap }
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: info, each: { type: Info, info: { path: [metadata], labelsFromPath: { n: [name] } } } }
",
    )
    .expect("the configuration is valid");
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .custom_resources(&config)
        .known_kinds(KnownKind::built_in())
        .all_fed_by_host()
        .build()
        .expect("the families are valid");
    let object = br#"{"metadata":{"namespace":"n","name":"a"},"spec":{"size":3}}"#;
    let mut built_in = metrics.feeds();
    let mut change = |round: usize| {
        let version = format!("v{}", round % 7);
        let kind = KnownKind::new("acme.dev", version, "Widget", "widgets", Scope::Namespaced);
        // `round` counts the calls of this closure. In every third call, the cluster has no custom kinds. In every
        // fifth call, there is no Custom Resource State configuration.
        let kinds = KnownKind::built_in().into_iter();
        let kinds = kinds.chain((!round.is_multiple_of(3)).then_some(kind));
        metrics
            .custom_resources()
            .set_known_kinds(kinds)
            .expect("kinds do not conflict");
        metrics
            .custom_resources()
            .set_config((!round.is_multiple_of(5)).then_some(&config))
            .expect("the families do not conflict");
        for writer in &mut built_in {
            writer.begin_list();
            writer.apply_json(object).expect("the object decodes");
            writer.end_list();
        }
        for own in metrics.custom_resources().collectors() {
            let resource = own.resource();
            let writers = metrics.feeds_of(resource).unwrap().into_iter();
            for mut writer in writers.filter(|_| !resource.group().is_empty()) {
                writer.apply_json(object).expect("the object decodes");
            }
        }
        let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
        exposition
            .encoded(Encoding::Gzip)
            .map(|piece| piece.len())
            .sum::<usize>()
    };
    // After each cycle of this many calls, the registry has the same content again. If the memory grows from one cycle
    // to the next cycle, there is a leak.
    let cycle = 3 * 5 * 7;
    (0..cycle).for_each(|round| assert!(change(round) > 0));
    let before = LIVE.load(Relaxed);
    (0..5 * cycle).for_each(|round| assert!(change(round) > 0));
    let grown = LIVE.load(Relaxed).saturating_sub(before);
    assert!(
        grown < 64 * 1024,
        "{grown} bytes more after changes of kinds"
    );
}
