//! The token filter (`--auth-filter`): the API server authenticates and authorizes each request.

mod cache;
mod review;

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
use kube::{Api, Client};
use parking_lot::Mutex;
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::options::AuthLimits;
use cache::Cache;
use review::{ReviewError, repeat};

/// The time after which a valid token is reviewed again.
const TOKEN_VALID: Duration = Duration::from_secs(60);
const TOKEN_INVALID: Duration = Duration::from_secs(10);
/// The time after which a permission is reviewed again.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// The maximum length of a path whose permission is cached, in bytes.
const LONGEST_PATH: usize = 256;
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
mod tests;
