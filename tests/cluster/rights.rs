//! Tests revoked permissions, and kinds that do not exist.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use kube_state_metrics::resource::Scope;
use kube_state_metrics::source::health::{FailureReason, ReadinessPolicy, ResourceState};
use kube_state_metrics::source::watch::WatchTimeouts;
use kube_state_metrics::{BuiltIn, Collector, Family, StateMetrics};
use serde_json::json;

use crate::support::{ONE_AT_A_TIME, client, config, create, fresh_namespace, start, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: KUBECONFIG and CLUSTER_SH"]
async fn withdrawn_rights_and_absent_kinds_concern_only_themselves() {
    let _one = ONE_AT_A_TIME.lock().await;
    let client = client().await;
    fresh_namespace(&client, "ksm-rights").await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ksm-rights");
    create(&config_maps, json!({ "metadata": { "name": "one" } })).await;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let rule = |resources: &[&str]| json!({ "rules": [{ "apiGroups": [""], "resources": resources, "verbs": ["list", "watch"] }] });
    let mut role = rule(&["configmaps", "namespaces"]);
    role["metadata"] = json!({ "name": "ksm-reader" });
    create(&roles, role).await;
    let api_group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": "ksm-reader" },
        "roleRef": { "apiGroup": api_group, "kind": "ClusterRole", "name": "ksm-reader" },
        "subjects": [{ "apiGroup": api_group, "kind": "User", "name": "ksm-reader" }]
    });
    create(&bindings, binding).await;
    let grant = async |resources: &[&str]| {
        let patch = Patch::Merge(rule(resources));
        roles
            .patch("ksm-reader", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    grant(&["configmaps", "namespaces"]).await;

    let widgets = ApiResource::from_gvk(&GroupVersionKind::gvk("acme.dev", "v1", "Widget"));
    let seen = Family::gauge("widget_seen", "Always 1.");
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces, BuiltIn::Secrets])
        .collector(Collector::dynamic(&widgets, Scope::Namespaced).family(seen));
    let mut config = config().await;
    config.auth_info.impersonate = Some("ksm-reader".into());
    let reader = Client::try_from(config).unwrap();
    let mut timeouts = WatchTimeouts::default();
    timeouts.watch = Duration::from_secs(4)..Duration::from_secs(6);
    let running = start(metrics.build().unwrap(), reader, |watch| {
        watch.timeouts(timeouts)
    });
    running.ready().await;
    let state = |name: &str| {
        let own = running
            .health
            .resources()
            .into_iter()
            .find(|own| own.resource == name);
        own.unwrap().state
    };
    assert_eq!(
        state("secrets"),
        ResourceState::Failing(FailureReason::Forbidden)
    );
    assert_eq!(
        state("widgets.acme.dev"),
        ResourceState::Failing(FailureReason::Forbidden)
    );
    assert_eq!(state("configmaps"), ResourceState::Synced);
    let body = running
        .health
        .readiness(ReadinessPolicy::Default)
        .to_string();
    assert!(
        body.contains("refused: secrets, widgets.acme.dev (forbidden)"),
        "{body}"
    );

    grant(&["namespaces"]).await;
    let withdrawn = || state("configmaps") == ResourceState::Failing(FailureReason::Forbidden);
    until("the withdrawal shows", 20, withdrawn).await;
    assert_eq!(
        running.config_maps("ksm-rights").len(),
        2,
        "the configmap of the test, and the root certificate"
    );
    assert_eq!(state("namespaces"), ResourceState::Synced);
    grant(&["namespaces", "configmaps", "secrets"]).await;
    let granted = || ["configmaps", "secrets"].map(state) == [ResourceState::Synced; 2];
    until("the grant shows", 90, granted).await;

    // The test has the permissions of an administrator, who may list all resources. Therefore, for a kind that does not
    // exist, the reason is `not_found` and not `forbidden`.
    let metrics = StateMetrics::builder();
    let seen = Family::gauge("widget_seen", "Always 1.");
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let metrics = metrics.collector(Collector::dynamic(&widgets, Scope::Namespaced).family(seen));
    let running = start(metrics.build().unwrap(), client.clone(), |watch| watch);
    let not_found = ResourceState::Failing(FailureReason::NotFound);
    let is_refused = || running.health.resources()[0].state == not_found;
    until("the refusal shows", 20, is_refused).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert!(!readiness.ready, "there is nothing to serve");
}
