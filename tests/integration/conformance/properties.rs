//! Tests with random objects. No object may cause a panic, and every scraper must accept the expositions.
//!
//! For each resource, a test checks several random sets of objects. The environment variable `PROPTEST_CASES` sets the
//! number of sets.

use std::cell::Cell;
use std::fmt;

use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::CatalogueEntry;
use kube_state_metrics::families::catalogue::catalogue;
use kube_state_metrics::registry::Builder;
use kube_state_metrics::store::ObjectWriter;
use kube_state_metrics::{BuiltIn, StateMetrics};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;

use super::shape::{Oddity, Shape};
use crate::support::exposition::{ReadFamily, ReadSample, read};

/// The default number of sets of objects per resource.
const CASES: u32 = 64;

/// The JSON of an object.
#[derive(Clone)]
struct Bytes {
    json: Vec<u8>,
    /// Whether the object must decode.
    regular: bool,
}

/// How the JSON of an object is written.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    /// Every character of every string is a `\u` escape.
    Escaped,
    /// Every field of every object occurs twice, with the same value.
    Repeated,
}

/// Feeds random sets of objects of a resource, and checks the exposition.
pub(crate) fn run(resource: BuiltIn) {
    let catalogue: Vec<_> = catalogue()
        .into_iter()
        .filter(|family| family.resource == resource)
        .collect();
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 4096,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let (regular, decoded) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&objects(resource), |objects| {
        let metrics = metrics(resource);
        let mut writers = metrics.feeds();
        let [writer] = writers.as_mut_slice() else {
            panic!("one resource has one writer");
        };
        for object in &objects {
            let applied = writer.apply_json(&object.json);
            regular.set(regular.get() + u32::from(object.regular));
            decoded.set(decoded.get() + u32::from(object.regular && applied.is_ok()));
        }
        check(&metrics, &catalogue).map_err(TestCaseError::fail)?;
        forget_all(&mut **writer);
        prop_assert_eq!(bytes(&metrics, Format::Text), b"");
        prop_assert_eq!(bytes(&metrics, Format::OpenMetrics), b"# EOF\n");
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (regular, decoded) = (regular.get(), decoded.get());
    assert!(
        decoded * 2 > regular,
        "only {decoded} of {regular} regular objects decode"
    );
}

pub(super) fn metrics(resource: BuiltIn) -> StateMetrics {
    builder(resource).build().unwrap()
}

/// Returns a builder with all families of a resource, and with all labels and annotations.
pub(super) fn builder(resource: BuiltIn) -> Builder {
    StateMetrics::builder()
        .built_in([resource])
        .opt_in_metrics([".*"])
        .allow_labels(resource, ["*"])
        .allow_annotations(resource, ["*"])
        .all_fed_by_host()
}

/// Applies a complete list without objects, so that the store becomes empty.
pub(super) fn forget_all(writer: &mut dyn ObjectWriter) {
    writer.begin_list();
    writer.end_list();
}

pub(super) fn bytes(metrics: &StateMetrics, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    metrics
        .exposition(format, ExpositionFilter::default())
        .write_to(&mut bytes)
        .unwrap();
    bytes
}

/// Reads the exposition in both formats. Compares each format with the catalogue, and both formats with each other.
pub(super) fn check(metrics: &StateMetrics, catalogue: &[CatalogueEntry]) -> Result<(), String> {
    let text = bytes(metrics, Format::Text);
    if text != bytes(metrics, Format::Text) {
        return Err("a second exposition of the same state differs".into());
    }
    let families = read(&text, Format::Text)?;
    let mut rest = catalogue.iter();
    for family in &families {
        let entry = rest
            .find(|entry| entry.descriptor.name() == family.name)
            .ok_or_else(|| format!("{} is not in the catalogue or out of order", family.name))?;
        for sample in &family.samples {
            check_labels(entry, sample)?;
            if !sample.value.is_finite() {
                return Err(format!("not finite: {}", sample.line));
            }
        }
    }
    let open_metrics = read(&bytes(metrics, Format::OpenMetrics), Format::OpenMetrics)?;
    if !lines(&families).eq(lines(&open_metrics)) {
        return Err("the two formats have different samples".into());
    }
    Ok(())
}

fn lines(families: &[ReadFamily]) -> impl Iterator<Item = &str> {
    families
        .iter()
        .flat_map(|family| &family.samples)
        .map(|sample| sample.line.as_str())
}

/// Checks the order of a sample's labels: first all base labels, then the labels of the family in the declared order.
///
/// Some families omit a label that has no value. A declared label such as `label_*` matches any number of labels.
fn check_labels(entry: &CatalogueEntry, sample: &ReadSample) -> Result<(), String> {
    let mut names = sample
        .labels
        .iter()
        .map(|(name, _)| name.as_str())
        .peekable();
    if !(entry.base_labels.iter()).all(|base| names.next_if(|name| name == base).is_some()) {
        return Err(format!("base labels are missing: {}", sample.line));
    }
    for declared in entry.descriptor.labels() {
        match declared.strip_suffix('*') {
            Some(prefix) => while names.next_if(|name| name.starts_with(prefix)).is_some() {},
            None => {
                names.next_if(|name| *name == declared);
            }
        }
    }
    match names.next() {
        None => Ok(()),
        Some(name) => Err(format!(
            "{name} is not declared, or not there: {}",
            sample.line
        )),
    }
}

// === strategies ===

fn objects(resource: BuiltIn) -> impl Strategy<Value = Vec<Bytes>> {
    let shape = Shape::of(resource);
    let regular = written(shape.strategy(Oddity::Values));
    let irregular = written(shape.strategy(Oddity::Types)).prop_map(|bytes| Bytes {
        regular: false,
        ..bytes
    });
    let changes = vec((any::<Index>(), any::<u8>()), 0..3);
    let torn = (regular.clone(), changes, any::<Index>()).prop_map(|(bytes, changes, end)| {
        let mut json = bytes.json;
        for (at, byte) in changes {
            let at = at.index(json.len());
            json[at] = byte;
        }
        json.truncate(end.index(2 * json.len()));
        Bytes {
            json,
            regular: false,
        }
    });
    vec(prop_oneof![6 => regular, 3 => irregular, 1 => torn], 1..6)
}

fn written(objects: BoxedStrategy<Value>) -> BoxedStrategy<Bytes> {
    let spellings = select(&[Spelling::Plain, Spelling::Escaped, Spelling::Repeated]);
    let bytes = (objects, spellings).prop_map(|(object, spelling)| Bytes {
        json: written_as(&object, spelling).into(),
        // An object with repeated fields need not decode, because some types refuse a field that occurs twice.
        regular: !matches!(spelling, Spelling::Repeated),
    });
    bytes.boxed()
}

fn written_as(value: &Value, spelling: Spelling) -> String {
    match value {
        Value::String(text) => text_as(text, spelling),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| written_as(element, spelling));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let once = |spelling| {
                fields.iter().map(move |(name, value)| {
                    let name = text_as(name, spelling);
                    format!("{name}:{}", written_as(value, spelling))
                })
            };
            let fields: Vec<_> = match spelling {
                // The second copy of a field is written without repeated fields. Otherwise, the size would double with
                // every level of nesting.
                Spelling::Repeated => once(spelling).chain(once(Spelling::Plain)).collect(),
                Spelling::Plain | Spelling::Escaped => once(spelling).collect(),
            };
            format!("{{{}}}", fields.join(","))
        }
        value => value.to_string(),
    }
}

fn text_as(text: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain | Spelling::Repeated => Value::from(text).to_string(),
        Spelling::Escaped => {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json))
    }
}
