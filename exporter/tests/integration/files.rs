//! Tests files that are not regular files, not text, or too large. For each of these files, the exporter must report an
//! error immediately. The error must name the file, and state how to fix the problem.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

use super::api::Api;
use super::authority::Authority;
use super::support::{
    CLUSTER, Directory, Exporter, Output, PROGRAM, config_map, eventually, eventually_or, get,
};

/// Maximum time until the exporter exits. This time is shorter than the timeout of a test, but long enough for a slow
/// machine.
const SOON: Duration = Duration::from_secs(30);

/// Runs the exporter. Fails if the exporter does not exit soon. If the arguments start the servers, the servers use
/// free ports.
pub fn run_soon(args: &[&str]) -> Output {
    let serves = args[0].starts_with('-');
    let ports = ["--host=127.0.0.1", "--port=0", "--telemetry-port=0"];
    let mut child = Command::new(PROGRAM)
        .args(args)
        .args(ports.iter().filter(|_| serves))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > SOON {
            child.kill().unwrap();
            panic!("the program hangs: {args:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut output = Output {
        status,
        stdout: String::new(),
        stderr: String::new(),
    };
    child
        .stdout
        .unwrap()
        .read_to_string(&mut output.stdout)
        .unwrap();
    child
        .stderr
        .unwrap()
        .read_to_string(&mut output.stderr)
        .unwrap();
    output
}

/// Creates a file at `path` that the exporter cannot use. Returns a text that the error must contain.
fn put(kind: &str, path: &Path) -> &'static str {
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_dir(path);
    match kind {
        "pipe" => {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
            "it is a named pipe"
        }
        "device" => {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
            "device"
        }
        "directory" => {
            std::fs::create_dir(path).unwrap();
            "it is a directory; give a regular file"
        }
        "large" => {
            // The file is sparse, so it takes no space on the disk.
            File::create(path).unwrap().set_len(100 << 20).unwrap();
            "it is larger than "
        }
        "empty" => {
            File::create(path).unwrap();
            "empty"
        }
        "utf-16" => {
            std::fs::write(path, b"\xff\xfea\0").unwrap();
            "it is UTF-16; save it as UTF-8"
        }
        _ => panic!("{kind}"),
    }
}

/// A test case: the arguments, the file that the test replaces, and the expected start of the error.
struct Case {
    args: Vec<String>,
    file: &'static str,
    start: &'static str,
}

fn cases(directory: &Directory) -> Vec<Case> {
    let authority = Authority::new("files");
    let pair = authority.issue("exporter");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut cases = Vec::new();
    let mut case = |args: &[&str], file, start| {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        cases.push(Case { args, file, start });
    };
    let manifests = ["--manifests", CLUSTER];
    case(
        &[manifests[0], manifests[1], "--config", &path("options")],
        "options",
        "cannot read the options file",
    );
    let flag = "--custom-resource-state-config-file";
    case(
        &[manifests[0], manifests[1], flag, &path("custom")],
        "custom",
        flag,
    );
    case(
        &["check", &path("checked")],
        "checked",
        "cannot read the configuration",
    );
    case(
        &[manifests[0], manifests[1], "--tls-config", &path("web")],
        "web",
        "--tls-config",
    );
    for (name, file) in [
        ("cert", "cert_file"),
        ("key", "key_file"),
        ("ca", "client_ca_file"),
    ] {
        let web = directory.write(
            &format!("web-{name}"),
            &format!(
                "tls_server_config:\n  cert_file: {}\n  key_file: {}\n  client_ca_file: {}\n  \
                 client_auth_type: RequireAndVerifyClientCert\n",
                if name == "cert" {
                    "bad-cert"
                } else {
                    "good-cert"
                },
                if name == "key" { "bad-key" } else { "good-key" },
                if name == "ca" { "bad-ca" } else { "good-cert" },
            ),
        );
        directory.write("good-cert", &pair.certificate);
        directory.write("good-key", &pair.key);
        let bad = ["bad-cert", "bad-key", "bad-ca"]
            .into_iter()
            .find(|bad| bad.ends_with(name));
        case(
            &[manifests[0], manifests[1], "--tls-config", &web],
            bad.unwrap(),
            file,
        );
    }
    case(
        &["--kubeconfig", &path("kubeconfig")],
        "kubeconfig",
        "kubeconfig ",
    );
    let api = Api::start_secure();
    let users = [
        (
            "token-file",
            json!({ "tokenFile": "token" }),
            json!({}),
            "token",
            "cannot read the token file",
        ),
        (
            "of-certificate",
            json!({ "client-certificate": "c.pem", "client-key": "good-key" }),
            json!({}),
            "c.pem",
            "client-certificate",
        ),
        (
            "of-key",
            json!({ "client-certificate": "good-cert", "client-key": "k.pem" }),
            json!({}),
            "k.pem",
            "client-key",
        ),
        (
            "of-authority",
            json!({ "token": "own" }),
            json!({ "certificate-authority": "ca.pem" }),
            "ca.pem",
            "certificate-authority",
        ),
    ];
    for (name, user, cluster, file, start) in users {
        let mut kubeconfig: serde_json::Value =
            serde_json::from_str(&api.kubeconfig_with(cluster.clone(), user)).unwrap();
        if cluster != json!({}) {
            let cluster = &mut kubeconfig["clusters"][0]["cluster"];
            cluster
                .as_object_mut()
                .unwrap()
                .remove("certificate-authority-data");
        }
        let kubeconfig = directory.write(name, &kubeconfig.to_string());
        case(&["--kubeconfig", &kubeconfig], file, start);
    }
    cases
}

