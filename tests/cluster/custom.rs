//! Tests that the metrics of custom resources appear when their CustomResourceDefinition is created, and disappear when
//! it is deleted.

use kube::Api;
use kube::api::DeleteParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_state_metrics::custom_resources::Config;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde_json::json;

use crate::support::{ONE_AT_A_TIME, client, create_at_last, fresh_namespace, start, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn custom_resources_come_and_go_with_their_definitions() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-custom").await;
    let config = "
spec:
  resources:
  - groupVersionKind: { group: ksm.example, version: '*', kind: Widget }
    metricNamePrefix: widget
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: size
      help: Size the widget asks for.
      each: { type: Gauge, gauge: { path: [spec, size] } }
";
    let resource = |group: &str, version: &str, kind: &str| {
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    let definitions: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    );
    let widgets: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "ksm-custom",
        &resource("ksm.example", "v1", "Widget"),
    );
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.ksm.example" },
        "spec": {
            "group": "ksm.example", "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }]
        }
    });
    let definition: DynamicObject = serde_json::from_value(definition).unwrap();
    let _ = definitions
        .delete("widgets.ksm.example", &DeleteParams::default())
        .await;
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces])
        .custom_resources(&Config::parse(config).unwrap());
    let running = start(metrics.build().unwrap(), client, |watch| {
        watch.discover_custom_resources(true)
    });
    running.ready().await;
    let samples = || {
        let text = running.text();
        text.lines()
            .filter(|line| line.starts_with("widget_size{"))
            .count()
    };
    for round in 0..3 {
        create_at_last(&definitions, &definition, 20).await;
        let widget = json!({
            "apiVersion": "ksm.example/v1", "kind": "Widget",
            "metadata": { "name": "one" }, "spec": { "size": 3 }
        });
        let widget: DynamicObject = serde_json::from_value(widget).unwrap();
        create_at_last(&widgets, &widget, 10).await;
        let delay = until("the widget shows", 5, || samples() == 1).await;
        println!("round {round}: a widget of a new kind showed after {delay:?}");
        definitions
            .delete("widgets.ksm.example", &DeleteParams::default())
            .await
            .unwrap();
        until("the widget is removed with its definition", 10, || {
            samples() == 0
        })
        .await;
    }
}
