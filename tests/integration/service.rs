//! Tests requests for `/metrics`. Some requests are the recorded HTTP cases in tests/conformance/process.

use std::collections::BTreeMap;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube_state_metrics::exposition::HostMetrics;
use kube_state_metrics::service::Body;
use kube_state_metrics::{BuiltIn, StateMetrics};
use serde::Deserialize;
use serde_json::json;

/// Cases in which this crate follows RFC 9110, but kube-state-metrics does not. Each row has the number of the case,
/// and the content type and the encoding of this crate's response.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // The client prefers protobuf, which this crate does not support. Therefore, the response has the format with the
    // next lower quality value.
    ("019", "openmetrics 1.0.0", ""),
    // A media range such as `text/*` matches all types in this range.
    ("027", "openmetrics 0.0.1", ""),
    // The value of a parameter may be a quoted string.
    ("034", "openmetrics 1.0.0", ""),
    // Media types are case-insensitive.
    ("035", "openmetrics 0.0.1", ""),
    // The response is compressed if the client accepts `*`, which includes gzip. The names of encodings are
    // case-insensitive.
    ("157", "text", "gzip"),
    ("160", "text", "gzip"),
];

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
    content_encoding: Option<String>,
    #[serde(default)]
    eof: bool,
    #[serde(default)]
    resources_shown: Vec<String>,
}

/// Returns a registry with the objects of the recorded cases: one namespace, one pod and no config map.
fn cluster() -> StateMetrics {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces, BuiltIn::ConfigMaps, BuiltIn::Pods])
        .all_fed_by_host()
        .build()
        .unwrap();
    let namespace = json!({ "metadata": { "name": "a" } });
    let namespace: Namespace = serde_json::from_value(namespace).unwrap();
    metrics.feed().unwrap().apply_object(&namespace);
    let pod =
        json!({ "metadata": { "name": "c", "namespace": "a" }, "spec": { "containers": [] } });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    metrics.feed().unwrap().apply_object(&pod);
    metrics
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn answer(
    metrics: &StateMetrics,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    metrics.respond(&request(method, path, headers))
}

fn bytes(response: Response<Body>) -> Vec<u8> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => {
                bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            Poll::Ready(None) => return bytes,
            // The body yields to other tasks, and has already woken its task. So the loop polls the body again.
            Poll::Pending => {}
        }
    }
}

/// Returns how often the body of a response yields to other tasks before the body ends.
fn yields(response: Response<Body>) -> usize {
    let mut body = response.into_body();
    let mut context = Context::from_waker(Waker::noop());
    let polls = std::iter::repeat_with(|| Pin::new(&mut body).poll_frame(&mut context));
    polls
        .take_while(|poll| !matches!(poll, Poll::Ready(None)))
        .filter(Poll::is_pending)
        .count()
}

