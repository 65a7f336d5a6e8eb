//! Sends requests and reads responses, with timeouts.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::time;

use super::failure::Failure;
use crate::decode::Encoding;

/// The body of a response. It is read while its bytes arrive.
pub(super) struct ResponseBody {
    body: Body,
    encoding: Encoding,
}

/// Maximum number of bytes to read from the body of an error response.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Sends a request whose preferred encoding is `encoding`, and waits for the headers of the response. If the response
/// is not successful, returns the failure.
pub(super) async fn send(
    client: &Client,
    request: Request<Body>,
    encoding: Encoding,
    timeout: Duration,
) -> Result<ResponseBody, Failure> {
    let sent = time::timeout(timeout, client.send(request)).await;
    let response = sent
        .map_err(|_| Failure::unreachable(format!("no response within {timeout:?}")))?
        .map_err(|error| Failure::of_request(&error))?;
    if response.status() == StatusCode::OK {
        return Ok(ResponseBody {
            encoding: encoding.of_response(response.headers()),
            body: response.into_body(),
        });
    }
    Err(failure_of(response, timeout).await)
}

async fn failure_of(response: Response<Body>, timeout: Duration) -> Failure {
    let (parts, body) = response.into_parts();
    // This encoding is not used, because `Failure::of_response` detects the encoding of an error from its bytes.
    let encoding = Encoding::Json;
    let body = ResponseBody { body, encoding };
    let text = body.collect(MAX_ERROR_BYTES, timeout).await;
    Failure::of_response(parts.status, &parts.headers, &text.unwrap_or_default())
}

// === impl ResponseBody ===

impl ResponseBody {
    /// The encoding of the objects in the response.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Reads the body, but at most its first `limit` bytes. Returns an error if this takes longer than `timeout`.
    pub(super) async fn collect(
        mut self,
        limit: usize,
        timeout: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let read = async {
            let mut text = Vec::new();
            while text.len() < limit
                && let Some(bytes) = self.read().await?
            {
                let left = limit - text.len();
                text.extend_from_slice(bytes.get(..left).unwrap_or(&bytes));
            }
            Ok(text)
        };
        let late = |_| Failure::unreachable(format!("the response did not end within {timeout:?}"));
        time::timeout(timeout, read).await.map_err(late)?
    }

    /// Reads the next bytes, without a timeout. If the future is dropped, no bytes are lost.
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
