//! Tests the credentials that the exporter uses for the API server, and their renewal.

use std::process::Command;

use serde_json::{Value, json};

use super::api::{Api, Asked};
use super::authority::Authority;
use super::support::{Directory, Exporter, PROGRAM, eventually, run};

/// Starts an exporter that watches pods. `kubeconfig` is the path of its kubeconfig.
pub fn watching(kubeconfig: &str) -> Exporter {
    Exporter::serving(&["--resources=pods", "--kubeconfig", kubeconfig])
}

/// Waits until the API server has accepted a request for which `right` returns true.
pub fn accepts(api: &Api, what: &str, right: impl Fn(&Asked) -> bool) {
    eventually(what, || {
        let asked = api.asked();
        asked
            .iter()
            .any(|own| own.accepted && right(own))
            .then_some(())
    });
}

/// Starts a server with a certificate of an old authority. Returns the old authority, a new authority, and the server.
pub fn old_and_new_authority() -> (Authority, Authority, Api) {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let api = Api::start_tls(old.server());
    (old, new, api)
}

/// Waits until the resource pods is synced.
pub fn is_synced(exporter: &Exporter) {
    let synced = "kube_state_metrics_synced{resource=\"*v1.Pod\"}";
    eventually("pods are synced", || {
        (exporter.own(synced) == Some(1.0)).then_some(())
    });
    assert_eq!(exporter.get("/readyz").status, 200);
}

/// Returns a command that starts the exporter as in a pod: the exporter finds the files of `directory` at the path
/// where a pod has its credentials.
///
/// The command needs a separate mount namespace. Returns `None` if this system does not allow such a namespace.
pub fn in_pod(directory: &Directory) -> Option<Command> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let probed = unshare("mount -t tmpfs none /run").output();
    let start = format!(
        "mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && \
         ln -s {} /run/secrets/kubernetes.io/serviceaccount && \
         exec {PROGRAM} --resources=pods --host=127.0.0.1 --port=0 --telemetry-host=127.0.0.1 --telemetry-port=0",
        directory.str()
    );
    probed
        .is_ok_and(|output| output.status.success())
        .then(|| unshare(&start))
}

/// Waits until `/readyz` contains this text, and returns the body.
fn says(exporter: &Exporter, what: &str) -> String {
    eventually(&format!("/readyz contains `{what}`"), || {
        let body = exporter.get("/readyz").text();
        body.contains(what).then_some(body)
    })
}

/// Returns whether a request has this token.
pub fn bearer(token: &str) -> impl Fn(&Asked) -> bool {
    let value = format!("Bearer {token}");
    move |asked| asked.authorization.as_deref() == Some(&value)
}

/// Returns the time in `seconds` seconds from now, in the notation of RFC 3339.
fn in_seconds(seconds: u64) -> String {
    let output = Command::new("date")
        .args([
            "-u",
            "+%Y-%m-%dT%H:%M:%SZ",
            "-d",
            &format!("+{seconds} seconds"),
        ])
        .output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

/// Returns a credential plugin that prints the content of the file `answer`.
pub fn plugin(directory: &Directory) -> Value {
    let script = format!("cat {0}/answer || exit 3", directory.str());
    json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", script], "env": [{ "name": "SECRET", "value": "whisper" }]
    })
}

/// Runs an exporter whose credential plugin has another value of the setting `key`. Returns the error of the exporter.
pub fn startup_error(key: &str, value: Value) -> String {
    let api = Api::start_secure();
    let directory = Directory::new("plugin");
    let mut exec = plugin(&directory);
    exec[key] = value;
    let user = json!({ "exec": exec });
    let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let output = run(&["--kubeconfig", &kubeconfig], "");
    assert!(!output.status.success());
    output.stderr
}

