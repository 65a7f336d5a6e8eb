//! A client for single requests. The client limits the size of each response, and does not accept a redirect as a
//! success.

use http::StatusCode;
use http_body_util::Limited;
use kube::Client;
use kube::client::Body;

/// A status that is neither a success nor an error of an API server. A proxy may send such a status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnexpectedStatus {
    #[error(
        "it answers with a redirect ({0}), which is not followed; give the URL of the redirect"
    )]
    Redirect(StatusCode),
    #[error(
        "it answers with the status {0}, which an API server does not send; check the proxies between the exporter and \
         the API server"
    )]
    Other(StatusCode),
}

/// Checks the status of a response to a single request. Only 200, 201 and 202 are a success. An error (4xx or 5xx) is
/// left to the caller, because its body has a message.
///
/// # Errors
///
/// The function fails for any other status. kube accepts the bodies of such responses: the body of a redirect could
/// grant a permission, or name a leader.
pub(crate) fn check_status(status: StatusCode) -> Result<(), UnexpectedStatus> {
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(()),
        _ if status.is_client_error() || status.is_server_error() => Ok(()),
        _ if status.is_redirection() => Err(UnexpectedStatus::Redirect(status)),
        _ => Err(UnexpectedStatus::Other(status)),
    }
}

/// Returns a client that stops with an error if a response has more than `limit` bytes. Without this limit, the methods
/// of [`Client`] read responses of any size into memory. The client also fails if a response has another status than a
/// success or an error (see [`check_status`]).
pub(crate) fn bounded(client: Client, limit: usize) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let response = client.send(request).await?;
            let checked = check_status(response.status());
            checked.map_err(|error| kube::Error::Service(Box::new(error)))?;
            Ok::<_, kube::Error>(response.map(|body| Limited::new(body, limit)))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_a_success_is_a_success() {
        for (code, message) in [
            (200, None),
            (201, None),
            (202, None),
            (203, Some("the status 203")),
            (206, Some("the status 206")),
            (226, Some("the status 226")),
            (302, Some("a redirect (302 Found)")),
            (307, Some("a redirect (307 Temporary Redirect)")),
            (404, Some("no")),
            (503, Some("no")),
        ] {
            let server = tower::service_fn(move |_: http::Request<Body>| {
                let body = match code {
                    400.. => serde_json::json!({ "kind": "Status", "code": code, "message": "no" }),
                    _ => serde_json::json!({ "groups": [] }),
                };
                let body = Body::from(body.to_string().into_bytes());
                let response = http::Response::builder().status(code).body(body);
                async move { Ok::<_, kube::Error>(response.unwrap()) }
            });
            let client = bounded(Client::new(server, "own"), 1_000);
            let error = client.list_api_groups().await.err();
            let error = error.map(|error| error.to_string());
            let is_expected = match (&error, message) {
                (Some(error), Some(message)) => error.contains(message),
                (error, message) => error.is_none() && message.is_none(),
            };
            assert!(is_expected, "{code}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_response_is_read_as_far_as_the_limit() {
        const CHUNK: usize = 16 << 10;
        const LIMIT: usize = 64 << 10;
        let read = Arc::new(AtomicUsize::new(0));
        for code in [200, 403] {
            let count = Arc::clone(&read);
            let server = tower::service_fn(move |_: http::Request<Body>| {
                let count = Arc::clone(&count);
                let chunks = (0..1_000).map(move |_| {
                    count.fetch_add(CHUNK, Ordering::Relaxed);
                    let chunk = bytes::Bytes::from(vec![b' '; CHUNK]);
                    Ok::<_, std::io::Error>(http_body::Frame::data(chunk))
                });
                let body = http_body_util::StreamBody::new(futures::stream::iter(chunks));
                let response = http::Response::builder().status(code).body(body);
                async move { Ok::<_, kube::Error>(response.unwrap()) }
            });
            let client = bounded(Client::new(server, "own"), LIMIT);
            assert_eq!(client.default_namespace(), "own");
            let error = client.list_api_groups().await.unwrap_err();
            assert!(
                error.to_string().contains("length limit exceeded"),
                "{error}"
            );
            let read = read.swap(0, Ordering::Relaxed);
            assert!(read <= LIMIT + 2 * CHUNK, "{code}: {read}");
        }
    }
}
