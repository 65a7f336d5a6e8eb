//! Tests which data each port shows, and which clients may see these data.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::support::{
    CLUSTER, Directory, Exporter, connect_from, eventually, exchange, get, request,
};
use super::tokens;

const DEBUG: [&str; 4] = [
    "/debug/resources",
    "/debug/cardinality",
    "/debug/memory",
    "/debug/log-level",
];

/// Returns an exporter whose telemetry port accepts clients from other machines.
fn on_all_addresses(args: &[&str]) -> Exporter {
    let common = ["--manifests", CLUSTER, "--port=0", "--telemetry-port=0"];
    Exporter::spawn(&[&common, args].concat())
}

/// Returns the status of the response to a client whose address is not the address of the exporter.
fn status_from_afar(address: &str, method: &str, path: &str) -> u16 {
    let stream = connect_from([127, 0, 0, 2], address, None).unwrap();
    let localhost = [("x-test", "y")];
    exchange(stream, method, path, &localhost, "info").status
}

/// Returns the status of the response to a request with this `Host` header.
fn status_for_host(address: &str, host: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET /debug/memory HTTP/1.1\r\nhost: {host}\r\n{more}");
    write!(stream, "{head}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn debug_endpoints_are_for_local_and_authenticated_clients() {
    let exporter = on_all_addresses(&[]);
    let address = &exporter.telemetry;
    let port = address.rsplit(':').next().unwrap();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let host = format!("{host}:{port}");
        assert_eq!(status_for_host(address, &host, ""), "200", "{host}");
    }
    // The following requests are like requests from a web page in a browser, or like requests through a proxy.
    assert_eq!(status_for_host(address, "example.com", ""), "403");
    for field in [
        "x-forwarded-for: 10.0.0.1\r\n",
        "forwarded: for=10.0.0.1\r\n",
    ] {
        assert_eq!(status_for_host(address, "localhost", field), "403");
    }
    for path in DEBUG {
        assert_eq!(status_from_afar(address, "GET", path), 403, "{path}");
    }
    assert_eq!(status_from_afar(address, "PUT", "/debug/log-level"), 403);
    for path in ["/metrics", "/livez", "/readyz?verbose", "/"] {
        assert_eq!(status_from_afar(address, "GET", path), 200, "{path}");
    }

    // If a port listens only on a loopback address, its clients may come through a proxy. So the exporter does not
    // treat any client as local.
    let directory = Directory::new("debug");
    let config = directory.write("config.yaml", "{}\n");
    let args = ["--telemetry-host=127.0.0.1", "--config", &config];
    let exporter = on_all_addresses(&args);
    let address = &exporter.telemetry;
    assert_eq!(status_for_host(address, "localhost", ""), "403");
    let refused = exporter.telemetry("/debug/memory").text();
    let reason = "only for authenticated clients (--auth-filter, --tls-config), because of --telemetry-host=127.0.0.1: ";
    let cure = "; --telemetry-debug=open allows all clients\n";
    assert!(
        refused.contains(reason) && refused.ends_with(cure),
        "{refused}"
    );
    directory.write("config.yaml", "telemetry_debug: open\n");
    eventually("the option is used", || {
        (status_for_host(address, "localhost", "") == "200").then_some(())
    });
    assert_eq!(status_from_afar(address, "PUT", "/debug/log-level"), 200);

    // A client that sends a correct password is authenticated.
    let hash = bcrypt::hash("open", 4).unwrap();
    let web = directory.write("web.yaml", &format!("basic_auth_users:\n  ann: {hash}\n"));
    let args = ["--telemetry-host=127.0.0.1", "--tls-config", &web];
    let exporter = on_all_addresses(&args);
    // The text after `Basic` is `ann:open` in base64.
    let headers = [("authorization", "Basic YW5uOm9wZW4=")];
    for path in DEBUG {
        assert_eq!(get(&exporter.telemetry, path, &[]).status, 401, "{path}");
        assert_eq!(
            get(&exporter.telemetry, path, &headers).status,
            200,
            "{path}"
        );
    }
}

