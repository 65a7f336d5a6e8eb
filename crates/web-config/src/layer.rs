//! A tower layer that applies the configuration to requests: it refuses requests beyond the rate limit or without a
//! valid password, and adds headers to responses.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::config::WebConfig;

/// A tower layer that applies the rate limit, the users and the headers of a configuration to a service.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::{Router, routing::get};
/// use prometheus_web_config::{WebConfigFile, WebConfigLayer};
///
/// # fn layer(file: Arc<WebConfigFile>) {
/// let router: Router = Router::new().route("/metrics", get(|| async { "up 1\n" }));
/// let router = router.layer(WebConfigLayer::new(move || Arc::clone(&file).latest()));
/// # }
/// ```
#[derive(Clone)]
pub struct WebConfigLayer<F> {
    current: F,
    peer: PeerOf,
}

/// A marker in the extensions of a request. It means that the layer has verified the user and the password of the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PasswordVerified;

/// A function that returns the address of the client. It finds the address in the extensions of a request.
type PeerOf = fn(&Extensions) -> Option<IpAddr>;

/// The service that [`WebConfigLayer`] creates.
#[derive(Clone)]
pub struct WebConfigService<S, F> {
    inner: S,
    current: F,
    peer: PeerOf,
}

// === impl WebConfigLayer ===

impl<F: Fn() -> C, C: Future<Output = Arc<WebConfig>>> WebConfigLayer<F> {
    /// Creates a layer that gets its configuration from `current`.
    ///
    /// The layer calls `current` for each request, and waits for the returned future. So if a user is removed from the
    /// file, the layer refuses further requests of this user, also on open connections.
    pub fn new(current: F) -> Self {
        Self {
            current,
            peer: |_| None,
        }
    }

    /// Sets the function that returns the address of a client, or of its network, from the extensions of a request.
    /// By default, the layer treats all clients as one client.
    ///
    /// If requests of several addresses wait for a password check, the layer serves the addresses in turn.
    #[must_use]
    pub fn peer(mut self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }
}

impl<S, F: Clone> Layer<S> for WebConfigLayer<F> {
    type Service = WebConfigService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        WebConfigService {
            inner,
            current: self.current.clone(),
            peer: self.peer,
        }
    }
}

impl<F> fmt::Debug for WebConfigLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfigLayer").finish_non_exhaustive()
    }
}

// === impl WebConfigService ===

impl<S, F, C, A, B> Service<Request<A>> for WebConfigService<S, F>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn() -> C,
    C: Future<Output = Arc<WebConfig>> + Send + 'static,
    A: Send + 'static,
    B: From<&'static str>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let config = (self.current)();
        let peer = (self.peer)(request.extensions());
        // This request must use the service for which `poll_ready` was called. A clone of this service may not be ready
        // yet, so the clone is kept for the next request.
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let config = config.await;
            let mut response = match config.check(peer, request.headers()).await {
                Ok(()) => {
                    if config.requires_password() {
                        request.extensions_mut().insert(PasswordVerified);
                    }
                    ready.call(request).await?
                }
                Err(rejection) => rejection.into_response(),
            };
            for (name, value) in config.headers() {
                response.headers_mut().insert(name, value.clone());
            }
            Ok(response)
        })
    }
}

impl<S: fmt::Debug, F> fmt::Debug for WebConfigService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfigService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
