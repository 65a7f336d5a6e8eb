//! Tests that each family reads only the fields that it declares. The samples must be the same with and without the
//! other fields of an object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kube::Resource;
use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::catalogue;
use kube_state_metrics::resource::{CollectedResource, StaticScope};
use kube_state_metrics::{BuiltIn, Collector, Family};

use super::{Case, builder, cases, lines};

/// Decodes the objects of the conformance cases in three ways: for each family alone, as a whole object, and with
/// `Deserialize` of the API type. Compares the samples with the samples of a store with all families.
pub(crate) fn run<K>(resource: BuiltIn, collector: fn() -> Collector<K>)
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    let mut alone = Alone::new(resource, &collector());
    let (mut failures, mut regular) = (String::new(), 0);
    for case in cases(resource.name()) {
        // The test skips objects that do not decode as a whole. A family that does not read the invalid field may still
        // decode such an object.
        let Ok(expected) = lines(&builder(resource.name(), &case).build().unwrap(), &case) else {
            continue;
        };
        let mut compare = |how: &str, expected: &[String], actual: &[String]| {
            if expected != actual {
                let _ = writeln!(failures, "{}, {how}:", case.case);
                let _ = writeln!(failures, "  expected {expected:#?}\n  but got {actual:#?}");
            }
        };
        for (name, metrics) in alone.of(&case) {
            let of_family = |line: &&String| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            };
            let expected: Vec<_> = expected.iter().filter(of_family).cloned().collect();
            compare(
                &format!("only {name}"),
                &expected,
                &lines(metrics, &case).unwrap(),
            );
        }
        let whole = lines(&whole::<K>(resource, &case), &case);
        compare(
            "decoded whole",
            &expected,
            &whole.unwrap_or_else(|error| vec![error]),
        );
        if let Some(typed) = typed::<K>(resource, &case) {
            compare("as a typed object", &expected, &typed);
            regular += 1;
        }
    }
    assert!(regular > 0, "no case decodes as a typed object");
    assert!(failures.is_empty(), "{failures}");
}

/// The families of a resource, each in a separate store.
pub(super) struct Alone {
    resource: BuiltIn,
    names: Vec<String>,
    /// For each pair of allowlists (labels and annotations), the store of each family, in the order of `names`.
    built: BTreeMap<[Vec<String>; 2], Vec<StateMetrics>>,
}

impl Alone {
    pub(super) fn new<K: CollectedResource>(resource: BuiltIn, collector: &Collector<K>) -> Self {
        let names = collector.iter().map(|own| own.descriptor().name().into());
        Self {
            resource,
            names: names.collect(),
            built: BTreeMap::new(),
        }
    }

    /// Returns the name and the store of each family. The stores have the allowlists of the case.
    pub(super) fn of(&mut self, case: &Case) -> impl Iterator<Item = (&str, &StateMetrics)> {
        let allowlists = [case.allow_labels.clone(), case.allow_annotations.clone()];
        let built = self.built.entry(allowlists).or_insert_with(|| {
            let only = |name: &String| only(self.resource, name, case);
            self.names.iter().map(only).collect()
        });
        self.names.iter().map(String::as_str).zip(&*built)
    }
}

/// Returns a registry with one family of a resource, so that the decoder reads only the declared fields of this family.
fn only(resource: BuiltIn, family: &str, case: &Case) -> StateMetrics {
    let builder = builder(resource.name(), case).allow_metrics([format!("^{family}$")]);
    builder.build().unwrap()
}

/// Returns a registry with all families and an additional family that may read all fields. Because of this additional
/// family, the decoder reads the whole object.
fn whole<K>(resource: BuiltIn, case: &Case) -> StateMetrics
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    let curious = Family::gauge("curious", "Nothing, but it may read all.").generate(|_: &K, _| {});
    let collector = Collector::new().family(curious);
    assert_eq!(
        *collector.resource(),
        resource.info(),
        "collectors share a store"
    );
    builder(resource.name(), case)
        .collector(collector)
        .build()
        .unwrap()
}

/// Decodes an object with `Deserialize` of its API type, and returns its samples. Returns `None` if the object does not
/// decode.
fn typed<K: CollectedResource>(resource: BuiltIn, case: &Case) -> Option<Vec<String>> {
    let object: K = serde_json::from_str(case.object.get()).ok()?;
    let metrics = builder(resource.name(), case).build().unwrap();
    metrics.feed::<K>().unwrap().apply_object(&object);
    Some(super::sample_lines(
        &metrics
            .exposition(Format::Text, ExpositionFilter::default())
            .to_string(),
    ))
}

#[test]
fn every_family_declares_what_it_reads() {
    let families = catalogue().into_iter().map(|family| family.descriptor);
    let silent = families.filter(|family| family.reads().is_none());
    let silent: Vec<_> = silent.map(|family| family.name().to_owned()).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
