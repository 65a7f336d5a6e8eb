//! The content of the landing page, for both formats.

use std::sync::Arc;

use super::super::port::Port;
use crate::app_state::AppState;
use crate::humanize::span;
use crate::instance::{InstanceStatus, ResourceStatus};
use crate::report::{FamilyReport, Report};

/// The landing page.
pub(super) struct Page {
    pub(super) port: Port,
    pub(super) uptime: String,
    /// `None` if the client may not see data.
    pub(super) data: Option<Data>,
}

/// The part of the page that requires authorization.
pub(super) struct Data {
    pub(super) status: InstanceStatus,
    pub(super) report: Arc<Report>,
    /// The words of the search.
    pub(super) search: String,
}

/// A path of the same server, and its description.
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

// === impl Page ===

impl Page {
    /// A page without data.
    pub(super) fn closed(port: Port, app: &AppState) -> Self {
        Self {
            port,
            uptime: span(app.started.elapsed().as_secs_f64()),
            data: None,
        }
    }

    /// A page with all data, and the families that match the words of `search`.
    pub(super) async fn open(port: Port, app: &AppState, search: &str) -> Self {
        let instance = app.instance();
        let report = instance
            .reports
            .get(&instance.metrics, &instance.options)
            .await;
        let data = Data {
            status: instance.status(),
            report,
            search: search.to_owned(),
        };
        Self {
            data: Some(data),
            ..Self::closed(port, app)
        }
    }

    pub(super) fn links(&self) -> &'static [Link] {
        match self.port {
            Port::Main => MAIN_LINKS,
            Port::Telemetry => TELEMETRY_LINKS,
        }
    }
}

// === impl Data ===

impl Data {
    /// `ready` or `not ready`.
    pub(super) fn readiness(&self) -> &'static str {
        if self.status.ready {
            "ready"
        } else {
            "not ready"
        }
    }

    /// Whether a family contains all words of the search.
    pub(super) fn matches(&self, family: &FamilyReport) -> bool {
        let FamilyReport {
            name,
            metric_type,
            help,
            resource,
            ..
        } = family;
        let resource = resource.as_deref().unwrap_or_default();
        let text = format!("{name} {metric_type} {help} {resource}").to_lowercase();
        let mut words = self.search.split_whitespace();
        words.all(|word| text.contains(&word.to_lowercase()))
    }

    pub(super) fn matching_families(&self) -> impl Iterator<Item = &FamilyReport> {
        let families = self.report.families.iter();
        families.filter(|family| self.matches(family))
    }
}

/// The time since the last event of a resource.
pub(super) fn last_event(resource: &ResourceStatus) -> String {
    let seconds = resource.last_event_seconds;
    seconds.map_or_else(|| "never".to_owned(), |seconds| span(seconds) + " ago")
}