pub fn answer(status: Value) -> String {
    json!({ "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status })
        .to_string()
}

#[test]
fn the_user_agent_tells_who_asks() {
    let api = Api::start_secure();
    let directory = Directory::new("agent");
    let exporter = watching(&directory.write("config", &api.kubeconfig()));
    is_synced(&exporter);
    let version = env!("CARGO_PKG_VERSION");
    let start = format!("kube-state-metrics/{version} ({}/", std::env::consts::OS);
    for asked in api.asked() {
        let agent = asked.user_agent.unwrap();
        assert!(agent.starts_with(&start), "{agent}");
    }
}

#[test]
fn a_response_that_repeats_the_own_token_does_not_bring_it_to_the_log_or_a_page() {
    let token = "0wn-t0ken.of-the-exporter.s1gnature";
    let status = |code: u16, reason: &str| {
        json!({ "kind": "Status", "apiVersion": "v1", "code": code, "reason": reason,
            "message": format!("header 'Bearer {token}' is not accepted") })
    };
    let response = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let event = json!({ "type": "ERROR", "object": status(500, "InternalError") });
    let (refusal, event) = (status(403, "Forbidden").to_string(), format!("{event}\n"));
    // In JSON, an escape can replace any character.
    let escapes: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let with_escapes = |text: &str| text.replace(token, &escapes);
    for said in [
        response("403 Forbidden", &refusal),
        response("403 Forbidden", &with_escapes(&refusal)),
        // The streaming list ends with an error event.
        response("200 OK", &event),
        response("200 OK", &with_escapes(&event)),
    ] {
        let api = Api::start_secure();
        api.accept(token);
        api.say("pods", &said);
        let directory = Directory::new("own-token");
        let user = json!({ "token": token });
        let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
        let args = ["--resources=pods", "--kubeconfig", &kubeconfig, "-v=9"];
        let exporter = Exporter::serving(&args);
        exporter.tells("header 'Bearer [hidden]");
        let ready = eventually("the failure is shown", || {
            let body = exporter.get("/readyz?verbose").text();
            body.contains("Bearer [hidden]").then_some(body)
        });
        let page = exporter.get("/").text();
        for text in [ready, page, exporter.log()] {
            assert!(!text.contains("of-the-exporter"), "{text}");
        }
    }
}

#[test]
fn a_token_file_that_changes_is_read_again() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("token");
    // The token file is in the directory of the kubeconfig. The token ends with a line break, as if `echo` had written
    // it.
    directory.write("token", "first\n");
    let user = json!({ "tokenFile": "token" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(json!({}), user)));
    is_synced(&exporter);
    api.accept("second");
    api.cut();
    says(&exporter, "failing: pods (unauthorized)");
    directory.write("token", "second\n");
    accepts(&api, "the second token", bearer("second"));
    is_synced(&exporter);
}

#[test]
fn a_token_file_that_is_missing_is_named() {
    let api = Api::start_secure();
    let directory = Directory::new("token");
    let user = json!({ "tokenFile": "no-token" });
    let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let output = run(&["--kubeconfig", &kubeconfig], "");
    assert!(!output.status.success());
    let error = &output.stderr;
    assert!(error.contains("cannot read the token file"), "{error}");
    assert!(error.contains("no-token: No such file"), "{error}");
}

#[test]
fn a_kubeconfig_with_another_token_is_used_without_a_new_list() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("inline");
    let config = |token: &str| api.kubeconfig_with(json!({}), json!({ "token": token }));
    let exporter = watching(&directory.write("config", &config("first")));
    is_synced(&exporter);
    api.accept("second");
    directory.write("config", &config("second"));
    eventually("the change is seen", || {
        let log = exporter.log();
        (log.contains("configuration reloaded") && log.contains("credentials")).then_some(())
    });
    api.cut();
    accepts(&api, "the second token", bearer("second"));
    is_synced(&exporter);
    let lists = "kube_state_metrics_relists_total{resource=\"*v1.Pod\"}";
    assert_eq!(exporter.own(lists), Some(0.0));
}

