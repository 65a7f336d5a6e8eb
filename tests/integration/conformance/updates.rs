//! Tests random sequences of events. After each event, the samples must be the same as in a new store that gets all
//! objects.
//!
//! An object combines several conformance cases: the metadata of one case, the spec of a second case, and the status of
//! a third case. Each event changes one of these parts, or nothing.

use std::collections::BTreeMap;

use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::store::ObjectWriter;
use kube_state_metrics::{BuiltIn, StateMetrics};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Wire, cases, properties};

const NAMES: usize = 3;
/// The fields of an object that change independently. The empty string means all other fields.
const PARTS: [&str; 4] = ["metadata", "spec", "status", ""];
/// Configured families that read different parts of an object.
#[cfg(feature = "custom-resources")]
const BESIDE: &str = "labelsFromPath: { name: [metadata, name] }
            metrics:
            - name: phase
              each: { type: Info, info: { path: [status], labelsFromPath: { phase: [phase] } } }
            - name: labels
              each: { type: Info, info: { path: [metadata], labelsFromPath: { '*': [labels] } } }
            - { name: generation, each: { type: Gauge, gauge: { path: [metadata, generation] } } }
            - { name: replicas, each: { type: Gauge, gauge: { path: [spec, replicas] } } }";

#[derive(Clone, Debug)]
enum Step {
    /// An event that replaces one part of an object, such as its status, with the same part of a case.
    Apply {
        name: usize,
        part: usize,
        case: usize,
        wire: Wire,
    },
    /// An event that changes only the resource version, or that changes nothing.
    Touch {
        name: usize,
        is_new: bool,
        wire: Wire,
    },
    /// An event about an object with another uid. The other fields of the object do not change.
    Replace {
        name: usize,
        wire: Wire,
    },
    Delete {
        name: usize,
        wire: Wire,
    },
    /// A list of some of the objects. If the list completes, the store removes the other objects.
    List {
        names: [bool; NAMES],
        wire: Wire,
        is_abandoned: bool,
    },
}

/// The current state of an object, as an API server would have it.
#[derive(Clone)]
struct Known {
    parts: [Value; 4],
    uid: u64,
    version: u64,
}

/// The store under test, which receives all events, and the objects that this store must have.
struct Model {
    resource: BuiltIn,
    cases: Vec<Map<String, Value>>,
    metrics: StateMetrics,
    writers: Vec<Box<dyn ObjectWriter>>,
    /// A second store, to which all objects are added again after each event.
    fresh: StateMetrics,
    known: BTreeMap<usize, Known>,
    /// The bytes of the objects that the store must have.
    stored: BTreeMap<usize, (Wire, Vec<u8>)>,
    last: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wire = || prop_oneof![Just(Wire::Json), Just(Wire::Protobuf)];
    let step = prop_oneof![
        8 => (0..NAMES, 0..PARTS.len(), any::<usize>(), wire())
            .prop_map(|(name, part, case, wire)| Step::Apply { name, part, case, wire }),
        4 => (0..NAMES, any::<bool>(), wire())
            .prop_map(|(name, is_new, wire)| Step::Touch { name, is_new, wire }),
        1 => (0..NAMES, wire()).prop_map(|(name, wire)| Step::Replace { name, wire }),
        1 => (0..NAMES, wire()).prop_map(|(name, wire)| Step::Delete { name, wire }),
        1 => (any::<[bool; NAMES]>(), wire(), any::<bool>())
            .prop_map(|(names, wire, is_abandoned)| Step::List { names, wire, is_abandoned }),
    ];
    prop::collection::vec(step, 1..40)
}

fn builder(resource: BuiltIn) -> Builder {
    let builder = properties::builder(resource);
    #[cfg(feature = "custom-resources")]
    let builder = super::beside_configured(resource, builder, BESIDE);
    builder
}

fn text(metrics: &StateMetrics) -> String {
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    exposition.to_string()
}

// === impl Model ===

impl Model {
    fn new(resource: BuiltIn) -> Self {
        let metrics = builder(resource).build().unwrap();
        let cases = cases(resource.name());
        let objects = cases.iter().filter_map(|case| {
            let object = serde_json::from_str(case.object.get()).ok()?;
            let Value::Object(object) = object else {
                return None;
            };
            Some(object)
        });
        Self {
            resource,
            cases: objects.collect(),
            writers: metrics.feeds(),
            metrics,
            fresh: builder(resource).build().unwrap(),
            known: BTreeMap::new(),
            stored: BTreeMap::new(),
            last: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Apply {
                name,
                part,
                case,
                wire,
            } => {
                self.change(name, part, case);
                self.apply(name, wire, true);
            }
            Step::Touch { name, is_new, wire } => {
                if is_new {
                    self.change(name, PARTS.len(), 0);
                }
                self.apply(name, wire, true);
            }
            Step::Replace { name, wire } => {
                self.last += 1;
                let uid = self.last;
                self.known(name).uid = uid;
                self.apply(name, wire, true);
            }
            Step::Delete { name, wire } => {
                let bytes = self.bytes(name, wire);
                for writer in &mut self.writers {
                    let _ = match bytes.0 {
                        Wire::Json => writer.delete_json(&bytes.1),
                        Wire::Protobuf => writer.delete_protobuf(&bytes.1),
                    };
                }
                self.stored.remove(&name);
            }
            Step::List {
                names,
                wire,
                is_abandoned,
            } => {
                self.writers
                    .iter_mut()
                    .for_each(|writer| writer.begin_list());
                if !is_abandoned {
                    self.stored.clear();
                }
                for name in (0..NAMES).filter(|&name| names[name]) {
                    if is_abandoned {
                        self.change(name, 1, name);
                    }
                    self.apply(name, wire, !is_abandoned);
                }
                for writer in &mut self.writers {
                    match is_abandoned {
                        true => writer.abandon_list(),
                        false => writer.end_list(),
                    }
                }
            }
        }
    }

