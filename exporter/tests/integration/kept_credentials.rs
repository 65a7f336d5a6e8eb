//! Tests that the credentials in use are renewed while the kubeconfig, or a file that it names, cannot be used.

use std::fs;

use serde_json::{Value, json};

use super::api::{Api, Asked};
use super::authority::Authority;
use super::credentials::{accepts, answer, in_pod, plugin, watching};
use super::support::{Directory, Exporter, eventually, eventually_or};

/// The start of the line in `/readyz` about credentials that are not renewed from the current files.
const NOTE: &str = "cannot renew the credentials for the API server; ";

/// Text for a test that fails.
fn explain(exporter: &Exporter) -> String {
    format!(
        "{}{}",
        exporter.get("/readyz?verbose").text(),
        exporter.log()
    )
}

/// Waits until the exporter uses `token`, which the API server accepts.
fn uses(api: &Api, exporter: &Exporter, token: &str) {
    let value = format!("Bearer {token}");
    let is_used = || {
        let mut asked = api.asked().into_iter();
        asked
            .any(|own| own.accepted && own.authorization.as_ref() == Some(&value))
            .then_some(())
    };
    let what = format!("`{token}` is used");
    eventually_or(&what, is_used, || explain(exporter));
    exporter.becomes_ready();
}

/// Writes `token` to the token file. After the exporter has read it, makes the API server accept only this token.
fn rotates(api: &Api, exporter: &Exporter, directory: &Directory, token: &str) {
    let reloads = || exporter.log().matches("were reloaded").count();
    let before = reloads();
    directory.write("token", token);
    let is_read = || (reloads() > before).then_some(());
    let what = format!("`{token}` is read");
    eventually_or(&what, is_read, || explain(exporter));
    api.accept(token);
    api.cut();
    uses(api, exporter, token);
}

/// Makes the plugin print `token`, and makes the API server accept only this token. The plugin states no expiry time,
/// so the exporter runs it when the API server refuses the previous token.
fn refuses(api: &Api, exporter: &Exporter, directory: &Directory, token: &str) {
    directory.write("answer", &answer(json!({ "token": token })));
    api.accept(token);
    api.cut();
    uses(api, exporter, token);
}

/// Waits until `/readyz` has a line that begins with [`NOTE`] and contains `cause`. The exporter must be ready.
fn notes(exporter: &Exporter, cause: &str) {
    let noted = || {
        let answer = exporter.get("/readyz?verbose");
        let status = answer.status;
        let text = answer.text();
        let mut lines = text.lines();
        let is_noted = lines.any(|line| line.starts_with(NOTE) && line.contains(cause));
        (status == 200 && is_noted).then_some(())
    };
    let what = format!("a note about {cause}");
    eventually_or(&what, noted, || explain(exporter));
}

fn notes_nothing(exporter: &Exporter) {
    eventually_or(
        "there is no note",
        || (!exporter.get("/readyz?verbose").text().contains(NOTE)).then_some(()),
        || exporter.log(),
    );
}