fn text(response: Response<Body>) -> String {
    let gzip = response.headers().contains_key(CONTENT_ENCODING);
    let bytes = bytes(response);
    let mut text = String::new();
    if gzip {
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

fn media_type(short: &str) -> String {
    match short.split_once(' ') {
        Some((_, version)) => format!(
            "application/openmetrics-text; version={version}; charset=utf-8; escaping=underscores"
        ),
        None => "text/plain; version=0.0.4; charset=utf-8".to_owned(),
    }
}

#[test]
fn metrics_are_answered_as_the_cases_say() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/conformance/process/http.jsonl"
    );
    let cases = std::fs::read_to_string(path).unwrap();
    let cases = cases
        .lines()
        .map(|line| serde_json::from_str::<Case>(line).unwrap());
    let cases: Vec<_> = cases
        .filter(|case| case.server == "metrics" && case.status == 200)
        .filter(|case| case.path.split('?').next() == Some("/metrics"))
        .collect();
    assert_eq!(cases.len(), 90, "cases for /metrics");

    let metrics = cluster();
    for case in cases {
        let number = case.case.rsplit('/').next().unwrap();
        let headers: Vec<_> = case
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let response = answer(&metrics, &case.method, &case.path, &headers);
        if !matches!(case.method.as_str(), "GET" | "HEAD") {
            // The service refuses all methods except GET and HEAD.
            assert_eq!(
                response.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{number}"
            );
            assert_eq!(response.headers()["allow"], "GET, HEAD", "{number}");
            continue;
        }
        let different = DIFFERENT
            .iter()
            .find(|(different, ..)| *different == number);
        let content_type = different.map_or(case.content_type, |(_, short, _)| media_type(short));
        let encoding = different.map(|(_, _, encoding)| *encoding);
        let encoding = encoding
            .or(case.content_encoding.as_deref())
            .unwrap_or_default();

        assert_eq!(response.status(), case.status, "{number}");
        assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{number}");
        let actual = response
            .headers()
            .get(CONTENT_ENCODING)
            .map_or("", |v| v.to_str().unwrap());
        assert_eq!(actual, encoding, "{number}");
        assert_eq!(
            response.headers()[VARY],
            "accept, accept-encoding",
            "{number}"
        );

        let text = text(response);
        let open = content_type.starts_with("application/openmetrics-text");
        assert!(
            different.is_some() || open == case.eof || case.method == "HEAD",
            "{number}"
        );
        assert_eq!(
            text.ends_with("# EOF\n"),
            open && case.method == "GET",
            "{number}"
        );
        let shown = [("namespaces", "kube_namespace_"), ("pods", "kube_pod_")];
        let shown = shown.iter().filter(|(_, family)| text.contains(family));
        let shown: Vec<_> = shown.map(|(resource, _)| *resource).collect();
        assert_eq!(shown, case.resources_shown, "{number}");
    }
}

#[test]
fn namespaces_and_family_names_restrict_the_answer() {
    let metrics = cluster();
    let get = |path| text(answer(&metrics, "GET", path, &[]));
    let all = get("/?namespace=a");
    assert!(all.contains("kube_pod_info{namespace=\"a\",pod=\"c\""));
    assert!(!all.contains("kube_namespace_"));
    assert_eq!(get("/?namespace=b"), "");
    let only = get("/?name[]=kube_pod_info&name[]=none");
    let names = only
        .lines()
        .filter_map(|line| line.split_once('{'))
        .map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), ["kube_pod_info"]);
}

#[test]
fn a_gzip_answer_is_the_plain_one_compressed() {
    let metrics = cluster();
    let plain = text(answer(&metrics, "GET", "/", &[]));
    let gzip = answer(&metrics, "GET", "/", &[(ACCEPT_ENCODING.as_str(), "gzip")]);
    assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(text(gzip), plain);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let metrics = cluster();
    for encoding in ["", "gzip"] {
        let headers = [(ACCEPT_ENCODING.as_str(), encoding)];
        let get = answer(&metrics, "GET", "/", &headers);
        let head = answer(&metrics, Method::HEAD.as_str(), "/", &headers);
        assert_eq!(head.headers(), get.headers());
        assert!(head.body().is_end_stream());
        // The HEAD response must not have a `content-length` of zero, because the GET response has a body of unknown
        // length.
        assert_eq!(head.body().size_hint().exact(), None);
        assert_eq!(bytes(head), b"");
    }
}

#[test]
fn several_lines_of_a_header_count_as_one() {
    let metrics = cluster();
    let headers = [
        ("accept", "text/html"),
        ("accept", "application/openmetrics-text;version=1.0.0"),
    ];
    let response = answer(&metrics, "GET", "/", &headers);
    assert_eq!(
        response.headers()[CONTENT_TYPE],
        media_type("openmetrics 1.0.0")
    );
}

const HOST: &str =
    "# HELP acme_orders_total Orders.\n# TYPE acme_orders_total counter\nacme_orders_total 7\n";
const HOST_IN_OPENMETRICS: &str =
    "# HELP acme_orders Orders.\n# TYPE acme_orders counter\nacme_orders_total 7\n";

