//! Labels of samples: the names, the values as text, and the paths that find the values.
//!
//! A path starts at the object, or at an *element*. An element is a value in the object, and each sample is created
//! from one element.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::path::Path;
use crate::k8s::{sanitize_label, write_f64};

/// A label of a sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label<'v> {
    pub(super) name: Cow<'v, str>,
    pub(super) value: Cow<'v, str>,
    /// Whether only keys with `*` set the label. If a sample has too many labels, such labels are left out first.
    pub(super) is_from_star: bool,
}

/// The labels of one sample. Each name occurs only once.
///
/// The limit on the number of labels applies to the labels from keys with `*`, because their number depends on the
/// object. The configuration names all other labels, and the set accepts all of them.
#[derive(Clone, Debug)]
pub(super) struct LabelSet<'v> {
    labels: Vec<Label<'v>>,
    /// The index of each label. The key is the name of the label. This map is used only if there are at least [`MANY`]
    /// labels.
    places: HashMap<Cow<'v, str>, usize>,
    /// Maximum number of labels from keys with `*`. Further labels from these keys are dropped.
    max: usize,
    /// Number of labels that only keys with `*` set.
    from_stars: usize,
    /// Whether the limit has dropped a label.
    is_cut: bool,
    /// The total size of all labels that were set, in bytes.
    cost: usize,
}

/// With at least this number of labels, a hash map finds a label by its name. With fewer labels, the names are compared
/// one after another.
const MANY: usize = 32;

/// Labels whose values come from paths in objects. Both lists are sorted by key.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelPaths {
    /// Labels whose key contains `*`: the path finds a map, and each entry of the map becomes a label. The names of
    /// these labels start with `name`.
    stars: Vec<LabelPath>,
    named: Vec<LabelPath>,
}

/// One label whose value comes from a path.
#[derive(Clone, Debug)]
pub(super) struct LabelPath {
    /// The key of the label in the configuration.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) path: Path,
}

// === impl LabelSet ===

impl<'v> LabelSet<'v> {
    /// Creates an empty set. It accepts at most `max` labels from keys with `*`.
    pub(super) fn new(max: usize) -> Self {
        Self {
            labels: Vec::new(),
            places: HashMap::new(),
            max,
            from_stars: 0,
            is_cut: false,
            cost: 0,
        }
    }

    /// Whether the limit has dropped a label.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns the total size of all labels that were set, in bytes. Labels that were replaced later count too, because
    /// they also took time.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Adds a label. If a label with this name exists, replaces its value.
    pub(super) fn set(&mut self, name: Cow<'v, str>, value: Cow<'v, str>) {
        self.add(name, value, false);
    }

    /// Adds a label from a key with `*`. If a label with this name exists, replaces its value. If the limit is reached,
    /// drops the new label.
    fn set_from_star(&mut self, name: Cow<'v, str>, value: Cow<'v, str>) {
        self.add(name, value, true);
    }

    fn add(&mut self, name: Cow<'v, str>, value: Cow<'v, str>, is_from_star: bool) {
        self.cost += name.len() + value.len() + 4;
        if let Some(place) = self.place(&name)
            && let Some(label) = self.labels.get_mut(place)
        {
            label.value = value;
            if label.is_from_star && !is_from_star {
                label.is_from_star = false;
                self.from_stars -= 1;
            }
            return;
        }
        if is_from_star && self.from_stars >= self.max {
            self.is_cut = true;
            return;
        }
        self.from_stars += usize::from(is_from_star);
        self.labels.push(Label {
            name,
            value,
            is_from_star,
        });
        let known = self.places.len();
        if self.labels.len() >= MANY {
            let new = self.labels.iter().enumerate().skip(known);
            self.places
                .extend(new.map(|(place, label)| (label.name.clone(), place)));
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        if self.labels.len() < MANY {
            return self.labels.iter().position(|own| own.name == name);
        }
        self.places.get(name).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Returns the labels, sorted by name.
    pub(super) fn sorted(mut self) -> Vec<Label<'v>> {
        self.labels.sort_unstable();
        self.labels
    }
}

// === impl LabelPaths ===

impl LabelPaths {
    /// Adds the label that has this key in the configuration. The caller must add the keys in ascending order.
    pub(super) fn push(&mut self, key: &str, path: Path) {
        let (paths, name) = match star_prefix(key) {
            Some(prefix) => (&mut self.stars, prefix),
            None => (&mut self.named, key),
        };
        paths.push(LabelPath {
            key: key.to_owned(),
            name: sanitize(name),
            path,
        });
    }

