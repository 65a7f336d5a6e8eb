//! Tests the token filter (`--auth-filter`): the API server reviews the token of each client, and whether the user may
//! read the path.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::api::Api;
use super::support::{CLUSTER, Directory, Exporter, PORTS, eventually, get, run};

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
    assert_eq!(api.count("tokenreviews"), 1);
    exporter.tells("could not review a token: it answers with 500 Internal Server Error: no;");
}

/// Returns an HTTP response with a JSON body.
fn response(status: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn a_redirect_is_no_verdict_and_is_not_followed() {
    let (api, other) = (Api::start(&[]), Api::start(&[]));
    let (_directory, exporter) = exporter(&api);
    let verdict = json!({ "authenticated": true, "user": { "username": "reader" } });
    let verdict = json!({ "spec": {}, "status": verdict });
    let status = format!("302 Found\r\nlocation: {}/tokenreviews", other.url);
    api.say("tokenreviews", &response(&status, &verdict));
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 503);
    exporter.tells("could not review a token: it answers with a redirect (302 Found)");
    assert_eq!((api.count("tokenreviews"), other.requests().len()), (1, 0));
}

#[test]
fn an_error_that_repeats_the_token_does_not_bring_it_to_the_log() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter_with(&api, &["-v=9"]);
    let token = "s3cr3t-tok3n.of-a-client.s1gnature";
    let error = json!({ "kind": "Status", "code": 400, "reason": "BadRequest", "details": { "name": token },
        "message": format!("cannot review {token}, or [\n\u{1b}[31ms3cr3t-tok3n.of]") });
    api.say("tokenreviews", &response("400 Bad Request", &error));
    assert_eq!(ask(&exporter.main, "/metrics", token).0, 503);
    exporter
        .tells("answers with 400 Bad Request: cannot review [hidden], or [\\n\\u{1b}[31m[hidden]]");
    // If the response of the API server is invalid, the log must not contain the token, which the response contains.
    let nonsense = json!({ "spec": { "token": token }, "status": token });
    api.say("tokenreviews", &response("201 Created", &nonsense));
    assert_eq!(ask(&exporter.main, "/metrics", token).0, 503);
    exporter.tells("its answer is not a TokenReview");
    for part in ["s3cr3t", "tok3n", "of-a-client", "s1gnature"] {
        assert!(!exporter.log().contains(part), "{}", exporter.log());
    }
}

#[test]
fn an_error_about_a_permission_does_not_bring_the_token_of_an_earlier_review_to_the_log() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    let hex: String = "reader".bytes().map(|byte| format!("{byte:02X}")).collect();
    let message = format!("not for reader, cmVhZGVy or {hex}");
    let error = json!({ "kind": "Status", "code": 400, "message": message });
    api.say("subjectaccessreviews", &response("400 Bad Request", &error));
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 503);
    exporter.tells("answers with 400 Bad Request: not for [hidden], [hidden] or [hidden]");
}

#[test]
fn the_log_tells_for_each_kind_of_review_when_it_succeeds_again() {
    let api = Api::start(&[]);
    let (_directory, exporter) = exporter(&api);
    assert_eq!(ask(&exporter.main, "/metrics", "reader").0, 200);
    let (tokens, permissions) = ("reviews tokens again", "reviews permissions again");
    assert_eq!(ask(&exporter.main, "/metrics", "trouble").0, 503);
    exporter.tells("could not review a token");
    // The result of the token review is cached, so this request needs only a review of the permission.
    let resources = "/debug/resources";
    assert_eq!(ask(&exporter.telemetry, resources, "reader").0, 200);
    let no_permission = response("500 Internal Server Error", &json!({}));
    api.say("subjectaccessreviews", &no_permission);
    assert_eq!(ask(&exporter.telemetry, "/other", "reader").0, 503);
    exporter.tells("could not review a permission");
    assert!(!exporter.log().contains(tokens), "{}", exporter.log());
    assert_eq!(ask(&exporter.main, "/metrics", "unknown").0, 401);
    exporter.tells(tokens);
    assert!(!exporter.log().contains(permissions), "{}", exporter.log());
    api.say("subjectaccessreviews", "");
    assert_eq!(ask(&exporter.telemetry, "/another", "reader").0, 403);
    exporter.tells(permissions);
}

