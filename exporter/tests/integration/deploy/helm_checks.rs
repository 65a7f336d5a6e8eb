//! Tests which values the Helm chart refuses, which values it ignores, and the messages about these values.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::helm::{Rule, chart, has_helm, helm, objects, rules_of};
use super::helm_values::{maps, values};
use super::{args, workloads};

fn default_values() -> PathBuf {
    chart().join("ci/default-values.yaml")
}

/// Asserts that the chart refuses a setting. The error message must contain `cure`, which states how to fix the
/// setting.
#[track_caller]
fn assert_refused(setting: &str, cure: &str) {
    let output = helm(&default_values(), &["--set", setting]);
    let message = &output.stderr;
    assert!(
        !output.status.success() && message.contains(cure),
        "{setting}: {message}"
    );
}

#[track_caller]
fn assert_accepted(setting: &str) {
    let output = helm(&default_values(), &["--set", setting]);
    assert!(output.status.success(), "{setting}: {}", output.stderr);
}

#[test]
fn images_of_the_go_program_are_refused_with_the_cure() {
    if !has_helm() {
        return;
    }
    let cure = "but this chart is for the Rust program. Remove image.registry";
    for setting in [
        "image.registry=registry.k8s.io,image.repository=kube-state-metrics/kube-state-metrics",
        "image.repository=kube-state-metrics/kube-state-metrics,image.tag=0.1.0",
        "global.imageRegistry=mirror.test,image.repository=kube-state-metrics/kube-state-metrics",
        "image.registry=docker.io,image.repository=bitnami/kube-state-metrics",
        // Users of a mirror registry often change the path of the image, and set no tag.
        "image.registry=mirror.test,image.repository=k8s/kube-state-metrics",
        "image.registry=mirror.test,image.repository=k8s/kube-state-metrics,image.tag=main",
        "image.registry=mirror.test,image.repository=k8s/kube-state-metrics,image.sha=sha256:abc",
        "image.repository=mirror.test/any,image.tag=v2.20.0",
        "image.tag=v2.20.0",
    ] {
        assert_refused(setting, cure);
    }
    assert_refused("image.tag=v2.15.0", "the tag of the image");
    for setting in [
        "image.registry=mirror.test,image.repository=team/kube-state-metrics,image.tag=0.1.0",
        "image.registry=mirror.test,image.repository=kube-state-metrics-rs",
        "image.registry=mirror.test,image.repository=kube-state-metrics-rs,image.tag=main",
        "image.registry=null,image.sha=null",
        "image.repository=k8s/kube-state-metrics,image.tag=main,image.refuseGoProgram=false",
        "image.tag=v2.20.0,image.refuseGoProgram=false",
    ] {
        assert_accepted(setting);
    }
}

#[test]
fn values_that_cannot_work_are_refused_with_the_cure() {
    if !has_helm() {
        return;
    }
    for (setting, cure) in [
        (
            "autosharding.enabled=true,daemonsetSharding.enabled=true",
            "set one of them to false",
        ),
        (
            "rbac.useClusterRole=false",
            "set `namespaces` or `releaseNamespace`",
        ),
        (
            "collectors={pods,verticalpodautoscalers}",
            "there is no resource verticalpodautoscalers; available: ",
        ),
        (
            "collectors.pods=true",
            "write a list, such as collectors: [pods, nodes]",
        ),
        (
            "metricLabelsAllowlist={nodes=[*],pod=[team]}",
            "metricLabelsAllowlist: there is no resource pod; use * for all resources, or one of: ",
        ),
        (
            "metricAnnotationsAllowList=pods=[a\\,b]\\,node=[*]",
            "metricAnnotationsAllowList: there is no resource node; ",
        ),
        (
            "joinLabels.pod={namespace/team}",
            "joinLabels: there is no resource pod; use * for all resources, or one of: ",
        ),
        (
            "kube-state-metrics.replicas=2",
            "the values are below the key kube-state-metrics",
        ),
        (
            "highAvailability.enabled=true,prometheus.scrapeconfig.enabled=true",
            "highAvailability.enabled needs a scrape of each replica",
        ),
        (
            "highAvailability.enabled=true,updateStrategy=Recreate",
            "updateStrategy: Recreate stops all replicas first",
        ),
        ("replicas=many", "replicas"),
        ("readiness.policy=eager", "readiness"),
    ] {
        assert_refused(setting, cure);
    }
    assert_accepted("metricLabelsAllowlist={pods=[team],*=[a.b/*]},metricAnnotationsAllowList=");
    assert_accepted("joinLabels.pods={namespace/team,self@a/b=c},joinLabels.services=null");
    assert_accepted("customResourceState.enabled=true,joinLabels.widgets={namespace/team}");
    // If a user sets one of these values to `null`, the chart uses its default.
    assert_accepted("extraArgs=null,env=null,volumes=null,tolerations=null,collectorsExtra=null");
    assert_accepted("namespaces=null,readiness.policy=null");
}

