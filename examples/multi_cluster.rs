//! Exports several clusters from one process. Every sample has a label with the name of its cluster. Run the example
//! with `cargo run --features http,watch --example multi_cluster -- blue green` for the contexts `blue` and `green` of
//! the kubeconfig, then `curl localhost:8080/clusters/blue/metrics`.
//!
//! Each cluster has a separate [`StateMetrics`] and a separate path. A cluster that is unreachable or slow does not
//! delay the other clusters, and Prometheus scrapes each cluster as a separate target.

use axum::Router;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::watch::{WatchError, configure_for_watching};

/// A cluster: its name and its metrics.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) metrics: StateMetrics,
}

impl Cluster {
    pub(crate) fn new(name: &str) -> Result<Self, BuildError> {
        let metrics = StateMetrics::builder()
            .default_resources()
            .constant_label("cluster", name)
            .build()?;
        Ok(Self {
            name: name.to_owned(),
            metrics,
        })
    }

    /// Watches the cluster in the background.
    pub(crate) fn watch(&self, client: Client) -> Result<(), WatchError> {
        tokio::spawn(self.metrics.watch(client).build()?.run());
        Ok(())
    }
}

/// Returns a router that serves `/clusters/<name>/metrics` for each cluster.
pub(crate) fn app<'c>(clusters: impl IntoIterator<Item = &'c Cluster>) -> Router {
    clusters.into_iter().fold(Router::new(), |app, cluster| {
        let path = format!("/clusters/{}/metrics", cluster.name);
        app.route_service(&path, cluster.metrics.service())
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let mut clusters = Vec::new();
    for context in std::env::args().skip(1) {
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_kubeconfig(&options).await?;
        let cluster = Cluster::new(&context)?;
        cluster.watch(Client::try_from(configure_for_watching(config))?)?;
        clusters.push(cluster);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(&clusters)).await?;
    Ok(())
}
