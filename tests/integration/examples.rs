//! Runs the examples of the repository. Examples that watch a cluster use a simulated API server in this process.

#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/custom_family.rs"]
mod custom_family;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/embed_axum.rs"]
mod embed_axum;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/embed_hyper.rs"]
mod embed_hyper;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/multi_cluster.rs"]
mod multi_cluster;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/offline_report.rs"]
mod offline_report;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/operator.rs"]
mod operator;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/prometheus_client_registry.rs"]
mod prometheus_client_registry;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/prometheus_registry.rs"]
mod prometheus_registry;
#[allow(dead_code, reason = "only `cargo run` calls `main`")]
#[path = "../../examples/unit_test_families.rs"]
mod unit_test_families;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube_state_metrics::StateMetrics;
use kube_state_metrics::source::health::{FeedOrigin, ReadinessPolicy};
use kube_state_metrics::testing::assert_valid;
use prometheus::{IntCounter, Registry};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::support::{ApiServer, background, eventually, tools};

fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop",
            "labels": { "app.kubernetes.io/name": "cart", "team": "a" }
        },
        "spec": { "containers": [{ "name": "app", "image": "cart:7" }] },
        "status": { "phase": "Running" }
    })
}

/// Returns a server with pods, deployments and websites.
fn server() -> ApiServer {
    let server = ApiServer::new();
    server.serve("/apis/apps/v1", "apps/v1", "deployments", "Deployment");
    server.serve("/apis/acme.dev/v1", "acme.dev/v1", "websites", "Website");
    server.put("pods", pod("cart-1"));
    server
}

/// Returns the response of a router.
async fn get(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn embed_axum_serves_its_own_routes_and_the_metrics_of_the_cluster() {
    let server = server();
    server.put(
        "deployments",
        json!({ "metadata": { "name": "cart", "namespace": "shop" } }),
    );
    let metrics = embed_axum::metrics().unwrap();
    let watcher = metrics.watch(server.client()).build().unwrap();
    let health = watcher.health();
    let app = embed_axum::app(&metrics, watcher.health());
    let (status, body) = get(&app, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");

    let _watching = background(watcher.run());
    health.ready(ReadinessPolicy::Default).await;
    assert_eq!(get(&app, "/readyz").await.0, StatusCode::OK);
    assert_eq!(get(&app, "/").await.1, "what the service is really for\n");
    let (status, text) = get(&app, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        "kube_deployment_status_replicas{namespace=\"shop\",deployment=\"cart\"} 0\n",
        "pod=\"cart-1\",uid=\"shop-cart-1-uid\",label_app_kubernetes_io_name=\"cart\"} 1\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(
        !text.contains("tolerations") && !text.contains("label_team"),
        "{text}"
    );
    let (_, text) = get(&app, "/metrics?name[]=kube_pod_container_info").await;
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count(),
        0,
        "no status yet"
    );
}

#[tokio::test]
async fn embed_hyper_answers_over_a_connection() {
    let builder = StateMetrics::builder().default_resources();
    let metrics = builder.fed_by_host("pods").build().unwrap();
    let mut pods = metrics.feeds().remove(0);
    pods.apply_json(pod("cart-1").to_string().as_bytes())
        .unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = metrics.clone();
    let _server = background(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(embed_hyper::serve(stream, serving.clone()));
        }
    });
    let ask = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = ask("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(
        answer.contains("kube_pod_info{namespace=\"shop\",pod=\"cart-1\""),
        "{answer}"
    );
    assert!(ask("/").await.ends_with("what the server is really for\n"));
    assert!(ask("/nothing").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test(start_paused = true)]