#[test]
fn a_flood_of_landing_pages_takes_little_memory() {
    let exporter = Exporter::serving(&["--manifests", CLUSTER]);
    let page = b"GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n";
    exporter.get("/");
    let before = exporter.memory();
    let clients: Vec<_> = (0..800)
        .map(|_| {
            let mut client = TcpStream::connect(&exporter.main).unwrap();
            client.write_all(page).unwrap();
            client
        })
        .collect();
    let mut most = before;
    for _ in 0..50 {
        most = most.max(exporter.memory());
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(clients);
    let grown = most.saturating_sub(before) >> 20;
    eprintln!("the memory has grown by {grown} MiB");
    assert!(grown < 60, "{grown} MiB");
}

#[test]
fn a_flood_of_reports_takes_little_memory() {
    let directory = Directory::new("reports");
    let time = "2024-01-01T00:00:00Z";
    let condition = |name| json!({ "type": name, "status": "True", "lastTransitionTime": time });
    let conditions = ["Ready", "PodScheduled", "Initialized", "ContainersReady"].map(condition);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": "a", "uid": "b", "creationTimestamp": time },
        "spec": { "nodeName": "a", "containers": [{ "name": "a", "image": "b" }] },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "qosClass": "BestEffort",
            "startTime": time,
            "conditions": conditions,
            "containerStatuses": [{
                "name": "a", "image": "b", "imageID": "c", "ready": true, "restartCount": 0,
                "state": { "running": { "startedAt": time } },
            }],
        },
    });
    let pods: String = (0..3_000)
        .map(|number| {
            let mut pod = pod.clone();
            pod["metadata"]["name"] = format!("a-pod-{number}").into();
            format!("{pod}\n")
        })
        .collect();
    directory.write("a.jsonl", &pods);
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    let families = exporter.telemetry("/debug/cardinality?top=100").text();
    let families: serde_json::Value = serde_json::from_str(&families).unwrap();
    let families: Vec<_> = (families["families"].as_array().unwrap().iter())
        .filter(|family| family["series"].as_u64() >= Some(3_000))
        .map(|family| family["name"].as_str().unwrap())
        .collect();
    assert!(families.len() >= 10, "{families:?}");
    request(&exporter.telemetry, "PUT", "/debug/log-level", &[], "debug");
    let (before, threads) = (exporter.memory(), threads(&exporter));
    let (mut most, mut most_threads) = (before, threads);
    for round in 0..300 {
        // Each client disconnects immediately after its request. The clients request reports about different families.
        let mut stream = TcpStream::connect(&exporter.telemetry).unwrap();
        let family = families[round % families.len()];
        let path = format!("/debug/cardinality?family={family}");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        most = most.max(exporter.memory());
        most_threads = most_threads.max(self::threads(&exporter));
    }
    // This client waits for the response, so the exporter makes at least one report.
    let path = format!("/debug/cardinality?family={}", families[0]);
    assert_eq!(exporter.telemetry(&path).status, 200);
    most = most.max(exporter.memory());
    let (bytes, threads) = (most - before, most_threads - threads);
    let made = exporter
        .log()
        .matches("counted the values of labels")
        .count();
    println!("{bytes} bytes and {threads} threads more, {made} of 300 reports made");
    assert!((1..=100).contains(&made), "{made} reports");
    // If the exporter made all reports at the same time, each report would need a thread.
    assert!(threads <= 8, "{threads} threads more");
    assert!(bytes < 48 << 20, "{bytes} bytes more");
}

fn threads(exporter: &Exporter) -> usize {
    let tasks = format!("/proc/{}/task", exporter.pid());
    std::fs::read_dir(tasks).unwrap().count()
}

#[test]
fn readiness_names_resources_only_to_clients_that_may_read_metrics() {
    let api = Api::start(&[]);
    let (_directory, exporter) = tokens::exporter(&api);
    for address in [&exporter.main, &exporter.telemetry] {
        assert_eq!(tokens::ask(address, "/readyz", ""), (200, "OK".to_owned()));
        for token in ["", "unknown", "stranger"] {
            let (status, text) = tokens::ask(address, "/readyz?verbose", token);
            assert_eq!(status, 200, "probes have no token");
            assert_eq!(
                text, "OK\nA bearer token that may read /metrics is needed to see more.\n",
                "{token}"
            );
        }
        let (_, text) = tokens::ask(address, "/readyz?verbose", "reader");
        assert!(text.contains("[+] pods: synced"), "{text}");
    }
}

#[test]
fn the_page_allows_its_own_script_and_style_only() {
    let exporter = Exporter::start(&[]);
    for address in [&exporter.main, &exporter.telemetry] {
        let page = get(address, "/", &[("accept", "text/html")]);
        let policy = page.header("content-security-policy").unwrap().to_owned();
        assert!(!policy.contains("unsafe-"), "{policy}");
        for directive in [
            "default-src 'none'",
            "script-src 'sha256-",
            "style-src 'sha256-",
        ] {
            assert!(policy.contains(directive), "{policy}");
        }
        let html = page.text();
        assert!(
            !html.contains(" style=") && !html.contains(" onclick"),
            "{html}"
        );
    }
    let put = request(&exporter.main, "PUT", "/debug/log-level", &[], "info");
    assert_eq!(put.status, 404, "the main port has no debug endpoints");
}
