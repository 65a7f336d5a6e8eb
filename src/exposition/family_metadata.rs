//! [`FamilyMetadata`]: name, help and type of a family, for the headers of every format.

use super::header_names::HeaderNames;
use crate::family::{FamilyDescriptor, MetricType, Stability};

/// Units at the end of a name, by Prometheus'
/// [naming practice](https://prometheus.io/docs/practices/naming/#base-units).
const BASE_UNITS: &[&str] = &[
    "seconds", "bytes", "ratio", "celsius", "meters", "grams", "joules", "volts", "amperes",
];

/// Name, help and type of a family, merged from all collectors that declare it.
#[derive(Debug)]
pub(crate) struct FamilyMetadata {
    name: String,
    help: String,
    metric_type: MetricType,
    /// Every declaration of a state set has the label with the state.
    has_state_label: bool,
    /// No other family has the name without the suffix of its type.
    is_short_name_free: bool,
}

// === impl FamilyMetadata ===

impl FamilyMetadata {
    /// Merges the declarations of one family: the help text is that of the first one, and the type
    /// covers all of them.
    ///
    /// In OpenMetrics, the family takes its name without the suffix of its type from `header_names`
    /// if the name is free.
    pub(super) fn new(
        first: &FamilyDescriptor,
        others: &[&FamilyDescriptor],
        header_names: &mut HeaderNames<'_>,
    ) -> Self {
        let name = first.name();
        let types = others.iter().map(|declared| declared.metric_type());
        let metric_type = types.fold(first.metric_type(), MetricType::merged_with);
        let has_state_label =
            |declared: &FamilyDescriptor| declared.labels().any(|label| label == name);
        Self {
            name: name.to_owned(),
            help: help(first),
            metric_type,
            has_state_label: has_state_label(first)
                && others.iter().all(|declared| has_state_label(declared)),
            is_short_name_free: short_name(name, metric_type)
                .is_some_and(|short_name| header_names.take(short_name, metric_type)),
        }
    }

    /// The name at the start of every sample.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The help text, with markers for a stable or deprecated family.
    pub(crate) fn help(&self) -> &str {
        &self.help
    }

    pub(crate) fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    /// Whether the samples of a state set have a label with the state.
    pub(crate) fn has_state_label(&self) -> bool {
        self.has_state_label
    }

    /// The name without the suffix of its type (`_total`, `_info`), unless the name lacks the suffix
    /// or another family has the short name.
    pub(crate) fn short_name(&self) -> Option<&str> {
        short_name(&self.name, self.metric_type).filter(|_| self.is_short_name_free)
    }

    /// The base unit at the end of the name, such as `seconds`.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let stem = short_name(&self.name, self.metric_type).unwrap_or(&self.name);
        let (_, last_word) = stem.rsplit_once('_')?;
        BASE_UNITS.iter().copied().find(|unit| *unit == last_word)
    }
}

/// The name without the suffix that its type requires.
fn short_name(name: &str, metric_type: MetricType) -> Option<&str> {
    let suffix = match metric_type {
        MetricType::Counter => "_total",
        MetricType::Info => "_info",
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => return None,
    };
    name.strip_suffix(suffix).filter(|short| !short.is_empty())
}

/// The help text with markers for a stable or deprecated family.
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
            FamilyMetadata::new(
                family.descriptor(),
                &[],
                &mut HeaderNames::new([].into_iter()),
            )
            .unit()
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
