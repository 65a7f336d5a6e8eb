//! Serves the state of the cluster and the program's own metrics in one response, with a registry of
//! [`prometheus_client`]. Run the example with `cargo run --features http,watch --example prometheus_client_registry`,
//! then `curl localhost:8080/metrics`.
//!
//! The crate `prometheus_client` writes its metrics as OpenMetrics. If a scraper requests Prometheus text, the service
//! converts the OpenMetrics text to Prometheus text.

use std::sync::Arc;

use axum::Router;
use kube::{Client, Config};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::HostMetrics;
use kube_state_metrics::source::watch::configure_for_watching;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Returns a router that serves the metrics of objects and the metrics of the registry at `/metrics`. No family may be
/// in both.
pub(crate) fn app(metrics: &StateMetrics, registry: Arc<Registry>) -> Router {
    let service = metrics.service().append(move |_format| {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            eprintln!("cannot write the program's own metrics: {error}");
            text.clear();
        }
        HostMetrics::openmetrics(text)
    });
    Router::new().route_service("/metrics", service)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let mut registry = Registry::default();
    let orders = Counter::<u64>::default();
    registry.register("acme_orders", "Orders taken", orders.clone());
    orders.inc();

    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = StateMetrics::builder().default_resources().build()?;
    tokio::spawn(metrics.watch(client).build()?.run());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(&metrics, Arc::new(registry))).await?;
    Ok(())
}
