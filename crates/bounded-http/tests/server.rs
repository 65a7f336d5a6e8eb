//! Tests the server on a real socket: responses, limits on clients, eviction (the server closes a connection to make
//! room for another one), and draining (a graceful stop).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bounded_http::{Accepted, CloseReason, Limits, ListenError, Listener, Observer, Peer, Server};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};

/// Records the events of the server.
struct Recorder {
    open: Arc<AtomicI64>,
    closed: mpsc::UnboundedSender<CloseReason>,
    failed: mpsc::UnboundedSender<String>,
}

impl Observer for Recorder {
    fn connection_opened(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn limit_exceeded(&self, _: SocketAddr, reason: CloseReason) {
        let _ = self.closed.send(reason);
    }

    fn connection_failed(
        &self,
        _: SocketAddr,
        error: &(dyn std::error::Error + Send + Sync + 'static),
    ) {
        let _ = self.failed.send(error.to_string());
    }
}

/// A server and its recorded events.
struct Running {
    server: Server,
    open: Arc<AtomicI64>,
    closed: mpsc::UnboundedReceiver<CloseReason>,
    failed: mpsc::UnboundedReceiver<String>,
}

/// The result of a simulated handshake. The tests use no real TLS.
#[derive(Clone, Copy)]
enum Handshake {
    Succeeds,
    SucceedsWithoutHttp2,
    Fails,
    Hangs,
}

async fn start(limits: Limits, handshake: Handshake, router: Router) -> Running {
    let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
    let open = Arc::new(AtomicI64::new(0));
    let (closed, closed_events) = mpsc::unbounded_channel();
    let (failed, failed_events) = mpsc::unbounded_channel();
    let observer = Recorder {
        open: Arc::clone(&open),
        closed,
        failed,
    };
    let server = Server::builder()
        .limits(limits)
        .observer(observer)
        .acceptor(move |stream: TcpStream| async move {
            match handshake {
                Handshake::Succeeds => Ok(Accepted::new(stream)),
                Handshake::SucceedsWithoutHttp2 => Ok(Accepted::new(stream).http2(false)),
                Handshake::Fails => Err(io::Error::other("no handshake")),
                Handshake::Hangs => std::future::pending().await,
            }
        })
        .serve(listener, router);
    Running {
        server,
        open,
        closed: closed_events,
        failed: failed_events,
    }
}

fn router() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.local_addr()).await.unwrap()
}

async fn ask(stream: &mut TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = vec![0; 1024];
    let count = stream.read(&mut response).await.unwrap();
    String::from_utf8(response[..count].to_vec()).unwrap()
}

