//! Parsers of option values. The caller writes the value before the error message, so the value and the message are one
//! sentence. The message also states what to write instead: "`x` is not a port; give a number from 0 to 65535".

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use kube_state_metrics::filter::AllowlistConfig;
use kube_state_metrics::registry::{JoinConfig, JoinError};
use kube_state_metrics::source::health::ReadinessPolicy;
use prometheus_web_config::duration::{self, DurationError};

use crate::server_url;

/// A limit on time. `None` means no limit.
pub(crate) type Timeout = Option<Duration>;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The clients that may use the debug endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DebugAccess {
    /// Clients in the same pod or on the same machine, and authenticated clients.
    #[default]
    Local,
    /// All clients.
    Open,
}

/// What a leader does while it cannot renew the Lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnOutage {
    /// The leader serves the metrics of objects until it learns that another replica leads.
    #[default]
    Keep,
    /// The leader stops serving, so that two replicas never serve the metrics of objects at the same time.
    Silent,
}

/// Accepts any text.
pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Accepts any text. An empty text is `None`.
pub(crate) fn optional_text(text: &str) -> Result<Option<String>, String> {
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Accepts any path. An empty path is `None`.
pub(crate) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(optional_text(text)?.map(PathBuf::from))
}

/// Parses a boolean. Accepts the same texts as Go, such as `true`, `T` and `1`.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("is neither `true` nor `false`".into()),
    }
}

/// Parses a TCP port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "is not a port; give a number from 0 to 65535".into())
}

/// Parses a number that is not negative.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>();
    number.map_err(|_| format!("is not a number from 0 to {}", u32::MAX))
}

/// Parses a limit: a number from 0 to the largest signed 64-bit integer, as in the Go program kube-state-metrics.
pub(crate) fn limit(text: &str) -> Result<u64, String> {
    let limit = text.parse::<i64>().ok();
    let limit = limit.and_then(|limit| u64::try_from(limit).ok());
    limit.ok_or_else(|| format!("is not a number from 0 to {}", i64::MAX))
}

/// Parses a number of bytes, with or without a unit: `65536`, `64KiB`, `16MiB`, `1GiB`. The units of Kubernetes
/// (`Ki`, `Mi`, `Gi`) are accepted, too.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let units = [
        ("KiB", 10),
        ("MiB", 20),
        ("GiB", 30),
        ("Ki", 10),
        ("Mi", 20),
        ("Gi", 30),
    ];
    let unit = units
        .iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((text, 0));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<usize>().ok().filter(|_| is_number);
    let bytes = number.and_then(|number| number.checked_mul(1 << bits));
    bytes.ok_or_else(|| "is not a size; write bytes, or a size such as `16MiB`".into())
}

/// Parses a number that may be negative.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "is not a whole number".into())
}

/// Parses a number of at least 1.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    number
        .map(|number| number as usize)
        .ok_or_else(|| "is not a number from 1 to 4294967295".into())
}

/// Parses a ratio above 0 and up to 1.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok();
    let ratio = ratio.filter(|ratio| *ratio > 0.0 && *ratio <= 1.0);
    ratio.ok_or_else(|| "is not a number above 0 and at most 1".into())
}

/// Parses a limit on time in [Go's notation](https://pkg.go.dev/time#ParseDuration), such as `1m30s`. Zero disables the
/// limit.
pub(crate) fn timeout(text: &str) -> Result<Timeout, String> {
    let timeout = timeout_as_in_go(text)?;
    match text.starts_with('-') {
        true => Err("is negative; give `0` or more, such as `30s`".to_owned()),
        false => Ok(timeout),
    }
}

/// Parses a limit on time. Zero and negative durations disable the limit, as in Go's HTTP server.
pub(crate) fn timeout_as_in_go(text: &str) -> Result<Timeout, String> {
    match duration::parse(text) {
        Ok(timeout) => Ok((!timeout.is_zero()).then_some(timeout)),
        Err(DurationError::TooLong) => {
            Err("is longer than the maximum; `0` disables the limit".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Parses a limit on time. An empty text is `None`, which means that the option is not set.
pub(crate) fn optional_timeout(text: &str) -> Result<Option<Timeout>, String> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(timeout)
        .transpose()
}

/// Parses the URL of a server. The scheme is optional.
pub(crate) fn server(text: &str) -> Result<http::Uri, String> {
    server_url::parse(text).map_err(|error| error.to_string())
}

/// Parses the URL of a server. An empty text is `None`.
pub(crate) fn optional_server(text: &str) -> Result<Option<http::Uri>, String> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(server)
        .transpose()
}

/// Parses the name of a readiness policy.
pub(crate) fn readiness(text: &str) -> Result<ReadinessPolicy, String> {
    text.parse()
        .map_err(|_| "is neither `default` nor `strict`".into())
}

/// Parses the name of a log format.
pub(crate) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither `text` nor `json`".into()),
    }
}

