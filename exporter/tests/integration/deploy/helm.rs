//! Tests the Helm chart: the rendered objects and their roles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{args, assert_golden, deploy, documents, helm_mixin, strings, workloads};
use crate::support::{Output, run, run_program};
use crate::tools::tool;

pub(super) fn chart() -> PathBuf {
    deploy().join("helm/kube-state-metrics")
}

pub(crate) fn has_helm() -> bool {
    tool("helm", &["version"], "helm").is_some()
}

/// Runs `helm template` on a chart, with a values file.
pub(super) fn render(chart: &Path, values: &Path, more: &[&str]) -> Output {
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    let line = [
        "template",
        "ksm",
        chart,
        "--namespace=monitoring",
        "--values",
        values,
    ];
    // Without this flag, helm takes the Kubernetes version from a cluster, or assumes an old version.
    let version = ["--kube-version=1.36.0"];
    run_program("helm", &[&line[..], &version, more].concat(), "")
}

pub(super) fn helm(values: &Path, more: &[&str]) -> Output {
    render(&chart(), values, more)
}

/// Returns the values files in `ci/`, by name.
pub(super) fn cases() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(chart().join("ci")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let files = files.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.strip_suffix("-values.yaml").unwrap().to_owned(), path)
    });
    files.collect()
}

fn rendered(values: &Path, more: &[&str]) -> String {
    let output = helm(values, more);
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout
}

/// Returns the objects that the chart renders.
pub(crate) fn objects(values: &Path, more: &[&str]) -> Vec<Value> {
    documents(rendered(values, more).trim_start_matches("---\n"))
}

#[test]
fn values_files_render_as_the_golden_files() {
    if !has_helm() {
        return;
    }
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/helm");
    let cases = cases();
    assert!(cases.len() >= 12);
    helm_mixin::assert_copies();
    for (name, values) in &cases {
        let text = helm_mixin::without_dashboards(rendered(values, &[]));
        assert_golden(&golden.join(format!("{name}.yaml")), &text);
    }
    let kept = fs::read_dir(golden).unwrap();
    assert_eq!(kept.count(), cases.len());
}

/// A rule of a role for one resource: the namespace, group, resource, name and verbs.
pub(super) type Rule = (String, String, String, String, String);

/// Returns the rules in the roles that are bound to a service account.
pub(super) fn rules_of(objects: &[Value], account: &str) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    for binding in objects {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        if !subjects.clone().any(|subject| subject["name"] == account) {
            continue;
        }
        let (role, namespace) = (&binding["roleRef"], &binding["metadata"]["namespace"]);
        let is_bound = |object: &&Value| {
            object["kind"] == role["kind"]
                && object["metadata"]["name"] == role["name"]
                && object["metadata"]["namespace"] == *namespace
        };
        let role = objects.iter().find(is_bound).unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let join = |key: &str| {
                strings(&rule[key])
                    .into_iter()
                    .collect::<Vec<_>>()
                    .join(",")
            };
            for resource in strings(&rule["resources"]) {
                let namespace = namespace.as_str().unwrap_or_default().to_owned();
                let (group, resource) = (join("apiGroups"), resource.to_owned());
                rules.insert((
                    namespace,
                    group,
                    resource,
                    join("resourceNames"),
                    join("verbs"),
                ));
            }
        }
    }
    rules
}

/// Returns the arguments of the exporter in a workload. The arguments name a file on disk as the configuration of
/// custom resources, because the test cannot mount a ConfigMap.
pub(super) fn arguments(
    directory: &crate::support::Directory,
    objects: &[Value],
    workload: &Value,
) -> Vec<String> {
    let config = objects
        .iter()
        .find_map(|own| own["data"]["config.yaml"].as_str());
    directory.write("config.yaml", config.unwrap_or_default());
    let args = args(&workload["spec"]["template"]["spec"]).into_iter();
    args.map(|arg| {
        arg.replace("$(POD_NAMESPACE)", "monitoring")
            .replace("$(POD_NAME)", "ksm-kube-state-metrics-0")
            .replace("$(NODE_NAME)", "some")
            .replace("/etc/customresourcestate", directory.str())
            .replace("/opt/k8s/.kube/config", "missing")
    })
    .collect()
}

#[test]
fn the_rights_are_those_that_rbac_prints_for_the_arguments() {
    if !has_helm() {
        return;
    }
    let directory = crate::support::Directory::new("helm");
    let mut compared = 0;
    let mut cases = cases();
    // This values file sets almost every value. The exporter would refuse the resulting combination of flags.
    cases.remove("every-value").unwrap();
    for (name, values) in cases {
        let objects = objects(&values, &[]);
        for workload in workloads(&objects) {
            let args = arguments(&directory, &objects, workload);
            let args = args.iter().map(String::as_str);
            // `rbac` must accept the arguments that the chart renders.
            let account = "--service-account=monitoring/kube-state-metrics";
            let line = ["rbac", account].into_iter().chain(args);
            let output = run(&line.collect::<Vec<_>>(), "");
            assert!(output.status.success(), "{name}: {}", output.stderr);
            let account = &workload["spec"]["template"]["spec"]["serviceAccountName"];
            let mut rules = rules_of(&objects, account.as_str().unwrap());
            let mut printed = rules_of(&documents(&output.stdout), "kube-state-metrics");
            match &*name {
                // With these values, the chart creates no roles.
                "kubeconfig" => continue,
                // With these values, the chart creates no ClusterRole, so the exporter cannot read cluster-scoped
                // resources.
                "namespaces" => {}
                // With these values, a proxy in the pod reviews the tokens instead of the exporter. So the roles of the
                // chart contain the permission to create reviews, and the output of `rbac` does not.
                "kube-rbac-proxy" => rules.retain(|rule| rule.4 != "create"),
                // These values export StatefulSets, so a rule for all StatefulSets already includes the StatefulSet of
                // the exporter.
                "autosharding" | "mixin" => rules.retain(|rule| rule.3.is_empty()),
                _ => {}
            }
            if name == "custom-resources-only" {
                printed.retain(|rule| rule.1 == "apiextensions.k8s.io");
            }
            assert_eq!(rules, printed, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared}");
}

#[test]
fn probes_reach_the_program_behind_the_proxy() {
    if !has_helm() {
        return;
    }
    let objects = objects(&chart().join("ci/kube-rbac-proxy-values.yaml"), &[]);
    let template = &workloads(&objects)[0]["spec"]["template"]["spec"];
    let (program, proxy) = (&template["containers"][0], &template["containers"][1]);
    assert!(program["ports"].is_null());
    let listens = strings(&proxy["args"]).contains("--secure-listen-address=:8080");
    assert!(listens && strings(&proxy["args"]).contains("--ignore-paths=/livez,/readyz"));
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let expected = json!({ "path": path, "port": 8080, "scheme": "HTTPS" });
        assert_eq!(program[probe]["httpGet"], expected);
    }
}
