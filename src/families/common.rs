//! Code that families of several resources share: metadata, optional fields, conditions, quantities.

pub(super) mod admission;
mod allowlisted;
mod metadata;
mod optional;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use crate::family::sealed::WriteLabel;
use crate::family::{LabelValue, Sample, Samples};
use crate::k8s::{Quantity, write_resource_name};

pub(super) use allowlisted::{annotations, labels, pairs};
pub(super) use metadata::{
    CREATED, DELETED, GENERATION, OWNERS, VERSION, always, created, deleted, generation, owners,
    owners_without_controller, unix, version,
};
pub(super) use optional::{if_present, optional, or_zero, text};

/// Writes three samples of a condition, for `true`, `false` and `unknown`: 1 for the current status, otherwise 0.
///
/// `start` begins each sample with the labels before the status; `name` is the label of the status.
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

/// The quantity called `name` of an optional map, if it exists and is valid.
pub(super) fn quantity<'a>(
    map: Option<&'a BTreeMap<String, QuantityText>>,
    name: &str,
) -> Option<Quantity<'a>> {
    Quantity::parse(&map?.get(name)?.0)
}

/// Returns a resource name as a value of the label `resource`, sanitised while it is written.
pub(super) fn resource_label(name: &str) -> impl LabelValue {
    struct ResourceName<'a>(&'a str);
    impl WriteLabel for ResourceName<'_> {
        fn write_to(&self, out: &mut Vec<u8>) {
            write_resource_name(out, self.0);
        }
    }
    ResourceName(name)
}
