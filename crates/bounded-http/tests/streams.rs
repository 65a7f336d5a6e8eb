//! Tests the limits on single streams of HTTP/2 on a real socket. The clients of the tests speak HTTP/2 by hand, because
//! usual clients always give each stream a window.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use bounded_http::{CloseReason, Limits, Listener, Observer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than all limits in the tests.
const PATIENCE: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// The flag of the last frame of a stream.
const END_STREAM: u8 = 1;

/// Larger than all buffers of a connection.
const LARGE: usize = 16 << 20;
/// Larger than the window that a stream has at first, but small enough for the window of the connection.
const MEDIUM: usize = 200_000;
/// The window that a stream has at first.
const WINDOW: usize = 65_535;
/// The address of a client.
const ATTACKER: [u8; 4] = [127, 0, 0, 3];
const SCRAPER: [u8; 4] = [127, 0, 0, 2];

/// Sends the events to the test: the reason, and whether the whole connection was closed.
struct Events(mpsc::UnboundedSender<(CloseReason, bool)>);

impl Observer for Events {
    fn limit_exceeded(&self, _: SocketAddr, reason: CloseReason) {
        let _ = self.0.send((reason, true));
    }

    fn response_ended(&self, _: SocketAddr, reason: CloseReason) {
        let _ = self.0.send((reason, false));
    }
}

async fn start(limits: Limits) -> (Server, mpsc::UnboundedReceiver<(CloseReason, bool)>) {
    let body = |size| {
        let body = Bytes::from(vec![b'x'; size]);
        get(async move || body.clone())
    };
    let router = Router::new()
        .route("/", body(LARGE))
        .route("/m", body(MEDIUM))
        .route("/w", body(WINDOW))
        .route("/s", body(5))
        .route("/never", get(std::future::pending::<()>));
    let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
    let (sender, events) = mpsc::unbounded_channel();
    let server = Server::builder()
        .limits(limits)
        .observer(Events(sender))
        .responses_hint("see the flag")
        .serve(listener, router);
    (server, events)
}

/// Limits without timeouts. Each test sets the limit that it needs.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.request_timeout, limits.response_timeout) = (None, None);
    (limits.progress_timeout, limits.idle_timeout) = (None, None);
    limits
}

async fn connect(server: &Server, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1 << 16).unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(server.local_addr()).await.unwrap()
}

/// A frame that the server has sent.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client of HTTP/2.
struct Client(TcpStream);

impl Client {
    /// Connects. The window of the connection is so large that only the windows of the streams limit the responses.
    async fn connect(server: &Server, from: [u8; 4]) -> Self {
        let mut client = Self(connect(server, from).await);
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.0.write_all(preface).await.unwrap();
        client.send(SETTINGS, 0, 0, &[]).await;
        client.widen(0, 1 << 30).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Sends a request.
    async fn get(&mut self, stream: u32, path: &str) {
        // `:method: GET`, `:scheme: http`, `:authority: a`, and the path as text.
        let mut headers = vec![0x82, 0x86, 0x41, 1, b'a', 4, path.len() as u8];
        headers.extend(path.as_bytes());
        self.send(HEADERS, 5, stream, &headers).await;
    }

    /// Increases the window of a stream, or of the connection (0).
    async fn widen(&mut self, stream: u32, by: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &by.to_be_bytes()).await;
    }

