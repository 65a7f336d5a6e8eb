//! Tests of the tokens of an identity provider (`auth-provider: oidc`).

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::credentials::{accepts, bearer, is_synced};
use super::support::{Directory, Exporter, PORTS, PROGRAM, eventually};

/// Returns a token that contains only an expiry time and a name.
fn id_token(expires: u64, name: &str) -> String {
    let claims = json!({ "exp": expires }).to_string();
    format!("e30.{}.{name}", base64_url(claims.as_bytes()))
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or_default())
        });
        for digit in 0..=chunk.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

/// Returns a user whose provider issues tokens. `id_token` is the token in the kubeconfig.
fn user(provider: &Api, id_token: &str) -> Value {
    json!({ "auth-provider": { "name": "oidc", "config": {
        "client-id": "ksm", "client-secret": "whisper", "refresh-token": "again",
        "idp-issuer-url": provider.url, "id-token": id_token
    } } })
}

/// Starts an exporter that trusts the authority of the provider.
fn start(directory: &Directory, authority: &Authority, kubeconfig: &str) -> Exporter {
    let roots = directory.write("roots.pem", &authority.pem());
    Exporter::of_command(
        Command::new(PROGRAM)
            .args(PORTS)
            .args([
                "--resources=pods,nodes,services",
                "--kubeconfig",
                kubeconfig,
            ])
            .env("SSL_CERT_FILE", roots),
    )
}

#[test]
fn a_token_of_an_identity_provider_is_refreshed() {
    let authority = Authority::new("provider");
    let (api, provider) = (Api::start_secure(), Api::start_tls(authority.server()));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (first, second) = (id_token(now + 20, "first"), id_token(now + 3600, "second"));
    api.accept(&first);
    provider.provide(&second);
    let directory = Directory::new("oidc");
    let roots = directory.write("roots.pem", &authority.pem());
    let user = json!({ "auth-provider": { "name": "oidc", "config": {
        "client-id": "ksm", "client-secret": "whisper", "refresh-token": "again",
        "idp-issuer-url": provider.url, "id-token": first
    } } });
    let kubeconfig = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = Exporter::of_command(
        Command::new(PROGRAM)
            .args(PORTS)
            .args(["--resources=pods", "--kubeconfig", &kubeconfig])
            .env("SSL_CERT_FILE", roots),
    );
    is_synced(&exporter);
    accepts(&api, "the first token", bearer(&first));
    assert_eq!(provider.requests().len(), 0);
    // The exporter requests a new token, because it does not use a token during the last ten seconds before the expiry.
    api.accept(&second);
    eventually("the token was refreshed", || {
        let asked = api.asked_after_cut();
        asked.iter().any(bearer(&second)).then_some(())
    });
    assert!(provider.count("/token") > 0);
    is_synced(&exporter);
}

#[test]
fn a_rewritten_kubeconfig_does_not_bring_back_a_refresh_token_that_was_used() {
    let authority = Authority::new("provider");
    let provider = Api::start_tls(authority.server());
    let (api, other) = (Api::start_secure(), Api::start_secure());
    let (expired, valid) = (id_token(1, "expired"), id_token(9_999_999_999, "valid"));
    api.accept(&valid);
    other.accept(&valid);
    provider.provide_once(&valid, "again");
    let directory = Directory::new("rotated-refresh-token");
    let user = user(&provider, &expired);
    let text = api.kubeconfig_with(json!({}), user.clone());
    let kubeconfig = directory.write("config", &text);
    let exporter = start(&directory, &authority, &kubeconfig);
    exporter.becomes_ready();
    assert_eq!(provider.count("/token"), 1);

    // The same user in a file that was written again.
    directory.write("config", &(text + "\n"));
    exporter.tells("the credentials for the API server were reloaded");
    api.cut();
    accepts(&api, "the renewed token after a rewrite", bearer(&valid));
    exporter.becomes_ready();

    // The same user for another server.
    directory.write("config", &other.kubeconfig_with(json!({}), user));
    accepts(
        &other,
        "the renewed token at another server",
        bearer(&valid),
    );
    exporter.becomes_ready();
    assert_eq!(provider.count("/token"), 1);
    assert!(
        !exporter.log().contains("issues no token"),
        "{}",
        exporter.log()
    );
}

#[test]
fn a_provider_that_issues_no_token_is_asked_once_for_all_resources() {
    let authority = Authority::new("provider");
    let (api, provider) = (Api::start_secure(), Api::start_tls(authority.server()));
    provider.provide_once("none", "another refresh token");
    let directory = Directory::new("failing-provider");
    let text = api.kubeconfig_with(json!({}), user(&provider, &id_token(1, "expired")));
    let kubeconfig = directory.write("config", &text);
    let exporter = start(&directory, &authority, &kubeconfig);
    exporter.tells("issues no token");
    exporter.tells("was used before");
    std::thread::sleep(Duration::from_secs(5));
    // The client tries two ways to send its password.
    assert_eq!(provider.count("/token"), 2);
    assert!(api.asked().is_empty());
}
