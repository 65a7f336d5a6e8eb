//! Serves metrics with a web configuration file. Run
//! `cargo run -p prometheus-web-config --example secured_metrics -- web.yaml`, then `curl localhost:9100/metrics`.
//! You can change the file while the server runs, for example to `rate_limit: {burst: 2, interval: 10s}`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bounded_http::{Accepted, Listener, Peer, Server};
use prometheus_web_config::{AcceptError, WebConfigFile, WebConfigLayer, WebStream};
use tokio::net::TcpStream;

/// Turns a TCP connection into a stream. The current content of the file determines whether the stream is encrypted.
async fn accept(
    file: Arc<WebConfigFile>,
    stream: TcpStream,
) -> Result<Accepted<WebStream>, AcceptError> {
    let config = Arc::clone(&file).latest().await;
    let stream = config.accept(stream).await?;
    let accepted = Accepted::new(stream).http2(config.http2());
    // If the file's settings for connections change, the server closes the connection.
    Ok(accepted.until(async move { file.outdates(&config).await }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: secured_metrics FILE")?;
    let file = Arc::new(WebConfigFile::open(path)?);

    // The layer wraps the whole router, so that requests for unknown paths also need a password.
    let layer_file = Arc::clone(&file);
    let router = Router::new()
        .route("/metrics", get(async || "up 1\n"))
        .layer(
            WebConfigLayer::new(move || Arc::clone(&layer_file).latest())
                .peer(|request| request.get::<Peer>().map(Peer::group)),
        );

    let scheme = if file.in_use().is_tls() {
        "https"
    } else {
        "http"
    };
    let server = Server::builder()
        .acceptor(move |stream| accept(Arc::clone(&file), stream))
        .serve(Listener::bind("localhost", 9100).await?, router);
    eprintln!("listening on {scheme}://{}/metrics", server.local_addr());

    tokio::signal::ctrl_c().await?;
    server.drain(Duration::from_secs(15)).await;
    Ok(())
}
