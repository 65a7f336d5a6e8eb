//! Tests the log: the messages, how often each message is logged, and how many resources a message names.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::{config_map, metrics, server, start, synced};
use crate::support::{Fault, On, eventually, pass};
use kube_state_metrics::source::health::{FailureReason, ResourceHealth, ResourceState};
use kube_state_metrics::{BuiltIn, StateMetrics};

/// A second `tracing` subscriber, which exists until the process ends.
///
/// `tracing` stores for each message whether a subscriber enables the message. If only one subscriber exists, the first
/// thread that writes the message decides for all threads: if this thread belongs to a test without a subscriber, the
/// message stays disabled. With this second subscriber, `tracing` asks all subscribers, so the message stays enabled.
static SECOND_SUBSCRIBER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// Collects the messages of a log.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

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
    /// Returns a log that records while the guard exists.
    pub(super) fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        LazyLock::force(&SECOND_SUBSCRIBER);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Returns the lines that contain all of these words.
    pub(super) fn lines(&self, words: &[&str]) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found = log
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)));
        found.map(str::to_owned).collect()
    }
}

#[test]
fn a_log_has_messages_that_a_thread_without_a_log_writes_first() {
    let write = || tracing::warn!("written by two threads");
    let (log, _guard) = Log::begin();
    std::thread::spawn(write).join().unwrap();
    assert_eq!(log.lines(&["written by two threads"]).len(), 0);
    write();
    assert_eq!(log.lines(&["written by two threads"]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_is_logged_once_per_change() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.forbid("configmaps");
    server.cut_watches("configmaps");
    pass(Duration::from_secs(1000)).await;
    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    pass(Duration::from_secs(5)).await;
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
    // If the service of an aggregated API is down, requests to this API fail with these codes.
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
    let cause = "the label selector is for `pods`, which is not registered; available: configmaps, namespaces";
    assert_eq!(
        (error.to_string(), format!("{error:?}")),
        (cause.into(), cause.into())
    );
    assert_eq!(format!("{:?}", error.problems()[0]), cause);
    assert_eq!(
        log.lines(&["ERROR", "the watch does not start; ", cause])
            .len(),
        1
    );
}

/// Returns a registry with the four resources of the server.
fn four_resources() -> StateMetrics {
    let builder = StateMetrics::builder().built_in([
        BuiltIn::ConfigMaps,
        BuiltIn::Namespaces,
        BuiltIn::Pods,
        BuiltIn::StatefulSets,
    ]);
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_mass_of_transient_refusals_is_one_message() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = start(&server, four_resources(), |watch| watch);
    running.ready().await;
    pass(Duration::from_secs(5)).await;
    server.set_down(true);
    pass(Duration::from_secs(60)).await;
    // A server that has just started refuses all requests, because it has not loaded the permissions yet.
    server.forbid("");
    server.set_down(false);
    pass(Duration::from_secs(5)).await;
    server.heal();
    pass(Duration::from_secs(60)).await;
    let said = log.lines(&[]);
    let words = [
        "the API server does not answer",
        "the API server answers again",
        "cannot list or watch several resources",
        "synced again",
    ];
    assert_eq!(said.len(), words.len(), "{said:#?}");
    for (line, words) in said.iter().zip(words) {
        assert!(line.contains(words), "{line}");
    }
    let forbidden = &log.lines(&["WARN", "count=4", "forbidden", "error=scripted"])[0];
    for resource in ["configmaps", "namespaces", "pods", "statefulsets.apps"] {
        assert!(forbidden.contains(resource), "{forbidden}");
    }
    assert_eq!(log.lines(&["INFO", "synced again", "count=4"]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_that_come_one_after_the_other_share_their_messages() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = start(&server, four_resources(), |watch| watch);
    running.ready().await;
    pass(Duration::from_secs(5)).await;
    server.forbid("");
    // The watches end at different times, so they detect the refusals at different times.
    for resource in ["configmaps", "namespaces", "pods", "statefulsets"] {
        server.cut_watches(resource);
        pass(Duration::from_secs(10)).await;
    }
    pass(Duration::from_secs(600)).await;
    let warnings = log.lines(&["WARN"]);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("resource=\"configmaps\""));
    assert!(warnings[1].contains("count=3"));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_one_message() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = start(&server, four_resources(), |watch| watch);
    running.ready().await;
    pass(Duration::from_secs(5)).await;
    server.fault(On::Any, "", usize::MAX, Fault::Status(401, "Unauthorized"));
    // The open watches continue to work. When such a watch ends, the server refuses the credentials of the next
    // request.
    pass(Duration::from_secs(1000)).await;
    let said = log.lines(&[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    let warning = "the API server does not accept the credentials";
    assert!(said[0].contains("WARN") && said[0].contains(warning));
    server.heal();
    pass(Duration::from_secs(120)).await;
    let said = log.lines(&[]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[1].contains("the API server accepts the credentials again"));
    assert!(running.task.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_watch_at_once_is_asked_ever_less_often_and_named_once() {
    let (log, _guard) = Log::begin();
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.clear_log();
    server.fault(On::Watch, "configmaps", usize::MAX, Fault::Body(""));
    server.end_watches("configmaps");
    pass(Duration::from_secs(600)).await;
    let (lists, _, watches) = server.counts("configmaps");
    // Each backoff is twice as long as the previous backoff, from 0.8 s to 30 s. Each backoff is then multiplied by a
    // random factor from 1 to 2.
    assert_eq!(lists, 0);
    assert!((14..=26).contains(&watches), "{watches}");
    let said = log.lines(&[]);
    assert_eq!(said.len(), 1, "{said:#?}");
    let words = [
        "WARN",
        "configmaps",
        "the server ended the watch immediately",
    ];
    assert_eq!(log.lines(&words), said);
    let failing = ResourceState::Failing(FailureReason::Unreachable);
    assert_eq!(running.health_of("configmaps").state, failing);

    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    pass(Duration::from_secs(10)).await;
    let said = log.lines(&["configmaps"]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[1].contains("INFO") && said[1].contains("synced again"));
}

#[tokio::test(start_paused = true)]
async fn only_a_watch_that_lives_for_its_wait_resets_it() {
    let server = server();
    let running = synced(&server, |watch| watch).await;
    pass(Duration::from_secs(5)).await;
    server.clear_log();
    server.fault(On::Watch, "configmaps", 5, Fault::Body(""));
    server.end_watches("configmaps");
    eventually("the sixth watch is open", || {
        server.counts("configmaps").2 == 6
    })
    .await;
    // The last backoff was at least 12.8 s. Watches of five seconds are shorter than this backoff, so they do not reset
    // the backoff.
    for _ in 0..60 {
        pass(Duration::from_secs(5)).await;
        server.end_watches("configmaps");
    }
    let (.., watches) = server.counts("configmaps");
    assert!((10..=20).contains(&watches), "{watches}");
    // A watch that is longer than the last backoff resets the backoff.
    running.agrees().await;
    pass(Duration::from_secs(100)).await;
    server.clear_log();
    server.end_watches("configmaps");
    pass(Duration::from_secs(1)).await;
    assert_eq!(server.counts("configmaps"), (0, 0, 1));
}
