//! Tests `rbac`. The roles must allow exactly the requests that the exporter sends, and `--check` must name missing
//! permissions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::Api;
use super::support::{Directory, Exporter, eventually_or, get, run};

const WIDGETS: &str = "
spec:
  resources:
  - groupVersionKind: {group: acme.dev, version: v1, kind: Widget}
    metrics:
    - {name: size, help: Size., each: {type: Gauge, gauge: {path: [spec, size]}}}
";

/// A CustomResourceDefinition. It has the same plural name as in the simulated API server.
const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgetry.acme.dev}
spec:
  group: acme.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgetry}
  versions: [{name: v1, served: true, storage: true}]
";

/// The permission to use a verb on a resource. Rules of roles allow such permissions, and requests need such
/// permissions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    namespace: Option<String>,
    group: String,
    resource: String,
    /// The verb. `read` stands for `list` and `watch`, because a streaming list is a watch request.
    verb: String,
}

/// Returns the permissions that roles in YAML allow.
fn allowed(yaml: &str) -> BTreeSet<Access> {
    let mut all = BTreeSet::new();
    for document in yaml.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        let namespace = object["metadata"]["namespace"].as_str().map(String::from);
        let rules = object["rules"].as_array().map(Vec::as_slice);
        for rule in rules.unwrap_or_default() {
            let strings = |key: &str| {
                let items = rule[key].as_array().unwrap().iter();
                items
                    .map(|item| item.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            let verbs = strings("verbs");
            let verb = match verbs.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["list", "watch"] => "read",
                [verb] => verb,
                _ => panic!("{rule}"),
            };
            for resource in strings("resources") {
                all.insert(Access {
                    namespace: namespace.clone(),
                    group: strings("apiGroups").concat(),
                    resource,
                    verb: verb.to_owned(),
                });
            }
        }
    }
    all
}

/// Returns the permission that a request such as `GET /apis/apps/v1/namespaces/a/statefulsets?watch=1` needs.
fn needed(request: &str) -> Access {
    let (method, path) = request.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap();
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match &segments[..] {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => panic!("{request}"),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let verb = match (method, rest) {
        ("POST", [_]) => "create",
        ("GET", [_]) => "read",
        ("GET", [_, _]) => "get",
        _ => panic!("{request}"),
    };
    Access {
        namespace: namespace.map(String::from),
        group: group.to_owned(),
        resource: rest[0].to_owned(),
        verb: verb.to_owned(),
    }
}

fn definition_object() -> Value {
    serde_saphyr::from_str(DEFINITION).unwrap()
}

#[test]
fn roles_allow_what_the_exporter_requests_and_nothing_else() {
    let directory = Directory::new("rbac");
    let config = directory.write("widgets.yaml", WIDGETS);
    let config = format!("--custom-resource-state-config-file={config}");
    let options = directory.write(
        "options.yaml",
        "resources: {nodes: {}}\nauth_filter: true\n",
    );
    let options = format!("--config={options}");
    for flags in [
        &[][..],
        &["--resources=pods,nodes,leases", "--namespaces=a,b"],
        &["--resources=pods,services,nodes", "--node=n"],
        &["--resources=pods", "--track-unscheduled-pods"],
        &["--resources=pods", "--pod=ksm-0", "--pod-namespace=m"],
        &["--resources=nodes", "--auth-filter"],
        &[&options],
        &["--resources=pods", &config],
        &["--custom-resource-state-only", "--namespaces=a", &config],
    ] {
        let api = Api::start(&[]);
        api.put("customresourcedefinitions", definition_object());
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ksm", "uid": "u", "controller": true }]);
        api.put("pods", json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "ksm-0", "namespace": "m", "uid": "p", "resourceVersion": "3", "ownerReferences": owner } }));
        api.put(
            "statefulsets",
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": 1 },
            "metadata": { "name": "ksm", "namespace": "m", "uid": "u", "resourceVersion": "3" } }),
        );
        let definitions = directory.write("definition.yaml", DEFINITION);
        let printed = run(
            &[&["rbac", "--definitions", &definitions], flags].concat(),
            "",
        );
        assert!(printed.status.success(), "{}", printed.stderr);
        assert_eq!(printed.stderr, "", "{flags:?}");
        let allowed = allowed(&printed.stdout);

        let url = format!("--apiserver={}", api.url);
        let exporter = Exporter::serving(&[&[&*url], flags].concat());
        let requested = || -> BTreeSet<Access> {
            let requests = api.requests();
            requests.iter().map(|request| needed(request)).collect()
        };
        eventually_or(
            "the exporter requests all that the roles allow",
            || {
                let headers = [("authorization", "Bearer reader")];
                get(&exporter.main, "/metrics", &headers);
                (requested().is_superset(&allowed)).then_some(())
            },
            || format!("{flags:?}: {allowed:?} and {:?}", requested()),
        );
        exporter.becomes_ready();
        assert_eq!(requested(), allowed, "{flags:?}");
    }
}

