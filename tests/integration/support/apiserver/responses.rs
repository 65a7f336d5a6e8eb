//! Creates correct and faulty responses of the simulated server.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{FutureExt, Stream, StreamExt};
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};

use super::fault::Fault;
use super::wire::json_bytes;

pub(super) type Sender = UnboundedSender<io::Result<Bytes>>;
pub(super) type ApiResponse = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Returns a `Status` that reports a failure.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message
    })
}

/// Returns a response with an error.
pub(super) fn refusal(
    code: u16,
    reason: &str,
    message: &str,
    retry_after: Option<u64>,
) -> ApiResponse {
    with_code(code, status(code, reason, message).to_string(), retry_after)
}

/// Returns a response with this status code and with a body of known size.
pub(super) fn with_code(code: u16, body: String, retry_after: Option<u64>) -> ApiResponse {
    let mut response = streamed(code, once(json_bytes(body)));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("Retry-After", seconds.into());
    }
    response
}

/// Returns a successful response with a body of known size.
pub(super) fn whole(body: String) -> ApiResponse {
    with_code(200, body, None)
}

/// Returns a body of one piece.
pub(super) fn once(bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::iter([Ok(bytes)])
}

/// Returns a response with this status code. The server sends the body piece by piece.
pub(super) fn streamed(
    code: u16,
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> ApiResponse {
    let frames = body.map(|bytes| bytes.map(http_body::Frame::data));
    let body = StreamBody::new(frames).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

/// Applies a fault to a body.
pub(super) fn spoil(
    body: UnsyncBoxBody<Bytes, io::Error>,
    fault: Fault,
) -> UnsyncBoxBody<Bytes, io::Error> {
    let (sender, receiver) = unbounded();
    let (Fault::Cut(bytes) | Fault::Truncate(bytes) | Fault::Stall(bytes) | Fault::Slow(bytes)) =
        fault
    else {
        panic!("{fault:?} does not spoil a body");
    };
    tokio::spawn(
        async move {
            let mut body = body.into_data_stream();
            let mut left = bytes;
            while let Some(Ok(chunk)) = body.next().await {
                if let Fault::Slow(_) = fault {
                    for piece in chunk.chunks(bytes) {
                        let _ = sender.unbounded_send(Ok(Bytes::copy_from_slice(piece)));
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    continue;
                }
                let part = chunk.slice(..left.min(chunk.len()));
                left -= part.len();
                let _ = sender.unbounded_send(Ok(part));
                if left == 0 {
                    break;
                }
            }
            match fault {
                Fault::Cut(_) => {
                    let _ = sender.unbounded_send(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Fault::Stall(_) => std::future::pending().await,
                _ => {}
            }
            drop(sender);
            Ok::<_, Infallible>(())
        }
        .map(drop),
    );
    StreamBody::new(receiver.map(|bytes| bytes.map(http_body::Frame::data))).boxed_unsync()
}
