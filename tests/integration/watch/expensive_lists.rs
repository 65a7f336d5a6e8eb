//! Tests lists of objects for which the evaluation of expressions takes long. The time of the evaluation must not count
//! against the timeouts of the list, because the server is not slow.

use std::time::{Duration, Instant};

use kube_state_metrics::source::health::ReadinessPolicy;
use kube_state_metrics::source::watch::WatchTimeouts;

use super::expensive::{expensive, expressions};
use super::{server, start};
use crate::support::eventually;

/// The timeout of the lists in this file.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The time in which the objects of a list are applied, approximately.
const WORK: Duration = Duration::from_secs(12);

/// Returns the number of [expensive] objects that one thread applies in the time [`WORK`].
fn number_of_objects() -> usize {
    let metrics = expressions().all_fed_by_host().build().unwrap();
    let object = expensive("calibration", PARTS).to_string();
    let began = Instant::now();
    for writer in &mut metrics.feeds() {
        if writer.resource().plural() == "configmaps" {
            writer.apply_json(object.as_bytes()).unwrap();
        }
    }
    let objects = WORK.as_secs_f64() / began.elapsed().as_secs_f64();
    objects.clamp(10.0, 500.0) as usize
}

const PARTS: usize = 100;

#[tokio::test]
async fn the_evaluation_of_expressions_does_not_count_as_time_of_the_list() {
    let objects = number_of_objects();
    for streaming in [true, false] {
        let server = server();
        for number in 0..objects {
            server.put("configmaps", expensive(&format!("e{number:03}"), PARTS));
        }
        let running = start(&server, expressions().build().unwrap(), |watch| {
            let mut timeouts = WatchTimeouts::default();
            timeouts.list = TIMEOUT;
            let watch = watch.streaming_lists(streaming).timeouts(timeouts);
            watch.list_deadline(TIMEOUT)
        });
        let began = Instant::now();
        let mut said = Vec::new();
        // There is one request for the list, and one for the watch unless the list is a stream.
        let expected = if streaming { (0, 1) } else { (1, 0) };
        eventually("the list is complete", || {
            let readiness = running.health.readiness(ReadinessPolicy::Strict);
            let text = readiness.to_string();
            if said.last() != Some(&text) {
                said.push(text);
            }
            let (lists, streams, _) = server.counts("configmaps");
            let is_repeated = lists > expected.0 || streams > expected.1;
            assert!(!is_repeated, "{lists} lists, {streams} streams: {said:#?}");
            readiness.ready
        })
        .await;
        assert!(began.elapsed() > TIMEOUT, "{:?}", began.elapsed());
        assert_eq!(running.health_of("configmaps").feeds[0].failures, 0);
        let words = "configmaps (listing): the objects are expensive to process";
        assert!(said.iter().any(|text| text.contains(words)), "{said:#?}");
    }
}

#[tokio::test]
async fn a_paged_list_ends_although_its_tokens_expire_during_the_evaluation() {
    // The objects of each page take about 2 s, and each token is valid for at most 1.5 s.
    let objects = number_of_objects().div_ceil(2);
    let page = objects.div_ceil(3);
    let server = server();
    let shown = |text: &str, number: usize| {
        let name = format!("name=\"e{number:03}\"");
        let mut lines = text.lines();
        lines.any(|line| line.starts_with("own_f7{") && line.contains(&name))
    };
    for number in 0..objects {
        server.put("configmaps", expensive(&format!("e{number:03}"), PARTS));
    }
    let running = start(&server, expressions().build().unwrap(), |watch| {
        watch.streaming_lists(false).page_size(page as u64)
    });
    let mut expired = Instant::now();
    let mut is_complete = || {
        if expired.elapsed() > Duration::from_millis(1500) {
            server.expire_tokens();
            expired = Instant::now();
        }
        running.health_of("configmaps").complete
    };
    eventually("the list is complete", &mut is_complete).await;
    // All objects have their samples when the list is complete.
    let text = running.text();
    let missing: Vec<_> = (0..objects)
        .filter(|number| !shown(&text, *number))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {objects}");
    let (lists, ..) = server.counts("configmaps");
    let pages = server.objects("configmaps").len().div_ceil(page);
    assert_eq!(lists, pages, "a list began again");
}
