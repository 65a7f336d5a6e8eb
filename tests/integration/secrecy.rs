//! Tests that the content of secrets and config maps does not stay in memory, and does not appear in logs or errors.
//!
//! The tests start this binary again as a child process. The allocator of the child process clears the memory that it
//! frees. The child process feeds objects that contain a marker (a text that occurs nowhere else), and drops the
//! inputs. Then the child process searches all its memory for the marker, through `/proc/self/mem`. Three other child
//! processes keep or print the marker on purpose. There, the tests must find the marker.

mod inputs;
mod memory;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families;
use kube_state_metrics::resource::CollectedResource;
use kube_state_metrics::source::manifests::ManifestSource;
use kube_state_metrics::store::ObjectWriter;
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};

use inputs::{documents, manifests};
use memory::{Form, clear_stack, search};

/// The environment variable with the scenario of a child process.
const SCENARIO: &str = "SECRECY_SCENARIO";

#[global_allocator]
static ALLOCATOR: Clearing = Clearing;

/// The allocator. In a child process, it clears memory before it frees the memory, so that the search finds only data
/// that is still in use.
struct Clearing;

/// Whether this process is a child. Only the allocator of a child clears memory.
static CLEARS: AtomicBool = AtomicBool::new(false);

// SAFETY: all memory comes from and goes back to the system's allocator, with the given layout.
unsafe impl GlobalAlloc for Clearing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller fulfils the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    // This impl does not define `realloc`. The default `realloc` calls `alloc` and `dealloc`, so that the old memory is
    // cleared.

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller returns memory of this size that it got from `alloc`.
        unsafe {
            if CLEARS.load(Ordering::Relaxed) {
                pointer.write_bytes(0, layout.size());
                // Without `black_box`, the compiler removes the write, because nothing reads the cleared memory.
                black_box(pointer);
            }
            System.dealloc(pointer, layout);
        }
    }
}

/// What a child process does with the marker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scenario {
    /// Only feeds objects that contain the marker.
    Feed,
    /// Keeps an object of the API type.
    KeepObject,
    /// Keeps the JSON of an object.
    KeepText,
    /// Logs an error of serde_json, which quotes values of the object.
    Log,
}

#[test]
fn contents_of_secrets_and_config_maps_are_not_kept() {
    let output = watched(Scenario::Feed);
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("found nothing"), "{said}");
    assert!(said.contains("cannot decode Secret shop/odd"), "{said}");
    assert!(said.contains("not valid YAML"), "{said}");
    assert_eq!(marks(&said), [], "{}", said.escape_debug());
}

#[test]
fn contents_that_are_kept_or_logged_are_found() {
    let object = said(&watched(Scenario::KeepObject));
    assert!(object.contains("found Plain"), "{object}");
    let text = said(&watched(Scenario::KeepText));
    assert!(text.contains("found Base64"), "{text}");
    assert_eq!(marks(&said(&watched(Scenario::Log))), [Form::Plain]);
}

