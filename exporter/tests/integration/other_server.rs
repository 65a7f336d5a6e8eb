//! Tests changes of a kubeconfig that lead to another API server, although the URL may stay the same.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::relay::{Relay, Speaks};
use super::support::{Directory, Exporter, eventually, eventually_or};
use super::tokens::ask;

const BROKEN: &str = "HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n";

/// An API server with one namespace.
fn server(authority: &Authority, host: &str, namespace: &str) -> Api {
    let identity = authority.issue_to("server", &[host]);
    let api = Api::start_tls(authority.server_with(identity));
    put(&api, namespace);
    api
}

fn put(api: &Api, namespace: &str) {
    let created = "2024-01-01T00:00:00Z";
    let metadata =
        json!({ "name": namespace, "resourceVersion": "1", "creationTimestamp": created });
    api.put("namespaces", json!({ "metadata": metadata }));
}

/// Returns the names of the exported namespaces.
fn names(exporter: &Exporter) -> Vec<String> {
    let (_, text) = ask(&exporter.main, "/metrics", "reader");
    let lines = text.lines();
    let lines = lines.filter(|line| line.starts_with("kube_namespace_created{"));
    let names = lines.filter_map(|line| line.split('"').nth(1));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn exports(exporter: &Exporter, expected: &[&str]) {
    let right = || (names(exporter) == expected).then_some(());
    eventually_or(&format!("{expected:?}"), right, || {
        format!("{:?}, {}", names(exporter), exporter.log())
    });
}

/// Changes a kubeconfig whose URL stays the same, so that it leads to another server, and checks that the exporter
/// never mixes the objects of both servers. `moved` is a proxy that leads to the second server from the change on;
/// `None` if another proxy leads to the second server.
fn switches(setting: &str, before: Value, after: Value, servers: [&Api; 2], moved: Option<&Relay>) {
    let [first, second] = servers;
    let directory = Directory::new("same-url");
    let kubeconfig = |mut cluster: Value| {
        cluster["server"] = json!("https://api.test:1");
        let user = json!({ "token": "own" });
        let text = first.kubeconfig_with(cluster, user);
        directory.write("config", &text.replace(&first.url, "https://api.test:1"))
    };
    let path = kubeconfig(before);
    let args = ["--kubeconfig", &path, "--resources=nodes,namespaces"];
    // If the way to the first server is lost, the token filter of the first server has no answers.
    let more: &[&str] = if moved.is_some() {
        &[]
    } else {
        &["--auth-filter"]
    };
    let exporter = Exporter::serving(&[&args[..], more].concat());
    exports(&exporter, &["of-first"]);
    let reviews = second.count("/tokenreviews");

    // The second server is not complete, so the exporter still serves the objects of the first server.
    second.say("nodes", BROKEN);
    if let Some(relay) = moved {
        relay.lead_to(&second.url);
    }
    kubeconfig(after);
    exporter.tells(&format!(
        "the kubeconfig names another API server (the same URL with another {setting})"
    ));
    eventually("the second server is asked for nodes", || {
        (second.count("/api/v1/nodes") > 1).then_some(())
    });
    // The exporter must open the watches of the first server again, which the second server would accept.
    first.cut();
    put(second, "later-of-second");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(names(&exporter), ["of-first"], "{setting}");

    second.say("nodes", "");
    exports(&exporter, &["later-of-second", "of-second"]);
    put(first, "later-of-first");
    second.delete("namespaces", "of-second");
    exports(&exporter, &["later-of-second"]);
    let has_new_filter = second.count("/tokenreviews") > reviews;
    assert_eq!(has_new_filter, moved.is_none(), "{setting}");
}

#[test]
fn another_proxy_leads_to_another_server() {
    let authority = Authority::new("both");
    let first = server(&authority, "api.test", "of-first");
    let second = server(&authority, "api.test", "of-second");
    let ways = [&first, &second].map(|api| {
        let relay = Relay::start(Speaks::Http);
        relay.lead_to(&api.url);
        json!({ "proxy-url": format!("http://user:secret@{}", relay.address),
            "certificate-authority-data": BASE64_STANDARD.encode(authority.pem()) })
    });
    let [before, after] = ways;
    switches("proxy-url", before, after, [&first, &second], None);
}

#[test]
fn another_tls_server_name_leads_to_another_server() {
    let authority = Authority::new("both");
    let first = server(&authority, "first.test", "of-first");
    let second = server(&authority, "second.test", "of-second");
    let relay = Relay::start(Speaks::Http);
    relay.lead_to(&first.url);
    let cluster = |name: &str| {
        json!({ "proxy-url": format!("http://{}", relay.address), "tls-server-name": name,
            "certificate-authority-data": BASE64_STANDARD.encode(authority.pem()) })
    };
    let (before, after) = (cluster("first.test"), cluster("second.test"));
    let servers = [&first, &second];
    switches("tls-server-name", before, after, servers, Some(&relay));
}

#[test]
fn another_inline_authority_leads_to_another_server() {
    let (old, new) = (Authority::new("cluster"), Authority::new("cluster"));
    let first = server(&old, "api.test", "of-first");
    let second = server(&new, "api.test", "of-second");
    let relay = Relay::start(Speaks::Http);
    relay.lead_to(&first.url);
    let cluster = |authority: &Authority| {
        json!({ "proxy-url": format!("http://{}", relay.address),
            "certificate-authority-data": BASE64_STANDARD.encode(authority.pem()) })
    };
    let (before, after) = (cluster(&old), cluster(&new));
    let servers = [&first, &second];
    switches(
        "certificate-authority",
        before,
        after,
        servers,
        Some(&relay),
    );
}

#[test]
fn an_inline_authority_that_is_rotated_is_a_renewal() {
    let (old, new) = (Authority::new("cluster"), Authority::new("cluster"));
    let api = Api::start_tls(old.server());
    put(&api, "one");
    let directory = Directory::new("rotation");
    let write = |pem: String| {
        let cluster = json!({ "certificate-authority-data": BASE64_STANDARD.encode(pem) });
        let text = api.kubeconfig_with(cluster, json!({ "token": "own" }));
        directory.write("config", &text)
    };
    let path = write(old.pem());
    let exporter = Exporter::serving(&["--kubeconfig", &path, "--resources=namespaces"]);
    exports(&exporter, &["one"]);
    let lists = || api.count("sendInitialEvents=true");
    let renewed = |times: usize| {
        eventually("the change is in use", || {
            let log = exporter.log();
            let reloads = log.matches("configuration reloaded").count();
            let renewals = log
                .matches("the credentials for the API server were reloaded")
                .count();
            (reloads >= times && renewals >= times).then_some(())
        });
    };
    let before = lists();
    assert!(before > 0);
    write(old.pem() + &new.pem());
    renewed(1);
    assert_eq!(lists(), before);
    api.set_tls(new.server());
    write(new.pem());
    renewed(2);
    assert_eq!(lists(), before);
    api.asked_after_cut();
    put(&api, "two");
    exports(&exporter, &["one", "two"]);
    assert_eq!(lists(), 0, "the watch goes on without a list");
}

#[test]
fn a_client_that_misses_a_step_of_a_rotation_does_not_refuse_the_next_step() {
    let (old, new) = (Authority::new("cluster"), Authority::new("cluster"));
    let api = Api::start_tls(old.server());
    put(&api, "one");
    let directory = Directory::new("fast-rotation");
    let token = directory.write("token", "first");
    let write = |pem: String| {
        let cluster = json!({ "certificate-authority-data": BASE64_STANDARD.encode(pem) });
        let text = api.kubeconfig_with(cluster, json!({ "tokenFile": token }));
        directory.write("config", &text)
    };
    let path = write(old.pem());
    let exporter = Exporter::serving(&["--kubeconfig", &path, "--resources=namespaces"]);
    exports(&exporter, &["one"]);
    // The client reads the files, and then not again for a second. Only a reload reads the next kubeconfig.
    directory.write("token", "second");
    exporter.tells("the credentials for the API server were reloaded");
    write(old.pem() + &new.pem());
    exporter.tells("configuration reloaded");
    api.set_tls(new.server());
    write(new.pem());
    eventually_or(
        "the client has the new authority",
        || {
            let log = exporter.log();
            let renewals = log.matches("the credentials for the API server were reloaded");
            (renewals.count() > 1 && log.matches("configuration reloaded").count() > 1)
                .then_some(())
        },
        || exporter.log(),
    );
    api.asked_after_cut();
    put(&api, "two");
    exports(&exporter, &["one", "two"]);
    assert!(
        !exporter.log().contains("another API server"),
        "{}",
        exporter.log()
    );
}

#[test]
fn with_ha_another_server_needs_a_restart_and_the_reason_is_named() {
    let api = Api::start(&[]);
    let directory = Directory::new("ha-server");
    let write =
        |cluster: Value| directory.write("config", &api.kubeconfig_with(cluster, json!({})));
    let path = write(json!({}));
    let args = ["--kubeconfig", &path, "--resources=namespaces", "--ha"];
    let exporter = Exporter::serving(&args);
    let refusal = |reason: &str| {
        format!(
            "because they determine the Lease: {reason}; undo the change, or restart the exporter"
        )
    };
    write(json!({ "proxy-url": "http://user:secret@proxy" }));
    exporter.tells(&refusal("proxy-url in the kubeconfig has changed"));
    write(json!({ "tls-server-name": "other" }));
    exporter.tells(&refusal("tls-server-name in the kubeconfig has changed"));
    directory.write("config", "apiVersion: v1\nclusters: [{name: c");
    exporter.tells(&refusal(
        "the kubeconfig is incomplete, or names no API server",
    ));
    assert!(!exporter.log().contains("secret"), "{}", exporter.log());
    write(json!({}));
    exporter.tells("configuration reloaded");
}

#[test]
fn a_server_that_does_not_answer_does_not_delay_another_server() {
    let (first, second) = (Api::start(&[]), Api::start(&[]));
    put(&first, "of-first");
    put(&second, "of-second");
    second.say("nodes", BROKEN);
    let directory = Directory::new("dead-server");
    let path = directory.write("config", &first.kubeconfig());
    let args = ["--kubeconfig", &path, "--resources=nodes,namespaces"];
    let exporter = Exporter::serving(&[&args[..], &["--readiness-deadline=4s"]].concat());
    exports(&exporter, &["of-first"]);
    first.stop();
    directory.write("config", &second.kubeconfig());
    let waits = "the changed configuration is not used yet (waiting for 1";
    let verbose = || exporter.get("/readyz?verbose").text();
    let line = eventually_or(
        "the wait is shown",
        || {
            verbose()
                .lines()
                .find(|line| line.starts_with(waits))
                .map(str::to_owned)
        },
        || exporter.log(),
    );
    assert!(
        line.contains("s), because metrics would be missing for nodes ("),
        "{line}"
    );
    assert_eq!(names(&exporter), ["of-first"]);
    exports(&exporter, &["of-second"]);
    exporter.tells("using the changed configuration, but these metrics are not complete: nodes (");
    assert!(!verbose().contains("is not used yet"), "{}", verbose());
}

#[test]
fn log_lines_about_a_server_that_is_not_in_use_yet_name_it() {
    let (first, second) = (Api::start_secure(), Api::start_secure());
    second.accept("another token");
    let directory = Directory::new("named-server");
    let user = json!({ "token": "own" });
    let path = directory.write("config", &first.kubeconfig_with(json!({}), user.clone()));
    let exporter = Exporter::serving(&["--kubeconfig", &path, "--resources=nodes"]);
    exporter.becomes_ready();
    directory.write("config", &second.kubeconfig_with(json!({}), user));
    exporter.tells(&format!(
        "INFO the kubeconfig names another API server ({}/), which is not in use yet; ",
        second.url
    ));
    exporter.tells(&format!(
        "WARN api_server{{url=\"{}/\"}}: the API server does not accept the credentials",
        second.url
    ));
    let log = exporter.log();
    assert!(!log.contains("cannot renew"), "{log}");
}
