//! The manifests of deploy/: the permissions and programs in them. A cluster accepts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use kube_state_metrics::BuiltIn;
use serde_json::{Value, json};

use super::support::{Directory, Exporter, eventually, eventually_or, get, run, run_program};

const FILES: [&str; 3] = [
    "kubernetes.yaml",
    "autosharding.yaml",
    "daemonset-sharding.yaml",
];

const NETWORK_POLICY: &str = "network-policy.yaml";

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(file)
}

fn objects(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(file)).unwrap();
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

fn find(objects: &[Value], kind: &str, name: &str) -> Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap().clone()
}

fn strings(value: &Value) -> BTreeSet<&str> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap()).collect()
}

/// The names of the resources that are on by default, with their API groups.
fn defaults() -> BTreeSet<(String, String)> {
    let families = run(&["families", "--format=json"], "").stdout;
    let families: Vec<Value> = serde_json::from_str(&families).unwrap();
    let defaults = families.iter().filter(|family| family["default"] == true);
    let resources = defaults.map(|family| {
        let version = family["apiVersion"].as_str().unwrap();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        (
            family["resource"].as_str().unwrap().to_owned(),
            group.to_owned(),
        )
    });
    resources.collect()
}

/// The pod templates of a file, with the names of their workloads.
fn templates(file: &str) -> Vec<(String, Value)> {
    let objects = objects(file).into_iter();
    objects
        .filter(|object| object["spec"]["template"].is_object())
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

#[test]
fn the_role_allows_every_default_resource_and_the_reviews_of_tokens() {
    let role = find(
        &objects("kubernetes.yaml"),
        "ClusterRole",
        "kube-state-metrics",
    );
    let rules = role["rules"].as_array().unwrap();
    let allows = |group: &str, resource: &str, verb: &str| {
        rules.iter().any(|rule| {
            strings(&rule["apiGroups"]).contains(group)
                && strings(&rule["resources"]).contains(resource)
                && strings(&rule["verbs"]).contains(verb)
        })
    };
    for (resource, group) in defaults() {
        for verb in ["list", "watch"] {
            assert!(allows(&group, &resource, verb), "{verb} {resource}.{group}");
        }
    }
    assert!(allows("authentication.k8s.io", "tokenreviews", "create"));
    assert!(allows(
        "authorization.k8s.io",
        "subjectaccessreviews",
        "create"
    ));
    // No permission changes anything.
    for rule in rules {
        let harmless = BTreeSet::from(["list", "watch"]);
        let reviews = BTreeSet::from(["create"]);
        let verbs = strings(&rule["verbs"]);
        assert!(verbs == harmless || verbs == reviews, "{rule}");
    }
}

/// The rules that allow an exporter to list and watch every resource with families.
fn rules_of_the_catalogue() -> String {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for resource in BuiltIn::ALL {
        let group = groups
            .entry(resource.info().group().to_owned())
            .or_default();
        group.push(resource.name());
    }
    let mut text = String::new();
    for (group, resources) in groups {
        let group = if group.is_empty() { "\"\"" } else { &group };
        let _ = writeln!(text, "  - apiGroups: [{group}]");
        let line = format!("    resources: [{}]", resources.join(", "));
        if line.len() <= 100 {
            let _ = writeln!(text, "{line}");
        } else {
            let items = resources.join("\n      - ");
            let _ = writeln!(text, "    resources:\n      - {items}");
        }
        let _ = writeln!(text, "    verbs: [list, watch]");
    }
    text
}

#[test]
fn the_roles_name_the_resources_of_the_catalogue() {
    let (start, end) = ("\nrules:\n", "  # Only for --auth-filter.\n");
    for file in FILES {
        let text = std::fs::read_to_string(path(file)).unwrap();
        let (before, rest) = text.split_once(start).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let expected = format!("{before}{start}{}{end}{after}", rules_of_the_catalogue());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path(file), expected).unwrap();
        } else {
            let message =
                "is out of date; run UPDATE_GOLDEN=1 cargo test --test integration deploy";
            assert!(text == expected, "{file} {message}");
        }
    }
}

#[test]
fn the_variants_have_the_same_accounts_and_roles() {
    let own = objects("kubernetes.yaml");
    for file in &FILES[1..] {
        let variant = objects(file);
        for (kind, name) in [
            ("ServiceAccount", "kube-state-metrics"),
            ("ClusterRole", "kube-state-metrics"),
            ("ClusterRole", "kube-state-metrics-reader"),
            ("ClusterRoleBinding", "kube-state-metrics"),
        ] {
            assert_eq!(find(&variant, kind, name), find(&own, kind, name), "{file}");
        }
    }
}

