//! `/livez`, `/readyz` and `/healthz`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;

/// 200 while the process does its work; a cluster that is out of reach does not count.
pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    if app.instance().is_alive() {
        "OK".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the stores are not fed any more\n",
        )
            .into_response()
    }
}

/// 200 once there is something complete to serve; with `?verbose`, every resource.
pub(super) async fn ready(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let status = app.instance().status();
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair == "verbose" || pair.starts_with("verbose="))
    });
    let code = if status.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, status.text(verbose)).into_response()
}