/// Waits until the server has closed a connection.
async fn closed(mut stream: TcpStream) {
    let read = stream.read(&mut [0]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn requests_are_answered_and_an_idle_connection_does_not_hold_up_a_drain() {
    let running = start(Limits::default(), Handshake::Succeeds, router()).await;
    let mut stream = connect(&running.server).await;
    for _ in 0..2 {
        let response = ask(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\nhello"), "{response}");
    }
    assert_eq!(running.open.load(Ordering::SeqCst), 1);
    assert_eq!(running.server.open_connections(), 1);
    assert_eq!(running.server.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(running.open.load(Ordering::SeqCst), 0);
    closed(stream).await;
}

#[tokio::test]
async fn one_connection_too_many_evicts_the_quietest() {
    let mut limits = Limits::default();
    limits.max_connections = 2;
    let mut running = start(limits, Handshake::Succeeds, router()).await;
    let mut first = connect(&running.server).await;
    ask(&mut first).await;
    let mut second = connect(&running.server).await;
    ask(&mut second).await;
    // The first connection was active more recently than the second connection, so the server evicts the second
    // connection.
    ask(&mut first).await;
    let mut third = connect(&running.server).await;
    assert!(ask(&mut third).await.ends_with("hello"));
    assert_eq!(running.closed.recv().await, Some(CloseReason::Evicted));
    closed(second).await;
    assert!(ask(&mut first).await.ends_with("hello"));
}

#[tokio::test]
async fn a_failed_handshake_is_reported_and_one_that_hangs_is_a_slow_request() {
    let mut running = start(Limits::default(), Handshake::Fails, router()).await;
    closed(connect(&running.server).await).await;
    let failed = running.failed.recv().await;
    assert_eq!(failed.as_deref(), Some("no handshake"));

    let mut limits = Limits::default();
    limits.request_timeout = Some(Duration::from_millis(1));
    let mut running = start(limits, Handshake::Hangs, router()).await;
    closed(connect(&running.server).await).await;
    assert_eq!(running.closed.recv().await, Some(CloseReason::SlowRequest));
}

#[tokio::test]
async fn a_drain_waits_for_responses_and_counts_those_it_has_to_abort() {
    let begun = Arc::new(Notify::new());
    let finish = Arc::new(Notify::new());
    let (handler_begun, handler_finish) = (Arc::clone(&begun), Arc::clone(&finish));
    let router = Router::new().route(
        "/",
        get(async move || {
            handler_begun.notify_one();
            handler_finish.notified().await;
            "late"
        }),
    );
    for aborted in [0, 1] {
        let running = start(Limits::default(), Handshake::Succeeds, router.clone()).await;
        let mut stream = connect(&running.server).await;
        let asking = tokio::spawn(async move {
            let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut response = String::new();
            let _ = stream.read_to_string(&mut response).await;
            response
        });
        begun.notified().await;
        let timeout = if aborted == 0 {
            finish.notify_one();
            Duration::from_secs(60)
        } else {
            Duration::ZERO
        };
        assert_eq!(running.server.drain(timeout).await, aborted);
        let response = asking.await.unwrap();
        assert_eq!(response.ends_with("late"), aborted == 0, "{response}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_named() {
    let taken = Listener::bind("127.0.0.1", 0).await.unwrap();
    let address = taken.local_addr();
    let error = Listener::bind("127.0.0.1", address.port())
        .await
        .unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }));
    let start = format!("cannot listen on {address}: ");
    assert!(error.to_string().starts_with(&start), "{error}");
    let error = Listener::bind("not an ip", 0).await.unwrap_err();
    assert!(matches!(error, ListenError::Resolve { .. }));
    // This address is reserved for documentation, so no machine has this address.
    let error = Listener::bind("192.0.2.1", 0).await.unwrap_err();
    let told = "192.0.2.1 is not an address of this machine; choose an address of this machine";
    assert_eq!(error.to_string(), told);
}

/// Sends a request on a new connection and returns the first line of the response.
async fn status(server: &Server, request: &str) -> String {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = vec![0; 1024];
    let count = stream.read(&mut response).await.unwrap();
    let response = String::from_utf8(response[..count].to_vec()).unwrap();
    response.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_of_http_1_1_names_one_valid_host() {
    let running = start(Limits::default(), Handshake::Succeeds, router()).await;
    for (fields, expected) in [
        ("HTTP/1.1\r\nhost: a:1", "HTTP/1.1 200 OK"),
        ("HTTP/1.1\r\nhost:", "HTTP/1.1 200 OK"),
        ("HTTP/1.0\r\nx: y", "HTTP/1.0 200 OK"),
        ("HTTP/1.1\r\nx: y", "HTTP/1.1 400 Bad Request"),
        ("HTTP/1.1\r\nhost: a\r\nhost: a", "HTTP/1.1 400 Bad Request"),
        ("HTTP/1.1\r\nhost: a/b", "HTTP/1.1 400 Bad Request"),
        ("HTTP/1.0\r\nhost: u@a", "HTTP/1.0 400 Bad Request"),
    ] {
        let status = status(&running.server, &format!("GET / {fields}\r\n\r\n")).await;
        assert_eq!(status, expected, "{fields}");
    }
}

#[tokio::test]
async fn the_service_knows_the_peer() {
    let router = Router::new().route(
        "/",
        get(|peer: axum::Extension<Peer>| async move { peer.address().to_string() }),
    );
    let running = start(Limits::default(), Handshake::Succeeds, router).await;
    let mut stream = connect(&running.server).await;
    let own = stream.local_addr().unwrap().to_string();
    assert!(ask(&mut stream).await.ends_with(&own));
}

/// Returns a frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend(payload);
    frame
}

/// Reads a frame of HTTP/2. Returns its type and its payload.
async fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (head[3], payload)
}

/// Sends a request of HTTP/2 with this block of header fields. Returns the header fields of the response.
async fn answer_to(server: &Server, headers: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 5, 1, headers));
    let mut stream = connect(server).await;
    stream.write_all(&bytes).await.unwrap();
    loop {
        if let (1, payload) = read_frame(&mut stream).await {
            return payload;
        }
    }
}

