//! Tokens of an identity provider (`auth-provider: oidc`).
//!
//! kube renews the tokens, and [`Session`] does what kube does not:
//!
//! - All clients whose kubeconfig has the same `auth-provider` section share one session. Many providers accept each
//!   refresh token only once, and send the next one with each token. kube holds the next one in memory. A client that
//!   starts again from the kubeconfig would send a refresh token that was used before.
//! - One renewal runs at a time, and a failed renewal is repeated after [`RETRY_INTERVAL`]. Otherwise, each request of
//!   each resource would ask the provider.
//! - A renewal continues if its request ends early, because the next refresh token would be lost otherwise.
//! - Errors name the provider, and the time for a token is limited. A provider that does not answer would look like an
//!   API server that does not answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use kube::Config;
use kube::client::oidc_errors::{self, RefreshError};
use kube::client::{AuthError, Body, ConfigExt as _};
use kube::config::AuthProviderConfig;
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower::util::BoxCloneService;
use tower::{BoxError, Service as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::access::ClusterError;
use super::system_authorities::check_system_authorities;

/// The maximum time in which the provider issues a token. Then the requests that wait for the token fail.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time of a renewal. It is longer than [`TIMEOUT`], because a response that arrives late may contain the
/// next refresh token.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The minimum time between the start of a renewal that has failed and the next renewal.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The maximum number of sessions that are kept while no client uses them. A kubeconfig may name an earlier user again.
const KEPT: usize = 8;

/// The sessions of this process, by the fingerprint of their `auth-provider` section. The last one is the newest.
static SESSIONS: parking_lot::Mutex<VecDeque<(Fingerprint, Arc<Session>)>> =
    parking_lot::Mutex::new(VecDeque::new());
static KEY: LazyLock<FingerprintKey> = LazyLock::new(FingerprintKey::default);

/// The tokens of one user of an identity provider.
pub(super) struct Session {
    /// The host and the port of the provider.
    host: String,
    tokens: Arc<Mutex<Tokens>>,
    /// The runtime on which the session was created. Renewals run there, because a client may run on a thread that
    /// ends before the renewal.
    runtime: Handle,
}

/// Issues the header with the token of a user.
struct Tokens {
    /// Adds the header to a request, and returns the header. If the token expires soon, the service renews it.
    source: Source,
    /// The last renewal, if it has failed.
    failed: Option<Failed>,
}

type Source = BoxCloneService<Request<Body>, Option<HeaderValue>, BoxError>;

/// A renewal that has failed.
struct Failed {
    since: Instant,
    problem: String,
}

// === impl Session ===

impl Session {
    /// The session of the user of a configuration; `None` if the user has no identity provider. The call blocks while
    /// it reads the certificate authorities of the system.
    ///
    /// # Errors
    ///
    /// The function fails if the section is incomplete, or if the authorities of the system cannot be read.
    pub(super) fn of(config: &Config) -> Result<Option<Arc<Self>>, ClusterError> {
        let Some(section) = &config.auth_info.auth_provider else {
            return Ok(None);
        };
        let settings: BTreeMap<_, _> = section.config.iter().collect();
        let fingerprint = KEY.fingerprint(&(&section.name, settings));
        // The lock is held until the session is created, so that two clients never create the same session twice.
        let mut sessions = SESSIONS.lock();
        let known = sessions.iter().position(|(own, _)| *own == fingerprint);
        let session = match known.and_then(|at| sessions.remove(at)) {
            Some((_, session)) => session,
            None => Arc::new(Self::new(section, config)?),
        };
        sessions.push_back((fingerprint, Arc::clone(&session)));
        let unused = |(_, own): &(Fingerprint, Arc<Self>)| Arc::strong_count(own) == 1;
        while sessions.len() > KEPT
            && let Some(oldest) = sessions.iter().position(unused)
        {
            sessions.remove(oldest);
        }
        Ok(Some(session))
    }

    fn new(section: &AuthProviderConfig, config: &Config) -> Result<Self, ClusterError> {
        // The client of the provider trusts the authorities of the system.
        check_system_authorities()?;
        let failed = |error: kube::Error| ClusterError::Client(error.to_string());
        // kube adds the token to a request. This service returns the headers of the request.
        let echo = service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = request.headers().clone();
            Ok::<_, BoxError>(response)
        });
        let layer = config.auth_layer().map_err(failed)?;
        let source = ServiceBuilder::new().option_layer(layer).service(echo);
        let header = |response: Response<Body>| response.headers().get(AUTHORIZATION).cloned();
        let source = source
            .map_response(header)
            .map_err(BoxError::from)
            .boxed_clone();
        Ok(Self::with(host(section), source))
    }

    fn with(host: String, source: Source) -> Self {
        let tokens = Tokens {
            source,
            failed: None,
        };
        Self {
            host,
            tokens: Arc::new(Mutex::new(tokens)),
            runtime: Handle::current(),
        }
    }

    /// Wraps the service that sends requests. The session adds its token to each request.
    pub(super) fn service<R: Send + 'static>(
        self: Arc<Self>,
        inner: BoxCloneService<Request<Body>, R, BoxError>,
    ) -> BoxCloneService<Request<Body>, R, BoxError> {
        let service = service_fn(move |mut request: Request<Body>| {
            let (session, inner) = (Arc::clone(&self), inner.clone());
            async move {
                let header = session.header().await?;
                request.headers_mut().insert(AUTHORIZATION, header);
                inner.oneshot(request).await
            }
        });
        service.boxed_clone()
    }

    /// The header with the token.
    async fn header(&self) -> Result<HeaderValue, BoxError> {
        let issued = async {
            let mut tokens = Arc::clone(&self.tokens).lock_owned().await;
            let renewal = self.runtime.spawn(async move { tokens.header().await });
            renewal.await
        };
        let problem = match timeout(TIMEOUT, issued).await {
            Ok(Ok(Ok(header))) => return Ok(header),
            Ok(Ok(Err(problem))) => problem,
            // The runtime is shutting down.
            Ok(Err(_)) => "issues no token: the renewal was interrupted".to_owned(),
            Err(_) => format!("sends no token within {TIMEOUT:?}"),
        };
        let host = &self.host;
        let text = format!("the identity provider {host} (idp-issuer-url) {problem}");
        // kube's type lets the exporter report that it has no credentials.
        Err(Box::new(AuthError::AuthExec(text)))
    }
}

