//! One review by the API server, repeated while it has trouble, and why there is none.

use std::fmt;
use std::time::Duration;

use kube::client::AuthError;

use super::pace::Pace;

/// Between repetitions.
const PAUSE: Duration = Duration::from_millis(300);
const ATTEMPTS: usize = 4;

/// Why there is no review.
#[derive(Debug)]
pub(super) enum ReviewError {
    /// The API server does not answer, or fails (5xx). Only then, verdicts hold for the grace.
    Unanswered(String),
    /// The API server does not accept the request for a review, or answers something else.
    Rejected(String),
}

/// Asks several times, at the given pace. If an attempt failed in a way that does not mean that the API server is away,
/// `rejected` has its error afterwards, even if the future is dropped.
pub(super) async fn repeat<T, F>(
    question: impl Fn() -> F,
    pace: &Pace,
    rejected: &mut Option<String>,
) -> Result<T, String>
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
        pace.wait().await;
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

// === impl ReviewError ===

impl fmt::Display for ReviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(problem) | Self::Rejected(problem) => f.write_str(problem),
        }
    }
}