#[test]
fn a_pipe_a_device_a_directory_and_100_mb_are_errors_at_once_for_every_kind_of_file() {
    let directory = Directory::new("files");
    for Case { args, file, start } in cases(&directory) {
        for kind in ["pipe", "device", "directory", "large"] {
            let path = directory.path().join(file);
            let says = put(kind, &path);
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let output = run_soon(&args);
            let error = &output.stderr;
            assert!(!output.status.success(), "{args:?} {kind}: {error}");
            for text in [says, file, start] {
                assert!(
                    error.contains(text),
                    "{args:?} {kind}: {text:?} is not in {error}"
                );
            }
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir(&path);
        }
    }
}

#[test]
fn texts_in_another_encoding_are_errors_that_say_so() {
    let directory = Directory::new("encodings");
    let cases = cases(&directory).into_iter();
    let texts = cases.filter(|case| {
        ["options", "custom", "checked", "web", "kubeconfig", "token"].contains(&case.file)
    });
    let texts: Vec<_> = texts.collect();
    assert_eq!(texts.len(), 6);
    for Case { args, file, start } in texts {
        for (content, says) in [
            (&b"\xff\xfea\0b"[..], "it is UTF-16; save it as UTF-8"),
            (b"\xfe\xff\0a\0b", "it is UTF-16; save it as UTF-8"),
            (b"a\xff", "it is not UTF-8 from byte 2 on; save it as UTF-8"),
        ] {
            std::fs::write(directory.path().join(file), content).unwrap();
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let error = run_soon(&args).stderr;
            for text in [says, file, start] {
                assert!(error.contains(text), "{args:?}: {text:?} is not in {error}");
            }
        }
    }
}

/// Returns `Some(())` if a line of the log contains all these texts.
fn has_line(log: &str, texts: &[&str]) -> Option<()> {
    let mut lines = log.lines();
    let found = lines.any(|line| texts.iter().all(|text| line.contains(text)));
    found.then_some(())
}

#[test]
fn a_certificate_or_key_in_another_encoding_is_an_error_that_names_the_file() {
    let directory = Directory::new("encodings");
    let cases = cases(&directory).into_iter();
    let pem = ["bad-cert", "bad-key", "bad-ca", "c.pem", "k.pem", "ca.pem"];
    let pem: Vec<_> = cases.filter(|case| pem.contains(&case.file)).collect();
    assert_eq!(pem.len(), 6);
    for Case { args, file, start } in pem {
        for content in [&b"\xff\xfe-\0-\0"[..], b"a\xff", b"\n", b""] {
            let is_authority = file == "ca.pem";
            if is_authority && content.is_empty() {
                // If the file of the authority is empty, the exporter trusts the authorities of the system, as other
                // clients do.
                continue;
            }
            std::fs::write(directory.path().join(file), content).unwrap();
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let output = run_soon(&args);
            assert!(!output.status.success(), "{args:?}");
            // The exporter parses the authority after the kubeconfig, so the error does not name the setting of the
            // kubeconfig.
            let start = if is_authority {
                "a PEM certificate is required"
            } else {
                start
            };
            for text in [file, start] {
                let error = &output.stderr;
                assert!(error.contains(text), "{args:?}: {text:?} is not in {error}");
            }
        }
    }
}