// === impl Tokens ===

impl Tokens {
    /// The header with the token, or the problem of the provider.
    async fn header(&mut self) -> Result<HeaderValue, String> {
        if let Some(failed) = &self.failed
            && failed.since.elapsed() < RETRY_INTERVAL
        {
            return Err(failed.problem.clone());
        }
        let since = Instant::now();
        let issued = async {
            self.source
                .ready()
                .await?
                .call(Request::new(Body::empty()))
                .await
        };
        let problem = match timeout(RENEWAL_TIMEOUT, issued).await {
            Ok(Ok(Some(header))) => {
                self.failed = None;
                return Ok(header);
            }
            Ok(Ok(None)) => "issues no token".to_owned(),
            Ok(Err(error)) => format!("issues no token: {}", problem(&*error)),
            Err(_) => format!("sends no token within {RENEWAL_TIMEOUT:?}"),
        };
        self.failed = Some(Failed {
            since,
            problem: problem.clone(),
        });
        Err(problem)
    }
}

/// The host and the port of a provider. Its URL may contain a password, so messages do not show all of it.
fn host(section: &AuthProviderConfig) -> String {
    let url = section.config.get("idp-issuer-url");
    let url: Option<Uri> = url.and_then(|url| url.trim().parse().ok());
    let authority = url.as_ref().and_then(Uri::authority);
    let host = authority.map(|own| match own.port() {
        Some(port) => format!("{}:{port}", own.host()),
        None => own.host().to_owned(),
    });
    host.unwrap_or_else(|| "without a valid host".to_owned())
}

