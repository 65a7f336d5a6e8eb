//! Families that export the labels or annotations of an object. An allowlist selects them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::Resource;

use crate::family::{Allowlisted, Family, FamilyBuilder, Samples, Stability};

/// Returns the family with the labels of an object. The label allowlist selects these labels.
///
/// `noun` is the name of the object in the help text.
pub(in crate::families) fn labels<K: Resource>(
    name: &'static str,
    noun: &str,
    stability: Stability,
) -> Family<K> {
    let help = format!(
        "Always 1; `label_*` are the labels of the {noun} that the label allowlist selects. \
         Absent if the resource has no label allowlist."
    );
    family(name, help, stability)
        .labels(["label_*"])
        .reads(["metadata.labels"])
        .allowlisted(Allowlisted::Labels)
        .generate(|object: &K, s| write_allowed("label", object.meta().labels.as_ref(), s))
}

/// Returns the family with the annotations of an object. The annotation allowlist selects these annotations.
///
/// `noun` is the name of the object in the help text.
pub(in crate::families) fn annotations<K: Resource>(
    name: &'static str,
    noun: &str,
    stability: Stability,
) -> Family<K> {
    let help = format!(
        "Always 1; `annotation_*` are the annotations of the {noun} that the annotation allowlist \
         selects. Absent if the resource has no annotation allowlist."
    );
    family(name, help, stability)
        .labels(["annotation_*"])
        .reads(["metadata.annotations"])
        .allowlisted(Allowlisted::Annotations)
        .generate(|object: &K, s| {
            write_allowed("annotation", object.meta().annotations.as_ref(), s)
        })
}

/// Returns the entries of an optional map, sorted by key.
pub(in crate::families) fn pairs(
    map: Option<&BTreeMap<String, String>>,
) -> impl Iterator<Item = (&str, &str)> + Clone {
    map.into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str()))
}

fn family<K: Resource>(name: &'static str, help: String, stability: Stability) -> FamilyBuilder<K> {
    let builder = Family::gauge(name, Cow::Owned(help));
    match stability {
        Stability::Stable => builder.stable(),
        Stability::Alpha => builder,
    }
}

fn write_allowed(prefix: &str, map: Option<&BTreeMap<String, String>>, s: &mut Samples<'_>) {
    let allowed: Vec<_> = pairs(map).filter(|(key, _)| s.allows(key)).collect();
    s.sample().map_labels(prefix, allowed.into_iter()).value(1);
}
