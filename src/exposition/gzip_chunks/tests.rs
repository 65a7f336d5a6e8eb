//! Compares compressed expositions with uncompressed expositions, and checks the effect of the cache.

use std::io::Read;

use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::exposition::HostMetrics;
use crate::exposition::{Encoding, ExpositionFilter};
use crate::store::Writer;
use crate::{BuiltIn, Family, StateMetrics};

fn metrics() -> (StateMetrics, Writer<ConfigMap>) {
    let wide = Family::gauge("wide", "Many samples.").generate(|map: &ConfigMap, s| {
        let count = map.metadata.generation.unwrap_or(0);
        for at in 0..count {
            s.label("at", at).value(at);
        }
    });
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(crate::Collector::<ConfigMap>::new().family(wide))
        .all_fed_by_host()
        .build()
        .unwrap();
    let writer = metrics.feed().unwrap();
    (metrics, writer)
}

fn map(name: u64, samples: u64) -> ConfigMap {
    in_namespace("n", name, samples)
}

fn in_namespace(namespace: &str, name: u64, samples: u64) -> ConfigMap {
    let metadata =
        json!({ "namespace": namespace, "name": format!("m{name:06}"), "generation": samples });
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}

/// Returns the compressed bytes of an exposition, and the text after decompression.
fn gzip(metrics: &StateMetrics, format: Format, filter: &ExpositionFilter) -> (Vec<u8>, String) {
    let exposition = metrics.exposition(format, filter.clone());
    let compressed = exposition
        .encoded(Encoding::Gzip)
        .collect::<Vec<_>>()
        .concat();
    let mut text = String::new();
    let mut reader = GzDecoder::new(&compressed[..]);
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(reader.into_inner().len(), 0, "more than one member");
    (compressed, text)
}

fn assert_same(metrics: &StateMetrics) {
    let filters = [
        ExpositionFilter::default(),
        ExpositionFilter::default().namespaces(["n"]),
        ExpositionFilter::default().families(["wide"]),
    ];
    for format in [Format::Text, Format::OpenMetrics] {
        for filter in &filters {
            let plain = metrics.exposition(format, filter.clone()).to_string();
            // The second call reads blocks from the cache.
            assert!(gzip(metrics, format, filter).1 == plain);
            assert!(gzip(metrics, format, filter).1 == plain);
        }
    }
}

#[test]
fn compressed_is_one_member_equal_to_plain_whatever_changes() {
    let (metrics, mut writer) = metrics();
    assert_same(&metrics);
    for at in 0..600 {
        writer.apply_object(&map(at, 0));
    }
    assert_same(&metrics);
    for (at, samples) in [(0, 1), (599, 3000), (17, 1), (17, 9000), (300, 40), (17, 0)] {
        writer.apply_object(&map(at, samples));
        assert_same(&metrics);
    }
    writer.begin_list();
    writer.end_list();
    assert_same(&metrics);
}

#[test]
fn an_included_namespace_has_its_headers_in_front_wherever_it_begins() {
    let (metrics, mut writer) = metrics();
    for (namespace, count) in [("a", 300), ("b", 900), ("c", 10)] {
        for at in 0..count {
            writer.apply_object(&in_namespace(namespace, at, 3));
        }
    }
    for namespaces in [&["a"][..], &["b"], &["c"], &["a", "c"], &["d"]] {
        for families in [&["wide"][..], &[]] {
            let mut filter = ExpositionFilter::default().namespaces(namespaces.iter().copied());
            if !families.is_empty() {
                filter = filter.families(families.iter().copied());
            }
            for format in [Format::Text, Format::OpenMetrics] {
                let plain = metrics.exposition(format, filter.clone()).to_string();
                let headers = plain.lines().filter(|line| line.starts_with("# HELP"));
                let headers = headers.count();
                assert_eq!(headers > 0, namespaces != ["d"]);
                assert!(gzip(&metrics, format, &filter).1 == plain, "{namespaces:?}");
            }
        }
    }
}