#[test]
fn the_lease_and_its_role_are_in_the_same_namespace() {
    if !has_helm() {
        return;
    }
    let ha = "highAvailability.enabled=true,namespaceOverride=monitoring";
    let kubeconfig = "kubeconfig.enabled=true,kubeconfig.secret=eA==";
    for (more, flag, namespace) in [
        // Without a kubeconfig, the exporter uses the namespace of its pod, so the chart sets no flag.
        (String::new(), None, "monitoring"),
        (
            format!(",{kubeconfig}"),
            Some("--ha-namespace=monitoring"),
            "monitoring",
        ),
        (
            format!(",{kubeconfig},highAvailability.leaseNamespace=leases"),
            Some("--ha-namespace=leases"),
            "leases",
        ),
    ] {
        let objects = objects(&default_values(), &["--set", &format!("{ha}{more}")]);
        let template = &workloads(&objects)[0]["spec"]["template"]["spec"];
        let args = args(template);
        let found = args.iter().find(|arg| arg.starts_with("--ha-namespace="));
        assert_eq!(found.map(String::as_str), flag, "{args:?}");
        let is_role = |own: &&Value| {
            let name = own["metadata"]["name"].as_str().unwrap();
            own["kind"] == "Role" && name.ends_with("-lease")
        };
        let role = objects.iter().find(is_role).unwrap();
        assert_eq!(role["metadata"]["namespace"], namespace);
    }
}

/// Returns the permissions of a service account in a namespace. If `namespace` is empty, returns the permissions in the
/// whole cluster. A permission has the form `resource` or `resource/name`.
fn permissions(objects: &[Value], account: &str, namespace: &str) -> Vec<String> {
    let rules = rules_of(objects, account).into_iter();
    let rules = rules.filter(|(own, ..): &Rule| own == namespace);
    let permissions = rules.map(|(_, _, resource, names, _)| match &*names {
        "" => resource,
        names => format!("{resource}/{names}"),
    });
    permissions.collect()
}

#[test]
fn the_account_of_pods_has_a_cluster_role_for_the_objects_that_roles_cannot_grant() {
    if !has_helm() {
        return;
    }
    let values = chart().join("ci/join-labels-values.yaml");
    let account = "ksm-kube-state-metrics-pods";
    let layout = "daemonsetSharding.enabled=true";
    let joined = objects(
        &values,
        &["--set", &format!("{layout},authFilter.enabled=true")],
    );
    let on_cluster = permissions(&joined, account, "");
    let expected = [
        "namespaces/payments,shop",
        "nodes",
        "tokenreviews",
        "subjectaccessreviews",
    ];
    assert_eq!(on_cluster, expected);
    for namespace in ["payments", "shop"] {
        let in_namespace = permissions(&joined, account, namespace);
        assert_eq!(in_namespace, ["pods", "replicasets", "jobs"]);
    }
    // If no labels are joined and no tokens are reviewed, Roles can grant all permissions. Then the chart must create
    // no ClusterRole.
    let no_joins = format!("{layout},joinLabels=null");
    let plain = objects(&values, &["--set", &no_joins]);
    assert_eq!(permissions(&plain, account, "shop"), ["pods"]);
    let is_empty =
        |object: &&Value| object["kind"] == "ClusterRole" && object["rules"] == json!([]);
    assert_eq!(plain.iter().find(is_empty), None);
    assert_eq!(permissions(&plain, account, ""), [""; 0]);
}

