//! Names the identity provider (`auth-provider: oidc`) in errors, and limits the time for a token.
//!
//! kube requests the token within the request to the API server, and has no timeout. Without this module, a provider
//! that does not answer would look like an API server that does not answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Uri};
use kube::client::{AuthError, Body};
use kube::config::AuthInfo;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceExt as _, service_fn};

/// The maximum time in which the provider issues a token.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The identity provider of a user.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// The host and the port of the provider.
    host: String,
}

/// A service that sends requests, and returns responses of the type `R`.
type Sending<R> = BoxCloneService<Request<Body>, R, BoxError>;

/// Whether a request has its token. Extensions of the request contain this value.
#[derive(Clone, Debug, Default)]
struct HasToken(Arc<AtomicBool>);

// === impl Provider ===

impl Provider {
    /// The provider of a user; `None` if the user has none.
    pub(super) fn of_user(user: &AuthInfo) -> Option<Self> {
        let url = user.auth_provider.as_ref()?.config.get("idp-issuer-url");
        let url: Option<Uri> = url.and_then(|url| url.trim().parse().ok());
        // The authority may contain a password, so the error does not show all of it.
        let authority = url.as_ref().and_then(Uri::authority);
        let host = authority.map(|own| match own.port() {
            Some(port) => format!("{}:{port}", own.host()),
            None => own.host().to_owned(),
        });
        let host = host.unwrap_or_else(|| "without a valid host".to_owned());
        Some(Self { host })
    }

    /// Wraps the service that adds the token to requests. The inner service must call [`has_token`] for each request
    /// that has its token.
    pub(super) fn service<R: Send + 'static>(self, inner: Sending<R>) -> Sending<R> {
        let service = service_fn(move |request: Request<Body>| {
            let (this, inner) = (self.clone(), inner.clone());
            async move { this.send(request, inner).await }
        });
        service.boxed_clone()
    }

    async fn send<R: Send + 'static>(
        self,
        mut request: Request<Body>,
        inner: Sending<R>,
    ) -> Result<R, BoxError> {
        let token = HasToken::default();
        request.extensions_mut().insert(token.clone());
        let mut response = pin!(inner.oneshot(request));
        let response = match tokio::time::timeout(TIMEOUT, &mut response).await {
            Ok(response) => response,
            Err(_) if token.is_set() => return response.await,
            Err(_) => Err(self.error(&format!("sends no token within {TIMEOUT:?}"))),
        };
        response.map_err(|error| match error.downcast_ref::<AuthError>() {
            Some(AuthError::Oidc(cause)) => {
                self.error(&format!("issues no token: {}", causes(cause)))
            }
            _ => error,
        })
    }

    /// The error about a provider. kube's type lets the exporter report that it has no credentials.
    fn error(&self, problem: &str) -> BoxError {
        let host = &self.host;
        let text = format!("the identity provider {host} (idp-issuer-url) {problem}");
        Box::new(AuthError::AuthExec(text))
    }
}

// === impl HasToken ===

impl HasToken {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Records that a request has its token.
pub(super) fn has_token<T>(request: &Request<T>) {
    if let Some(has_token) = request.extensions().get::<HasToken>() {
        has_token.0.store(true, Ordering::Relaxed);
    }
}

/// The message of an error and of its causes. A message that an earlier message already contains is left out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text += &format!(": {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kube::config::AuthProviderConfig;

    use super::*;

    fn provider(url: &str) -> Provider {
        let config = HashMap::from([("idp-issuer-url".to_owned(), url.to_owned())]);
        let user = AuthInfo {
            auth_provider: Some(AuthProviderConfig {
                name: "oidc".to_owned(),
                config,
                ..AuthProviderConfig::default()
            }),
            ..AuthInfo::default()
        };
        Provider::of_user(&user).unwrap()
    }

    #[test]
    fn only_the_host_of_a_provider_is_shown() {
        for (url, host) in [
            ("https://idp.test/tenant", "idp.test"),
            ("https://me:secret@idp.test:8443/", "idp.test:8443"),
            ("secret text", "without a valid host"),
        ] {
            assert_eq!(provider(url).host, host);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_ends_when_the_request_has_its_token() {
        let request = || Request::new(Body::empty());
        let send = |is_issued: bool| {
            let inner = service_fn(move |request: Request<Body>| async move {
                if is_issued {
                    has_token(&request);
                }
                tokio::time::sleep(3 * TIMEOUT).await;
                Ok::<_, BoxError>(())
            });
            let provider = provider("https://idp.test");
            provider.service(inner.boxed_clone()).oneshot(request())
        };
        assert!(send(true).await.is_ok());
        let start = tokio::time::Instant::now();
        let error = send(false).await.unwrap_err().to_string();
        assert_eq!(start.elapsed(), TIMEOUT);
        let expected = "the identity provider idp.test (idp-issuer-url) sends no token within 10s";
        assert!(error.ends_with(expected), "{error}");
    }
}
