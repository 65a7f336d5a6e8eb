//! Tests the roles on a cluster. If the test removes a resource from a rule, the API server must refuse this resource
//! and no other resource. With the roles of the chart, the exporter must become ready, and the API server must refuse
//! nothing.

use serde_json::{Value, json};

use super::cluster::{Applied, ask, checked, kubeconfig, kubectl, namespaces, ready, token};
use super::cluster_dry_runs::{Definition, missing_definitions};
use super::{deploy, documents, helm, workloads};
use crate::support::{Directory, Exporter, eventually_or, get, run};

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system"]
fn a_resource_that_a_role_lacks_is_the_only_one_that_is_refused_and_missing() {
    let tried = without_each_rule(&[], |exporter, withdrawn| {
        let resource = &withdrawn.resource;
        let expected = format!("missing: list {resource}\nmissing: watch {resource}\n");
        assert_eq!(withdrawn.check, expected);
        exporter.becomes_ready();
        let verbose = exporter.get("/readyz?verbose").text();
        let refused = verbose.lines().filter(|line| line.starts_with("[-]"));
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused.len(), 1, "{verbose}");
        assert!(
            refused[0].starts_with(&format!("[-] {resource}: forbidden")),
            "{verbose}"
        );
        assert!(
            verbose.contains("missing in a ClusterRole: rules: [{"),
            "{verbose}"
        );
    });
    println!("{tried} resources tried");
    assert!(tried > 25);
}

const ACCOUNT: &str = "ksm-test-rules";

/// A role from which the test removes one resource in one rule.
struct Withdrawn {
    /// The complete role.
    role: Value,
    /// The role after the removal of the resource.
    without: Value,
    /// The plural name of the resource, followed by its API group.
    resource: String,
    /// The expected line of `rbac --check` about the resource.
    check: String,
}

/// Returns a `Withdrawn` for each resource in each rule of the roles.
fn withdrawals(roles: &[Value]) -> Vec<Withdrawn> {
    let mut all = Vec::new();
    for role in roles {
        let rules = role["rules"].as_array().into_iter().flatten();
        for (at, rule) in rules.enumerate() {
            for resource in rule["resources"].as_array().unwrap() {
                let mut without = role.clone();
                let listed = without["rules"][at]["resources"].as_array_mut().unwrap();
                listed.retain(|own| own != resource);
                if listed.is_empty() {
                    without["rules"].as_array_mut().unwrap().remove(at);
                }
                let resource = match rule["apiGroups"][0].as_str().unwrap() {
                    "" => resource.as_str().unwrap().to_owned(),
                    group => format!("{}.{group}", resource.as_str().unwrap()),
                };
                let name = rule["resourceNames"][0].as_str();
                let name = name.map(|name| format!(" named {name}"));
                let namespace = role["metadata"]["namespace"].as_str();
                let namespace = namespace.map(|own| format!(" in namespace {own}"));
                let end = name.unwrap_or_default() + &namespace.unwrap_or_default();
                let verbs = rule["verbs"].as_array().unwrap().iter();
                let verbs = verbs.map(|verb| verb.as_str().unwrap());
                let check = verbs.map(|verb| format!("missing: {verb} {resource}{end}\n"));
                all.push(Withdrawn {
                    role: role.clone(),
                    without,
                    check: check.collect(),
                    resource,
                });
            }
        }
    }
    all
}

fn replace(role: &Value) {
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl(&args, &role.to_string()).unwrap();
}

/// Tests an exporter with `args` without the rights to one resource, for each resource that it needs.
///
/// For each resource, the function removes the resource from its rule, calls `assert_refused` with an exporter, and
/// restores the rule. Returns the number of resources.
fn without_each_rule(args: &[&str], assert_refused: impl Fn(&Exporter, &Withdrawn)) -> usize {
    let directory = Directory::new("rules");
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": ACCOUNT, "namespace": "kube-system" },
    });
    let _account = Applied::new(account.to_string());
    let name = format!("--name={ACCOUNT}");
    let printed = run(&[&["rbac", &name], args].concat(), "");
    assert!(printed.status.success(), "{}", printed.stderr);
    let roles = documents(&printed.stdout);
    let _roles = Applied::new(printed.stdout);
    let kubeconfig = kubeconfig(&directory, &token("kube-system", ACCOUNT));
    let owned: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    drop(ready("with all rules", &kubeconfig, &owned));
    let withdrawals = withdrawals(&roles);
    let count = withdrawals.len();
    for withdrawn in withdrawals {
        replace(&withdrawn.without);
        eventually_or(
            "the check names the resource and no other",
            || (checked(&kubeconfig, &owned).1 == withdrawn.check).then_some(()),
            || format!("{}{}", withdrawn.check, checked(&kubeconfig, &owned).1),
        );
        let exporter = Exporter::serving(&[args, &["--kubeconfig", &kubeconfig]].concat());
        assert_refused(&exporter, &withdrawn);
        println!("without {}: refused and named", withdrawn.resource);
        replace(&withdrawn.role);
    }
    count
}

fn says(exporter: &Exporter, texts: &[&str]) {
    let verbose = || exporter.get("/readyz?verbose").text();
    let has_all = || texts.iter().all(|text| verbose().contains(text));
    eventually_or(
        "the reason shows",
        || has_all().then_some(()),
        || format!("{texts:?} in {}", verbose()),
    );
}

/// Returns the names of the resources that the API server refuses.
fn refused(exporter: &Exporter) -> Vec<String> {
    let verbose = exporter.get("/readyz?verbose").text();
    let lines = verbose.lines().filter_map(|line| line.strip_prefix("[-] "));
    let names = lines.map(|line| line.split_once(": forbidden").unwrap_or((line, "")).0);
    names.map(str::to_owned).collect()
}