#[test]
fn a_refresh_compresses_half_of_the_first_scrape() {
    for format in [Format::Text, Format::OpenMetrics] {
        let (metrics, mut writer) = metrics();
        for at in 0..3000 {
            writer.apply_object(&map(at, 3));
        }
        let everything = ExpositionFilter::default();
        let plain = metrics.exposition(format, everything.clone()).to_string();
        let mut scrape = GzipChunks::scrape(metrics.exposition(format, everything.clone()));
        let first = scrape.next().unwrap();
        metrics.refresh_gzip_cache();
        let before = metrics.gzip_cache_bytes();
        metrics.refresh_gzip_cache();
        assert_eq!(metrics.gzip_cache_bytes(), before, "one refresh suffices");
        let rest: Vec<_> = scrape.by_ref().collect();
        let mut text = String::new();
        let bytes = [&[first], &rest[..]].concat().concat();
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        assert!(text == plain);
        let own = scrape.compressed;
        drop(scrape);

        let (metrics, mut writer) = self::metrics();
        for at in 0..3000 {
            writer.apply_object(&map(at, 3));
        }
        let all = compressed(&metrics, format, &everything);
        assert!(
            own * 10 > all * 2 && own * 10 < all * 8,
            "{own} of {all} blocks"
        );
    }
}

#[test]
fn a_refresh_after_the_first_scrape_compresses_nothing() {
    let (metrics, mut writer) = metrics();
    for at in 0..1000 {
        writer.apply_object(&map(at, 3));
    }
    gzip(&metrics, Format::Text, &ExpositionFilter::default());
    writer.apply_object(&map(1, 5));
    let before = metrics.gzip_cache_bytes();
    metrics.refresh_gzip_cache();
    assert_eq!(metrics.gzip_cache_bytes(), before);
}

/// Returns how many blocks an exposition had to compress, because they were not in the cache.
fn compressed(metrics: &StateMetrics, format: Format, filter: &ExpositionFilter) -> usize {
    let exposition = metrics.exposition(format, filter.clone());
    let mut chunks = GzipChunks::scrape(exposition);
    chunks.by_ref().for_each(drop);
    chunks.compressed
}

#[test]
fn an_unchanged_exposition_compresses_nothing_again() {
    let (metrics, mut writer) = metrics();
    for at in 0..2000 {
        writer.apply_object(&map(at, 3));
    }
    let everything = ExpositionFilter::default();
    assert!(compressed(&metrics, Format::Text, &everything) > 4);
    assert_eq!(compressed(&metrics, Format::Text, &everything), 0);
    writer.apply_object(&map(1000, 4));
    let again = compressed(&metrics, Format::Text, &everything);
    assert!((1..3).contains(&again), "{again}");
}

