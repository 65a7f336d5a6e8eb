//! Tests changes of a kubeconfig while its credential plugin hangs or fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::credentials::{accepts, answer, plugin, watching};
use super::support::{Directory, Exporter, eventually, eventually_or};

/// A part of the message about a plugin that was killed because it has run for the maximum time.
const TIMED_OUT: &str = "printed no credentials within";

/// A user whose plugin is a shell script.
fn running(directory: &Directory, script: &str) -> Value {
    let mut exec = plugin(directory);
    exec["args"] = json!(["-c", script]);
    json!({ "exec": exec })
}

/// A user whose plugin writes its process ID into the file `pids`, and hangs.
fn hanging(directory: &Directory) -> Value {
    let script = format!("echo $$ >> {}/pids; exec sleep 1000", directory.str());
    running(directory, &script)
}

/// Waits until the plugin hangs, and returns its process ID.
fn hangs(directory: &Directory) -> String {
    eventually("the plugin hangs", || {
        let pids = fs::read_to_string(directory.path().join("pids")).ok()?;
        pids.ends_with('\n').then(|| pids.trim().to_owned())
    })
}

/// Waits until the exporter is ready. No plugin may have run for the maximum time until then.
fn is_ready_soon(exporter: &Exporter, pid: &str) {
    let explain = || format!("{}{}", exporter.get("/readyz").text(), exporter.log());
    let ready = || (exporter.get("/readyz").status == 200).then_some(());
    eventually_or("the exporter is ready", ready, explain);
    let log = exporter.log();
    assert!(!log.contains(TIMED_OUT), "{log}");
    eventually("the plugin is killed", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        (!stat.is_ok_and(|stat| !stat.contains(") Z "))).then_some(())
    });
}

#[test]
fn a_plugin_that_hangs_at_the_start_does_not_block_other_credentials() {
    let api = Api::start_secure();
    api.accept("own");
    let directory = Directory::new("replaced-start");
    let config = |user: Value| directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = watching(&config(hanging(&directory)));
    let pid = hangs(&directory);
    config(json!({ "token": "own" }));
    is_ready_soon(&exporter, &pid);
}

#[test]
fn a_plugin_that_hangs_later_does_not_block_other_credentials() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("replaced-later");
    let config = |user: Value| directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = watching(&config(json!({ "token": "first" })));
    exporter.becomes_ready();
    config(hanging(&directory));
    let pid = hangs(&directory);
    // A kubeconfig that cannot be used leaves the plugin running. The next kubeconfig names a plugin that works.
    directory.write("config", "");
    directory.write("answer", &answer(json!({ "token": "second" })));
    api.accept("second");
    config(json!({ "exec": plugin(&directory) }));
    api.cut();
    accepts(&api, "the second token", |asked| {
        asked.authorization.as_deref() == Some("Bearer second")
    });
    is_ready_soon(&exporter, &pid);
}

#[test]
fn a_plugin_that_hangs_does_not_block_the_plugin_for_another_server() {
    let (first, second) = (Api::start_secure(), Api::start_secure());
    second.accept("own");
    let directory = Directory::new("replaced-server");
    let kubeconfig = first.kubeconfig_with(json!({}), hanging(&directory));
    let exporter = watching(&directory.write("config", &kubeconfig));
    let pid = hangs(&directory);
    let good = directory.write(
        "good",
        &format!("#!/bin/sh\necho '{}'\n", answer(json!({ "token": "own" }))),
    );
    fs::set_permissions(&good, fs::Permissions::from_mode(0o755)).unwrap();
    let mut exec = plugin(&directory);
    (exec["command"], exec["args"]) = (json!(good), json!([]));
    let kubeconfig = second.kubeconfig_with(json!({}), json!({ "exec": exec }));
    directory.write("config", &kubeconfig);
    is_ready_soon(&exporter, &pid);
    let log = exporter.log();
    assert!(!log.contains("good` has printed no credentials"), "{log}");
}

/// Changes the kubeconfig of an exporter to another server. The exporter must refuse the kubeconfig with this `problem`.
/// After `mend`, it must use the other server without a change of the kubeconfig.
fn is_tried_again(
    directory: &Directory,
    (second, user): (&Api, Value),
    cluster: Value,
    problem: &str,
    mend: impl FnOnce(),
) {
    let first = Api::start_secure();
    let kubeconfig = first.kubeconfig_with(json!({}), json!({ "token": "own" }));
    let exporter = watching(&directory.write("config", &kubeconfig));
    exporter.becomes_ready();
    directory.write("config", &second.kubeconfig_with(cluster, user));
    let ready = || exporter.get("/readyz").text();
    let refusal = "the changed configuration is not used (refused ";
    let is_shown = || {
        let text = ready();
        let mut lines = text.lines();
        lines
            .any(|line| line.starts_with(refusal) && line.contains(problem))
            .then_some(())
    };
    eventually_or("the refusal is shown", is_shown, || exporter.log());
    mend();
    let is_used = || (!ready().contains(refusal) && second.count("/api/v1/pods") > 0).then_some(());
    eventually_or("the other server is in use", is_used, || exporter.log());
    let log = exporter.log();
    let lines = log.lines();
    let refusals = lines.filter(|line| line.contains("the changed configuration is not used"));
    assert_eq!(refusals.count(), 1, "one line for a cause: {log}");
}

#[test]
fn another_server_whose_plugin_fails_for_a_time_is_tried_again() {
    let second = Api::start_secure();
    second.accept("other");
    let directory = Directory::new("retried-plugin");
    let user = json!({ "exec": plugin(&directory) });
    let problem = "`sh` failed with exit status: 3";
    is_tried_again(&directory, (&second, user), json!({}), problem, || {
        directory.write("answer", &answer(json!({ "token": "other" })));
    });
}

#[test]
fn another_server_whose_token_file_is_written_later_is_tried_again() {
    let second = Api::start_secure();
    second.accept("other");
    let directory = Directory::new("retried-token");
    let user = json!({ "tokenFile": "token" });
    let problem = "cannot read the token file";
    is_tried_again(&directory, (&second, user), json!({}), problem, || {
        directory.write("token", "other");
    });
}

#[test]
fn another_server_whose_authority_is_written_later_is_tried_again() {
    let authority = Authority::new("other");
    let second = Api::start_tls(authority.server());
    let directory = Directory::new("retried-authority");
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = (&second, json!({ "token": "own" }));
    is_tried_again(&directory, user, cluster, "ca.pem", || {
        directory.write("ca.pem", &authority.pem());
    });
}
