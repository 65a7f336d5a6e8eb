//! Names of metrics and labels: checks whether a name is valid, and creates names from the keys of Kubernetes labels
//! and annotations. Also converts the names of compute resources, such as `nvidia.com/gpu`, to label values.
//!
//! Names follow the classic [data model]: letters, digits and underscores. Every scraper accepts such names in the text
//! format and in OpenMetrics.
//!
//! [data model]: https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels

use std::borrow::Cow;
use std::collections::HashMap;

/// Returns whether `name` is a metric name in the classic character set, `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(crate) fn is_valid_metric_name(name: &str) -> bool {
    is_name(name, |b| is_name_byte(b) || b == b':')
}

/// Returns whether `name` is a label name in the classic character set, `[a-zA-Z_][a-zA-Z0-9_]*`.
///
/// Names that begin with `__` are valid, although Prometheus reserves them. Only `__name__` is not valid, because
/// Prometheus stores the name of the metric in this label.
pub(crate) fn is_valid_label_name(name: &str) -> bool {
    is_name(name, is_name_byte) && name != METRIC_NAME
}

/// The label in which Prometheus stores the name of the metric.
pub(crate) const METRIC_NAME: &str = "__name__";

/// Converts any text to a valid label name.
///
/// Each character outside `[A-Za-z0-9_]` becomes one `_`. An empty name, a name that begins with a digit, and
/// `__name__` get the prefix `_`. A valid name is returned unchanged and without an allocation.
pub(crate) fn sanitize_label(name: &str) -> Cow<'_, str> {
    if is_valid_label_name(name) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if name
        .bytes()
        .next()
        .is_none_or(|first| first.is_ascii_digit())
    {
        clean.push('_');
    }
    clean.extend(name.chars().map(|c| char::from(sanitized(c))));
    if clean == METRIC_NAME {
        clean.insert(0, '_');
    }
    Cow::Owned(clean)
}

/// Appends the name of a compute resource as the value of a `resource` label: `nvidia.com/gpu` → `nvidia_com_gpu`.
///
/// Each character outside `[A-Za-z0-9_]` becomes one `_`. Upper-case letters stay upper-case.
pub(crate) fn write_resource_name(out: &mut Vec<u8>, name: &str) {
    out.extend(name.chars().map(sanitized));
}

/// Appends the label name for a key of a map. For example, the prefix `label` and the key `camelCase` result in
/// `label_camel_case`.
///
/// Characters outside `[A-Za-z0-9_]` become `_`. An upper-case letter after a lower-case letter or a digit gets a `_`
/// before it, and all letters become lower-case.
pub(crate) fn write_map_label_name(out: &mut Vec<u8>, prefix: &str, key: &str) {
    out.extend_from_slice(prefix.as_bytes());
    out.push(b'_');
    for_each_byte_in_snake_case(key, |byte| out.push(byte));
}

/// Returns a label name for each key of a map. All names are different.
///
/// [`write_map_label_name`] describes how a name is created from a key. If several keys result in the same name, each
/// of these names gets a suffix: `_conflict1`, `_conflict2` and so on, in the order of `keys`. If a name with a suffix
/// is already in use, its number is skipped. The names are the same as in kube-state-metrics only if `keys` are in
/// ascending order of their bytes.
pub(crate) fn label_names<'a>(prefix: &str, keys: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: Vec<String> = keys.map(|key| map_label_name(prefix, key)).collect();
    if all_different(&names) {
        names
    } else {
        resolve_conflicts(names)
    }
}

fn map_label_name(prefix: &str, key: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + 1 + key.len());
    name.push_str(prefix);
    name.push('_');
    for_each_byte_in_snake_case(key, |byte| name.push(char::from(byte)));
    name
}

fn all_different(names: &[String]) -> bool {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair.first() != pair.last())
}

/// Appends a suffix to all equal names, in their order. The first of several equal names also gets a suffix.
fn resolve_conflicts(bases: Vec<String>) -> Vec<String> {
    // Maps each name in use to its index in `names`.
    let mut positions: HashMap<String, usize> = HashMap::with_capacity(bases.len());
    // The highest number in a suffix so far, for each name that occurs several times.
    let mut counters: HashMap<String, usize> = HashMap::new();
    let mut names: Vec<String> = Vec::with_capacity(bases.len());
    for base in bases {
        let name = if let Some(counter) = counters.get_mut(&base) {
            next_free(&base, counter, &positions)
        } else if let Some(holder) = positions.remove(&base) {
            let mut counter = 0;
            let renamed = next_free(&base, &mut counter, &positions);
            positions.insert(renamed.clone(), holder);
            if let Some(slot) = names.get_mut(holder) {
                *slot = renamed;
            }
            let name = next_free(&base, &mut counter, &positions);
            counters.insert(base, counter);
            name
        } else {
            base
        };
        positions.insert(name.clone(), names.len());
        names.push(name);
    }
    names
}

fn next_free(base: &str, counter: &mut usize, taken: &HashMap<String, usize>) -> String {
    loop {
        *counter += 1;
        let name = format!("{base}_conflict{counter}");
        if !taken.contains_key(&name) {
            return name;
        }
    }
}

fn for_each_byte_in_snake_case(text: &str, mut each: impl FnMut(u8)) {
    let mut word_may_end = false;
    for byte in text.chars().map(sanitized) {
        if word_may_end && byte.is_ascii_uppercase() {
            each(b'_');
        }
        word_may_end = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        each(byte.to_ascii_lowercase());
    }
}

