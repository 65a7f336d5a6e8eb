//! Sends one review to the API server, and describes why a review failed.
//!
//! A review asks which user a token belongs to, or what a user may do.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::api::PostParams;
use kube::client::{AuthError, Body};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::redaction::for_log;
use crate::cluster::check_status;
use crate::pace::Pace;

/// The maximum size of an answer in bytes. The code adds the size of the request to this number, because the API server
/// repeats the request in its answer.
pub(super) const LARGEST_ANSWER: usize = 1 << 20;
/// The time between a failed connection and the second attempt. There is no third attempt.
const PAUSE: Duration = Duration::from_millis(300);

/// Why a review failed. The message is safe for the log: it is short, and contains no part of the token.
#[derive(Debug)]
pub(super) enum ReviewError {
    /// The API server does not answer, or fails (5xx). `--auth-filter-grace` applies only to this case.
    Unanswered(String),
    /// The API server does not accept the request for a review, or its response is invalid.
    Rejected(String),
}

/// Why an attempt failed.
enum Failure {
    /// There was no connection, or the connection ended before the answer was complete. A second attempt may succeed.
    Connection(String),
    /// Another attempt would fail, too.
    Final(ReviewError),
}

/// The field of an API server's error response that the exporter logs.
#[derive(Deserialize)]
struct ErrorStatus {
    #[serde(default)]
    message: String,
}

/// Sends a review. If the connection fails, waits for the rate limit `pace` and sends the review a second time. `token`
/// is the token under review. The function removes the token from error messages.
pub(super) async fn send<K>(
    client: &Client,
    review: &K,
    pace: &Pace,
    token: &str,
) -> Result<K, ReviewError>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let mut sent = send_once(client, review, token).await;
    if matches!(sent, Err(Failure::Connection(_))) {
        tokio::time::sleep(PAUSE).await;
        pace.wait().await;
        sent = send_once(client, review, token).await;
    }
    sent.map_err(|failure| match failure {
        Failure::Connection(problem) => ReviewError::Unanswered(problem),
        Failure::Final(error) => error,
    })
}

/// Sends a review once. The function accepts only an answer with a success status. The function does not use
/// `Api::create` of kube, which accepts the body of a redirect as a review. `Api::create` also reads answers of any
/// length, and shows the whole error in its messages.
async fn send_once<K>(client: &Client, review: &K, token: &str) -> Result<K, Failure>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let rejected = |problem: String| Failure::Final(ReviewError::Rejected(problem));
    let kind = K::kind(&());
    let review = serde_json::to_vec(review).map_err(|error| rejected(error.to_string()))?;
    let limit = LARGEST_ANSWER.saturating_add(review.len());
    let request = kube::core::Request::new(K::url_path(&(), None));
    let request = request.create(&PostParams::default(), review);
    let request = request.map_err(|error| rejected(error.to_string()))?;
    let response = client.send(request.map(Body::from)).await;
    let response = response.map_err(|error| Failure::of(&error, token))?;
    let status = response.status();
    check_status(status).map_err(|error| rejected(error.to_string()))?;
    let body = Limited::new(response.into_body(), limit).collect().await;
    if !status.is_success() {
        // The request has failed, and the body contains only a message about the failure. If the body cannot be read,
        // the exporter logs no message.
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(Failure::Final(ReviewError::of_status(status, &body, token)));
    }
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => rejected(format!("its answer has more than {limit} bytes")),
        false => Failure::Connection(for_log(&error.to_string(), token)),
    })?;
    // The error omits the message of the JSON parser: it may quote the answer, and the answer contains the token.
    let parsed = serde_json::from_slice(&body.to_bytes());
    parsed.map_err(|_| rejected(format!("its answer is not a {kind}")))
}

// === impl Failure ===

impl Failure {
    fn of(error: &kube::Error, token: &str) -> Self {
        let text = for_log(&error.to_string(), token);
        match error {
            kube::Error::HyperError(_) => Self::Connection(text),
            kube::Error::Service(error) if !has_no_credentials(&**error) => Self::Connection(text),
            _ => Self::Final(ReviewError::Rejected(text)),
        }
    }
}

/// Whether an error or one of its sources means that the exporter has no valid credentials for the API server.
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

// === impl ReviewError ===

impl ReviewError {
    fn of_status(status: StatusCode, body: &[u8], token: &str) -> Self {
        let message = serde_json::from_slice::<ErrorStatus>(body).map(|error| error.message);
        let message = message.unwrap_or_default();
        let text = match message.trim() {
            "" => format!("it answers with {status}"),
            message => format!("it answers with {status}: {}", for_log(message, token)),
        };
        if status.is_server_error() {
            Self::Unanswered(text)
        } else {
            Self::Rejected(text)
        }
    }
}

impl fmt::Display for ReviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(problem) | Self::Rejected(problem) => f.write_str(problem),
        }
    }
}
