//! Tests the search for repeated series: the result must be the same as from a search in the text of all lines, and
//! each step must be short.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Range;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;

use super::work::Work;
use super::*;
use crate::exposition::family_rows::FamilyRows;
use crate::exposition::plan_family::PlanFamily;
use crate::exposition::{Exposition, ExpositionFilter, Format};
use crate::store::Writer;
use crate::{Collector, Family, StateMetrics};

/// A hasher with only 61 different hashes, so that different series often have the same hash.
#[derive(Default)]
struct FewHashes(u64);

impl Hasher for FewHashes {
    fn write(&mut self, bytes: &[u8]) {
        let sum = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        self.0 = (self.0 + sum) % 61;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns two collectors that declare the same family. The family has a sample for each annotation of an object. The
/// value of the label `key` is the key of the annotation. The text of the other labels depends on the name of the
/// object, but all texts mean the same labels.
fn metrics() -> (StateMetrics, Writer<ConfigMap>, Writer<Lease>) {
    fn write(metadata: &ObjectMeta, s: &mut crate::family::Samples<'_>) {
        let name = metadata.name.iter().flat_map(|name| name.bytes());
        let name = name.map(u64::from).sum::<u64>();
        for (key, value) in metadata.annotations.iter().flatten() {
            let sample = match name % 4 {
                0 => s.label("key", key).label("a", "=\"\"}"),
                1 => s.label("a", "=\"\"}").label("key", key),
                2 => (s.label("b", "").label("key", key)).label("a", "=\"\"}"),
                _ => (s.label("a", "=\"\"}").label("key", key)).label("z", ""),
            };
            sample.value(value.len() as f64);
        }
    }
    let maps = Family::gauge("seen", "Annotations.")
        .generate(|map: &ConfigMap, s| write(&map.metadata, s));
    let leases = Family::gauge("seen", "Annotations.")
        .generate(|lease: &Lease, s| write(&lease.metadata, s));
    let metrics = StateMetrics::builder()
        .collector(Collector::new().no_base_labels().family(maps))
        .collector(Collector::new().no_base_labels().family(leases))
        .all_fed_by_host()
        .build()
        .unwrap();
    let (maps, leases) = (metrics.feed().unwrap(), metrics.feed().unwrap());
    (metrics, maps, leases)
}

fn metadata(name: u32, keys: impl IntoIterator<Item = u32>) -> ObjectMeta {
    let keys = keys.into_iter();
    let annotations = keys.map(|key| (format!("key {key}"), "x".repeat(key as usize % 3)));
    ObjectMeta {
        name: Some(format!("o{name}")),
        namespace: Some(format!("n{}", name % 3)),
        annotations: Some(annotations.collect::<BTreeMap<_, _>>()),
        ..Default::default()
    }
}

fn map(name: u32, keys: impl IntoIterator<Item = u32>) -> ConfigMap {
    ConfigMap {
        metadata: metadata(name, keys),
        ..Default::default()
    }
}

fn lease(name: u32, keys: impl IntoIterator<Item = u32>) -> Lease {
    Lease {
        metadata: metadata(name, keys),
        ..Default::default()
    }
}

fn exposition(metrics: &StateMetrics) -> Exposition {
    metrics.exposition(Format::Text, ExpositionFilter::default())
}

fn family(exposition: &Exposition) -> &PlanFamily {
    let mut families = exposition.plan().families().iter();
    families
        .find(|family| family.metadata().name() == "seen")
        .unwrap()
}

/// Returns the text of the exposition, built from single samples.
fn sample_by_sample(exposition: &Exposition) -> String {
    let families = exposition.families().map(|family| {
        let samples = family.samples().map(|sample| format!("{sample}\n"));
        family.header().to_owned() + &samples.collect::<String>()
    });
    families.collect()
}

/// Finds the repeated samples with a set of the labels of all lines. Labels with empty values are left out. Also
/// returns the number of samples.
fn in_text(exposition: &Exposition) -> (Vec<usize>, usize) {
    let (mut seen, mut repeated, mut number) = (HashSet::new(), Vec::new(), 0);
    for column in family(exposition).columns() {
        for rows in FamilyRows::all(column, exposition.snapshots()) {
            for row in 0..rows.len() {
                for line in rows.sample_lines(row) {
                    let labels = line.labels().filter(|(_, value)| !value.is_empty());
                    let labels = labels.map(|(name, value)| (name, value.into_owned()));
                    if !seen.insert(labels.collect::<BTreeMap<_, _>>()) {
                        repeated.push(number);
                    }
                    number += 1;
                }
            }
        }
    }
    (repeated, number)
}

/// Finds the repeated samples with a search in steps. Also returns the number of steps, and the maximum number of
/// hashes for which memory was reserved.
fn in_steps(hasher: impl BuildHasher, exposition: &Exposition) -> (RepeatedSamples, usize, usize) {
    let (columns, snapshots) = (family(exposition).columns(), exposition.snapshots());
    let mut search = RepeatSearch::with_hasher(hasher, columns, snapshots, None);
    let (mut steps, mut reserved) = (0, 0);
    loop {
        steps += 1;
        let found = search.step(columns, snapshots, None);
        reserved = reserved.max(search.reserved_hashes());
        if let Some(repeated) = found {
            return (repeated, steps, reserved);
        }
    }
}

fn numbers(repeated: &RepeatedSamples, samples: usize) -> Vec<usize> {
    let numbers = (0..samples + 64).filter(|number| repeated.contains(*number));
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(
        (repeated.len(), repeated.is_empty()),
        (numbers.len(), numbers.is_empty())
    );
    numbers
}

/// Makes all steps of a reader. Returns the repeated samples, and the number of steps that did not complete the search.
fn read(family: &PlanFamily, reader: &mut RepeatsReader) -> (Arc<RepeatedSamples>, usize) {
    let mut pauses = 0;
    loop {
        match family.step_repeats(reader, || None) {
            ReadStep::Known(found) | ReadStep::Found(found) => return (found, pauses),
            ReadStep::Pause => pauses += 1,
        }
    }
}

/// Returns the text of an exposition that was compressed and decompressed.
#[cfg(feature = "gzip")]
fn unzipped(exposition: Exposition) -> String {
    use std::io::Read;

    let gzip: Vec<u8> = exposition
        .encoded(crate::exposition::Encoding::Gzip)
        .flatten()
        .collect();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*gzip)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn is_searching(family: &PlanFamily, reader: &mut RepeatsReader) -> bool {
    matches!(family.step_repeats(reader, || None), ReadStep::Pause)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_search_in_steps_finds_the_same_samples_as_a_search_in_the_text(
        // Half of the objects have keys from a small range, so that several objects have the same keys.
        objects in prop::collection::vec(
            (any::<bool>(), 0..500_u32, prop_oneof![0..40_u32, 0..50_000_u32], 0..20_u32), 0..60,
        ),
    ) {
        let (metrics, mut maps, mut leases) = metrics();
        for (is_map, name, first, count) in objects {
            match is_map {
                true => maps.apply_object(&map(name, first..first + count)),
                false => leases.apply_object(&lease(name, first..first + count)),
            }
        }
        let exposition = exposition(&metrics);
        let (expected, samples) = in_text(&exposition);
        let (repeated, ..) = in_steps(RandomState::new(), &exposition);
        prop_assert_eq!(&numbers(&repeated, samples), &expected);
        let hasher = BuildHasherDefault::<FewHashes>::default();
        let (repeated, ..) = in_steps(hasher, &exposition);
        prop_assert_eq!(&numbers(&repeated, samples), &expected);
        let repeated = family(&exposition).repeated_samples(exposition.snapshots(), || None);
        prop_assert_eq!(&numbers(&repeated, samples), &expected);
        for namespace in [None, Some("n0"), Some("n1"), Some("none")] {
            let filter = ExpositionFilter::default();
            let filter = namespace.map_or(filter.clone(), |own| filter.namespaces([own]));
            let exposition = metrics.exposition(Format::Text, filter);
            prop_assert_eq!(exposition.to_string(), sample_by_sample(&exposition));
        }
    }

    #[test]
    fn a_filtered_answer_is_the_answer_of_a_store_with_only_the_included_objects(
        objects in prop::collection::vec((any::<bool>(), 0..60_u32, 0..40_u32, 0..20_u32), 0..60),
        namespaces in prop::option::of(prop::collection::btree_set(0..4_u32, 0..3)),
        resource in prop::option::of(any::<bool>()),
    ) {
        let (all, mut maps, mut leases) = metrics();
        let (some, mut some_maps, mut some_leases) = metrics();
        for (is_map, name, first, count) in objects {
            let is_included = (namespaces.as_ref()).is_none_or(|names| names.contains(&(name % 3)))
                && resource.is_none_or(|maps| maps == is_map);
            let (map, lease) = (map(name, first..first + count), lease(name, first..first + count));
            match is_map {
                true => maps.apply_object(&map),
                false => leases.apply_object(&lease),
            }
            match is_map {
                true if is_included => some_maps.apply_object(&map),
                false if is_included => some_leases.apply_object(&lease),
                _ => {}
            }
        }
        let mut filter = ExpositionFilter::default();
        if let Some(names) = &namespaces {
            filter = filter.namespaces(names.iter().map(|name| format!("n{name}")));
        }
        if let Some(is_map) = resource {
            filter = filter.resources([if is_map { "configmaps" } else { "leases" }]);
        }
        for format in Format::ALL {
            let filtered = all.exposition(*format, filter.clone());
            let expected = some.exposition(*format, ExpositionFilter::default());
            prop_assert_eq!(filtered.to_string(), expected.to_string());
            prop_assert_eq!(sample_by_sample(&filtered), sample_by_sample(&expected));
            let repeated = |exposition: &Exposition| exposition.families().map(|f| f.repeated()).sum::<usize>();
            prop_assert_eq!(repeated(&filtered), repeated(&expected));
            #[cfg(feature = "gzip")]
            {
                // The cache has the blocks of the unfiltered text before and after the filtered text.
                let unfiltered = || all.exposition(*format, ExpositionFilter::default());
                prop_assert_eq!(unzipped(unfiltered()), unfiltered().to_string());
                prop_assert_eq!(unzipped(filtered), expected.to_string());
                prop_assert_eq!(unzipped(unfiltered()), unfiltered().to_string());
            }
        }
    }
}

#[test]
fn a_family_with_repeated_series_is_written_in_chunks() {
    let (metrics, mut maps, mut leases) = metrics();
    // Some rows are so large that they are written in several parts. In the last rows, all series are repeated.
    let first_keys = (0..40).map(|at| 100 * at);
    for (at, first) in first_keys.clone().chain([0, 40_000, 3_900]).enumerate() {
        let count = if at % 10 == 9 { 9_000 } else { 150 };
        maps.apply_object(&map(at as u32, first..first + count));
    }
    for (at, first) in first_keys.enumerate() {
        leases.apply_object(&lease(at as u32, first..first + 90));
    }
    for (filter, at_least) in [
        (ExpositionFilter::default(), 30_000),
        (ExpositionFilter::default().namespaces(["n0", "n1"]), 15_000),
        (ExpositionFilter::default().resources(["configmaps"]), 9_000),
    ] {
        let exposition = metrics.exposition(Format::Text, filter);
        let repeated = exposition.repeated_samples(family(&exposition));
        assert!(repeated.len() > at_least, "{}", repeated.len());
        let chunks: Vec<_> = exposition.clone().chunks().collect();
        let longest = chunks.iter().map(|chunk| chunk.len()).max().unwrap();
        assert!(chunks.len() > 3 && longest <= 256 * 1024, "{longest}");
        let text = String::from_utf8(chunks.concat()).unwrap();
        assert_eq!(text, sample_by_sample(&exposition));
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let labels = series.map(|line| line.rsplit_once(' ').unwrap().0);
        assert_eq!(labels.clone().count(), labels.collect::<HashSet<_>>().len());
    }
}

#[test]
fn only_a_filter_in_a_family_with_repeated_series_needs_a_second_search() {
    let (metrics, mut maps, _) = metrics();
    maps.apply_object(&map(0, 0..9));
    let needs_second = |filter: ExpositionFilter| {
        let exposition = metrics.exposition(Format::Text, filter);
        let family = family(&exposition);
        let mut reader = family.read_repeats(exposition.snapshots());
        while let ReadStep::Pause =
            family.step_repeats(&mut reader, || exposition.selection(family))
        {}
        reader.has_selection()
    };
    let everything = ExpositionFilter::default;
    assert!(!needs_second(everything()));
    assert!(!needs_second(everything().namespaces(["n0"])));
    maps.apply_object(&map(1, 8..12));
    assert!(!needs_second(everything()));
    assert!(!needs_second(everything().families(["seen"])));
    assert!(!needs_second(everything().exclude_resources(["pods"])));
    assert!(needs_second(everything().namespaces(["n0"])));
    assert!(needs_second(everything().exclude_resources(["leases"])));
    // The number of repeated samples in the own metrics does not depend on filters.
    #[cfg(feature = "prometheus")]
    assert_eq!(family(&exposition(&metrics)).last_repeats(), 1);
}

#[test]
fn steps_and_memory_are_bounded_also_inside_an_object_and_with_equal_series() {
    type Keys = fn(u32) -> Range<u32>;
    let distinct = |at: u32| 10_000 * at..10_000 * (at + 1);
    let pairs = |at: u32| 10_000 * (at / 2)..10_000 * (at / 2 + 1);
    let equal = |_: u32| 0..10_000;
    let few = |at: u32| at % 7..at % 7 + 3;
    let cases: [(Keys, u32); 4] = [(distinct, 6), (pairs, 6), (equal, 6), (few, 9_000)];
    for (keys, objects) in cases {
        let (metrics, mut maps, _) = metrics();
        for at in 0..objects {
            maps.apply_object(&map(at, keys(at)));
        }
        let exposition = exposition(&metrics);
        let (expected, samples) = in_text(&exposition);
        let (repeated, steps, reserved) = in_steps(RandomState::new(), &exposition);
        assert_eq!(numbers(&repeated, samples), expected);
        // A step does a limited amount of work, so the search needs at least this number of steps for the text.
        let text = exposition.to_string().len();
        let work = text + Work::SAMPLE * samples;
        assert!(steps >= work / (2 * Work::STEP), "{steps} {work}");
        // Each sample has at most three labels.
        let work = work + 3 * Work::SORTED_LABEL * samples;
        assert!(steps <= 8 * (1 + work / Work::STEP), "{steps} {work}");
        assert!(
            reserved <= samples + samples / 4 + 200,
            "{reserved} {samples}"
        );
    }
}

#[test]
fn readers_share_one_search_and_its_result_is_kept_until_a_column_changes() {
    let (metrics, mut maps, _) = metrics();
    for at in 0..3 {
        maps.apply_object(&map(at, 1..9_000));
    }
    let old = exposition(&metrics);
    let family = family(&old);
    let reader = |exposition: &Exposition| family.read_repeats(exposition.snapshots());
    let (alone, steps) = read(family, &mut reader(&old));
    assert_eq!(alone.len(), 2 * 8_999);
    assert!(steps > 10, "{steps}");
    let (again, steps_again) = read(family, &mut reader(&old));
    assert_eq!(steps_again, 0);
    assert!(Arc::ptr_eq(&alone, &again));

    maps.apply_object(&map(0, 1..9_001));
    let new = exposition(&metrics);
    let (mut first, mut second) = (reader(&new), reader(&new));
    for _ in 0..steps / 2 {
        assert!(is_searching(family, &mut first));
    }
    let (found, rest) = read(family, &mut second);
    assert!(rest < steps * 2 / 3, "{rest} of {steps}");
    let (shared, rest) = read(family, &mut first);
    assert_eq!(rest, 0);
    assert!(Arc::ptr_eq(&found, &shared));
    assert_eq!(found.len(), 2 * 8_999);
}

#[test]
fn readers_of_different_states_search_one_after_the_other() {
    let (metrics, mut maps, _) = metrics();
    let mut expositions = Vec::new();
    for at in 0..4 {
        maps.apply_object(&map(at, 0..4_000));
        expositions.push(exposition(&metrics));
    }
    let family = family(&expositions[0]);
    let readers = expositions.iter();
    let mut readers: Vec<_> = readers
        .map(|exposition| (family.read_repeats(exposition.snapshots()), None))
        .collect();
    while readers.iter().any(|(_, found)| found.is_none()) {
        for (reader, found) in readers.iter_mut().filter(|(_, found)| found.is_none()) {
            if let ReadStep::Known(samples) | ReadStep::Found(samples) =
                family.step_repeats(reader, || None)
            {
                *found = Some(samples.len());
            }
        }
    }
    let found: Vec<_> = readers
        .into_iter()
        .map(|(_, found)| found.unwrap())
        .collect();
    assert_eq!(found, [0, 4_000, 8_000, 12_000]);
}

#[test]
fn a_search_ends_when_its_readers_leave() {
    let (metrics, mut maps, _) = metrics();
    maps.apply_object(&map(0, 0..9_000));
    maps.apply_object(&map(1, 0..9_000));
    let old = exposition(&metrics);
    let family = family(&old);
    let mut left = family.read_repeats(old.snapshots());
    assert!(is_searching(family, &mut left));
    let search = Arc::downgrade(left.search.as_ref().unwrap());
    maps.apply_object(&map(1, 0..10));
    let new = exposition(&metrics);
    let mut waiting = family.read_repeats(new.snapshots());
    assert!(is_searching(family, &mut waiting));
    assert_eq!(search.strong_count(), 2, "a reader of another state helps");
    drop(waiting);
    drop(left);
    assert_eq!(search.strong_count(), 0);
    let (found, _) = read(family, &mut family.read_repeats(new.snapshots()));
    assert_eq!(found.len(), 10);
}

/// Returns the number of pauses before the first chunk.
#[cfg(feature = "custom-resources")]
fn pauses(exposition: Exposition) -> usize {
    use crate::exposition::step::Step;

    let mut chunks = exposition.chunks();
    let mut pauses = 0;
    while let Step::Pause = chunks.step() {
        pauses += 1;
    }
    pauses
}

/// Adds the families of a configuration to a registry of widgets. Returns the registry and the writer of the widgets.
#[cfg(feature = "custom-resources")]
fn with_widgets(
    builder: crate::registry::Builder,
    config: &str,
) -> (StateMetrics, Box<dyn crate::store::ObjectWriter>) {
    use crate::custom_resources::{Config, KnownKind};
    use crate::resource::Scope;

    let widget = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    let metrics = builder
        .custom_resources(&Config::parse(config).unwrap())
        .known_kinds([widget.clone()])
        .all_fed_by_host()
        .build()
        .unwrap();
    let writer = metrics.feeds_of(widget.resource()).unwrap().remove(0);
    (metrics, writer)
}

#[cfg(feature = "custom-resources")]
#[test]
fn an_exposition_of_a_configured_family_pauses_while_it_searches() {
    use serde_json::json;

    let config = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: size, each: { type: Gauge, gauge: { path: [spec, sizes], labelFromKey: key } } }
";
    let (metrics, mut writer) = with_widgets(StateMetrics::builder(), config);
    let mut apply = |name: u32, size: u32| {
        let sizes = (0..10_000).map(|at| (format!("k{at}"), json!(size)));
        let sizes: serde_json::Map<_, _> = sizes.collect();
        let metadata = json!({ "namespace": "n", "name": format!("w{name}") });
        let object = json!({ "metadata": metadata, "spec": { "sizes": sizes } });
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    };
    (0..3).for_each(|name| apply(name, 1));
    let searched = pauses(exposition(&metrics));
    assert!(searched > 30, "{searched}");
    assert_eq!(pauses(exposition(&metrics)), 0, "the result is kept");
    apply(1, 2);
    assert!(pauses(exposition(&metrics)) > 30);
    let text = exposition(&metrics).to_string();
    assert_eq!(
        text.lines().filter(|line| !line.starts_with('#')).count(),
        30_000
    );
}

#[cfg(feature = "custom-resources")]
#[test]
fn an_empty_label_after_constant_labels_does_not_make_another_series() {
    use serde_json::json;

    let config = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metrics:
    - name: size
      each: { type: Gauge, gauge: { path: [spec], valueFrom: [size], labelsFromPath: { a: [a], n: [n] } } }
";
    // The constant labels come first, and are not sorted.
    let builder = StateMetrics::builder();
    let builder = builder.constant_label("zone", "z").constant_label("b", "");
    let (metrics, mut writer) = with_widgets(builder, config);
    for (size, labels) in [
        (1, json!({ "n": "x" })),
        (2, json!({ "n": "x", "a": "" })),
        (3, json!({ "n": "", "a": "x" })),
        (4, json!({ "a": "x" })),
        (5, json!({ "a": "" })),
        (6, json!({})),
    ] {
        let mut spec = labels;
        spec["size"] = json!(size);
        let metadata = json!({ "namespace": "n", "name": format!("w{size}") });
        let object = json!({ "metadata": metadata, "spec": spec });
        writer.apply_json(object.to_string().as_bytes()).unwrap();
    }
    let exposition = exposition(&metrics);
    let sizes: Vec<_> = exposition.samples().map(|sample| sample.value()).collect();
    assert_eq!(sizes, [1.0, 3.0, 5.0]);
    assert_eq!(exposition.to_string(), sample_by_sample(&exposition));
}
