//! A client for single requests, with a limit on the size of each response.

use http_body_util::Limited;
use kube::Client;
use kube::client::Body;

/// Returns a client that stops with an error if a response has more than `limit` bytes. Without this limit, the methods
/// of [`Client`] read responses of any size into memory.
pub(crate) fn bounded(client: Client, limit: usize) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let response = client.send(request).await?;
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
