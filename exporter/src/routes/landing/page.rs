//! The content of the landing page, for HTML and for text.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::port::Port;
use super::settings::{Setting, settings};
use crate::app_state::{AppState, Ports};
use crate::humanize::span;
use crate::instance::{InstanceStatus, ResourceStatus};
use crate::report::{FamilyReport, Report, Search};
use crate::server::without_port;
use crate::telemetry::{FileInUse, Scrape, Scraper, scrapers};

pub(super) struct Page {
    pub(super) port: Port,
    pub(super) uptime: String,
    /// The URL of the landing page of the other port; `None` if the request names no valid host.
    pub(super) other_port: Option<String>,
    /// The data that require authorization; `None` if the client may not see these data.
    pub(super) data: Option<Data>,
}

/// The data on the page that require authorization.
pub(super) struct Data {
    pub(super) status: InstanceStatus,
    pub(super) report: Arc<Report>,
    pub(super) search: Search,
    /// The version of the API server, if it is known.
    pub(super) server_version: Option<String>,
    /// A line for each changed configuration that is not in use.
    pub(super) refusals: Vec<String>,
    /// A line for each role that lacks rules.
    pub(super) missing_rules: Vec<String>,
    /// The last scrapes; the newest is first.
    pub(super) scrapes: Vec<Scrape>,
    pub(super) settings: Vec<Setting>,
    pub(super) files: Vec<FileInUse>,
    pub(super) now: SystemTime,
}

/// A path on the same port, and its description.
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) about: &'static str,
}

const MAIN_LINKS: &[Link] = &[
    Link {
        path: "/metrics",
        about: "metrics of objects; ?resources=pods, ?namespace=a, ?name[]=kube_pod_info",
    },
    READY,
    LIVE,
    Link {
        path: "/healthz",
        about: "the same as /livez",
    },
];

const TELEMETRY_LINKS: &[Link] = &[
    Link {
        path: "/metrics",
        about: "metrics of the exporter itself",
    },
    READY,
    LIVE,
    Link {
        path: "/debug/resources",
        about: "the state of every resource as JSON",
    },
    Link {
        path: "/debug/cardinality",
        about: "families by series; ?family=kube_pod_info for its labels",
    },
    Link {
        path: "/debug/memory",
        about: "memory of stores and process",
    },
    Link {
        path: "/debug/log-level",
        about: "the log level; change it with PUT",
    },
];

const READY: Link = Link {
    path: "/readyz?verbose",
    about: "readiness, with the state of every resource",
};
const LIVE: Link = Link {
    path: "/livez",
    about: "whether the exporter is running",
};

/// The number of rows in tables that show the highest costs.
const TOP: usize = 10;

// === impl Page ===

impl Page {
    /// Creates a page without the data that require authorization. `host` is the host and the port that the request
    /// names.
    pub(super) fn closed(port: Port, app: &AppState, host: Option<&str>) -> Self {
        Self {
            port,
            uptime: span(app.started.elapsed().as_secs_f64()),
            other_port: host.and_then(|host| other_port(port, host, app.ports())),
            data: None,
        }
    }

    /// Creates a page with all data, and with the families that match the words of `search`.
    pub(super) async fn open(port: Port, app: &AppState, host: Option<&str>, search: &str) -> Self {
        let instance = app.instance();
        let report = instance.reports.get(&instance.metrics, &instance.options);
        let (report, server_version) = tokio::join!(report, instance.server_version());
        let look = instance.on_blocking_thread(|own| (own.status(), own.missing_rules()));
        let (status, missing_rules) = look.await;
        let data = Data {
            status,
            report,
            search: Search::new(search),
            server_version,
            refusals: app.telemetry.refusals.lines(),
            missing_rules,
            scrapes: app.telemetry.scrape_history.recent(),
            settings: settings(
                &instance.options,
                instance.metrics.shard(),
                instance.readiness_policy(),
                app.leadership.as_ref().map(ToString::to_string),
            ),
            files: app.telemetry.files.all(),
            now: SystemTime::now(),
        };
        Self {
            data: Some(data),
            ..Self::closed(port, app, host)
        }
    }

    pub(super) fn links(&self) -> &'static [Link] {
        match self.port {
            Port::Main => MAIN_LINKS,
            Port::Telemetry => TELEMETRY_LINKS,
        }
    }

    /// Returns a part of the title, which states what the port serves.
    pub(super) fn subject(&self) -> &'static str {
        match self.port {
            Port::Main => "metrics of objects",
            Port::Telemetry => "telemetry",
        }
    }
}

/// Returns the URL of the landing page of the other port on the same host. The URL has the scheme of the current page,
/// because both ports have the same web configuration.
fn other_port(port: Port, host: &str, ports: Ports) -> Option<String> {
    let name = without_port(host);
    let inside = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_host = match inside {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            !name.is_empty() && name.bytes().all(is_part)
        }
    };
    let other = match port {
        Port::Main => ports.telemetry,
        Port::Telemetry => ports.main,
    };
    is_host.then(|| format!("//{name}:{other}/"))
}

// === impl Data ===

