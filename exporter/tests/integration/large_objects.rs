//! Tests that the exporter responds quickly while the largest possible objects change.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::api::Api;
use super::support::{Exporter, PORTS, PROGRAM};

/// The size of the largest request that etcd accepts, in bytes.
const LARGEST: usize = 1_500_000;

/// The flag with a configuration for widgets. Widgets are deeply nested objects. One family has a sample for each part
/// in a widget. The other family uses an expression to count the large parts of a widget.
const WIDGETS: &str = "--custom-resource-state-config={spec: {resources: [{
    groupVersionKind: {group: acme.dev, version: v1, kind: Widget}, labelsFromPath: {name: [metadata, name]},
    metrics: [
        {name: parts, help: Parts., each: {type: Gauge, gauge: {path: [spec, parts], valueFrom: [size],
            labelsFromPath: {'*': [attributes], part: [name]}}}},
        {name: large, help: Large parts., each: {type: Gauge, gauge: {
            expr: \"object.spec.parts.filter(part, part.size > 3).size()\"}}}]}]}}";

/// Returns objects of several kinds. Each object is almost as large as possible.
fn objects(round: usize) -> Vec<(&'static str, Value)> {
    // Returns a list of entries, each of about `bytes` bytes. The list has as many entries as fit into the largest
    // object.
    let many = |bytes: usize, part: &dyn Fn(usize) -> Value| -> Value {
        (0..LARGEST / bytes).map(part).collect()
    };
    let labels: Map<String, Value> = (0..LARGEST / 30)
        .map(|number| (format!("label-{number}"), json!(format!("v{round}"))))
        .collect();
    let metadata = |name: &str| json!({ "name": name, "namespace": "a", "uid": name, "resourceVersion": (1000 + round).to_string() });
    let mut labelled = metadata("labels");
    labelled["labels"] = Value::Object(labels);
    let statuses = many(160, &|number| {
        let name = format!("c{}", number % (LARGEST / 160 - round));
        json!({ "name": name, "image": "registry/image", "imageID": "id", "ready": true, "restartCount": round,
                "state": { "waiting": { "reason": "CrashLoopBackOff" } } })
    });
    let containers = many(
        160,
        &|number| json!({ "name": format!("c{number}"), "image": "i" }),
    );
    let conditions = many(
        60,
        &|number| json!({ "type": format!("T{number}"), "status": format!("{round}") }),
    );
    let addresses = many(
        30,
        &|number| json!({ "ip": format!("10.{round}.{number}") }),
    );
    // A widget consists of two fields of about the same size. The field `parts` is a list of many small maps. The field
    // `tree` is a long list of numbers inside 100 nested maps.
    let parts = many(
        240,
        &|number| json!({ "name": format!("p{number}"), "size": round, "attributes": { "a": "x", "b": { "c": ["d"] } } }),
    );
    let tree = (0..100).fold(
        many(16, &|number| json!(number)),
        |below, _| json!({ "below": below }),
    );
    let ports = json!(
        (0..1000)
            .map(|port| json!({ "port": port }))
            .collect::<Vec<_>>()
    );
    vec![
        ("nodes", json!({ "metadata": labelled })),
        (
            "nodes",
            json!({ "metadata": metadata("conditions"), "status": { "conditions": conditions } }),
        ),
        (
            "pods",
            json!({ "metadata": metadata("containers"), "spec": { "containers": containers },
                    "status": { "containerStatuses": statuses } }),
        ),
        (
            "widgets",
            json!({ "metadata": metadata("nested"), "spec": { "parts": parts, "tree": tree } }),
        ),
        (
            "endpoints",
            json!({ "metadata": metadata("addresses"), "subsets": [{ "addresses": addresses, "ports": ports }] }),
        ),
    ]
}

/// Sends requests for the duration `time`. Returns the 99th percentile of the response times.
fn percentile(exporter: &Exporter, path: &str, time: Duration) -> Duration {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let asked = Instant::now();
        assert_eq!(exporter.get(path).status, 200);
        times.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
#[ignore = "measures times, so it needs an idle machine; see docs/explanation/reliability.md"]
fn answers_are_quick_beside_the_largest_objects() {
    const TIME: Duration = Duration::from_secs(10);
    let names = json!({ "kind": "Widget", "plural": "widgets" });
    let versions = json!([{ "name": "v1", "served": true }]);
    let api = Api::start(&[]);
    api.put("namespaces", json!({ "metadata": { "name": "a" } }));
    let spec =
        json!({ "group": "acme.dev", "scope": "Namespaced", "names": names, "versions": versions });
    api.put(
        "customresourcedefinitions",
        json!({ "metadata": { "name": "widgets.acme.dev" }, "spec": spec }),
    );
    let mut program = Command::new(PROGRAM);
    program.env("TOKIO_WORKER_THREADS", "2").args(PORTS).args([
        "--resources=namespaces,nodes,pods,endpoints",
        "--metric-labels-allowlist=*=[*]",
        WIDGETS,
        &format!("--apiserver={}", api.url),
    ]);
    let exporter = Exporter::of_command(&mut program);
    exporter.becomes_ready();
    let small = ["/livez", "/metrics?resources=namespaces"];
    let before = small.map(|path| percentile(&exporter, path, TIME));
    let rounds: Vec<_> = (1..20).map(objects).collect();
    let feed = std::thread::spawn(move || {
        for round in rounds {
            for (plural, object) in round {
                api.put(plural, object);
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    let beside = small.map(|path| percentile(&exporter, path, TIME));
    for family in [
        "kube_node_labels",
        "kube_pod_container_info",
        "kube_customresource_large",
    ] {
        let text = exporter.metrics("");
        assert!(
            text.contains(&format!("\n{family}{{")),
            "{family} is served"
        );
    }
    for ((path, before), beside) in small.iter().zip(before).zip(beside) {
        println!("{path}: {before:?} alone, {beside:?} beside large objects");
        assert!(
            beside < before + Duration::from_millis(50),
            "{path}: {beside:?}"
        );
    }
    drop(feed);
}
