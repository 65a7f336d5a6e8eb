//! Serves the state of the cluster and the program's own metrics in one response, with a [`prometheus::Registry`]. Run
//! the example with `cargo run --features http,watch --example prometheus_registry`, then `curl
//! localhost:8080/metrics`.
//!
//! The registry also contains the metrics of the watches. The crate `prometheus` writes its metrics as Prometheus text.
//! If a scraper requests OpenMetrics, the service converts the Prometheus text to OpenMetrics.

use axum::Router;
use kube::{Client, Config};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::HostMetrics;
use kube_state_metrics::source::watch::configure_for_watching;
use prometheus::{IntCounter, Registry, TextEncoder};

/// Returns a router that serves the metrics of objects and the metrics of the registry at `/metrics`. The two must not
/// have a family with the same name.
pub(crate) fn app(metrics: &StateMetrics, registry: Registry) -> Router {
    let service = metrics.service().append(move |_format| {
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        HostMetrics::text(text.unwrap_or_else(|error| {
            eprintln!("cannot write the program's own metrics: {error}");
            String::new()
        }))
    });
    Router::new().route_service("/metrics", service)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let registry = Registry::new();
    let orders = IntCounter::new("acme_orders_total", "Orders taken.")?;
    registry.register(Box::new(orders.clone()))?;
    orders.inc();

    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = StateMetrics::builder().default_resources().build()?;
    // `build` registers the metrics of the watches, and fails if the registry already has a metric with such a name.
    let watch = metrics.watch(client).registry(&registry).build()?;
    tokio::spawn(watch.run());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(&metrics, registry)).await?;
    Ok(())
}