impl Data {
    /// Returns `ready` or `not ready`.
    pub(super) fn readiness(&self) -> &'static str {
        if self.status.ready {
            "ready"
        } else {
            "not ready"
        }
    }

    /// Returns all resources: first the resources with problems, then the other resources, sorted by series. Silent
    /// resources are sorted by the duration of their silence; the longest silence is first.
    pub(super) fn resources(&self) -> Vec<&ResourceStatus> {
        let mut resources: Vec<_> = self.status.resources.iter().collect();
        resources.sort_by_key(|own| {
            let severity = Severity::of(own);
            let silence = own
                .last_event_seconds
                .filter(|_| severity == Severity::Silent);
            let silence = Duration::try_from_secs_f64(silence.unwrap_or(0.0)).unwrap_or_default();
            (severity, Reverse(silence), Reverse(own.series))
        });
        resources
    }

    /// Returns the number of bytes that the samples of a resource take in a response of `/metrics`.
    pub(super) fn bytes_of(&self, resource: &ResourceStatus) -> u64 {
        // The report and the status use the same name for a configured resource, with version and group. The report
        // names a built-in resource only by its plural name.
        match self.report.bytes_of(&resource.resource) {
            _ if resource.series == 0 => 0,
            0 => self.report.bytes_of(resource.plural()),
            bytes => bytes,
        }
    }

    /// Returns the families with the most series and the families with the most bytes, sorted by bytes.
    pub(super) fn top_families(&self) -> Vec<&FamilyReport> {
        let mut by_series: Vec<_> = self
            .report
            .families
            .iter()
            .filter(|own| own.series > 0)
            .collect();
        let mut by_bytes = by_series.clone();
        by_series.sort_by_key(|own| Reverse(own.series));
        by_bytes.sort_by_key(|own| Reverse(own.bytes));
        let top = by_series.iter().take(TOP);
        let is_listed = |own: &&&FamilyReport| {
            by_bytes
                .iter()
                .take(TOP)
                .all(|listed| listed.name != own.name)
        };
        let mut top: Vec<_> = top
            .filter(is_listed)
            .chain(by_bytes.iter().take(TOP))
            .copied()
            .collect();
        top.sort_by_key(|own| Reverse(own.bytes));
        top
    }

    pub(super) fn matching_families(&self) -> impl Iterator<Item = &FamilyReport> {
        let families = self.report.families.iter();
        families.filter(|family| self.search.matches(family))
    }

    /// Returns the clients of the last scrapes.
    pub(super) fn scrapers(&self) -> Vec<Scraper> {
        scrapers(&self.scrapes)
    }

    /// Returns the time since `time` as text, such as `12s ago`.
    pub(super) fn ago(&self, time: SystemTime) -> String {
        let since = self.now.duration_since(time).unwrap_or_default();
        span(since.as_secs_f64()) + " ago"
    }
}

/// How urgently a resource needs attention. The first variant is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Failing,
    Waiting,
    /// The resource is synced, but its metrics may be out of date: its watch is silent or has missed changes.
    Silent,
    /// The metrics are up to date, but some objects of the resource are missing.
    Incomplete,
    Good,
}

// === impl Severity ===

impl Severity {
    pub(super) fn of(resource: &ResourceStatus) -> Self {
        match resource.state.as_str() {
            "listing" | "not started" | "left out" | "fed by host" => Self::Waiting,
            _ if !resource.is_synced() => Self::Failing,
            _ if resource.is_silent || resource.audit_difference > 0 => Self::Silent,
            _ if resource.is_limited || resource.errors + resource.oversized > 0 => {
                Self::Incomplete
            }
            _ => Self::Good,
        }
    }
}

/// Returns the time since the last event of a resource as text.
pub(super) fn last_event(resource: &ResourceStatus) -> String {
    let seconds = resource.last_event_seconds;
    seconds.map_or_else(|| "never".to_owned(), |seconds| span(seconds) + " ago")
}

/// Returns the median of the times between the scrapes of a client as text.
pub(super) fn interval(scraper: &Scraper) -> String {
    scraper.interval.map_or_else(|| "once".to_owned(), duration)
}

/// Formats a duration: in milliseconds if it is short, otherwise in seconds or larger units.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else {
        span(seconds)
    }
}

/// Returns the name of the compression of a response.
pub(super) fn encoding(scrape: &Scrape) -> &'static str {
    match scrape.encoding {
        "identity" => "no gzip",
        encoding => encoding,
    }
}

/// Returns the first [`TOP`] rows.
pub(super) fn top<T>(rows: &[T]) -> &[T] {
    rows.get(..TOP).unwrap_or(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_port_is_on_the_host_of_the_request() {
        let ports = Ports {
            main: 8080,
            telemetry: 8081,
        };
        let link = |port, host| other_port(port, host, ports);
        let main = |host| link(Port::Main, host);
        assert_eq!(main("localhost:8080").as_deref(), Some("//localhost:8081/"));
        assert_eq!(main("[::1]:1").as_deref(), Some("//[::1]:8081/"));
        assert_eq!(
            link(Port::Telemetry, "ksm.example").as_deref(),
            Some("//ksm.example:8080/")
        );
        for wrong in ["", ":80", "a/b", "a@b", "\"x", "[a]:1", "[::1", "::1"] {
            assert_eq!(main(wrong), None, "{wrong}");
        }
    }
}
