//! The token filter (`--auth-filter`): the API server authenticates and authorizes each request.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::client::AuthError;
use kube::{Api, Client};
use parking_lot::Mutex;
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::options::AuthLimits;

/// The time after which a valid token is reviewed again.
const TOKEN_VALID: Duration = Duration::from_secs(60);
const TOKEN_INVALID: Duration = Duration::from_secs(10);
/// The time after which a permission is reviewed again.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// The maximum number of cached results.
const REMEMBERED: usize = 1024;
/// The maximum length of a path whose permission is cached, in bytes.
const LONGEST_PATH: usize = 256;
/// Between repetitions.
const PAUSE: Duration = Duration::from_millis(300);
const ATTEMPTS: usize = 4;
/// The maximum number of concurrent reviews. Invalid tokens must not flood the API server.
const QUESTIONS: usize = 8;
/// How long a review waits for others to end.
const MAX_QUEUE_TIME: Duration = Duration::from_secs(2);

/// Accepts requests whose token may read the requested path.
pub(crate) struct AuthFilter {
    client: Client,
    users: Cache<Fingerprint, User>,
    /// Separate from the valid tokens, so that many invalid tokens do not evict the valid ones.
    strangers: Cache<Fingerprint, ()>,
    decisions: Cache<(Fingerprint, String, String), bool>,
    fingerprint_key: FingerprintKey,
    questions: Semaphore,
    /// Since when reviews have failed.
    failing_since: Mutex<Option<Instant>>,
    /// The maximum time of one review, repetitions included.
    review_timeout: Option<Duration>,
}

/// The reason why a request is refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// There is no token, or it is invalid.
    Unauthorized,
    /// The user may not read this path.
    Denied(String),
    /// The API server is unreachable.
    Unavailable,
    /// Too many reviews are in progress.
    Busy,
}

/// The user of a token.
#[derive(Clone, Debug, PartialEq)]
struct User {
    name: String,
    info: UserInfo,
}

/// Why there is no review.
#[derive(Debug)]
enum ReviewError {
    /// Too many reviews were in progress, so the API server was not asked.
    Busy,
    /// The API server does not answer, or fails (5xx). Only then, verdicts hold for the grace.
    Unanswered(String),
    /// The API server does not accept the request for a review, or answers something else.
    Rejected(String),
}

/// Answers of the API server.
struct Cache<K, V> {
    answers: Mutex<HashMap<K, Remembered<V>>>,
    /// How long after an answer it holds if the API server cannot be asked again.
    grace: Duration,
}

struct Remembered<V> {
    value: V,
    since: Instant,
    /// The API server is asked again from then on.
    until: Instant,
}

// === impl AuthFilter ===

impl AuthFilter {
    pub(crate) fn new(client: Client, limits: AuthLimits) -> Self {
        let grace = limits.grace.unwrap_or_default();
        Self {
            client,
            users: Cache::new(grace),
            strangers: Cache::new(Duration::ZERO),
            decisions: Cache::new(grace),
            fingerprint_key: FingerprintKey::default(),
            questions: Semaphore::new(QUESTIONS),
            failing_since: Mutex::default(),
            review_timeout: limits.review,
        }
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// The reason why the request is refused.
    pub(crate) async fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if is_open(uri) {
            return Ok(());
        }
        self.check_path(method, uri.path(), headers).await
    }

    /// Checks whether the client may read metrics, and so may see them on the landing page.
    ///
    /// # Errors
    ///
    /// The reason why the client may not read them.
    pub(crate) async fn may_see_data(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_path(&Method::GET, "/metrics", headers).await
    }

