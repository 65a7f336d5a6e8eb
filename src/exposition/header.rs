//! The `# HELP` and `# TYPE` lines of a family, in both formats.

use crate::family::{FamilyDescriptor, MetricType, Stability};
use crate::k8s::{write_help, write_openmetrics_help};

use super::Format;

/// The header of a family, as all who feed it declare it; `taken` tells whether another family has
/// a name.
pub(super) fn header(
    declared: &[&FamilyDescriptor],
    format: Format,
    taken: impl Fn(&str) -> bool,
) -> Box<[u8]> {
    let Some(family) = declared.first() else {
        return Box::default();
    };
    let (name, kind) = match format {
        Format::Text => (family.name(), text_type(family.metric_type())),
        Format::OpenMetrics => {
            // One who does not carry the state in the label makes it a gauge for all.
            let has_states = declared.iter().all(|own| has_state(own));
            open_metrics_type(family, has_states, taken)
        }
    };
    let mut out = Vec::new();
    out.extend_from_slice(b"# HELP ");
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    let help = help(family);
    match format {
        Format::Text => write_help(&mut out, &help),
        Format::OpenMetrics => write_openmetrics_help(&mut out, &help),
    }
    out.extend_from_slice(b"\n# TYPE ");
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
    out.into()
}

/// The help text with the markers of stable and deprecated families.
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

fn text_type(metric_type: MetricType) -> &'static str {
    match metric_type {
        MetricType::Counter => "counter",
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
    }
}

/// Name and type as OpenMetrics wants them, with a weaker type where the family breaks a rule.
///
/// A counter's samples end in `_total` and an info's in `_info`, and the family's name in the
/// header does not; a state set has a label of its own name.
fn open_metrics_type(
    family: &FamilyDescriptor,
    has_states: bool,
    taken: impl Fn(&str) -> bool,
) -> (&str, &'static str) {
    let name = family.name();
    let stem = |suffix| {
        let stem = name.strip_suffix(suffix).filter(|stem| !stem.is_empty());
        stem.filter(|stem| !taken(stem))
    };
    match family.metric_type() {
        MetricType::Gauge => (name, "gauge"),
        MetricType::Counter => stem("_total").map_or((name, "unknown"), |stem| (stem, "counter")),
        MetricType::Info => stem("_info").map_or((name, "gauge"), |stem| (stem, "info")),
        MetricType::StateSet if has_states => (name, "stateset"),
        MetricType::StateSet => (name, "gauge"),
    }
}

/// Whether a state set has the label that carries the state.
fn has_state(family: &FamilyDescriptor) -> bool {
    family.labels().any(|label| label == family.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;
    use k8s_openapi::api::core::v1::Pod;

    fn both(family: Family<Pod>, taken: &str) -> [String; 2] {
        [Format::Text, Format::OpenMetrics].map(|format| {
            let text = header(&[family.descriptor()], format, |name| name == taken);
            String::from_utf8(text.into()).unwrap()
        })
    }

    #[test]
    fn stable_and_deprecated_families_say_so() {
        let family = Family::gauge("a", "Says \"so\".\n")
            .stable()
            .deprecated("v2.14.0");
        let [text, open_metrics] = both(family.generate(|_, _| {}), "");
        let help = "# HELP a [STABLE] (Deprecated since v2.14.0) Says";
        assert_eq!(text, format!("{help} \"so\".\\n\n# TYPE a gauge\n"));
        assert_eq!(
            open_metrics,
            format!("{help} \\\"so\\\".\\n\n# TYPE a gauge\n")
        );
    }

    #[test]
    fn open_metrics_types_follow_the_rules_or_are_weaker() {
        let last = |builder: crate::FamilyBuilder<Pod>, taken| {
            let [text, open_metrics] = both(builder.generate(|_, _| {}), taken);
            let line = |text: &str| text.lines().last().unwrap_or_default().to_owned();
            (line(&text), line(&open_metrics))
        };
        for (builder, taken, text, open_metrics) in [
            (
                Family::counter("a_total", ""),
                "",
                "a_total counter",
                "a counter",
            ),
            (
                Family::counter("a_total", ""),
                "a",
                "a_total counter",
                "a_total unknown",
            ),
            (Family::counter("a", ""), "", "a counter", "a unknown"),
            (Family::info("a_info", ""), "", "a_info gauge", "a info"),
            (Family::info("a", ""), "", "a gauge", "a gauge"),
            (
                Family::state_set("a", "").labels(["a"]),
                "",
                "a gauge",
                "a stateset",
            ),
            (
                Family::state_set("a", "").labels(["b"]),
                "",
                "a gauge",
                "a gauge",
            ),
        ] {
            let expected = (format!("# TYPE {text}"), format!("# TYPE {open_metrics}"));
            assert_eq!(last(builder, taken), expected);
        }
    }
}
