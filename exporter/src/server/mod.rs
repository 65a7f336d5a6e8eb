//! The HTTP server: axum routers on hyper's connections, with limits on what a client can take.
//!
//! Every connection is watched by its own task: what it may take in time stands in
//! [`activity`], what it takes in memory is bounded by small buffers here and by the kernel's mark
//! for unsent bytes.

mod activity;
mod connection;
mod io;
mod listen;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use parking_lot::RwLock;
use prometheus::{IntCounterVec, IntGaugeVec};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::options::Limits;
use crate::web::Web;
use activity::Connections;

pub(crate) use listen::{AddressFlags, listen};

/// A server that listens, until it is drained or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// What may change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// TLS, basic authentication and the like.
    pub(crate) web: Option<Arc<Web>>,
}

/// Counts of what servers do.
#[derive(Clone, Debug)]
pub(crate) struct ServerMetrics {
    /// Connections that are open, by server.
    pub(crate) connections: IntGaugeVec,
    /// Connections that are answering, by server.
    pub(crate) answering: IntGaugeVec,
    /// Connections closed from our side, by server and reason.
    pub(crate) cut: IntCounterVec,
}

/// What all connections of a server share.
#[derive(Debug)]
struct Shared {
    /// The server's name in metrics and log.
    name: &'static str,
    router: Router,
    settings: RwLock<Settings>,
    connections: Connections,
    metrics: ServerMetrics,
}

// === impl Server ===

impl Server {
    /// Serves `router` to whoever connects.
    pub(crate) fn start(
        name: &'static str,
        (listener, address): (TcpListener, SocketAddr),
        router: Router,
        settings: Settings,
        metrics: ServerMetrics,
    ) -> Self {
        let labels = &[name];
        let connections = Connections::new(
            metrics.connections.with_label_values(labels),
            metrics.answering.with_label_values(labels),
        );
        let shared = Arc::new(Shared {
            name,
            router,
            settings: RwLock::new(settings),
            connections,
            metrics,
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Self {
            address,
            shared,
            stop,
            task,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.shared
            .settings
            .read()
            .web
            .as_ref()
            .is_some_and(|web| web.current().is_tls())
    }

    /// Changes the settings for new connections.
    pub(crate) fn set(&self, settings: Settings) {
        *self.shared.settings.write() = settings;
    }

    /// Takes no more connections and waits for the answers on their way, for a time at most.
    pub(crate) async fn drain(mut self, time: Duration) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(time, &mut self.task).await.is_err() {
            let left = self.shared.connections.open();
            tracing::warn!(
                "{} connections of {} cut after {time:?}",
                left,
                self.shared.name
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections until told to stop, then waits for those that are open.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connection = connection::serve(stream, peer, Arc::clone(&shared), stopped.clone());
                    open.spawn(connection);
                }
                Err(error) => {
                    // Out of file descriptors, most likely; others close meanwhile.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = open.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}