/// Parses the value of `--telemetry-debug`.
pub(crate) fn debug_access(text: &str) -> Result<DebugAccess, String> {
    match text {
        "local" => Ok(DebugAccess::Local),
        "open" => Ok(DebugAccess::Open),
        _ => Err("is neither `local` nor `open`".into()),
    }
}

/// Parses the value of `--wire`. Returns true if the exporter may request protobuf.
pub(crate) fn wire(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(true),
        "json" => Ok(false),
        _ => Err("is neither `auto` nor `json`".into()),
    }
}

/// The longest duration of a Lease that the options allow.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_secs(300);

/// Parses the duration of a Lease. A duration of less than 3 s is too short, because the Lease would expire when the
/// API server is slow. A duration of more than 5 min is too long, because the crash of a leader would cause long gaps
/// in graphs.
pub(crate) fn lease_duration(text: &str) -> Result<Duration, String> {
    let limits = Duration::from_secs(3)..=LONGEST_LEASE;
    let duration = timeout(text)?.unwrap_or_default();
    match limits.contains(&duration) {
        true => Ok(duration),
        false => Err("is not a duration from `3s` to `5m`".into()),
    }
}

/// Parses the value of `--ha-on-outage`.
pub(crate) fn on_outage(text: &str) -> Result<OnOutage, String> {
    match text {
        "keep" => Ok(OnOutage::Keep),
        "silent" => Ok(OnOutage::Silent),
        _ => Err("is neither `keep` nor `silent`".into()),
    }
}

/// Parses patterns per resource, such as `pods=[team]`. The errors of this parser are complete sentences; the errors of
/// most parsers in this file are only parts of sentences.
pub(crate) fn allowlists(text: &str) -> Result<AllowlistConfig, String> {
    AllowlistConfig::parse(text).map_err(|error| error.to_string())
}

/// Parses the value of `--join-labels`: labels to add to the samples of each resource, such as `pods=[namespace/team]`.
/// The errors of this parser are complete sentences; the errors of most parsers in this file are only parts of
/// sentences.
pub(crate) fn joins(text: &str) -> Result<JoinConfig, String> {
    text.parse().map_err(|error: JoinError| error.to_string())
}

/// Splits values at commas. Returns the items in order and without duplicates.
pub(crate) fn items(values: &[String]) -> Vec<String> {
    let items = values.iter().flat_map(|value| value.split(','));
    let items = items.map(str::trim).filter(|item| !item.is_empty());
    let mut known = HashSet::new();
    let items = items.filter(|item| known.insert(*item));
    items.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_split_a_list_grows_linearly() {
        let list: Vec<_> = (0..100_000).map(|number| number.to_string()).collect();
        let start = std::time::Instant::now();
        assert_eq!(items(&[list.clone(), list.clone()].concat()), list);
        // Without an optimizing compiler, a comparison of all pairs takes more than a minute.
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("16MiB", 16 << 20),
            ("16Mi", 16 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        let long = "9".repeat(30);
        for text in [
            "", "MiB", "-1", "+1", "1.5MiB", "16MB", "16 MiB", "16mib", &long,
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_in_go() {
        let cases = [
            ("300ms", 0.3),
            ("5s", 5.0),
            ("1m30s", 90.0),
            ("1.5h", 5400.0),
            (".5s", 0.5),
            ("+2m", 120.0),
            ("100\u{b5}s", 1e-4),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                timeout(text),
                Ok(Some(Duration::from_secs_f64(seconds))),
                "{text}"
            );
        }
        for text in ["0", "0s"] {
            assert_eq!(timeout(text), Ok(None), "{text}");
        }
        for text in ["-5s", "-1h"] {
            assert_eq!(timeout_as_in_go(text), Ok(None), "{text}");
            let problem = timeout(text).unwrap_err();
            assert_eq!(problem, "is negative; give `0` or more, such as `30s`");
        }
        for text in [
            "",
            "5",
            "s",
            "-",
            "5 s",
            "5x",
            "1m30",
            "1..5s",
            "1e3s",
            "\u{661}s",
            "99999999999999999h",
        ] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_trimmed_and_count_each_item_once() {
        let values = [
            " pods,\n nodes ,,".to_owned(),
            "pods".to_owned(),
            String::new(),
        ];
        assert_eq!(items(&values), ["pods", "nodes"]);
    }

    #[test]
    fn servers_may_lack_their_scheme() {
        for text in [
            "https://a",
            "http://a:1/x",
            "a",
            "127.0.0.1:6443",
            "[::1]:6443",
        ] {
            assert!(server(text).is_ok(), "{text}");
        }
        for text in ["", "/a", "ftp://a", "a:b", "a:1/x", "a b", "u@a:"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_and_numbers_refuse_the_rest() {
        assert_eq!((switch("T"), switch("False")), (Ok(true), Ok(false)));
        assert!(switch("yes").is_err() && switch("").is_err());
        assert!(port("65536").is_err() && number("-1").is_err() && positive("0").is_err());
        assert!(ratio("0").is_err() && ratio("NaN").is_err() && ratio("1").is_ok());
    }
}
