//! Files that are not regular text files of a reasonable size: for each of them, the program reports an error at once,
//! with the file and how to fix the problem.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::authority::Authority;
use super::support::{CLUSTER, Directory, Exporter, Output, PROGRAM, eventually};

/// The maximum time of a run: less than the timeout of a test, and more than a slow machine needs.
const SOON: Duration = Duration::from_secs(30);

/// Runs the program, and fails unless it exits soon. If it serves, it uses free ports.
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
            panic!("it hangs: {args:?}");
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

/// Creates an unusable file at `path`; returns the expected part of the error.
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
        _ => panic!("{kind}"),
    }
}

/// The arguments, the file to replace, and the expected start of the error.
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

#[test]
fn empty_files_are_told() {
    let directory = Directory::new("empty");
    let empty = directory.write("empty", "");
    let error = run_soon(&["--kubeconfig", &empty]).stderr;
    let says = format!("kubeconfig {empty}: it is empty; give a kubeconfig");
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
    // If the signal arrives before the program has installed its handler, the signal also ends the program.
    std::thread::sleep(Duration::from_millis(500));
    let sent = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let status = eventually("the program ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}