#[test]
fn files_that_become_unusable_leave_in_use_what_was_read() {
    let directory = Directory::new("running");
    let files = [
        ("options", "resources: {configmaps: {}}\n"),
        ("custom", "spec: {resources: []}\n"),
        (
            "web",
            "http_server_config: {headers: {X-Frame-Options: deny}}\n",
        ),
    ];
    let paths = files.map(|(name, text)| directory.write(name, text));
    let [options, custom, web] = &paths;
    let exporter = Exporter::start(&[
        "--config",
        options,
        "--custom-resource-state-config-file",
        custom,
        "--tls-config",
        web,
    ]);
    for kind in ["pipe", "directory", "large", "utf-16"] {
        for ((name, text), path) in files.iter().zip(&paths) {
            let says = put(kind, Path::new(path));
            eventually("the file is refused", || {
                // The exporter reads the web configuration again at each request.
                let answer = exporter.get("/livez");
                assert_eq!(answer.status, 200, "{name} {kind}");
                assert_eq!(answer.header("x-frame-options"), Some("deny"));
                has_line(&exporter.log(), &[" ERROR ", path, says])
            });
            assert!(exporter.metrics("").contains("kube_configmap_info"));
            let before = exporter.log().len();
            // `write` renames a file to this path. A file cannot replace a directory in this way, so the test removes
            // the directory first.
            let _ = std::fs::remove_dir(path);
            directory.write(name, text);
            eventually("the file is used again", || {
                let _ = exporter.get("/livez");
                let log = exporter.log();
                let used = ["configuration reloaded", "file is in use"];
                used.iter()
                    .any(|used| log[before..].contains(used))
                    .then_some(())
            });
        }
    }
}

#[test]
fn files_that_lose_their_content_leave_in_use_what_was_read() {
    let directory = Directory::new("blank");
    let options = directory.write("options", "resources: {configmaps: {}}\n");
    let custom = directory.write("custom", "spec: {resources: []}\n");
    let flag = "--custom-resource-state-config-file";
    let exporter = Exporter::start(&["--config", &options, flag, &custom]);
    let files = [
        (&options, "config", "{}", &["", "# none\n", "null\n"][..]),
        (
            &custom,
            "customresourceconfig",
            "spec: { resources: [] }",
            &[""][..],
        ),
    ];
    for (path, kind, cure, texts) in files {
        let series = format!(
            "kube_state_metrics_last_config_reload_successful{{filename=\"{path}\",type=\"{kind}\"}}"
        );
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        for text in texts {
            let before = exporter.log().len();
            directory.write(name, text);
            eventually(&format!("{text:?} is refused"), || {
                has_line(&exporter.log()[before..], &[" ERROR ", path])
            });
            if !text.is_empty() {
                has_line(&exporter.log()[before..], &[" ERROR ", cure]).expect(cure);
            }
            eventually("the metric is 0", || {
                (exporter.own(&series) == Some(0.0)).then_some(())
            });
            assert!(!exporter.metrics("").contains("kube_pod_info"), "{text:?}");
        }
        directory.write(name, cure);
        eventually("the file is used", || {
            (exporter.own(&series) == Some(1.0)).then_some(())
        });
        if kind == "config" {
            eventually("no options restrict the resources", || {
                exporter.metrics("").contains("kube_pod_info").then_some(())
            });
            directory.write(name, "resources: {configmaps: {}}\n");
            eventually("the options are used", || {
                (!exporter.metrics("").contains("kube_pod_info")).then_some(())
            });
        }
    }
}

#[test]
fn broken_manifests_end_render_with_an_error_after_the_metrics() {
    let directory = Directory::new("broken");
    let good = directory.write("good.yaml", &config_map("shop", "good"));
    let unknown = r#"{"apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": {"name": "w"}}"#;
    let others = directory.write("others.jsonl", &[unknown; 9].join("\n"));
    let output = run_soon(&["render", &good, &others]);
    assert!(output.status.success(), "{output:?}");
    let broken = format!("{}\nkind: [", [unknown; 9].join("\n---\n"));
    let broken = directory.write("broken.yaml", &broken);
    let missing = directory.path().join("missing.yaml");
    for path in [broken.as_str(), missing.to_str().unwrap()] {
        let output = run_soon(&["render", &good, path]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.contains("kube_configmap_info"), "{output:?}");
        assert!(output.stderr.contains(path), "{output:?}");
        let summary = "some manifests could not be read";
        assert!(output.stderr.contains(summary), "{output:?}");
    }
}

