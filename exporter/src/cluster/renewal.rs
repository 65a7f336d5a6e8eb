//! A client that renews its credentials while it is in use.

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

use super::access::{Access, ClusterError, Connection};
use super::transport::connect;
use crate::file_watcher::FileWatcher;

/// The minimum time between two attempts to renew the credentials, unless a file has changed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The minimum time between two attempts to renew the credentials if a file has changed.
const FILE_CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// The exporter renews a certificate this long before the certificate expires.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// Replaces a client when its credentials change.
struct Renewal {
    access: Access,
    client: Arc<RwLock<Client>>,
    file_watcher: FileWatcher,
    /// Receives an item if the server refused the credentials. Ends when the last client is dropped.
    refusals: mpsc::Receiver<()>,
    /// Whether a plugin provides the credentials. Another run of the plugin may provide newer credentials.
    has_plugin: bool,
    /// Whether the certificate authority is empty, so that the authorities of the system are trusted instead.
    trusts_system: bool,
    schedule: Schedule,
}

/// Determines when the next attempt to renew the credentials is due.
#[derive(Default)]
struct Schedule {
    last_attempt: Option<Instant>,
    has_failed: bool,
}

/// Creates a client whose credentials are renewed until it is dropped; returns it with the URL of its server.
pub(super) async fn client(access: Access) -> Result<(Client, String), ClusterError> {
    // The watcher starts before the files are read, so that it reports every later change.
    let file_watcher = FileWatcher::new(access.files());
    let connection = access.connection().await?;
    let config = &connection.config;
    let (url, namespace) = (
        config.cluster_url.to_string(),
        config.default_namespace.clone(),
    );
    if config.accept_invalid_certs {
        tracing::warn!(
            "the certificate of {url} is not verified, because insecure-skip-tls-verify is set"
        );
    }
    if connection.withholds_credentials {
        tracing::warn!(
            "the credentials of the kubeconfig are not sent to {url}, because the connection is not \
             encrypted; to send them, use an https:// URL"
        );
    }
    if let Some(proxy) = &connection.proxy {
        tracing::info!("requests to {url} go through the proxy {proxy}");
    }
    if let Some(file) = &connection.empty_authority {
        tracing::warn!(
            "{file}: the certificate authority is empty; the authorities of the system are trusted instead"
        );
    }
    let trusts_system = connection.empty_authority.is_some();
    let has_plugin = config.auth_info.exec.is_some();
    let client = Arc::new(RwLock::new(connect(connection).await?));
    // One pending refusal is enough to trigger a renewal.
    let (refuse, refusals) = mpsc::channel(1);
    let renewal = Renewal {
        access,
        client: Arc::clone(&client),
        file_watcher,
        refusals,
        has_plugin,
        trusts_system,
        schedule: Schedule::default(),
    };
    tokio::spawn(renewal.run());
    let service = service_fn(move |request: Request<Body>| {
        let (client, refuse) = (client.read().clone(), refuse.clone());
        async move {
            let response = client.send(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                let _ = refuse.try_send(());
            }
            Ok::<_, kube::Error>(response)
        }
    });
    Ok((Client::new(service, namespace), url))
}

// === impl Renewal ===

impl Renewal {
    /// Renews the credentials until the last client is dropped.
    async fn run(mut self) {
        loop {
            let due = self.schedule.due(self.valid_for());
            tokio::select! {
                // A credential plugin may write to a watched file. Without the interval, each run of the plugin would
                // trigger the next run at once.
                () = self.file_watcher.changed() => {
                    sleep_until(self.schedule.earliest(FILE_CHANGE_INTERVAL)).await;
                }
                () = sleep_until_some(due) => {}
                refusal = self.refusals.recv() => {
                    if refusal.is_none() {
                        return;
                    }
                    // If it is too early for an attempt, the next refused request triggers the renewal.
                    let earliest = self.schedule.earliest(RETRY_INTERVAL);
                    if !self.has_plugin || Instant::now() < earliest {
                        continue;
                    }
                }
            }
            self.renew().await;
        }
    }

    /// The time until the client's certificate expires; `None` if that is unknown.
    fn valid_for(&self) -> Option<Duration> {
        let seconds = self.client.read().valid_until().as_ref()?.as_second();
        let until = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or_default());
        Some(until.duration_since(SystemTime::now()).unwrap_or_default())
    }

    async fn renew(&mut self) {
        let files = self.access.files();
        if !self.file_watcher.watches(&files) {
            self.file_watcher = FileWatcher::new(files);
        }
        let client = match self.access.connection().await {
            Ok(Connection {
                empty_authority: Some(file),
                ..
            }) if !self.trusts_system => {
                // A program that writes the file may have just truncated it.
                let problem = "the certificate authority is empty now; restore it, or restart the exporter \
                               to trust the authorities of the system";
                Err(ClusterError::Authority(format!("{file}: {problem}")))
            }
            Ok(connection) => {
                self.trusts_system = connection.empty_authority.is_some();
                self.has_plugin = connection.config.auth_info.exec.is_some();
                connect(connection).await
            }
            Err(error) => Err(error),
        };
        let failed_before = self.schedule.has_failed;
        self.schedule.record(client.is_ok());
        match client {
            Ok(client) => {
                *self.client.write() = client;
                tracing::info!("the credentials for the API server were reloaded");
            }
            Err(error) if !failed_before => {
                tracing::warn!(
                    "cannot renew the credentials for the API server; the current credentials stay in use: {error}"
                );
            }
            Err(_) => {}
        }
    }
}

