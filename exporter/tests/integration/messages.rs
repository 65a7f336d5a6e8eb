//! Tests errors about files that may contain secrets. An error must name the position and the key, but must not show
//! the content.

use super::files::run_soon;
use super::support::{CLUSTER, Directory, Exporter, eventually};

const MARKER: &str = "s3cr3tM4rker";

/// Invalid content. The test writes it into each kind of file. The test replaces `KEY` by a key of the file.
const WRONG: &[&str] = &[
    "KEY: 's3cr3tM4rker",
    "KEY: \"s3cr3tM4rker",
    "KEY: [s3cr3tM4rker",
    "KEY: {s3cr3tM4rker: x",
    "KEY: s3cr3tM4rker\nKEY: s3cr3tM4rker\n",
    "KEY:\n\t- s3cr3tM4rker\n",
    "KEY: s3cr3tM4rker: s3cr3tM4rker\n",
    "KEY: *s3cr3tM4rker\n",
    "KEY: !!binary s3cr3tM4rker\n",
    "s3cr3tM4rker\n",
    "- s3cr3tM4rker\n",
    "KEY: x\n--- s3cr3tM4rker\n",
    "KEY: {a: [s3cr3tM4rker]}\n",
    "KEY: [[s3cr3tM4rker]]\n",
];

/// Further invalid content for each kind of file: values with a wrong type or a wrong syntax.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "--config",
        "port",
        &[
            "port: s3cr3tM4rker",
            "port: [s3cr3tM4rker]",
            "auth_filter: s3cr3tM4rker",
            "server_read_timeout: s3cr3tM4rker",
            "apiserver: 'https://u:s3cr3tM4rker@h'",
            "labels_allow_list: {pods: s3cr3tM4rker}",
        ],
    ),
    (
        "--tls-config",
        "tls_server_config",
        &[
            "basic_auth_users: {ann: s3cr3tM4rker}",
            "basic_auth_users: {ann: [s3cr3tM4rker]}",
            "basic_auth_users: s3cr3tM4rker",
            "tls_server_config: {key: s3cr3tM4rker, cert: s3cr3tM4rker}",
            "tls_server_config: {key: [s3cr3tM4rker]}",
            "tls_server_config: {s3cr3tM4rker: x}",
            "s3cr3tM4rker: x",
            "http_server_config: {headers: {X-Api-Key: s3cr3tM4rker}}",
            "http_server_config: {headers: {X-Frame-Options: s3cr3tM4rker}}",
            "http_server_config: {http2: s3cr3tM4rker}",
            "rate_limit: {burst: s3cr3tM4rker, interval: 1s}",
            "rate_limit: {burst: 1, interval: s3cr3tM4rker}",
        ],
    ),
    (
        "--kubeconfig",
        "users",
        &[
            "users: [{name: u, user: {token: [s3cr3tM4rker]}}]",
            "users: [{name: u, user: s3cr3tM4rker}]",
            "users: [{name: u, user: {exec: {args: s3cr3tM4rker}}}]",
            "users: [{name: u, user: {password: {s3cr3tM4rker: x}}}]",
            "users: [{name: u, user: {token: t, client-key-data: '\u{e9}s3cr3tM4rker'}}]\n\
             clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
             contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x",
            "users: [{name: u, user: {token: t}}]\n\
             clusters: [{name: c, cluster: {server: 'https://u:s3cr3tM4rker@h'}}]\n\
             contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x",
            "users: [{name: u, user: {token: t}}]\n\
             clusters: [{name: c, cluster: {server: 'https://h', proxy-url: 'ftp://u:s3cr3tM4rker@h'}}]\n\
             contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x",
            "users: [{name: u, user: {token: t}}]\n\
             clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: 's3cr3tM4rker='}}]\n\
             contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x",
        ],
    ),
    ("--custom-resource-state-config-file", "spec", &[]),
    ("--custom-resource-state-config", "spec", &[]),
];

