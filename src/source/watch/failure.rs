//! [`Failure`]: the reason why a request or a watch failed, and the data that decides about the next request.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use kube::client::AuthError;
use kube::runtime::watcher;
use kube_protobuf::{Envelope, PREFIX, STATUS};
use serde::Deserialize;

use super::buffer_budget::HeldTooLong;
use super::split_error::SplitError;
use super::token_words::without_tokens;
use crate::decode::{json_fields, json_text};
use crate::errors::shortened;
use crate::source::health::FailureReason;

/// The reason why a request or a watch failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: FailureReason,
    /// Whether the requested resource version is newer than the newest version of the server.
    pub(super) version_too_large: bool,
    /// Whether the next request must ask for another encoding: the server refused the requested encoding, or a response
    /// in protobuf was malformed.
    pub(super) is_of_encoding: bool,
    pub(super) message: String,
    /// The time in the header `Retry-After`, or in the `Status`, of the response.
    pub(super) retry_after: Option<Duration>,
    /// Whether the server is unreachable, or a proxy responds that the server is unreachable.
    pub(super) is_away: bool,
    pub(super) contact: Contact,
}

/// How far a request got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// The connection failed.
    None,
    /// The server accepted the connection, but sent no response or an invalid response.
    Some,
    /// The server responded with an error.
    Answer,
}

/// The fields of a Kubernetes `Status` object that this module reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    code: u16,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    retry_after_seconds: u64,
    causes: Vec<Cause>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

/// The text in the message of an error for a resource version that is newer than the newest version of the server.
const TOO_LARGE: &str = "Too large resource version";
/// The maximum pause, even if the server requests a longer pause by `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

// === impl Failure ===

impl Failure {
    pub(super) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            version_too_large: false,
            is_of_encoding: false,
            message: shortened(message.into()),
            retry_after: None,
            is_away: reason == FailureReason::Unreachable,
            contact: Contact::Some,
        }
    }

    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(FailureReason::Unreachable, message)
    }

    /// Creates the failure for a response that contains no complete object within `timeout`.
    pub(super) fn no_object(timeout: Duration) -> Self {
        Self::unreachable(format!("no complete object within {timeout:?}"))
    }

    /// Creates the failure for a malformed response in protobuf. The next request must ask for JSON.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self {
            is_of_encoding: true,
            ..Self::new(FailureReason::DecodeError, message)
        }
    }

    /// Creates the failure for a reachable server that does not send what it must send. The pause before the next
    /// request grows with each such failure.
    pub(super) fn of_reachable(message: impl Into<String>) -> Self {
        Self {
            is_away: false,
            ..Self::unreachable(message)
        }
    }

    /// The same failure of a server that is reachable, because it has answered other requests or a part of this one.
    pub(super) fn despite_answers(self) -> Self {
        Self {
            is_away: false,
            ..self
        }
    }

    /// Creates the failure for a request that got no response.
    pub(super) fn of_request(error: &kube::Error) -> Self {
        let failure = Self::of_client(error);
        let contact = match failure.reason {
            FailureReason::Unreachable => Contact::None,
            _ => failure.contact,
        };
        Self { contact, ..failure }
    }

    /// Creates the failure for an error of the client: there was no response, or the response was incomplete.
    pub(super) fn of_client(error: &kube::Error) -> Self {
        if let Some(error) = credentials(error) {
            return Self::new(FailureReason::Unauthorized, no_credentials(error));
        }
        let message = match error {
            kube::Error::Service(error) => chain(&**error),
            kube::Error::HyperError(error) => chain(error),
            error => chain(error),
        };
        Self::unreachable(message)
    }

    /// Creates the failure for an error of a watch of `kube::runtime`.
    pub(super) fn of_watcher(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) => Self::of_status(&Status::from(&**status)),
                error => Self::of_client(error),
            },
            watcher::Error::WatchError(status) => Self::of_status(&Status::from(&**status)),
            error @ watcher::Error::NoResourceVersion => {
                Self::new(FailureReason::DecodeError, error.to_string())
            }
        }
    }

    /// Creates the failure for a response with a status other than 200.
    pub(super) fn of_response(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut status = Status::parse(body);
        // The HTTP status code takes precedence over the code in the body.
        status.code = code.as_u16();
        if status.message.is_empty() {
            let reason = code.canonical_reason().unwrap_or("no reason given");
            status.message = format!("{} {reason}", code.as_u16());
        }
        let mut failure = Self::of_status(&status);
        let asked = headers.get(header::RETRY_AFTER);
        let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // A time of 0 is ignored. Otherwise, the pause between two requests would be short and would never grow.
        if let Some(seconds) = asked.filter(|seconds| *seconds > 0) {
            failure.retry_after = Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
        }
        failure
    }

    /// Creates the failure for a `Status` that the server sent in an error response or in an event of a watch.
    pub(super) fn of_status(status: &Status) -> Self {
        let details = status.details.as_ref();
        let mut causes = details.into_iter().flat_map(|own| &own.causes);
        // Old API servers send no cause, so only the message differs from the message of a timeout.
        let too_large = status.code == 504 && status.message.contains(TOO_LARGE)
            || causes.any(|cause| {
                cause.reason == "ResourceVersionTooLarge" || cause.message.contains(TOO_LARGE)
            });
        let reason = match (status.code, &*status.reason) {
            _ if too_large => FailureReason::Expired,
            (410, _) | (_, "Expired" | "Gone") => FailureReason::Expired,
            (403, _) => FailureReason::Forbidden,
            (404, _) => FailureReason::NotFound,
            (401, _) => FailureReason::Unauthorized,
            (429, _) => FailureReason::Throttled,
            (400..500, _) => FailureReason::Rejected,
            _ => FailureReason::ServerError,
        };
        let seconds = details.map_or(0, |own| own.retry_after_seconds);
        let retry_after = Duration::from_secs(seconds).min(MAX_RETRY_AFTER);
        Self {
            version_too_large: too_large,
            // If the encoding is not supported, API servers respond with 406, and some proxies with 415.
            is_of_encoding: matches!(status.code, 406 | 415),
            retry_after: (seconds > 0).then_some(retry_after),
            is_away: reason == FailureReason::ServerError && (502..=504).contains(&status.code),
            contact: Contact::Answer,
            ..Self::new(reason, &*status.message)
        }
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Self::new(
            FailureReason::Rejected,
            format!("cannot build the request: {error}"),
        )
    }
}

