//! Families of an object's metadata: times, generation, owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;

use crate::family::{Samples, unix_seconds};
use crate::k8s::resource_version;

/// The paths that the generators of this module read.
pub(in crate::families) const CREATED: &str = "metadata.creationTimestamp";
pub(in crate::families) const DELETED: &str = "metadata.deletionTimestamp";
pub(in crate::families) const GENERATION: &str = "metadata.generation";
pub(in crate::families) const OWNERS: &str = "metadata.ownerReferences";
pub(in crate::families) const VERSION: &str = "metadata.resourceVersion";

/// Returns the Unix seconds of a time, rounded down; `None` if the time is absent or the zero time.
pub(in crate::families) fn unix(time: Option<&Time>) -> Option<i64> {
    unix_seconds(&time?.0)
}

/// Writes the Unix seconds of `metadata.creationTimestamp`.
pub(in crate::families) fn created<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().creation_timestamp.as_ref()));
}

/// Writes the Unix seconds of `metadata.deletionTimestamp`.
pub(in crate::families) fn deleted<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.maybe_value(unix(object.meta().deletion_timestamp.as_ref()));
}

/// Writes `metadata.generation`, or 0 if the field is absent.
pub(in crate::families) fn generation<K: Resource>(object: &K, s: &mut Samples<'_>) {
    s.value(object.meta().generation.unwrap_or(0));
}

/// Writes `metadata.resourceVersion` as a number, if it is a decimal integer.
pub(in crate::families) fn version<K: Resource>(object: &K, s: &mut Samples<'_>) {
    let version = object.meta().resource_version.as_deref();
    s.maybe_value(version.and_then(resource_version::parse));
}

/// Writes one sample of value 1 for every object.
pub(in crate::families) fn always<K>(_: &K, s: &mut Samples<'_>) {
    s.value(1);
}

/// Writes one sample per owner with `owner_kind`, `owner_name` and `owner_is_controller`. Without an
/// owner, it writes one sample with empty labels.
pub(in crate::families) fn owners<K: Resource>(object: &K, s: &mut Samples<'_>) {
    for owner in owners_or_none(object) {
        let sample = s
            .label("owner_kind", owner.map(|owner| &owner.kind))
            .label("owner_name", owner.map(|owner| &owner.name));
        let is_controller = owner.map(|owner| owner.controller.unwrap_or(false));
        sample.label("owner_is_controller", is_controller).value(1);
    }
}

/// Writes the same samples as [`owners`], but without `owner_is_controller`.
pub(in crate::families) fn owners_without_controller<K: Resource>(object: &K, s: &mut Samples<'_>) {
    for owner in owners_or_none(object) {
        s.label("owner_kind", owner.map(|owner| &owner.kind))
            .label("owner_name", owner.map(|owner| &owner.name))
            .value(1);
    }
}

/// The owners of an object; a single `None` if there is no owner.
fn owners_or_none<K: Resource>(object: &K) -> impl Iterator<Item = Option<&OwnerReference>> {
    let owners = object.meta().owner_references.as_deref();
    let owners = owners.unwrap_or_default();
    let none = owners.is_empty().then_some(None);
    owners.iter().map(Some).chain(none)
}
