//! Tests the sources of the manifests: the Kustomize bases, components and overlays.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{
    ADDITIONS, VARIANTS, args, assert_golden, deploy, documents, in_a_pod, path, strings, workloads,
};
use crate::support::{Directory, run, run_program};
use crate::tools::tool;

pub(super) fn kustomize(directory: &Path) -> String {
    let output = run_program("kubectl", &["kustomize", directory.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout
}

pub(crate) fn has_kubectl() -> bool {
    tool("kubectl", &["kustomize", "--help"], "kubectl").is_some()
}

/// Returns the roles that `rbac` prints for this service account and these flags. `role` is the name of the roles.
fn roles(role: &str, account: &str, flags: &[String]) -> String {
    let role = format!("--name={role}");
    let account = format!("--service-account=kube-system/{account}");
    let flags = flags.iter().map(String::as_str);
    let line: Vec<_> = ["rbac", &role, &account].into_iter().chain(flags).collect();
    let output = run(&line, "");
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout
}

#[test]
fn roles_are_the_output_of_rbac() {
    let overlays = deploy().join("kustomize/overlays");
    for (_, overlay) in VARIANTS {
        let directory = overlays.join(overlay);
        // All workloads with the same service account must have the same role.
        let mut of_account: BTreeMap<String, String> = BTreeMap::new();
        for entry in fs::read_dir(&directory).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "kustomization.yaml" || name.starts_with("roles") {
                continue;
            }
            let objects = documents(&fs::read_to_string(file).unwrap());
            for workload in workloads(&objects) {
                let template = &workload["spec"]["template"]["spec"];
                let account = template["serviceAccountName"].as_str().unwrap();
                let flags: Vec<_> = args(template).iter().map(|arg| in_a_pod(arg)).collect();
                let roles = roles(account, account, &flags);
                let before = of_account.insert(account.to_owned(), roles.clone());
                assert!(
                    before.is_none_or(|before| before == roles),
                    "{overlay}: {account}"
                );
            }
        }
        for (account, roles) in of_account {
            let suffix = account.strip_prefix("kube-state-metrics").unwrap();
            assert_golden(&directory.join(format!("roles{suffix}.yaml")), &roles);
        }
    }
    let components = deploy().join("kustomize/components");
    let account = "kube-state-metrics";
    // If manifests are the source, the exporter needs the API server only for reviews of tokens.
    let flags = ["--manifests=none", "--auth-filter"].map(String::from);
    let reviews = roles("kube-state-metrics-auth-filter", account, &flags);
    assert_golden(&components.join("auth-filter/roles.yaml"), &reviews);
    let config = components.join("custom-resources/config.yaml");
    let config = format!("--custom-resource-state-config-file={}", config.display());
    let flags = ["--custom-resource-state-only".to_owned(), config];
    let custom = roles("kube-state-metrics-custom-resources", account, &flags);
    assert_golden(&components.join("custom-resources/roles.yaml"), &custom);
}

#[test]
fn plain_manifests_are_the_output_of_kustomize() {
    if !has_kubectl() {
        return;
    }
    for (file, overlay) in VARIANTS.into_iter().chain(ADDITIONS) {
        let text = fs::read_to_string(path(file)).unwrap_or_default();
        let comment: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(
            comment.contains(&format!("deploy/{file}")),
            "{file} has a comment with its use"
        );
        let output = kustomize(&deploy().join("kustomize/overlays").join(overlay));
        assert_golden(&path(file), &(comment + &output));
    }
}

/// Returns the objects that an overlay renders with further components.
pub(super) fn with_components(overlay: &str, components: &[&str]) -> Vec<Value> {
    let directory = Directory::new("kustomize");
    let root = deploy().canonicalize().unwrap().join("kustomize");
    // Kustomize accepts only relative paths, so the test computes one.
    let temporary = directory.path().canonicalize().unwrap();
    let up = "../".repeat(temporary.components().count() - 1);
    let relative = |path: &str| {
        format!(
            "{up}{}",
            root.join(path)
                .display()
                .to_string()
                .trim_start_matches('/')
        )
    };
    let components = components.iter();
    let components: Vec<_> = components
        .map(|name| relative(&format!("components/{name}")))
        .collect();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [relative(&format!("overlays/{overlay}"))], "components": components,
    });
    directory.write("kustomization.yaml", &kustomization.to_string());
    documents(&kustomize(&temporary))
}

