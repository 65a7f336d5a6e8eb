//! Tests the permissions that the exporter needs with various flags, and the roles with these permissions.

use clap::{Args, Command, FromArgMatches};
use kube_state_metrics::custom_resources::KnownKind;
use kube_state_metrics::resource::Scope;

use super::permission::Permission;
use super::*;
use crate::options::{Flags, Options};

const WIDGETS: &str = "--custom-resource-state-config={spec: {resources: [
    {groupVersionKind: {group: acme.dev, version: v1, kind: Widget}, metrics: [
        {name: size, help: Size., each: {type: Gauge, gauge: {path: [spec, size]}}}]},
    {groupVersionKind: {group: apps, version: v1, kind: Deployment}, metrics: [
        {name: own, help: Own., each: {type: Gauge, gauge: {path: [spec, replicas]}}}]}]}}";

const EVERY_KIND: &str = "--custom-resource-state-config={spec: {resources: [
    {groupVersionKind: {group: acme.dev, version: v1, kind: '*'}, metrics: [
        {name: size, help: Size., each: {type: Gauge, gauge: {path: [spec, size]}}}]}]}}";

fn options(flags: &[&str]) -> Options {
    let command = Flags::augment_args(Command::new("exporter").args_override_self(true));
    let matches = command.get_matches_from([&["exporter"], flags].concat());
    let flags = Flags::from_arg_matches(&matches).unwrap();
    Options::new(&flags, None).unwrap().0
}

fn permissions(options: &Options, defined: &[KnownKind]) -> (Vec<String>, Vec<String>) {
    let configured = options.metrics.custom.config.as_ref();
    let kinds = CustomKinds::of(configured.map(|own| &own.config), defined);
    let permissions = Permissions::of(options, &kinds, "ksm", "monitoring").unwrap();
    let permissions = permissions
        .iter()
        .map(|own| format!("{} {own}", own.verbs.join(",")));
    (permissions.collect(), kinds.assumptions)
}

fn needs(flags: &[&str]) -> Vec<String> {
    permissions(&options(flags), &[]).0
}

#[test]
fn replicas_read_and_write_the_leases_of_all_shards_that_share_the_role() {
    let shards = [
        "list,watch nodes",
        "create leases.coordination.k8s.io in namespace monitoring",
        "get,update leases.coordination.k8s.io named kube-state-metrics-shard-0 in namespace monitoring",
        "get,update leases.coordination.k8s.io named kube-state-metrics-shard-1 in namespace monitoring",
    ];
    let flags = ["--resources=nodes", "--ha", "--shard=1", "--total-shards=2"];
    assert_eq!(needs(&flags), shards);
    // All replicas of a StatefulSet use the same role, and their number may change. So the role names the Leases of all
    // shards.
    let pod = [
        "--ha",
        "--pod=$(POD_NAME)",
        "--pod-namespace=monitoring",
        "--resources=nodes",
        "--total-shards=2",
    ];
    let needs_of_pod = needs(&pod);
    assert!(
        shards
            .iter()
            .all(|need| needs_of_pod.iter().any(|own| own == need)),
        "{needs_of_pod:#?}"
    );
    let permissions = Permissions::of(&options(&flags), &CustomKinds::default(), "ksm", "m");
    let account = Account {
        role: "ksm".to_owned(),
        namespace: "m".to_owned(),
        name: "account".to_owned(),
    };
    let text = account.manifests(&permissions.unwrap());
    let rule = "    resources: [leases]
    resourceNames: [kube-state-metrics-shard-0, kube-state-metrics-shard-1]
    verbs: [get, update]
";
    assert!(text.contains(rule), "{text}");
    // If the number of shards is very large, the role names only the Lease of the shard that the flags select.
    let huge = [
        "--resources=nodes",
        "--ha",
        "--shard=7",
        "--total-shards=4000000000",
    ];
    assert_eq!(needs(&huge).len(), 3);
    let named = needs(&[
        "--resources=nodes",
        "--ha",
        "--ha-namespace=a",
        "--ha-lease-name=b",
    ]);
    assert_eq!(
        named[2],
        "get,update leases.coordination.k8s.io named b in namespace a"
    );
    assert_eq!(
        needs(&["--resources=nodes", "--ha-lease-name=b"]),
        ["list,watch nodes"]
    );
}

