//! HTTP: a [`StateMetrics`] as a tower service, for any server that speaks [`http`] types.
//!
//! [`StateMetrics::service`] mounts in axum, tonic and hyper-util; other servers call
//! [`StateMetrics::respond`]. Both answer `GET` and `HEAD`, whatever the path is: mounting chooses it.
//!
//! * **Format**: Prometheus text or OpenMetrics, by `Accept` as
//!   [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1) says; text where neither is
//!   asked for, never 406.
//! * **gzip** for whoever accepts it.
//! * **Query**: `resources` and `exclude_resources` (names as in the exposition's order, several
//!   with `,`), `namespace`, and `name[]` for families. Each may be repeated; a name that does not
//!   exist selects nothing, and so does an empty `resources`.
//!
//! ```
//! use axum::Router;
//! use kube_state_metrics::StateMetrics;
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let app: Router = Router::new().route_service("/metrics", metrics.service());
//! # Ok::<(), kube_state_metrics::BuildError>(())
//! ```

mod body;
mod negotiate;
mod query;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, request};

pub use body::Body;

use crate::exposition::Encoding;
use crate::registry::StateMetrics;
use negotiate::{accepts_gzip, negotiate};
use query::selection;

/// Answers scrapes of a [`StateMetrics`]; made by [`StateMetrics::service`].
///
/// Cloning gives another handle to the same stores.
///
/// ```
/// use http::{Request, StatusCode};
/// use kube_state_metrics::StateMetrics;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let answer = metrics.service().oneshot(Request::head("/metrics").body(())?).await?;
/// assert_eq!(answer.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MetricsService {
    metrics: StateMetrics,
}

// === impl StateMetrics ===

impl StateMetrics {
    /// A tower service that answers scrapes.
    ///
    /// ```
    /// use axum::Router;
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let app: Router = Router::new().route_service("/metrics", metrics.service());
    /// # Ok::<(), kube_state_metrics::BuildError>(())
    /// ```
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService {
            metrics: self.clone(),
        }
    }

    /// The answer to a request, for servers that do not take tower services.
    ///
    /// Method, query and the headers `Accept` and `Accept-Encoding` count; the path does not.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let (request, ()) = http::Request::get("/metrics?resources=pods").body(())?.into_parts();
    /// let response = metrics.respond(&request);
    /// assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn respond(&self, request: &request::Parts) -> Response<Body> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return method_not_allowed();
        }
        let negotiated = negotiate(&joined(&request.headers, &ACCEPT));
        let encoding = match accepts_gzip(&joined(&request.headers, &ACCEPT_ENCODING)) {
            true => Encoding::Gzip,
            false => Encoding::Identity,
        };
        let body = if request.method == Method::HEAD {
            Body::headers_only()
        } else {
            let selection = selection(request.uri.query().unwrap_or_default());
            Body::exposition(self.exposition(negotiated.format, selection), encoding)
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, negotiated.content_type());
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

// === impl MetricsService ===

impl<B> tower_service::Service<Request<B>> for MetricsService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.metrics.respond(&request.into_parts().0)))
    }
}

/// All lines of a header as one list, as RFC 9110 section 5.3 lets them be read.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    lines.join(",")
}

fn method_not_allowed() -> Response<Body> {
    let mut response = Response::new(Body::text("use GET or HEAD\n"));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
