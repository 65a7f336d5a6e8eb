//! Tests that `top` prints the same report for a running exporter, a saved response and manifests.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use super::authority::Authority;
use super::support::{CLUSTER, Directory, Exporter, run};

/// Runs `top`, and returns its report as JSON.
fn report(args: &[&str], stdin: &str) -> Value {
    let output = run(&[&["top", "--json", "--limit=0"], args].concat(), stdin);
    assert!(output.status.success(), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Returns the rows of a table: the name, the number of series and the number of bytes.
fn rows(report: &Value, table: &str) -> Vec<(String, u64, u64)> {
    let rows = report[table].as_array().unwrap().iter();
    let rows = rows.map(|row| {
        let number = |key: &str| row[key].as_u64().unwrap();
        (
            row["name"].as_str().unwrap().to_owned(),
            number("series"),
            number("bytes"),
        )
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

#[test]
fn all_inputs_yield_the_same_report() {
    let exporter = Exporter::start(&[]);
    let text = exporter.metrics("");
    let directory = Directory::new("top");
    let saved = directory.write("metrics.txt", &text);
    let url = format!("http://{}/", exporter.telemetry);
    let own_metrics = format!("{}/metrics", exporter.telemetry);
    let of_exporter = report(&[&url], "");
    let json = exporter.telemetry("/debug/cardinality?top=100000").text();
    for (args, stdin) in [
        (&[&*saved][..], ""),
        (&["-"], &*text),
        (&["-"], &*json),
        (&[&*exporter.telemetry], ""),
        (&[&*own_metrics], ""),
        // The main port does not serve a report about costs. So `top` reads the metrics from this port, and counts the
        // samples.
        (&[&*exporter.main], ""),
        (&[CLUSTER], ""),
    ] {
        let other = report(args, stdin);
        for key in ["series", "bytes"] {
            assert_eq!(other[key], of_exporter[key], "{args:?}");
        }
        for table in ["families", "resources", "namespaces", "labels"] {
            assert_eq!(
                rows(&other, table),
                rows(&of_exporter, table),
                "{args:?}: {table}"
            );
        }
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(of_exporter["series"], lines.clone().count());
    assert_eq!(
        of_exporter["bytes"],
        lines.map(|line| line.len() + 1).sum::<usize>()
    );
}

#[test]
fn tables_are_sorted_and_limited() {
    let output = run(&["top", CLUSTER, "--limit=2", "--by=series"], "");
    assert!(output.status.success(), "{}", output.stderr);
    let text = output.stdout;
    let row = |head: &str| {
        let mut lines = text.lines().skip_while(|line| !line.starts_with(head));
        lines.nth(1).unwrap().split_whitespace().next().unwrap()
    };
    assert_eq!(row("RESOURCE"), "pods");
    assert_eq!(row("FAMILY"), "kube_pod_status_phase");
    assert_eq!(row("NAMESPACE"), "shop");
    assert_eq!(row("LABEL"), "namespace");
    assert_eq!(text.matches(" more)\n").count(), 4, "{text}");
    let only = run(&["top", CLUSTER, "--resources=nodes", "--limit=0"], "").stdout;
    assert!(
        only.contains("\nnodes ") && !only.contains("\npods "),
        "{only}"
    );
}

#[test]
fn errors_name_the_input_and_the_cure() {
    let directory = Directory::new("top-errors");
    let broken = directory.write("broken.txt", "# TYPE a gauge\na 1\na{b=c} 2\n");
    for (args, stdin, problem) in [
        (&["http://127.0.0.1:1"][..], "", "no exporter answers"),
        (
            &["127.0.0.1:1"],
            "",
            "give the host and the telemetry port (8081)",
        ),
        (
            &["localhost"],
            "",
            "give its host and port, such as localhost:8081",
        ),
        (
            &["ftp://localhost"],
            "",
            "only http:// and https:// are supported",
        ),
        (
            &["https://localhost", "--ca-file", &*broken],
            "",
            "broken.txt: no certificate found",
        ),
        (
            &[&*broken],
            "",
            "line 3: the value of a label is not in quotes",
        ),
        (&["/no/such/file"], "", "/no/such/file: cannot be read"),
        (
            &["-"],
            "kind: Pod\n",
            "`kube-state-metrics render - | kube-state-metrics top -`",
        ),
        (&["-"], "# EOF\n", "- has no samples"),
        (&[], "", "Usage:"),
    ] {
        let output = run(&[&["top"], args].concat(), stdin);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            output.stdout.is_empty() && output.stderr.contains(problem),
            "{args:?}: {}",
            output.stderr
        );
    }
}

#[test]
fn debug_endpoints_that_are_not_for_all_clients_say_why() {
    let exporter =
        Exporter::spawn(&[&super::support::PORTS[..], &["--manifests", CLUSTER]].concat());
    let url = format!("http://{}", exporter.telemetry);
    let output = run(&["top", &url], "");
    assert!(
        output
            .stderr
            .contains("403 Forbidden: /debug/ is only for authenticated clients"),
        "{}",
        output.stderr
    );
}

#[test]
fn an_exporter_with_tls_is_read_if_its_authority_is_trusted() {
    let (authority, directory) = (Authority::new("servers"), Directory::new("top-tls"));
    let pair = authority.issue("exporter");
    directory.write("server.key", &pair.key);
    directory.write("server.crt", &pair.certificate);
    let ca = directory.write("ca.crt", &authority.pem());
    let section = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
    let web = directory.write("web.yaml", section);
    let exporter = Exporter::start(&["--tls-config", &web]);
    let url = format!("https://{}", exporter.telemetry);
    assert!(report(&[&url, "--ca-file", &ca], "")["series"].as_u64() > Some(1000));

    // The authorities of the system do not include the authority that this test creates.
    for args in [&[&*url][..], &[&*url, "--ca-file", "/no/such/file"]] {
        run(&[&["top"], args].concat(), "").fails("--ca-file");
    }
    let output = run(&["top", &exporter.telemetry], "");
    let cure = "400 Bad Request: Client sent an HTTP request to an HTTPS server; write https:// before the address";
    assert!(output.stderr.contains(cure), "{}", output.stderr);
}

#[test]
fn an_error_of_a_server_neither_shows_the_token_nor_controls_the_terminal() {
    let token = "t0ken-of-a.reader-1234";
    let directory = Directory::new("top-token");
    let file = directory.write("token", token);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
        assert!(request.contains(&format!("bearer {token}")), "{request}");
        let body = format!("\u{1b}[2J\u{9b}31m{token}, t%30ken-of-a.reader-1234\nmore");
        let head = format!(
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    let error = run(&["top", &address, "--token-file", &file], "").stderr;
    server.join().unwrap();
    let shown = "401 Unauthorized: \\u{1b}[2J\\u{9b}31m[hidden], [hidden]; check the token in --token-file\n";
    assert!(error.ends_with(shown), "{error}");
}

#[test]
fn a_refused_request_without_a_token_names_the_flag_for_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let response = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 12\r\n\r\nUnauthorized";
        stream.write_all(response.as_bytes()).unwrap();
    });
    let error = run(&["top", &address], "").stderr;
    server.join().unwrap();
    let shown =
        "401 Unauthorized: Unauthorized; if the exporter has --auth-filter, give --token-file FILE";
    assert!(error.contains(shown), "{error}");
}
