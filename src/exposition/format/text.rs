//! The [Prometheus text format], version 0.0.4.
//!
//! [Prometheus text format]: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

use super::spec::{FormatSpec, write_header};
use crate::exposition::family_metadata::FamilyMetadata;
use crate::family::MetricType;
use crate::k8s::write_help;

pub(super) struct Text;

// === impl FormatSpec for Text ===

impl FormatSpec for Text {
    fn content_type(&self) -> &'static str {
        "text/plain; version=0.0.4; charset=utf-8"
    }

    fn media_type(&self) -> &'static str {
        "text/plain"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["0.0.4"]
    }

    fn write_header(&self, family: &FamilyMetadata, out: &mut Vec<u8>) {
        let metric_type = match family.metric_type() {
            MetricType::Counter => "counter",
            MetricType::Unknown => "untyped",
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
        };
        write_header(out, family.name(), metric_type, |out| {
            write_help(out, family.help());
        });
    }
}
