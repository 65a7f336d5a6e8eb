//! Tests the manifests in deploy/: their permissions, their arguments, and whether a cluster accepts the manifests. A
//! *plain manifest* is a YAML file that users can apply without Kustomize and Helm. A *variant* is a plain manifest
//! that installs the exporter in one of several ways, for example with shards.

pub(crate) mod cluster;
mod cluster_dry_runs;
mod cluster_joins;
mod cluster_rights;
pub(crate) mod helm;
mod helm_checks;
mod helm_community;
mod helm_mixin;
mod helm_test;
mod helm_values;
pub(crate) mod kustomize;
mod relabeling;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::{Exporter, run};

/// The file name of each variant, and the name of the Kustomize overlay that generates the file.
const VARIANTS: [(&str, &str); 9] = [
    ("kubernetes.yaml", "single"),
    ("namespaced.yaml", "namespaced"),
    ("fixed-shards.yaml", "fixed-shards"),
    ("high-availability.yaml", "high-availability"),
    ("autosharding.yaml", "autosharding"),
    ("daemonset-sharding.yaml", "daemonset"),
    ("auth-filter.yaml", "auth-filter"),
    ("custom-resources.yaml", "custom-resources"),
    ("annotations.yaml", "annotations"),
];

const NETWORK_POLICY: &str = "network-policy.yaml";

/// Plain manifests that users apply in addition to a variant, each with the Kustomize overlay that generates it.
const ADDITIONS: [(&str, &str); 3] = [
    (NETWORK_POLICY, "network-policy"),
    ("service-monitor.yaml", "service-monitor"),
    ("pod-monitor.yaml", "pod-monitor"),
];

fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn path(file: &str) -> PathBuf {
    deploy().join(file)
}

fn files() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|(file, _)| *file)
}

fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

fn objects(file: &str) -> Vec<Value> {
    documents(&std::fs::read_to_string(path(file)).unwrap())
}

fn find(objects: &[Value], kind: &str, name: &str) -> Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap().clone()
}

fn strings(value: &Value) -> BTreeSet<&str> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap()).collect()
}

/// Returns the Deployments, StatefulSets and DaemonSets among the objects.
fn workloads(objects: &[Value]) -> Vec<&Value> {
    let workloads = objects.iter();
    workloads
        .filter(|object| object["spec"]["template"].is_object())
        .collect()
}

/// Returns the pod templates of a file, with the names of their workloads.
fn templates(file: &str) -> Vec<(String, Value)> {
    let objects = objects(file);
    let workloads = workloads(&objects).into_iter();
    workloads
        .map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            (name, object["spec"]["template"]["spec"].clone())
        })
        .collect()
}

fn args(template: &Value) -> Vec<String> {
    let args = template["containers"][0]["args"].as_array();
    let args = args.map(Vec::as_slice).unwrap_or_default().iter();
    args.map(|arg| arg.as_str().unwrap().to_owned()).collect()
}

/// Replaces the placeholders in an argument by values that are possible in a pod.
fn in_a_pod(arg: &str) -> String {
    let files = deploy().join("kustomize/components/custom-resources");
    arg.replace("$(POD_NAMESPACE)", "kube-system")
        .replace("$(POD_NAME)", "kube-state-metrics-0")
        .replace("$(NODE_NAME)", "some")
        .replace("/etc/custom-resources", files.to_str().unwrap())
}

/// Compares a file with its expected content. If `UPDATE_GOLDEN` is set, writes the expected content to the file
/// instead.
#[track_caller]
pub(crate) fn assert_golden(file: &std::path::Path, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, expected).unwrap();
        return;
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let update = "run UPDATE_GOLDEN=1 cargo test --workspace --all-features --test integration -- \
                  deploy:: own_metrics";
    let file = file.display();
    assert!(text == expected, "{file} is out of date; {update}");
}

#[test]
fn roles_allow_nothing_that_changes_objects() {
    for file in files() {
        for object in objects(file) {
            let rules = object["rules"].as_array().map(Vec::as_slice);
            for rule in rules.unwrap_or_default() {
                let verbs = strings(&rule["verbs"]);
                // The role may allow writes to only one object: the Lease that the replicas share.
                let is_lease = rule["resources"] == json!(["leases"]);
                let is_own = rule["resourceNames"] == json!(["kube-state-metrics"]);
                if is_lease && (is_own || verbs == BTreeSet::from(["create"])) {
                    continue;
                }
                let is_review = strings(&rule["resources"])
                    .iter()
                    .all(|resource| resource.ends_with("reviews"));
                let allowed = match is_review && rule["resources"].is_array() {
                    true => BTreeSet::from(["create"]),
                    false => BTreeSet::from(["get", "list", "watch"]),
                };
                assert!(verbs.is_subset(&allowed), "{file}: {rule}");
            }
        }
    }
}

