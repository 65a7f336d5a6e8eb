//! Tests of the registry: which connection the server evicts if there are too many connections or responses.

use super::*;
use crate::streams::StreamHandle;

const FLOOD: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [192, 0, 2, 2];

/// Returns a registry, and limits that allow three connections and two responses.
fn registry() -> (Registry, Limits) {
    let limits = Limits {
        max_connections: 3,
        max_responses: 2,
        ..Limits::default()
    };
    (Registry::new(Arc::new(())), limits)
}

impl Registry {
    fn add(&self, ip: [u8; 4], limits: &Limits) -> Result<Arc<ConnectionState>, Full> {
        self.try_admit(Peer::new((ip, 1).into()), limits)
    }

    fn answer(&self, connection: &Arc<ConnectionState>, limits: &Limits) -> ResponseGuard {
        let response = connection.begin_request(false);
        let _ = self.begin_response(&response, limits);
        response
    }

    fn is_open(&self, connection: &ConnectionState) -> bool {
        !connection.is_closing()
    }
}

async fn seconds(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_response_too_many_evicts_the_connection_longest_without_progress() {
    let (registry, limits) = registry();
    let [first, second, third] = [(); 3].map(|()| registry.add(OTHER, &limits).unwrap());
    let stalled = registry.answer(&first, &limits);
    seconds(1).await;
    let _reads = registry.answer(&second, &limits);
    seconds(1).await;
    stalled.record_progress();
    let _new = registry.answer(&third, &limits);
    assert_eq!(second.closed(&limits).await, CloseReason::Replaced);
    assert_eq!(registry.busy.get(), 2);
    assert_eq!(first.closed(&limits).await, CloseReason::NoProgress);
}

#[tokio::test(start_paused = true)]
async fn each_stream_of_a_connection_is_a_response() {
    let (registry, limits) = registry();
    let [first, second, third] = [(); 3].map(|()| registry.add(OTHER, &limits).unwrap());
    let streams = [(); 2].map(|()| registry.answer(&first, &limits));
    assert_eq!(registry.busy.get(), 2);
    seconds(1).await;
    // The third response evicts the first connection, which has two responses. The server never evicts the connection
    // that begins the new response.
    let _second = registry.answer(&second, &limits);
    assert!(!registry.is_open(&first) && registry.is_open(&second));
    assert_eq!(registry.busy.get(), 1);
    drop(streams);
    assert_eq!(registry.busy.get(), 1);
    let _third = registry.answer(&third, &limits);
    assert!(registry.is_open(&second) && registry.is_open(&third));
}

#[tokio::test(start_paused = true)]
async fn the_peer_with_the_most_streams_loses_a_connection() {
    let limits = Limits {
        max_responses: 4,
        ..Limits::default()
    };
    let registry = Registry::new(Arc::new(()));
    let flood = registry.add(FLOOD, &limits).unwrap();
    let others = [(); 2].map(|()| registry.add(OTHER, &limits).unwrap());
    let _streams = [(); 3].map(|()| registry.answer(&flood, &limits));
    let _others = others.each_ref().map(|own| registry.answer(own, &limits));
    assert!(!registry.is_open(&flood));
    assert!(others.iter().all(|own| registry.is_open(own)));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_response_has_not_begun_evicts_nobody() {
    let (registry, limits) = registry();
    let connections = [(); 3].map(|()| registry.add(OTHER, &limits).unwrap());
    let requests = connections.each_ref().map(|own| own.begin_request(false));
    assert_eq!(registry.busy.get(), 0);
    for request in &requests[..2] {
        registry.begin_response(request, &limits).unwrap();
    }
    assert_eq!(registry.busy.get(), 2);
    assert!(connections.iter().all(|own| registry.is_open(own)));
}

#[tokio::test(start_paused = true)]
async fn the_peer_with_the_most_responses_loses_one() {
    let (registry, mut limits) = registry();
    limits.max_connections = 100;
    limits.max_responses = 4;
    let answer = |ip| {
        let connection = registry.add(ip, &limits).unwrap();
        let response = registry.answer(&connection, &limits);
        (connection, response)
    };
    // One peer may have all connections.
    let flood: Vec<_> = (0..4).map(|_| answer(FLOOD)).collect();
    assert!(flood.iter().all(|(own, _)| registry.is_open(own)));
    let (other, _response) = answer(OTHER);
    assert!(!registry.is_open(&flood[0].0));
    // The connection of the other peer has been inactive for the longest time. The server still does not evict this
    // connection, because its peer has only one response.
    seconds(1).await;
    let more: Vec<_> = (0..3).map(|_| answer(FLOOD)).collect();
    assert!(flood.iter().all(|(own, _)| !registry.is_open(own)));
    // The responses of the peer have just begun, so its next response is refused.
    let last = registry.add(FLOOD, &limits).unwrap();
    let request = last.begin_request(false);
    assert!(registry.begin_response(&request, &limits).is_err());
    assert!(more.iter().all(|(own, _)| registry.is_open(own)));
    assert!(registry.is_open(&other));
    // A stalled response is evicted first.
    other.set_blocked(true);
    seconds(1).await;
    more.iter()
        .for_each(|(_, response)| response.record_progress());
    let _new = answer(FLOOD);
    assert!(!registry.is_open(&other));
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_evicts_an_idle_one_first() {
    let (registry, limits) = registry();
    let [stalled, silent, idle] = [(); 3].map(|()| registry.add(OTHER, &limits).unwrap());
    let _response = registry.answer(&stalled, &limits);
    seconds(1).await;
    drop(registry.answer(&idle, &limits));
    seconds(1).await;
    // A new connection is not added until the evicted connection is closed.
    for _ in 0..2 {
        assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
        assert!(!registry.is_open(&idle) && registry.is_open(&silent));
    }
    registry.remove(&idle);
    let new = registry.add(OTHER, &limits).unwrap();
    assert_eq!(registry.len(), 3);
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    assert!(!registry.is_open(&silent));
    registry.remove(&silent);
    let _newest = registry.add(OTHER, &limits).unwrap();
    // The server does not evict a new connection for a short time, so that its client can send a request.
    let Some(Full::Until(time)) = registry.add(OTHER, &limits).err() else {
        panic!("a new connection was evicted");
    };
    // If a new connection has no bytes to read, this time is shorter.
    new.record_nothing_to_read();
    let Some(Full::Until(sooner)) = registry.add(OTHER, &limits).err() else {
        panic!("a new connection was evicted");
    };
    assert!(sooner < time);
    tokio::time::advance(sooner - Instant::now()).await;
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    assert!(!registry.is_open(&new) && registry.is_open(&stalled));
}

#[tokio::test(start_paused = true)]
async fn the_peer_with_the_most_connections_loses_one() {
    let (registry, mut limits) = registry();
    limits.max_connections = 10;
    let keeps_alive = registry.add(OTHER, &limits).unwrap();
    drop(registry.answer(&keeps_alive, &limits));
    seconds(60).await;
    let _flood: Vec<_> = (0..9).map(|_| registry.add(FLOOD, &limits)).collect();
    for _ in 0..100 {
        seconds(1).await;
        assert_eq!(registry.add(FLOOD, &limits).err(), Some(Full::Closing));
        let open: Vec<_> = registry.open.lock().all.values().cloned().collect();
        for closing in open.iter().filter(|own| !registry.is_open(own)) {
            registry.remove(closing);
        }
        registry.add(FLOOD, &limits).unwrap();
    }
    assert!(registry.is_open(&keeps_alive));
}

#[tokio::test(start_paused = true)]
async fn waiting_requests_of_a_flood_do_not_evict_idle_connections_of_others() {
    // The requests of one peer (first case) or of three peers (second case) wait for a response. For example, they wait
    // while the server checks wrong passwords.
    for flooders in [1, 3] {
        let (registry, mut limits) = registry();
        limits.max_connections = 16;
        let idle = registry.add(OTHER, &limits).unwrap();
        drop(registry.answer(&idle, &limits));
        seconds(60).await;
        let mut requests = Vec::new();
        for number in 0..100 {
            let peer = [192, 0, 2, 10 + number % flooders];
            let flood = loop {
                match registry.add(peer, &limits) {
                    Ok(connection) => break connection,
                    Err(full) => assert_eq!(full, Full::Closing),
                }
                let open: Vec<_> = registry.open.lock().all.values().cloned().collect();
                let closing = open.iter().filter(|own| !registry.is_open(own));
                closing.for_each(|own| registry.remove(own));
            };
            requests.push(flood.begin_request(false));
            assert!(
                registry.is_open(&idle),
                "{flooders} flooders, request {number}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_progress_is_closed_only_if_its_peer_has_more_than_its_share() {
    let (registry, mut limits) = registry();
    limits.max_connections = 8;
    // Each peer has four connections, which is its equal share.
    let busy = [(); 4].map(|()| registry.add(FLOOD, &limits).unwrap());
    let _requests = busy.each_ref().map(|own| own.begin_request(false));
    let idle = [(); 4].map(|()| registry.add(OTHER, &limits).unwrap());
    idle.iter()
        .for_each(|own| drop(registry.answer(own, &limits)));
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    assert!(busy.iter().all(|own| registry.is_open(own)));
    assert!(!registry.is_open(&idle[0]));
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_more_time_during_its_handshake() {
    let (registry, mut limits) = registry();
    limits.max_connections = 100;
    let all: Vec<_> = (0..100)
        .map(|_| registry.add(FLOOD, &limits).unwrap())
        .collect();
    let milliseconds = async |time| tokio::time::advance(Duration::from_millis(time)).await;
    milliseconds(499).await;
    let in_handshake = registry.add(FLOOD, &limits).err();
    assert!(
        matches!(in_handshake, Some(Full::Until(_))),
        "{in_handshake:?}"
    );
    // The server does not evict a connection for a short time after its handshake, so that its client can send a
    // request.
    all.iter().for_each(|own| own.record_accepted());
    milliseconds(49).await;
    let accepted = registry.add(FLOOD, &limits).err();
    assert!(matches!(accepted, Some(Full::Until(_))), "{accepted:?}");
    milliseconds(1).await;
    assert_eq!(registry.add(FLOOD, &limits).err(), Some(Full::Closing));
}

#[tokio::test(start_paused = true)]
async fn new_connections_of_a_flood_are_not_protected() {
    let (registry, mut limits) = registry();
    limits.max_connections = 600;
    let other = registry.add(OTHER, &limits).unwrap();
    let flood: Vec<_> = (0..599)
        .map(|_| registry.add(FLOOD, &limits).unwrap())
        .collect();
    // All connections are new, but the server closes the oldest connection of the flood immediately.
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    assert!(!registry.is_open(&flood[0]) && registry.is_open(&flood[1]));
    registry.remove(&flood[0]);
    assert!(registry.add(OTHER, &limits).is_ok() && registry.is_open(&other));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_becomes_busy_before_its_eviction_is_not_evicted() {
    let (registry, mut limits) = registry();
    limits.max_connections = 100;
    let first = registry.add(FLOOD, &limits).unwrap();
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = registry.add(FLOOD, &limits).unwrap();
    let evicting = registry.evict_quietest(Duration::from_millis(50));
    let begins = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        first.begin_request(false)
    };
    let ((), _request) = tokio::join!(evicting, begins);
    assert!(registry.is_open(&first) && !registry.is_open(&second));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_leaves_each_peer_its_share() {
    let (registry, mut limits) = registry();
    limits.max_connections = 12;
    let count = |ip, count| -> Vec<_> {
        let added = (0..count).map(|_| registry.add(ip, &limits).unwrap());
        added.collect()
    };
    let (most, fewer) = (count(FLOOD, 8), count(OTHER, 4));
    seconds(1).await;
    limits.max_connections = 5;
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    let open =
        |all: &[Arc<ConnectionState>]| all.iter().filter(|own| registry.is_open(own)).count();
    assert_eq!((open(&most), open(&fewer)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_evicts_as_many_as_it_needs() {
    let (registry, mut limits) = registry();
    let all = [(); 3].map(|()| registry.add(OTHER, &limits).unwrap());
    seconds(1).await;
    limits.max_connections = 1;
    assert_eq!(registry.add(OTHER, &limits).err(), Some(Full::Closing));
    assert!(all.iter().all(|own| !registry.is_open(own)));
    all.iter().for_each(|own| registry.remove(own));
    assert!(registry.add(OTHER, &limits).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_a_peer_do_not_end_the_response_of_another() {
    for room in [1, 2, 3, 4, 8] {
        let (registry, mut limits) = registry();
        limits.max_responses = room;
        let scraper = registry.add(OTHER, &limits).unwrap();
        let scrape = registry.answer(&scraper, &limits);
        let flood = registry.add(FLOOD, &limits).unwrap();
        let (mut streams, mut accepted) = (Vec::new(), 0);
        for number in 0..100 {
            let stream = flood.begin_request(true);
            stream.set_stream(StreamHandle::default());
            accepted += usize::from(registry.begin_response(&stream, &limits).is_ok());
            streams.push(stream);
            tokio::time::advance(Duration::from_millis(20)).await;
            scrape.record_progress();
            assert!(registry.is_open(&scraper) && registry.is_open(&flood));
            assert!(registry.busy.get() <= room);
            assert_eq!(scraper.answering(), 1, "{room}: stream {number}");
        }
        // The flood lasts two seconds. Once per second, new streams may end the older ones.
        assert_eq!(accepted, 2 * (room - 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_only_the_server_delays_is_not_stalled() {
    let (registry, mut limits) = registry();
    limits.max_connections = 100;
    limits.max_responses = 4;
    let scraper = registry.add(OTHER, &limits).unwrap();
    let _scrape = registry.answer(&scraper, &limits);
    seconds(5).await;
    let flood = [(); 10].map(|()| {
        let connection = registry.add(FLOOD, &limits).unwrap();
        let request = connection.begin_request(false);
        let accepted = registry.begin_response(&request, &limits).is_ok();
        (connection, request, accepted)
    });
    assert_eq!(flood.iter().filter(|(.., accepted)| *accepted).count(), 3);
    assert!(registry.is_open(&scraper));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_is_reset_before_others_and_gives_its_place_back() {
    let (registry, mut limits) = registry();
    limits.max_responses = 3;
    let connection = registry.add(OTHER, &limits).unwrap();
    let stream = |own: &Arc<ConnectionState>| {
        let stream = own.begin_request(true);
        stream.set_stream(StreamHandle::default());
        registry.begin_response(&stream, &limits).unwrap();
        stream
    };
    // This stream is older, but it has sent all its bytes and waits for the service.
    let waits = stream(&connection);
    let stalled = stream(&connection);
    stalled.record_sent(65_535);
    stalled.set_unsent(true);
    for _ in 0..11 {
        tokio::time::advance(Duration::from_millis(100)).await;
        connection.record_write(100);
    }
    let flood = registry.add(FLOOD, &limits).unwrap();
    let _running = [(); 2].map(|()| stream(&flood));
    assert_eq!((connection.answering(), flood.answering()), (1, 2));
    assert!(registry.is_open(&connection));
    // The response of the reset stream has ended already.
    drop(stalled);
    assert_eq!((connection.answering(), registry.busy.get()), (1, 3));
    drop(waits);
    assert_eq!((connection.answering(), registry.busy.get()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_held_the_only_place_loses_it_to_another_peer() {
    let (registry, mut limits) = registry();
    limits.max_responses = 1;
    let [first, second] = [FLOOD, OTHER].map(|ip| registry.add(ip, &limits).unwrap());
    let slow = registry.answer(&first, &limits);
    let scrape = || {
        let scrape = second.begin_request(false);
        registry.begin_response(&scrape, &limits).map(|()| scrape)
    };
    // The first response has just begun, so the second one is refused. The small response in its place does not count.
    let refused = second.begin_request(false);
    assert!(registry.begin_response(&refused, &limits).is_err());
    refused.record_progress();
    assert_eq!(registry.busy.get(), 1);
    drop(refused);
    for _ in 0..5 {
        tokio::time::advance(Duration::from_millis(700)).await;
        slow.record_progress();
    }
    let running = scrape().unwrap();
    assert!(!registry.is_open(&first));
    // The first peer cannot take the place back.
    let again = registry.add(FLOOD, &limits).unwrap();
    let request = again.begin_request(false);
    assert!(registry.begin_response(&request, &limits).is_err());
    assert!(registry.is_open(&second) && registry.is_open(&again));
    drop(running);
    assert!(registry.begin_response(&request, &limits).is_ok());
}

/// A peer holds all places, because each of its new streams ends an older one.
#[tokio::test(start_paused = true)]
async fn a_peer_that_replaces_its_own_responses_loses_a_place_to_another_peer() {
    let (registry, mut limits) = registry();
    limits.max_responses = 1;
    let flood = registry.add(FLOOD, &limits).unwrap();
    let scraper = registry.add(OTHER, &limits).unwrap();
    let mut streams = Vec::new();
    let mut flood_on = || {
        let stream = flood.begin_request(true);
        stream.set_stream(StreamHandle::default());
        let begun = registry.begin_response(&stream, &limits).is_ok();
        streams.push(stream);
        begun
    };
    for _ in 0..20 {
        assert!(flood_on());
        seconds(1).await;
    }
    let scrape = scraper.begin_request(false);
    assert!(registry.begin_response(&scrape, &limits).is_ok());
    for _ in 0..20 {
        assert!(!flood_on());
        tokio::time::advance(Duration::from_millis(400)).await;
        scrape.record_progress();
        assert!(registry.is_open(&scraper));
    }
}