#[test]
fn appended_metrics_end_the_answer_in_every_format_and_encoding() {
    let metrics = cluster();
    for registry in [
        HostMetrics::text(HOST),
        HostMetrics::openmetrics(format!("{HOST_IN_OPENMETRICS}# EOF\n")),
    ] {
        let service = metrics.service().append(move |_| registry.clone());
        let answer = |method: &str, headers: &[(&str, &str)]| {
            service.respond(&request(method, "/", headers))
        };
        for (accept, end) in [
            ("text/plain", HOST.to_owned()),
            (
                "application/openmetrics-text;version=1.0.0",
                format!("{HOST_IN_OPENMETRICS}# EOF\n"),
            ),
        ] {
            let headers = [("accept", accept), ("accept-encoding", "gzip")];
            let plain = text(answer("GET", &headers[..1]));
            let state = text(self::answer(&metrics, "GET", "/", &headers[..1]));
            let state = state.strip_suffix("# EOF\n").unwrap_or(&state);
            assert_eq!(plain, format!("{state}{end}"));

            let gzip = answer("GET", &headers);
            assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
            let head = answer("HEAD", &headers);
            assert_eq!(head.headers(), gzip.headers());
            assert_eq!(bytes(head), b"");
            assert_eq!(text(gzip), plain);
        }
    }
}

#[test]
fn a_query_that_names_what_it_wants_gets_nothing_else() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = cluster().service().append(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        HostMetrics::text(HOST)
    });
    let get = |method: &str, query: &str| {
        text(service.respond(&request(method, &format!("/{query}"), &[])))
    };
    for query in ["", "?exclude_resources=pods", "?other=x"] {
        assert!(get("GET", query).ends_with(HOST), "{query}");
    }
    for query in ["?resources=pods", "?namespace=a", "?name[]=kube_pod_info"] {
        assert!(!get("GET", query).contains("acme"), "{query}");
    }
    get("HEAD", "");
    assert_eq!(
        calls.load(Ordering::Relaxed),
        3,
        "only responses with the metrics of the host request them"
    );
}

#[test]
fn a_body_yields_while_it_searches_and_compresses() {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces])
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed().unwrap();
    for number in 0..20_000 {
        let namespace = json!({ "metadata": { "name": format!("n{number}") } });
        let namespace: Namespace = serde_json::from_value(namespace).unwrap();
        writer.apply_object(&namespace);
    }
    let gzip = [("accept-encoding", "gzip")];
    for headers in [&[][..], &gzip] {
        // The filter selects no row, so the body sends no chunk before the search for rows ends.
        let searched = yields(answer(&metrics, "GET", "/metrics?namespace=none", headers));
        assert!(searched > 3, "{headers:?}: {searched}");
    }
    let compressed = yields(answer(&metrics, "GET", "/metrics", &gzip));
    assert!(compressed > 10, "{compressed}");
}

#[test]
fn objects_are_served_only_while_each_condition_is_met() {
    let (leads, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (condition, count) = (Arc::clone(&leads), Arc::clone(&asked));
    let service = cluster()
        .service()
        .objects_while(move || {
            count.fetch_add(1, Ordering::Relaxed);
            condition.load(Ordering::Relaxed) == 1
        })
        .objects_while(|| true)
        .append(|_| HostMetrics::text("# TYPE own gauge\nown 1\n"));
    let get = |path: &str, headers: &[(&str, &str)]| {
        let response = service.respond(&request("GET", path, headers));
        assert_eq!(response.status(), StatusCode::OK);
        text(response)
    };
    for headers in [&[][..], &[("accept-encoding", "gzip")]] {
        assert_eq!(get("/metrics", headers), "# TYPE own gauge\nown 1\n");
    }
    let openmetrics = get("/metrics", &[("accept", "application/openmetrics-text")]);
    assert_eq!(openmetrics, "# TYPE own gauge\nown 1\n# EOF\n");
    assert_eq!(get("/metrics?resources=pods", &[]), "");
    // A change of `leads` takes effect in the next response.
    leads.store(1, Ordering::Relaxed);
    let all = get("/metrics", &[]);
    assert!(
        all.contains("kube_pod_info{") && all.ends_with("own 1\n"),
        "{all}"
    );
    let pods = get("/metrics?resources=pods", &[]);
    assert!(
        pods.contains("kube_pod_info{") && !pods.contains("own 1"),
        "{pods}"
    );
    leads.store(0, Ordering::Relaxed);
    assert_eq!(get("/metrics", &[]), "# TYPE own gauge\nown 1\n");
    assert_eq!(asked.load(Ordering::Relaxed), 7, "once per response");
}
