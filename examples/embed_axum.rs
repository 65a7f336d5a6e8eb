//! An axum service that also exports the state of its cluster. Run the example with `cargo run --features http,watch
//! --example embed_axum`, then `curl localhost:8080/metrics`.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use kube::{Client, Config};
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::health::{Health, ReadinessPolicy};
use kube_state_metrics::source::watch::configure_for_watching;
use kube_state_metrics::{BuiltIn, StateMetrics};

/// Returns the exported metrics: the families of pods and deployments, without the family `kube_pod_tolerations`.
pub(crate) fn metrics() -> Result<StateMetrics, BuildError> {
    StateMetrics::builder()
        .built_in([BuiltIn::Pods, BuiltIn::Deployments])
        .deny_metrics(["^kube_pod_tolerations$"])
        .allow_labels(BuiltIn::Pods, ["app.kubernetes.io/*"])
        .build()
}

/// Returns the routes of the service, including the routes for metrics and readiness.
pub(crate) fn app(metrics: &StateMetrics, health: Health) -> Router {
    let ready = move || async move {
        let readiness = health.readiness(ReadinessPolicy::Default);
        let status = match readiness.ready {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, readiness.to_string())
    };
    Router::new()
        .route("/", get(|| async { "what the service is really for\n" }))
        .route("/readyz", get(ready))
        .route_service("/metrics", metrics.service())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = metrics()?;
    let watcher = metrics.watch(client).build()?;
    let app = app(&metrics, watcher.health());
    tokio::spawn(watcher.run());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
