//! [`FamilyMetadata`]: name, help and type of a family.
//!
//! From these values, each format writes a header, that is the lines before the samples of the family.

use super::header_names::HeaderNames;
use crate::family::{FamilyDescriptor, MetricType, Stability};

/// Units with which a name can end, from the [naming practice](https://prometheus.io/docs/practices/naming/#base-units)
/// of Prometheus.
const BASE_UNITS: &[&str] = &[
    "seconds", "bytes", "ratio", "celsius", "meters", "grams", "joules", "volts", "amperes",
];

/// The name, the help and the type of a family. If several collectors declare the family, their declarations are
/// merged.
#[derive(Debug)]
pub(crate) struct FamilyMetadata {
    name: String,
    help: String,
    metric_type: MetricType,
    /// Whether the family is a state set (see [`is_state_set`](Self::is_state_set)).
    is_state_set: bool,
    /// Whether OpenMetrics uses the short name of the family, that is the name without the suffix of the type. If
    /// another family has this name, the short name is not used.
    has_short_name: bool,
}

// === impl FamilyMetadata ===

impl FamilyMetadata {
    /// Merges several declarations of one family. The help text comes from the first declaration. If the declarations
    /// have different types, the merged type is more general.
    pub(super) fn new(first: &FamilyDescriptor, others: &[&FamilyDescriptor]) -> Self {
        let name = first.name();
        let types = others.iter().map(|declared| declared.metric_type());
        let metric_type = types.fold(first.metric_type(), MetricType::merged_with);
        Self {
            name: name.to_owned(),
            help: help(first),
            metric_type,
            is_state_set: metric_type == MetricType::StateSet
                && first.labels().any(|label| label == name)
                && others.is_empty(),
            has_short_name: false,
        }
    }

    /// If no other family has the short name, reserves it for this family. The short name is the name without the
    /// suffix of the type.
    pub(super) fn take_short_name(&mut self, header_names: &mut HeaderNames<'_>) {
        self.has_short_name = header_names.take(&self.name, self.metric_type);
    }

    /// The name with which every sample starts.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The help text. For stable and deprecated families, it starts with a marker.
    pub(crate) fn help(&self) -> &str {
        &self.help
    }

    pub(crate) fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    /// Whether the family is a state set in OpenMetrics.
    ///
    /// In a state set, the label with the name of the family contains the state. The samples that differ only in this
    /// label must be adjacent. A family may have several declarations, and samples of different declarations may differ
    /// only in the state. Such samples are not adjacent. So a family with several declarations is not a state set.
    pub(crate) fn is_state_set(&self) -> bool {
        self.is_state_set
    }

    /// The name without the suffix of the type (`_total` or `_info`). `None` if the name has no such suffix, or if
    /// another family has the short name.
    pub(crate) fn short_name(&self) -> Option<&str> {
        (self.metric_type.short_name(&self.name)).filter(|_| self.has_short_name)
    }

    /// The base unit with which the name ends, such as `seconds`.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let stem = (self.metric_type.short_name(&self.name)).unwrap_or(&self.name);
        let (_, last_word) = stem.rsplit_once('_')?;
        BASE_UNITS.iter().copied().find(|unit| *unit == last_word)
    }
}

/// Returns the help text. For stable and deprecated families, it starts with a marker.
fn help(family: &FamilyDescriptor) -> String {
    let stable = match family.stability() {
        Stability::Stable => "[STABLE] ",
        Stability::Alpha => "",
    };
    let help = family.help();
    match family.deprecated_since() {
        Some(version) => format!("{stable}(Deprecated since {version}) {help}"),
        None => format!("{stable}{help}"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::Family;
    use crate::family::FamilyBuilder;

    #[test]
    fn the_unit_is_the_last_word_before_the_suffix_of_the_type() {
        let unit = |builder: FamilyBuilder<Pod>| {
            let family = builder.generate(|_, _| {});
            FamilyMetadata::new(family.descriptor(), &[]).unit()
        };
        assert_eq!(
            unit(Family::gauge("a_deadline_seconds", "")),
            Some("seconds")
        );
        assert_eq!(unit(Family::counter("a_bytes_total", "")), Some("bytes"));
        assert_eq!(unit(Family::gauge("a_bytes_total", "")), None);
        assert_eq!(unit(Family::gauge("a_pods", "")), None);
        assert_eq!(unit(Family::gauge("seconds", "")), None);
    }
}