fn refuses_only(exporter: &Exporter, resource: &str) {
    says(exporter, &[&format!("[-] {resource}: forbidden")]);
    eventually_or(
        "no other resource is refused",
        || (refused(exporter) == [resource]).then_some(()),
        || exporter.get("/readyz?verbose").text(),
    );
}

const STATEFUL_SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ksm-test-rules, namespace: kube-system}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: ksm-test-rules}}
  template:
    metadata: {labels: {app: ksm-test-rules}}
    spec: {containers: [{name: any, image: any}]}
";

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system"]
fn a_rule_of_autosharding_that_is_taken_away_is_named() {
    let _set = Applied::new(STATEFUL_SET.to_owned());
    let args = [
        "--resources=nodes",
        "--pod=ksm-test-rules-0",
        "--pod-namespace=kube-system",
    ];
    let count = without_each_rule(&args, |exporter, withdrawn| match &*withdrawn.resource {
        // The API server permits the requests for the exported resources. But the exporter cannot read its own pod. So
        // it does not know which shard it is, and exports nothing.
        "pods" => says(exporter, &["sharding: no StatefulSet for pod", "forbidden"]),
        "statefulsets.apps" => says(
            exporter,
            &["sharding: cannot read the StatefulSet ksm-test-rules: forbidden"],
        ),
        "nodes" => refuses_only(exporter, "nodes"),
        other => panic!("{other}"),
    });
    assert_eq!(count, 3);
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system"]
fn a_rule_of_the_auth_filter_that_is_taken_away_is_named() {
    let args = ["--resources=nodes", "--auth-filter"];
    let admin = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"], "").unwrap();
    let admin: Value = serde_json::from_str(&admin).unwrap();
    let admin = admin["users"][0]["user"]["token"].as_str();
    let admin = admin.expect("the kubeconfig has a token of an administrator");
    let count = without_each_rule(&args, |exporter, Withdrawn { resource, .. }| {
        let review = match resource.as_str() {
            "tokenreviews.authentication.k8s.io" => "could not review a token",
            "subjectaccessreviews.authorization.k8s.io" => "could not review",
            "nodes" => {
                // The token filter can still review tokens. `/readyz` shows details only to clients with a token.
                let value = format!("Bearer {admin}");
                let verbose = || {
                    let headers = [("authorization", &*value)];
                    get(&exporter.main, "/readyz?verbose", &headers).text()
                };
                eventually_or(
                    "the reason shows",
                    || verbose().contains("[-] nodes: forbidden").then_some(()),
                    verbose,
                );
                return;
            }
            other => panic!("{other}"),
        };
        // If the exporter cannot create reviews, no client may read metrics. The log must name the review that the API
        // server refuses.
        assert_eq!(ask(&exporter.main, admin), 503, "{resource}");
        let (plural, _) = resource.split_once('.').unwrap();
        let is_named = |line: &str| {
            line.contains(review) && line.contains(plural) && line.contains("forbidden")
        };
        eventually_or(
            "the log names the review",
            || exporter.log().lines().any(is_named).then_some(()),
            || exporter.log(),
        );
    });
    assert_eq!(count, 3);
}

#[test]
#[ignore = "needs kubectl, and KUBECONFIG of a cluster where it may change kube-system and create definitions"]
fn a_rule_of_a_custom_resource_that_is_taken_away_is_named() {
    let widgets: Definition = ("acme.dev", "v1", "widgets", "Widget");
    let _definitions = missing_definitions(&[widgets]);
    let config = deploy().join("kustomize/components/custom-resources/config.yaml");
    let config = format!("--custom-resource-state-config-file={}", config.display());
    let args = ["--resources=nodes", &config];
    let count = without_each_rule(&args, |exporter, Withdrawn { resource, .. }| {
        if resource == "customresourcedefinitions.apiextensions.k8s.io" {
            says(exporter, &["customresourcedefinitions", "forbidden"]);
            return;
        }
        // The exporter's name for a custom resource contains the version, but the name in the role does not.
        refuses_only(exporter, &resource.replace("widgets.", "widgets.v1."));
    });
    assert_eq!(count, 3);
}

#[test]
#[ignore = "needs kubectl, helm, and KUBECONFIG of a cluster where it may create namespaces and roles"]
fn the_roles_of_the_chart_suffice() {
    let directory = Directory::new("chart");
    let _namespaces = namespaces(&["monitoring", "shop", "payments"]);
    for name in [
        "default",
        "minimal-rights",
        "autosharding",
        "daemonset",
        "custom-resources",
    ] {
        let values = helm::chart().join(format!("ci/{name}-values.yaml"));
        let objects = helm::objects(&values, &[]);
        let needed = [
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            // The exporter reads the StatefulSet of its pod to find its shard.
            "StatefulSet",
        ];
        let applied = objects.iter().filter(|own| {
            let is_test = !own["metadata"]["annotations"]["helm.sh/hook"].is_null();
            !is_test && needed.contains(&own["kind"].as_str().unwrap())
        });
        let list =
            json!({ "apiVersion": "v1", "kind": "List", "items": applied.collect::<Vec<_>>() });
        let _applied = Applied::new(list.to_string());
        for workload in workloads(&objects) {
            let args = helm::arguments(&directory, &objects, workload);
            let account = &workload["spec"]["template"]["spec"]["serviceAccountName"];
            let account = token("monitoring", account.as_str().unwrap());
            let workload = workload["metadata"]["name"].as_str().unwrap();
            let what = format!("{name}: {workload}");
            let exporter = ready(&what, &kubeconfig(&directory, &account), &args);
            assert!(refused(&exporter).is_empty(), "{what}");
            println!("{what}: its roles suffice");
        }
    }
}