/// The ways in which a kubeconfig becomes unusable: the new content, and a part of the note.
fn unusable(kubeconfig: &str) -> [(Option<String>, &'static str); 4] {
    let mut other: Value = serde_json::from_str(kubeconfig).unwrap();
    other["contexts"][0]["context"]["user"] = json!("missing");
    [
        (
            Some(kubeconfig[..kubeconfig.len() / 2].to_owned()),
            "line 1",
        ),
        (None, "No such file"),
        (Some(other.to_string()), "`missing`, which does not exist"),
        (
            Some(String::new()),
            "the file has no cluster and no context",
        ),
    ]
}

fn replace(path: &str, content: Option<&str>) {
    match content {
        Some(content) => fs::write(path, content).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn the_token_file_of_an_unusable_kubeconfig_is_read_further() {
    let api = Api::start_secure();
    api.accept("token-0");
    let directory = Directory::new("kept-token");
    directory.write("token", "token-0");
    let kubeconfig = api.kubeconfig_with(json!({}), json!({ "tokenFile": "token" }));
    let path = directory.write("config", &kubeconfig);
    let exporter = watching(&path);
    exporter.becomes_ready();
    for (number, (content, cause)) in unusable(&kubeconfig).into_iter().enumerate() {
        replace(&path, content.as_deref());
        notes(&exporter, cause);
        // The second rotation has only the event of the token file.
        for step in ["a", "b"] {
            let token = format!("token-{number}-{step}");
            rotates(&api, &exporter, &directory, &token);
        }
        notes(&exporter, cause);
        replace(&path, Some(&kubeconfig));
        notes_nothing(&exporter);
    }
    let log = exporter.log();
    let logged = log.lines().filter(|line| line.contains("No such file"));
    let logged = logged.filter(|line| line.contains("renewed from the last usable files"));
    assert_eq!(logged.count(), 1, "one line for a cause: {log}");
}

#[test]
fn the_plugin_of_an_unusable_kubeconfig_runs_further() {
    let api = Api::start_secure();
    api.accept("token-0");
    let directory = Directory::new("kept-plugin");
    directory.write("answer", &answer(json!({ "token": "token-0" })));
    let user = json!({ "exec": plugin(&directory) });
    let kubeconfig = api.kubeconfig_with(json!({}), user);
    let path = directory.write("config", &kubeconfig);
    let exporter = watching(&path);
    exporter.becomes_ready();
    let ways = unusable(&kubeconfig).into_iter().take(2);
    for (number, (content, cause)) in ways.enumerate() {
        replace(&path, content.as_deref());
        notes(&exporter, cause);
        let token = format!("token-{number}-a");
        refuses(&api, &exporter, &directory, &token);
        replace(&path, Some(&kubeconfig));
        notes_nothing(&exporter);
    }
}

#[test]
fn credentials_are_renewed_while_the_kubeconfig_names_a_server_that_is_not_in_use() {
    for more in [&[][..], &["--ha"]] {
        let api = Api::start_secure();
        api.accept("token-0");
        let directory = Directory::new("kept-server");
        let token = directory.write("token", "token-0");
        let kubeconfig = api.kubeconfig_with(json!({}), json!({ "tokenFile": token }));
        let path = directory.write("config", &kubeconfig);
        let args = ["--resources=pods", "--kubeconfig", &path];
        let exporter = Exporter::serving(&[&args[..], more].concat());
        exporter.becomes_ready();
        // No server listens on port 1.
        let url = json!("https://127.0.0.1:1");
        let other = kubeconfig.replace(&json!(api.url).to_string(), &url.to_string());
        fs::write(&path, other).unwrap();
        exporter.tells("another API server");
        for token in ["token-1", "token-2"] {
            rotates(&api, &exporter, &directory, token);
        }
    }
}

#[test]
fn a_plugin_runs_further_while_the_plugin_for_another_server_hangs() {
    let (api, other) = (Api::start_secure(), Api::start_secure());
    api.accept("token-0");
    let directory = Directory::new("kept-hang");
    directory.write("answer", &answer(json!({ "token": "token-0" })));
    let user = json!({ "exec": plugin(&directory) });
    let path = directory.write("config", &api.kubeconfig_with(json!({}), user));
    let exporter = watching(&path);
    exporter.becomes_ready();
    let mut hanging = plugin(&directory);
    let script = format!("echo x >> {}/hangs; sleep 1000", directory.str());
    hanging["args"] = json!(["-c", script]);
    let user = json!({ "exec": hanging });
    fs::write(&path, other.kubeconfig_with(json!({}), user)).unwrap();
    eventually("the plugin for the other server runs", || {
        directory.path().join("hangs").exists().then_some(())
    });
    refuses(&api, &exporter, &directory, "token-1");
    // The other plugin was not killed in the meantime, which the exporter does after a minute.
    let log = exporter.log();
    assert!(!log.contains("printed no credentials within"), "{log}");
}

#[test]
fn a_token_file_is_read_further_while_another_file_is_missing() {
    let authority = Authority::new("both");
    let certified = authority.issue("client");
    let api = Api::start_tls(authority.server());
    api.accept("token-0");
    let directory = Directory::new("kept-files");
    directory.write("token", "token-0");
    let files = [
        ("ca.pem", authority.pem()),
        ("cert.pem", certified.certificate.clone()),
        ("key.pem", certified.key.clone()),
    ];
    for (name, content) in &files {
        directory.write(name, content);
    }
    let cluster = json!({ "certificate-authority": "ca.pem" });
    let user =
        json!({ "tokenFile": "token", "client-certificate": "cert.pem", "client-key": "key.pem" });
    let exporter = watching(&directory.write("config", &api.kubeconfig_with(cluster, user)));
    exporter.becomes_ready();
    for (name, content) in &files {
        for (way, is_removed) in [("gone", true), ("empty", false)] {
            let path = directory.path().join(name);
            match is_removed {
                true => fs::remove_file(&path).unwrap(),
                false => fs::write(&path, "").unwrap(),
            }
            notes(&exporter, name_in_note(name, is_removed));
            let token = format!("token-{name}-{way}");
            rotates(&api, &exporter, &directory, &token);
            // The content that the missing file had is still in use.
            accepts(&api, "the client certificate", |asked| {
                asked.certificate.as_ref() == Some(&certified.der)
            });
            fs::write(&path, content).unwrap();
            notes_nothing(&exporter);
        }
    }
    // The token file is missing, and the certificate changes.
    let renewed = authority.issue("renewed");
    fs::remove_file(directory.path().join("token")).unwrap();
    notes(&exporter, "cannot read the token file");
    directory.write("cert.pem", &renewed.certificate);
    directory.write("key.pem", &renewed.key);
    eventually("the new certificate is shown", || {
        let asked = api.asked_after_cut();
        let is_new = |own: &Asked| own.certificate.as_ref() == Some(&renewed.der);
        asked
            .iter()
            .any(|own| own.accepted && is_new(own))
            .then_some(())
    });
}

/// The part of a note that names the file. The message about an empty authority names the kubeconfig.
fn name_in_note(name: &'static str, is_removed: bool) -> &'static str {
    match (name, is_removed) {
        ("ca.pem", false) => "the certificate authority is empty now",
        (name, _) => name,
    }
}

#[test]
fn a_pod_reads_its_token_further_while_its_authority_is_missing() {
    let authority = Authority::new("pod");
    let api = Api::start_tls(authority.server());
    api.accept("token-0");
    let directory = Directory::new("kept-pod");
    for (name, content) in [("token", "token-0"), ("namespace", "monitoring")] {
        directory.write(name, content);
    }
    directory.write("ca.crt", &authority.pem());
    let Some(mut pod) = in_pod(&directory) else {
        println!("skipped: a process cannot have separate namespaces here");
        return;
    };
    pod.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let port = api.url.rsplit(':').next().unwrap();
    pod.env("KUBERNETES_SERVICE_PORT", port);
    let exporter = Exporter::of_command(&mut pod);
    exporter.becomes_ready();
    fs::remove_file(directory.path().join("ca.crt")).unwrap();
    notes(&exporter, "certificate bundle");
    rotates(&api, &exporter, &directory, "token-1");
}
