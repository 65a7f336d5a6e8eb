//! The URL paths of the main port and of the telemetry port, and their handlers.

mod debug;
mod health;
mod landing;
mod metrics;
mod port;
mod query;

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bounded_http::Peer;
use http::StatusCode;

use crate::app_state::AppState;
use crate::server::Protection;

/// Maximum size of the body of a request that sets the log level, in bytes. The limit protects the memory of the
/// exporter: a body that arrives in small pieces takes more memory than its size.
const LOG_LEVEL_BYTES: usize = 4096;

/// The routes of the main port.
pub(crate) fn main_port(app: &Arc<AppState>) -> Router {
    let routes = Router::new().route("/metrics", any(metrics::objects));
    shared(routes.route("/", get(landing::main)), app)
}

/// The routes of the telemetry port.
pub(crate) fn telemetry_port(app: &Arc<AppState>) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics::own))
        .merge(debug_routes());
    shared(routes.route("/", get(landing::telemetry)), app)
}

/// The routes below `/debug/`. [`debug::authorize`] decides which clients may use these routes.
fn debug_routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/debug/resources", get(debug::resources))
        .route("/debug/cardinality", get(debug::cardinality))
        .route("/debug/memory", get(debug::memory))
        .route(
            "/debug/log-level",
            get(debug::log_level)
                .put(debug::set_log_level)
                .layer(DefaultBodyLimit::max(LOG_LEVEL_BYTES)),
        )
        .route_layer(middleware::from_fn(debug::authorize))
}

/// Adds the paths that both ports have, the response for unknown paths, and the authorization.
fn shared(routes: Router<Arc<AppState>>, app: &Arc<AppState>) -> Router {
    routes
        .route("/livez", get(health::live))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(not_found)
        .layer(middleware::from_fn(authorize))
        .with_state(Arc::clone(app))
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// If the token filter (`--auth-filter`) is enabled, refuses requests whose user has no permission.
async fn authorize(
    Extension(protection): Extension<Arc<Protection>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(auth) = &protection.auth {
        let client = request.extensions().get::<Peer>().map(Peer::group);
        let checked = auth.check(client, request.method(), request.uri(), request.headers());
        if let Err(refusal) = checked.await {
            return refusal.into_response();
        }
    }
    next.run(request).await
}