#[test]
fn the_objects_of_joined_labels_are_listed_and_watched() {
    let joins = "--join-labels=pods=[namespace/team,node/zone,workload:name]";
    assert_eq!(
        needs(&["--resources=pods,namespaces", joins]),
        [
            "list,watch namespaces",
            "list,watch nodes",
            "list,watch pods",
            "list,watch replicasets.apps",
            "list,watch jobs.batch"
        ]
    );
    assert_eq!(
        needs(&["--resources=pods", "--namespaces=a,b", "--node=n1", joins]),
        [
            "list,watch namespaces named a",
            "list,watch namespaces named b",
            "list,watch nodes named n1",
            "list,watch pods in namespace a",
            "list,watch replicasets.apps in namespace a",
            "list,watch jobs.batch in namespace a",
            "list,watch pods in namespace b",
            "list,watch replicasets.apps in namespace b",
            "list,watch jobs.batch in namespace b"
        ]
    );
}

#[test]
fn resources_are_listed_and_watched_in_the_given_namespaces() {
    assert_eq!(
        needs(&["--resources=pods,nodes,deployments"]),
        [
            "list,watch nodes",
            "list,watch pods",
            "list,watch deployments.apps"
        ]
    );
    let scoped = needs(&[
        "--resources=pods,nodes",
        "--namespaces=a,b",
        "--namespaces-denylist=b",
    ]);
    assert_eq!(
        scoped,
        ["list,watch nodes", "list,watch pods in namespace a"]
    );
}

#[test]
fn a_selection_by_node_leaves_other_namespaced_resources_out() {
    for flag in ["--node=n", "--track-unscheduled-pods"] {
        let needs = needs(&["--resources=pods,services,nodes", flag]);
        assert_eq!(needs, ["list,watch nodes", "list,watch pods"]);
    }
}

#[test]
fn manifests_need_nothing_and_reviews_of_tokens_do() {
    let manifests = "--manifests=examples";
    assert!(needs(&[manifests, WIDGETS, "--pod=a-0", "--pod-namespace=b"]).is_empty());
    assert_eq!(
        needs(&[manifests, "--auth-filter"]),
        [
            "create tokenreviews.authentication.k8s.io",
            "create subjectaccessreviews.authorization.k8s.io"
        ]
    );
}

#[test]
fn the_own_pod_and_its_stateful_set_are_read_in_one_namespace() {
    let pods = "--resources=pods";
    let needs = |pod| needs(&[pods, pod, "--pod-namespace=m"]);
    let expected = |set: &str| {
        [
            "list,watch pods".to_owned(),
            "get pods in namespace m".to_owned(),
            format!("list,watch statefulsets.apps named {set} in namespace m"),
        ]
    };
    assert_eq!(needs("--pod=shard-er-12"), expected("shard-er"));
    assert_eq!(needs("--pod=$(POD_NAME)"), expected("ksm"));
}

#[test]
fn a_permission_that_another_one_includes_is_left_out() {
    let needs = needs(&[
        "--resources=statefulsets",
        "--pod=ksm-0",
        "--pod-namespace=m",
    ]);
    assert_eq!(
        needs,
        ["list,watch statefulsets.apps", "get pods in namespace m"]
    );
}

#[test]
fn configured_kinds_have_the_names_of_their_definitions() {
    let options = options(&["--custom-resource-state-only", WIDGETS, "--namespaces=a"]);
    let (assumed, assumptions) = permissions(&options, &[]);
    let definitions = "list,watch customresourcedefinitions.apiextensions.k8s.io";
    let deployments = "list,watch deployments.apps in namespace a";
    assert_eq!(
        assumed,
        [
            definitions,
            "list,watch widgets.acme.dev in namespace a",
            deployments
        ]
    );
    assert_eq!(assumptions.len(), 1, "{assumptions:?}");
    assert!(assumptions[0].contains("Widget (acme.dev) is assumed to be widgets"));
    let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgetz", Scope::Cluster);
    let (defined, assumptions) = permissions(&options, &[widgets]);
    assert_eq!(
        defined,
        ["list,watch widgetz.acme.dev", definitions, deployments]
    );
    assert!(assumptions.is_empty(), "{assumptions:?}");
}