#[tokio::test]
async fn an_authority_of_http_2_has_no_user() {
    let running = start(Limits::default(), Handshake::Succeeds, router()).await;
    // The first byte of the response stands for its status: 0x88 for 200, and 0x8c for 400. The byte is an index into
    // the static table of HPACK (the compression of headers in HTTP/2).
    for (authority, expected) in [("localhost:1", 0x88), ("evil@localhost", 0x8c)] {
        // The value of `:authority` is sent as text; the static table contains only its name.
        let mut headers = vec![0x82, 0x86, 0x84, 0x41, authority.len() as u8];
        headers.extend(authority.as_bytes());
        let response = answer_to(&running.server, &headers).await;
        assert_eq!(response[0], expected, "{authority}");
    }
}

#[tokio::test]
async fn a_request_of_http_2_has_at_most_64_header_fields() {
    let running = start(Limits::default(), Handshake::Succeeds, router()).await;
    // The status 431 is not in the static table of HPACK, so its digits follow in the code of Huffman.
    // The entry 32 of the static table is the name `cookie`. All cookies count as one field.
    for (name, fields, expected) in [
        (&[0, 1, b'x'][..], 64, &[0x88][..]),
        (&[0, 1, b'x'], 65, &[0x48, 0x83, 0x69, 0x90, 0xff]),
        (&[0x0f, 17], 100, &[0x88]),
    ] {
        // `:method`, `:scheme`, `:path` and `:authority`, and then fields with the name `x`.
        let mut headers = vec![0x82, 0x86, 0x84, 0x41, 1, b'a'];
        for _ in 0..fields {
            headers.extend(name);
            headers.extend([1, b'y']);
        }
        let response = answer_to(&running.server, &headers).await;
        assert!(response.starts_with(expected), "{fields}: {response:x?}");
    }
}

