//! The token filter.

use super::api::Api;
use super::support::{Directory, Exporter, eventually, get, run};

pub fn ask(address: &str, path: &str, token: &str) -> (u16, String) {
    let value = format!("Bearer {token}");
    let headers = [("authorization", value.as_str())];
    let answer = get(address, path, if token.is_empty() { &[] } else { &headers });
    (answer.status, answer.text())
}

pub fn exporter(api: &Api) -> (Directory, Exporter) {
    exporter_with(api, &[])
}

fn exporter_with(api: &Api, more: &[&str]) -> (Directory, Exporter) {
    let directory = Directory::new("tokens");
    let kubeconfig = directory.write("kubeconfig", &api.kubeconfig());
    let args = ["--auth-filter", "--kubeconfig", &kubeconfig];
    let exporter = Exporter::start(&[&args[..], more].concat());
    (directory, exporter)
}

#[test]
fn only_who_may_read_gets_data() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    for address in [&exporter.main, &exporter.telemetry] {
        assert_eq!(ask(address, "/metrics", ""), (401, "Unauthorized\n".into()));
        assert_eq!(
            ask(address, "/metrics", "unknown"),
            (401, "Unauthorized\n".into())
        );
        let denied = "Authorization denied for user stranger\n";
        assert_eq!(ask(address, "/metrics", "stranger"), (403, denied.into()));
        assert_eq!(ask(address, "/metrics", "reader").0, 200);
    }
    assert_eq!(
        ask(&exporter.telemetry, "/debug/resources", "reader").0,
        200
    );
    assert_eq!(ask(&exporter.telemetry, "/debug/memory", "reader").0, 403);
    assert_eq!(ask(&exporter.telemetry, "/debug/memory", "").0, 401);
    assert_eq!(ask(&exporter.main, "/no/such/path", "").0, 401);
}

#[test]
fn health_and_a_bare_page_without_data_are_open() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(ask(&exporter.main, path, "").0, 200, "{path}");
    }
    let (status, page) = ask(&exporter.main, "/", "");
    assert_eq!(status, 200);
    assert!(
        page.contains("A bearer token is needed") && !page.contains("RESOURCE"),
        "{page}"
    );
    assert_eq!(ask(&exporter.main, "/?q=pod", "").0, 401);
    assert!(ask(&exporter.main, "/", "reader").1.contains("  pods "));
    assert!(!ask(&exporter.main, "/", "stranger").1.contains("  pods "));
}

#[test]
fn answers_are_remembered_for_a_while() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    for _ in 0..5 {
        assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 200);
        assert_eq!(ask(&exporter.main, "/metrics", "stranger").0, 403);
        assert_eq!(ask(&exporter.main, "/metrics", "unknown").0, 401);
    }
    assert_eq!(
        (api.count("tokenreviews"), api.count("subjectaccessreviews")),
        (3, 2)
    );
}

#[test]
fn an_api_server_in_trouble_means_no_data() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    let (status, body) = ask(&exporter.main, "/metrics", "trouble");
    assert_eq!(status, 503);
    assert!(!body.contains("kube_"), "{body}");
    assert_eq!(
        api.count("tokenreviews"),
        4,
        "it asks again before it gives up"
    );
    exporter.tells("could not review a token");
    assert!(
        !exporter.log().contains("trouble\""),
        "tokens are not logged"
    );
}

#[test]
fn a_reload_keeps_the_verdicts_of_the_same_api_server() {
    let api = Api::start(&[]);
    let config = Directory::new("tokens-config");
    let path = config.write("options.yaml", "resources: {pods: {}}\n");
    let (_directory, exporter) = exporter_with(&api, &["--config", &path]);
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 200);
    config.write("options.yaml", "resources: {nodes: {}}\n");
    exporter.tells("configuration reloaded");
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 200);
    assert_eq!(api.count("tokenreviews"), 1);
    // The new limits apply to later results.
    config.write(
        "options.yaml",
        "resources: {nodes: {}}\nauth_filter_grace: 5m\n",
    );
    eventually("it is reloaded again", || {
        let reloads = exporter.log().matches("configuration reloaded").count();
        (reloads == 2).then_some(())
    });
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 200);
    assert_eq!(api.count("tokenreviews"), 2);
}

#[test]
fn a_review_that_hangs_takes_as_long_as_the_flag_says() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter_with(&api, &["--auth-filter-timeout=100ms"]);
    api.hang("tokenreviews");
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 503);
    exporter.tells("could not review a token: no answer within 100ms");
}

#[test]
fn no_secret_is_logged_however_much_else_is() {
    let api = Api::start(&[]);
    let directory = Directory::new("tokens");
    let kubeconfig = api.kubeconfig().replace("\"own\"", "\"0wn-t0ken\"");
    let kubeconfig = directory.write("kubeconfig", &kubeconfig);
    let args = ["--auth-filter", "--kubeconfig", &kubeconfig, "-v=9"];
    let exporter = Exporter::start(&args);
    assert_eq!(ask(&exporter.main, "/metrics", "s3cr3t").0, 401);
    assert_eq!(api.count("tokenreviews"), 1);
    // The exporter logs its requests.
    exporter.tells("/tokenreviews");
    let log = exporter.log();
    for secret in ["s3cr3t", "0wn-t0ken"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn tokens_and_passwords_exclude_each_other() {
    let directory = Directory::new("both");
    let hash = bcrypt::hash("x", 4).unwrap();
    let web = directory.write("web.yaml", &format!("basic_auth_users: {{a: {hash}}}\n"));
    let args = [
        "--auth-filter",
        "--tls-config",
        &web,
        "--apiserver=http://127.0.0.1:1",
    ];
    let output = run(&args, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.contains("cannot be combined"),
        "{}",
        output.stderr
    );
}

#[test]
fn without_a_way_to_an_api_server_it_does_not_start() {
    let output = run(
        &["--auth-filter", "--manifests", super::support::CLUSTER],
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.contains("--auth-filter needs an API server"),
        "{}",
        output.stderr
    );
}