    /// Whether a label has this key in the configuration.
    pub(super) fn has_key(&self, key: &str) -> bool {
        let is_in = |paths: &[LabelPath]| {
            let place = paths.binary_search_by(|own| own.key.as_str().cmp(key));
            place.is_ok()
        };
        is_in(&self.named) || is_in(&self.stars)
    }

    /// Sets those labels for which the element has a value.
    pub(super) fn fill<'v>(&'v self, element: &'v Value, labels: &mut LabelSet<'v>) {
        self.fill_stars(element, labels, |_| true);
        self.fill_named(element, labels, |_| true);
    }

    /// Sets the labels whose names depend on the element. Ignores a key if `is_used` returns `false`.
    pub(super) fn fill_stars<'v>(
        &'v self,
        element: &'v Value,
        labels: &mut LabelSet<'v>,
        is_used: impl Fn(&str) -> bool,
    ) {
        for own in self.stars.iter().filter(|own| is_used(&own.key)) {
            let Some(Value::Object(map)) = own.path.find(element) else {
                continue;
            };
            let prefix = &own.name;
            for (key, value) in map {
                if labels.is_cut() {
                    break;
                }
                let name = if prefix.is_empty() {
                    sanitize_label(key)
                } else {
                    Cow::Owned(sanitize_label(&format!("{prefix}{key}")).into_owned())
                };
                labels.set_from_star(name, text(value));
            }
        }
    }

    /// Sets the labels whose names do not depend on the element. Ignores a key if `is_used` returns `false`.
    pub(super) fn fill_named<'v>(
        &'v self,
        element: &'v Value,
        labels: &mut LabelSet<'v>,
        is_used: impl Fn(&str) -> bool,
    ) {
        for own in self.named.iter().filter(|own| is_used(&own.key)) {
            if let Some(value) = own.path.find(element) {
                labels.set(Cow::Borrowed(&own.name), text(value));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stars.is_empty() && self.named.is_empty()
    }

    /// Whether one of the paths may set the label with this name.
    pub(super) fn may_set(&self, name: &str) -> bool {
        self.fixed()
            .is_none_or(|named| named.iter().any(|own| own.name == name))
    }

    /// Returns the labels; `None` if the name of any label depends on the object.
    pub(super) fn fixed(&self) -> Option<&[LabelPath]> {
        self.stars.is_empty().then_some(&*self.named)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.stars.iter().chain(&self.named).map(|own| &own.path)
    }
}

/// For a key with `*`, returns the start of the label names; `None` for any other key.
fn star_prefix(key: &str) -> Option<&str> {
    match key.strip_suffix('*') {
        Some(prefix) => Some(prefix),
        None if key.starts_with('*') => Some(""),
        None => None,
    }
}

/// Returns the label name for a key in the configuration. For a key with `*`, the caller passes only the text before
/// `*`, and the result is the start of the label names.
///
/// Characters that are not allowed in label names become `_`. The result can still be an invalid name.
pub(super) fn sanitize(key: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    key.chars().map(clean).collect()
}

/// Returns the label name for a key, so that the caller can check whether the name is valid. For a key with `*`,
/// returns the start of the label names; `None` if this start is empty.
pub(super) fn constant_name(key: &str) -> Option<String> {
    match star_prefix(key) {
        Some("") => None,
        Some(prefix) => Some(sanitize(prefix)),
        None => Some(sanitize(key)),
    }
}

/// Formats a value as the text of a label value.
///
/// A string does not change. A list becomes `[a b]`, and a map becomes `map[k:v]` with sorted keys.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Null => Cow::Borrowed("<nil>"),
        _ => {
            let mut out = Vec::new();
            write_text(&mut out, value);
            Cow::Owned(String::from_utf8(out).unwrap_or_default())
        }
    }
}