/// Runs a child process. The child process also reads secrets from its standard input.
fn watched(scenario: Scenario) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "secrecy::the_watched_process",
            "--ignored",
            "--nocapture",
        ])
        .env(SCENARIO, format!("{scenario:?}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (_, text) in manifests()
        .iter()
        .filter(|(name, _)| name.ends_with(".yaml"))
    {
        stdin.write_all(text).unwrap();
        stdin.write_all(b"\n---\n").unwrap();
    }
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Returns all output of a process.
fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the forms of the marker that a text contains.
fn marks(text: &str) -> Vec<Form> {
    let forms = Form::ALL.into_iter();
    forms.filter(|form| form.is_in(text.as_bytes())).collect()
}

#[test]
#[ignore = "the other tests run it in a separate process"]
fn the_watched_process() {
    let Ok(scenario) = std::env::var(SCENARIO) else {
        // This process has no scenario, so it is not a child process. Here, the search would find the marker in the
        // memory of the other tests.
        return;
    };
    CLEARS.store(true, Ordering::Relaxed);
    let scenarios = [
        Scenario::Feed,
        Scenario::KeepObject,
        Scenario::KeepText,
        Scenario::Log,
    ];
    let mut scenarios = scenarios.into_iter();
    let known = scenarios.find(|own| format!("{own:?}") == scenario);
    let scenario = known.unwrap();

    let mut kept = Kept::default();
    feed_objects(&mut kept);
    feed_manifests(&mut kept);
    let stray = stray(scenario);
    for line in &kept.log {
        println!("{line}");
    }
    clear_stack();
    let found = search();
    for (form, place) in &found {
        println!("found {form:?} in {place}");
    }
    if found.is_empty() {
        println!("found nothing");
    }
    black_box((&kept, &stray));
    let expected = [Scenario::KeepObject, Scenario::KeepText].contains(&scenario);
    assert!(scenario == Scenario::Log || expected != found.is_empty());
}

/// The values that a long-running program keeps after it has fed objects.
#[derive(Default)]
struct Kept {
    metrics: Vec<StateMetrics>,
    writers: Vec<Vec<Box<dyn ObjectWriter>>>,
    feeds: Vec<kube_state_metrics::source::manifests::ManifestFeed>,
    expositions: Vec<Vec<u8>>,
    /// The texts of the errors, in all forms that a log could contain.
    log: BTreeSet<String>,
}

/// Returns three registries of secrets and config maps.
///
/// The first registry has no allowlists. The second registry has allowlists. The third registry has a family that may
/// read whole objects. If `by_host` is true, the host feeds the registries. Otherwise, manifests feed the registries.
fn registrations(by_host: bool) -> [StateMetrics; 3] {
    fn curious<K: CollectedResource>(collector: Collector<K>) -> Collector<K> {
        let curious = Family::gauge("curious", "Nothing, but it may read all of an object.");
        collector.family(curious.generate(|_, s| s.value(1)))
    }
    let empty = || match by_host {
        true => StateMetrics::builder().all_fed_by_host(),
        false => StateMetrics::builder(),
    };
    let builder = || empty().built_in([BuiltIn::Secrets, BuiltIn::ConfigMaps]);
    let plain = builder().build().unwrap();
    let allowing = builder()
        .allow_labels(BuiltIn::Secrets, ["*"])
        .allow_annotations(BuiltIn::Secrets, ["team"])
        .allow_annotations(BuiltIn::ConfigMaps, ["team"])
        .build()
        .unwrap();
    let whole = empty()
        .collector(curious(families::secrets()))
        .collector(curious(families::configmaps()))
        .build()
        .unwrap();
    [plain, allowing, whole]
}

fn feed_objects(kept: &mut Kept) {
    for metrics in registrations(true) {
        let mut writers = metrics.feeds();
        for mut bytes in documents() {
            for writer in &mut writers {
                writer.begin_list();
                let listed = writer.apply_json(&bytes);
                writer.end_list();
                let again = [
                    listed,
                    writer.apply_json(&bytes),
                    writer.delete_json(&bytes),
                ];
                let last = writer.apply_json(&bytes);
                for error in again.into_iter().chain([last]).filter_map(Result::err) {
                    note(&mut kept.log, &error);
                }
            }
            typed::<Secret>(&metrics, &bytes);
            typed::<ConfigMap>(&metrics, &bytes);
            wipe(&mut bytes);
        }
        look(&metrics, kept);
        kept.writers.push(writers);
        kept.metrics.push(metrics);
    }
}

/// Decodes an object to its API type without this crate, and passes it to the store.
fn typed<K: CollectedResource>(metrics: &StateMetrics, bytes: &[u8]) {
    if let Ok(object) = serde_json::from_slice::<K>(bytes) {
        let mut writer = metrics.feed::<K>().unwrap();
        writer.apply_object(&object);
        writer.delete_object(&object);
        writer.apply_object(&object);
    }
}

fn feed_manifests(kept: &mut Kept) {
    let directory = Directory::new();
    for (name, mut text) in manifests() {
        std::fs::write(directory.0.join(name), &text).unwrap();
        wipe(&mut text);
    }
    for metrics in registrations(false) {
        let mut feed = ManifestSource::new([&*directory.0, "-".as_ref()]).open(&metrics);
        for _ in 0..2 {
            let report = feed.reload();
            assert!(report.objects > 2 && !report.problems.is_empty());
            for problem in &report.problems {
                note(&mut kept.log, problem);
            }
        }
        look(&metrics, kept);
        kept.feeds.push(feed);
        kept.metrics.push(metrics);
    }
}

/// Creates an exposition in each of the two formats, and keeps the bytes of both expositions.
fn look(metrics: &StateMetrics, kept: &mut Kept) {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut bytes = Vec::new();
        let exposition = metrics.exposition(format, ExpositionFilter::default());
        exposition.write_to(&mut bytes).unwrap();
        assert!(memchr::memmem::find(&bytes, b"secret=\"good\"").is_some());
        kept.expositions.push(bytes);
    }
    let stores = metrics.stores();
    let stats: Vec<_> = (stores.iter())
        .map(|store| (store.resource(), store.stats()))
        .collect();
    kept.log.insert(format!("{metrics:?} {stats:?}"));
}

/// Writes an error in the forms that logs contain: the message, the messages of its sources, and the `Debug` form of
/// each error.
fn note(log: &mut BTreeSet<String>, error: &(dyn Error + 'static)) {
    log.insert(format!("{error} ({error:?})"));
    if let Some(source) = error.source() {
        note(log, source);
    }
}

/// Returns a value with the marker, which a careless program would keep or log.
fn stray(scenario: Scenario) -> Box<dyn std::any::Any> {
    let mut bytes = documents().swap_remove(0);
    let stray: Box<dyn std::any::Any> = match scenario {
        Scenario::Feed => Box::new(()),
        Scenario::KeepObject => Box::new(serde_json::from_slice::<Secret>(&bytes).unwrap()),
        Scenario::KeepText => Box::new(bytes.clone()),
        Scenario::Log => {
            let text = serde_json::to_string(&memory::plain()).unwrap();
            println!("{}", serde_json::from_str::<u8>(&text).unwrap_err());
            Box::new(())
        }
    };
    wipe(&mut bytes);
    stray
}

/// Overwrites an input of the test, so that the search does not find the input itself. If the search still finds the
/// marker, the crate has kept a copy.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

/// A directory. When this value is dropped, it deletes the directory.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ksm-secrecy-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
