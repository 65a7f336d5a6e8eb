//! The landing page (`/`), as HTML for browsers and as text for terminals.

mod html;
mod messages;
mod page;
mod settings;
mod text;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY};
use http::{HeaderMap, StatusCode, Uri};

use super::port::Port;
use super::query::Query;
use crate::app_state::AppState;
use crate::humanize::visible;
use crate::limited_threads::LimitedThreads;
use crate::server::Protection;
use page::Page;

/// The content security policy of the landing page. The page contains a style and a script. The policy contains the
/// hashes of this style and this script, so that the browser accepts no other style or script. The page loads no other
/// content, and no other page may embed the landing page.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (style, script) = (hash(html::STYLE), hash(html::SCRIPT));
    format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// Returns an item for the content security policy. The item allows the style or script with exactly this text.
fn hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    format!("sha256-{}", BASE64_STANDARD.encode(hash))
}

/// The landing page of the main port.
pub(super) async fn main(
    app: State<Arc<AppState>>,
    protection: Extension<Arc<Protection>>,
    uri: Uri,
    headers: HeaderMap,
    query: Query,
) -> Response {
    respond(Port::Main, app, &protection, &uri, &headers, &query).await
}

/// The landing page of the telemetry port.
pub(super) async fn telemetry(
    app: State<Arc<AppState>>,
    protection: Extension<Arc<Protection>>,
    uri: Uri,
    headers: HeaderMap,
    query: Query,
) -> Response {
    respond(Port::Telemetry, app, &protection, &uri, &headers, &query).await
}

async fn respond(
    port: Port,
    State(app): State<Arc<AppState>>,
    protection: &Protection,
    uri: &Uri,
    headers: &HeaderMap,
    query: &Query,
) -> Response {
    // A request in HTTP/2 names the host in the URI, not in the header `Host`.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = (uri.authority()).map_or(host, |authority| Some(authority.as_str()));
    // Without a valid token, the client gets the page without the data that require authorization.
    let is_closed = match &protection.auth {
        None => false,
        Some(auth) => auth.may_see_data(headers).await.is_err(),
    };
    // The data of a page needs memory. Without the limit, each waiting request would have such data.
    let Ok(_data) = app.landing_data.acquire().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let page = if is_closed {
        Page::closed(port, &app, host)
    } else {
        Page::open(port, &app, host, query.first("q").unwrap_or_default()).await
    };
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let headers = [
        (VARY, "accept"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
    ];
    let is_html = accept.contains("text/html");
    let content_type = match is_html {
        true => "text/html; charset=UTF-8",
        false => "text/plain; charset=utf-8",
    };
    match write(page, is_html, &app.landing_pages).await {
        Some(text) => (headers, [(CONTENT_TYPE, content_type)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Writes a page on a blocking thread. With thousands of families, the search and the rendering take too long for an
/// asynchronous task. Returns `None` if the thread panics, or if the runtime is shutting down.
async fn write(page: Page, is_html: bool, threads: &LimitedThreads) -> Option<String> {
    // The page contains texts from requests and objects. These texts can contain characters that change how a terminal
    // shows text, so these characters are replaced by escapes.
    let text = threads.run(move || {
        visible(match is_html {
            true => html::render(&page),
            false => text::render(&page),
        })
    });
    text.await
}
