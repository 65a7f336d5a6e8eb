//! [`ServerVersion`]: the version of the API server that the landing page shows.

use std::fmt;
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::cluster::bounded;

/// The version of the API server. The exporter requests the version when the landing page needs it, and caches the
/// response.
pub(super) struct ServerVersion {
    client: Client,
    /// The last response, and the time at which it expires.
    last: Mutex<Option<(Option<String>, Instant)>>,
}

/// The maximum time that the landing page waits for the version.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which a version is cached.
const KNOWN: Duration = Duration::from_secs(600);
/// The time for which a failure is cached.
const UNKNOWN: Duration = Duration::from_secs(30);
/// The maximum size of a response, in bytes.
const LARGEST_RESPONSE: usize = 64 << 10;
/// The maximum length of a version, in bytes.
const LONGEST: usize = 64;

// === impl ServerVersion ===

impl ServerVersion {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: bounded(client, LARGEST_RESPONSE),
            last: Mutex::default(),
        }
    }

    /// The version, such as `v1.36.0`; `None` if the server does not answer in time.
    pub(super) async fn get(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((version, until)) = &*last
            && Instant::now() < *until
        {
            return version.clone();
        }
        let asked = timeout(TIMEOUT, self.client.apiserver_version()).await;
        let version = asked.ok().and_then(Result::ok);
        let version = version.map(|info| info.git_version);
        let is_plain = |version: &String| version.bytes().all(|byte| byte.is_ascii_graphic());
        let version = version
            .filter(is_plain)
            .filter(|version| !version.is_empty() && version.len() <= LONGEST);
        let remembered = if version.is_some() { KNOWN } else { UNKNOWN };
        *last = Some((version.clone(), Instant::now() + remembered));
        version
    }
}

impl fmt::Debug for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerVersion").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// Returns a server that does not answer the first request, but answers all later requests.
    fn server(requests: &Arc<AtomicU32>) -> ServerVersion {
        let requests = Arc::clone(requests);
        let service = tower::service_fn(move |request: Request<Body>| {
            let number = requests.fetch_add(1, Ordering::SeqCst);
            assert_eq!(request.uri().path(), "/version");
            let names = [
                "major",
                "minor",
                "gitCommit",
                "gitTreeState",
                "buildDate",
                "goVersion",
                "compiler",
                "platform",
            ];
            let mut info: serde_json::Map<_, _> = names
                .map(|name| (name.to_owned(), "".into()))
                .into_iter()
                .collect();
            info.insert("gitVersion".to_owned(), "v1.36.0".into());
            let body = serde_json::to_vec(&info).unwrap();
            let status = if number == 0 { 503 } else { 200 };
            let response = Response::builder().status(status).body(Body::from(body));
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        ServerVersion::new(Client::new(service, "default"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_and_its_absence_are_remembered() {
        let requests = Arc::new(AtomicU32::new(0));
        let version = server(&requests);
        for (wait, expected, count) in [
            (0, None, 1),
            (29, None, 1),
            (2, Some("v1.36.0"), 2),
            (599, Some("v1.36.0"), 2),
            (2, Some("v1.36.0"), 3),
        ] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            assert_eq!(version.get().await.as_deref(), expected);
            assert_eq!(requests.load(Ordering::SeqCst), count);
        }
    }
}
