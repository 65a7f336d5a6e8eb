//! Converts strings of the Kubernetes API to numbers, label names and label values.
//!
//! This module is independent of objects, families and stores. Every function converts a string or a number. No
//! function does I/O or panics. A function that allocates says so in its documentation, or returns an owned type such
//! as `String`. For an invalid input, a function returns `None` or an error, and the caller omits the sample.

mod base64;
mod cron;
mod escape;
mod int_or_percent;
mod ip;
mod names;
mod number;
mod quantity;
mod resource_name;
pub(crate) mod resource_version;
mod timestamp;

#[cfg(any(feature = "custom-resources", feature = "manifests"))]
pub(crate) use self::base64::decode_base64;
pub(crate) use self::base64::normalize_base64;
pub(crate) use cron::{next_after, validate};
pub(crate) use escape::{label_value_len, write_help, write_label_value, write_openmetrics_help};
pub(crate) use int_or_percent::{IntOrPercent, scaled};
pub(crate) use ip::ip_family;
#[cfg(feature = "custom-resources")]
pub(crate) use names::METRIC_NAME;
pub(crate) use names::{
    is_valid_label_name, is_valid_metric_name, label_names, sanitize_label, write_map_label_name,
    write_resource_name,
};
pub(crate) use number::write_f64;
pub(crate) use quantity::Quantity;
pub(crate) use resource_name::{Unit, container_units, node_units};
pub(crate) use timestamp::{Timestamp, normalize_rfc3339};
