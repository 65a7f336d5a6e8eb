//! Promises of the API that no test of behaviour would notice.

use std::error::Error;

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube_state_metrics::custom_resources::{Config, ConfigError, KnownKind};
use kube_state_metrics::filter::{AllowlistConfig, FilterError, MetricFilter};
use kube_state_metrics::health::Health;
use kube_state_metrics::manifests::{ManifestFeed, ManifestProblem, ManifestSource};
use kube_state_metrics::service::{Body, MetricsService};
use kube_state_metrics::watch::{ClusterWatch, Record, WatchBuilder, WatchError, WatchHandle};
use kube_state_metrics::{
    BuildError, Builder, Chunks, Collector, DecodeError, Exposition, ExpositionFilter, Family,
    FeedError, MetricsStore, ObjectWriter, Shard, ShardError, StateMetrics, Writer,
};

fn shared<T: Send + Sync + 'static>() {}
fn handle<T: Clone + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn handles_are_cheap_to_share_and_errors_travel() {
    handle::<StateMetrics>();
    handle::<MetricsStore<Pod>>();
    handle::<Collector<DynamicObject>>();
    handle::<Family<Pod>>();
    handle::<Exposition>();
    handle::<ExpositionFilter>();
    handle::<Shard>();
    handle::<MetricsService>();
    handle::<WatchBuilder>();
    handle::<WatchHandle>();
    handle::<Health>();
    handle::<Config>();
    handle::<KnownKind>();
    handle::<ManifestSource>();
    handle::<AllowlistConfig>();
    handle::<MetricFilter>();
    shared::<Builder>();
    shared::<ClusterWatch>();
    fn sent<T: Send + 'static>() {}
    sent::<Writer<Pod>>();
    sent::<Box<dyn ObjectWriter>>();
    sent::<ManifestFeed>();
    sent::<Chunks>();
    sent::<Body>();
    sent::<Record<futures::stream::Pending<()>, Pod>>();
    error::<BuildError>();
    error::<FeedError>();
    error::<DecodeError>();
    error::<ShardError>();
    error::<FilterError>();
    error::<ManifestProblem>();
    error::<WatchError>();
    error::<ConfigError>();
}

/// Whoever mounts an answer needs a body that can be sent, from a service that never fails.
#[test]
fn the_service_suits_any_server() {
    fn mountable<S>(_: S)
    where
        S: tower::Service<
                http::Request<String>,
                Response = http::Response<Body>,
                Error = std::convert::Infallible,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
    }
    mountable(StateMetrics::builder().build().unwrap().service());
}