    /// The next frame; `None` if the server has closed the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = timeout(PATIENCE, self.0.read_exact(&mut head)).await;
        read.unwrap().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Reads until the stream has ended, and widens its window. Returns the size of its body, and whether the body is
    /// complete. Calls `other` for each frame of another stream.
    async fn read_to_end(&mut self, stream: u32, mut other: impl FnMut(&Frame)) -> (usize, bool) {
        let mut size = 0;
        loop {
            let frame = self.next().await.unwrap();
            if frame.stream != stream {
                other(&frame);
                continue;
            }
            if frame.kind == RST_STREAM {
                return (size, false);
            }
            if frame.kind == DATA {
                size += frame.payload.len();
                if frame.flags & END_STREAM != 0 {
                    return (size, true);
                }
                let read = frame.payload.len().max(1);
                self.widen(stream, read as u32).await;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_without_a_window_is_reset_and_the_others_go_on() {
    // The second body is so small that its last bytes are in the buffers of the server when the window is used up.
    for (stalled, has_window) in [("/", true), ("/m", true), ("/m", false)] {
        let mut limits = limits();
        limits.progress_timeout = Some(Duration::from_secs(4));
        let (server, mut events) = start(limits).await;
        let mut client = Client::connect(&server, ATTACKER).await;
        if !has_window {
            client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
        }
        client.get(1, stalled).await;
        let mut reset = false;
        for id in (3..).step_by(2) {
            client.get(id, "/").await;
            client.widen(id, MEDIUM as u32).await;
            let is_reset = |frame: &Frame| reset |= (frame.kind, frame.stream) == (RST_STREAM, 1);
            let read = client.read_to_end(id, is_reset);
            let read = timeout(PATIENCE, read).await.unwrap();
            assert_eq!(read, (LARGE, true), "stream {id} beside {stalled}");
            if reset {
                break;
            }
            assert!(id < 20_000, "{stalled}: the stalled stream is not reset");
        }
        let event = events.recv().await;
        assert_eq!(event, Some((CloseReason::NoProgress, false)), "{stalled}");
    }
}

#[tokio::test]
async fn a_refused_response_names_the_limit() {
    let mut limits = limits();
    limits.max_responses = 1;
    let (server, mut events) = start(limits).await;
    let mut running = connect(&server, ATTACKER).await;
    running.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    running.read_exact(&mut [0; 64]).await.unwrap();
    for version in ["1.0", "1.1"] {
        let mut refused = connect(&server, SCRAPER).await;
        let request = format!("GET / HTTP/{version}\r\nhost: x\r\n\r\n");
        refused.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        refused.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let start = format!("HTTP/{version} 503 ");
        assert!(head.starts_with(&start), "{response}");
        assert!(head.contains("\r\nretry-after: 5\r\n"), "{response}");
        assert!(head.contains("\r\ncontent-type: text/plain"), "{response}");
        let hint = "(limit: 1); try again later; see the flag\n";
        assert!(body.ends_with(hint), "{response}");
        assert!(
            head.contains(&format!("\r\ncontent-length: {}", body.len())),
            "{response}"
        );
        let event = events.recv().await;
        assert_eq!(event, Some((CloseReason::Displaced, false)));
    }
    let mut client = Client::connect(&server, SCRAPER).await;
    client.get(1, "/").await;
    let (size, is_complete) = client.read_to_end(1, |_| {}).await;
    assert!(is_complete && (20..200).contains(&size), "{size}");
}

/// The streams share a small window of the connection, so each of them waits longer than the limit for its next turn.
#[tokio::test]
async fn a_stream_that_waits_for_the_window_of_the_connection_is_not_stalled() {
    let mut limits = limits();
    limits.progress_timeout = Some(Duration::from_secs(2));
    let (server, mut events) = start(limits).await;
    let mut client = Client(connect(&server, SCRAPER).await);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    client.0.write_all(preface).await.unwrap();
    let wide_streams = [0, 4, 0x40, 0, 0, 0];
    client.send(SETTINGS, 0, 0, &wide_streams).await;
    for id in 0..8 {
        client.get(2 * id + 1, "/").await;
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        client.widen(0, 1 << 14).await;
        while client.0.try_read(&mut [0; 1 << 14]).is_ok() {}
    }
    assert!(events.try_recv().is_err(), "a stream is reset");
    // Now no stream can send bytes. Other frames do not keep the connection alive.
    let mut ended = 0;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let _ = client.0.write_all(&ping).await;
        while let Ok((reason, is_connection)) = events.try_recv() {
            assert_eq!(reason, CloseReason::NoProgress);
            ended += if is_connection { 8 } else { 1 };
        }
    }
    assert!(ended >= 8, "{ended} of 8 streams have ended");
}

#[tokio::test]
async fn a_response_of_the_size_of_the_window_ends() {
    let (server, _events) = start(limits()).await;
    let mut client = Client::connect(&server, SCRAPER).await;
    client.get(1, "/w").await;
    let mut size = 0;
    loop {
        let frame = client.next().await.unwrap();
        if frame.stream == 1 && frame.kind == DATA {
            size += frame.payload.len();
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert_eq!(size, WINDOW);
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_reset_and_the_others_go_on() {
    for slow in ["/", "/never"] {
        let mut limits = limits();
        limits.response_timeout = Some(Duration::from_millis(500));
        let (server, mut events) = start(limits).await;
        let mut client = Client::connect(&server, ATTACKER).await;
        client.get(1, slow).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        // This response is young when the time of the first one is over.
        client.get(3, "/").await;
        loop {
            let frame = client.next().await.unwrap();
            if (frame.kind, frame.stream) == (RST_STREAM, 1) {
                break;
            }
        }
        let event = events.recv().await;
        assert_eq!(event, Some((CloseReason::SlowResponse, false)), "{slow}");
        client.get(5, "/s").await;
        let read = client.read_to_end(5, |_| {}).await;
        assert_eq!(read, (5, true), "{slow}");
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_progresses_is_closed() {
    let mut limits = limits();
    limits.progress_timeout = Some(Duration::from_millis(300));
    let (server, mut events) = start(limits).await;
    let mut client = Client::connect(&server, ATTACKER).await;
    client.get(1, "/").await;
    while client.next().await.is_some() {}
    let event = events.recv().await;
    assert_eq!(event, Some((CloseReason::NoProgress, true)));
}

#[tokio::test]
async fn the_streams_of_one_peer_do_not_end_the_response_to_another() {
    // With one place, the time of the requests decides which peer loses. A test of `Loss` has this case.
    for max_responses in [2, 3, 4, 8, 16] {
        let mut limits = limits();
        limits.max_responses = max_responses;
        let (server, _events) = start(limits).await;
        let mut scraper = connect(&server, SCRAPER).await;
        let request = b"GET / HTTP/1.0\r\n\r\n";
        scraper.write_all(request).await.unwrap();
        scraper.read_exact(&mut [0; 64]).await.unwrap();
        let mut attackers = Vec::new();
        for _ in 0..4 {
            let mut attacker = Client::connect(&server, ATTACKER).await;
            for id in 0..8 {
                attacker.get(2 * id + 1, "/").await;
                scraper.read_exact(&mut [0; 1 << 14]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            attackers.push(attacker);
        }
        let mut response = Vec::new();
        let read = scraper.read_to_end(&mut response).await;
        assert!(read.is_ok(), "{max_responses}: {read:?}");
        let size = response.len() + 64 + (32 << 14);
        assert!(size > LARGE, "{max_responses}: {size}");
    }
}

#[tokio::test]
async fn a_peer_that_holds_the_places_loses_one_to_a_scrape_of_another() {
    for max_responses in [1, 2, 4, 8] {
        let mut limits = limits();
        limits.max_responses = max_responses;
        let (server, _events) = start(limits).await;
        let mut attacker = Client::connect(&server, ATTACKER).await;
        // Each stream has a window of 100 bytes at first, so that all bytes fit into the buffer of the socket.
        let window = [0, 4, 0, 0, 0, 100];
        attacker.send(SETTINGS, 0, 0, &window).await;
        for id in 0..8 {
            attacker.get(2 * id + 1, "/").await;
        }
        // The attacker widens the windows slowly, so that its streams are not stalled.
        let widens = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                for id in 0..8 {
                    attacker.widen(2 * id + 1, 100).await;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(3_300)).await;
        let mut scraper = connect(&server, SCRAPER).await;
        let request = b"GET / HTTP/1.0\r\n\r\n";
        scraper.write_all(request).await.unwrap();
        let mut response = Vec::new();
        scraper.read_to_end(&mut response).await.unwrap();
        assert!(response.len() > LARGE, "{max_responses}");
        widens.abort();
    }
}
