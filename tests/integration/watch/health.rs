//! Health and readiness: what is said of each kind, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::{SYNCED, config_map, metrics, pods, server, start, synced};
use crate::support::{Fault, On, eventually, pass};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::source::health::{
    FailureReason, FeedOrigin, ReadinessPolicy, ResourceHealth, ResourceState,
};

#[tokio::test(start_paused = true)]
async fn a_resource_goes_from_not_started_over_listing_to_synced() {
    let server = server();
    let watcher = metrics().watch(server.client()).build().unwrap();
    let health = watcher.health();
    let state = || health.resources()[0].state;
    assert_eq!(state(), ResourceState::NotStarted);
    assert!(!health.snapshot().ready);
    server.fault(On::StreamingList, "configmaps", 1, Fault::Slow(100));
    let running = crate::support::background(watcher.run());
    pass(Duration::from_secs(2)).await;
    assert_eq!(state(), ResourceState::Listing);
    assert!(!health.snapshot().ready);
    eventually("it is synced", || state() == SYNCED).await;
    assert!(health.snapshot().ready && running.is_running());
}

#[tokio::test(start_paused = true)]
async fn refusals_do_not_hold_readiness_up_but_are_named() {
    for (code, word) in [(403, "forbidden"), (404, "not found")] {
        let server = server();
        server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(code, "x"));
        let running = start(&server, metrics(), |watch| watch);
        running.ready().await;
        let readiness = running.health.readiness(ReadinessPolicy::Default);
        assert_eq!(
            readiness.to_string(),
            format!(
                "ready: 1 of 2 resources complete\n\
                 refused: configmaps ({word}): {word}: scripted\n"
            )
        );
        let strict = running.health.readiness(ReadinessPolicy::Strict);
        assert!(!strict.ready);
        assert!(strict.to_string().starts_with("not ready: 1 of 2"));
        // Retried with backoff, and right once it is granted.
        server.heal();
        let strict = running.health.ready(ReadinessPolicy::Strict).await;
        assert_eq!(strict.to_string(), "ready: 2 of 2 resources complete\n");
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_for_other_reasons_holds_readiness_up() {
    let server = server();
    server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(500, "x"));
    let running = start(&server, metrics(), |watch| watch);
    pass(Duration::from_secs(100)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert!(!readiness.ready);
    assert_eq!(
        readiness.to_string(),
        "not ready: 1 of 2 resources complete\n\
         waiting for: configmaps (server error): server error: scripted\n"
    );
    server.heal();
    running.ready().await;
}

#[tokio::test(start_paused = true)]
async fn once_ready_it_stays_ready_while_it_can_serve() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    server.set_down(true);
    pass(Duration::from_secs(1000)).await;
    let readiness = running.health.readiness(ReadinessPolicy::Default);
    assert!(readiness.ready);
    assert_eq!((readiness.failing.len(), readiness.waiting.len()), (2, 0));
    let text = readiness.to_string();
    assert!(
        text.contains("failing: configmaps (unreachable): unreachable: "),
        "{text}"
    );
    assert!(
        running.health.readiness(ReadinessPolicy::Strict).ready,
        "nothing is refused"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_host_feeds_is_not_waited_for() {
    let server = server();
    let metrics = StateMetrics::builder()
        .built_in([kube_state_metrics::BuiltIn::ConfigMaps])
        .collector(pods().fed_by_host())
        .build()
        .unwrap();
    let mut writer = metrics.feed::<k8s_openapi::api::core::v1::Pod>().unwrap();
    let running = start(&server, metrics, |watch| watch);
    running.ready().await;
    assert_eq!(server.log("pods").len(), 0);
    let pods = running.health_of("pods");
    assert_eq!(
        (pods.source, pods.state, pods.complete),
        (FeedOrigin::Host, ResourceState::NotStarted, false)
    );
    writer.begin_list();
    writer.end_list();
    assert_eq!(running.health_of("pods").state, SYNCED);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_tells_all_as_json() {
    let server = server();
    server.fault(
        On::Any,
        "namespaces",
        usize::MAX,
        Fault::Status(403, "Forbidden"),
    );
    let running = start(&server, metrics(), |watch| watch);
    running.ready().await;
    pass(Duration::from_secs(10)).await;
    let snapshot = serde_json::to_value(running.health.snapshot()).unwrap();
    assert_eq!(snapshot["ready"], json!(true));
    let [config_maps, namespaces] = &snapshot["resources"].as_array().unwrap()[..] else {
        panic!("{snapshot}");
    };
    for (field, value) in [
        ("resource", json!("configmaps")),
        ("api_version", json!("v1")),
        ("kind", json!("ConfigMap")),
        ("source", json!("watched")),
        ("state", json!("synced")),
        ("complete", json!(true)),
        ("objects", json!(12)),
        ("series", json!(36)),
        ("lists", json!(1)),
        ("decode_errors", json!(0)),
        ("last_error", json!(null)),
    ] {
        assert_eq!(config_maps[field], value, "{field}");
    }
    assert!(config_maps["memory_bytes"].as_u64().unwrap() > 100);
    let silent = config_maps["silent_seconds"].as_f64().unwrap();
    assert!((9.0..12.0).contains(&silent), "{silent}");
    assert_eq!(
        (&namespaces["state"], &namespaces["reason"]),
        (&json!("failing"), &json!("forbidden"))
    );
    assert_eq!(namespaces["last_error"], json!("forbidden: scripted"));
    assert!(namespaces["feeds"][0]["failures"].as_u64().unwrap() > 2);
}

#[test]
fn policies_have_names() {
    for policy in [ReadinessPolicy::Default, ReadinessPolicy::Strict] {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let error = "lax".parse::<ReadinessPolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`lax` is not a readiness policy; use `default` or `strict`"
    );
    assert!(
        FailureReason::ALL
            .iter()
            .all(|reason| !reason.as_str().contains(' '))
    );
}

/// Collects the messages of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// A log that takes what is said while the guard lives.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines that have all of these words.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found = log
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        found.map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_logged_once_per_change() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.fault(
        On::Any,
        "configmaps",
        usize::MAX,
        Fault::Status(403, "Forbidden"),
    );
    server.cut_watches("configmaps");
    pass(Duration::from_secs(1000)).await;
    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    for word in ["synced again", "forbidden", "WARN"] {
        let lines = log.lines(&["configmaps", word]);
        assert_eq!(lines.len(), 1, "{word}: {lines:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_logged_once_for_all_resources() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.set_down(true);
    pass(Duration::from_secs(300)).await;
    let failing = |resources: Vec<ResourceHealth>| {
        let state = ResourceState::Failing(FailureReason::Unreachable);
        resources.iter().filter(|own| own.state == state).count()
    };
    assert_eq!(failing(running.health.resources()), 2);
    server.set_down(false);
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(failing(running.health.resources()), 0);
    let said = log.lines(&[]);
    let [warning, end] = &said[..] else {
        panic!("{said:#?}");
    };
    let warned = "the API server does not answer";
    assert!(
        warning.contains("WARN") && warning.contains(warned),
        "{warning}"
    );
    let seconds = end.split_once("INFO").and_then(|(_, said)| {
        let (_, seconds) = said.split_once("the API server answers again seconds=")?;
        seconds.parse::<u64>().ok()
    });
    assert!(
        seconds.is_some_and(|own| (295..310).contains(&own)),
        "{end}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_fails_alone_is_told_of_alone_also_beside_an_outage() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    // As an aggregated API whose service is away, by way of a gateway that answers this or that.
    for code in [503, 500, 502] {
        server.fault(On::Any, "configmaps", 3, Fault::Status(code, "x"));
    }
    server.fault(On::Any, "configmaps", usize::MAX, Fault::Status(503, "x"));
    server.cut_watches("configmaps");
    pass(Duration::from_secs(600)).await;
    let said = log.lines(&[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(log.lines(&["WARN", "configmaps", "server_error"]), said);

    server.set_down(true);
    pass(Duration::from_secs(60)).await;
    server.set_down(false);
    pass(Duration::from_secs(60)).await;
    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    pass(Duration::from_secs(60)).await;
    let said = log.lines(&[]);
    let words = [
        "cannot list or watch the resource",
        "the API server does not answer",
        "the API server answers again",
        "synced again resource=\"configmaps\"",
    ];
    assert_eq!(said.len(), words.len(), "{said:#?}");
    for (line, words) in said.iter().zip(words) {
        assert!(line.contains(words), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_detached_watch_that_does_not_start_logs_why() {
    let (log, _guard) = Log::begin();
    let watch = metrics().watch(server().client());
    let watch = watch.label_selector("pods", "team=shop");
    let result = tokio::spawn(watch.run()).await.unwrap();
    let error = result.unwrap_err();
    let cause = "the label selector is for `pods`, which is not registered; there are configmaps, namespaces";
    assert_eq!(
        (error.to_string(), format!("{error:?}")),
        (cause.into(), cause.into())
    );
    assert_eq!(format!("{:?}", error.problems()[0]), cause);
    assert_eq!(
        log.lines(&["ERROR", "the watch does not start", cause])
            .len(),
        1
    );
}
