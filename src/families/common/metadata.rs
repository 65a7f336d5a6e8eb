//! Families about the metadata of objects: times, generation and owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;

use crate::family::{Samples, unix_seconds};
use crate::k8s::resource_version;

/// The paths of the fields that the functions of this module read.
pub(in crate::families) const CREATED: &str = "metadata.creationTimestamp";
pub(in crate::families) const DELETED: &str = "metadata.deletionTimestamp";
pub(in crate::families) const GENERATION: &str = "metadata.generation";
pub(in crate::families) const OWNERS: &str = "metadata.ownerReferences";
pub(in crate::families) const VERSION: &str = "metadata.resourceVersion";

/// Converts a time to Unix seconds, rounded down; returns `None` if the time is absent or is the zero time.
pub(in crate::families) fn unix(time: Option<&Time>) -> Option<i64> {
    unix_seconds(&time?.0)
}

/// Writes a sample with `metadata.creationTimestamp` in Unix seconds.
pub(in crate::families) fn created<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().creation_timestamp.as_ref()));
}

/// Writes a sample with `metadata.deletionTimestamp` in Unix seconds.
pub(in crate::families) fn deleted<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().deletion_timestamp.as_ref()));
}

/// Writes a sample with `metadata.generation`, or with 0 if the field is absent.
pub(in crate::families) fn generation<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.value(object.meta().generation.unwrap_or(0));
}

/// If `metadata.resourceVersion` is a decimal integer, writes a sample with this number.
pub(in crate::families) fn version<K: Resource>(object: &K, s: &mut Samples<'_>) {
    let version = object.meta().resource_version.as_deref();
    s.maybe_value(version.and_then(resource_version::parse));
}

/// Writes one sample with the value 1 for every object.
pub(in crate::families) fn always<K>(_: &K, s: &mut Samples<'_>) {
    s.value(1);
}

/// Writes one sample for each owner. The labels are `owner_kind`, `owner_name` and `owner_is_controller`. If there is
/// no owner, writes one sample whose labels are empty.
pub(in crate::families) fn owners<K: Resource>(object: &K, s: &mut Samples<'_>) {
    for owner in owners_or_none(object) {
        let sample = s
            .label("owner_kind", owner.map(|owner| &owner.kind))
            .label("owner_name", owner.map(|owner| &owner.name));
        let is_controller = owner.map(|owner| owner.controller.unwrap_or(false));
        sample.label("owner_is_controller", is_controller).value(1);
    }
}

/// Writes the same samples as [`owners`], but without the label `owner_is_controller`.
pub(in crate::families) fn owners_without_controller<K: Resource>(object: &K, s: &mut Samples<'_>) {
    for owner in owners_or_none(object) {
        s.label("owner_kind", owner.map(|owner| &owner.kind))
            .label("owner_name", owner.map(|owner| &owner.name))
            .value(1);
    }
}

/// Returns the owners of an object. If there is no owner, returns a single `None`.
fn owners_or_none<K: Resource>(object: &K) -> impl Iterator<Item = Option<&OwnerReference>> {
    let owners = object.meta().owner_references.as_deref();
    let owners = owners.unwrap_or_default();
    let none = owners.is_empty().then_some(None);
    owners.iter().map(Some).chain(none)
}