#[test]
fn an_authority_that_changes_is_trusted() {
    let (old, new, api) = old_and_new_authority();
    let directory = Directory::new("authority");
    directory.write("ca.pem", &old.pem());
    let cluster = json!({ "certificate-authority": "ca.pem", "tls-server-name": "api.test" });
    let user = json!({ "token": "own" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    api.set_tls(new.server());
    api.cut();
    says(&exporter, "invalid peer certificate");
    assert!(api.asked().is_empty(), "no other server gets the token");
    directory.write("ca.pem", &new.pem());
    accepts(&api, "the new authority", |_| true);
    is_synced(&exporter);
}

#[test]
fn a_client_certificate_that_changes_is_shown() {
    let authority = Authority::new("both");
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let api = Api::start_tls(authority.server());
    let directory = Directory::new("certificate");
    directory.write("ca.pem", &authority.pem());
    directory.write("cert.pem", &old.certificate);
    directory.write("key.pem", &old.key);
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = json!({ "client-certificate": "cert.pem", "client-key": "key.pem" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    accepts(&api, "the old certificate", |asked| {
        asked.certificate.as_ref() == Some(&old.der)
    });
    // Between these two writes, the key does not match the certificate.
    directory.write("cert.pem", &new.certificate);
    directory.write("key.pem", &new.key);
    exporter.tells("were reloaded");
    eventually("the new certificate is shown", || {
        let asked = api.asked_after_cut();
        asked
            .iter()
            .any(|request| request.certificate.as_ref() == Some(&new.der))
            .then_some(())
    });
    is_synced(&exporter);
}

#[test]
fn a_plugin_is_asked_again_when_its_token_is_refused() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("plugin");
    directory.write("answer", &answer(json!({ "token": "first" })));
    let user = json!({ "exec": plugin(&directory) });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(json!({}), user)));
    is_synced(&exporter);
    // The plugin states no expiry time of the token. So the exporter learns only from the status 401 of a response that
    // the token is no longer valid.
    api.accept("second");
    directory.write("answer", &answer(json!({ "token": "second" })));
    api.cut();
    accepts(&api, "the second token", bearer("second"));
    is_synced(&exporter);
    // The refused request is repeated with the new token, so the watch does not fail.
    let log = exporter.log();
    assert!(log.contains("were reloaded"), "{log}");
    assert!(
        !log.contains("unauthorized") && !log.contains("WARN"),
        "{log}"
    );
}

#[test]
fn a_plugin_that_prints_expired_credentials_is_named() {
    let api = Api::start_secure();
    api.accept("valid");
    let directory = Directory::new("expired-plugin");
    let expired = json!({ "token": "old", "expirationTimestamp": "2020-01-01T00:00:00Z" });
    directory.write("answer", &answer(expired));
    let user = json!({ "exec": plugin(&directory) });
    let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = watching(&kubeconfig);
    let problem = "the credential plugin `sh` prints credentials that have expired";
    exporter.tells(problem);
    says(&exporter, problem);
    // The exporter runs the plugin again and again, but logs the problem once.
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert_eq!(exporter.log().matches(problem).count(), 1);
    let valid = json!({ "token": "valid", "expirationTimestamp": in_seconds(3600) });
    directory.write("answer", &answer(valid));
    exporter.becomes_ready();
    let page = exporter.get("/readyz?verbose").text();
    assert!(!page.contains(problem), "{page}");
}

#[test]
fn a_plugin_is_asked_again_before_its_token_expires() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("plugin");
    let token = |token: &str, seconds| {
        answer(json!({ "token": token, "expirationTimestamp": in_seconds(seconds) }))
    };
    directory.write("answer", &token("first", 64));
    let user = json!({ "exec": plugin(&directory) });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(json!({}), user)));
    is_synced(&exporter);
    directory.write("answer", &token("second", 16));
    exporter.tells("were reloaded");
    api.accept("second");
    api.cut();
    accepts(&api, "the second token", bearer("second"));
    let refused = api.asked().into_iter().filter(|own| !own.accepted).count();
    assert_eq!(
        refused, 0,
        "the exporter does not send a token that expires soon"
    );
    is_synced(&exporter);
    // If a plugin fails, the error message must not contain the input of the plugin.
    std::fs::remove_file(directory.path().join("answer")).unwrap();
    let failure = "the credential plugin `sh` failed with exit status: 3";
    exporter.tells(failure);
    // After the token has expired, requests fail. The reason in `/readyz` must contain the message of the plugin.
    let body = eventually("/readyz has the failure", || {
        api.cut();
        let body = exporter.get("/readyz").text();
        body.contains("failing: pods (unauthorized)")
            .then_some(body)
    });
    // One line is about the renewal, and another line is about the requests.
    assert_eq!(body.matches(failure).count(), 2, "{body}");
    assert!(!body.contains("whisper"), "{body}");
    assert!(!exporter.log().contains("whisper"), "{}", exporter.log());
    let refused = api.asked().into_iter().filter(|own| !own.accepted).count();
    assert_eq!(refused, 0, "the exporter does not send an expired token");
}

/// Whether a process is running. A process that was killed but is still a zombie is not running.
pub fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_plugin_that_hangs_at_the_start_is_named_by_readyz_and_killed_at_the_end() {
    let api = Api::start_secure();
    api.accept("first");
    let directory = Directory::new("plugin");
    let path = directory.str().to_owned();
    let user = |script: &str| {
        let mut exec = plugin(&directory);
        exec["args"] = json!(["-c", script]);
        json!({ "exec": exec })
    };
    let hanging = format!("sleep 1000 & echo $$ $! >> {path}/pids; wait");
    let config = directory.write("config", &api.kubeconfig_with(json!({}), user(&hanging)));
    let mut exporter = watching(&config);
    assert_eq!(exporter.get("/livez").status, 200);
    assert_eq!(exporter.get("/readyz").status, 503);
    says(
        &exporter,
        "the credential plugin `sh` has printed no credentials yet",
    );
    assert!(api.asked().is_empty());
    let pids = || std::fs::read_to_string(directory.path().join("pids")).unwrap_or_default();
    let first = pids();
    assert_eq!(first.lines().count(), 1, "{first}");
    assert!(first.split_whitespace().all(is_running), "{first}");
    exporter.signal("TERM");
    assert!(exporter.wait().success());
    let gone = |pids: String| {
        eventually("the plugin and its child are killed", || {
            (!pids.split_whitespace().any(is_running)).then_some(())
        });
    };
    gone(pids());
    // Some plugins print their credentials late. The exporter must wait for such a plugin.
    let late = format!(
        "while ! test -e {path}/go; do sleep 0.1; done; echo '{}'",
        answer(json!({ "token": "first" }))
    );
    let config = directory.write("config", &api.kubeconfig_with(json!({}), user(&late)));
    let exporter = watching(&config);
    says(&exporter, "has printed no credentials yet");
    directory.write("go", "");
    exporter.becomes_ready();
    is_synced(&exporter);
}

