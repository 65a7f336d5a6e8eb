//! Tests the manifests on a cluster: the permissions in their roles must be sufficient.

use serde_json::{Value, json};

use super::{args, documents, files, in_a_pod, path, workloads};
use crate::support::{Directory, Exporter, eventually, eventually_or, get, run, run_program};

/// Runs `kubectl` on the cluster of the kubeconfig that `KUBECONFIG` names.
pub(crate) fn kubectl(args: &[&str], stdin: &str) -> Result<String, String> {
    let output = run_program("kubectl", args, stdin);
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(output.stderr)
    }
}

/// Applies objects, and repeats this until the cluster accepts them.
pub(crate) fn apply(objects: &str, flags: &[&str]) {
    let args = [&["apply", "--server-side", "-f", "-"], flags].concat();
    eventually_or(
        "the cluster takes the manifests",
        || kubectl(&args, objects).ok(),
        || kubectl(&args, objects).unwrap_err(),
    );
}

/// Objects that a test has created in a cluster. When this value is dropped, it deletes the objects.
pub(crate) struct Applied(String);

impl Applied {
    pub(crate) fn new(yaml: String) -> Self {
        let applied = Self(yaml);
        apply(&applied.0, &["--validate=strict"]);
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

/// Returns the path of a kubeconfig that contains the token of a service account.
pub(super) fn kubeconfig(directory: &Directory, token: &str) -> String {
    let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "").unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for user in config["users"].as_array_mut().unwrap() {
        user["user"] = json!({ "token": token });
    }
    for context in config["contexts"].as_array_mut().unwrap() {
        // The Lease is in the namespace of the exporter's pods, which is `kube-system`.
        context["context"]["namespace"] = json!("kube-system");
    }
    directory.write("kubeconfig", &config.to_string())
}

pub(super) fn token(namespace: &str, account: &str) -> String {
    let args = ["-n", namespace, "create", "token", account];
    let token = eventually_or(
        "a token",
        || kubectl(&args, "").ok(),
        || kubectl(&args, "").unwrap_err(),
    );
    token.trim().to_owned()
}

pub(super) fn ask(address: &str, token: &str) -> u16 {
    let value = format!("Bearer {token}");
    get(address, "/metrics", &[("authorization", &value)]).status
}

/// Starts the exporter with the arguments that it has in a pod, but on free ports.
pub(super) fn serving(kubeconfig: &str, args: &[String], more: &[&str]) -> Exporter {
    let ports = ["--host=127.0.0.1", "--port=0", "--telemetry-port=0"];
    let args = args.iter().map(String::as_str).chain(ports);
    let args: Vec<_> = args
        .chain(["--kubeconfig", kubeconfig])
        .chain(more.iter().copied())
        .collect();
    Exporter::spawn(&args)
}

/// Runs `rbac --check`. Returns whether the command succeeds, and its output.
pub(super) fn checked(kubeconfig: &str, args: &[String]) -> (bool, String) {
    let args = args.iter().map(String::as_str);
    let args: Vec<_> = ["rbac", "--check", "--kubeconfig", kubeconfig]
        .into_iter()
        .chain(args)
        .collect();
    let output = run(&args, "");
    if !output.status.success() {
        assert!(
            output.stderr.contains("permissions are missing"),
            "{}",
            output.stderr
        );
    }
    (output.status.success(), output.stdout)
}

/// Waits until no permission is missing. Then starts the exporter, and waits until all resources are listed.
pub(super) fn ready(what: &str, kubeconfig: &str, args: &[String]) -> Exporter {
    // The API server may need some time until it uses a new role binding.
    eventually_or(
        "no permission is missing",
        || checked(kubeconfig, args).0.then_some(()),
        || format!("{what}: {}", checked(kubeconfig, args).1),
    );
    // With `--readiness=strict`, the exporter becomes ready only after the API server has accepted the requests for
    // every resource.
    let exporter = serving(kubeconfig, args, &["--readiness=strict"]);
    eventually_or(
        "everything is listed",
        || (exporter.get("/readyz").status == 200).then_some(()),
        || format!("{what}: {}", exporter.get("/readyz?verbose").text()),
    );
    exporter
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

/// Creates namespaces. Another test may be deleting a namespace of the same name. In this case, waits until the
/// deletion is complete.
pub(crate) fn namespaces(names: &[&str]) -> Vec<Applied> {
    let create = |name: &&str| {
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let phase = ["get", "namespace", name, "-o", "jsonpath={.status.phase}"];
        let applied = Applied::new(object.to_string());
        eventually("the namespace is active", || {
            let is_active = kubectl(&phase, "").is_ok_and(|phase| phase == "Active");
            if !is_active {
                drop(kubectl(&["apply", "--server-side", "-f", "-"], &applied.0));
            }
            is_active.then_some(())
        });
        applied
    };
    names.iter().map(create).collect()
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system"]
fn a_cluster_takes_the_manifests_and_their_roles_suffice() {
    let directory = Directory::new("deploy");
    let _namespaces = namespaces(&["shop", "payments"]);
    for file in files() {
        let text = std::fs::read_to_string(path(file)).unwrap();
        let _applied = Applied::new(text.clone());
        let objects = documents(&text);
        for workload in workloads(&objects) {
            let name = &workload["metadata"]["name"];
            let template = &workload["spec"]["template"]["spec"];
            let args: Vec<_> = args(template).iter().map(|arg| in_a_pod(arg)).collect();
            let own = template["serviceAccountName"].as_str().unwrap();
            let own = token("kube-system", own);
            let kubeconfig = kubeconfig(&directory, &own);
            let exporter = ready(&format!("{file}: {name}"), &kubeconfig, &args);
            if file == "auth-filter.yaml" {
                reads_with_a_role(&exporter, &own);
            }
            println!("{file}: {name}: accepted, its role suffices");
        }
        if file == "autosharding.yaml" {
            knows_its_shard(&kubeconfig(
                &directory,
                &token("kube-system", "kube-state-metrics"),
            ));
        }
    }
}

fn reads_with_a_role(exporter: &Exporter, own: &str) {
    let _reader = Applied::new(READER.to_owned());
    let reader = token("kube-system", "ksm-test-reader");
    for address in [&exporter.main, &exporter.telemetry] {
        assert_eq!(ask(address, "nobody's"), 401);
        assert_eq!(
            ask(address, own),
            403,
            "the exporter's token may not read metrics"
        );
        // The API server may need some time until it uses a new role binding.
        eventually("the reader may read metrics", || {
            (ask(address, &reader) == 200).then_some(())
        });
    }
}

fn knows_its_shard(kubeconfig: &str) {
    for index in ["0", "1"] {
        let pod = format!("--pod=kube-state-metrics-{index}");
        let exporter = Exporter::serving(&[
            "--kubeconfig",
            kubeconfig,
            &pod,
            "--pod-namespace=kube-system",
        ]);
        eventually_or(
            "the exporter knows its shard",
            || (exporter.own("kube_state_metrics_total_shards") == Some(2.0)).then_some(()),
            || exporter.get("/readyz?verbose").text(),
        );
        let series = format!("kube_state_metrics_shard_ordinal{{shard_ordinal=\"{index}\"}}");
        assert_eq!(exporter.own(&series), index.parse().ok());
    }
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster"]
fn a_server_that_is_away_answers_no_token() {
    let directory = Directory::new("away");
    let text = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "").unwrap();
    let mut away: Value = serde_json::from_str(&text).unwrap();
    away["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let away = directory.write("away", &away.to_string());
    let exporter = Exporter::start(&["--kubeconfig", &away, "--auth-filter"]);
    assert_eq!(ask(&exporter.main, "any"), 503);
}
