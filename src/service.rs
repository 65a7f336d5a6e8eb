//! Serves a [`StateMetrics`] over HTTP: as a tower service, or with any server that uses the types of [`http`].
//!
//! With axum, tonic and hyper-util, use [`StateMetrics::service`]. With other servers, call [`StateMetrics::respond`].
//! The service and `respond` answer `GET` and `HEAD` on any path, so your router must select the path.
//!
//! * **Format**: the header `Accept` selects the Prometheus text format or OpenMetrics, as in [RFC
//!   9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1). If the request accepts neither format, the response
//!   has the text format. The status is never 406.
//! * **Compression**: the response is compressed with gzip if the request accepts gzip.
//! * **Query**: the parameters `resources` and `exclude_resources` select resources by
//!   [`ResourceInfo::name`](crate::resource::ResourceInfo::name). The parameter `namespace` selects namespaces, and
//!   `name[]` selects families. Write several names with `,` between them, or repeat the parameter. A name that does
//!   not exist selects nothing. An empty `resources` also selects nothing.
//! * **Metrics of your program**: [`MetricsService::append`] adds these metrics to the response.
//! * **Several replicas**: with [`MetricsService::objects_while`], only the leader of your replicas serves the metrics
//!   of objects.
//!
//! ```
//! use axum::Router;
//! use kube_state_metrics::StateMetrics;
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let app: Router = Router::new().route_service("/metrics", metrics.service());
//! # Ok::<(), kube_state_metrics::registry::BuildError>(())
//! ```

mod body;
mod negotiate;
mod query;

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, request};

pub use body::Body;

use crate::exposition::{Encoding, Exposition, ExpositionFilter, Format, HostMetrics};
use crate::registry::StateMetrics;
use negotiate::{accepts_gzip, negotiate};
use query::filter;

/// A tower service that serves scrapes of a [`StateMetrics`].
///
/// [`StateMetrics::service`] creates the service.
///
/// A clone serves the same stores.
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
#[derive(Clone)]
pub struct MetricsService {
    metrics: StateMetrics,
    host: Vec<Arc<HostProvider>>,
    /// A response contains the metrics of objects only if all these conditions return true.
    conditions: Vec<Arc<Condition>>,
}

type Condition = dyn Fn() -> bool + Send + Sync;

/// A closure of the host that returns the metrics of the host. The argument is the format of the response.
type HostProvider = dyn Fn(Format) -> HostMetrics + Send + Sync;

// === impl StateMetrics ===

impl StateMetrics {
    /// Returns a tower service that serves scrapes.
    ///
    /// ```
    /// use axum::Router;
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let app: Router = Router::new().route_service("/metrics", metrics.service());
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService {
            metrics: self.clone(),
            host: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// Returns the response to a request, for servers that do not use tower services.
    ///
    /// This function is the same as [`MetricsService::respond`].
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
        self.service().respond(request)
    }
}

// === impl MetricsService ===

impl MetricsService {
    /// Appends metrics of your program to each response.
    ///
    /// The service calls `provider` once per `GET` request, with the format of the response. If `provider` returns text
    /// in the other format, the text is converted (see [`HostMetrics`]). If the query of a request selects resources,
    /// namespaces or families, the response does not contain the appended metrics. The appended metrics do not affect
    /// the cache of compressed samples.
    ///
    /// If `provider` returns a family that a store also has, the response is invalid.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    /// use kube_state_metrics::exposition::HostMetrics;
    /// use prometheus::{Registry, TextEncoder};
    ///
    /// let registry = Registry::new();
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let service = metrics.service().append(move |_| {
    ///     let text = TextEncoder::new().encode_to_string(&registry.gather());
    ///     HostMetrics::text(text.unwrap_or_default())
    /// });
    /// # let _: axum::Router = axum::Router::new().route_service("/metrics", service);
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn append(
        mut self,
        provider: impl Fn(Format) -> HostMetrics + Send + Sync + 'static,
    ) -> Self {
        self.host.push(Arc::new(provider));
        self
    }

    /// Serves the metrics of objects only while `condition` returns true, for example while this replica is the leader.
    ///
    /// The service calls `condition` once per `GET` request, before the response begins. If `condition` returns false,
    /// the response contains only the [appended](Self::append) metrics. The status of the response is still 200, so
    /// that the metric `up` of Prometheus stays 1. A replica that is not the leader also watches the cluster.
    /// Therefore, a new leader serves complete metrics at once. If you set several conditions, all of them must return
    /// true.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// use http_body_util::BodyExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_state_metrics::{BuiltIn, StateMetrics};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = StateMetrics::builder().built_in([BuiltIn::Namespaces]);
    /// let metrics = builder.fed_by_host(BuiltIn::Namespaces).build()?;
    /// let namespace = serde_json::json!({ "metadata": { "name": "shop" }, "status": { "phase": "Active" } });
    /// let mut namespaces = metrics.feed::<Namespace>()?;
    /// namespaces.apply_object(&serde_json::from_value(namespace)?);
    ///
    /// let is_leader = Arc::new(AtomicBool::new(false)); // your election sets it
    /// let condition = Arc::clone(&is_leader);
    /// let service = metrics.service().objects_while(move || condition.load(Ordering::Relaxed));
    /// let (request, ()) = http::Request::get("/metrics").body(())?.into_parts();
    ///
    /// let standby = service.respond(&request);
    /// assert_eq!(standby.status(), 200);
    /// assert!(standby.into_body().collect().await?.to_bytes().is_empty());
    ///
    /// is_leader.store(true, Ordering::Relaxed);
    /// let leader = service.respond(&request).into_body().collect().await?.to_bytes();
    /// assert!(leader.starts_with(b"# HELP kube_namespace"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn objects_while(mut self, condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Returns the response to a request, for servers that do not use tower services.
    ///
    /// The response depends on the method, the query, and the headers `Accept` and `Accept-Encoding`, but not on the
    /// path.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let service = StateMetrics::builder().default_resources().build()?.service();
    /// let (request, ()) = http::Request::get("/metrics").body(())?.into_parts();
    /// assert_eq!(service.respond(&request).status(), 200);
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
            let filter = filter(request.uri.query().unwrap_or_default());
            Body::exposition(self.exposition(negotiated.format, filter), encoding)
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

    fn exposition(&self, format: Format, filter: ExpositionFilter) -> Exposition {
        let has_host_metrics = filter.includes_host_metrics();
        let filter = match self.conditions.iter().all(|is_met| is_met()) {
            true => filter,
            false => ExpositionFilter::default().resources([""; 0]),
        };
        let exposition = self.metrics.exposition(format, filter);
        let providers = self.host.iter().filter(|_| has_host_metrics);
        providers.fold(exposition, |exposition, provider| {
            exposition.append(provider(format))
        })
    }
}

impl<B> tower_service::Service<Request<B>> for MetricsService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request.into_parts().0)))
    }
}

impl fmt::Debug for MetricsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsService")
            .field("metrics", &self.metrics)
            .field("host", &self.host.len())
            .field("conditions", &self.conditions.len())
            .finish()
    }
}

/// Joins the values of a header that occurs several times, as RFC 9110 section 5.3 allows.
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
