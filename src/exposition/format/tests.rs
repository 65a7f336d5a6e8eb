//! Tests the headers of families in both formats.

use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::Family;
use crate::exposition::family_metadata::FamilyMetadata;
use crate::exposition::header_names::HeaderNames;

fn both(family: Family<Pod>, taken: &str) -> [String; 2] {
    let mut header_names = HeaderNames::new([taken].into_iter());
    let mut metadata = FamilyMetadata::new(family.descriptor(), &[]);
    metadata.take_short_name(&mut header_names);
    [Format::Text, Format::OpenMetrics].map(|format| {
        let mut header = Vec::new();
        format.spec().write_header(&metadata, &mut header);
        String::from_utf8(header).unwrap()
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
    let last = |builder: crate::family::FamilyBuilder<Pod>, taken| {
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
