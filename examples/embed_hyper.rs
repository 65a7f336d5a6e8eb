//! A server that uses hyper without a web framework, and exports the state of its cluster. Run the example with `cargo
//! run --features http,watch --example embed_hyper`, then `curl localhost:8080/metrics`.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use kube_state_metrics::StateMetrics;
use kube_state_metrics::service::Body;
use kube_state_metrics::source::watch::configure_for_watching;
use tokio::net::{TcpListener, TcpStream};

/// A response whose body comes from this server or from the library.
type Answer = Response<Either<String, Body>>;

/// Responds to a request. This function selects the response by the path. For the path `/metrics`, the method
/// [`StateMetrics::respond`] creates the response.
pub(crate) fn answer<B>(metrics: &StateMetrics, request: Request<B>) -> Answer {
    let (parts, _) = request.into_parts();
    match parts.uri.path() {
        "/metrics" => metrics.respond(&parts).map(Either::Right),
        "/" => Response::new(Either::Left("what the server is really for\n".into())),
        _ => {
            let mut response = Response::new(Either::Left("try /metrics\n".into()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: TcpStream, metrics: StateMetrics) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let answer = answer(&metrics, request);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let client = Client::try_from(configure_for_watching(Config::infer().await?))?;
    let metrics = StateMetrics::builder().default_resources().build()?;
    tokio::spawn(metrics.watch(client).build()?.run());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        // An error of a connection, such as a client that disconnects, does not affect other connections.
        tokio::spawn(serve(stream, metrics.clone()));
    }
}
