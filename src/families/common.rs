//! What families of several resources share: times, owners, conditions, labels, quantities.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;

use crate::family::sealed::WriteLabel;
use crate::family::{Allowlisted, Family, FamilyBuilder};
use crate::family::{LabelValue, Sample, Samples, unix_seconds};
use crate::k8s::{Quantity, resource_version, write_resource_name};

/// The paths that the generators of this module read.
pub(super) const CREATED: &str = "metadata.creationTimestamp";
pub(super) const DELETED: &str = "metadata.deletionTimestamp";
pub(super) const GENERATION: &str = "metadata.generation";
pub(super) const OWNERS: &str = "metadata.ownerReferences";

/// Unix seconds of a time, rounded down; none where it is absent or the zero time.
pub(super) fn unix(time: Option<&Time>) -> Option<i64> {
    unix_seconds(&time?.0)
}

/// Unix seconds of `metadata.creationTimestamp`.
pub(super) fn created<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().creation_timestamp.as_ref()));
}

/// Unix seconds of `metadata.deletionTimestamp`.
pub(super) fn deleted<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().deletion_timestamp.as_ref()));
}

/// `metadata.generation`, 0 where it is absent.
pub(super) fn generation<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.value(object.meta().generation.unwrap_or(0));
}

/// `metadata.resourceVersion` as a number, where it is a decimal integer.
pub(super) fn version<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(
        object
            .meta()
            .resource_version
            .as_deref()
            .and_then(resource_version::parse),
    );
}

/// One sample of value 1 whatever the object.
pub(super) fn always<K>(_: &K, s: &mut Samples<'_>) {
    s.value(1);
}

/// The labels of an object that an allowlist selects, completing the family `builder`.
pub(super) fn labels<K: Resource>(builder: FamilyBuilder<K>) -> Family<K> {
    builder
        .labels(["label_*"])
        .reads(["metadata.labels"])
        .allowlisted(Allowlisted::Labels)
        .generate(|object, s| allowlisted("label", object.meta().labels.as_ref(), s))
}

/// The annotations of an object that an allowlist selects, completing the family `builder`.
pub(super) fn annotations<K: Resource>(builder: FamilyBuilder<K>) -> Family<K> {
    builder
        .labels(["annotation_*"])
        .reads(["metadata.annotations"])
        .allowlisted(Allowlisted::Annotations)
        .generate(|object, s| allowlisted("annotation", object.meta().annotations.as_ref(), s))
}

fn allowlisted(prefix: &str, map: Option<&BTreeMap<String, String>>, s: &mut Samples<'_>) {
    let allowed: Vec<_> = pairs(map).filter(|(key, _)| s.allows(key)).collect();
    s.sample().map_labels(prefix, allowed.into_iter()).value(1);
}

/// The entries of an optional string map, in ascending order of their keys.
pub(super) fn pairs(
    map: Option<&BTreeMap<String, String>>,
) -> impl Iterator<Item = (&str, &str)> + Clone {
    map.into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str()))
}

/// One sample per owner with `owner_kind`, `owner_name` and `owner_is_controller`; one with empty
/// labels where there is none.
pub(super) fn owners<K: Resource>(object: &K, s: &mut Samples<'_>) {
    let owners = object
        .meta()
        .owner_references
        .as_deref()
        .unwrap_or_default();
    for owner in owners {
        s.label("owner_kind", &owner.kind)
            .label("owner_name", &owner.name)
            .label("owner_is_controller", owner.controller.unwrap_or(false))
            .value(1);
    }
    if owners.is_empty() {
        s.label("owner_kind", "")
            .label("owner_name", "")
            .label("owner_is_controller", "")
            .value(1);
    }
}

/// The three samples of a condition, `true`, `false` and `unknown`: 1 for its status.
///
/// `start` begins each sample with the labels that come before; `name` is the label of the status.
pub(super) fn condition<'a>(
    s: &mut Samples<'a>,
    name: &str,
    status: &str,
    start: impl for<'s> Fn(&'s mut Samples<'a>) -> Sample<'s, 'a>,
) {
    for (state, text) in [("true", "True"), ("false", "False"), ("unknown", "Unknown")] {
        start(s).label(name, state).value(status == text);
    }
}

/// The quantity called `name` of an optional map, where it is there and parses.
pub(super) fn quantity<'a>(
    map: Option<&'a BTreeMap<String, QuantityText>>,
    name: &str,
) -> Option<Quantity<'a>> {
    Quantity::parse(&map?.get(name)?.0)
}

/// A resource name as a value of the label `resource`, sanitised while it is written.
pub(super) fn resource_label(name: &str) -> impl LabelValue {
    struct ResourceName<'a>(&'a str);
    impl WriteLabel for ResourceName<'_> {
        fn write_to(&self, out: &mut Vec<u8>) {
            write_resource_name(out, self.0);
        }
    }
    ResourceName(name)
}

/// A field that is an `Option` with some Kubernetes versions of `k8s_openapi` and none with others.
pub(super) fn optional<'a, T, F>(field: &'a F) -> Option<&'a T>
where
    Option<&'a T>: From<&'a F>,
{
    Option::from(field)
}
