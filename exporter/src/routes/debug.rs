//! The paths below `/debug/`: the state of resources, the cardinality (number of series and label values), the memory
//! and the log level. These paths exist only on the telemetry port. Only local and authenticated clients may use these
//! paths. A client is *local* if it is on the same machine or in the same pod.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::json;

use super::query::Query;
use crate::app_state::AppState;
use crate::humanize::visible;
use crate::instance::Instance;
use crate::options::DebugAccess;
use crate::report::{JsonReport, Report};
use crate::server::{Protection, is_known, only_loopback};

const NOT_ALLOWED: &str = "/debug/ is only for clients in the same pod (such as kubectl port-forward) \
    and for authenticated clients (--auth-filter, --tls-config); --telemetry-debug=open allows all clients\n";

/// Accepts only clients that are local or authenticated. With `--telemetry-debug=open`, accepts all clients.
pub(super) async fn authorize(
    Extension(protection): Extension<Arc<Protection>>,
    request: Request,
    next: Next,
) -> Response {
    let is_open = protection.debug == DebugAccess::Open;
    // If the token filter (`--auth-filter`) is enabled, it has already accepted the request.
    if is_open || protection.auth.is_some() || is_known(&request) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, reason(&request)).into_response()
    }
}

/// Returns a text that states why the exporter refuses a request, and how to allow such requests.
fn reason(request: &Request) -> String {
    match only_loopback(request) {
        Some(ip) => format!(
            "/debug/ is only for authenticated clients (--auth-filter, --tls-config), because of --telemetry-host={ip}: \
             a proxy on this machine may forward the requests of other clients; --telemetry-debug=open allows all \
             clients\n"
        ),
        None => NOT_ALLOWED.to_owned(),
    }
}

/// Returns the state of every resource.
pub(super) async fn resources(State(app): State<Arc<AppState>>) -> Response {
    json(&app.instance().on_blocking_thread(Instance::status).await)
}

/// Returns the number of distinct values of each label of the family that `?family=NAME` names. Without `family`,
/// returns the families with the most series, and the resources, namespaces and labels with the most bytes. `?top=N`
/// sets the number of rows.
pub(super) async fn cardinality(State(app): State<Arc<AppState>>, query: Query) -> Response {
    let instance = app.instance();
    if let Some(family) = query.first("family") {
        let report = instance.reports.labels(&instance.metrics, family).await;
        return json(&*report);
    }
    let top = query.first("top").map_or(Ok(50), str::parse::<usize>);
    let Ok(top) = top else {
        return (StatusCode::BAD_REQUEST, "top must be a number\n").into_response();
    };
    let report = instance
        .reports
        .get(&instance.metrics, &instance.options)
        .await;
    let mut families: Vec<_> = report.families.iter().collect();
    families.sort_by(|a, b| b.series.cmp(&a.series).then_with(|| a.name.cmp(&b.name)));
    // `json!` sorts the keys of the report, as in the other responses of this file.
    json(&json!(JsonReport {
        series: report.series(),
        bytes: report.bytes(),
        report: Report {
            families: families.into_iter().take(top).cloned().collect(),
            resources: report.resources.iter().take(top).cloned().collect(),
            namespaces: report.namespaces.iter().take(top).cloned().collect(),
            labels: report.labels.iter().take(top).cloned().collect(),
        },
    }))
}

/// Returns the memory that the stores use, and the memory of the process.
pub(super) async fn memory(State(app): State<Arc<AppState>>) -> Response {
    let instance = app.instance();
    let stores = instance
        .on_blocking_thread(|own| own.status().memory_bytes())
        .await;
    let process = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = process.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes = line.trim_start_matches(':').split_whitespace().next()?;
        Some(kilobytes.parse::<u64>().ok()? * 1024)
    };
    json(&json!({
        "stores_bytes": stores,
        "gzip_cache_bytes": instance.metrics.gzip_cache_bytes(),
        "resident_bytes": field("VmRSS"),
        "resident_peak_bytes": field("VmHWM"),
        "anonymous_bytes": field("RssAnon"),
    }))
}

/// Returns the log level.
pub(super) async fn log_level(State(app): State<Arc<AppState>>) -> String {
    app.log_level.get() + "\n"
}

/// Sets the log level until the exporter restarts.
pub(super) async fn set_log_level(State(app): State<Arc<AppState>>, body: String) -> Response {
    // The exporter writes this log line before the change, because the new level may hide the line.
    let level = app.log_level.get();
    tracing::warn!(level, "received a request to change the log level");
    match app.log_level.set(&body) {
        Ok(()) => (app.log_level.get() + "\n").into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, visible(problem) + "\n").into_response(),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
