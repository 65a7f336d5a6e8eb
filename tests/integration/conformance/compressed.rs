//! Tests compressed expositions with several decompressors. Also tests compressed expositions while the store changes
//! continuously.

use std::io::Read as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_state_metrics::exposition::{Encoding, ExpositionFilter, Format};
use kube_state_metrics::store::Writer;
use kube_state_metrics::{Collector, Family, StateMetrics};
use serde_json::json;

use crate::support::exposition::{ReadFamily, read};
use crate::support::tools::{Directory, run, tool};

/// A Go program that reads one gzip member, as Prometheus does. The program fails if data follows after the member.
const GO: &str = r#"package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"log"
	"os"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	member, err := gzip.NewReader(in)
	if err != nil {
		log.Fatal(err)
	}
	member.Multistream(false)
	if _, err := io.Copy(os.Stdout, member); err != nil {
		log.Fatal(err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		log.Fatal("something follows the member")
	}
}
"#;

const PYTHON: &str =
    "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";

/// Returns a registry with two families of config maps. Both families show `metadata.generation`, so their values must
/// be equal in every exposition.
fn metrics() -> (StateMetrics, Writer<ConfigMap>) {
    let generation = |map: &ConfigMap| map.metadata.generation.unwrap_or(0);
    let family = |name: &'static str| {
        Family::gauge(name, "The generation of the map.").generate(
            move |map: &ConfigMap, samples: &mut kube_state_metrics::family::Samples<'_>| {
                samples.label("of", name).value(generation(map));
            },
        )
    };
    let families = [family("first_generation"), family("second_generation")];
    let metrics = StateMetrics::builder()
        .collector(Collector::<ConfigMap>::new().families(families))
        .all_fed_by_host()
        .build()
        .unwrap();
    let writer = metrics.feed().unwrap();
    (metrics, writer)
}

fn map(at: usize, generation: u64) -> ConfigMap {
    let metadata =
        json!({ "namespace": "n", "name": format!("map-{at:05}"), "generation": generation });
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}

fn bytes(metrics: &StateMetrics, format: Format, encoding: Encoding) -> Vec<u8> {
    let exposition = metrics.exposition(format, ExpositionFilter::default());
    exposition.encoded(encoding).collect::<Vec<_>>().concat()
}

/// Returns the text of one gzip member. Panics if data follows after the member.
fn member(compressed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader = GzDecoder::new(compressed);
    reader.read_to_end(&mut text).unwrap();
    assert!(reader.into_inner().is_empty(), "more than one member");
    text
}

#[test]
fn every_reader_takes_a_compressed_exposition() {
    let (metrics, mut writer) = metrics();
    // The exposition has about twelve compressed blocks. For generation 2, only the blocks with changed samples are
    // compressed again.
    for generation in [1, 2] {
        for at in (0..6_000).step_by(if generation == 1 { 1 } else { 100 }) {
            writer.apply_object(&map(at, generation));
        }
        bytes(&metrics, Format::Text, Encoding::Gzip);
    }
    let directory = Directory::new("compressed");
    let source = directory.path().join("read.go");
    std::fs::write(&source, GO).unwrap();
    let run_go = |mut go: Command| {
        go.args(["run", source.to_str().unwrap()]);
        go
    };
    let arguments = |arguments: &'static [&'static str]| {
        move |mut command: Command| {
            command.args(arguments);
            command
        }
    };
    let readers = [
        tool("gzip", &["--version"], "gzip").map(arguments(&["-dc"])),
        tool("python3", &["--version"], "python3").map(arguments(&["-c", PYTHON])),
        tool("go", &["version"], "go").map(run_go),
    ];
    for format in [Format::Text, Format::OpenMetrics] {
        let plain = bytes(&metrics, format, Encoding::Identity);
        let compressed = bytes(&metrics, format, Encoding::Gzip);
        assert!(member(&compressed) == plain, "flate2, {format:?}");
        assert!(compressed.len() * 10 < plain.len());
    }
    let plain = bytes(&metrics, Format::Text, Encoding::Identity);
    let compressed = bytes(&metrics, Format::Text, Encoding::Gzip);
    for mut reader in readers.into_iter().flatten() {
        let output = run(&mut reader, &compressed);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{reader:?}: {errors}");
        assert!(output.stdout == plain, "{reader:?}: not the same text");
    }
}

#[test]
fn a_store_that_never_rests_is_always_read_at_one_moment() {
    const MAPS: usize = 600;
    const EXPOSITIONS: usize = 60;
    let (metrics, mut writer) = metrics();
    (0..MAPS).for_each(|at| writer.apply_object(&map(at, 1)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // One config map after another gets the next generation. Sometimes a list changes all config maps at once.
            let mut generation = 2;
            while !done.load(Ordering::Relaxed) {
                let list = generation % 5 == 0;
                if list {
                    writer.begin_list();
                }
                (0..MAPS).for_each(|at| writer.apply_object(&map(at, generation)));
                if list {
                    writer.end_list();
                }
                generation += 1;
            }
        });
        // When this value is dropped, the writer stops. Therefore, the writer also stops if an assertion fails.
        let _end = Ending(&done);
        let (mut last, mut moved) = (0, 0);
        for at in 0..EXPOSITIONS {
            let format = [Format::Text, Format::OpenMetrics][at / 2 % 2];
            let text = match at % 2 {
                0 => bytes(&metrics, format, Encoding::Identity),
                _ => member(&bytes(&metrics, format, Encoding::Gzip)),
            };
            let families = read(&text, format).unwrap();
            let [first, second] = &*families else {
                panic!("{} families", families.len());
            };
            let (first, second) = (generations(first), generations(second));
            assert_eq!(first.len(), MAPS);
            assert!(first == second, "families of different moments");
            // The writer changes the config maps in order, so the first config maps can be one generation ahead of the
            // other config maps.
            assert!(
                first.is_sorted_by(|a, b| a >= b),
                "values of different moments: {first:?}"
            );
            let (newest, oldest) = (first[0], first[MAPS - 1]);
            assert!(newest - oldest <= 1, "{oldest} to {newest}");
            assert!(
                oldest >= last,
                "the generation went back from {last} to {oldest}"
            );
            moved += usize::from(oldest > last);
            last = oldest;
        }
        assert!(moved > 2, "nothing changed meanwhile");
    });
}

/// Sets the flag when this value is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns the values of a family, in the order of its samples.
fn generations(family: &ReadFamily) -> Vec<u64> {
    let values = family.samples.iter().map(|sample| sample.value as u64);
    values.collect()
}