#[test]
fn credentials_that_become_unusable_leave_in_use_what_was_read() {
    let directory = Directory::new("credentials");
    let api = Api::start_secure();
    let user = json!({ "tokenFile": "token" });
    let mut kubeconfig: serde_json::Value =
        serde_json::from_str(&api.kubeconfig_with(json!({}), user)).unwrap();
    let cluster = kubeconfig["clusters"][0]["cluster"]
        .as_object_mut()
        .unwrap();
    let authority = cluster.remove("certificate-authority-data").unwrap();
    cluster.insert("certificate-authority".into(), json!("ca.pem"));
    let authority = BASE64_STANDARD.decode(authority.as_str().unwrap()).unwrap();
    let authority = String::from_utf8(authority).unwrap();
    let files = [("token", "own"), ("ca.pem", &authority)];
    for (name, text) in files {
        directory.write(name, text);
    }
    let kubeconfig = directory.write("kubeconfig", &kubeconfig.to_string());
    let exporter = Exporter::serving(&["--resources=pods", "--kubeconfig", &kubeconfig]);
    become_unusable(&directory, &exporter, &files, |name, kind| {
        match (name, kind) {
            ("ca.pem", "utf-16") => Some("no certificate found; a PEM certificate is required"),
            ("ca.pem", "empty") => Some("the certificate authority is empty now"),
            ("token", "empty") => Some("is empty; write a token to it"),
            _ => None,
        }
    });
}

#[test]
fn a_kubeconfig_and_a_certificate_that_become_unusable_leave_in_use_what_was_read() {
    let directory = Directory::new("identity");
    let api = Api::start_secure();
    let user = json!({ "client-certificate": "c.pem", "client-key": "k.pem" });
    let kubeconfig = api.kubeconfig_with(json!({}), user);
    let pair = Authority::new("identity").issue("exporter");
    let files = [
        ("kubeconfig", &*kubeconfig),
        ("c.pem", &pair.certificate),
        ("k.pem", &pair.key),
    ];
    for (name, text) in files {
        directory.write(name, text);
    }
    let path = directory.path().join("kubeconfig").display().to_string();
    let exporter = Exporter::serving(&["--resources=pods", "--kubeconfig", &path]);
    become_unusable(&directory, &exporter, &files, |name, kind| {
        match (name, kind) {
            ("kubeconfig", "empty") => {
                Some("the file has no cluster and no context; write a kubeconfig")
            }
            ("c.pem", "utf-16" | "empty") => Some("client-certificate"),
            ("k.pem", "utf-16" | "empty") => Some("client-key"),
            _ => None,
        }
    });
}

