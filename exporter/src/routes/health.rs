//! The health endpoints `/livez`, `/readyz` and `/healthz`.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::query::Query;
use crate::app_state::AppState;
use crate::humanize::{counted, span, visible};
use crate::instance::{Instance, InstanceStatus, LimitProblem};
use crate::server::Protection;

const TOKEN_NEEDED: &str = "A bearer token that may read /metrics is needed to see more.";

/// Returns 200 while the source is running, even if the cluster is unreachable.
pub(super) async fn live(State(app): State<Arc<AppState>>) -> Response {
    if app.instance().is_alive() {
        "OK".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the source has stopped, so the stores receive no changes\n",
        )
            .into_response()
    }
}

/// Returns 200 if the exporter is ready by the policy of `--readiness`. With `?verbose`, the body of the response lists
/// all resources.
///
/// If the token filter (`--auth-filter`) is enabled, the body of the response is only `OK` or `not ready`. But with
/// `?verbose`, clients that may read metrics get the complete body. The status code is the same for all clients,
/// because probes have no token.
pub(super) async fn ready(
    State(app): State<Arc<AppState>>,
    Extension(protection): Extension<Arc<Protection>>,
    headers: HeaderMap,
    query: Query,
) -> Response {
    let instance = app.instance();
    let mut status = instance.on_blocking_thread(Instance::status).await;
    status.remarks.extend(app.telemetry.refusals.lines());
    let verbose = query.contains("verbose");
    let is_closed = match &protection.auth {
        None => false,
        // Without `?verbose`, the exporter does not review the token, so that probes cause no requests to the API
        // server.
        Some(auth) => !verbose || auth.may_see_data(&headers).await.is_err(),
    };
    let code = if status.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut text = match (is_closed, verbose) {
        (false, verbose) => readiness_text(&status, verbose),
        (true, false) => readiness_word(&status).to_owned(),
        (true, true) => format!("{}\n{TOKEN_NEEDED}\n", readiness_word(&status)),
    };
    if verbose && !is_closed {
        if let Some(leadership) = &app.leadership {
            let _ = writeln!(
                text,
                "[{}] {leadership}",
                if leadership.is_leader() { '+' } else { ' ' }
            );
        }
        for rules in instance.on_blocking_thread(Instance::missing_rules).await {
            let _ = writeln!(text, "{rules}");
        }
    }
    // The text contains messages of other programs. `visible` escapes their control characters, so that they cannot
    // control the terminal of a reader.
    (code, visible(text)).into_response()
}

fn readiness_word(status: &InstanceStatus) -> &'static str {
    if status.ready { "OK" } else { "not ready" }
}

/// Returns a text whose first line is `OK`, or the reason why the instance is not ready. The next lines contain further
/// problems. If `verbose` is true, a line for each resource follows.
fn readiness_text(status: &InstanceStatus, verbose: bool) -> String {
    let reason = status.not_ready.as_deref();
    let mut text = String::from(reason.unwrap_or(readiness_word(status)));
    for remark in &status.remarks {
        let _ = write!(text, "\n{remark}");
    }
    for resource in status.resources.iter().filter(|_| verbose) {
        let mark = if resource.is_synced() { '+' } else { '-' };
        let (name, state) = (&resource.resource, resource.shown_state());
        let objects = counted(resource.objects, "object", "objects");
        let _ = write!(text, "\n[{mark}] {name}: {state}, {objects}");
        if resource.oversized > 0 {
            let times = counted(resource.oversized, "time", "times");
            let _ = write!(text, ", objects above --object-size-limit skipped {times}");
        }
        if resource.is_limited {
            text.push_str(", --object-limit reached, so further objects have no metrics");
        }
        if resource.audit_difference > 0 {
            let objects = counted(resource.audit_difference, "object", "objects");
            let _ = write!(text, ", {objects} that differ from those of the API server");
        }
        if resource.errors > 0 {
            let times = counted(resource.errors, "time", "times");
            let _ = write!(text, ", objects that do not decode skipped {times}");
        }
        if let Some(seconds) = resource.unapplied_seconds {
            let objects = counted(
                resource.unapplied_objects,
                "changed object",
                "changed objects",
            );
            let _ = write!(text, ", {objects} not processed for {}", span(seconds));
        }
        if let Some(seconds) = resource.last_event_seconds.filter(|_| resource.is_silent) {
            let _ = write!(text, ", no event or bookmark for {}", span(seconds));
        }
        if let Some(error) = &resource.last_error {
            let _ = write!(text, ": {error}");
        }
    }
    let limits = status.limits.iter().flat_map(LimitProblem::lines);
    let limits = limits.chain(status.kinds_left_out.clone());
    for limit in limits.filter(|_| verbose) {
        let _ = write!(text, "\n[!] {limit}");
    }
    if text != "OK" {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::ResourceStatus;

    #[test]
    fn a_silent_resource_a_limited_list_and_a_difference_are_named() {
        let services = ResourceStatus {
            resource: "services".to_owned(),
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            state: "synced".to_owned(),
            objects: 3,
            series: 11,
            memory_bytes: 0,
            last_event_seconds: Some(605.0),
            is_silent: true,
            errors: 4,
            oversized: 0,
            is_limited: true,
            audit_difference: 2,
            unapplied_objects: 3,
            unapplied_seconds: Some(12.0),
            last_error: None,
        };
        let status = InstanceStatus {
            ready: true,
            not_ready: None,
            source: String::new(),
            remarks: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            limits: Vec::new(),
            kinds_left_out: None,
            resources: vec![services],
        };
        let line = "OK\n[+] services: silent, 3 objects, --object-limit reached, so further objects have no metrics, \
             2 objects that differ from those of the API server, objects that do not decode skipped 4 times, \
             3 changed objects not processed for 12s, no event or bookmark for 10m 5s\n";
        assert_eq!(readiness_text(&status, true), line);
    }
}
