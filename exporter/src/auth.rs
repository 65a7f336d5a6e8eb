//! The token filter (`--auth-filter`): the API server authenticates and authorizes each request.
//!
//! A *review* is a request to the API server. It asks which user a token belongs to (`TokenReview`), or whether the
//! user has the permission to read a path (`SubjectAccessReview`). The filter caches the verdicts.

mod cache;
mod outcome;
mod redaction;
mod review;
mod reviewer;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use kube::Client;
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};

use crate::humanize::visible_line;
use crate::options::AuthLimits;
use cache::{Cache, Found};
use review::ReviewError;
use reviewer::{Busy, Kind, Reviewer, User};

/// The time after which the verdict on a valid token expires. If requests use the token, the exporter renews the
/// verdict before it expires.
const TOKEN_VALID: Duration = Duration::from_secs(60);
const TOKEN_INVALID: Duration = Duration::from_secs(10);
/// The time for which a token counts as known after its last successful review. Reviews of known tokens wait in a
/// separate queue, so that many unknown tokens do not delay them.
const TOKEN_KNOWN: Duration = Duration::from_secs(600);
/// The time after which the verdict on a permission expires. If requests need the permission, the exporter renews the
/// verdict before it expires.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// The maximum length of a verb and a path in bytes. The exporter does not cache permissions for longer ones.
const LONGEST_PATH: usize = 256;

/// The time after which expired verdicts are freed.
const FREE_INTERVAL: Duration = Duration::from_secs(30);

/// Accepts requests whose token may read the requested path.
///
/// If a client drops its request, the review of its token continues, and the verdict is cached. Until the review ends,
/// it counts toward the limit on concurrent reviews.
#[derive(Clone)]
pub(crate) struct AuthFilter(Arc<Verdicts>);

/// The cached verdicts of the API server, and the reviewer that requests new verdicts.
struct Verdicts {
    reviewer: Reviewer,
    users: Cache<Fingerprint, User>,
    /// The invalid tokens. Invalid tokens have a separate cache, so that many invalid tokens do not evict the valid
    /// tokens.
    strangers: Cache<Fingerprint, ()>,
    decisions: Cache<DecisionKey, bool>,
    fingerprint_key: FingerprintKey,
}

/// The key of a permission in the cache: the fingerprint (keyed hash) of the user and its groups, the verb, and the
/// path.
///
/// A later review of a token may return another user or other groups. Then the fingerprint is different, so the cached
/// permissions of the earlier user are not used.
type DecisionKey = (Fingerprint, String, String);

/// The reason why a request is refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// There is no token, or the token is invalid.
    Unauthorized,
    /// The user may not read this path.
    Denied(String),
    /// The API server is unreachable, does not answer in time, or fails (5xx).
    Unavailable,
    /// The API server does not accept the request for a review, or its response is invalid.
    NotReviewed,
    /// Too many reviews wait, or this review has waited too long.
    Busy,
}

// === impl AuthFilter ===

impl AuthFilter {
    pub(crate) fn new(client: Client, limits: AuthLimits) -> Self {
        let grace = limits.grace.unwrap_or_default();
        let verdicts = Arc::new(Verdicts {
            reviewer: Reviewer::new(client, limits.review),
            users: Cache::new(grace, TOKEN_KNOWN),
            strangers: Cache::new(Duration::ZERO, Duration::ZERO),
            decisions: Cache::new(grace, Duration::ZERO),
            fingerprint_key: FingerprintKey::default(),
        });
        tokio::spawn(free_expired(Arc::downgrade(&verdicts)));
        Self(verdicts)
    }

    /// Checks a request of a client. If several clients wait for reviews, the exporter reviews one request of each
    /// client in rotation. Clients with the same IPv4 address, or in the same IPv6 network, count as one client.
    ///
    /// # Errors
    ///
    /// Returns the reason why the request is refused.
    pub(crate) async fn check(
        &self,
        client: Option<IpAddr>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if is_open(uri) {
            return Ok(());
        }
        self.0.check_path(client, method, uri.path(), headers).await
    }

    /// Checks whether the client may read metrics. If so, the landing page shows data to this client.
    ///
    /// # Errors
    ///
    /// Returns the reason why the client may not read metrics.
    pub(crate) async fn may_see_data(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // In the queue of reviews, all viewers of the landing page together count as one client, so that they do not
        // delay scrapes.
        self.0
            .check_path(None, &Method::GET, "/metrics", headers)
            .await
    }
}

// === impl Verdicts ===