// === impl Schedule ===

impl Schedule {
    fn record(&mut self, succeeded: bool) {
        self.last_attempt = Some(Instant::now());
        self.has_failed = !succeeded;
    }

    /// When to try again after a failure, or to renew a certificate that expires after `valid_for`.
    fn due(&self, valid_for: Option<Duration>) -> Option<Instant> {
        let earliest = self.earliest(RETRY_INTERVAL);
        if self.has_failed {
            return Some(earliest);
        }
        let due = Instant::now() + valid_for?.saturating_sub(RENEW_BEFORE_EXPIRY);
        Some(due.max(earliest))
    }

    /// The time at which `interval` has passed since the last attempt.
    fn earliest(&self, interval: Duration) -> Instant {
        self.last_attempt
            .map_or_else(Instant::now, |last| last + interval)
    }
}

/// Sleeps until `time`; never resolves if it is `None`.
async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_renewed_a_minute_before_it_expires() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        assert_eq!(schedule.due(None), None, "the certificate does not expire");
        assert_eq!(schedule.due(Some(60 * MINUTE)), Some(start + 59 * MINUTE));
        assert_eq!(schedule.due(Some(MINUTE / 2)), Some(start));
        // A certificate that expires soon does not cause constant renewals.
        schedule.record(true);
        advance(Duration::from_secs(1)).await;
        assert_eq!(schedule.due(Some(MINUTE / 2)), Some(start + RETRY_INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_followed_by_an_attempt_every_ten_seconds_until_one_succeeds() {
        let mut schedule = Schedule::default();
        for _ in 0..3 {
            schedule.record(false);
            let failed = Instant::now();
            for valid_for in [None, Some(Duration::ZERO), Some(60 * MINUTE)] {
                assert_eq!(schedule.due(valid_for), Some(failed + RETRY_INTERVAL));
            }
            advance(RETRY_INTERVAL).await;
        }
        schedule.record(true);
        assert_eq!(schedule.due(None), None);
        // After a change of a file, the next attempt is due earlier.
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(schedule.earliest(FILE_CHANGE_INTERVAL), soon);
    }

    /// Writes the output of a plugin: a certificate that expires after `seconds`.
    fn write_answer(directory: &Path, seconds: u64) -> i64 {
        let certified = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let expires = i64::try_from(now.as_secs() + seconds).unwrap();
        let timestamp = k8s_openapi::jiff::Timestamp::from_second(expires).unwrap();
        let answer = json!({
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1",
            "status": {
                "clientCertificateData": certified.cert.pem(),
                "clientKeyData": certified.signing_key.serialize_pem(),
                "expirationTimestamp": timestamp.to_string(),
            }
        });
        std::fs::write(directory.join("answer"), answer.to_string()).unwrap();
        expires
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_has_the_certificate_that_a_plugin_gives_before_the_old_one_expires() {
        let directory = std::env::temp_dir().join(format!("renewal-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = format!("cat {}/answer", directory.display());
        let kubeconfig = json!({
            "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
            "users": [{ "name": "c", "user": { "exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
                "command": "sh", "args": ["-c", script],
            } } }],
        });
        std::fs::write(directory.join("config"), kubeconfig.to_string()).unwrap();
        let first = write_answer(&directory, 3600);
        let access = Access {
            kubeconfig: vec![directory.join("config")],
            apiserver: None,
        };
        let connection = access.connection().await.unwrap();
        let client = Arc::new(RwLock::new(connect(connection).await.unwrap()));
        let (_refuse, refusals) = mpsc::channel(1);
        let renewal = Renewal {
            file_watcher: FileWatcher::new(access.files()),
            access,
            client: Arc::clone(&client),
            refusals,
            has_plugin: true,
            trusts_system: false,
            schedule: Schedule::default(),
        };
        let expiry = || {
            client
                .read()
                .valid_until()
                .as_ref()
                .map(|at| at.as_second())
        };
        assert_eq!(expiry(), Some(first));

        let start = Instant::now();
        let second = write_answer(&directory, 7200);
        let running = tokio::spawn(renewal.run());
        while expiry() == Some(first) && start.elapsed() < 60 * MINUTE {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(expiry(), Some(second));
        let waited = start.elapsed();
        assert!(waited > 58 * MINUTE && waited < 60 * MINUTE, "{waited:?}");
        running.abort();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