#[test]
fn pods_of_nodes_and_of_namespaces_cannot_read_secrets() {
    let may_list_secrets = |file: &str, account: &str| {
        let objects = objects(file);
        let bound = objects.iter().filter(|object| {
            let subjects = object["subjects"].as_array().into_iter().flatten();
            subjects.clone().any(|own| own["name"] == account)
        });
        let roles = bound.map(|binding| {
            let role = &binding["roleRef"];
            let name = role["name"].as_str().unwrap();
            find(&objects, role["kind"].as_str().unwrap(), name)
        });
        let rules = roles.flat_map(|role| role["rules"].as_array().unwrap().clone());
        let mut rules = rules.map(|rule| strings(&rule["resources"]).contains("secrets"));
        rules.any(|has_secrets| has_secrets)
    };
    assert!(may_list_secrets("kubernetes.yaml", "kube-state-metrics"));
    assert!(!may_list_secrets("namespaced.yaml", "kube-state-metrics"));
    let (file, account) = ("daemonset-sharding.yaml", "kube-state-metrics-shard");
    assert!(!may_list_secrets(file, account));
}

#[test]
fn the_chart_has_the_version_and_the_image_of_the_release() {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let yaml = |path: PathBuf| -> Value { serde_saphyr::from_str(&read(path)).unwrap() };
    let chart = yaml(helm::chart().join("Chart.yaml"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart["version"], version);
    // The release workflow uses the version of the workspace as the tag of the image.
    assert_eq!(chart["appVersion"], version);
    let workflow = deploy().join("../.github/workflows/release.yml");
    assert!(read(workflow.clone()).contains("image=\"$name:${GITHUB_REF_NAME#v}\""));
    let workflow = yaml(workflow);
    let image = &yaml(helm::chart().join("values.yaml"))["image"];
    assert_eq!(image["registry"], workflow["env"]["REGISTRY"]);
    let repository = env!("CARGO_PKG_REPOSITORY").strip_prefix("https://github.com/");
    assert_eq!(image["repository"].as_str(), repository);
    // The release workflow must use the Rust toolchain that the Dockerfile names. With another toolchain, nobody could
    // build the same bytes again.
    let dockerfile = read(deploy().join("../Dockerfile"));
    let toolchain = workflow["env"]["RUSTUP_TOOLCHAIN"].as_str().unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{toolchain}-slim-")),
        "{toolchain}"
    );
}

#[test]
fn pods_run_safely_and_are_probed_on_the_telemetry_port() {
    let image = concat!("kube-state-metrics-rs:", env!("CARGO_PKG_VERSION"));
    for file in files() {
        for (name, template) in templates(file) {
            let container = &template["containers"][0];
            assert_eq!(container["image"], image, "{file}: {name}");
            for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
                let get = &container[probe]["httpGet"];
                assert_eq!(*get, json!({ "path": path, "port": "telemetry" }), "{file}");
            }
            let security = &container["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{file}: {name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{file}: {name}");
            assert_eq!(
                security["allowPrivilegeEscalation"], false,
                "{file}: {name}"
            );
            let ports = container["ports"].as_array().unwrap();
            let ports: Vec<_> = ports.iter().map(|port| &port["containerPort"]).collect();
            assert_eq!(ports, [8080, 8081], "{file}: {name}");
            let args = args(&template);
            assert_eq!(
                args[..2],
                ["--port=8080", "--telemetry-port=8081"],
                "{file}"
            );
        }
    }
}

#[test]
fn objects_have_the_labels_that_alerts_and_dashboards_select() {
    for file in files() {
        for object in objects(file) {
            let labels = &object["metadata"]["labels"];
            let name = labels["app.kubernetes.io/name"].as_str().unwrap();
            assert!(name.starts_with("kube-state-metrics"), "{file}: {object}");
            assert_eq!(labels["app.kubernetes.io/component"], "exporter", "{file}");
            // The selector must not contain the version, because Kubernetes does not allow a change of the selector.
            let selector = &object["spec"]["selector"]["matchLabels"];
            assert!(selector["app.kubernetes.io/version"].is_null(), "{file}");
            let is_workload = object["spec"]["template"].is_object();
            if let Some(selector) = selector.as_object().filter(|_| is_workload) {
                let labels = &object["spec"]["template"]["metadata"]["labels"];
                for (key, value) in selector {
                    assert_eq!(labels[key], *value, "{file}: {key}");
                }
            }
        }
    }
}

