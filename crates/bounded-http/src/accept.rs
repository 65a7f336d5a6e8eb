//! Accepts connections until the server shuts down.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use parking_lot::RwLock;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::acceptor::Acceptor;
use crate::connection::{self, OpenConnection, Shared};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::peer::Peer;

/// A file descriptor that each server keeps in reserve.
///
/// If no descriptor is free for the next connection, the server closes this spare descriptor. It then accepts the
/// connection with the freed descriptor. So each server of the process can accept at least one connection.
struct SpareDescriptor(#[expect(dead_code, reason = "keeps the socket open")] Socket);

type BoxError = Box<dyn Error + Send + Sync>;

/// If the operating system fails to accept a connection, the server tries again after at most this time.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Accepts connections until shutdown, then waits until the open connections are closed.
pub(crate) async fn run<A, S, B>(
    listener: Listener,
    acceptor: Arc<A>,
    service: S,
    limits: Arc<RwLock<Limits>>,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<bool>,
) where
    A: Acceptor,
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut spare = SpareDescriptor::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = shutdown.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The client has closed the connection before the server accepted it.
            Err(error) if is_about_client(&error) => continue,
            Err(error) => {
                shared.observer.accept_failed(&error);
                if !lacks_descriptors(&error) {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
                // The waiting connection needs a file descriptor: either the spare descriptor, or the descriptor of an
                // evicted connection. The server opens a new spare descriptor only after it has accepted the waiting
                // connection. Otherwise, the new spare would take the freed descriptor.
                if spare.take().is_none() {
                    tokio::select! {
                        () = shared.registry.evict_quietest(ACCEPT_RETRY) => {}
                        _ = shutdown.changed() => break,
                    }
                }
                continue;
            }
        };
        let limits = *limits.read();
        let open = tokio::select! {
            open = OpenConnection::admit(&shared, Peer::new(peer), &limits) => open,
            _ = shutdown.changed() => break,
        };
        if spare.is_none() {
            spare = SpareDescriptor::new();
        }
        connections.spawn(connection::serve(
            open,
            stream,
            Arc::clone(&acceptor),
            service.clone(),
            limits,
            shutdown.clone(),
        ));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn is_about_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Returns `true` if the process (`EMFILE`) or the machine (`ENFILE`) has no free file descriptor.
///
/// The function compares error numbers, because `ErrorKind` has no variants for these errors. The numbers are the same
/// on all Unix systems.
fn lacks_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

// === impl SpareDescriptor ===

impl SpareDescriptor {
    fn new() -> Option<Self> {
        // The spare descriptor is an unbound socket, because such a socket costs little and is available on all
        // systems.
        Socket::new(Domain::IPV4, Type::DGRAM, None).ok().map(Self)
    }
}
