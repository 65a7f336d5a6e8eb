//! Collects the fields, types and values of a resource's objects from the conformance cases. Creates proptest
//! strategies for unusual objects from this data. A *position* is a field of these objects. All items of a list
//! together are also one position.

use std::collections::BTreeMap;

use kube_state_metrics::BuiltIn;
use kube_state_metrics::families::catalogue::catalogue;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Map, Number, Value, json};

use super::cases;

/// Fields that are always read from every object.
const IDENTITY: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
];

/// Strings that a parser may treat specially. The strategies use these strings as values and as keys.
const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "\"",
    "\\",
    "\n",
    "a\"b\\c\nd",
    "\r\n",
    "\t\0\u{1b}",
    "\u{7f}\u{85}\u{2028}\u{feff}",
    "größe",
    "🚀",
    "e\u{301}",
    "} 1",
    "{a=\"b\"}",
    "# EOF",
    "NaN",
    "True",
    "Unknown",
    "a.b",
    "a/b",
    "a-b",
    "a_b",
    "a_b_conflict1",
    "camelCase",
    "HTTPServer",
    "1st",
    "__name__",
    "namespace",
    "uid",
    "*",
    "cpu",
    "memory",
    "storage",
    "pods",
    "hugepages-2Mi",
    "hugepages-a/b",
    "attachable-volumes-aws-ebs",
    "nvidia.com/gpu",
    "requests.nvidia.com/gpu",
    "x.kubernetes.io/y",
    "node-role.kubernetes.io/",
    "node-role.kubernetes.io/worker",
    "volume.beta.kubernetes.io/storage-class",
    "mounter",
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "25%",
    "-1%",
    "99999999999999999999%",
    "*/5 * * * *",
    "@every 1ns",
    "0 0 30 2 *",
    "TZ=Nowhere/Land 0 0 * * *",
    "Europe/Berlin",
];

const ODD_QUANTITIES: &[&str] = &[
    "100m",
    "1.5Gi",
    "-1.5",
    "1n",
    ".5",
    "5.",
    "-",
    ".",
    "Ki",
    "+0.000E",
    "9223372036854775.807",
    "9223372036854775807",
    "340282366920938463463374607431768211456Ei",
    "1e308",
    "1e309",
    "1e-400",
    "1e99999999999999999999",
    "-0",
    "0x10",
    "١",
    " 1 ",
];

const ODD_TIMES: &[&str] = &[
    "0001-01-01T00:00:00Z",
    "0001-01-01T01:00:00+01:00",
    "0000-01-01T00:00:00+24:00",
    "1969-12-31T23:59:58.5Z",
    "1970-01-01T00:00:00Z",
    "2024-02-29T3:04:05,123456789123Z",
    "9999-12-31T23:59:59.999999999-24:60",
];

const ODD_INTEGERS: &[i64] = &[0, 1, -1, 80, 65535, i32::MAX as i64, i32::MIN as i64];

/// How unusual the values of a strategy are, compared with the values in the cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Oddity {
    /// Unusual values of the expected types, so that the object decodes.
    Values,
    /// Some fields have values of any type.
    Types,
}

/// The types and values that occur at one position in the objects of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    fields: BTreeMap<String, Shape>,
    element: Option<Box<Shape>>,
    texts: Vec<String>,
    numbers: Vec<Number>,
    flags: bool,
    /// Whether the field is `apiVersion` or `kind`. Strategies do not change the value of such a field.
    fixed: bool,
    /// Whether a family reads all fields below this position. If so, maps may have keys with any name.
    open: bool,
}

// === impl Shape ===

