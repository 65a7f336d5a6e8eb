//! Tests properties of the public API that other tests do not cover.

use std::error::Error;

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube_state_metrics::custom_resources::{Config, ConfigError, KnownKind};
use kube_state_metrics::exposition::{Chunks, Exposition, ExpositionFilter};
use kube_state_metrics::filter::{AllowlistConfig, FilterError, MetricFilter};
use kube_state_metrics::registry::{BuildError, Builder, FeedError, Shard, ShardError};
use kube_state_metrics::service::{Body, MetricsService};
use kube_state_metrics::source::health::Health;
use kube_state_metrics::source::manifests::{ManifestFeed, ManifestProblem, ManifestSource};
use kube_state_metrics::source::watch::{
    ClusterWatch, Record, WatchBuilder, WatchError, WatchHandle,
};
use kube_state_metrics::store::{DecodeError, ObjectWriter, Writer};
use kube_state_metrics::{Collector, Family, MetricsStore, StateMetrics};

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

/// Checks that the service has the traits that HTTP servers need: a `Send` body, and an error that cannot occur.
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

/// The number of public names at the root is limited, so that one screen of the documentation shows all of them.
#[test]
fn the_root_has_at_most_twenty_names() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs");
    let root = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut names = Vec::new();
    for item in root.items {
        match item {
            syn::Item::Mod(module) if matches!(module.vis, syn::Visibility::Public(_)) => {
                names.push(module.ident.to_string());
            }
            syn::Item::Use(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                exported(&item.tree, &mut names);
            }
            _ => {}
        }
    }
    assert!(names.contains(&"StateMetrics".to_owned()), "{names:?}");
    assert!(names.len() <= 20, "{} names: {names:?}", names.len());
}

fn exported(tree: &syn::UseTree, names: &mut Vec<String>) {
    match tree {
        syn::UseTree::Path(path) => exported(&path.tree, names),
        syn::UseTree::Name(name) => names.push(name.ident.to_string()),
        syn::UseTree::Rename(rename) => names.push(rename.rename.to_string()),
        syn::UseTree::Glob(_) => names.push("*".to_owned()),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                exported(tree, names);
            }
        }
    }
}
