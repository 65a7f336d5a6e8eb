//! `/livez`, `/readyz` and `/healthz`.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::query::Query;
use crate::app_state::AppState;
use crate::humanize::counted;
use crate::instance::InstanceStatus;

/// 200 while the source is running, even if the cluster is unreachable.
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

/// 200 once the readiness policy is met. With `?verbose` the body lists all resources.
pub(super) async fn ready(State(app): State<Arc<AppState>>, query: Query) -> Response {
    let status = app.instance().status();
    let code = if status.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, readiness_text(&status, query.contains("verbose"))).into_response()
}

/// `OK` or `not ready` with the reasons, and a line for each resource if `verbose`.
fn readiness_text(status: &InstanceStatus, verbose: bool) -> String {
    let mut text = String::from(if status.ready { "OK" } else { "not ready" });
    for remark in &status.remarks {
        let _ = write!(text, "\n{remark}");
    }
    for resource in status.resources.iter().filter(|_| verbose) {
        let mark = if resource.is_synced() { '+' } else { '-' };
        let (name, state) = (&resource.resource, &resource.state);
        let objects = counted(resource.objects, "object", "objects");
        let _ = write!(text, "\n[{mark}] {name}: {state}, {objects}");
        if let Some(error) = resource.current_error() {
            let _ = write!(text, ": {error}");
        }
    }
    if text != "OK" {
        text.push('\n');
    }
    text
}