/// Why the provider issues no token. If the provider refuses the refresh token, the text tells the cure.
fn problem(error: &(dyn std::error::Error + 'static)) -> String {
    let Some(AuthError::Oidc(cause)) = error.downcast_ref() else {
        return causes(error);
    };
    let text = causes(cause);
    match cause {
        oidc_errors::Error::Refresh(
            RefreshError::AuthorizationFailure | RefreshError::RequestFailed(_),
        ) => format!(
            "{text}; the refresh token may have expired, or was used before (many providers accept it only once, and a \
             restart begins with the one in the kubeconfig); log in again to write a new one to the kubeconfig"
        ),
        _ => text,
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kube::config::AuthInfo;

    use super::*;

    fn section(url: &str) -> AuthProviderConfig {
        let settings = [("idp-issuer-url", url), ("id-token", "a.b.c")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        AuthProviderConfig {
            name: "oidc".to_owned(),
            config: HashMap::from(settings),
            ..AuthProviderConfig::default()
        }
    }

    #[test]
    fn only_the_host_of_a_provider_is_shown() {
        for (url, expected) in [
            ("https://idp.test/tenant", "idp.test"),
            ("https://me:secret@idp.test:8443/", "idp.test:8443"),
            ("secret text", "without a valid host"),
        ] {
            assert_eq!(host(&section(url)), expected);
        }
    }

    #[tokio::test]
    async fn clients_with_the_same_section_share_a_session() {
        let session = |url: &str| {
            let mut config = Config::new("https://a.test".parse().unwrap());
            config.auth_info = AuthInfo {
                auth_provider: Some(section(url)),
                ..AuthInfo::default()
            };
            Session::of(&config).unwrap().unwrap()
        };
        let first = session("https://same.test");
        let unused = Arc::downgrade(&session("https://unused.test"));
        assert!(Arc::ptr_eq(&first, &session("https://same.test")));
        assert!(!Arc::ptr_eq(&first, &session("https://other.test")));
        assert!(unused.upgrade().is_some());
        for number in 0..=KEPT {
            session(&format!("https://{number}.test"));
        }
        assert!(unused.upgrade().is_none());
        assert!(Arc::ptr_eq(&first, &session("https://same.test")));
        let none = Config::new("https://a.test".parse().unwrap());
        assert!(Session::of(&none).unwrap().is_none());
    }

    /// Returns a session, and the number of renewals. A renewal takes `time`, and the first `failures` of them fail.
    fn renewing(time: Duration, failures: usize) -> (Arc<Session>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&count);
        let source = service_fn(move |_: Request<Body>| {
            let count = Arc::clone(&own);
            async move {
                let number = count.load(Ordering::Relaxed);
                tokio::time::sleep(time).await;
                count.fetch_add(1, Ordering::Relaxed);
                match number < failures {
                    true => Err(BoxError::from("no")),
                    false => Ok(Some(HeaderValue::from_static("Bearer new"))),
                }
            }
        });
        let session = Session::with("idp.test".to_owned(), source.boxed_clone());
        (Arc::new(session), count)
    }

    #[tokio::test(start_paused = true)]
    async fn one_renewal_fails_for_all_requests_until_the_next_one_is_due() {
        let (session, count) = renewing(Duration::from_secs(1), 1);
        let headers = (0..20).map(|_| session.header());
        for header in futures::future::join_all(headers).await {
            let error = header.unwrap_err().to_string();
            assert!(
                error.ends_with("idp.test (idp-issuer-url) issues no token: no"),
                "{error}"
            );
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        tokio::time::advance(RETRY_INTERVAL).await;
        assert_eq!(session.header().await.unwrap(), "Bearer new");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_continues_when_its_request_ends() {
        let (session, count) = renewing(2 * TIMEOUT, 0);
        let start = Instant::now();
        let error = session.header().await.unwrap_err().to_string();
        assert_eq!(start.elapsed(), TIMEOUT);
        let expected = "the identity provider idp.test (idp-issuer-url) sends no token within 10s";
        assert!(error.ends_with(expected), "{error}");
        tokio::time::sleep(TIMEOUT + Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}
