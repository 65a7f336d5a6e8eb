//! Writes the samples of an exposition as input series for `promtool test rules`. The values stay constant for a day.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use kube_state_metrics::exposition::Exposition;
use kube_state_metrics::exposition::StoredSample;

/// How many values follow the first value of a series. If the interval of the test is one minute, these values cover a
/// day.
const INTERVALS: u32 = 24 * 60;

/// Writes a YAML list. Users paste the list below the line `input_series:` of a test file for promtool.
///
/// # Errors
///
/// The function fails if it cannot write to `out`.
pub(super) fn write_series(exposition: &Exposition, mut out: impl Write) -> io::Result<()> {
    exposition.samples().try_for_each(|sample| {
        let (series, value) = (series(&sample), value(sample.value()));
        let series = series.replace('\'', "''");
        writeln!(
            out,
            "  - series: '{series}'\n    values: '{value}+0x{INTERVALS}'"
        )
    })
}

/// The name and the labels of a sample as a PromQL selector.
fn series(sample: &StoredSample<'_>) -> String {
    let mut series = sample.name().to_owned();
    for (number, (name, value)) in sample.labels().enumerate() {
        series.push(if number == 0 { '{' } else { ',' });
        let _ = write!(series, "{name}=\"");
        for character in value.chars() {
            match character {
                '"' | '\\' => series.extend(['\\', character]),
                character if is_printable(character) => series.push(character),
                character => {
                    let _ = write!(series, "\\U{:08x}", u32::from(character));
                }
            }
        }
        series.push('"');
    }
    if series.ends_with('"') {
        series.push('}');
    }
    series
}

/// Whether YAML allows the character in a quoted string, and keeps it unchanged.
fn is_printable(character: char) -> bool {
    let is_odd = matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    );
    !character.is_control() && !is_odd
}

/// Formats a number in the notation of PromQL.
fn value(value: f64) -> Cow<'static, str> {
    if value.is_nan() {
        Cow::Borrowed("NaN")
    } else if value.is_infinite() {
        Cow::Borrowed(if value > 0.0 { "Inf" } else { "-Inf" })
    } else {
        Cow::Owned(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use kube_state_metrics::exposition::{ExpositionFilter, Format};
    use kube_state_metrics::{Collector, Family, StateMetrics};

    use super::*;

    #[test]
    fn labels_and_values_are_written_as_yaml_and_promql_read_them() {
        let odd = Family::gauge("odd", "Odd values.").generate(|_: &Node, s| {
            s.label("a", "it's \"x\" \\ 1\n2\u{85}\u{2028}é🚀")
                .value(0.5);
            s.label("b", "c").value(f64::NAN);
            s.value(f64::INFINITY);
        });
        let collector = Collector::new().no_base_labels().family(odd);
        let metrics = StateMetrics::builder()
            .collector(collector)
            .all_fed_by_host()
            .build()
            .unwrap();
        metrics.feed().unwrap().apply_object(&Node::default());
        let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
        let mut text = Vec::new();
        write_series(&exposition, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"  - series: 'odd{a="it''s \"x\" \\ 1\U0000000a2\U00000085\U00002028é🚀"}'
    values: '0.5+0x1440'
  - series: 'odd{b="c"}'
    values: 'NaN+0x1440'
  - series: 'odd'
    values: 'Inf+0x1440'
"#
        );
        for (number, text) in [(-1.5e21, "-1500000000000000000000"), (1e-7, "0.0000001")] {
            assert_eq!(value(number), text);
        }
        assert_eq!(value(f64::NEG_INFINITY), "-Inf");
    }
}