impl From<HeldTooLong> for Failure {
    fn from(error: HeldTooLong) -> Self {
        Self::of_reachable(error.to_string())
    }
}

impl From<SplitError> for Failure {
    fn from(error: SplitError) -> Self {
        let message = error.to_string();
        match error {
            SplitError::Malformed(_) => Self::malformed(message),
            _ => Self::new(FailureReason::DecodeError, message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// Returns why a single request failed: the reason and the message that [`ClusterWatch`](super::ClusterWatch) reports for
/// such an error.
///
/// ```
/// use kube_state_metrics::source::health::FailureReason;
/// use kube_state_metrics::source::watch::failure_of_request;
///
/// let error = kube::Error::Service("connection refused".into());
/// let (reason, message) = failure_of_request(&error);
/// assert_eq!(reason, FailureReason::Unreachable);
/// assert_eq!(message, "connection refused");
/// ```
#[must_use]
pub fn failure_of_request(error: &kube::Error) -> (FailureReason, String) {
    let failure = match error {
        kube::Error::Api(status) => Failure::of_status(&Status::from(&**status)),
        error => Failure::of_client(error),
    };
    (failure.reason, failure.message)
}

/// Returns the cause of an error, if the cause is the credentials.
fn credentials(error: &kube::Error) -> Option<&AuthError> {
    match error {
        kube::Error::Auth(error) => Some(error),
        // kube also uses this variant if the credentials cannot be added to a request.
        kube::Error::Service(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Returns a message for an error about credentials. The message does not contain the secrets that a credential plugin
/// reads and writes. `[hidden]` replaces words that may be tokens.
fn no_credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().last().unwrap_or_default();
            let said = without_tokens(said);
            format!("the credential plugin failed with {}: {said}", out.status)
        }
        AuthError::AuthExecParse(_) => {
            "the output of the credential plugin is not an ExecCredential".to_owned()
        }
        // The prefix of kube names a credential plugin, but hosts also use this error for other credentials.
        AuthError::AuthExec(problem) => problem.clone(),
        error => chain(error),
    }
}

/// Joins the message of an error and the messages of its sources. A message that an earlier message already contains is
/// left out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = error.source();
    }
    text
}

// === impl Status ===

impl Status {
    /// Reads a `Status` in JSON or protobuf. For any other object, the result has no code and no message.
    pub(super) fn parse(object: &[u8]) -> Self {
        let status = if object.starts_with(&PREFIX) {
            Self::parse_protobuf(object)
        } else {
            serde_json::from_slice(object).ok()
        };
        status.unwrap_or_default()
    }

    /// Reads the object of an event of the type `ERROR`. If the object has no message, the message states what the event
    /// contains.
    pub(super) fn of_event(object: &[u8]) -> Self {
        let mut status = Self::parse(object);
        if status.message.is_empty() {
            status.message = status.without_message(object);
        }
        status
    }

    /// Returns a message for a `Status` without a message. `object` are its bytes, which may be another object.
    fn without_message(&self, object: &[u8]) -> String {
        if self.code != 0 || !self.reason.is_empty() {
            let (code, reason) = (self.code, self.reason.escape_debug());
            return format!(
                "the error of the watch has no message, only the code {code} and the reason `{reason}`"
            );
        }
        match kind_of(object) {
            Some(kind) => {
                let kind = kind.escape_debug();
                format!("the error of the watch has no message; its object has the kind `{kind}`")
            }
            None => {
                let size = object.len();
                format!(
                    "the error of the watch has no message; its object has {size} bytes and no kind"
                )
            }
        }
    }

    fn parse_protobuf(object: &[u8]) -> Option<Self> {
        let envelope = Envelope::parse(object).ok()?;
        let is_status = (envelope.api_version(), envelope.kind()) == ("v1", "Status");
        is_status.then(|| envelope.object_as(&STATUS).to().ok())?
    }
}

/// The kind of an object in JSON or protobuf.
fn kind_of(object: &[u8]) -> Option<String> {
    if object.starts_with(&PREFIX) {
        return Some(Envelope::parse(object).ok()?.kind().to_owned());
    }
    let [kind] = json_fields(object, ["kind"])?;
    json_text(kind?).map(|kind| kind.into_owned())
}

impl From<&kube::core::Status> for Status {
    fn from(status: &kube::core::Status) -> Self {
        let details = status.details.as_ref().map(|details| Details {
            retry_after_seconds: details.retry_after_seconds.into(),
            causes: (details.causes.iter())
                .map(|cause| Cause {
                    reason: cause.reason.clone(),
                    message: cause.message.clone(),
                })
                .collect(),
        });
        Self {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
            details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::MAX_MESSAGE;
    use http::HeaderValue;

    fn response(code: u16, body: &str) -> Failure {
        let code = StatusCode::from_u16(code).unwrap();
        Failure::of_response(code, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn every_code_has_its_reason() {
        for (code, reason) in [
            (403, FailureReason::Forbidden),
            (404, FailureReason::NotFound),
            (401, FailureReason::Unauthorized),
            (410, FailureReason::Expired),
            (429, FailureReason::Throttled),
            (400, FailureReason::Rejected),
            (422, FailureReason::Rejected),
            (500, FailureReason::ServerError),
            (503, FailureReason::ServerError),
            (302, FailureReason::ServerError),
        ] {
            assert_eq!(response(code, "").reason, reason, "{code}");
            assert_eq!(reason.is_refusal(), matches!(code, 403 | 404));
            assert_eq!(response(code, "").is_away, code == 503);
        }
        assert_eq!(response(503, "<html>").message, "503 Service Unavailable");
    }

    #[test]
    fn credentials_that_cannot_be_had_are_told_apart_and_kept_secret() {
        for error in [
            kube::Error::Auth(AuthError::ExecPluginFailed),
            kube::Error::Service(Box::new(AuthError::ExecPluginFailed)),
        ] {
            let failure = Failure::of_client(&error);
            assert_eq!(failure.reason, FailureReason::Unauthorized, "{error}");
        }
        let other = kube::Error::Service("no way".into());
        let reason = Failure::of_client(&other).reason;
        assert_eq!(reason, FailureReason::Unreachable);
        let out = std::process::Output {
            status: Default::default(),
            stdout: b"token".into(),
            stderr: b"trying\nno luck with 'eyJhbGciOi.eyJzdWIi'\n".into(),
        };
        let cmd = String::from("SECRET=x plugin");
        let error = AuthError::AuthExecRun {
            cmd,
            out: Box::new(out),
        };
        let message = Failure::of_client(&kube::Error::Auth(error)).message;
        assert_eq!(
            message,
            "the credential plugin failed with exit status: 0: no luck with '[hidden]'"
        );
    }

    #[test]
    fn a_version_that_is_too_large_is_told_from_a_time_out() {
        let body = r#"{"kind":"Status","code":504,"reason":"Timeout","message":"Too large resource version: 9, current: 5",
            "details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1}}"#;
        let failure = response(504, body);
        assert!(failure.version_too_large && !failure.is_away);
        assert_eq!(failure.reason, FailureReason::Expired);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
        assert!(!response(504, r#"{"reason":"Timeout"}"#).version_too_large);
        // Old API servers send no cause.
        let old = r#"{"kind":"Status","reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 5"}"#;
        let failure = response(504, old);
        assert!(failure.version_too_large && !failure.is_away);
        assert_eq!(failure.reason, FailureReason::Expired);
        assert!(!response(500, old).version_too_large);
    }

    #[test]
    fn an_error_of_a_watch_without_a_message_states_what_was_received() {
        let message = |object: &[u8]| Failure::of_status(&Status::of_event(object)).message;
        assert_eq!(message(br#"{"kind":"Status","message":"gone"}"#), "gone");
        for (object, expected) in [
            (
                r#"{"kind":"Pod\n","metadata":{"name":"a"}}"#,
                "the kind `Pod\\n`",
            ),
            (
                r#"{"kind":"Status","code":500,"reason":"a"}"#,
                "the code 500 and the reason `a`",
            ),
            (r#""text""#, "its object has 6 bytes and no kind"),
            ("null", "its object has 4 bytes and no kind"),
        ] {
            let message = message(object.as_bytes());
            assert!(message.contains(expected), "{message}");
        }
        let pod = serde_json::json!({ "kind": "Pod", "apiVersion": "v1" });
        let pod = kube_protobuf::encode::object(&pod).unwrap().unwrap();
        assert!(message(&pod).contains("the kind `Pod`"));
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = "é".repeat(MAX_MESSAGE);
        let body = format!(r#"{{"message":"x{message}"}}"#);
        for failure in [
            response(500, &body),
            Failure::unreachable(format!("x{message}")),
        ] {
            let length = failure.message.len();
            assert!(length <= MAX_MESSAGE + 20, "{length}");
            assert!(failure.message.ends_with("é... (2049 bytes)"), "{failure}");
        }
    }

    #[test]
    fn errors_are_read_from_protobuf_as_from_json() {
        let json = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "code": 504, "reason": "Timeout",
            "message": "Too large resource version: 9, current: 5", "details": {
                "causes": [{ "reason": "ResourceVersionTooLarge" }], "retryAfterSeconds": 1,
            },
        });
        let body = kube_protobuf::encode::object(&json).unwrap().unwrap();
        let (code, headers) = (StatusCode::GATEWAY_TIMEOUT, HeaderMap::new());
        let failure = Failure::of_response(code, &headers, &body);
        let from_json = Failure::of_response(code, &headers, json.to_string().as_bytes());
        assert_eq!(format!("{failure:?}"), format!("{from_json:?}"));
        assert!(failure.version_too_large);
        assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
        // An object that is not a `Status` is not read as an error.
        let pod = serde_json::json!({ "kind": "Pod", "apiVersion": "v1" });
        let pod = kube_protobuf::encode::object(&pod).unwrap().unwrap();
        assert_eq!(
            Failure::of_response(code, &headers, &pod).message,
            "504 Gateway Timeout"
        );
    }

    #[test]
    fn a_refused_encoding_is_told_from_other_refusals() {
        assert!(response(406, "").is_of_encoding && response(415, "").is_of_encoding);
        assert!(!response(400, "").is_of_encoding);
    }

    #[test]
    fn retry_after_is_taken_from_the_header_and_bounded() {
        for (value, seconds) in [
            ("7", Some(7)),
            ("999999", Some(120)),
            ("soon", None),
            ("0", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
            let failure = Failure::of_response(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
            assert_eq!(
                failure.retry_after,
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