/// Whether a selector matches these labels. The function supports only the operator `In`.
fn selects(selector: &Value, labels: &Value) -> bool {
    let expressions = selector["matchExpressions"].as_array().unwrap();
    expressions.iter().all(|expression| {
        assert_eq!(expression["operator"], "In");
        let value = labels[expression["key"].as_str().unwrap()].as_str();
        value.is_some_and(|value| strings(&expression["values"]).contains(value))
    })
}

/// The components that users can add to every variant.
pub(super) const COMPONENTS: [&str; 4] = [
    "annotations",
    "network-policy",
    "pod-monitor",
    "service-monitor",
];

#[test]
fn components_apply_to_every_variant() {
    if !has_kubectl() {
        return;
    }
    for (_, overlay) in VARIANTS {
        let objects = with_components(overlay, &COMPONENTS);
        let of_kind = |kind: &str| {
            objects
                .iter()
                .find(|own| own["kind"] == kind)
                .unwrap()
                .clone()
        };
        let (pods, policy) = (of_kind("PodMonitor"), of_kind("NetworkPolicy"));
        let workloads = workloads(&objects);
        assert!(!workloads.is_empty(), "{overlay}");
        for workload in workloads {
            let metadata = &workload["spec"]["template"]["metadata"];
            assert_eq!(
                metadata["annotations"]["prometheus.io/scrape"], "true",
                "{overlay}"
            );
            assert!(
                selects(&pods["spec"]["selector"], &metadata["labels"]),
                "{overlay}"
            );
            assert!(
                selects(&policy["spec"]["podSelector"], &metadata["labels"]),
                "{overlay}"
            );
        }
        let monitor = of_kind("ServiceMonitor");
        let services = objects.iter().filter(|own| own["kind"] == "Service");
        for service in services {
            let labels = &service["metadata"]["labels"];
            assert!(selects(&monitor["spec"]["selector"], labels), "{overlay}");
        }
        for endpoints in [
            &monitor["spec"]["endpoints"],
            &pods["spec"]["podMetricsEndpoints"],
        ] {
            assert_eq!(endpoints[0]["port"], "http-metrics");
            // This port serves the metrics of objects. `metricRelabelings` keeps the labels of these metrics, so
            // `honorLabels` is not necessary.
            assert!(endpoints[0]["honorLabels"].is_null());
            assert!(endpoints[0]["metricRelabelings"].is_array());
            assert_eq!(endpoints[1]["port"], "telemetry");
            assert!(endpoints[1]["honorLabels"].is_null());
        }
    }
}

#[test]
fn a_namespace_and_an_image_are_set_in_one_place() {
    if !has_kubectl() {
        return;
    }
    let directory = Directory::new("kustomize");
    let temporary = directory.path().canonicalize().unwrap();
    let up = "../".repeat(temporary.components().count() - 1);
    let overlay = deploy()
        .canonicalize()
        .unwrap()
        .join("kustomize/overlays/autosharding");
    let overlay = format!(
        "{up}{}",
        overlay.display().to_string().trim_start_matches('/')
    );
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "namespace": "monitoring", "resources": [overlay],
        "images": [{ "name": "kube-state-metrics-rs", "newName": "registry.test/ksm", "newTag": "1" }],
    });
    directory.write("kustomization.yaml", &kustomization.to_string());
    let objects = documents(&kustomize(&temporary));
    for object in &objects {
        let namespace = object["metadata"]["namespace"].as_str();
        assert!(namespace.is_none_or(|own| own == "monitoring"), "{object}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["namespace"], "monitoring");
        }
    }
    let workload = workloads(&objects)[0];
    let image = &workload["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, "registry.test/ksm:1");
}
