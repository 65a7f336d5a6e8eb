//! A controller for a custom resource. The controller also exports the state of its objects. The controller and the
//! metrics share one watch for each kind. Run the example with `cargo run --features http,watch --example operator`,
//! then `curl localhost:8080/metrics`.
//!
//! The controller creates a Deployment for every `Website` and writes the number of ready pods to the status of the
//! website. So the controller already watches both kinds. The events of these watches also update the metrics of both
//! kinds. The operator defines the families of websites. The families of deployments are built in. The metrics also
//! include pods, which the controller does not watch, so the library watches pods.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Config, CustomResource, Resource, ResourceExt};
use kube_state_metrics::registry::{BuildError, FeedError};
use kube_state_metrics::source::watch::{RecordExt, configure_for_watching};
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "acme.dev",
    version = "v1",
    kind = "Website",
    namespaced,
    status = "WebsiteStatus"
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteSpec {
    image: String,
    replicas: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteStatus {
    ready_replicas: i32,
}

/// The data that the controller needs to reconcile a website.
struct Context {
    client: Client,
    deployments: Store<Deployment>,
}

/// Returns the families of websites.
fn websites() -> Collector<Website> {
    Collector::new()
        .family(
            Family::gauge("website_replicas", "Number of desired pods of the website.")
                .generate(|website: &Website, s| s.value(website.spec.replicas)),
        )
        .family(
            Family::gauge(
                "website_replicas_ready",
                "Number of ready pods; absent until the controller has reconciled the website.",
            )
            .generate(|website: &Website, s| {
                s.maybe_value(website.status.as_ref().map(|status| status.ready_replicas));
            }),
        )
}

/// Returns the metrics of the operator. The operator's watches feed websites and deployments, and the library's watch
/// feeds pods.
pub(crate) fn metrics() -> Result<StateMetrics, BuildError> {
    StateMetrics::builder()
        .built_in([BuiltIn::Deployments, BuiltIn::Pods])
        .fed_by_host(BuiltIn::Deployments)
        .collector(websites().fed_by_host())
        .build()
}

/// Returns the controller. Each watch of the controller passes its events to the metrics and to a reflector. The
/// controller reads objects from the reflector.
pub(crate) fn controller(
    client: Client,
    metrics: &StateMetrics,
) -> Result<impl Future<Output = ()> + Send + use<>, FeedError> {
    let (websites, website_writer) = reflector::store();
    let website_events = watcher(
        Api::<Website>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .reflect(website_writer)
    .record_into(metrics.feed::<Website>()?)
    .applied_objects();
    let (deployments, deployment_writer) = reflector::store();
    let deployment_events = watcher(
        Api::<Deployment>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .reflect(deployment_writer)
    .record_into(metrics.feed::<Deployment>()?)
    .touched_objects();
    let context = Arc::new(Context {
        client,
        deployments,
    });
    Ok(Controller::for_stream(website_events, websites)
        .owns_stream(deployment_events)
        .run(reconcile, retry, context)
        .for_each(|_| ready(())))
}

/// Applies the Deployment of a website, and updates the website's status from the status of the Deployment.
async fn reconcile(website: Arc<Website>, context: Arc<Context>) -> kube::Result<Action> {
    let (name, namespace) = (website.name_any(), website.namespace().unwrap_or_default());
    let labels = json!({ "website": name });
    let wanted = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": namespace, "ownerReferences": [website.controller_owner_ref(&())]
        },
        "spec": {
            "replicas": website.spec.replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": website.spec.image }] }
            }
        }
    });
    let manager = PatchParams::apply("website-operator");
    Api::<Deployment>::namespaced(context.client.clone(), &namespace)
        .patch(&name, &manager, &Patch::Apply(wanted))
        .await?;

    let deployment = context
        .deployments
        .get(&ObjectRef::new(&name).within(&namespace));
    let status = deployment
        .as_ref()
        .and_then(|deployment| deployment.status.as_ref());
    let ready_replicas = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    if website.status.as_ref().map(|status| status.ready_replicas) != Some(ready_replicas) {
        let status = json!({ "status": WebsiteStatus { ready_replicas } });
        Api::<Website>::namespaced(context.client.clone(), &namespace)
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
            .await?;
    }
    Ok(Action::await_change())
}

fn retry(_: Arc<Website>, _: &kube::Error, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = metrics()?;
    tokio::spawn(controller(client.clone(), &metrics)?);
    tokio::spawn(metrics.watch(client).build()?.run());
    let app = Router::new().route_service("/metrics", metrics.service());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