async fn the_operator_exposes_its_kinds_from_one_watch_each() {
    let server = server();
    let metrics = operator::metrics().unwrap();
    let _controller = background(operator::controller(server.client(), &metrics).unwrap());
    let watcher = metrics.watch(server.client()).build().unwrap();
    let health = watcher.health();
    let _watching = background(watcher.run());
    health.ready(ReadinessPolicy::Default).await;

    let text = || {
        let everything = kube_state_metrics::exposition::ExpositionFilter::default();
        metrics
            .exposition(kube_state_metrics::exposition::Format::Text, everything)
            .to_string()
    };
    let shows = |line: &str| text().lines().any(|own| own == line);
    server.put(
        "websites",
        json!({
            "metadata": { "name": "cart", "namespace": "shop" },
            "spec": { "image": "cart:7", "replicas": 3 }
        }),
    );
    eventually("the deployment exists and both kinds have samples", || {
        shows("website_replicas{namespace=\"shop\",website=\"cart\"} 3")
            && shows("kube_deployment_spec_replicas{namespace=\"shop\",deployment=\"cart\"} 3")
            && shows("website_replicas_ready{namespace=\"shop\",website=\"cart\"} 0")
    })
    .await;

    let mut deployment = server.objects("deployments").remove(0);
    assert_eq!(
        deployment["metadata"]["ownerReferences"][0]["kind"],
        "Website"
    );
    deployment["status"] = json!({ "replicas": 3, "readyReplicas": 2 });
    server.put("deployments", deployment);
    eventually("the controller writes the status of its deployment", || {
        shows("website_replicas_ready{namespace=\"shop\",website=\"cart\"} 2")
            && shows(
                "kube_deployment_status_replicas_ready{namespace=\"shop\",deployment=\"cart\"} 2",
            )
    })
    .await;
    server.delete("websites", "shop", "cart");
    eventually("the website is removed", || {
        !text().contains("website_replicas{")
    })
    .await;

    // One list and one watch per kind feed both the controller and the metrics.
    assert_eq!(
        server.counts("websites"),
        (1, 0, 1),
        "{:?}",
        server.log("websites")
    );
    assert_eq!(
        server.counts("deployments"),
        (1, 0, 1),
        "{:?}",
        server.log("deployments")
    );
    assert_eq!(
        (
            server.open_watches("websites"),
            server.open_watches("deployments")
        ),
        (1, 1)
    );
    // The controller does not watch pods. The watch of the library requests pods with one streaming list.
    assert_eq!(server.counts("pods"), (0, 1, 0));
    assert!(text().contains("kube_pod_status_phase{namespace=\"shop\",pod=\"cart-1\""));
    let source = |name: &str| {
        let resources = health.resources();
        resources
            .into_iter()
            .find(|own| own.resource == name)
            .unwrap()
            .source
    };
    assert_eq!(source("websites.acme.dev"), FeedOrigin::Host);
    assert_eq!(source("deployments.apps"), FeedOrigin::Host);
    assert_eq!(source("pods"), FeedOrigin::Watched);
    assert_valid(&metrics);
}

#[tokio::test(start_paused = true)]
async fn prometheus_registry_answers_with_both_parts_and_every_family_once() {
    let server = server();
    let registry = Registry::new();
    let orders = IntCounter::new("acme_orders_total", "Orders taken.").unwrap();
    registry.register(Box::new(orders.clone())).unwrap();
    orders.inc_by(7);
    let metrics = embed_axum::metrics().unwrap();
    let watcher = metrics
        .watch(server.client())
        .registry(&registry)
        .build()
        .unwrap();
    let health = watcher.health();
    let _watching = background(watcher.run());
    health.ready(ReadinessPolicy::Default).await;

    let (status, text) = get(&prometheus_registry::app(&metrics, registry), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let starts = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(starts("acme_orders_total 7"), "{text}");
    assert!(starts("kube_pod_info{"), "{text}");
    assert!(starts("kube_state_metrics_watch_total{"), "{text}");
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    if let Some(mut promtool) = tools::promtool() {
        let output = tools::run(promtool.args(["check", "metrics"]), text.as_bytes());
        assert!(output.status.success(), "{}", tools::said(&output));
    }
}

#[tokio::test]
async fn prometheus_client_registry_answers_with_both_parts_in_both_formats() {
    let mut registry = prometheus_client::registry::Registry::default();
    let orders = prometheus_client::metrics::counter::Counter::<u64>::default();
    registry.register("acme_orders", "Orders taken", orders.clone());
    orders.inc_by(7);
    let builder = StateMetrics::builder().default_resources();
    let metrics = builder.fed_by_host("pods").build().unwrap();
    let mut pods = metrics.feeds().remove(0);
    pods.apply_json(pod("cart").to_string().as_bytes()).unwrap();

    let app = prometheus_client_registry::app(&metrics, Arc::new(registry));
    for (accept, end) in [
        (
            "text/plain",
            "# HELP acme_orders_total Orders taken.\n# TYPE acme_orders_total counter\n\
             acme_orders_total 7\n",
        ),
        (
            "application/openmetrics-text;version=1.0.0",
            "# HELP acme_orders Orders taken.\n# TYPE acme_orders counter\n\
             acme_orders_total 7\n# EOF\n",
        ),
    ] {
        let request = Request::get("/metrics").header("accept", accept);
        let answer = app.clone().oneshot(request.body(Body::empty()).unwrap());
        let body = answer.await.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(
            text.contains("\nkube_pod_info{") && text.ends_with(end),
            "{text}"
        );
        assert_eq!(text.matches("# EOF").count(), end.matches("# EOF").count());
        if let Some(mut promtool) = tools::promtool().filter(|_| accept == "text/plain") {
            let output = tools::run(promtool.args(["check", "metrics"]), text.as_bytes());
            assert!(output.status.success(), "{}", tools::said(&output));
        }
    }
}

#[test]
fn custom_family_writes_its_families_beside_the_built_in_ones() {
    let text = custom_family::report().unwrap();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            r#"acme_node_memory_bytes{node="worker-1",zone="b"} 1.7179869184e+10"#,
            r#"kube_pod_status_phase{namespace="shop",pod="cart",uid="",phase="Pending"} 0"#,
            r#"kube_pod_status_phase{namespace="shop",pod="cart",uid="",phase="Succeeded"} 0"#,
            r#"kube_pod_status_phase{namespace="shop",pod="cart",uid="",phase="Failed"} 0"#,
            r#"kube_pod_status_phase{namespace="shop",pod="cart",uid="",phase="Unknown"} 0"#,
            r#"kube_pod_status_phase{namespace="shop",pod="cart",uid="",phase="Running"} 1"#,
            r#"acme_pod_images{namespace="shop",pod="cart",registry="registry.acme.dev/"} 2"#,
            r#"acme_pod_images{namespace="shop",pod="cart",registry="docker.io/"} 0"#,
        ]
    );
    assert_valid(custom_family::pods(["a".to_owned()]));
    assert_valid(custom_family::nodes());
}

