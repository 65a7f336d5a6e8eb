//! The token filter (`--auth-filter`): the API server says who asks and what they may read.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};
use tokio::sync::Semaphore;

/// A token is asked about again after so long.
const TOKEN_VALID: Duration = Duration::from_secs(60);
const TOKEN_INVALID: Duration = Duration::from_secs(10);
/// A permission is asked about again after so long.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Answers that are remembered.
const REMEMBERED: usize = 1024;
/// The longest path whose permission is remembered, in bytes.
const LONGEST_PATH: usize = 256;
/// The longest time for one question, repetitions included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between repetitions.
const PAUSE: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 4;
/// Questions at a time. Invalid tokens must not flood the API server.
const QUESTIONS: usize = 8;

/// Lets requests pass that have a token which may read what they ask for.
pub(crate) struct AuthFilter {
    client: Client,
    users: Cache<Fingerprint, User>,
    /// Apart from the users, so that many wrong tokens do not make us forget the right ones.
    strangers: Cache<Fingerprint, ()>,
    decisions: Cache<(Fingerprint, String, String), bool>,
    fingerprint_key: FingerprintKey,
    questions: Semaphore,
}

/// Why a request does not pass.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// There is no token, or nobody has it.
    Unauthorized,
    /// The user may not read this.
    Denied(String),
    /// The API server could not be asked.
    Unavailable,
}

/// Who has a token.
#[derive(Clone, Debug, PartialEq)]
struct User {
    name: String,
    info: UserInfo,
}

/// Answers with the time until which they hold.
struct Cache<K, V> {
    answers: Mutex<HashMap<K, (Instant, V)>>,
}

// === impl AuthFilter ===

impl AuthFilter {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            users: Cache::default(),
            strangers: Cache::default(),
            decisions: Cache::default(),
            fingerprint_key: FingerprintKey::default(),
            questions: Semaphore::new(QUESTIONS),
        }
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// Why it must not be answered.
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

    /// Checks whether who asks may read metrics, and so may see them on a page.
    ///
    /// # Errors
    ///
    /// Why they may not.
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
            None => {
                let Some(user) = self.ask("token", || self.review(token)).await? else {
                    self.strangers.insert(fingerprint, (), TOKEN_INVALID);
                    return Err(Refusal::Unauthorized);
                };
                self.users.insert(fingerprint, user.clone(), TOKEN_VALID);
                user
            }
        };
        let verb = method.as_str().to_ascii_lowercase();
        let key = (fingerprint, verb, path.to_owned());
        let allowed = match self.decisions.get(&key) {
            Some(allowed) => allowed,
            None => {
                let allowed = self
                    .ask("permission", || self.may(&user, &key.1, &key.2))
                    .await?;
                // Nobody serves longer paths; they would only fill the memory.
                if key.2.len() <= LONGEST_PATH {
                    let holds = if allowed { ALLOWED } else { DENIED };
                    self.decisions.insert(key, allowed, holds);
                }
                allowed
            }
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::Denied(user.name))
        }
    }

    /// Puts a question to the API server, again where it has trouble of its own.
    async fn ask<T, F>(&self, what: &str, question: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let asked = tokio::time::timeout(PATIENCE, async {
            let Ok(_permit) = self.questions.acquire().await else {
                return Err(String::from("stopped"));
            };
            let mut attempt = 1;
            loop {
                match question().await {
                    Ok(answer) => return Ok(answer),
                    Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                        return Err(status.message);
                    }
                    Err(error) if attempt == ATTEMPTS => return Err(error.to_string()),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
                attempt += 1;
            }
        });
        let problem = match asked.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(problem)) => problem,
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        tracing::warn!("--auth-filter: the API server could not review a {what}: {problem}");
        Err(Refusal::Unavailable)
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

/// Whether anybody may ask for this: health, and a landing page that shows no data.
pub(crate) fn is_open(uri: &Uri) -> bool {
    match uri.path() {
        "/livez" | "/readyz" | "/healthz" => true,
        "/" => uri.query().is_none(),
        _ => false,
    }
}

/// The token of a request. As in Go's filter, there is one blank before it and none in it.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let is_token =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    is_token.then_some(token)
}

// === impl Cache ===

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
        }
    }
}

impl<K: Eq + std::hash::Hash, V: Clone> Cache<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let (until, value) = answers.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    fn insert(&self, key: K, value: V, holds: Duration) {
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if answers.len() >= REMEMBERED {
            answers.retain(|_, (until, _)| *until > now);
        }
        if answers.len() >= REMEMBERED {
            answers.clear();
        }
        answers.insert(key, (now + holds, value));
    }
}

// === impl Refusal ===

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

    /// A filter whose API server knows one token; and how often that was asked about tokens.
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
        (AuthFilter::new(Client::new(server, "default")), asked)
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
        // So is what a permission is about, unless it is absurd.
        for (path, more) in [("/a".to_owned(), 1), (format!("/{}", "a".repeat(9999)), 0)] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer right".parse().unwrap())]);
            let before = filter.decisions.answers.lock().len();
            let path: Uri = path.parse().unwrap();
            let checked = filter.check(&Method::GET, &path, &headers).await;
            assert_eq!(checked, Ok(()));
            let now = filter.decisions.answers.lock().len();
            assert_eq!(now - before, more);
        }
        // The last wrong one is remembered, too.
        let last = (2 * REMEMBERED - 1).to_string();
        assert_eq!(check(&filter, &last).await, Err(Refusal::Unauthorized));
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }

    #[test]
    fn answers_are_forgotten_in_time_and_before_there_are_too_many() {
        let cache = Cache::default();
        cache.insert(0, 'a', Duration::from_secs(9));
        cache.insert(1, 'b', Duration::ZERO);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some('a'), None));
        for key in 0..3 * REMEMBERED {
            cache.insert(key, 'c', Duration::from_secs(9));
        }
        assert!(cache.answers.lock().len() <= REMEMBERED);
    }
}
