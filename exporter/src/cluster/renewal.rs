//! Credentials that are renewed while they are used.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tower::service_fn;

use super::{Access, ClusterError, of_config};
use crate::follow::Follower;

/// Keeps a client in step with where its credentials come from.
struct Renewal {
    access: Access,
    current: Arc<RwLock<Client>>,
    follower: Follower,
    /// A word for every answer that refuses the credentials; ends with the last client.
    refused: mpsc::Receiver<()>,
    /// A plugin gives the credentials, so that it may have others by now.
    has_plugin: bool,
    /// The last attempt.
    renewed: Option<Instant>,
    /// The last attempt failed.
    failed: bool,
}

/// Between two attempts, unless a file changed.
const PAUSE: Duration = Duration::from_secs(10);
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// Certificates are renewed so long before they expire.
const AHEAD: Duration = Duration::from_secs(60);

/// A client that is renewed for as long as it lives, and the URL of its server.
pub(super) async fn client(access: Access) -> Result<(Client, String), ClusterError> {
    // Before the first reading, so that no change after it is missed.
    let follower = Follower::new(access.files());
    let config = access.config().await?;
    let (url, namespace) = (
        config.cluster_url.to_string(),
        config.default_namespace.clone(),
    );
    if config.accept_invalid_certs {
        tracing::warn!("the certificate of {url} is not checked: insecure-skip-tls-verify is on");
    }
    let has_plugin = config.auth_info.exec.is_some();
    let current = Arc::new(RwLock::new(of_config(config).await?));
    // One word that waits is as good as many.
    let (refuse, refused) = mpsc::channel(1);
    let renewal = Renewal {
        access,
        current: Arc::clone(&current),
        follower,
        refused,
        has_plugin,
        renewed: None,
        failed: false,
    };
    tokio::spawn(renewal.run());
    let service = service_fn(move |request: Request<Body>| {
        let (client, refuse) = (current.read().clone(), refuse.clone());
        async move {
            let answer = client.send(request).await?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                let _ = refuse.try_send(());
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Ok((Client::new(service, namespace), url))
}

// === impl Renewal ===

impl Renewal {
    /// Runs until nobody has the client any more.
    async fn run(mut self) {
        loop {
            let (again, expires) = (self.not_before(PAUSE), self.expires());
            tokio::select! {
                // A plugin may write to a file we follow: that must not turn round and round.
                () = self.follower.changed() => sleep_until(self.not_before(SHORT_PAUSE)).await,
                () = at(expires.filter(|_| !self.failed)) => {}
                () = at(self.failed.then_some(again)) => {}
                word = self.refused.recv() => {
                    if word.is_none() {
                        return;
                    }
                    // Whoever asks again will be refused again, and then it is time.
                    if !self.has_plugin || Instant::now() < again {
                        continue;
                    }
                }
            }
            self.renew().await;
        }
    }

    /// When to renew what expires.
    fn expires(&self) -> Option<Instant> {
        let seconds = self.current.read().valid_until().as_ref()?.as_second();
        let until = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or_default());
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        let due = Instant::now() + left.saturating_sub(AHEAD);
        Some(due.max(self.not_before(PAUSE)))
    }

    /// So long after the last attempt.
    fn not_before(&self, pause: Duration) -> Instant {
        self.renewed.map_or_else(Instant::now, |last| last + pause)
    }

    async fn renew(&mut self) {
        let files = self.access.files();
        if !self.follower.follows(&files) {
            self.follower = Follower::new(files);
        }
        let made = match self.access.config().await {
            Ok(config) => {
                self.has_plugin = config.auth_info.exec.is_some();
                of_config(config).await
            }
            Err(error) => Err(error),
        };
        self.renewed = Some(Instant::now());
        let failed_before = std::mem::replace(&mut self.failed, made.is_err());
        match made {
            Ok(client) => {
                *self.current.write() = client;
                tracing::info!("the credentials for the API server were read again");
            }
            Err(error) if !failed_before => {
                tracing::warn!("the credentials in use stay, new ones cannot be had: {error}");
            }
            Err(_) => {}
        }
    }
}

/// Waits until then; for ever where it is never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