    fn known(&mut self, name: usize) -> &mut Known {
        let Self { known, cases, .. } = self;
        known.entry(name).or_insert_with(|| {
            let parts = std::array::from_fn(|part| part_of(&cases[name % cases.len()], part));
            Known {
                parts,
                uid: 0,
                version: 0,
            }
        })
    }

    /// Changes a part of an object, and the object's version.
    fn change(&mut self, name: usize, part: usize, case: usize) {
        self.last += 1;
        let (version, case) = (self.last, case % self.cases.len());
        let changed = (part < PARTS.len()).then(|| part_of(&self.cases[case], part));
        let known = self.known(name);
        known.version = version;
        if let Some(changed) = changed {
            known.parts[part] = changed;
        }
    }

    /// Returns the bytes of an object. If the protobuf encoder refuses the object, the bytes are JSON.
    fn bytes(&mut self, name: usize, wire: Wire) -> (Wire, Vec<u8>) {
        let info = self.resource.info();
        let header = json!({ "apiVersion": info.api_version(), "kind": info.kind() });
        let known = self.known(name);
        let mut object = known.parts[3].as_object().cloned().unwrap_or_default();
        for (part, value) in PARTS.iter().zip(&known.parts).take(3) {
            if !value.is_null() {
                object.insert((*part).to_owned(), value.clone());
            }
        }
        object.extend(header.as_object().cloned().unwrap());
        let mut metadata = known.parts[0].as_object().cloned().unwrap_or_default();
        metadata.insert("name".into(), format!("object-{name}").into());
        metadata.insert("namespace".into(), "n".into());
        metadata.insert("uid".into(), format!("uid-{}", known.uid).into());
        metadata.insert("resourceVersion".into(), known.version.to_string().into());
        object.insert("metadata".into(), metadata.into());
        let object = Value::Object(object);
        let protobuf = (wire == Wire::Protobuf).then(|| kube_protobuf::encode::object(&object));
        match protobuf.flatten() {
            Some(Ok(bytes)) => (Wire::Protobuf, bytes),
            _ => (Wire::Json, object.to_string().into_bytes()),
        }
    }

    fn apply(&mut self, name: usize, wire: Wire, is_stored: bool) {
        let bytes = self.bytes(name, wire);
        self.writers
            .iter_mut()
            .for_each(|writer| feed(&mut **writer, &bytes));
        if is_stored {
            self.stored.insert(name, bytes);
        }
    }

    /// Returns the samples that the store must have. The second store, `fresh`, renders all objects again.
    fn expected(&self) -> String {
        let mut writers = self.fresh.feeds();
        for bytes in self.stored.values() {
            writers
                .iter_mut()
                .for_each(|writer| feed(&mut **writer, bytes));
        }
        let text = text(&self.fresh);
        writers.into_iter().for_each(|writer| writer.close());
        text
    }
}

/// Passes an object to a writer. If the object does not decode, the store removes its samples.
fn feed(writer: &mut dyn ObjectWriter, (wire, bytes): &(Wire, Vec<u8>)) {
    let _ = match wire {
        Wire::Json => writer.apply_json(bytes),
        Wire::Protobuf => writer.apply_protobuf(bytes),
    };
}

fn part_of(case: &Map<String, Value>, part: usize) -> Value {
    match PARTS[part] {
        "" => {
            let others = case.iter().filter(|(name, _)| !PARTS.contains(&&***name));
            let others = others.map(|(name, value)| (name.clone(), value.clone()));
            Value::Object(others.collect())
        }
        name => case.get(name).cloned().unwrap_or_default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_samples_after_events_equal_those_of_objects_that_are_rendered_again(
        resource in 0..BuiltIn::ALL.len(),
        steps in steps(),
    ) {
        let mut model = Model::new(BuiltIn::ALL[resource]);
        prop_assume!(!model.cases.is_empty());
        for step in &steps {
            model.run(step);
            prop_assert_eq!(text(&model.metrics), model.expected(), "{:?}: {:?}", model.resource, step);
        }
    }
}