#[test]
fn a_plugin_is_asked_again_before_its_certificate_expires() {
    let authority = Authority::new("plugin");
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let api = Api::start_tls(authority.server());
    let directory = Directory::new("plugin");
    let status = |own: &super::authority::Identity, seconds| {
        answer(json!({
            "clientCertificateData": own.certificate, "clientKeyData": own.key,
            "expirationTimestamp": in_seconds(seconds)
        }))
    };
    directory.write("ca.pem", &authority.pem());
    directory.write("answer", &status(&old, 64));
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = json!({ "exec": plugin(&directory) });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    accepts(&api, "the old certificate", |asked| {
        asked.certificate.as_ref() == Some(&old.der)
    });
    directory.write("answer", &status(&new, 3600));
    exporter.tells("were reloaded");
    api.cut();
    accepts(&api, "the new certificate", |asked| {
        asked.certificate.as_ref() == Some(&new.der)
    });
    is_synced(&exporter);
}

#[test]
fn a_plugin_that_fails_at_the_start_is_told_without_secrets() {
    let script = "echo confidential; echo no luck >&2; exit 3";
    let error = startup_error("args", json!(["-c", script]));
    assert!(
        error.contains("the credential plugin `sh` failed with exit status: 3: no luck"),
        "{error}"
    );
    assert!(
        !error.contains("whisper") && !error.contains("confidential"),
        "{error}"
    );
}

#[test]
fn an_odd_output_of_a_plugin_is_told_without_its_content() {
    let api = Api::start_secure();
    let directory = Directory::new("plugin");
    let status = |status| {
        json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": status,
        })
    };
    for printed in [
        json!("confidential"),
        status(json!("confidential")),
        status(json!({ "token": { "confidential": 1 } })),
        status(
            json!({ "clientCertificateData": ["confidential"], "clientKeyData": "confidential" }),
        ),
        status(json!({ "expirationTimestamp": "confidential", "token": "confidential" })),
    ] {
        let mut exec = plugin(&directory);
        exec["args"] = json!(["-c", format!("echo '{printed}'")]);
        let user = json!({ "exec": exec });
        let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
        let output = run(&["--kubeconfig", &kubeconfig], "");
        assert!(!output.status.success(), "{printed}");
        let error = &output.stderr;
        assert!(error.contains("cannot create a client"), "{error}");
        assert!(!error.contains("confidential"), "{error}");
    }
}

#[test]
fn a_pod_finds_its_credentials_and_follows_them() {
    use std::os::unix::fs::symlink;

    let (old, new, api) = old_and_new_authority();
    api.accept("first");
    let directory = Directory::new("pod");
    for (version, token, authority) in [("..1", "first", &old), ("..2", "second", &new)] {
        let version = directory.path().join(version);
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("token"), token).unwrap();
        std::fs::write(version.join("ca.crt"), authority.pem()).unwrap();
        std::fs::write(version.join("namespace"), "monitoring").unwrap();
    }
    symlink("..1", directory.path().join("..data")).unwrap();
    for name in ["token", "ca.crt", "namespace"] {
        symlink(format!("..data/{name}"), directory.path().join(name)).unwrap();
    }
    let port = api.url.rsplit(':').next().unwrap();
    let Some(mut pod) = in_pod(&directory) else {
        println!("skipped: a process cannot have separate namespaces here");
        return;
    };
    pod.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    pod.env("KUBERNETES_SERVICE_PORT", port);
    let exporter = Exporter::of_command(&mut pod);
    is_synced(&exporter);
    accepts(&api, "the first token", bearer("first"));
    // The kubelet replaces all files at once: it changes a symbolic link. The test does the same.
    api.accept("second");
    api.set_tls(new.server());
    symlink("..2", directory.path().join("..new")).unwrap();
    std::fs::rename(
        directory.path().join("..new"),
        directory.path().join("..data"),
    )
    .unwrap();
    api.cut();
    accepts(&api, "the second token", bearer("second"));
    is_synced(&exporter);
    let mount = "/var/run/secrets/kubernetes.io/serviceaccount";
    std::fs::write(directory.path().join("..2/ca.crt"), "-----BEGIN damaged").unwrap();
    exporter.tells(&format!("{mount}/ca.crt: "));
    std::fs::remove_file(directory.path().join("..data")).unwrap();
    exporter.tells(&format!("{mount}/namespace: "));
    let log = exporter.log();
    assert!(!log.contains("does not run in a pod"), "{log}");
}