/// While an exporter uses these files, makes each file unusable in several ways.
///
/// The exporter must continue, and log the file and the problem. The log line must contain the text that `says`
/// returns. If `says` returns `None`, the line must contain the text that [`put`] returns. Then the test restores the
/// file, and the exporter must use the file again.
fn become_unusable(
    directory: &Directory,
    exporter: &Exporter,
    files: &[(&'static str, &str)],
    says: impl Fn(&str, &str) -> Option<&'static str>,
) {
    for kind in ["pipe", "directory", "large", "utf-16", "empty"] {
        for (name, text) in files {
            let path = directory.path().join(name);
            let before = exporter.log().len();
            let usual = put(kind, &path);
            let says = says(name, kind).unwrap_or(usual);
            let is_refused = || {
                assert_eq!(exporter.get("/livez").status, 200, "{name} {kind}");
                let refused = ["cannot renew the credentials", says];
                has_line(&exporter.log()[before..], &refused)
            };
            eventually_or("the file is refused", is_refused, || {
                format!("{name} {kind}: {}", &exporter.log()[before..])
            });
            let before = exporter.log().len();
            let _ = std::fs::remove_dir(&path);
            directory.write(name, text);
            eventually("the file is used again", || {
                let log = exporter.log();
                log[before..].contains("were reloaded").then_some(())
            });
        }
    }
}

#[test]
fn empty_files_are_told() {
    let directory = Directory::new("empty");
    let empty = directory.write("empty", "");
    let error = run_soon(&["--kubeconfig", &empty]).stderr;
    let says =
        format!("kubeconfig {empty}: the file has no cluster and no context; write a kubeconfig");
    assert!(error.contains(&says), "{error}");

    let api = Api::start_secure();
    let kubeconfig = api.kubeconfig_with(json!({}), json!({ "tokenFile": "empty" }));
    let error = run_soon(&["--kubeconfig", &directory.write("config", &kubeconfig)]).stderr;
    assert!(
        error.contains("empty is empty; write a token to it"),
        "{error}"
    );

    let exporter = Exporter::start(&["--tls-config", &empty, "--config", &empty]);
    exporter.tells("the file is empty, so TLS and authentication are disabled");
    exporter.tells("has no options, so only the flags apply");
    assert_eq!(exporter.get("/livez").status, 200);
}

#[test]
fn manifests_that_are_no_text_are_errors_or_skipped_with_a_warning() {
    let directory = Directory::new("manifests");
    let path = directory.path().join("a.yaml");
    put("pipe", &path);
    for args in [
        ["--manifests", path.to_str().unwrap()],
        ["render", path.to_str().unwrap()],
    ] {
        let output = run_soon(&args);
        assert!(!output.status.success(), "{args:?}");
        let error = &output.stderr;
        assert!(
            error.contains("a named pipe, a device or a socket"),
            "{args:?}: {error}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"\xff\xfea\0").unwrap();
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    exporter.tells("a.yaml: it is UTF-16; save it as UTF-8");
}

#[test]
fn a_signal_stops_a_program_that_still_reads_its_input() {
    let mut child = Command::new(PROGRAM)
        .args([
            "--manifests=-",
            "--port=0",
            "--telemetry-port=0",
            "--host=127.0.0.1",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The exporter needs some time to install its signal handler. Before that, a signal would end the exporter with a
    // failure.
    std::thread::sleep(Duration::from_millis(500));
    let sent = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let status = eventually("the program ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn both_ports_answer_while_manifests_are_loaded() {
    let (mut exporter, mut stdin) = Exporter::loading(&[]);
    for address in [&exporter.main, &exporter.telemetry] {
        for path in ["/livez", "/healthz", "/metrics", "/"] {
            assert_eq!(get(address, path, &[]).status, 200, "{path}");
        }
        for path in ["/readyz", "/readyz?verbose"] {
            let answer = get(address, path, &[]);
            assert_eq!(answer.status, 503);
            let text = answer.text();
            assert!(text.starts_with("not ready: loading manifests"), "{text}");
        }
    }
    assert_eq!(exporter.own("kube_state_metrics_ready"), Some(0.0));

    stdin.write_all(config_map("a", "b").as_bytes()).unwrap();
    drop(stdin);
    let line = exporter.next_line();
    assert!(
        line.starts_with("serving ") && line.contains(" of 1 object "),
        "{line}"
    );
    assert_eq!(exporter.get("/readyz").text(), "OK");
    assert!(exporter.metrics("").contains("kube_configmap_info"));
    exporter.signal("TERM");
    assert!(exporter.wait().success());

    // A signal ends the exporter also while it still reads manifests.
    let (mut exporter, _stdin) = Exporter::loading(&[]);
    exporter.signal("TERM");
    assert!(exporter.wait().success());
}

#[test]
fn a_manifest_that_takes_long_to_read_is_named() {
    let (exporter, _stdin) = Exporter::loading(&[]);
    eventually("/readyz names standard input", || {
        let text = exporter.get("/readyz").text();
        let named = "not ready: loading manifests; standard input has not ended for ";
        text.starts_with(named).then_some(())
    });
    exporter.tells("standard input has not ended for ");
}

#[test]
fn of_many_unreadable_manifests_the_first_are_logged_and_all_are_counted() {
    let directory = Directory::new("unreadable");
    directory.write("a.yaml", &config_map("a", "b"));
    for number in 0..60 {
        let file = directory.path().join(format!("file{number}.yaml"));
        std::fs::write(file, b"\xff").unwrap();
    }
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    exporter.becomes_ready();
    exporter.tells("the manifests have 40 more problems of the same types, which are not logged");
    let log = exporter.log();
    let lines = log.lines().filter(|line| line.contains("it is not UTF-8"));
    assert_eq!(lines.count(), 20, "{log}");
    let problems = exporter.own("kube_state_metrics_manifest_problems");
    assert_eq!(problems, Some(60.0));
}

#[test]
fn a_pipe_in_a_directory_is_skipped_and_a_flood_of_wrong_documents_is_counted() {
    let directory = Directory::new("flood");
    directory.write("a.jsonl", &"{}\n".repeat(5_000));
    directory.write("b.yaml", &config_map("a", "b"));
    let pipe = directory.path().join("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    exporter.becomes_ready();
    assert!(exporter.metrics("").contains("kube_configmap_info"));
    let problems = exporter.own("kube_state_metrics_manifest_problems");
    assert_eq!(problems, Some(5_001.0));
    exporter.tells("pipe.yaml: it is a named pipe");
    exporter.tells("a.jsonl: 4995 more documents and objects are skipped");
    let log = exporter.log();
    assert!(log.lines().count() < 20, "{log}");
}