#[test]
fn unit_test_families_are_valid() {
    // The module of the example also contains tests. This binary runs these tests, too.
    assert_valid(unit_test_families::backups());
}

#[test]
fn offline_report_is_what_the_golden_file_says() {
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster");
    let mut text = Vec::new();
    let report = offline_report::report([cluster.to_owned()], &mut text).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.objects > 100);
    let text = String::from_utf8(text).unwrap();
    let golden = include_str!("../golden/cluster.prom");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut compared = 0;
    for sample in samples {
        assert!(golden.contains(sample), "{sample}");
        compared += 1;
    }
    assert!(compared > 1500, "{compared}");

    let report = offline_report::report(["no/such/file.yaml".to_owned()], std::io::sink()).unwrap();
    assert!(report.problems[0].to_string().contains("no/such/file.yaml"));
}

#[tokio::test(start_paused = true)]
async fn multi_cluster_puts_the_name_of_its_cluster_on_every_sample() {
    let (blue, green) = (server(), server());
    green.put("pods", pod("only-green"));
    let mut clusters = Vec::new();
    for (name, server) in [("blue", &blue), ("green", &green)] {
        let cluster = multi_cluster::Cluster::new(name).unwrap();
        cluster.watch(server.client()).unwrap();
        clusters.push(cluster);
    }
    let app = multi_cluster::app(&clusters);
    let pods = |cluster: &multi_cluster::Cluster| {
        let stores = cluster.metrics.stores();
        let pods = stores.iter().find(|own| own.resource().plural() == "pods");
        pods.unwrap().stats().objects
    };
    eventually("both clusters are watched", || {
        pods(&clusters[0]) == 1 && pods(&clusters[1]) == 2
    })
    .await;
    for (name, other) in [("blue", "green"), ("green", "blue")] {
        let (status, text) = get(&app, &format!("/clusters/{name}/metrics")).await;
        assert_eq!(status, StatusCode::OK);
        let mut samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .peekable();
        assert!(samples.peek().is_some());
        let own = format!("{{cluster=\"{name}\",");
        assert!(samples.all(|sample| sample.contains(&own)), "{text}");
        assert!(!text.contains(&format!("cluster=\"{other}\"")));
        assert_eq!(text.contains("only-green"), name == "green");
    }
    assert_eq!(
        get(&app, "/clusters/red/metrics").await.0,
        StatusCode::NOT_FOUND
    );
}