#[tokio::test]
async fn a_flood_of_control_frames_closes_the_connection() {
    // The bytes are the entries `:method: GET`, `:scheme: http` and `:path: /` of the static table of HPACK.
    let headers = frame(1, 4, 1, &[0x82, 0x86, 0x84]);
    let floods = [
        ("SETTINGS", Vec::new(), frame(4, 0, 0, &[])),
        ("PING", Vec::new(), frame(6, 0, 0, &[0; 8])),
        ("PRIORITY", Vec::new(), frame(2, 0, 3, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", Vec::new(), frame(8, 0, 0, &[0, 0, 0, 1])),
        ("RST_STREAM", headers.clone(), frame(3, 0, 1, &[0, 0, 0, 8])),
        ("empty DATA", headers.clone(), frame(0, 0, 1, &[])),
        ("DATA of a byte", headers, frame(0, 0, 1, b"x")),
        ("unknown", Vec::new(), frame(99, 0, 0, &[])),
    ];
    // The service never responds, so that the stream stays open for the DATA frames of the request.
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let mut running = start(Limits::default(), Handshake::Succeeds, router).await;
    for (name, start, flood) in floods {
        let mut stream = connect(&running.server).await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(start);
        stream.write_all(&bytes).await.unwrap();
        // When the server has closed the connection, the next write fails, and the loop ends before it has sent the
        // whole flood.
        let flood = flood.repeat(100);
        let mut frames = 0;
        while stream.write_all(&flood).await.is_ok() {
            frames += 100;
            assert!(frames < 10_000_000, "{name}: the flood has no limit");
        }
        let closed = tokio::select! {
            closed = running.closed.recv() => format!("{closed:?}"),
            failed = running.failed.recv() => format!("{failed:?}"),
        };
        // For small DATA frames, the limit of hyper is lower than the limit of this crate.
        let expected = match name {
            "empty DATA" | "DATA of a byte" => "Some(\"http2 error\")",
            _ => "Some(FrameFlood)",
        };
        assert_eq!(closed, expected, "{name}");
    }
}

#[tokio::test]
async fn frames_count_in_http2_only() {
    let running = start(Limits::default(), Handshake::SucceedsWithoutHttp2, router()).await;
    let mut stream = connect(&running.server).await;
    for _ in 0..2_000 {
        assert!(ask(&mut stream).await.ends_with("hello"));
    }
}

#[tokio::test]
async fn a_flood_of_one_peer_does_not_end_the_responses_of_another() {
    let (sender, begun) = mpsc::unbounded_channel();
    // The body is larger than all buffers.
    let body = axum::body::Bytes::from(vec![b'x'; 16 << 20]);
    let mut limits = Limits::default();
    limits.max_responses = 8;
    let router = Router::new().route(
        "/",
        get(async move || {
            let _ = sender.send(());
            body.clone()
        }),
    );
    let running = start(limits, Handshake::Succeeds, router).await;
    let connect_from = async |ip: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind((ip, 0).into()).unwrap();
        let mut stream = socket.connect(running.server.local_addr()).await.unwrap();
        let request = b"GET / HTTP/1.0\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream
    };
    let mut begun = begun;
    let mut other = connect_from([127, 0, 0, 2]).await;
    begun.recv().await;
    let mut flood = Vec::new();
    for _ in 0..10 {
        // All connections of the flood make progress later than the connection `other`. So `other` has been inactive
        // for the longest time.
        for _ in 0..10 {
            flood.push(connect_from([127, 0, 0, 3]).await);
            begun.recv().await;
        }
        // The client of this connection is slow, but reads.
        other.read_exact(&mut [0; 1 << 15]).await.unwrap();
    }
    let mut response = Vec::new();
    other.read_to_end(&mut response).await.unwrap();
    assert!(response.len() > (16 << 20) - (10 << 15));
}

#[tokio::test]
async fn a_small_response_does_not_end_the_response_of_another_client() {
    let (sender, mut begun) = mpsc::unbounded_channel();
    let body = axum::body::Bytes::from(vec![b'x'; 16 << 20]);
    let mut limits = Limits::default();
    limits.max_responses = 1;
    let router = Router::new()
        .route(
            "/",
            get(async move || {
                let _ = sender.send(());
                body.clone()
            }),
        )
        .route(
            "/refused",
            get(|| async { (StatusCode::UNAUTHORIZED, "no") }),
        )
        .route("/small", get(|| async { "ok" }));
    let running = start(limits, Handshake::Succeeds, router).await;
    let mut served = connect(&running.server).await;
    served.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    begun.recv().await;
    for request in ["/refused HTTP/1.0", "/ HTTP/1.1", "/missing HTTP/1.0"] {
        let status = status(&running.server, &format!("GET {request}\r\n\r\n")).await;
        assert!(status.contains(" 40"), "{status}");
    }
    let small = status(&running.server, "GET /small HTTP/1.0\r\n\r\n").await;
    assert!(small.contains(" 200"), "{small}");
    let mut response = Vec::new();
    served.read_to_end(&mut response).await.unwrap();
    assert!(response.len() > 16 << 20);
}

#[tokio::test]
async fn every_request_has_the_extensions_of_its_connection() {
    let router = Router::new().route(
        "/",
        get(|name: axum::Extension<&'static str>| async move { name.0 }),
    );
    let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
    let server = Server::builder()
        .acceptor(|stream: TcpStream| async {
            Ok::<_, io::Error>(Accepted::new(stream).extension("ann"))
        })
        .serve(listener, router);
    let mut stream = connect(&server).await;
    for _ in 0..2 {
        assert!(ask(&mut stream).await.ends_with("\r\n\r\nann"));
    }
}

/// A server. When `outdate` sends `true`, all connections of the server become outdated, so the server must close them.
struct Outdating {
    server: Server,
    outdate: watch::Sender<bool>,
    /// The service notifies the test when a request for `/slow` has arrived.
    arrived: Arc<Notify>,
    /// The test permits the service to begin the response to `/slow`.
    release: Arc<Notify>,
}

async fn start_outdating() -> Outdating {
    let (outdate, outdated) = watch::channel(false);
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrives, released) = (Arc::clone(&arrived), Arc::clone(&release));
    let slow = get(async move || {
        arrives.notify_one();
        released.notified().await;
        "slow"
    });
    let mut limits = Limits::default();
    (limits.request_timeout, limits.response_timeout) = (None, None);
    (limits.progress_timeout, limits.idle_timeout) = (None, None);
    let server = Server::builder()
        .limits(limits)
        .acceptor(move |stream: TcpStream| {
            let mut outdated = outdated.clone();
            let outdated = async move { drop(outdated.wait_for(|outdated| *outdated).await) };
            std::future::ready(Ok::<_, io::Error>(Accepted::new(stream).until(outdated)))
        })
        .serve(
            Listener::bind("127.0.0.1", 0).await.unwrap(),
            router().route("/slow", slow),
        );
    Outdating {
        server,
        outdate,
        arrived,
        release,
    }
}

#[tokio::test]
async fn an_outdated_connection_is_closed_when_idle_or_after_its_response() {
    let running = start_outdating().await;
    let silent = connect(&running.server).await;
    let mut idle = connect(&running.server).await;
    assert!(ask(&mut idle).await.ends_with("hello"));
    let mut busy = connect(&running.server).await;
    let requests = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n";
    busy.write_all(requests).await.unwrap();
    running.arrived.notified().await;
    running.outdate.send(true).unwrap();
    closed(silent).await;
    closed(idle).await;
    running.release.notify_one();
    let mut response = String::new();
    busy.read_to_string(&mut response).await.unwrap();
    // The server closes the connection after the first response, and does not respond to the second request.
    assert!(response.ends_with("\r\n\r\nslow"), "{response}");
    // If a connection is outdated before its first request, the server sends no response.
    let mut late = connect(&running.server).await;
    let _ = late.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    closed(late).await;
}

#[tokio::test(start_paused = true)]
async fn an_outdated_connection_of_http_2_refuses_a_client_that_ignores_the_end() {
    let running = start_outdating().await;
    let mut stream = connect(&running.server).await;
    let start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(start).await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let mut goes_away = false;
    // The server sends a ping frame when it begins to close the connection. The client does not acknowledge this ping.
    for id in (1..=99).step_by(2) {
        let headers = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
        stream.write_all(&frame(1, 5, id, &headers)).await.unwrap();
        let ended_before = goes_away;
        let status = loop {
            let (kind, payload) = read_frame(&mut stream).await;
            goes_away |= kind == 7;
            if kind == 1 {
                break payload[0];
            }
        };
        // The status 200 is in the static table of HPACK, and the status 421 is not. So the first byte shows which
        // status the server sent.
        assert_eq!(status == 0x88, !ended_before, "request {id}");
        if ended_before {
            return;
        }
        running.outdate.send(true).unwrap();
        if goes_away {
            tokio::time::advance(Duration::from_secs(2)).await;
        }
    }
    panic!("the server does not end the connection");
}
