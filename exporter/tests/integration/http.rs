//! Tests the paths, methods and pages of both ports.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;

use super::support::{Directory, Exporter, eventually, eventually_or, get, request};

/// The numbers of the recorded cases (tests/conformance/process/http.jsonl) in which the response is intentionally
/// different from the response of kube-state-metrics.
const DIFFERENT: &[(&str, Different)] = &[
    // Each path allows only the methods that it needs. If a path contains `//` or `..`, the exporter does not redirect
    // the client to the normalized path.
    ("129", Different::Status(404)),
    ("130", Different::Status(404)),
    ("131", Different::Status(404)),
    ("132", Different::Status(404)),
    // In the exporter, both ports have health endpoints.
    ("112", Different::Status(200)),
    ("134", Different::Status(200)),
    // If a client does not accept HTML, the exporter sends the pages as plain text.
    ("072", Different::Type("text/plain; charset=utf-8")),
    ("109", Different::Type("text/plain; charset=utf-8")),
    ("110", Different::Type("text/plain; charset=utf-8")),
    ("169", Different::Type("text/plain; charset=utf-8")),
    // The metrics about the exporter are not available as protobuf, and the content type names another escaping.
    (
        "139",
        Different::Type("text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
    ),
    (
        "140",
        Different::Type("text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
    ),
];

#[derive(Clone, Copy)]
enum Different {
    Status(u16),
    Type(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    case: String,
    server: String,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    status: u16,
    content_type: String,
    body: Option<String>,
}

#[test]
fn paths_are_answered_as_the_cases_say() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/process/http.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    let exporter = Exporter::start(&[]);
    let mut count = 0;
    for line in cases.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let number = case.case.rsplit('/').next().unwrap();
        let is_main = case.server == "metrics";
        // Tests of the library cover the cases for `/metrics` on the main port.
        if is_main && case.path.split('?').next() == Some("/metrics") {
            continue;
        }
        count += 1;
        let address = if is_main {
            &exporter.main
        } else {
            &exporter.telemetry
        };
        let headers: Vec<_> = case
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = request(address, &case.method, &case.path, &headers, "");
        let sniffing = answer.header("x-content-type-options");
        assert_eq!(sniffing, Some("nosniff"), "{number}");
        if !matches!(case.method.as_str(), "GET" | "HEAD") {
            // The exporter refuses the method of this request.
            assert_eq!(answer.status, 405, "{number}");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{number}");
            continue;
        }
        let different = DIFFERENT.iter().find(|(different, _)| *different == number);
        let different = different.map(|(_, different)| *different);
        if let Some(Different::Status(status)) = different {
            assert_eq!(answer.status, status, "{number}");
            continue;
        }
        assert_eq!(answer.status, case.status, "{number}");
        let content_type = match different {
            Some(Different::Type(content_type)) => content_type,
            _ => &case.content_type,
        };
        assert_eq!(
            answer.header("content-type"),
            Some(content_type),
            "{number}"
        );
        if case.method == "HEAD" {
            assert!(answer.body.is_empty(), "{number}");
        } else if let Some(body) = case.body {
            assert_eq!(answer.text(), body, "{number}");
        }
    }
    assert_eq!(count, 62, "cases for other paths");
}

#[tokio::test]
async fn http2_is_spoken_without_being_asked_first() {
    let exporter = Exporter::start(&["--resources=pods"]);
    let stream = tokio::net::TcpStream::connect(&exporter.main)
        .await
        .unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let ask = |method: &'static str, path: &'static str| {
        let mut sender = sender.clone();
        async move {
            let request = ::http::Request::builder()
                .method(method)
                .uri(format!("http://localhost{path}"))
                .body(Empty::<Bytes>::new());
            let answer = sender.send_request(request.unwrap()).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
    };
    // The client sends one request, and waits for its response before it sends more. The response tells the client how
    // many concurrent requests are allowed.
    assert_eq!(ask("GET", "/livez").await, (200, "OK".to_owned()));
    let answers = (0..40).map(|_| tokio::spawn(ask("GET", "/metrics")));
    let plain = exporter.metrics("");
    for answer in answers.collect::<Vec<_>>() {
        let (status, text) = answer.await.unwrap();
        assert_eq!((status, text.as_str()), (200, plain.as_str()));
    }
    assert_eq!(ask("HEAD", "/metrics").await, (200, String::new()));
    assert_eq!(ask("GET", "/no").await.0, 404);
    assert_eq!(ask("POST", "/metrics").await.0, 405);
}

#[test]
fn the_landing_page_is_html_for_browsers_and_text_for_terminals() {
    let exporter = Exporter::start(&["--resources=pods,nodes"]);
    for address in [&exporter.main, &exporter.telemetry] {
        let browser = get(
            address,
            "/",
            &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
        );
        assert_eq!(
            browser.header("content-type"),
            Some("text/html; charset=UTF-8")
        );
        let policy = browser.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        let html = browser.text();
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
        assert!(html.contains("<code>kube_<wbr>pod_<wbr>info</code>") && !html.contains("{{"));
        let text = get(address, "/", &[("accept", "*/*")]).text();
        assert!(
            text.starts_with("kube-state-metrics 0.") && text.contains("\n  pods "),
            "{text}"
        );
        assert!(!text.contains('<'), "{text}");
        let other = match address == &exporter.main {
            true => &exporter.telemetry,
            false => &exporter.main,
        };
        assert!(text.contains("kube_pod_status_phase  "), "{text}");
        let port = other.rsplit(':').next().unwrap();
        assert!(text.contains(&format!("\n  //test:{port}/")), "{text}");
        let found = get(address, "/?q=kube_node%20Unschedul", &[]).text();
        assert!(
            found.contains("kube_node_spec_unschedulable") && !found.contains("kube_pod_status"),
            "{found}"
        );
    }
}

#[test]
fn the_landing_page_shows_who_scrapes_and_which_files_are_in_use() {
    let directory = Directory::new("in-use");
    let config = directory.write("config.yaml", "resources: {pods: {}}\n");
    let content = "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n";
    let web = directory.write("web.yaml", content);
    let exporter = Exporter::start(&[
        "--config",
        &config,
        "--tls-config",
        &web,
        "--metric-denylist=kube_pod_owner",
    ]);
    let page = || exporter.get("/").text();
    assert!(page().contains("No scrape since the start."), "{}", page());
    let prometheus = [("user-agent", "Prom<b>"), ("accept-encoding", "gzip")];
    get(&exporter.main, "/metrics", &prometheus);
    eventually_or(
        "the page has the scrape",
        || {
            let page = page();
            let line = page.lines().find(|line| line.ends_with("  Prom<b>"))?;
            let words: Vec<_> = line.split_whitespace().take(3).collect();
            (words == ["127.0.0.1", "text", "gzip"]).then_some(())
        },
        page,
    );
    assert!(page().contains("config.yaml: in use, MD5 "), "{}", page());
    // printf 'http_server_config: {headers: {X-Frame-Options: sameorigin}}\n' | md5sum | cut -c 1-12
    let line = "web.yaml: in use, MD5 42f46cf548c3…, read ";
    assert!(page().contains(line), "{}", page());
    directory.write("web.yaml", "http_server_config: {http3: true}\n");
    let line = "web.yaml: an older content is in use, MD5 42f46cf548c3…, read ";
    assert!(page().contains(line), "{}", page());
    assert!(!page().contains("sameorigin"), "{}", page());
    assert!(
        page().contains("--metric-denylist: kube_pod_owner"),
        "{}",
        page()
    );
    for address in [&exporter.main, &exporter.telemetry] {
        let html = get(address, "/", &[("accept", "text/html")]).text();
        assert!(
            html.contains("Prom&lt;b&gt;") && !html.contains("Prom<b>"),
            "{html}"
        );
    }
    let last =
        "kube_state_metrics_last_scrape_timestamp_seconds{encoding=\"gzip\",format=\"text\"}";
    assert!(exporter.own(last).is_some_and(|time| time > 1.7e9));
}

#[test]
fn markup_in_objects_does_not_become_markup() {
    let directory = Directory::new("markup");
    let name =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '<script>x</script>', namespace: a}\n";
    directory.write("a.yaml", name);
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    let html = get(&exporter.main, "/?q=%3Cb%3E", &[("accept", "text/html")]).text();
    assert!(!html.contains("<b>"), "{html}");
    let html = get(&exporter.main, "/", &[("accept", "text/html")]).text();
    assert!(html.contains("&lt;script&gt;x&lt;/script&gt;") && !html.contains("<script>x"));
}

#[test]
fn a_request_does_not_bring_control_characters_into_a_response() {
    let exporter = Exporter::start(&["--resources=pods"]);
    let agent = [("user-agent", "evil\u{202e}\u{2028}\u{9b}")];
    get(&exporter.main, "/metrics", &agent);
    let words = "%1b%5B31m%00%C2%9B%E2%80%AE%E2%80%A8";
    let cardinality = format!("/debug/cardinality?family={words}");
    for (address, path) in [
        (&exporter.main, format!("/?q={words}")),
        (&exporter.main, "/".to_owned()),
        (&exporter.telemetry, cardinality),
    ] {
        for accept in ["text/html", "*/*"] {
            let answer = get(address, &path, &[("accept", accept)]);
            assert_eq!(answer.status, 200, "{path}");
            let text = answer.text();
            let is_wrong = |own: char| {
                (own != '\n' && own.is_control()) || matches!(own, '\u{2028}' | '\u{202e}')
            };
            assert!(!text.contains(is_wrong), "{path}: {text:?}");
        }
    }
    eventually("the page shows the agent with escapes", || {
        let page = exporter.get("/").text();
        page.contains("evil\\u{202e}\\u{2028}\\u{9b}").then_some(())
    });
    let level = request(
        &exporter.telemetry,
        "PUT",
        "/debug/log-level",
        &[],
        "\u{1b}[31m",
    );
    assert_eq!(level.status, 400);
    let text = level.text();
    assert!(text.contains("`\\u{1b}[31m` is neither"), "{text:?}");
}

#[test]
fn debug_endpoints_are_on_the_telemetry_port_only() {
    let exporter = Exporter::start(&[]);
    for path in [
        "/debug/resources",
        "/debug/cardinality",
        "/debug/memory",
        "/debug/log-level",
    ] {
        assert_eq!(exporter.get(path).status, 404, "{path}");
        assert_eq!(exporter.telemetry(path).status, 200, "{path}");
    }
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_str(&exporter.telemetry(path).text()).unwrap()
    };
    let resources = json("/debug/resources");
    assert_eq!(resources["ready"], true);
    let defaults = kube_state_metrics::BuiltIn::defaults().count();
    assert_eq!(resources["resources"].as_array().unwrap().len(), defaults);
    let most = json("/debug/cardinality?top=1");
    assert_eq!(most["families"].as_array().unwrap().len(), 1);
    let lines = exporter
        .metrics("")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert_eq!(most["series"], lines);
    let phase = json("/debug/cardinality?family=kube_pod_status_phase");
    assert_eq!(phase["labels"]["phase"], 5);
    assert!(json("/debug/memory")["resident_bytes"].as_u64().unwrap() > 1 << 20);

    let put = |body: &str| request(&exporter.telemetry, "PUT", "/debug/log-level", &[], body);
    assert_eq!(
        put("kube_state_metrics=trace").text(),
        "kube_state_metrics=trace\n"
    );
    for wrong in ["a=b=c", "", "bogus!!", "kube_state_metrics", "a=", "info,"] {
        assert_eq!(put(wrong).status, 400, "{wrong}");
    }
    assert_eq!(
        exporter.telemetry("/debug/log-level").text(),
        "kube_state_metrics=trace\n"
    );
    assert_eq!(put("kube_state_metrics=debug, info\n").status, 200);
    assert_eq!(
        exporter.telemetry("/debug/log-level").text(),
        "kube_state_metrics=debug,info\n"
    );
}

#[test]
fn readiness_names_resources_on_request() {
    let exporter = Exporter::start(&["--resources=pods,nodes"]);
    assert_eq!(exporter.get("/readyz").text(), "OK");
    let verbose = exporter.get("/readyz?verbose").text();
    assert!(
        verbose.starts_with("OK\n[+] nodes: synced, 3 objects\n[+] pods: synced"),
        "{verbose}"
    );
}

#[test]
fn the_exporter_measures_itself() {
    let exporter = Exporter::start(&[]);
    exporter.metrics("");
    let count = "http_request_duration_seconds_count{handler=\"metrics\",method=\"get\"}";
    assert_eq!(exporter.own(count), Some(1.0));
    assert!(exporter.own("process_open_fds").unwrap() > 3.0);
    assert_eq!(
        exporter.own("kube_state_metrics_objects{resource=\"*v1.Node\"}"),
        Some(3.0)
    );
    let one = exporter
        .telemetry("/metrics?name[]=process_open_fds")
        .text();
    assert_eq!(one.lines().count(), 3, "{one}");
}
