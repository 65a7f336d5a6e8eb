//! Tests faults of the credentials and of the certificate authorities: broken certificates, credentials of several
//! kinds, servers that do not answer, and secrets in the wrong place.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::json;

use super::api::Api;
use super::authority::Authority;
use super::credentials::{
    accepts, answer, is_running, is_synced, old_and_new_authority, plugin, startup_error, watching,
};
use super::support::{Directory, Exporter, PORTS, PROGRAM, eventually, run, signal};

/// A certificate that is not Base64.
const NOT_BASE64: &str = "-----BEGIN CERTIFICATE-----\nMIIB!!!!\n-----END CERTIFICATE-----\n";
/// A certificate that is Base64, but not X.509.
const NOT_DER: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// The text without its last three lines. In a file with certificates, the last certificate has no end then.
fn cut(pem: &str) -> String {
    let lines: Vec<_> = pem.lines().collect();
    lines[..lines.len() - 3].join("\n")
}

#[test]
fn only_the_broken_certificates_of_a_bundle_are_not_trusted() {
    let authority = Authority::new("bundle");
    let pem = authority.pem();
    let lines = pem.lines().count();
    let api = Api::start_tls(authority.server());
    let directory = Directory::new("bundle");
    let bundle = [NOT_BASE64, &pem, NOT_DER, &cut(&pem)].concat();
    directory.write("ca.pem", &bundle);
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = json!({ "token": "own" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    let (third, fourth) = (4 + lines, 7 + lines);
    exporter.tells(&format!(
        "{}/ca.pem: certificates that are not trusted: 1 (line 1: the text is not Base64), 3 (line {third}: it cannot \
         be parsed as X.509), 4 (line {fourth}: it has no line `-----END CERTIFICATE-----`); repair or remove them",
        directory.str()
    ));
}

#[test]
fn a_bundle_that_is_being_written_does_not_replace_the_authorities() {
    let (old, new, api) = old_and_new_authority();
    api.accept("first");
    let directory = Directory::new("bundle");
    directory.write("ca.pem", &old.pem());
    directory.write("token", "first");
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = json!({ "tokenFile": "token" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    let whole = [new.pem(), old.pem()].concat();
    directory.write("ca.pem", &cut(&whole));
    exporter.tells("ca.pem: the file is not complete: certificate 2 (line ");
    api.cut();
    accepts(&api, "the old authority", |_| true);
    is_synced(&exporter);
    directory.write("ca.pem", &whole);
    exporter.tells("the credentials for the API server were reloaded");
    api.set_tls(new.server());
    api.cut();
    accepts(&api, "the new authority", |_| true);
    is_synced(&exporter);
}

#[test]
fn a_token_and_a_certificate_of_a_plugin_are_both_sent() {
    let authority = Authority::new("plugin");
    let own = authority.issue("own");
    let api = Api::start_tls(authority.server());
    let directory = Directory::new("both");
    directory.write("ca.pem", &authority.pem());
    let status = json!({
        "token": "printed", "clientCertificateData": own.certificate, "clientKeyData": own.key,
    });
    directory.write("answer", &answer(status));
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user = json!({ "exec": plugin(&directory) });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    is_synced(&exporter);
    let asked = api.asked();
    let watches = asked.iter().filter(|asked| asked.line.contains("/pods"));
    for asked in watches {
        assert_eq!(asked.authorization.as_deref(), Some("Bearer printed"));
        assert_eq!(asked.certificate.as_ref(), Some(&own.der));
    }
}

#[test]
fn a_check_of_permissions_names_why_the_api_server_does_not_answer() {
    let (trusted, other) = (Authority::new("trusted"), Authority::new("other"));
    let directory = Directory::new("check");
    let check = |kubeconfig: String| {
        let path = directory.write("config", &kubeconfig);
        let args = ["rbac", "--check", "--resources=pods", "--kubeconfig", &path];
        let checked = run(&args, "");
        assert_eq!(checked.status.code(), Some(1));
        let error = checked.stderr;
        assert!(
            !error.contains("Status {") && !error.contains("ServiceError"),
            "{error}"
        );
        error
    };
    let check_url = |url: &str| {
        let kubeconfig = Api::start(&[]).kubeconfig();
        let mut kubeconfig: serde_json::Value = serde_json::from_str(&kubeconfig).unwrap();
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(url);
        check(kubeconfig.to_string())
    };
    let error = check_url("http://127.0.0.1:1");
    assert!(
        error.contains("--check: unreachable: ") && error.contains("Connection refused"),
        "{error}"
    );
    let error = check_url("http://no-such-host.invalid:1");
    assert!(
        error.contains("--check: unreachable: ") && error.contains("lookup address"),
        "{error}"
    );

    let api = Api::start_tls(other.server());
    directory.write("ca.pem", &trusted.pem());
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let error = check(api.kubeconfig_with(cluster, json!({})));
    assert!(error.contains("no certificate authority in "), "{error}");
    assert!(
        error.contains("add the certificate of its authority `CN=other`"),
        "{error}"
    );

    let api = Api::start_secure();
    api.accept("right");
    let error = check(api.kubeconfig_with(json!({}), json!({ "token": "wrong" })));
    assert!(error.contains("--check: unauthorized: "), "{error}");
    for (status, reason) in [
        ("403 Forbidden", "forbidden: no"),
        ("429 Too Many Requests", "throttled: no"),
        ("500 Internal Server Error", "server error: no"),
    ] {
        let code = status.split(' ').next().unwrap().parse::<u16>().unwrap();
        let body = json!({ "kind": "Status", "apiVersion": "v1", "code": code, "message": "no" });
        let (body, api) = (body.to_string(), Api::start_secure());
        let length = body.len();
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        api.say("selfsubjectaccessreviews", &response);
        let error = check(api.kubeconfig());
        assert!(error.contains(&format!("--check: {reason}")), "{error}");
    }
}

#[test]
fn a_check_of_permissions_kills_its_plugin_when_it_is_stopped() {
    let api = Api::start_secure();
    let directory = Directory::new("stopped");
    let mut exec = plugin(&directory);
    let pids = directory.path().join("pids");
    exec["args"] = json!([
        "-c",
        format!("sleep 1000 & echo $$ $! >> {}; wait", pids.display())
    ]);
    let kubeconfig = api.kubeconfig_with(json!({}), json!({ "exec": exec }));
    let kubeconfig = directory.write("config", &kubeconfig);
    for name in ["TERM", "INT"] {
        let _ = std::fs::remove_file(&pids);
        let mut check = Command::new(PROGRAM)
            .args([
                "rbac",
                "--check",
                "--resources=pods",
                "--kubeconfig",
                &kubeconfig,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pids = eventually("the plugin runs", || {
            let pids = std::fs::read_to_string(&pids).ok()?;
            (pids.split_whitespace().count() == 2).then_some(pids)
        });
        signal(check.id(), name);
        assert!(!check.wait().unwrap().success());
        let mut error = String::new();
        check
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .unwrap();
        assert!(error.contains("--check was interrupted"), "{error}");
        eventually("the plugin and its child are killed", || {
            (!pids.split_whitespace().any(is_running)).then_some(())
        });
    }
}

#[test]
fn an_identity_provider_that_does_not_answer_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let provider = listener.local_addr().unwrap();
    let authority = Authority::new("provider");
    let api = Api::start_secure();
    let directory = Directory::new("silent-provider");
    let roots = directory.write("roots.pem", &authority.pem());
    let user = json!({ "auth-provider": { "name": "oidc", "config": {
        "client-id": "ksm", "client-secret": "whisper", "refresh-token": "again",
        "idp-issuer-url": format!("https://{provider}/hidden-tenant"), "id-token": "e30.eyJleHAiOjF9.old",
    } } });
    let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = Exporter::of_command(
        Command::new(PROGRAM)
            .args(PORTS)
            .args(["--resources=pods", "--kubeconfig", &kubeconfig])
            .env("SSL_CERT_FILE", roots),
    );
    exporter.tells(&format!(
        "the identity provider {provider} (idp-issuer-url) sends no token within 10s"
    ));
    assert!(api.asked().is_empty());
    assert!(!exporter.log().contains("whisper"), "{}", exporter.log());
}

#[test]
fn arguments_in_the_command_of_a_plugin_are_not_shown() {
    let error = startup_error("command", json!("get-token --client-secret opensesamepw"));
    assert!(
        error.contains("cannot start the credential plugin `get-token`: "),
        "{error}"
    );
    assert!(error.contains("write arguments to `args`"), "{error}");
    assert!(
        !error.contains("opensesamepw") && !error.contains("client-secret"),
        "{error}"
    );
}