impl Verdicts {
    async fn check_path(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::Unauthorized)?;
        let fingerprint = self.fingerprint_key.fingerprint(token);
        if self.strangers.get(&fingerprint).is_some() {
            return Err(Refusal::Unauthorized);
        }
        let user = match self.users.find(&fingerprint) {
            Found::Valid(user) => user,
            Found::Renew(user) => {
                self.renew_user(client, token, fingerprint);
                user
            }
            Found::Expired => {
                self.ask_user(Kind::KnownToken, client, token, fingerprint)
                    .await?
            }
            Found::Nothing => {
                self.ask_user(Kind::UnknownToken, client, token, fingerprint)
                    .await?
            }
        };
        let verb = method.as_str().to_ascii_lowercase();
        let key = (
            user.fingerprint(&self.fingerprint_key),
            verb,
            path.to_owned(),
        );
        let name = user.name.clone();
        let allowed = match self.decisions.find(&key) {
            Found::Valid(allowed) => allowed,
            Found::Renew(allowed) => {
                self.renew_decision(client, user, token, key);
                allowed
            }
            Found::Expired | Found::Nothing => self.ask_decision(client, user, token, key).await?,
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::Denied(name))
        }
    }

    /// Asks the API server which user a token belongs to.
    async fn ask_user(
        self: &Arc<Self>,
        kind: Kind,
        client: Option<IpAddr>,
        token: &str,
        fingerprint: Fingerprint,
    ) -> Result<User, Refusal> {
        let turn = self.reviewer.turn(kind, client).await?;
        // While this request waited in the queue, the exporter may have reviewed the same token for an earlier request.
        if let Some(user) = self.users.get(&fingerprint) {
            return Ok(user);
        }
        if self.strangers.get(&fingerprint).is_some() {
            return Err(Refusal::Unauthorized);
        }
        let (verdicts, token) = (Arc::clone(self), token.to_owned());
        to_its_end(async move {
            let user = verdicts.review_user(&token, fingerprint).await;
            drop(turn);
            user
        })
        .await
    }

    /// Renews the verdict on a token before the verdict expires.
    fn renew_user(self: &Arc<Self>, client: Option<IpAddr>, token: &str, fingerprint: Fingerprint) {
        let (verdicts, token) = (Arc::clone(self), token.to_owned());
        tokio::spawn(async move {
            let turn = verdicts.reviewer.turn(Kind::KnownToken, client).await;
            if turn.is_ok() {
                // The result is not needed here: `review_user` caches the verdict, or logs the failure.
                let _ = verdicts.review_user(&token, fingerprint).await;
            }
            verdicts.users.renewal_failed(&fingerprint);
        });
    }

    async fn review_user(&self, token: &str, fingerprint: Fingerprint) -> Result<User, Refusal> {
        match self.reviewer.user_of(token).await {
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
    async fn ask_decision(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        user: User,
        token: &str,
        key: DecisionKey,
    ) -> Result<bool, Refusal> {
        let turn = self.reviewer.turn(Kind::Permission, client).await?;
        if let Some(allowed) = self.decisions.get(&key) {
            return Ok(allowed);
        }
        let (verdicts, token) = (Arc::clone(self), token.to_owned());
        to_its_end(async move {
            let allowed = verdicts.review_decision(&user, &token, key).await;
            drop(turn);
            allowed
        })
        .await
    }

    /// Renews the verdict on a permission before the verdict expires.
    fn renew_decision(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        user: User,
        token: &str,
        key: DecisionKey,
    ) {
        let (verdicts, token) = (Arc::clone(self), token.to_owned());
        tokio::spawn(async move {
            let turn = verdicts.reviewer.turn(Kind::Permission, client).await;
            if turn.is_ok() {
                let _ = verdicts.review_decision(&user, &token, key.clone()).await;
            }
            verdicts.decisions.renewal_failed(&key);
        });
    }

    async fn review_decision(
        &self,
        user: &User,
        token: &str,
        key: DecisionKey,
    ) -> Result<bool, Refusal> {
        let allowed = match self.reviewer.may(user, token, &key.1, &key.2).await {
            Ok(allowed) => allowed,
            Err(error @ ReviewError::Unanswered(_)) => {
                let before = self.decisions.get_within_grace(&key);
                return before.filter(|allowed| *allowed).ok_or(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        // No endpoint of the exporter has such a long path, so a cached permission would only use memory.
        if key.1.len() + key.2.len() <= LONGEST_PATH {
            let holds = if allowed { ALLOWED } else { DENIED };
            self.decisions.insert(key, allowed, holds);
        }
        Ok(allowed)
    }
}

/// Frees the memory of expired verdicts, also while there are no requests. The function ends when the filter is dropped.
async fn free_expired(verdicts: Weak<Verdicts>) {
    loop {
        tokio::time::sleep(FREE_INTERVAL).await;
        let Some(verdicts) = verdicts.upgrade() else {
            return;
        };
        verdicts.users.free_expired();
        verdicts.strangers.free_expired();
        verdicts.decisions.free_expired();
    }
}

/// Runs a review to its end, even if the client drops its request. The API server continues such a review, so the
/// review must count toward the limit on concurrent reviews until it ends.
async fn to_its_end<T: Send + 'static>(
    review: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    // The task fails only if the runtime is shutting down.
    let ended = tokio::spawn(review).await;
    ended.unwrap_or(Err(Refusal::Unavailable))
}

impl fmt::Debug for AuthFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFilter").finish_non_exhaustive()
    }
}

/// Whether a path needs no token: the health endpoints, and the landing page without data.
pub(crate) fn is_open(uri: &Uri) -> bool {
    match uri.path() {
        "/livez" | "/readyz" | "/healthz" => true,
        "/" => uri.query().is_none(),
        _ => false,
    }
}

/// The token of a request; `None` if there is no valid token. As in kube-state-metrics, exactly one space must separate
/// `Bearer` and the token. A token that contains a space is invalid.
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
            ReviewError::Unanswered(_) => Self::Unavailable,
            ReviewError::Rejected(_) => Self::NotReviewed,
        }
    }
}

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let challenge = [("www-authenticate", "Bearer")];
                (StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response()
            }
            Self::Denied(user) => {
                let text = format!("Authorization denied for user {}\n", visible_line(user));
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Unavailable => {
                let text =
                    "the API server does not answer or fails, so the token cannot be reviewed\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
            Self::NotReviewed => {
                let text = "the API server did not accept the request to review the token, or its \
                            response is invalid; see the log of the exporter\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
            Self::Busy => {
                let text = "too many tokens are waiting for their review\n";
                let retry = [("retry-after", "1")];
                (StatusCode::TOO_MANY_REQUESTS, retry, text).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests;