fn write_text(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                write_text(out, item);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // The entries are sorted, because the order of a map depends on a cargo feature of `serde_json`.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.extend_from_slice(b"map[");
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(key.as_bytes());
                out.push(b':');
                write_text(out, value);
            }
            out.push(b']');
        }
        Value::Number(number) => match number.as_i64() {
            Some(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            None => match number.as_f64() {
                Some(zero) if zero == 0.0 && zero.is_sign_negative() => {
                    out.extend_from_slice(b"-0");
                }
                Some(float) => write_f64(out, float),
                None => {}
            },
        },
        _ => out.extend_from_slice(text(value).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_have_the_texts_of_the_reference() {
        for (value, expected) in [
            (json!("a b"), "a b"),
            (json!(""), ""),
            (json!(1_000_000), "1000000"),
            (json!(-5), "-5"),
            (json!(1_000_000.0), "1e+06"),
            (json!(1_000_000.5), "1.0000005e+06"),
            (json!(1e20), "1e+20"),
            (json!(0.00001), "1e-05"),
            (json!(1.5), "1.5"),
            (json!(1.0), "1"),
            (json!(-0.0), "-0"),
            (
                json!(9_223_372_036_854_775_808_u64),
                "9.223372036854776e+18",
            ),
            (json!(true), "true"),
            (json!([]), "[]"),
            (json!({}), "map[]"),
            (json!(["a", 1, null, [true]]), "[a 1 <nil> [true]]"),
            (
                json!({ "b": 1, "a": { "c": null } }),
                "map[a:map[c:<nil>] b:1]",
            ),
            (json!(null), "<nil>"),
        ] {
            assert_eq!(text(&value), expected, "{value}");
        }
    }

    fn filled(paths: &[(&str, &[&str])], element: &Value) -> Vec<(String, String)> {
        let mut compiled = LabelPaths::default();
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        for (key, path) in paths {
            compiled.push(key, Path::compile(path.iter().copied()).unwrap());
        }
        let mut labels = LabelSet::new(usize::MAX);
        compiled.fill(element, &mut labels);
        (labels.sorted().into_iter())
            .map(|label| (label.name.into_owned(), label.value.into_owned()))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn star_keys_spread_maps_and_ordinary_keys_win() {
        let element = json!({ "l": { "a.b": "x", "1st": null, "c": "y" }, "n": 3, "s": "t" });
        assert_eq!(
            filled(&[("*", &["l"]), ("c", &["n"])], &element),
            [pair("_1st", "<nil>"), pair("a_b", "x"), pair("c", "3")]
        );
        assert_eq!(
            filled(
                &[("p.*", &["l"]), ("*x", &["s"]), ("a*b", &["s"])],
                &element
            ),
            [
                pair("a_b", "t"),
                pair("p_1st", "<nil>"),
                pair("p_a_b", "x"),
                pair("p_c", "y")
            ]
        );
        assert_eq!(
            filled(&[("**", &["l"])], &json!({ "l": { "k": 1 } })),
            [pair("_k", "1")]
        );
        // If two keys give the same label name, the later key takes precedence. This applies to keys with and without
        // `*`.
        assert_eq!(
            filled(
                &[("*", &["l"]), ("*a", &["m"])],
                &json!({ "l": { "k": 1 }, "m": { "k": 2 } })
            ),
            [pair("k", "2")]
        );
        assert_eq!(
            filled(
                &[("a-b", &["x"]), ("a.b", &["y"])],
                &json!({ "x": 1, "y": 2 })
            ),
            [pair("a_b", "2")]
        );
        assert_eq!(filled(&[("e", &[])], &json!("self")), [pair("e", "self")]);
        assert_eq!(filled(&[("e", &[]), ("f", &["g"])], &json!(null)), []);
    }
}