#[test]
fn all_kinds_of_a_group_are_all_its_resources_unless_definitions_are_known() {
    let options = options(&["--custom-resource-state-only", EVERY_KIND]);
    let (needs, assumptions) = permissions(&options, &[]);
    let definitions = "list,watch customresourcedefinitions.apiextensions.k8s.io";
    assert_eq!(needs, ["list,watch *.acme.dev", definitions]);
    assert_eq!(assumptions.len(), 1, "{assumptions:?}");
    let kind = |kind, plural| KnownKind::new("acme.dev", "v1", kind, plural, Scope::Namespaced);
    let kinds = [kind("Widget", "widgets"), kind("Gadget", "gadgets")];
    let (needs, _) = permissions(&options, &kinds);
    assert_eq!(
        needs,
        [
            "list,watch gadgets.acme.dev",
            "list,watch widgets.acme.dev",
            definitions
        ]
    );
}

#[test]
fn each_scope_has_a_role_and_a_binding() {
    let options = options(&[
        "--resources=nodes,pods,services",
        "--namespaces=a",
        "--pod=ksm-0",
        "--pod-namespace=m",
    ]);
    let permissions =
        Permissions::of(&options, &CustomKinds::default(), "ksm", "monitoring").unwrap();
    let account = Account {
        role: "ksm".to_owned(),
        namespace: "m".to_owned(),
        name: "account".to_owned(),
    };
    let text = account.manifests(&permissions);
    let role = "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: ksm
  namespace: m
  labels:
    app.kubernetes.io/name: kube-state-metrics
    app.kubernetes.io/component: exporter
rules:
  - apiGroups: [\"\"]
    resources: [pods]
    verbs: [get]
  - apiGroups: [apps]
    resources: [statefulsets]
    resourceNames: [ksm]
    verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: ksm
  namespace: m
  labels:
    app.kubernetes.io/name: kube-state-metrics
    app.kubernetes.io/component: exporter
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: ksm
subjects:
  - kind: ServiceAccount
    name: account
    namespace: m
";
    assert!(text.ends_with(role), "{text}");
    let kinds = text.lines().filter_map(|line| line.strip_prefix("kind: "));
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Role",
        "RoleBinding",
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    assert!(text.contains("    resources: [pods, services]\n    verbs: [list, watch]\n"));
}

/// Returns the processor time of this thread.
fn processor_time() -> std::time::Duration {
    // The kernel updates the processor time only when it schedules the thread. So the thread yields before it reads the
    // time.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Returns the processor time that the rules of `namespaces` namespaces need.
fn time_of_rules(namespaces: usize) -> f64 {
    let before = processor_time();
    let permissions = (0..namespaces).flat_map(|namespace| {
        let namespace = format!("n{namespace}");
        let watch = move |resource| Permission::watch(Some(&namespace), "", resource);
        ["pods", "services", "secrets"].map(watch)
    });
    let permissions: Permissions = permissions.collect();
    assert_eq!(permissions.lines().len(), namespaces);
    (processor_time() - before).as_secs_f64()
}

#[test]
fn the_rules_of_many_namespaces_take_linear_time() {
    // Another program can make one run slow, for example because it displaces the content of the caches. So only the
    // minimum of several runs counts.
    let mut times = [f64::INFINITY; 2];
    for _ in 0..5 {
        let run = [500, 2_000].map(time_of_rules);
        times = [times[0].min(run[0]), times[1].min(run[1])];
    }
    assert!(times[1] / times[0] < 8.0, "{times:?}");
}

#[test]
fn a_permission_replaces_those_that_it_includes_in_any_order() {
    let watch = |namespace, resource| Permission::watch(namespace, "g", resource);
    let narrow = [
        watch(Some("a"), "x"),
        watch(Some("b"), "x").named("one".to_owned()),
        watch(Some("b"), "y"),
        watch(None, "x").named("two".to_owned()),
    ];
    let wide = [watch(None, "x"), watch(Some("b"), "*")];
    let expected = Permissions::from_iter(wide.clone());
    let all = [&narrow[..], &wide].concat();
    assert_eq!(Permissions::from_iter(all.clone()), expected);
    assert_eq!(Permissions::from_iter(all.into_iter().rev()), expected);
    let rest: Vec<_> = Permissions::from_iter(narrow)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(rest.len(), 4, "{rest:?}");
}