#[test]
fn appended_metrics_are_one_more_block_and_the_cached_ones_stay() {
    let (metrics, mut writer) = metrics();
    for at in 0..2000 {
        writer.apply_object(&map(at, 3));
    }
    // These numbers have no pattern and compress badly. So the block with these samples is larger than a chunk.
    let numbers = (0..20_000_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let long: String = numbers
        .map(|number| format!("host{{n=\"{number}\"}} 1\n"))
        .collect();
    let short = String::from("# HELP host_total Host.\n# TYPE host_total counter\nhost_total 1\n");
    for format in [Format::Text, Format::OpenMetrics] {
        for text in [&short, &long] {
            let exposition = || {
                let exposition = metrics.exposition(format, ExpositionFilter::default());
                exposition.append(HostMetrics::text(text.clone()))
            };
            GzipChunks::scrape(exposition()).for_each(drop);
            let mut chunks = GzipChunks::scrape(exposition());
            let compressed = chunks.by_ref().collect::<Vec<_>>().concat();
            assert_eq!(chunks.compressed, 1);
            let mut plain = String::new();
            let mut reader = GzDecoder::new(&compressed[..]);
            reader.read_to_string(&mut plain).unwrap();
            assert_eq!(reader.into_inner().len(), 0, "more than one member");
            assert!(plain == exposition().to_string());
        }
    }
}

#[test]
fn scrapes_of_other_formats_and_of_less_do_not_cost_each_other_their_blocks() {
    let (metrics, mut writer) = metrics();
    for at in 0..2000 {
        writer.apply_object(&map(at, at % 5));
    }
    let scrapes = [
        (Format::Text, ExpositionFilter::default()),
        (Format::OpenMetrics, ExpositionFilter::default()),
        (Format::Text, ExpositionFilter::default().families(["wide"])),
        (
            Format::Text,
            ExpositionFilter::default().families(["kube_configmap_*"]),
        ),
    ];
    for round in 0..4 {
        for (format, filter) in &scrapes {
            let again = compressed(&metrics, *format, filter);
            // In OpenMetrics, the end of an exposition is a separate block, which is not cached.
            let end = usize::from(*format == Format::OpenMetrics);
            assert!(
                round == 0 || again == end,
                "{round} {format:?} {filter:?} {again}"
            );
        }
    }
}

#[test]
fn blocks_of_older_states_go_whatever_is_asked_for() {
    for filter in [
        ExpositionFilter::default(),
        ExpositionFilter::default().resources(["configmaps"]),
        ExpositionFilter::default().families(["wide"]),
    ] {
        let (metrics, mut writer) = metrics();
        let mut held = None;
        for round in 0..40 {
            for at in 0..2000 {
                writer.apply_object(&map(at, 3 + round % 2));
            }
            gzip(&metrics, Format::Text, &filter);
            let bytes = metrics.gzip_cache_bytes();
            let held = *held.get_or_insert(bytes);
            // If all rows grow, a block no longer contains the same rows as before. The cache evicts the old blocks
            // only after a few more scrapes.
            assert!(held > 0 && bytes < held * 3, "{bytes} {held}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Apply(u64, u64),
    Delete(u64),
    /// A complete list: the index of the first object, and the number of objects.
    List(u64, u64),
    Scrape(Format),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Most rows have few samples, so that a block contains several rows. Some rows have so many samples that one row
    // fills a block.
    let samples = || prop_oneof![20 => 0..6_u64, 1 => 500..4_000_u64];
    let format = prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)];
    let step = prop_oneof![
        20 => (0..600_u64, samples()).prop_map(|(at, samples)| Step::Apply(at, samples)),
        4 => (0..600_u64).prop_map(Step::Delete),
        2 => (0..300_u64, 0..600_u64).prop_map(|(from, count)| Step::List(from, count)),
        3 => format.prop_map(Step::Scrape),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compressed_equals_plain_after_any_changes(steps in steps()) {
        let (metrics, mut writer) = metrics();
        let everything = ExpositionFilter::default();
        let last = [Step::Scrape(Format::Text), Step::Scrape(Format::OpenMetrics)];
        for step in steps.into_iter().chain(last) {
            match step {
                Step::Apply(at, samples) => writer.apply_object(&map(at, samples)),
                Step::Delete(at) => writer.delete_object(&map(at, 0)),
                Step::List(from, count) => {
                    writer.begin_list();
                    (from..from + count).for_each(|at| writer.apply_object(&map(at, at % 4)));
                    writer.end_list();
                }
                Step::Scrape(format) => {
                    let plain = metrics.exposition(format, everything.clone()).to_string();
                    prop_assert!(gzip(&metrics, format, &everything).1 == plain);
                }
            }
        }
    }
}

#[test]
fn a_relabelled_namespace_compresses_only_the_blocks_of_its_rows() {
    use crate::registry::Join;

    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .allow_metrics(["^kube_configmap_info$"])
        .join_label("*", Join::namespace_label("team"))
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut maps = metrics.feed().unwrap();
    for namespace in ["a", "b"] {
        for at in 0..5_000 {
            maps.apply_object(&in_namespace(namespace, at, 0));
        }
    }
    let mut namespaces = metrics.feeds_of(BuiltIn::Namespaces).unwrap().remove(0);
    let mut label = |namespace: &str, team: &str| {
        let metadata = json!({ "name": namespace, "labels": { "team": team, "other": team } });
        let namespace = json!({ "metadata": metadata });
        namespaces
            .apply_json(namespace.to_string().as_bytes())
            .unwrap();
    };
    label("a", "x");
    let all = ExpositionFilter::default();
    let whole = compressed(&metrics, Format::Text, &all);
    label("a", "x");
    label("c", "x");
    assert_eq!(compressed(&metrics, Format::Text, &all), 0);
    label("a", "y");
    let half = compressed(&metrics, Format::Text, &all);
    assert!(half > 0 && half <= whole / 2 + 1, "{half} of {whole}");
    let plain = metrics.exposition(Format::Text, all.clone()).to_string();
    assert_eq!(plain.matches("team=\"y\"").count(), 5_000);
    assert!(gzip(&metrics, Format::Text, &all).1 == plain);
}
