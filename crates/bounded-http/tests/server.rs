//! The server on a real socket: responses, eviction, limits, drain.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bounded_http::{Accepted, CloseReason, Limits, ListenError, Listener, Observer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// The events of the server.
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

/// A server, and what it reports.
struct Running {
    server: Server,
    open: Arc<AtomicI64>,
    closed: mpsc::UnboundedReceiver<CloseReason>,
    failed: mpsc::UnboundedReceiver<String>,
}

/// Whether a client may connect: a stand-in for a TLS handshake.
#[derive(Clone, Copy)]
enum Handshake {
    Succeeds,
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
                Handshake::Succeeds => Ok(Accepted::new(stream).http2(false)),
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
    // The first connection was used last, so the second is evicted.
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
    // Reserved for documentation, so no machine has it.
    let error = Listener::bind("192.0.2.1", 0).await.unwrap_err();
    let told = "192.0.2.1 is not an address of this machine; choose one that is";
    assert_eq!(error.to_string(), told);
}