#[test]
fn no_error_of_a_file_quotes_it() {
    let directory = Directory::new("secrets");
    for (flag, key, more) in FILES {
        // In a configuration of custom resources, an unknown key causes only a warning.
        let is_wrong = |text: &&&str| *key != "spec" || !text.contains("{a: ");
        let texts = WRONG
            .iter()
            .filter(is_wrong)
            .map(|text| text.replace("KEY", key));
        for text in texts.chain(more.iter().map(|text| (*text).to_owned())) {
            let file = directory.write("file", &text);
            let value = if *flag == "--custom-resource-state-config" {
                text.clone()
            } else {
                file
            };
            let mut args = vec![*flag, &value];
            if *flag != "--kubeconfig" {
                args.extend(["--manifests", CLUSTER]);
            }
            let output = run_soon(&args);
            assert!(!output.status.success(), "{flag} {text}");
            let error = &output.stderr;
            assert!(
                !error.is_empty() && !error.contains(MARKER),
                "{flag} {text}: {error}"
            );
            assert!(output.stdout.is_empty(), "{flag} {text}: {}", output.stdout);
        }
    }
}

#[test]
fn no_certificate_key_or_token_is_quoted() {
    let directory = Directory::new("pem");
    directory.write("marker", MARKER);
    directory.write(
        "pem",
        &format!("-----BEGIN PRIVATE KEY-----\n{MARKER}\n-----END PRIVATE KEY-----\n"),
    );
    directory.write("token", &format!("{MARKER}\n{MARKER}\n\u{1}"));
    for file in ["marker", "pem"] {
        let web = format!("tls_server_config: {{cert_file: {file}, key_file: {file}}}");
        let web = directory.write("web", &web);
        let output = run_soon(&["--manifests", CLUSTER, "--tls-config", &web]);
        assert!(!output.status.success());
        assert!(!output.stderr.contains(MARKER), "{}", output.stderr);
        for user in [
            format!("{{client-certificate: {file}, client-key: {file}}}"),
            format!("{{client-certificate-data: {MARKER}, client-key-data: {MARKER}}}"),
            "{tokenFile: token}".to_owned(),
        ] {
            let kubeconfig = format!(
                "users: [{{name: u, user: {user}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
                 contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x"
            );
            let kubeconfig = directory.write("kubeconfig", &kubeconfig);
            let output = run_soon(&["--kubeconfig", &kubeconfig]);
            assert!(!output.status.success(), "{user}");
            assert!(!output.stderr.contains(MARKER), "{user}: {}", output.stderr);
        }
    }
}

#[test]
fn a_running_exporter_tells_of_wrong_files_without_their_content() {
    let directory = Directory::new("running");
    let options = directory.write("options", "resources: {pods: {}}\n");
    let web = directory.write("web", "http_server_config: {http2: false}\n");
    let custom = directory.write("custom", "spec: {resources: []}\n");
    let exporter = Exporter::start(&[
        "--config",
        &options,
        "--tls-config",
        &web,
        "--custom-resource-state-config-file",
        &custom,
    ]);
    let wrong = [
        ("options", "port: [s3cr3tM4rker]\n"),
        ("options", "port: 's3cr3tM4rker\n"),
        ("custom", "spec: 's3cr3tM4rker\n"),
        ("web", "basic_auth_users: {ann: [s3cr3tM4rker]}\n"),
        ("web", "tls_server_config: {key: 's3cr3tM4rker}\n"),
    ];
    for (failures, (name, text)) in (1..).zip(wrong) {
        directory.write(name, text);
        eventually("the change is refused", || {
            // The exporter reads the web configuration again at each request.
            let _ = exporter.get("/livez");
            let log = exporter.log();
            (log.matches(" ERROR ").count() >= failures).then_some(())
        });
        if name != "web" {
            let right = if name == "options" {
                "resources: {pods: {}}\n"
            } else {
                "spec: {resources: []}\n"
            };
            directory.write(name, right);
            let reloads = failures;
            eventually("the right file is used", || {
                (exporter.log().matches("configuration reloaded").count() >= reloads).then_some(())
            });
        }
    }
    let mut surfaces = vec![exporter.log()];
    for path in ["/", "/readyz?verbose", "/metrics"] {
        surfaces.push(exporter.get(path).text());
        surfaces.push(exporter.telemetry(path).text());
    }
    for surface in surfaces {
        assert!(!surface.contains(MARKER), "{surface}");
    }
}