fn sanitized(c: char) -> u8 {
    u8::try_from(c)
        .ok()
        .filter(|&byte| is_name_byte(byte))
        .unwrap_or(b'_')
}

fn is_name(name: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    name.bytes()
        .next()
        .is_some_and(|first| !first.is_ascii_digit())
        && name.bytes().all(is_allowed)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn map_keys_become_snake_case() {
        for (key, want) in [
            (
                "app.kubernetes.io/part-of",
                "label_app_kubernetes_io_part_of",
            ),
            ("app.kubernetes.io/name", "label_app_kubernetes_io_name"),
            ("camelCase", "label_camel_case"),
            ("camelCaseKeyA1B", "label_camel_case_key_a1_b"),
            ("myHTTPServer", "label_my_httpserver"),
            ("HTTPServer", "label_httpserver"),
            ("v2Beta1", "label_v2_beta1"),
            ("1A2B", "label_1_a2_b"),
            ("1st", "label_1st"),
            ("foo_Bar", "label_foo_bar"),
            ("größe", "label_gr__e"),
            ("", "label_"),
            ("_a", "label__a"),
            ("--", "label___"),
            ("aÉB", "label_a_b"),
            ("a:b", "label_a_b"),
            ("日本", "label___"),
        ] {
            let mut out = Vec::new();
            write_map_label_name(&mut out, "label", key);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{key}");
            assert_eq!(label_names("label", [key].into_iter()), [want], "{key}");
        }
    }

    #[test]
    fn colliding_keys_are_numbered_in_key_order() {
        for (keys, want) in [
            (&["a", "b"][..], &["label_a", "label_b"][..]),
            (
                &["a-b", "a.b", "a_b"],
                &[
                    "label_a_b_conflict1",
                    "label_a_b_conflict2",
                    "label_a_b_conflict3",
                ],
            ),
            (
                &["a.b", "a/b", "a_b_conflict1"],
                &[
                    "label_a_b_conflict1_conflict1",
                    "label_a_b_conflict2",
                    "label_a_b_conflict1_conflict2",
                ],
            ),
            (
                &["A.b.conflict1", "a-b", "a.b"],
                &[
                    "label_a_b_conflict1",
                    "label_a_b_conflict2",
                    "label_a_b_conflict3",
                ],
            ),
            (
                &["a-b", "a.b", "a_b_conflict1", "a_b_conflict2"],
                &[
                    "label_a_b_conflict1_conflict1",
                    "label_a_b_conflict2_conflict1",
                    "label_a_b_conflict1_conflict2",
                    "label_a_b_conflict2_conflict2",
                ],
            ),
            (
                &["a-b", "a.b", "z"],
                &["label_a_b_conflict1", "label_a_b_conflict2", "label_z"],
            ),
            (&[], &[]),
        ] {
            assert_eq!(label_names("label", keys.iter().copied()), want, "{keys:?}");
        }
    }

    #[test]
    fn resource_names_keep_their_case() {
        for (name, want) in [
            ("cpu", "cpu"),
            ("ephemeral-storage", "ephemeral_storage"),
            ("nvidia.com/GPU", "nvidia_com_GPU"),
            ("hugepages-2Mi", "hugepages_2Mi"),
            ("openshift.io/mlxRDMA", "openshift_io_mlxRDMA"),
            ("größe", "gr__e"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            write_resource_name(&mut out, name);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn sanitizing_leaves_valid_label_names_alone() {
        for (name, want) in [
            ("", "_"),
            ("ok", "ok"),
            ("__reserved", "__reserved"),
            ("__name__", "___name__"),
            ("--name--", "___name__"),
            ("Upper_9", "Upper_9"),
            ("9lives", "_9lives"),
            ("a.b/c", "a_b_c"),
            ("a:b", "a_b"),
            ("ß", "_"),
            ("1.ß", "_1__"),
        ] {
            assert_eq!(sanitize_label(name), want);
        }
        assert!(matches!(sanitize_label("ok"), Cow::Borrowed(_)));
    }

    #[test]
    fn validity_follows_the_classic_character_set() {
        for name in ["a", "_", "A9_z", "__x"] {
            assert!(
                is_valid_label_name(name) && is_valid_metric_name(name),
                "{name}"
            );
        }
        for name in [":", "a:b", ":rule:x9"] {
            assert!(
                !is_valid_label_name(name) && is_valid_metric_name(name),
                "{name}"
            );
        }
        for name in ["", "9", "a-b", "a b", "ä", "a\n", "a.b"] {
            assert!(
                !is_valid_label_name(name) && !is_valid_metric_name(name),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn label_names_are_unique_and_valid(
            keys in proptest::collection::btree_set("[aAbB._/-]{0,3}(_conflict[12]){0,2}", 0..12),
        ) {
            let names = label_names("label", keys.iter().map(String::as_str));
            prop_assert_eq!(names.len(), keys.len());
            prop_assert!(names.iter().all(|name| is_valid_label_name(name)));
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        }

        #[test]
        fn unique_names_come_out_the_same_on_the_slow_path(
            keys in proptest::collection::btree_set("[a-z0-9]{1,4}", 0..12),
        ) {
            let names = label_names("x", keys.iter().map(String::as_str));
            prop_assert_eq!(resolve_conflicts(names.clone()), names);
        }

        #[test]
        fn anything_sanitizes_to_a_valid_label_name(name: String) {
            prop_assert!(is_valid_label_name(&sanitize_label(&name)));
        }
    }
}