#[test]
fn the_network_policy_selects_the_pods_and_names_their_ports() {
    let policy = find(
        &objects(NETWORK_POLICY),
        "NetworkPolicy",
        "kube-state-metrics",
    );
    let spec = &policy["spec"];
    let selected = &spec["podSelector"]["matchExpressions"][0];
    let (key, names) = (
        selected["key"].as_str().unwrap(),
        strings(&selected["values"]),
    );
    assert_eq!(selected["operator"], "In");
    let ports: BTreeSet<_> = (spec["ingress"][0]["ports"].as_array().unwrap().iter())
        .map(|port| port["port"].as_str().unwrap())
        .collect();
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    // Without these ports, the pods could not reach the API server and DNS.
    let egress = spec["egress"].as_array().unwrap().iter();
    let egress = egress.flat_map(|rule| rule["ports"].as_array().unwrap());
    let egress: BTreeSet<_> = egress.map(|port| port["port"].as_u64()).collect();
    assert_eq!(egress, BTreeSet::from([53, 443, 6443].map(Some)));
    for file in files() {
        for object in objects(file) {
            let template = &object["spec"]["template"];
            if !template.is_object() {
                continue;
            }
            assert_eq!(
                object["metadata"]["namespace"],
                policy["metadata"]["namespace"]
            );
            let name = template["metadata"]["labels"][key].as_str().unwrap();
            assert!(names.contains(name), "{file}: {name}");
            let container = &template["spec"]["containers"][0];
            let names = container["ports"].as_array().unwrap().iter();
            let names: BTreeSet<_> = names.map(|port| port["name"].as_str().unwrap()).collect();
            assert_eq!(names, ports, "{file}");
        }
    }
}

#[test]
fn the_program_takes_the_arguments() {
    for file in files() {
        for (name, template) in templates(file) {
            let args: Vec<_> = args(&template).iter().map(|arg| in_a_pod(arg)).collect();
            let args = args.iter().map(String::as_str);
            // If a flag is repeated, the last value takes precedence.
            let ports = ["--host=127.0.0.1", "--port=0", "--telemetry-port=0"];
            let args: Vec<_> = args.chain(ports).collect();
            let mut args = args;
            // The test removes the flags that need an API server.
            args.retain(|arg| !["--auth-filter", "--ha"].contains(arg));
            let exporter = Exporter::start(&args);
            assert_eq!(exporter.get("/readyz").status, 200, "{file}: {name}");
        }
    }
}

#[test]
fn shards_that_find_themselves_hand_over() {
    let (mut sharded, flag) = (0, "--shard-handover=");
    for file in files() {
        for (name, template) in templates(file) {
            let args = args(&template);
            let has_own_pod = args.iter().any(|arg| arg.starts_with("--pod="));
            let handover = args.iter().find_map(|arg| arg.strip_prefix(flag));
            sharded += usize::from(has_own_pod);
            assert_eq!(handover, has_own_pod.then_some("30s"), "{file}: {name}");
        }
    }
    assert_eq!(sharded, 1);
}

#[test]
fn daemon_set_and_deployment_divide_the_default_resources() {
    let mut listed: Vec<String> = Vec::new();
    for (name, template) in templates("daemonset-sharding.yaml") {
        if name == "kube-state-metrics-unscheduled-pods-fetching" {
            continue;
        }
        let args = args(&template);
        let lists = args
            .iter()
            .filter_map(|arg| arg.strip_prefix("--resources="));
        listed.extend(lists.flat_map(|list| list.split(',').map(String::from)));
    }
    listed.sort_unstable();
    let families = run(&["families", "--format=json"], "").stdout;
    let families: Vec<Value> = serde_json::from_str(&families).unwrap();
    let defaults = families.iter().filter(|family| family["default"] == true);
    let defaults: BTreeSet<_> = defaults
        .map(|family| family["resource"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, defaults.into_iter().collect::<Vec<_>>());
}
