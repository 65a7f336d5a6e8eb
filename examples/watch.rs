//! Watches a cluster and prints its state. Run the example with `cargo run --features watch --example watch`.
//!
//! The first argument is the URL of an API server. Without arguments, the example watches the cluster of the
//! kubeconfig. If the second argument is `pages`, the example requests lists in pages instead of streaming lists.

use std::io::Write;
use std::time::Duration;

use kube::{Client, Config};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::watch::configure_for_watching;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let config = match arguments.next() {
        Some(server) => Config::new(server.parse()?),
        None => Config::infer().await?,
    };
    let streaming = arguments.next().as_deref() != Some("pages");
    let metrics = StateMetrics::builder().default_resources().build()?;
    let registry = prometheus::Registry::new();
    let watcher = metrics
        .watch(Client::try_from(configure_for_watching(config))?)
        .streaming_lists(streaming)
        .registry(&registry)
        .build()?;
    let health = watcher.health();
    tokio::spawn(watcher.run());

    let mut out = std::io::stdout();
    write!(out, "{}", health.ready(ReadinessPolicy::Default).await)?;
    loop {
        let resources = health.resources();
        let objects: u64 = resources.iter().map(|own| own.objects).sum();
        let series: u64 = resources.iter().map(|own| own.series).sum();
        writeln!(out, "{objects} objects, {series} series")?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