#[test]
fn check_names_each_permission_that_is_missing() {
    let api = Api::start(&["secrets"]);
    let url = format!("--apiserver={}", api.url);
    let flags = [
        "rbac",
        "--check",
        &url,
        "--resources=pods,secrets,nodes",
        "--namespaces=a,b",
    ];
    let checked = run(&flags, "");
    assert_eq!(checked.status.code(), Some(1));
    let expected = "missing: list secrets in namespace a\nmissing: watch secrets in namespace a\n\
                    missing: list secrets in namespace b\nmissing: watch secrets in namespace b\n";
    assert_eq!(checked.stdout, expected, "{}", checked.stderr);
    assert!(
        checked
            .stderr
            .starts_with("Error: 4 of 10 permissions are missing;"),
        "{}",
        checked.stderr
    );
    let checked = run(&["rbac", "--check", &url, "--resources=pods"], "");
    assert_eq!(
        checked.stdout,
        format!("{}/ grants all 2 permissions\n", api.url),
        "{}",
        checked.stderr
    );
    assert!(checked.status.success());
}

#[test]
fn check_takes_the_names_of_configured_kinds_from_the_api_server() {
    let api = Api::start(&["widgetry"]);
    let directory = Directory::new("rbac-check");
    let config = directory.write("widgets.yaml", WIDGETS);
    let config = format!("--custom-resource-state-config-file={config}");
    let url = format!("--apiserver={}", api.url);
    let flags = ["rbac", "--check", &url, "--resources=pods", &config];
    let checked = run(&flags, "");
    let expected = "missing: list widgetry.acme.dev\nmissing: watch widgetry.acme.dev\n";
    assert_eq!(checked.stdout, expected, "{}", checked.stderr);
    // Without an API server, `rbac` guesses the plural name, and warns about the guess.
    let printed = run(&["rbac", "--resources=pods", &config], "");
    assert!(printed.status.success() && printed.stdout.contains("resources: [widgets]"));
    assert!(
        printed
            .stderr
            .contains("warning: the plural name of Widget (acme.dev) is assumed to be widgets"),
        "{}",
        printed.stderr
    );
}

#[test]
fn a_check_without_an_api_server_is_an_error() {
    let checked = run(
        &[
            "rbac",
            "--check",
            "--apiserver=http://127.0.0.1:1",
            "--resources=pods",
        ],
        "",
    );
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        checked.stderr.starts_with("Error: --check: unreachable: "),
        "{}",
        checked.stderr
    );
    let wrong = run(&["rbac", "--service-account=monitoring"], "");
    assert!(
        wrong.stderr.contains("is not NAMESPACE/NAME"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn missing_rules_are_in_the_log_and_on_the_readiness_page() {
    let api = Api::start(&["secrets", "deployments"]);
    let url = format!("--apiserver={}", api.url);
    let flags = [
        &*url,
        "--resources=pods,secrets,deployments,nodes",
        "--namespaces=shop",
    ];
    let exporter = Exporter::serving(&flags);
    let rules = "missing in a Role of namespace shop: rules: [\
                 {apiGroups: [\"\"], resources: [secrets], verbs: [list, watch]}, \
                 {apiGroups: [apps], resources: [deployments], verbs: [list, watch]}]";
    exporter.tells(&format!("the API server forbids resources; {rules}"));
    let verbose = exporter.get("/readyz?verbose").text();
    assert!(verbose.ends_with(&format!("\n{rules}\n")), "{verbose}");
    assert!(!exporter.get("/readyz").text().contains("missing in"));
    // The rules in the message are valid YAML, so that users can copy them.
    let (_, yaml) = rules.split_once(": ").unwrap();
    let pasted: Value = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(pasted["rules"][0]["resources"], json!(["secrets"]));
}

#[test]
fn a_definition_that_is_ignored_is_a_warning() {
    let directory = Directory::new("rbac-ignored");
    let config = directory.write("widgets.yaml", WIDGETS);
    let definition = DEFINITION.replace("plural: widgetry", "plural: '*'");
    let definitions = directory.write("definition.yaml", &definition);
    let printed = run(
        &[
            "rbac",
            "--custom-resource-state-only",
            "--custom-resource-state-config-file",
            &config,
            "--definitions",
            &definitions,
        ],
        "",
    );
    assert!(printed.status.success(), "{}", printed.stderr);
    let expected = "warning: --definitions: the CustomResourceDefinition widgetry.acme.dev is ignored: the plural `*` \
                    is not valid";
    assert!(printed.stderr.contains(expected), "{}", printed.stderr);
}