#[test]
fn extra_rules_and_aggregation_are_only_in_the_cluster_role() {
    if !has_helm() {
        return;
    }
    let file = chart().join("ci/minimal-rights-values.yaml");
    let extra = r#"rbac.extraRules=[{"apiGroups":["acme.dev"],"resources":["widgets"],"verbs":["list","watch"]}]"#;
    let objects_with = |setting: &str| objects(&file, &["--set-json", setting]);
    let account = "ksm-kube-state-metrics";
    let objects = objects_with(extra);
    let has_widgets =
        |namespace: &str| permissions(&objects, account, namespace).contains(&"widgets".to_owned());
    assert!(has_widgets("") && !has_widgets("shop"));
    let aggregated = objects_with(r#"rbac.clusterRoleSelectors=[{"matchLabels":{"team":"shop"}}]"#);
    let roles = aggregated
        .iter()
        .filter(|object| object["aggregationRule"].is_object());
    let kinds: Vec<_> = roles.map(|role| &role["kind"]).collect();
    assert_eq!(kinds, ["ClusterRole"]);
}

/// Sets values to `null`. Asserts that the chart names each missing value that it needs.
///
/// If the chart fails and its message names one of these values, the function restores the value and tries again. If
/// the chart fails with another message, the function panics.
#[track_caller]
fn assert_missing_values_are_named(file: &Path, mut paths: Vec<String>) {
    loop {
        let nulls: Vec<_> = paths.iter().map(|path| format!("{path}=null")).collect();
        let output = helm(file, &["--set", &nulls.join(",")]);
        if output.status.success() {
            assert!(!output.stdout.contains("nil>"), "{}", output.stdout);
            return;
        }
        let message = output.stderr;
        let named = message.split_once("the value ").and_then(|(_, rest)| {
            rest.split_once(" is missing. `helm upgrade --reuse-values` does not add the values")
        });
        let (named, _) = named.unwrap_or_else(|| panic!("{message}"));
        let count = paths.len();
        paths.retain(|path| path != named);
        assert!(paths.len() < count, "{message}");
    }
}

#[test]
fn values_that_an_older_chart_does_not_have_are_named_with_the_flag_that_adds_them() {
    if !has_helm() {
        return;
    }
    // With `helm upgrade --reuse-values`, helm uses the values of the old chart. So values that are new in this chart
    // are missing.
    for map in maps() {
        assert_missing_values_are_named(&default_values(), vec![map]);
    }
    let values = values().into_iter().map(|value| value.path);
    let values: Vec<_> = values.collect();
    // In each of the following calls, the chart names about ten missing values, one after another.
    assert_missing_values_are_named(&default_values(), values.clone());
    let are_switches = |path: &String| path.ends_with(".enabled") || path.ends_with(".create");
    let others = values.into_iter().filter(|path| !are_switches(path));
    let every = chart().join("ci/every-value-values.yaml");
    assert_missing_values_are_named(&every, others.collect());
}

#[test]
fn every_template_checks_the_values_first() {
    for folder in ["templates", "templates/tests"] {
        for file in fs::read_dir(chart().join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_file() && !name.starts_with('_') {
                let text = fs::read_to_string(&path).unwrap();
                let first = "{{- include \"ksm.checks\" . -}}\n";
                assert!(text.starts_with(first), "{name}");
            }
        }
    }
}

#[test]
fn the_notes_list_values_that_have_no_effect() {
    if !has_helm() {
        return;
    }
    let notes = fs::read_to_string(chart().join("templates/NOTES.txt")).unwrap();
    assert!(notes.contains("{{- include \"ksm.warnings\" . }}"));
    // `helm template` does not print NOTES.txt, so the test renders the notes into an object.
    let directory = crate::support::Directory::new("notes");
    let object = r#"extraManifests: [{kind: Notes, text: '{{ include "ksm.warnings" . | trim | replace "\n" " " }}'}]"#;
    let notes = |values: &str| {
        let file = directory.write("values.yaml", &format!("{object}\n{values}"));
        let objects = objects(Path::new(&file), &[]);
        let notes = objects.iter().find(|object| object["kind"] == "Notes");
        notes.unwrap()["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let unknown = notes(
        "prometheus: {monitor: {enable: true}}\nmetricAnnotationsAllowlist: [x]\nverbosity: 2",
    );
    let expected = "no effect: metricAnnotationsAllowlist, prometheus.monitor.enable, verbosity.";
    assert!(unknown.contains(expected), "{unknown}");
    // The following values must cause no warning: keys in maps that the user defines, values of other charts, and keys
    // of the ServiceMonitor from older charts.
    let known = "podLabels: {any: x}\nglobal: {any: x}\nprometheus: {monitor: {interval: 1m}}";
    assert_eq!(notes(known), "");
    let ignored = notes("prometheus: {monitor: {namespace: x}}");
    assert!(
        ignored.contains("prometheus.monitor.namespace has no effect"),
        "{ignored}"
    );
    // kube-rbac-proxy accepts only scrapes by HTTPS.
    let proxy = |monitor: &str| {
        notes(&format!(
            "kubeRBACProxy: {{enabled: true}}\nselfMonitor: {{enabled: true}}\n\
             prometheus: {{monitor: {{enabled: true, {monitor}}}}}"
        ))
    };
    let plain = proxy("http: {scheme: https}");
    assert!(
        plain.contains("endpoints: prometheus.monitor.metrics."),
        "{plain}"
    );
    assert_eq!(proxy("scheme: https"), "");
}
