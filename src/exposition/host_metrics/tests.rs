//! Tests the conversion of the embedding program's metrics to the other format.

use super::*;

const TEXT: &str = r#"# A comment.
# HELP acme_orders_total Orders of the "shop".
# TYPE acme_orders_total counter
acme_orders_total{state="pa\"id}",shop="a b"} 7
acme_orders_total{state=""} 1 1700000000123
# HELP acme_restarts Restarts.
# TYPE acme_restarts counter
acme_restarts 2

# HELP acme_queue Length.\nA gauge.
# TYPE acme_queue gauge
acme_queue NaN
# HELP acme_latency_seconds Latency.
# TYPE acme_latency_seconds histogram
acme_latency_seconds_bucket{le="1"} 3
acme_latency_seconds_bucket{le="+Inf"} 4
acme_latency_seconds_sum 2.5
acme_latency_seconds_count 4
# TYPE acme_other untyped
acme_other 1
"#;

const TEXT_AS_OPENMETRICS: &str = r#"# HELP acme_orders Orders of the \"shop\".
# TYPE acme_orders counter
acme_orders_total{state="pa\"id}",shop="a b"} 7
acme_orders_total{state=""} 1 1700000000.123
# HELP acme_restarts Restarts.
# TYPE acme_restarts unknown
acme_restarts 2
# HELP acme_queue Length.\nA gauge.
# TYPE acme_queue gauge
acme_queue NaN
# HELP acme_latency_seconds Latency.
# TYPE acme_latency_seconds histogram
acme_latency_seconds_bucket{le="1"} 3
acme_latency_seconds_bucket{le="+Inf"} 4
acme_latency_seconds_sum 2.5
acme_latency_seconds_count 4
# TYPE acme_other unknown
acme_other 1
"#;

const OPENMETRICS: &str = r##"# HELP acme_orders Orders of the \"shop\" in C:\\temp.
# TYPE acme_orders counter
acme_orders_total{state="paid"} 7 1700000000.5 # {trace_id="#1"} 1.0 1700000000
acme_orders_created{state="paid"} 1600000000.0
# TYPE acme_size_bytes histogram
# UNIT acme_size_bytes bytes
acme_size_bytes_bucket{le="1.0"} 3 # {trace_id="x"} 0.5
acme_size_bytes_bucket{le="+Inf"} 4
acme_size_bytes_count 4
acme_size_bytes_sum 9.5
# TYPE acme_build info
acme_build_info{version="1"} 1
# TYPE acme_state stateset
acme_state{acme_state="on"} 1
# TYPE acme_other unknown
acme_other 1
# EOF
"##;

const OPENMETRICS_AS_TEXT: &str = r#"# HELP acme_orders_total Orders of the "shop" in C:\\temp.
# TYPE acme_orders_total counter
acme_orders_total{state="paid"} 7 1700000000500
# TYPE acme_size_bytes histogram
acme_size_bytes_bucket{le="1.0"} 3
acme_size_bytes_bucket{le="+Inf"} 4
acme_size_bytes_count 4
acme_size_bytes_sum 9.5
# TYPE acme_build_info gauge
acme_build_info{version="1"} 1
# TYPE acme_state gauge
acme_state{acme_state="on"} 1
# TYPE acme_other untyped
acme_other 1
"#;

#[test]
fn text_becomes_openmetrics_and_openmetrics_text() {
    let text = HostMetrics::text(TEXT);
    assert_eq!(text.lines_in(Format::OpenMetrics), TEXT_AS_OPENMETRICS);
    let openmetrics = HostMetrics::openmetrics(OPENMETRICS);
    assert_eq!(openmetrics.lines_in(Format::Text), OPENMETRICS_AS_TEXT);
}

#[test]
fn the_format_of_the_exposition_stays_as_it_is_without_a_terminator() {
    assert_eq!(HostMetrics::text(TEXT).lines_in(Format::Text), TEXT);
    let openmetrics = HostMetrics::openmetrics(OPENMETRICS).lines_in(Format::OpenMetrics);
    assert_eq!(openmetrics, OPENMETRICS.strip_suffix("# EOF\n").unwrap());
    for nothing in ["", "\n", "# EOF", "# EOF\n"] {
        for format in [Format::Text, Format::OpenMetrics] {
            assert_eq!(HostMetrics::openmetrics(nothing).lines_in(format), "");
            assert_eq!(HostMetrics::text(nothing).lines_in(format), "");
        }
    }
    assert_eq!(HostMetrics::text("a 1").lines_in(Format::Text), "a 1\n");
}

#[test]
fn a_short_name_that_another_family_has_stays_long() {
    let text = "# TYPE a_total counter\na_total 1\n# TYPE a gauge\na 2\n";
    assert_eq!(
        HostMetrics::text(text).lines_in(Format::OpenMetrics),
        "# TYPE a_total unknown\na_total 1\n# TYPE a gauge\na 2\n"
    );
}

#[test]
fn broken_lines_are_left_out_of_a_conversion() {
    let text = "a{b=\"c 1\nd\n# HELP\n# TYPE x gauge\nx 1 y\n";
    assert_eq!(
        HostMetrics::text(text).lines_in(Format::OpenMetrics),
        "# TYPE x gauge\nx 1\n"
    );
}
