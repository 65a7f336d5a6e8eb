//! One review by the API server, with retries, and the errors of a review.

use std::fmt;
use std::time::Duration;

use kube::client::AuthError;

use super::pace::Pace;
use crate::humanize::one_line;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);
const ATTEMPTS: usize = 4;

/// The reason why a review has no result.
#[derive(Debug)]
pub(super) enum ReviewError {
    /// The API server does not answer, or fails (5xx). Only in this case, `--auth-filter-grace` applies.
    Unanswered(String),
    /// The API server does not accept the request for a review, or its response is invalid.
    Rejected(String),
}

/// Tries several times, at the given pace. If an attempt fails although the API server answers, `rejected` contains the
/// error afterwards, even if the future is dropped.
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

/// Whether the error means that the API server does not answer, or fails. False if the API server throttles requests,
/// if its response is invalid, or if the exporter has no credentials.
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
            Self::Unanswered(problem) | Self::Rejected(problem) => f.write_str(&one_line(problem)),
        }
    }
}
