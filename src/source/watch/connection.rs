//! Requests and their answers: nothing here waits longer than it says.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::time::timeout;

use super::failure::Failure;

/// The body of an answer, as it arrives.
pub(super) struct Answer {
    body: Body,
}

/// Refusals are short; what is longer is not read.
const MAX_REFUSAL: usize = 64 << 10;

/// Sends a request and waits for the beginning of a good answer.
pub(super) async fn send(
    client: &Client,
    request: Request<Body>,
    patience: Duration,
) -> Result<Answer, Failure> {
    let sent = timeout(patience, client.send(request)).await;
    let answer = sent
        .map_err(|_| Failure::unreachable(format!("no answer within {patience:?}")))?
        .map_err(|error| Failure::of_request(&error))?;
    if answer.status() == StatusCode::OK {
        return Ok(Answer {
            body: answer.into_body(),
        });
    }
    Err(refusal(answer, patience).await)
}

async fn refusal(answer: Response<Body>, patience: Duration) -> Failure {
    let (parts, body) = answer.into_parts();
    let mut answer = Answer { body };
    let mut text = Vec::new();
    while let Ok(Some(bytes)) = answer.next(patience).await {
        text.extend_from_slice(&bytes);
        if text.len() > MAX_REFUSAL {
            break;
        }
    }
    Failure::of_answer(parts.status, &parts.headers, &text)
}

impl Answer {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Option<Bytes>, Failure> {
        match timeout(patience, self.read()).await {
            Ok(read) => read,
            Err(_) => Err(Failure::unreachable(format!(
                "nothing came for {patience:?}"
            ))),
        }
    }

    /// The next bytes, whenever they come. Nothing is lost where the future is dropped.
    pub(super) fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send {
        let body = &mut self.body;
        async move {
            loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(Failure::of_client(&error)),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) if bytes.is_empty() => {}
                        Ok(bytes) => return Ok(Some(bytes)),
                        Err(_trailers) => {}
                    },
                }
            }
        }
    }
}
