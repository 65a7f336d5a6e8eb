//! [`Reviewer`]: asks the API server which user a token belongs to, and what the user may do, at a limited rate.
//!
//! Each of these two questions is a *review*. A token is *known* if the API server has accepted it in the last minutes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Client, Resource};
use prometheus_web_config::fair_queue::{FairQueue, Turn};
use prometheus_web_config::fingerprint::{Fingerprint, FingerprintKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache::Size;
use super::outcome::OutcomeLog;
use super::review::{self, ReviewError};
use crate::pace::Pace;

/// The maximum number of requests to the API server per second. All kinds of reviews share this limit.
pub(super) const RATE: u32 = 50;
/// The maximum number of concurrent reviews of unknown tokens. The limit prevents a flood of invalid tokens from
/// overloading the API server.
pub(super) const STRANGERS: usize = 8;
/// The maximum number of concurrent reviews of known tokens. The same maximum applies to reviews of permissions. Each
/// of these two kinds has its own queue, so that many unknown tokens do not delay its reviews.
pub(super) const OTHERS: usize = 4;
/// The maximum number of reviews of each kind that wait in the queue.
pub(super) const WAITING: usize = 32;
/// The maximum time that a review waits in the queue. This time is longer than the default timeout of a review. So even
/// if all running reviews time out, the next client in the queue still gets its turn.
const MAX_QUEUE_TIME: Duration = Duration::from_secs(3);

/// The maximum memory of one user in bytes: about 5,000 groups with long names. The exporter remembers users, and sends
/// all groups to the API server again when it asks for a permission.
pub(super) const LARGEST_USER: usize = 512 << 10;

/// The user of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    pub(super) name: String,
    info: Arc<UserInfo>,
}

/// The memory of a text in addition to its bytes: the pointer to it, and the rounding of the allocator.
const TEXT: usize = 48;

/// What a review checks. Reviews of each kind wait in a separate queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A token that the API server has not accepted before.
    UnknownToken,
    /// A token that the API server has accepted before.
    KnownToken,
    Permission,
}

/// A queue of reviews that serves the client addresses in rotation. All clients with an unknown address count as one
/// client.
type Turns = FairQueue<Option<IpAddr>>;

/// The right to run one review. Dropping this value lets the next review run.
pub(super) type ReviewTurn = Turn<Option<IpAddr>>;

/// The error if too many reviews are waiting, or if a review has waited too long. If a caller receives this error, the
/// exporter has sent no request to the API server.
pub(super) struct Busy;

/// Sends reviews to the API server at a limited rate.
pub(super) struct Reviewer {
    client: Client,
    unknown_tokens: Turns,
    known_tokens: Turns,
    permissions: Turns,
    pace: Pace,
    /// The maximum time of one review, including a second attempt.
    timeout: Option<Duration>,
    token_outcomes: OutcomeLog,
    permission_outcomes: OutcomeLog,
}

// === impl User ===

impl User {
    /// A keyed hash of all properties that determine the permissions of the user.
    pub(super) fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        let UserInfo {
            extra,
            groups,
            uid,
            username,
        } = &*self.info;
        key.fingerprint(&(extra, groups, uid, username))
    }
}

impl Size for User {
    fn size(&self) -> usize {
        let UserInfo {
            extra,
            groups,
            uid,
            username,
        } = &*self.info;
        let extra = extra.iter().flatten();
        let extra = extra.flat_map(|(key, values)| std::iter::once(key).chain(values));
        let texts = extra.chain(groups.iter().flatten());
        let texts = texts.chain(uid).chain(username).chain([&self.name]);
        texts.map(|text| text.len() + TEXT).sum()
    }
}

// === impl Kind ===

impl Kind {
    fn what(self) -> &'static str {
        match self {
            Self::UnknownToken | Self::KnownToken => "token",
            Self::Permission => "permission",
        }
    }
}

// === impl Reviewer ===

impl Reviewer {
    pub(super) fn new(client: Client, timeout: Option<Duration>) -> Self {
        Self {
            client,
            unknown_tokens: FairQueue::new(STRANGERS, WAITING),
            known_tokens: FairQueue::new(OTHERS, WAITING),
            permissions: FairQueue::new(OTHERS, WAITING),
            pace: Pace::new(RATE),
            timeout,
            token_outcomes: OutcomeLog::new("token"),
            permission_outcomes: OutcomeLog::new("permission"),
        }
    }

    /// Waits until a review may run. The queue serves the clients in rotation.
    ///
    /// # Errors
    ///
    /// The function fails if too many reviews wait, or if the review waits longer than [`MAX_QUEUE_TIME`].
    pub(super) async fn turn(
        &self,
        kind: Kind,
        client: Option<IpAddr>,
    ) -> Result<ReviewTurn, Busy> {
        let turns = match kind {
            Kind::UnknownToken => &self.unknown_tokens,
            Kind::KnownToken => &self.known_tokens,
            Kind::Permission => &self.permissions,
        };
        // The timeout of a review does not include the time in the queue: the queue may be long although the API server
        // is fast.
        match tokio::time::timeout(MAX_QUEUE_TIME, turns.turn(client)).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                let what = kind.what();
                tracing::debug!(
                    "--auth-filter: refused the review of a {what}, because too many reviews are waiting"
                );
                Err(Busy)
            }
        }
    }

    /// Asks the API server which user a token belongs to; `None` if the token is invalid.
    pub(super) async fn user_of(&self, token: &str) -> Result<Option<User>, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let review = self.ask(&review, token).await;
        let review = review.inspect_err(|error| self.token_outcomes.record(Some(error)))?;
        let status = review.status;
        let status = status.filter(|status| status.authenticated == Some(true));
        let user = status.and_then(|status| {
            let info = status.user?;
            Some(User {
                name: info.username.clone()?,
                info: Arc::new(info),
            })
        });
        match user.as_ref().map(User::size) {
            Some(size) if size > LARGEST_USER => {
                let error = ReviewError::Rejected(format!(
                    "the groups and the extra fields of the user need {size} bytes, more than {LARGEST_USER}; reduce \
                     them in the authenticator of the API server"
                ));
                self.token_outcomes.record(Some(&error));
                Err(error)
            }
            _ => {
                self.token_outcomes.record(None);
                Ok(user)
            }
        }
    }

    /// Asks the API server whether a user may read a path. `token` is the token of the user. The request does not
    /// contain it, but the API server may know it from an earlier review, and repeat it in an error.
    pub(super) async fn may(
        &self,
        user: &User,
        token: &str,
        verb: &str,
        path: &str,
    ) -> Result<bool, ReviewError> {
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
        let review = self.ask(&review, token).await;
        self.permission_outcomes.record(review.as_ref().err());
        let status = review?.status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    /// Sends a review to the API server. Fails if there is no answer within the timeout.
    async fn ask<K>(&self, review: &K, token: &str) -> Result<K, ReviewError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        // The timeout of a review does not include this wait for the rate limit.
        self.pace.wait().await;
        let asked = review::send(&self.client, review, &self.pace, token);
        let Some(timeout) = self.timeout else {
            return asked.await;
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(asked) => asked,
            Err(_) => Err(ReviewError::Unanswered(format!(
                "no answer within {timeout:?}"
            ))),
        }
    }
}
