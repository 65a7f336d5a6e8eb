//! Code that families of several resources share: metadata, optional fields, conditions and quantities.

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

/// Writes three samples for a condition: one each for the statuses `true`, `false` and `unknown`. The sample of the
/// current status has the value 1, the others have the value 0.
///
/// `start` writes the first labels of each sample. `name` is the name of the label with the status.
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

/// Returns the quantity with the key `name` in a map; `None` if the map or the key is absent, or if the quantity is
/// invalid.
pub(super) fn quantity<'a>(
    map: Option<&'a BTreeMap<String, QuantityText>>,
    name: &str,
) -> Option<Quantity<'a>> {
    Quantity::parse(&map?.get(name)?.0)
}

/// Returns the name of a resource (such as `nvidia.com/gpu`) as a label value. Each character that is not a letter, a
/// digit or `_` becomes `_`.
pub(super) fn resource_label(name: &str) -> impl LabelValue {
    struct ResourceName<'a>(&'a str);
    impl WriteLabel for ResourceName<'_> {
        fn write_to(&self, out: &mut Vec<u8>) {
            write_resource_name(out, self.0);
        }
    }
    ResourceName(name)
}
