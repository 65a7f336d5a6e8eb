//! The state of the cluster and the program's own metrics in one answer:
//! `cargo run --features watch --example prometheus_registry`, then `curl localhost:8080/metrics`.
//!
//! The registry is a [`prometheus::Registry`], as the program had it before. It takes the metrics of
//! the watching as well. Its text knows one format only, so that is what both parts are written in.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use kube::{Client, Config};
use kube_state_metrics::watch::configure_for_watching;
use kube_state_metrics::{ExpositionFilter, Format, StateMetrics};
use prometheus::{IntCounter, Registry, TextEncoder};

/// Serves both at `/metrics`. Families of one name in both parts would make the answer invalid.
pub(crate) fn app(metrics: StateMetrics, registry: Registry) -> Router {
    let answer = move || {
        let answer = both(&metrics, &registry);
        async move { answer }
    };
    Router::new().route("/metrics", get(answer))
}

fn both(metrics: &StateMetrics, registry: &Registry) -> Result<Response, String> {
    let own = TextEncoder::new().encode_to_string(&registry.gather());
    let own = own.map_err(|error| error.to_string())?;
    // The state is made piece by piece while it is sent; the whole of it is never in memory.
    let state = metrics.exposition(Format::Text, ExpositionFilter::default());
    let pieces = state.chunks().chain([own.into()]).map(Ok::<_, Infallible>);
    let content_type = [(CONTENT_TYPE, Format::Text.content_type())];
    Ok((content_type, Body::from_stream(stream::iter(pieces))).into_response())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let orders = IntCounter::new("acme_orders_total", "Orders taken.")?;
    registry.register(Box::new(orders.clone()))?;
    orders.inc();

    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = StateMetrics::builder().default_resources().build()?;
    tokio::spawn(metrics.watch(client).registry(&registry).run());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(metrics, registry)).await?;
    Ok(())
}
