//! The types that can be the value of a label or of a sample.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::k8s::{Timestamp, write_label_value};

/// A type that can be the value of a label: a string, an integer, a boolean, or an `Option` (`None` is an empty value).
///
/// For other types that implement `Display`, use [`format_args!`]. Only this crate can implement this trait, so that
/// every value is escaped.
///
/// ```
/// use k8s_openapi::api::core::v1::Service;
/// use kube_state_metrics::{Family, testing::render};
/// use serde_json::json;
///
/// let ports = Family::gauge("service_port", "Always 1, one sample per port.")
///     .labels(["port_name", "port", "listens"])
///     .generate(|service: &Service, s| {
///         for port in service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()) {
///             let protocol = port.protocol.as_deref().unwrap_or("TCP");
///             s.label("port_name", port.name.as_deref()) // Option<&str>
///                 .label("port", port.port) // i32
///                 .label("listens", format_args!("{protocol}/{}", port.port))
///                 .value(1);
///         }
///     });
/// let service = json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "port": 80 }] } });
/// render(&ports, service).assert_eq(
///     r#"service_port{namespace="",service="web",port_name="",port="80",listens="TCP/80"} 1"#,
/// );
/// ```
pub trait LabelValue: sealed::WriteLabel {}

/// A type that can be the value of a sample.
///
/// The types are numbers, booleans (1 or 0), durations (in seconds), times (as Unix seconds) and quantities (in their
/// base unit, such as bytes).
///
/// An invalid quantity, and the time `0001-01-01T00:00:00Z`, which means "no time" in Kubernetes, have no value. In
/// these cases, no sample is written. Your crate cannot implement this trait.
///
/// ```
/// use k8s_openapi::api::core::v1::PersistentVolumeClaim;
/// use kube_state_metrics::{Collector, Family, testing::render};
/// use serde_json::json;
///
/// let claims = Collector::<PersistentVolumeClaim>::new()
///     .family(
///         Family::gauge("claim_created", "Unix time of creation.").generate(
///             |claim: &PersistentVolumeClaim, s| s.maybe_value(claim.metadata.creation_timestamp.as_ref()),
///         ),
///     )
///     .family(
///         Family::gauge("claim_capacity", "Capacity in bytes, or whatever the unit is.").labels(["resource"]).generate(
///             |claim: &PersistentVolumeClaim, s| {
///                 let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
///                 for (resource, quantity) in capacity.into_iter().flatten() {
///                     s.label("resource", resource).value(quantity);
///                 }
///             },
///         ),
///     );
/// let claim = json!({
///     "metadata": { "name": "data", "namespace": "shop", "creationTimestamp": "2023-11-14T22:13:20Z" },
///     "status": { "capacity": { "storage": "1.5Gi", "odd": "a lot" } }
/// });
/// render(claims, claim).assert_eq(
///     r#"claim_created{namespace="shop",persistentvolumeclaim="data"} 1700000000
///        claim_capacity{namespace="shop",persistentvolumeclaim="data",resource="storage"} 1610612736"#,
/// );
/// ```
pub trait SampleValue: sealed::Number {}

pub(crate) mod sealed {
    /// A value that can be written as a label value.
    pub trait WriteLabel {
        /// Appends the value's text, escaped.
        fn write_to(&self, out: &mut Vec<u8>);
    }

    /// A value that can be converted to a number.
    pub trait Number {
        /// Returns the value as a double, or `None` if there is no number. Large integers are rounded to the nearest
        /// double.
        fn number(self) -> Option<f64>;
    }
}

use sealed::{Number, WriteLabel};

impl<T: WriteLabel> LabelValue for T {}

// === impl WriteLabel ===

impl WriteLabel for &str {
    fn write_to(&self, out: &mut Vec<u8>) {
        write_label_value(out, self);
    }
}

impl WriteLabel for &String {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.as_str().write_to(out);
    }
}

impl WriteLabel for String {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.as_str().write_to(out);
    }
}

impl WriteLabel for Cow<'_, str> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.as_ref().write_to(out);
    }
}

impl WriteLabel for fmt::Arguments<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        struct Escaped<'o>(&'o mut Vec<u8>);
        impl fmt::Write for Escaped<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                write_label_value(self.0, text);
                Ok(())
            }
        }
        // An error can come only from a `Display` implementation of the caller. The text before the error is kept.
        let _ = fmt::Write::write_fmt(&mut Escaped(out), *self);
    }
}

impl WriteLabel for bool {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl<T: WriteLabel> WriteLabel for Option<T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write_to(out);
        }
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl WriteLabel for $integer {
            fn write_to(&self, out: &mut Vec<u8>) {
                // Writing to memory cannot fail.
                let _ = write!(out, "{self}");
            }
        }

        impl SampleValue for $integer {}

        impl Number for $integer {
            #[allow(clippy::cast_precision_loss, reason = "samples are doubles")]
            #[allow(clippy::cast_lossless, reason = "one body for all widths")]
            fn number(self) -> Option<f64> {
                Some(self as f64)
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

// === impl Number ===

impl SampleValue for f64 {}

impl Number for f64 {
    fn number(self) -> Option<f64> {
        Some(self)
    }
}

impl SampleValue for f32 {}

impl Number for f32 {
    fn number(self) -> Option<f64> {
        Some(self.into())
    }
}

impl SampleValue for bool {}

impl Number for bool {
    fn number(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }
}

impl SampleValue for Duration {}

impl Number for Duration {
    fn number(self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl SampleValue for &Time {}

impl Number for &Time {
    fn number(self) -> Option<f64> {
        unix_seconds(&self.0).and_then(Number::number)
    }
}

impl SampleValue for &MicroTime {}

impl Number for &MicroTime {
    fn number(self) -> Option<f64> {
        let Timestamp { seconds, nanos } = Timestamp::of(&self.0);
        let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        (seconds != ZERO_TIME).then_some(nanos as f64 / 1e9)
    }
}

impl SampleValue for &Quantity {}

impl Number for &Quantity {
    fn number(self) -> Option<f64> {
        crate::k8s::Quantity::parse(&self.0)?.nearest()
    }
}

/// Some fields are an `Option` in one Kubernetes version and a plain number in another version. Code that reads these
/// fields accepts any [`Number`]. An `Option` is not a [`SampleValue`], because each family must decide what it writes
/// for `None`.
impl<T: Number> Number for Option<T> {
    fn number(self) -> Option<f64> {
        self.and_then(Number::number)
    }
}

/// The Unix seconds of 0001-01-01T00:00:00Z. In Kubernetes, this time means "no time".
const ZERO_TIME: i64 = -62_135_596_800;

/// Returns the Unix seconds of a time, rounded down; `None` for [`ZERO_TIME`].
pub(crate) fn unix_seconds(time: &jiff::Timestamp) -> Option<i64> {
    let seconds = Timestamp::of(time).seconds;
    (seconds != ZERO_TIME).then_some(seconds)
}
