//! Tests the certificates of API servers, and the certificates that the exporter presents to API servers.

use serde_json::json;

use super::api::Api;
use super::authority::Authority;
use super::credentials::{accepts, answer, plugin, watching};
use super::support::{Directory, eventually, run};

/// Starts an exporter with a kubeconfig, and checks whether the exporter can connect to the server. If the exporter
/// cannot connect, returns the reason.
fn gets_on(
    api: &Api,
    directory: &Directory,
    trusted: &str,
    user: serde_json::Value,
) -> Result<(), String> {
    directory.write("ca.pem", trusted);
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    eventually("the exporter is ready, or reports why not", || {
        let body = exporter.get("/readyz");
        match (body.status, body.text()) {
            (200, _) => Some(Ok(())),
            (_, text) if text.contains("unreachable") => Some(Err(text)),
            _ => None,
        }
    })
}

#[test]
fn servers_that_go_accepts_are_accepted() {
    let directory = Directory::new("go");
    let user = json!({ "token": "credential" });
    let strong = Authority::with_p521("strong");
    let api = Api::start_tls(strong.server_with(strong.issue_p521("server")));
    assert_eq!(
        gets_on(&api, &directory, &strong.pem(), user.clone()),
        Ok(())
    );
    // The first server presents the certificate of the authority itself. The second server presents a leaf certificate,
    // and the kubeconfig trusts this certificate directly.
    let own = Authority::new("own");
    let api = Api::start_tls(own.server_with(own.own()));
    assert_eq!(gets_on(&api, &directory, &own.pem(), user.clone()), Ok(()));
    let leaf = own.issue("leaf");
    let pem = leaf.certificate.clone();
    let api = Api::start_tls(own.server_with(leaf));
    assert_eq!(gets_on(&api, &directory, &pem, user.clone()), Ok(()));

    // The exporter refuses the certificate chains that Go refuses. The error names the certificate and the file, and
    // states how to fix the problem.
    let says = |result: Result<(), String>, parts: &[&str]| {
        let text = result.unwrap_err();
        assert!(
            parts.iter().all(|part| text.contains(part)),
            "{text}: {parts:?}"
        );
    };
    let other = Api::start_tls(own.server_with(own.issue("other")));
    let ca = format!(
        "no certificate authority in {}/ca.pem signed it",
        directory.str()
    );
    says(
        gets_on(&other, &directory, &pem, user.clone()),
        &[
            "invalid peer certificate: CN=other: ",
            &ca,
            "add the certificate of its authority `CN=own`",
        ],
    );
    let named = Api::start_tls(own.server_with(own.issue_to("named", &["other.test"])));
    says(
        gets_on(&named, &directory, &own.pem(), user.clone()),
        &[
            "CN=named: it is for ",
            "other.test",
            "not for 127.0.0.1; use one of its names",
        ],
    );
    let impostor = Authority::new("own");
    let api = Api::start_tls(impostor.server_with(impostor.own()));
    says(gets_on(&api, &directory, &own.pem(), user), &["CN=own: "]);
}

#[test]
fn client_certificates_that_go_presents_are_presented() {
    let authority = Authority::with_p521("users");
    let api = Api::start_tls(authority.server());
    let directory = Directory::new("clients");
    for identity in [
        authority.issue_version_1("old"),
        authority.issue_p521("strong"),
    ] {
        directory.write("cert.pem", &identity.certificate);
        directory.write("key.pem", &identity.key);
        let user = json!({ "client-certificate": "cert.pem", "client-key": "key.pem" });
        api.cut();
        assert_eq!(gets_on(&api, &directory, &authority.pem(), user), Ok(()));
        accepts(&api, "the certificate", |asked| {
            asked.certificate.as_ref() == Some(&identity.der)
        });
        let text = answer(json!({
            "clientCertificateData": identity.certificate, "clientKeyData": identity.key
        }));
        directory.write("answer", &text);
        api.cut();
        let user = json!({ "exec": plugin(&directory) });
        assert_eq!(gets_on(&api, &directory, &authority.pem(), user), Ok(()));
        accepts(&api, "the certificate of the plugin", |asked| {
            asked.certificate.as_ref() == Some(&identity.der)
        });
    }
    // If a certificate and a key do not match, the error names both files.
    directory.write("key.pem", &authority.issue("other").key);
    let user = json!({ "client-certificate": "cert.pem", "client-key": "key.pem" });
    let config = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let output = run(&["--kubeconfig", &config], "");
    assert!(!output.status.success());
    let said = format!(
        "client-certificate {0}/cert.pem and client-key {0}/key.pem: the key does not belong to the certificate CN=strong",
        directory.str()
    );
    assert!(output.stderr.contains(&said), "{}", output.stderr);
}