    async fn check_path(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::Unauthorized)?;
        let fingerprint = self.fingerprint_key.fingerprint(token);
        if self.strangers.get(&fingerprint).is_some() {
            return Err(Refusal::Unauthorized);
        }
        let user = match self.users.get(&fingerprint) {
            Some(user) => user,
            None => self.user_of(token, fingerprint).await?,
        };
        let verb = method.as_str().to_ascii_lowercase();
        let key = (fingerprint, verb, path.to_owned());
        let allowed = match self.decisions.get(&key) {
            Some(allowed) => allowed,
            None => self.decision_about(&user, key).await?,
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::Denied(user.name))
        }
    }

    /// Asks the API server who has a token.
    async fn user_of(&self, token: &str, fingerprint: Fingerprint) -> Result<User, Refusal> {
        match self.ask("token", || self.review(token)).await {
            Ok(Some(user)) => {
                self.users.insert(fingerprint, user.clone(), TOKEN_VALID);
                Ok(user)
            }
            Ok(None) => {
                self.users.remove(&fingerprint);
                self.strangers.insert(fingerprint, (), TOKEN_INVALID);
                Err(Refusal::Unauthorized)
            }
            Err(error @ ReviewError::Unanswered(_)) => {
                let user = self.users.get_within_grace(&fingerprint);
                user.ok_or(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the API server whether a user may read a path.
    async fn decision_about(
        &self,
        user: &User,
        key: (Fingerprint, String, String),
    ) -> Result<bool, Refusal> {
        let asked = self.ask("permission", || self.may(user, &key.1, &key.2));
        let allowed = match asked.await {
            Ok(allowed) => allowed,
            Err(error @ ReviewError::Unanswered(_)) => {
                let before = self.decisions.get_within_grace(&key);
                return before.filter(|allowed| *allowed).ok_or(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        // Nobody serves longer paths; they would only fill the memory.
        if key.2.len() <= LONGEST_PATH {
            let holds = if allowed { ALLOWED } else { DENIED };
            self.decisions.insert(key, allowed, holds);
        }
        Ok(allowed)
    }

    /// Asks the API server, several times if it has trouble. Logs an error.
    async fn ask<T, F>(&self, what: &str, question: impl Fn() -> F) -> Result<T, ReviewError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        // The time in the queue of this program says nothing about the API server.
        let permit = tokio::time::timeout(MAX_QUEUE_TIME, self.questions.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            tracing::debug!("--auth-filter: too many reviews are in progress for one of a {what}");
            return Err(ReviewError::Busy);
        };
        let mut rejected = None;
        let asked = repeat(question, &mut rejected);
        let asked = match self.review_timeout {
            None => asked.await,
            Some(timeout) => match tokio::time::timeout(timeout, asked).await {
                Ok(asked) => asked,
                Err(_) => Err(format!("no answer within {timeout:?}")),
            },
        };
        let asked = asked.map_err(|problem| match rejected {
            Some(problem) => ReviewError::Rejected(problem),
            None => ReviewError::Unanswered(problem),
        });
        self.log_outcome(what, asked.as_ref().err());
        asked
    }

    /// Logs the first failed review, and the first one that succeeds afterwards.
    fn log_outcome(&self, what: &str, error: Option<&ReviewError>) {
        let mut failing = self.failing_since.lock();
        match error {
            None => {
                if let Some(since) = failing.take() {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!(
                        seconds,
                        "--auth-filter: the API server reviews tokens again"
                    );
                }
            }
            Some(error) if failing.is_some() => {
                tracing::debug!("--auth-filter: the API server could not review a {what}: {error}");
            }
            Some(error) => {
                *failing = Some(Instant::now());
                tracing::warn!(
                    "--auth-filter: the API server could not review a {what}: {error}; requests \
                     whose verdict is not cached are refused meanwhile"
                );
            }
        }
    }

    async fn review(&self, token: &str) -> Result<Option<User>, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews
            .create(&PostParams::default(), &review)
            .await?
            .status;
        let status = status.filter(|status| status.authenticated == Some(true));
        Ok(status.and_then(|status| {
            let info = status.user?;
            Some(User {
                name: info.username.clone()?,
                info,
            })
        }))
    }

    async fn may(&self, user: &User, verb: &str, path: &str) -> Result<bool, kube::Error> {
        let mut groups = user.info.groups.clone().unwrap_or_default();
        let everybody = "system:authenticated";
        if !groups.iter().any(|group| group == everybody) {
            groups.push(everybody.to_owned());
        }
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name.clone()),
                uid: user.info.uid.clone(),
                groups: Some(groups),
                extra: user.info.extra.clone(),
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(verb.to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = reviews
            .create(&PostParams::default(), &review)
            .await?
            .status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

impl fmt::Debug for AuthFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFilter").finish_non_exhaustive()
    }
}

/// Asks several times. If an attempt failed in a way that does not mean that the API server is away,
/// `rejected` has its error afterwards, even if the future is dropped.
async fn repeat<T, F>(question: impl Fn() -> F, rejected: &mut Option<String>) -> Result<T, String>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let mut attempt = 1;
    loop {
        let error = match question().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !is_away(&error) {
            *rejected = Some(match &error {
                kube::Error::Api(status) => status.message.clone(),
                error => error.to_string(),
            });
        }
        let is_final =
            matches!(&error, kube::Error::Api(status) if status.code < 500 && status.code != 429);
        if is_final || attempt == ATTEMPTS {
            return Err(error.to_string());
        }
        tokio::time::sleep(PAUSE).await;
        attempt += 1;
    }
}

/// Whether the error means that the API server does not answer or fails, and not that it throttles, that
/// its answer is invalid, or that the exporter has no credentials.
fn is_away(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code >= 500,
        kube::Error::HyperError(_) => true,
        kube::Error::Service(error) => !has_no_credentials(&**error),
        _ => false,
    }
}

/// Whether an error or one of its sources is about credentials.
fn has_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.is::<AuthError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether a path needs no token: health, and a landing page that shows no data.
pub(crate) fn is_open(uri: &Uri) -> bool {
    match uri.path() {
        "/livez" | "/readyz" | "/healthz" => true,
        "/" => uri.query().is_none(),
        _ => false,
    }
}

/// The token of a request. As in Go's filter, it has one blank before it and none inside.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let is_token =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    is_token.then_some(token)
}

// === impl Cache ===

impl<K: Eq + std::hash::Hash, V: Clone> Cache<K, V> {
    fn new(grace: Duration) -> Self {
        Self {
            answers: Mutex::default(),
            grace,
        }
    }

    fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.get(key)?;
        (answer.until > Instant::now()).then(|| answer.value.clone())
    }

    /// The last answer, for an API server that cannot be asked.
    fn get_within_grace(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.get(key)?;
        (answer.since.elapsed() < self.grace).then(|| answer.value.clone())
    }

    fn remove(&self, key: &K) {
        self.answers.lock().remove(key);
    }

    fn insert(&self, key: K, value: V, holds: Duration) {
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if answers.len() >= REMEMBERED {
            answers.retain(|_, own| own.until > now || own.since + self.grace > now);
        }
        if answers.len() >= REMEMBERED {
            answers.clear();
        }
        let answer = Remembered {
            value,
            since: now,
            until: now + holds,
        };
        answers.insert(key, answer);
    }
}