#[test]
fn pods_run_safely_and_are_probed_on_the_telemetry_port() {
    let image = concat!("kube-state-metrics-rs:", env!("CARGO_PKG_VERSION"));
    for file in FILES {
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
    assert_eq!(spec["policyTypes"], json!(["Ingress"]));
    for file in FILES {
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
    for file in FILES {
        for (name, template) in templates(file) {
            let args: Vec<_> = args(&template)
                .iter()
                .map(|arg| match arg.split_once("$(") {
                    Some((flag, _)) => format!("{flag}some-0"),
                    None => arg.clone(),
                })
                .collect();
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let exporter = Exporter::start(&args);
            assert_eq!(exporter.get("/readyz").status, 200, "{file}: {name}");
        }
    }
}

#[test]
fn shards_that_find_themselves_hand_over() {
    let (mut sharded, flag) = (0, "--shard-handover=");
    for file in FILES {
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
    let deployment = &templates("daemonset-sharding.yaml")[1].1;
    let args = args(deployment);
    let listed = args.iter().flat_map(|arg| {
        let list = arg.strip_prefix("--resources=").unwrap();
        list.split(',')
    });
    let mut listed: Vec<_> = listed.collect();
    listed.push("pods");
    listed.sort_unstable();
    let defaults: Vec<_> = defaults().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, defaults);
}

/// `kubectl` on the cluster that `KUBECONFIG` names.
fn kubectl(args: &[&str], stdin: &str) -> Result<String, String> {
    let output = run_program("kubectl", args, stdin);
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(output.stderr)
    }
}

/// Objects of a cluster, deleted when dropped.
struct Applied(String);

impl Applied {
    fn new(yaml: String) -> Self {
        let applied = Self(yaml);
        let args = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        eventually_or(
            "the cluster takes the manifests",
            || kubectl(&args, &applied.0).ok(),
            || kubectl(&args, &applied.0).unwrap_err(),
        );
        applied
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        let args = ["delete", "--ignore-not-found", "--wait=false", "-f", "-"];
        if let Err(problem) = kubectl(&args, &self.0) {
            eprintln!("not deleted: {problem}");
        }
    }
}

/// A kubeconfig with the identity of a service account.
fn kubeconfig(directory: &Directory, token: &str) -> String {
    let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "").unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token });
    }
    directory.write("kubeconfig", &config.to_string())
}

fn token(account: &str) -> String {
    let args = ["-n", "kube-system", "create", "token", account];
    let token = eventually_or(
        "a token",
        || kubectl(&args, "").ok(),
        || kubectl(&args, "").unwrap_err(),
    );
    token.trim().to_owned()
}

fn ask(address: &str, token: &str) -> u16 {
    let value = format!("Bearer {token}");
    get(address, "/metrics", &[("authorization", &value)]).status
}

const READER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: ksm-test-reader, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ksm-test-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kube-state-metrics-reader}
subjects: [{kind: ServiceAccount, name: ksm-test-reader, namespace: kube-system}]
";

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system"]
fn a_cluster_takes_the_manifests_and_their_roles_suffice() {
    let directory = Directory::new("deploy");
    let _policy = Applied::new(std::fs::read_to_string(path(NETWORK_POLICY)).unwrap());
    for file in FILES {
        let _applied = Applied::new(std::fs::read_to_string(path(file)).unwrap());
        let _reader = Applied::new(READER.to_owned());
        let own = token("kube-state-metrics");
        let kubeconfig = kubeconfig(&directory, &own);
        let common = ["--kubeconfig", &kubeconfig, "--auth-filter"];
        // Strict: no default resource may be refused.
        let exporter = Exporter::serving(&[&common[..], &["--readiness=strict"]].concat());
        eventually_or(
            "everything is listed",
            || (exporter.get("/readyz").status == 200).then_some(()),
            || exporter.get("/readyz?verbose").text(),
        );
        let reader = token("ksm-test-reader");
        for address in [&exporter.main, &exporter.telemetry] {
            assert_eq!(ask(address, "nobody's"), 401);
            assert_eq!(ask(address, &own), 403, "the exporter itself is no reader");
            // The binding takes a moment to become effective.
            eventually("the reader reads", || {
                (ask(address, &reader) == 200).then_some(())
            });
        }
        if file == "autosharding.yaml" {
            for index in ["0", "1"] {
                let pod = format!("--pod=kube-state-metrics-{index}");
                let shard = [
                    "--kubeconfig",
                    &kubeconfig,
                    &pod,
                    "--pod-namespace=kube-system",
                ];
                let exporter = Exporter::serving(&shard);
                eventually_or(
                    "it knows its shard",
                    || (exporter.own("kube_state_metrics_total_shards") == Some(2.0)).then_some(()),
                    || exporter.get("/readyz?verbose").text(),
                );
                let series =
                    format!("kube_state_metrics_shard_ordinal{{shard_ordinal=\"{index}\"}}");
                assert_eq!(exporter.own(&series), index.parse().ok());
            }
        }
        println!("{file}: accepted, its role suffices");
    }
    // A server that is unreachable.
    let text = std::fs::read_to_string(directory.path().join("kubeconfig")).unwrap();
    let mut away: Value = serde_json::from_str(&text).unwrap();
    away["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let away = directory.write("away", &away.to_string());
    let exporter = Exporter::start(&["--kubeconfig", &away, "--auth-filter"]);
    assert_eq!(ask(&exporter.main, "any"), 503);
}