#[test]
fn a_reload_does_not_turn_the_filter_off() {
    let api = Api::start(&[]);
    let config = Directory::new("tokens-config");
    let path = config.write("options.yaml", "auth_filter: true\n");
    let kubeconfig = config.write("kubeconfig", &api.kubeconfig());
    let exporter = Exporter::start(&["--config", &path, "--kubeconfig", &kubeconfig]);
    assert_eq!(ask(&exporter.main, "/metrics", "").0, 401);
    for (failures, weaker) in (1..).zip(["{}\n", "auth_filter: false\n"]) {
        config.write("options.yaml", weaker);
        eventually("the change is refused", || {
            let refused = "a reload does not disable tokens (--auth-filter)";
            (exporter.log().matches(refused).count() >= failures).then_some(())
        });
        assert_eq!(ask(&exporter.main, "/metrics", "").0, 401);
    }
    // A reload can replace tokens by passwords.
    let hash = bcrypt::hash("x", 4).unwrap();
    let web = config.write("web.yaml", &format!("basic_auth_users: {{a: {hash}}}\n"));
    config.write("options.yaml", &format!("tls_config: {web}\n"));
    exporter.tells("configuration reloaded");
    let basic = [("authorization", "Basic YTp4")];
    assert_eq!(get(&exporter.main, "/metrics", &basic).status, 200);
    assert_eq!(get(&exporter.main, "/metrics", &[]).status, 401);
    config.write("options.yaml", "{}\n");
    exporter.tells("a reload does not disable passwords (basic_auth_users)");
    assert_eq!(get(&exporter.main, "/metrics", &[]).status, 401);
}

#[test]
fn protections_do_not_wait_for_an_api_server_that_does_not_answer() {
    let api = Api::start(&[]);
    let config = Directory::new("protections-first");
    let hash = bcrypt::hash("x", 4).unwrap();
    let web = config.write("web.yaml", &format!("basic_auth_users: {{a: {hash}}}\n"));
    let options = format!("apiserver: {}\nresources: {{namespaces: {{}}}}\n", api.url);
    let path = config.write("options.yaml", &options);
    let exporter = Exporter::serving(&["--config", &path]);
    exporter.becomes_ready();
    let status = |credentials: &[(&str, &str)]| get(&exporter.main, "/metrics", credentials).status;
    assert_eq!(status(&[]), 200);
    // The list of the new instance fails, so the rest of the configuration waits.
    api.fail("namespaces");
    let more = "labels_allow_list: {namespaces: ['*']}\n";
    config.write(
        "options.yaml",
        &format!("{options}{more}tls_config: {web}\n"),
    );
    eventually("requests need a password", || {
        (status(&[]) == 401).then_some(())
    });
    assert_eq!(status(&[("authorization", "Basic YTp4")]), 200);
    assert!(!exporter.log().contains("configuration reloaded"));
    // The options file loses the protection before the rest is in use.
    config.write("options.yaml", &options);
    exporter.tells("a reload does not disable passwords (basic_auth_users)");
    assert_eq!(status(&[]), 401);
}

/// Sends requests without credentials until `stop` is true. Returns the status codes of the responses.
fn ask_until(stop: &AtomicBool, address: &str, path: &str) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        statuses.insert(get(address, path, &[]).status);
    }
    statuses
}

#[test]
fn a_reload_that_replaces_tokens_by_passwords_leaves_no_moment_without_protection() {
    let api = Api::start(&[]);
    let config = Directory::new("tokens-swap");
    let kubeconfig = config.write("kubeconfig", &api.kubeconfig());
    let hash = bcrypt::hash("x", 4).unwrap();
    let users = config.write("users.yaml", &format!("basic_auth_users: {{a: {hash}}}\n"));
    let users = format!("tls_config: {users}\n");
    let open = config.write("open.yaml", "http_server_config: {http2: true}\n");
    let filter = format!("auth_filter: true\ntls_config: {open}\n");
    let path = config.write("options.yaml", &filter);
    let source = ["--manifests", CLUSTER, "--resources=pods"];
    let files = ["--config", &path, "--kubeconfig", &kubeconfig];
    let exporter = Exporter::spawn(&[&PORTS[..], &source, &files].concat());
    let stop = AtomicBool::new(false);
    let statuses = std::thread::scope(|scope| {
        let ask = |address, path| {
            let stop = &stop;
            scope.spawn(move || ask_until(stop, address, path))
        };
        let clients = [
            ask(&exporter.main, "/metrics"),
            ask(&exporter.main, "/metrics"),
            ask(&exporter.telemetry, "/metrics"),
            ask(&exporter.telemetry, "/debug/memory"),
        ];
        for swaps in 1..=20 {
            let options = if swaps % 2 == 1 { &users } else { &filter };
            config.write("options.yaml", options);
            eventually("the options are reloaded", || {
                let reloads = exporter.log().matches("configuration reloaded").count();
                (reloads == swaps).then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
        clients.map(|client| client.join().unwrap())
    });
    assert_eq!(statuses, [(); 4].map(|()| BTreeSet::from([401])));
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
    // If `--auth-filter-grace` changes, the exporter no longer uses the earlier results of reviews.
    config.write(
        "options.yaml",
        "resources: {nodes: {}}\nauth_filter_grace: 5m\n",
    );
    eventually("the options are reloaded again", || {
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
    // With `-v=9`, the exporter logs each request that it sends to the API server.
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
    output.fails("cannot be combined");
}

#[test]
fn without_a_way_to_an_api_server_it_does_not_start() {
    let output = run(
        &["--auth-filter", "--manifests", super::support::CLUSTER],
        "",
    );
    output.fails(
        "--auth-filter needs an API server that reviews the tokens, and --manifests names none; give --kubeconfig FILE \
         or --apiserver URL for the reviews, or remove --auth-filter (in the options file, `auth_filter`)",
    );
}