// === impl ReviewError ===

impl fmt::Display for ReviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many reviews are in progress"),
            Self::Unanswered(problem) | Self::Rejected(problem) => f.write_str(problem),
        }
    }
}

// === impl Refusal ===

impl From<ReviewError> for Refusal {
    fn from(error: ReviewError) -> Self {
        match error {
            ReviewError::Busy => Self::Busy,
            ReviewError::Unanswered(_) | ReviewError::Rejected(_) => Self::Unavailable,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let nosniff = [("x-content-type-options", "nosniff")];
        match self {
            Self::Unauthorized => {
                let challenge = [("www-authenticate", "Bearer")];
                (
                    StatusCode::UNAUTHORIZED,
                    nosniff,
                    challenge,
                    "Unauthorized\n",
                )
                    .into_response()
            }
            Self::Denied(user) => {
                let text = format!("Authorization denied for user {user}\n");
                (StatusCode::FORBIDDEN, nosniff, text).into_response()
            }
            Self::Unavailable => {
                let text = "the API server cannot be asked for permission\n";
                (StatusCode::SERVICE_UNAVAILABLE, nosniff, text).into_response()
            }
            Self::Busy => {
                let text = "too many tokens are reviewed at the moment\n";
                (StatusCode::SERVICE_UNAVAILABLE, nosniff, text).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[test]
    fn health_and_a_bare_landing_page_are_open() {
        for open in ["/", "/livez", "/readyz?verbose", "/healthz"] {
            assert!(is_open(&open.parse().unwrap()), "{open}");
        }
        for closed in [
            "/metrics",
            "/?q=pod",
            "/debug/resources",
            "/livez/x",
            "/healthz/",
        ] {
            assert!(!is_open(&closed.parse().unwrap()), "{closed}");
        }
    }

    #[test]
    fn a_token_comes_after_one_blank() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bEARER abc").as_deref(), Some("abc"));
        for none in ["Bearer", "Bearer ", "Bearer  abc", "Basic abc", "abc"] {
            assert_eq!(token(none), None, "{none}");
        }
    }

    /// A filter whose API server accepts one token, and the number of token reviews.
    fn filter() -> (AuthFilter, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let count = Arc::clone(&count);
            async move {
                let is_review = request.uri().path().ends_with("tokenreviews");
                let body = request.into_body().collect_bytes().await?;
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let status = if is_review {
                    count.fetch_add(1, Ordering::Relaxed);
                    json!({ "authenticated": body["spec"]["token"] == "right", "user": { "username": "u" } })
                } else {
                    json!({ "allowed": true })
                };
                let answer = json!({ "spec": {}, "status": status }).to_string();
                let answer = http::Response::new(http_body_util::Full::from(answer));
                Ok::<_, kube::Error>(answer)
            }
        });
        let limits = AuthLimits::default();
        (
            AuthFilter::new(Client::new(server, "default"), limits),
            asked,
        )
    }

    async fn check(filter: &AuthFilter, token: &str) -> Result<(), Refusal> {
        let value = format!("Bearer {token}").parse().unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        let path = Uri::from_static("/metrics");
        filter.check(&Method::GET, &path, &headers).await
    }

    #[tokio::test]
    async fn a_flood_of_wrong_tokens_does_not_make_us_forget_the_right_one() {
        let (filter, asked) = filter();
        assert_eq!(check(&filter, "right").await, Ok(()));
        for number in 0..2 * REMEMBERED {
            let refused = check(&filter, &number.to_string()).await;
            assert_eq!(refused, Err(Refusal::Unauthorized));
        }
        let before = asked.load(Ordering::Relaxed);
        assert_eq!(before, 1 + 2 * REMEMBERED);
        assert_eq!(check(&filter, "right").await, Ok(()));
        // The path of a permission is sent as well, unless it is too long.
        for (path, more) in [("/a".to_owned(), 1), (format!("/{}", "a".repeat(9999)), 0)] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer right".parse().unwrap())]);
            let before = filter.decisions.answers.lock().len();
            let path: Uri = path.parse().unwrap();
            let checked = filter.check(&Method::GET, &path, &headers).await;
            assert_eq!(checked, Ok(()));
            let now = filter.decisions.answers.lock().len();
            assert_eq!(now - before, more);
        }
        // The last invalid token is cached, too.
        let last = (2 * REMEMBERED - 1).to_string();
        assert_eq!(check(&filter, &last).await, Err(Refusal::Unauthorized));
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }

    #[test]
    fn answers_are_forgotten_in_time_and_before_there_are_too_many() {
        let cache = Cache::new(Duration::ZERO);
        cache.insert(0, 'a', Duration::from_secs(9));
        cache.insert(1, 'b', Duration::ZERO);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some('a'), None));
        for key in 0..3 * REMEMBERED {
            cache.insert(key, 'c', Duration::from_secs(9));
        }
        assert!(cache.answers.lock().len() <= REMEMBERED);
    }
    /// A filter whose API server accepts every token, refuses it, or does not answer.
    fn filter_with(server: Arc<Mutex<Option<bool>>>, grace: Option<Duration>) -> AuthFilter {
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let verdict = *server.lock();
            async move {
                let Some(verdict) = verdict else {
                    return std::future::pending().await;
                };
                drop(request);
                let status = json!({ "authenticated": verdict, "allowed": verdict, "user": { "username": "u" } });
                let answer = json!({ "spec": {}, "status": status }).to_string();
                Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
            }
        });
        let review = Some(Duration::from_secs(2));
        let limits = AuthLimits { review, grace };
        AuthFilter::new(Client::new(server, "default"), limits)
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_hangs_costs_the_review_timeout() {
        let server = Arc::new(Mutex::new(Some(true)));
        let filter = filter_with(Arc::clone(&server), None);
        assert_eq!(check(&filter, "right").await, Ok(()));
        *server.lock() = None;
        tokio::time::advance(TOKEN_VALID).await;
        let start = Instant::now();
        assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[test]
    fn a_verdict_holds_for_the_grace_while_the_api_server_does_not_answer() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = Arc::new(Mutex::new(Some(true)));
            let filter = filter_with(Arc::clone(&server), Some(Duration::from_secs(600)));
            assert_eq!(check(&filter, "right").await, Ok(()));
            *server.lock() = None;
            tokio::time::advance(ALLOWED + TOKEN_VALID).await;
            assert_eq!(check(&filter, "right").await, Ok(()));
            let unknown = check(&filter, "unknown").await;
            assert_eq!(unknown, Err(Refusal::Unavailable));
            tokio::time::advance(Duration::from_secs(240)).await;
            assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));

            // A negative verdict ends the grace.
            *server.lock() = Some(true);
            assert_eq!(check(&filter, "right").await, Ok(()));
            tokio::time::advance(TOKEN_VALID).await;
            *server.lock() = Some(false);
            assert_eq!(check(&filter, "right").await, Err(Refusal::Unauthorized));
            *server.lock() = None;
            tokio::time::advance(TOKEN_INVALID).await;
            assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_reviews_does_not_let_a_revoked_token_in() {
        let server = Arc::new(Mutex::new(Some(true)));
        let filter = filter_with(Arc::clone(&server), Some(Duration::from_secs(600)));
        assert_eq!(check(&filter, "right").await, Ok(()));
        *server.lock() = Some(false);
        tokio::time::advance(TOKEN_VALID).await;
        let permits = u32::try_from(QUESTIONS).unwrap();
        let flood = filter.questions.acquire_many(permits).await.unwrap();
        assert_eq!(check(&filter, "right").await, Err(Refusal::Busy));
        let status = Refusal::Busy.into_response().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        drop(flood);
        assert_eq!(check(&filter, "right").await, Err(Refusal::Unauthorized));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_is_for_a_server_that_is_away_only() {
        let answer = Arc::new(Mutex::new((200, "")));
        let server = Arc::clone(&answer);
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let (code, text) = *server.lock();
            async move {
                if code == 0 {
                    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                    return Err(refused.into());
                }
                if code == 1 {
                    return Err(AuthError::ExecPluginFailed.into());
                }
                let status =
                    json!({ "authenticated": true, "allowed": true, "user": { "username": "u" } });
                let right = json!({ "spec": {}, "status": status }).to_string();
                let text = if code == 200 && text.is_empty() {
                    right
                } else {
                    text.to_owned()
                };
                let mut answer = http::Response::new(http_body_util::Full::from(text));
                *answer.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
            }
        });
        let limits = AuthLimits {
            review: Some(Duration::from_secs(2)),
            grace: Some(Duration::from_secs(600)),
        };
        let filter = AuthFilter::new(Client::new(server, "default"), limits);
        assert_eq!(check(&filter, "right").await, Ok(()));
        tokio::time::advance(TOKEN_VALID).await;
        for (code, text, is_away) in [
            (0, "", true),
            (500, r#"{"code": 500}"#, true),
            (503, "", true),
            (1, "", false),
            (429, r#"{"code": 429}"#, false),
            (403, r#"{"code": 403}"#, false),
            (200, "<html>", false),
        ] {
            *answer.lock() = (code, text);
            let expected = if is_away {
                Ok(())
            } else {
                Err(Refusal::Unavailable)
            };
            assert_eq!(check(&filter, "right").await, expected, "{code} {text}");
        }
    }
}