impl Shape {
    /// Returns the fields that the families of a resource read, with the types and values that occur in the cases.
    pub(crate) fn of(resource: BuiltIn) -> Self {
        let mut seen = Self::default();
        for case in cases(resource.name()) {
            if case.decode_error.is_none() {
                seen.learn(&serde_json::from_str(case.object.get()).unwrap());
            }
        }
        let mut shape = Self::default();
        for path in IDENTITY {
            shape.take(&seen, path.split('.'));
        }
        for name in ["apiVersion", "kind"] {
            shape.fields.entry(name.into()).or_default().fixed = true;
        }
        for family in catalogue()
            .iter()
            .filter(|family| family.resource == resource)
        {
            for path in family.descriptor.reads().into_iter().flatten() {
                shape.take(&seen, path.split('.').filter(|name| !name.is_empty()));
            }
        }
        shape
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.flags = true,
            Value::Number(number) => self.numbers.push(number.clone()),
            Value::String(text) => self.texts.push(text.clone()),
            Value::Array(elements) => {
                let shape = self.element.get_or_insert_default();
                elements.iter().for_each(|element| shape.learn(element));
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.fields.entry(name.clone()).or_default().learn(value);
                }
            }
        }
    }

    /// Copies the values at `path` from `seen`. If a value on the path is a list, copies from all its items.
    fn take<'p>(&mut self, seen: &Self, mut path: impl Iterator<Item = &'p str>) {
        if let Some(element) = &seen.element {
            let own = self.element.get_or_insert_default();
            return own.take(element, path);
        }
        let Some(name) = path.next() else {
            *self = seen.clone();
            self.unfold();
            return;
        };
        let unseen = Self::default();
        let seen = seen.fields.get(name).unwrap_or(&unseen);
        self.fields
            .entry(name.to_owned())
            .or_default()
            .take(seen, path);
    }

    fn unfold(&mut self) {
        self.open = true;
        self.fields
            .values_mut()
            .chain(self.element.as_deref_mut())
            .for_each(Self::unfold);
    }

    /// Returns a proptest strategy that generates values for this position.
    pub(crate) fn strategy(&self, oddity: Oddity) -> BoxedStrategy<Value> {
        if self.fixed && !self.texts.is_empty() {
            return select(self.texts.clone()).prop_map(Value::from).boxed();
        }
        let mut kinds = vec![(1, Just(Value::Null).boxed())];
        if !self.fields.is_empty() {
            kinds.push((30, self.object(oddity)));
        }
        if let Some(element) = &self.element {
            let list = vec(element.strategy(oddity), 0..4).prop_map(Value::Array);
            kinds.push((30, list.boxed()));
        }
        if !self.texts.is_empty() {
            kinds.push((30, self.text()));
        }
        if let Some(number) = self.numbers.first() {
            let odd: BoxedStrategy<Value> = if number.is_f64() {
                any::<f64>().prop_map(Value::from).boxed()
            } else {
                prop_oneof![select(ODD_INTEGERS), any::<i32>().prop_map(i64::from)]
                    .prop_map(Value::from)
                    .boxed()
            };
            let seen = select(self.numbers.clone()).prop_map(Value::Number);
            kinds.push((30, prop_oneof![seen, odd].boxed()));
        }
        if self.flags {
            kinds.push((30, any::<bool>().prop_map(Value::Bool).boxed()));
        }
        if oddity == Oddity::Types {
            kinds.push((kinds.len() as u32, anything().boxed()));
        }
        Union::new_weighted(kinds).boxed()
    }

    fn object(&self, oddity: Oddity) -> BoxedStrategy<Value> {
        let fields: Vec<_> = (self.fields.iter())
            .map(|(name, shape)| {
                let name = name.clone();
                weighted(
                    0.85,
                    shape
                        .strategy(oddity)
                        .prop_map(move |value| (name.clone(), value)),
                )
            })
            .collect();
        let extra = if self.open {
            let values = self.fields.values().map(|shape| shape.strategy(oddity));
            vec((text(), Union::new(values)), 0..4).boxed()
        } else {
            Just(Vec::new()).boxed()
        };
        let objects = (fields, extra).prop_map(|(fields, extra)| {
            // If an additional key has the same name as a field, the value of the field is used, because it is inserted
            // last.
            let entries = extra.into_iter().chain(fields.into_iter().flatten());
            Value::Object(entries.collect::<Map<_, _>>())
        });
        objects.boxed()
    }

    fn text(&self) -> BoxedStrategy<Value> {
        let seen = select(self.texts.clone());
        let is_time = |text: &String| text.len() >= 19 && text.get(10..11) == Some("T");
        if self.texts.iter().all(is_time) {
            return prop_oneof![seen, time(), odd(ODD_TIMES)]
                .prop_map(Value::from)
                .boxed();
        }
        prop_oneof![3 => seen, 2 => text(), 1 => odd(ODD_QUANTITIES)]
            .prop_map(Value::from)
            .boxed()
    }
}

fn odd(texts: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(texts).prop_map(String::from)
}

fn text() -> impl Strategy<Value = String> + Clone {
    let chars = vec(any::<char>(), 0..12).prop_map(String::from_iter);
    prop_oneof![4 => odd(ODD_TEXTS), 1 => chars, 1 => Just("x".repeat(300))]
}

fn time() -> impl Strategy<Value = String> {
    let date = (0..=9999, 1..=12, 1..=28)
        .prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"));
    let clock =
        (0..=23, 0..=59, 0..=59, 0..1_000_000_000).prop_map(|(hour, minute, second, nanos)| {
            format!("{hour:02}:{minute:02}:{second:02}.{nanos:09}")
        });
    let offset = (select(&['+', '-']), 0..=24, 0..=60)
        .prop_map(|(sign, hours, minutes)| format!("{sign}{hours:02}:{minutes:02}"));
    (date, clock, offset).prop_map(|(date, clock, offset)| format!("{date}T{clock}{offset}"))
}

/// Generates any JSON value.
fn anything() -> impl Strategy<Value = Value> {
    let numbers = [
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(-0.0),
        json!(1.5),
        json!(1_i64 << 40),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(numbers.to_vec()),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
        odd(ODD_QUANTITIES).prop_map(Value::from),
        odd(ODD_TIMES).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((text(), inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
