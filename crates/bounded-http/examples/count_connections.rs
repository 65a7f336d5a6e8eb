//! A server that counts its connections. Run `cargo run -p bounded-http --example count_connections`, then `curl
//! localhost:8080/`. The server closes a connection that sends no request for five seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bounded_http::{CloseReason, Listener, Observer, Server};

/// The counts of the server. A real program would keep these numbers in a metrics registry.
#[derive(Default)]
struct Counts {
    open: AtomicI64,
    closed_by_limit: AtomicU64,
}

/// Updates the counts of a server.
struct CountConnections(Arc<Counts>);

impl Observer for CountConnections {
    fn connection_opened(&self) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    fn connection_closed(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn limit_exceeded(&self, peer: SocketAddr, reason: CloseReason) {
        self.0.closed_by_limit.fetch_add(1, Ordering::Relaxed);
        eprintln!("closed the connection of {peer}: {reason}");
    }
}

async fn metrics(State(counts): State<Arc<Counts>>) -> String {
    format!(
        "http_connections {}\nhttp_connections_closed_by_limit_total {}\n",
        counts.open.load(Ordering::Relaxed),
        counts.closed_by_limit.load(Ordering::Relaxed),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counts = Arc::new(Counts::default());
    let router = Router::new()
        .route("/", get(metrics))
        .with_state(Arc::clone(&counts));
    let server = Server::builder()
        .observer(CountConnections(counts))
        .serve(Listener::bind("localhost", 8080).await?, router);
    eprintln!("listening on http://{}/", server.local_addr());

    tokio::signal::ctrl_c().await?;
    // Waits until the responses in progress are complete. A second signal ends the program immediately.
    tokio::select! {
        aborted = server.drain(Duration::from_secs(15)) => {
            eprintln!("{aborted} connections did not finish in time");
        }
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
