//! [OpenMetrics], version 1.0.
//!
//! In the header of a counter, the name has no suffix `_total`, but the names of the samples have it. In the header of
//! an info, the name has no suffix `_info`. A state set has a label with the name of the family. Samples that differ
//! only in this label must be adjacent. If a family violates one of these rules, it gets a more general type.
//!
//! [OpenMetrics]: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md

use std::borrow::Cow;

use super::spec::{FormatSpec, write_header};
use crate::exposition::family_metadata::FamilyMetadata;
use crate::family::MetricType;
use crate::k8s::write_openmetrics_help;

pub(super) struct OpenMetrics;

// === impl FormatSpec for OpenMetrics ===

impl FormatSpec for OpenMetrics {
    fn content_type(&self) -> &'static str {
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    }

    fn media_type(&self) -> &'static str {
        "application/openmetrics-text"
    }

    /// Returns both versions of OpenMetrics. The text is the same for both versions.
    fn versions(&self) -> &'static [&'static str] {
        &["0.0.1", "1.0.0"]
    }

    /// The names of metrics and labels contain no characters that need escaping. So the response is correct for every
    /// escaping scheme that a request can name.
    fn negotiated_content_type(&self, version: &str, escaping: &str) -> Cow<'static, str> {
        if (version, escaping) == ("1.0.0", "underscores") {
            return Cow::Borrowed(self.content_type());
        }
        let media_type = self.media_type();
        Cow::Owned(format!(
            "{media_type}; version={version}; charset=utf-8; escaping={escaping}"
        ))
    }

    fn write_header(&self, family: &FamilyMetadata, out: &mut Vec<u8>) {
        let (name, metric_type) = name_and_type(family);
        write_header(out, name, metric_type, |out| {
            write_openmetrics_help(out, family.help());
        });
    }

    fn terminator(&self) -> &'static [u8] {
        b"# EOF\n"
    }
}

fn name_and_type(family: &FamilyMetadata) -> (&str, &'static str) {
    let (name, short_name) = (family.name(), family.short_name());
    match (family.metric_type(), short_name) {
        (MetricType::Counter, Some(short_name)) => (short_name, "counter"),
        (MetricType::Counter, None) | (MetricType::Unknown, _) => (name, "unknown"),
        (MetricType::Info, Some(short_name)) => (short_name, "info"),
        (MetricType::StateSet, _) if family.is_state_set() => (name, "stateset"),
        (MetricType::Gauge | MetricType::Info | MetricType::StateSet, _) => (name, "gauge"),
    }
}
