//! `/`: the landing page, for browsers and for terminals.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::Port;
use crate::app_state::AppState;
use crate::landing::Page;

/// The page is one file that asks nobody for anything, in no other page's frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) async fn main(
    app: State<Arc<AppState>>,
    headers: HeaderMap,
    query: RawQuery,
) -> Response {
    page(Port::Main, app, &headers, query).await
}

pub(super) async fn telemetry(
    app: State<Arc<AppState>>,
    headers: HeaderMap,
    query: RawQuery,
) -> Response {
    page(Port::Telemetry, app, &headers, query).await
}

async fn page(
    port: Port,
    State(app): State<Arc<AppState>>,
    headers: &HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    // Without a token there is a page, but no data on it.
    let is_closed = match app.auth() {
        None => false,
        Some(auth) => auth.may_see_data(headers).await.is_err(),
    };
    let page = if is_closed {
        Page::closed(port, &app)
    } else {
        Page::open(port, &app, query.as_deref().unwrap_or_default()).await
    };
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let headers = [
        (VARY, "accept"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if accept.contains("text/html") {
        let html = [(CONTENT_TYPE, "text/html; charset=UTF-8")];
        (headers, html, page.html()).into_response()
    } else {
        let text = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        (headers, text, page.text()).into_response()
    }
}
