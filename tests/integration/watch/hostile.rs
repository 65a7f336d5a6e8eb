//! Tests a hostile API server, which sends endless lists and events, very slow responses, and objects of any size. Each
//! test case must cause a failure whose message names the problem. Other resources must not be affected. The tests use
//! both encodings.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::log::Log;
use super::{ENCODINGS, Running, config_map, exposed, metrics, start, synced, two_resources};
use crate::support::{ApiRequest, ApiServer, ByteStream, Fault, On, Wire, eventually, pass};
use kube_state_metrics::source::health::{FailureReason, ResourceState};
use kube_state_metrics::source::watch::WatchTimeouts;

const INVALID: ResourceState = ResourceState::Failing(FailureReason::DecodeError);
const UNREACHABLE: ResourceState = ResourceState::Failing(FailureReason::Unreachable);

pub(super) fn body(text: impl Into<Bytes>) -> ByteStream {
    let text = text.into();
    stream::once(async { Ok(text) }).boxed()
}

/// Returns a body in pieces, with a pause before each piece.
fn slowly(pause: Duration, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> ByteStream {
    let pieces = stream::iter(pieces);
    let pieces = pieces.then(move |piece| async move {
        sleep(pause).await;
        Ok::<_, io::Error>(piece)
    });
    pieces.boxed()
}

/// Returns a server that answers in protobuf if the request accepts protobuf. The server sends whole objects even if a
/// request asks for partial objects. So large objects are also large in responses.
fn server() -> ApiServer {
    super::server().with_protobuf().without_partial_objects()
}

fn page(request: &ApiRequest, names: impl IntoIterator<Item = String>, next: &str) -> Bytes {
    let items = names.into_iter().map(|name| config_map("a", &name));
    let metadata = json!({ "resourceVersion": "100", "continue": next });
    Wire::of_config_maps(request).list(&metadata, &items.collect::<Vec<_>>())
}

/// Returns the bytes of a list before its first item. Any number of items may follow.
fn list_start(request: &ApiRequest) -> Bytes {
    if request.accepts_protobuf() {
        // The length of the list message is 2^63 - 1 bytes, so the list can have any number of items.
        return Bytes::from_static(b"k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
    }
    Bytes::from_static(b"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[")
}

/// Returns an item of a list that begins with [`list_start`].
fn item(request: &ApiRequest, object: &Value) -> Bytes {
    let item = Wire::of_config_maps(request).item(object);
    if request.accepts_protobuf() {
        let length = u8::try_from(item.len()).unwrap();
        assert!(length < 128);
        return [&[0x12, length], &*item].concat().into();
    }
    [&*item, b","].concat().into()
}

/// Returns the number of the requested page: the continue token, or 0 if the request has no token.
fn number(request: &ApiRequest) -> u64 {
    request
        .get("continue")
        .map_or(0, |token| token.parse().unwrap())
}

/// Returns a server that answers each list of configmaps with a scripted body: the body that `script` returns for the
/// request.
fn scripted(script: fn(&ApiRequest) -> ByteStream) -> ApiServer {
    let server = server();
    for on in [On::List, On::NextPage] {
        server.fault(on, "configmaps", usize::MAX, Fault::Script(200, script));
    }
    server
}

/// Waits for a failure of configmaps, and checks that this failure has the same consequences as other failures.
///
/// The health and the metrics must show the failure. The watch must retry with a backoff. Other resources must still be
/// up to date. When the server responds correctly, the failure must end.
async fn fails(running: &Running, state: ResourceState, message: &str) {
    let is_failing = || {
        let health = running.health_of("configmaps");
        let error = health.last_error.unwrap_or_default();
        health.state == state && error.contains(message)
    };
    eventually(message, is_failing).await;
    let ResourceState::Failing(reason) = state else {
        panic!("{state:?}");
    };
    let reason = reason.as_str();
    let series =
        format!("kube_state_metrics_failing{{reason=\"{reason}\",resource=\"*v1.ConfigMap\"}}");
    assert_eq!(running.metric(&series), Some(1.0));
    let server = &running.server;
    server.put("namespaces", super::namespace("later"));
    let goes_on = || {
        running
            .text()
            .contains("kube_namespace_created{namespace=\"later\"")
            || running
                .text()
                .contains("kube_namespace_status_phase{namespace=\"later\"")
    };
    eventually("other resources are up to date", goes_on).await;
    server.clear_log();
    pass(Duration::from_secs(300)).await;
    let attempts = server.log("configmaps").into_iter();
    let attempts = attempts
        .filter(|asked| asked.get("continue").is_none())
        .count();
    assert!(
        (1..=40).contains(&attempts),
        "{attempts} attempts in five minutes"
    );
    server.heal();
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn tokens_that_repeat_in_any_cycle_are_a_failure() {
    for (cycle, protobuf) in [(1, true), (2, false), (3, true), (50, true), (50, false)] {
        // The script cannot capture variables. Therefore, the test sets the page size to the number of pages in the
        // cycle, and the script reads the page size from the request.
        let server = scripted(|request| {
            let cycle = request.get("limit").unwrap().parse::<u64>().unwrap();
            let next = number(request) % cycle + 1;
            let name = format!("x{}", fastrand::u64(..));
            body(page(request, [name], &next.to_string()))
        });
        let running = start(&server, metrics(), |watch| {
            let watch = watch.protobuf(protobuf).page_size(cycle);
            watch.streaming_lists(false)
        });
        fails(&running, INVALID, "the server repeats a page of the list").await;
    }
}

#[tokio::test(start_paused = true)]
async fn objects_that_repeat_in_any_cycle_are_a_failure() {
    let named: fn(&ApiRequest) -> ByteStream = |request| {
        let number = number(request);
        let name = format!("x{}", number % 50);
        body(page(request, [name], &(number + 1).to_string()))
    };
    // The page has one object without fields. In protobuf, this object has no bytes.
    let empty: fn(&ApiRequest) -> ByteStream = |request| {
        let metadata =
            json!({ "resourceVersion": "100", "continue": (number(request) + 1).to_string() });
        body(Wire::of_config_maps(request).list(&metadata, &[json!({})]))
    };
    for script in [named, empty] {
        for protobuf in ENCODINGS {
            let running = start(&scripted(script), metrics(), |watch| {
                watch.protobuf(protobuf).streaming_lists(false)
            });
            fails(&running, INVALID, "the server repeats a page of the list").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_with_new_pages_forever_is_a_failure() {
    for protobuf in ENCODINGS {
        let server = scripted(|request| {
            let number = number(request);
            let name = format!("x{number}");
            body(page(request, [name], &(number + 1).to_string()))
        });
        let running = start(&server, metrics(), |watch| {
            let watch = watch.protobuf(protobuf).streaming_lists(false);
            watch.max_list_objects(1_000)
        });
        fails(&running, INVALID, "the list has more than 1000 objects").await;
    }
}

#[tokio::test(start_paused = true)]
async fn pages_without_objects_forever_are_a_failure() {
    for protobuf in ENCODINGS {
        let server = scripted(|request| {
            let next = (number(request) + 1).to_string();
            body(page(request, [], &next))
        });
        let running = start(&server, metrics(), |watch| {
            watch.protobuf(protobuf).streaming_lists(false)
        });
        let message = "more than 1000 consecutive pages of the list are empty";
        fails(&running, INVALID, message).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_with_objects_forever_is_a_failure() {
    fn objects() -> impl Iterator<Item = Value> {
        (0..).map(|at| config_map("a", &format!("x{at}")))
    }
    let list: fn(&ApiRequest) -> ByteStream = |request| {
        let (start, request) = (list_start(request), request.clone());
        let items = objects().map(move |object| item(&request, &object));
        stream::iter(std::iter::once(start).chain(items).map(Ok)).boxed()
    };
    let events: fn(&ApiRequest) -> ByteStream = |request| {
        let wire = Wire::of_config_maps(request);
        let events = objects().map(move |object| Ok(wire.event("ADDED", &object)));
        stream::iter(events).boxed()
    };
    for protobuf in ENCODINGS {
        let server = scripted(list);
        let stream = Fault::Script(200, events);
        server.fault(On::StreamingList, "configmaps", usize::MAX, stream);
        let running = start(&server, metrics(), |watch| {
            watch.protobuf(protobuf).max_list_objects(1_000)
        });
        fails(&running, INVALID, "the list has more than 1000 objects").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_more_than_an_hour_is_a_failure_and_logged_before() {
    let (log, _guard) = Log::begin();
    let server = scripted(|request| {
        let number = number(request);
        let page = page(request, [format!("x{number}")], &(number + 1).to_string());
        slowly(Duration::from_secs(50), std::iter::once(page))
    });
    let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
    pass(Duration::from_secs(3_500)).await;
    let said = log.lines(&["WARN", "configmaps", "a paged list takes unusually long"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    let is_failing = || running.health_of("configmaps").state == INVALID;
    assert!(!is_failing());
    pass(Duration::from_secs(102)).await;
    assert!(is_failing());
    let error = running.health_of("configmaps").last_error.unwrap();
    assert!(
        error.ends_with("the list did not end within 3600s"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn lists_of_a_byte_a_second_are_a_failure() {
    const SECOND: Duration = Duration::from_secs(1);
    let drip: fn(&ApiRequest) -> ByteStream = |request| {
        let page = page(request, (0..9).map(|at| format!("x{at}")), "");
        let bytes = page.into_iter();
        slowly(SECOND, bytes.map(|byte| Bytes::copy_from_slice(&[byte])))
    };
    // Instead of items, the list has endless blanks in JSON, or endless unknown fields in protobuf.
    let blanks: fn(&ApiRequest) -> ByteStream = |request| {
        let blank: &[u8] = match request.accepts_protobuf() {
            true => b"\x78\x01",
            false => b" , ",
        };
        let start = std::iter::once(list_start(request));
        slowly(
            SECOND,
            start.chain(std::iter::repeat(Bytes::from_static(blank))),
        )
    };
    let metadata: fn(&ApiRequest) -> ByteStream = |request| {
        let start = match request.accepts_protobuf() {
            // The length of the metadata is 4 GiB.
            true => [&*list_start(request), b"\x0a\xff\xff\xff\xff\x0f"].concat(),
            false => b"{\"items\":[],\"metadata\":{\"x\":\"".to_vec(),
        };
        let rest = std::iter::repeat(Bytes::from_static(b"x"));
        slowly(SECOND, std::iter::once(start.into()).chain(rest))
    };
    for script in [drip, blanks, metadata] {
        for protobuf in ENCODINGS {
            let running = start(&scripted(script), metrics(), |watch| {
                watch.protobuf(protobuf).streaming_lists(false)
            });
            fails(&running, UNREACHABLE, "no complete object within 60s").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_byte_a_second_is_an_error_all_the_same() {
    let server = server();
    let drip = Fault::Script(403, |_| {
        let bytes = std::iter::repeat(Bytes::from_static(b" "));
        slowly(Duration::from_secs(1), bytes)
    });
    server.fault(On::Any, "configmaps", usize::MAX, drip);
    let running = start(&server, metrics(), |watch| watch);
    pass(Duration::from_secs(130)).await;
    let failing = ResourceState::Failing(FailureReason::Forbidden);
    assert_eq!(running.health_of("configmaps").state, failing);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_an_end_is_a_failure() {
    // The server sends the endless event in single bytes or in large pieces. Without a limit, the large pieces would
    // fill the memory.
    for (piece, protobuf) in [(1, false), (1, true), (100_000, false), (100_000, true)] {
        // The server sends no bookmarks during this test, because the line break of a bookmark would end the event.
        let server = server().bookmark_every(Duration::from_secs(3_600));
        let running = synced(&server, |watch| {
            watch.protobuf(protobuf).object_size_limit(1 << 20)
        })
        .await;
        server.send_raw(
            "configmaps",
            match protobuf {
                true => &b"\xff\xff\xff\xff\x0a"[..],
                false => b"{\"type\":\"ADDED\",\"object\":{\"x\":\"",
            },
        );
        let began = Instant::now();
        while running.health_of("configmaps").last_error.is_none() {
            server.send_raw("configmaps", "x".repeat(piece));
            pass(Duration::from_secs(1)).await;
            assert!(began.elapsed() < Duration::from_secs(100));
        }
        let error = running.health_of("configmaps").last_error.unwrap();
        let expected = "unreachable: no complete object within 90s";
        assert_eq!(error, expected);
        let peak = running
            .metric("kube_state_metrics_feed_buffer_peak_bytes")
            .unwrap();
        assert!(peak <= f64::from((3 << 19) + (1 << 10)), "{peak}");
        let errors = "kube_state_metrics_watch_total{resource=\"*v1.ConfigMap\",result=\"error\"}";
        assert_eq!(running.metric(errors), Some(1.0));
        server.put("configmaps", config_map("a", "new"));
        running.agrees().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_no_request_can_hold_is_not_kept() {
    let long: fn(&ApiRequest) -> ByteStream = |request| {
        let metadata = json!({ "resourceVersion": "1".repeat(100_000) });
        body(Wire::of_config_maps(request).list(&metadata, &[]))
    };
    for protobuf in ENCODINGS {
        let running = start(&scripted(long), metrics(), |watch| {
            watch.protobuf(protobuf).streaming_lists(false)
        });
        let message = "the resourceVersion of the list is longer than 1 KiB";
        fails(&running, INVALID, message).await;

        let server = server();
        let running = synced(&server, |watch| watch.protobuf(protobuf)).await;
        for kind in ["BOOKMARK", "ADDED"] {
            pass(Duration::from_secs(200)).await;
            let mut object = config_map("a", "cm0");
            object["metadata"]["resourceVersion"] = json!("1".repeat(100_000));
            server.send_event("configmaps", kind, &object);
            let is_failing = || running.health_of("configmaps").state == INVALID;
            eventually("the long version is a failure", is_failing).await;
            running.agrees().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_honest_server_with_many_objects_is_waited_for() {
    // There are 200 pages of 500 objects, and each page takes 15 s.
    let server = scripted(|request| {
        let number = number(request);
        let next = if number < 199 {
            (number + 1).to_string()
        } else {
            String::new()
        };
        let names = (0..500).map(|at| format!("x{}", number * 500 + at));
        let page = page(request, names, &next);
        let pieces: Vec<_> = page
            .chunks(page.len() / 10 + 1)
            .map(Bytes::copy_from_slice)
            .collect();
        slowly(Duration::from_millis(1_500), pieces.into_iter())
    });
    let running = start(&server, metrics(), |watch| watch.streaming_lists(false));
    let began = Instant::now();
    while running.health_of("configmaps").objects < 100_000 {
        pass(Duration::from_secs(10)).await;
        assert!(began.elapsed() < Duration::from_secs(3_100));
    }
    assert_eq!(running.health_of("configmaps").last_error, None);
}

/// Returns a configmap of about this many bytes.
fn large(name: &str, bytes: usize) -> Value {
    let mut object = config_map("a", name);
    // The field `z` is after the metadata, like the field `data` in responses of API servers.
    object["z"] = json!("y".repeat(bytes));
    object
}

#[tokio::test(start_paused = true)]
async fn an_object_above_the_size_limit_is_skipped_alone() {
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        let (log, _guard) = Log::begin();
        let server = server();
        server.put("configmaps", large("large", 2_000));
        let running = start(&server, metrics(), |watch| {
            let watch = watch.protobuf(protobuf).streaming_lists(streaming);
            watch.object_size_limit(1_000)
        });
        running.ready().await;
        let shows = |name: &str| running.config_maps().contains(&format!("a/{name}"));
        assert!(running.config_maps().len() == 12 && !shows("large"));
        assert_eq!(running.health_of("configmaps").state, super::SYNCED);
        let skipped = "kube_state_metrics_oversized_objects_total{resource=\"*v1.ConfigMap\"}";
        assert_eq!(running.metric(skipped), Some(1.0));

        // When an object becomes too large, its samples are removed. When the object becomes small again, it has
        // samples again.
        server.put("configmaps", large("cm0", 2_000));
        eventually("the large object is skipped", || !shows("cm0")).await;
        assert_eq!(running.metric(skipped), Some(2.0));

        server.put("configmaps", config_map("a", "cm0"));
        eventually("the object has samples again", || shows("cm0")).await;
        assert_eq!(running.config_maps().len(), 12);

        // A resumed watch must not receive the skipped event again.
        server.put("configmaps", large("large", 3_000));
        pass(Duration::from_secs(5)).await;
        server.cut_watches("configmaps");
        server.put("configmaps", config_map("a", "new"));
        eventually("the next event shows", || shows("new")).await;
        assert_eq!(running.metric(skipped), Some(3.0));
        assert_eq!(running.health_of("configmaps").oversized, 3);
        for object in ["a/large", "a/cm0"] {
            let words = ["WARN", "configmaps", object, "larger than the maximum size"];
            assert_eq!(log.lines(&words).len(), 1, "{object}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_above_the_size_limit_is_named_also_if_it_did_not_decode_before() {
    let (log, _guard) = Log::begin();
    let server = server();
    let mut odd = config_map("a", "odd");
    odd["metadata"]["creationTimestamp"] = json!("x");
    server.put("configmaps", odd);
    let running = start(&server, metrics(), |watch| {
        watch.protobuf(false).object_size_limit(1_000)
    });
    running.ready().await;
    server.put("configmaps", large("odd", 2_000));
    for words in [
        ["WARN", "a/odd", "does not decode"],
        ["WARN", "a/odd", "larger than the maximum size"],
    ] {
        eventually("the object is named", || log.lines(&words).len() == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_size_limit_is_the_same_in_lists_and_watches() {
    let server = server();
    server.put("configmaps", large("large", 2_000));
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        let wire = Wire::config_maps(protobuf);
        let objects = server.objects("configmaps").into_iter();
        let sizes = objects.map(|object| match streaming {
            true => wire.object(&object).len(),
            false => wire.item(&object).len(),
        });
        let size = sizes.max().unwrap();
        for (limit, shown) in [(size, 13), (size - 1, 12)] {
            let running = start(&server, metrics(), |watch| {
                let watch = watch.protobuf(protobuf).streaming_lists(streaming);
                watch.object_size_limit(limit)
            });
            running.ready().await;
            assert_eq!(running.config_maps().len(), shown, "limit of {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bookmarks_and_errors_are_read_with_any_size_limit() {
    for protobuf in ENCODINGS {
        let server = server();
        let running = start(&server, metrics(), |watch| {
            watch.protobuf(protobuf).object_size_limit(1)
        });
        running.ready().await;
        let health = running.health_of("configmaps");
        assert_eq!((health.oversized, health.last_error), (12, None));
        let lists = server.log("configmaps").into_iter();
        assert_eq!(lists.filter(|asked| !asked.is_watch()).count(), 0);

        let error = Fault::ErrorEvent(500, "InternalError");
        server.fault(On::Watch, "configmaps", 1, error);
        server.cut_watches("configmaps");
        let errors = "kube_state_metrics_events_total{event=\"error\",resource=\"*v1.ConfigMap\"}";
        let is_read = || running.metric(errors) == Some(1.0);
        eventually("the error is read", is_read).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_chunk_of_small_objects_needs_little_memory() {
    let script: fn(&ApiRequest) -> ByteStream = |request| {
        if !request.is_stream() {
            return body(page(request, (0..10_000).map(|at| format!("x{at}")), ""));
        }
        let wire = Wire::of_config_maps(request);
        let objects = (0..10_000).map(|at| config_map("a", &format!("x{at}")));
        let events = objects.map(|object| wire.event("ADDED", &object));
        let end = wire.event("BOOKMARK", &wire.bookmark(100, true));
        let events = events.chain([end]);
        body(events.collect::<Vec<_>>().concat())
    };
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = scripted(script);
        let stream = Fault::Script(200, script);
        server.fault(On::StreamingList, "configmaps", usize::MAX, stream);
        let running = start(&server, metrics(), |watch| {
            watch.protobuf(protobuf).streaming_lists(streaming)
        });
        running.ready().await;
        // The list comes from a script. After the list, the watch receives the stored objects of the simulated server
        // as events.
        let listed = running.config_maps().into_iter();
        assert_eq!(
            listed.filter(|name| name.starts_with("a/x")).count(),
            10_000
        );
        let peak = running.metric("kube_state_metrics_feed_buffer_peak_bytes");
        assert_eq!(peak, Some(0.0), "no buffer is larger than 64 KiB");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_other_feeds_does_not_count_as_time_of_a_list() {
    // For 9 s, the lists of `a` and `b` together use all memory that the limit permits. The list of `c` must wait, and
    // then takes 56 s. The lists do not begin at the same time, because the growing buffers of `a` and `b` together
    // would exceed the limit.
    let script: fn(&ApiRequest) -> ByteStream = |request| {
        let namespace = request.namespace.clone().unwrap();
        let (before, bytes, after) = match &*namespace {
            "a" => (0, 100_000, 9),
            "b" => (1, 100_000, 9),
            _ => (2, 100_000, 56),
        };
        let mut object = large("large", bytes);
        object["metadata"]["namespace"] = json!(namespace);
        let wire = Wire::of_config_maps(request);
        let mut text = if request.is_stream() {
            let end = wire.event("BOOKMARK", &wire.bookmark(100, true));
            let events = [wire.event("ADDED", &object), end];
            Bytes::from(events.concat())
        } else {
            wire.list(&json!({ "resourceVersion": "100" }), &[object])
        };
        let rest = text.split_off(bytes - 1_000);
        let pieces = stream::iter([(before, text), (after, rest)]);
        let pieces = pieces.then(|(seconds, piece)| async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok::<_, io::Error>(piece)
        });
        pieces.boxed()
    };
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = scripted(script);
        let stream = Fault::Script(200, script);
        server.fault(On::StreamingList, "configmaps", usize::MAX, stream);
        let metrics = two_resources().namespaces(["a", "b", "c"]).build().unwrap();
        let running = start(&server, metrics, |watch| {
            let mut timeouts = WatchTimeouts::default();
            timeouts.list = Duration::from_secs(60);
            let watch = watch.protobuf(protobuf).streaming_lists(streaming);
            let watch = watch.timeouts(timeouts);
            let watch = watch.list_deadline(Duration::from_secs(60));
            watch
                .object_size_limit(128 << 10)
                .feed_buffer_limit(300 << 10)
        });
        pass(Duration::from_secs(64)).await;
        let large = || {
            let names = running.config_maps().into_iter();
            // The list comes from a script. After the list, the watch receives the stored objects of the simulated
            // server as events.
            let large = names.filter(|name| name.ends_with("/large"));
            large.collect::<Vec<_>>()
        };
        assert_eq!(large(), ["a/large", "b/large"]);
        let waits = running.metric("kube_state_metrics_feed_buffer_waits_total");
        assert_eq!(waits, Some(1.0));
        pass(Duration::from_secs(4)).await;
        assert_eq!(large().len(), 3);
        assert_eq!(running.health_of("configmaps").last_error, None);
    }
}

#[tokio::test(start_paused = true)]
async fn many_feeds_with_large_objects_share_a_budget_and_lose_nothing() {
    const MIB: usize = 1 << 20;
    let server = server();
    let namespaces: Vec<_> = (0..40).map(|at| format!("n{at}")).collect();
    for namespace in &namespaces {
        let mut object = large("large", MIB);
        object["metadata"]["namespace"] = json!(namespace);
        server.put("configmaps", object);
        server.put("configmaps", config_map(namespace, "small"));
    }
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        for on in [On::List, On::StreamingList] {
            server.fault(on, "configmaps", 40, Fault::Slow(1_000_000));
        }
        let metrics = two_resources().namespaces(&namespaces).build().unwrap();
        let running = start(&server, metrics, |watch| {
            let watch = watch.object_size_limit(2 * MIB).feed_buffer_limit(8 * MIB);
            let watch = watch.protobuf(protobuf).streaming_lists(streaming);
            watch.list_deadline(Duration::ZERO)
        });
        running.ready().await;
        assert_eq!(exposed(&running.text()).len(), 80, "nothing is lost");
        let figure = |name: &str| {
            running
                .metric(&format!("kube_state_metrics_feed_buffer_{name}"))
                .unwrap()
        };
        let peak = figure("peak_bytes");
        assert!((4.0..=8.0).contains(&(peak / 1_048_576.0)), "{peak}");
        assert!(figure("waits_total") > 0.0);
        assert_eq!(figure("bytes"), 0.0);
        let errors = running.health_of("configmaps").last_error;
        assert_eq!(errors, None);
        server.heal();
    }
}

#[tokio::test(start_paused = true)]
async fn objects_that_never_end_do_not_stop_other_feeds() {
    // The server never sends the end of the objects in 40 namespaces. The lists of these namespaces use all memory that
    // the limit permits. The object in the namespace `good` is complete, and needs memory too.
    let script: fn(&ApiRequest) -> ByteStream = |request| {
        let namespace = request.namespace.clone().unwrap();
        let mut object = large("large", 300_000);
        object["metadata"]["namespace"] = json!(namespace);
        let wire = Wire::of_config_maps(request);
        let text = if request.is_stream() {
            let end = wire.event("BOOKMARK", &wire.bookmark(100, true));
            Bytes::from([wire.event("ADDED", &object), end].concat())
        } else {
            wire.list(&json!({ "resourceVersion": "100" }), &[object])
        };
        if namespace == "good" {
            let after = sleep(Duration::from_secs(2));
            return stream::once(after.map(|()| Ok(text))).boxed();
        }
        let pieces: Vec<_> = text[..250_000]
            .chunks(10_000)
            .map(Bytes::copy_from_slice)
            .collect();
        slowly(Duration::from_millis(1), pieces.into_iter())
            .chain(stream::pending())
            .boxed()
    };
    for (streaming, protobuf) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = scripted(script);
        let stream = Fault::Script(200, script);
        server.fault(On::StreamingList, "configmaps", usize::MAX, stream);
        let hostile = (0..40).map(|at| format!("n{at}"));
        let namespaces = hostile.chain([String::from("good")]);
        let metrics = two_resources().namespaces(namespaces).build().unwrap();
        let running = start(&server, metrics, |watch| {
            let watch = watch.protobuf(protobuf).streaming_lists(streaming);
            watch.object_size_limit(2 << 20).feed_buffer_limit(8 << 20)
        });
        pass(Duration::from_secs(35)).await;
        assert_eq!(running.config_maps(), ["good/large"]);
        let error = running.health_of("configmaps").last_error.unwrap();
        assert!(
            error.contains("buffers of all resources were full"),
            "{error}"
        );
    }
}

/// A table with a row for a configmap. The row has no kind, so it looks like an object without a name.
const TABLE: &str = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"100"},
    "columnDefinitions":[{"name":"Name"}],"rows":[{"cells":["cm0"],"object":{"metadata":{"name":"cm0","namespace":"a"}}}]}"#;

#[tokio::test(start_paused = true)]
async fn a_table_that_was_not_requested_removes_no_samples() {
    let server = super::server();
    let running = synced(&server, |watch| watch.streaming_lists(false)).await;
    let before = running.text();
    server.fault(On::List, "configmaps", usize::MAX, Fault::Body(TABLE));
    server.expire_watches("configmaps");
    let is_failing = || running.health_of("configmaps").state == INVALID;
    eventually("the table is a failure", is_failing).await;
    assert_eq!(running.text(), before);
    let message = "the response is not a list of objects";
    fails(&running, INVALID, message).await;
}

#[tokio::test(start_paused = true)]
async fn events_with_tables_that_were_not_requested_remove_no_samples() {
    let server = super::server();
    let running = synced(&server, |watch| watch).await;
    let before = running.text();
    let streamed: fn(&ApiRequest) -> ByteStream = |_| {
        let event = format!(r#"{{"type":"ADDED","object":{TABLE}}}"#).replace('\n', " ");
        let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"200",
            "annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        body(format!("{event}\n{}\n", end.replace('\n', " ")))
    };
    let script = Fault::Script(200, streamed);
    server.fault(On::StreamingList, "configmaps", usize::MAX, script);
    server.fault(On::List, "configmaps", usize::MAX, Fault::Body(TABLE));
    server.expire_watches("configmaps");
    pass(Duration::from_secs(60)).await;
    assert_eq!(running.text(), before);
    server.heal();
    running.agrees().await;

    let table: Value = serde_json::from_str(TABLE).unwrap();
    server.clear_log();
    server.send_event("configmaps", "DELETED", &table);
    pass(Duration::from_secs(60)).await;
    let requests = server.log("configmaps");
    assert!(!requests.is_empty(), "the watch is resumed or listed again");
    running.agrees().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_name_is_skipped_and_logged_once() {
    let (log, _guard) = Log::begin();
    let server = super::server();
    let running = synced(&server, |watch| watch).await;
    for metadata in [
        json!({}),
        json!({ "namespace": "a" }),
        json!({ "name": "" }),
        json!({ "name": null, "namespace": "a" }),
    ] {
        for kind in ["ADDED", "MODIFIED", "DELETED"] {
            let object = json!({ "metadata": metadata });
            server.send_event("configmaps", kind, &object);
        }
    }
    server.put("configmaps", config_map("a", "new"));
    running.agrees().await;
    assert_eq!(running.health_of("configmaps").objects, 13);
    let words = ["WARN", "ConfigMap <unnamed>", "it has no metadata.name"];
    assert_eq!(log.lines(&words).len(), 1);
    let stats = running.metrics.stores()[0].stats();
    assert_eq!(stats.decode_field_errors, 12);
}
