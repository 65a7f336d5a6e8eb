//! A client that renews its credentials while it is in use.
//!
//! It tries to renew them when a file with credentials changes, shortly before the credentials expire, and when the
//! server refuses the credentials of a plugin.
//!
//! The client always sends its requests to the same API server ([`ServerInUse`]). If the kubeconfig names another
//! server, a reload of the configuration creates another client. Otherwise a watch could continue at
//! another server, and the exporter would mix the objects of two clusters.

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, StatusCode};
use kube::Client;
use kube::client::{AuthError, Body};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tower::service_fn;

use super::access::{Access, ClusterError, Connection};
use super::identity::{ServerChange, ServerIdentity};
use super::plugin;
use super::problem_log::ProblemLog;
use super::server_in_use::ServerInUse;
use super::transport::connect;
use crate::file_watcher::FileWatcher;

/// The minimum time between two attempts to renew the credentials if no file has changed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The minimum time between two attempts to renew the credentials if a file has changed.
const FILE_CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// If a certificate or a token expires in less than this time, the exporter renews it.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(60);
/// How long a request waits for credentials. After this time, the request fails, and `/readyz?verbose` shows the
/// reason, such as the name of a plugin that hangs.
const REQUEST_WAIT: Duration = Duration::from_secs(1);

/// Replaces a client when its credentials change.
struct Renewal {
    access: Access,
    /// The API server to which the client sends requests.
    server: ServerInUse,
    /// Whether a warning has named that the certificate of the server is not verified.
    has_warned: bool,
    current: watch::Sender<Current>,
    file_watcher: FileWatcher,
    /// Whether a credential plugin provides the credentials. If the server refuses these credentials, the exporter runs
    /// the plugin again.
    has_plugin: bool,
    /// Whether the configured file of certificate authorities is empty. The exporter then trusts the authorities of the
    /// system.
    trusts_system: bool,
    /// The last warning about broken certificates among the certificate authorities.
    broken_authorities: Option<String>,
    /// Whether the last certificate authority had no end when the client in use was created.
    has_cut_authority: bool,
    schedule: Schedule,
    problem_log: ProblemLog,
}

/// The client in use, and the problem of the last attempt to renew its credentials.
struct Current {
    /// The current client; `None` until a credential plugin has printed credentials for the first time.
    client: Option<Client>,
    /// Why the last attempt to renew the credentials failed; `None` if the attempt succeeded.
    problem: Option<String>,
}

/// Determines when the next attempt to renew the credentials is due.
#[derive(Default)]
struct Schedule {
    last_attempt: Option<Instant>,
    has_failed: bool,
}

/// A client that is being created. A credential plugin may be running for it.
type Connecting = Pin<Box<dyn Future<Output = Result<Client, ClusterError>> + Send>>;

/// Creates a client whose credentials are renewed until the client is dropped. Returns the client and the URL of the
/// server.
///
/// If a credential plugin takes longer than `patience`, the function returns a client whose requests fail until the
/// plugin has printed credentials.
pub(super) async fn client(
    access: Access,
    server: &ServerInUse,
    patience: Duration,
) -> Result<(Client, String), ClusterError> {
    // The file watcher starts before the files are read, so that it reports every change after the read.
    let file_watcher = FileWatcher::new(access.files());
    let connection = access.connection().await?;
    if let Some(change) = server.follow(&connection.identity) {
        return Err(other_server(change, server, &connection.identity));
    }
    let config = &connection.config;
    let (url, namespace) = (
        config.cluster_url.to_string(),
        config.default_namespace.clone(),
    );
    let has_warned = config.accept_invalid_certs;
    if has_warned {
        warn_of_unverified(&url);
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
            "{file}: the certificate authority is empty, so the authorities of the system are trusted; write the \
             certificate of the API server's authority to the file"
        );
    }
    let trusts_system = connection.empty_authority.is_some();
    let broken_authorities = connection.broken_authorities.clone();
    if let Some(warning) = &broken_authorities {
        tracing::warn!("{warning}");
    }
    let has_cut_authority = connection.cut_authority.is_some();
    let plugin = plugin::in_use(&config.auth_info).map(plugin::name);
    let has_plugin = plugin.is_some();
    let mut connecting: Connecting = Box::pin(connect(connection));
    let (client, connecting) = match plugin {
        None => (Some(connecting.await?), None),
        Some(plugin) => match timeout(patience, &mut connecting).await {
            Ok(client) => (Some(client?), None),
            Err(_) => {
                tracing::warn!(
                    "the credential plugin `{plugin}` has printed no credentials for {patience:?}; requests to the API \
                     server fail until it prints them"
                );
                (None, Some((plugin, connecting)))
            }
        },
    };
    let problem = connecting.as_ref().map(|(plugin, _)| {
        format!("the credential plugin `{plugin}` has printed no credentials yet")
    });
    let (current, requests) = watch::channel(Current { client, problem });
    // Each item in this channel requests new credentials. The capacity is 1, because further items would request the
    // same.
    let (refuse, refusals) = mpsc::channel(1);
    let renewal = Renewal {
        access,
        server: server.clone(),
        has_warned,
        current,
        file_watcher,
        has_plugin,
        trusts_system,
        broken_authorities,
        has_cut_authority,
        schedule: Schedule::default(),
        problem_log: ProblemLog::default(),
    };
    let first = connecting.map(|(_, connecting)| connecting);
    tokio::spawn(renewal.run(first, refusals));
    let service = service_fn(move |request: Request<Body>| {
        let (current, refuse) = (requests.clone(), refuse.clone());
        async move {
            let client = usable(current, &refuse).await?;
            let response = client.send(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                let _ = refuse.try_send(());
            }
            Ok::<_, kube::Error>(response)
        }
    });
    Ok((Client::new(service, namespace), url))
}

/// The client for a request. If there are no valid credentials, the function waits at most [`REQUEST_WAIT`] for valid
/// credentials.
async fn usable(
    mut current: watch::Receiver<Current>,
    refuse: &mpsc::Sender<()>,
) -> Result<Client, kube::Error> {
    let usable = current.borrow().usable();
    if let Some(client) = usable {
        return Ok(client);
    }
    let _ = refuse.try_send(());
    let usable = current.wait_for(|current| current.usable().is_some());
    let usable = match timeout(REQUEST_WAIT, usable).await {
        Ok(Ok(current)) => current.usable(),
        Ok(Err(_)) | Err(_) => None,
    };
    usable.ok_or_else(|| {
        let problem = current.borrow().problem.clone();
        kube::Error::Auth(AuthError::AuthExec(problem.unwrap_or_default()))
    })
}

fn warn_of_unverified(url: &str) {
    tracing::warn!(
        "the certificate of {url} is not verified, because insecure-skip-tls-verify is set; to verify it, remove \
         insecure-skip-tls-verify, and set certificate-authority"
    );
}

/// Waits until the last client is dropped.
async fn dropped(refusals: &mut mpsc::Receiver<()>) {
    while refusals.recv().await.is_some() {}
}

// === impl Current ===

impl Current {
    /// Creates the state after a successful attempt to renew the credentials.
    fn of(client: Client) -> Self {
        Self {
            client: Some(client),
            problem: None,
        }
    }

    /// The client; `None` if its credentials have expired and cannot be renewed. If the last attempt to renew
    /// succeeded, the function does not check the expiry time, because the clock may be wrong.
    fn usable(&self) -> Option<Client> {
        let is_valid = |own: &&Client| valid_for(own).is_none_or(|valid| !valid.is_zero());
        let client = self.client.as_ref();
        client
            .filter(|own| self.problem.is_none() || is_valid(own))
            .cloned()
    }
}

// === impl Renewal ===

impl Renewal {
    /// Renews the credentials until the last client is dropped. If a plugin is running when the last client is dropped,
    /// the plugin is killed.
    ///
    /// `first` is the client that is still being created. The channel `refusals` receives an item in two cases: the
    /// server refuses the credentials, or a request finds no valid credentials. The channel is closed when the last
    /// client is dropped.
    async fn run(mut self, first: Option<Connecting>, mut refusals: mpsc::Receiver<()>) {
        if let Some(connecting) = first {
            let client = tokio::select! {
                client = connecting => client,
                () = dropped(&mut refusals) => return,
            };
            self.finish(client);
        }
        loop {
            let due = self.schedule.due(self.valid_for());
            tokio::select! {
                // A credential plugin may write to a file that the exporter watches. Without this minimum interval,
                // each run of the plugin would immediately trigger another run.
                () = self.file_watcher.changed() => {
                    sleep_until(self.schedule.earliest(FILE_CHANGE_INTERVAL)).await;
                }
                () = sleep_until_some(due) => {}
                refusal = refusals.recv() => {
                    if refusal.is_none() {
                        return;
                    }
                    // Without a plugin, all items of the channel are ignored. With a plugin, an item is ignored if the
                    // minimum interval has not passed. A later request then fails, too, and triggers the renewal.
                    let earliest = self.schedule.earliest(RETRY_INTERVAL);
                    if !self.has_plugin || Instant::now() < earliest {
                        continue;
                    }
                }
            }
            tokio::select! {
                () = self.renew() => {}
                () = dropped(&mut refusals) => return,
            }
        }
    }

    /// The time until the client's credentials expire; `None` if that is unknown.
    fn valid_for(&self) -> Option<Duration> {
        self.current.borrow().client.as_ref().and_then(valid_for)
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
                // The file may be empty for a short time while a program writes it. So the exporter refuses the empty
                // file, and does not start to trust the authorities of the system.
                let problem = "the certificate authority is empty now; restore it, or restart the exporter \
                               to trust the authorities of the system";
                Err(ClusterError::Authority(format!("{file}: {problem}")))
            }
            // A program may be writing the file of the authorities. The other certificates alone could end the
            // connections to the server.
            Ok(Connection {
                cut_authority: Some(problem),
                ..
            }) if !self.has_cut_authority => Err(ClusterError::Authority(problem)),
            Ok(connection) => match self.server.follow(&connection.identity) {
                Some(change) => Err(other_server(change, &self.server, &connection.identity)),
                None => self.follow(connection).await,
            },
            Err(error) => Err(error),
        };
        self.finish(client);
    }

    /// Creates a client with renewed credentials for the same server.
    async fn follow(&mut self, connection: Connection) -> Result<Client, ClusterError> {
        let is_unverified = connection.config.accept_invalid_certs;
        if is_unverified && !self.has_warned {
            warn_of_unverified(connection.identity.url());
        }
        self.has_warned = is_unverified;
        self.trusts_system = connection.empty_authority.is_some();
        self.has_cut_authority = connection.cut_authority.is_some();
        if connection.broken_authorities != self.broken_authorities {
            self.broken_authorities
                .clone_from(&connection.broken_authorities);
            if let Some(warning) = &self.broken_authorities {
                tracing::warn!("{warning}");
            }
        }
        self.has_plugin = plugin::in_use(&connection.config.auth_info).is_some();
        connect(connection).await
    }

    /// Records the result of an attempt. After a success, the new client replaces the current client. After a failure,
    /// the current client stays in use.
    fn finish(&mut self, client: Result<Client, ClusterError>) {
        self.schedule.record(client.is_ok());
        let is_first = self.current.borrow().client.is_none();
        match client {
            Ok(client) => {
                self.problem_log.reset();
                self.current.send_replace(Current::of(client));
                tracing::info!("the credentials for the API server were reloaded");
            }
            Err(error) => {
                let problem = error.to_string();
                self.current
                    .send_modify(|current| current.problem = Some(problem.clone()));
                if !self.problem_log.is_new(&problem) {
                    return;
                }
                let until = if is_first {
                    "requests to the API server fail until the credentials arrive"
                } else {
                    "the current credentials stay in use"
                };
                tracing::warn!(
                    "cannot renew the credentials for the API server; {until}: {problem}"
                );
            }
        }
    }
}

/// Returns the error about a kubeconfig that leads to another server. The error shows no value except the URLs, because
/// `proxy-url` may contain a password.
fn other_server(change: ServerChange, used: &ServerInUse, named: &ServerIdentity) -> ClusterError {
    ClusterError::OtherServer {
        used: used.url(),
        named: match change {
            ServerChange::Url => named.url().to_owned(),
            change => format!("the same URL with another {change}"),
        },
    }
}

/// The time until the credentials of a client expire; `None` if that is unknown.
fn valid_for(client: &Client) -> Option<Duration> {
    let seconds = client.valid_until().as_ref()?.as_second();
    let until = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or_default());
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

// === impl Schedule ===

impl Schedule {
    fn record(&mut self, succeeded: bool) {
        self.last_attempt = Some(Instant::now());
        self.has_failed = !succeeded;
    }

    /// The time of the next attempt to renew the credentials. After a failure, the attempt is due when the minimum
    /// interval has passed. After a success, the attempt is due shortly before the credentials expire. `valid_for` is
    /// the time until they expire.
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

/// Sleeps until `time`. If `time` is `None`, the future never resolves.
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
        // Even if each new certificate expires soon, the minimum interval between renewals applies.
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
        // If a file has changed, the minimum interval between attempts is shorter.
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

    // This test does not pause the clock, because a paused clock does not wait for processes.
    #[tokio::test]
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
        let first = write_answer(&directory, 62);
        let access = Access {
            kubeconfig: vec![directory.join("config")],
            apiserver: None,
        };
        let connection = access.connection().await.unwrap();
        let client = connect(connection).await.unwrap();
        let (current, mut requests) = watch::channel(Current::of(client));
        let (_refuse, refusals) = mpsc::channel(1);
        let renewal = Renewal {
            file_watcher: FileWatcher::new(access.files()),
            access,
            server: ServerInUse::default(),
            has_warned: false,
            current,
            has_plugin: true,
            trusts_system: false,
            broken_authorities: None,
            has_cut_authority: false,
            schedule: Schedule::default(),
            problem_log: ProblemLog::default(),
        };
        let expiry = |current: &Current| {
            let client = current.client.as_ref().unwrap();
            client.valid_until().as_ref().map(|at| at.as_second())
        };
        assert_eq!(expiry(&requests.borrow()), Some(first));

        let second = write_answer(&directory, 7200);
        let running = tokio::spawn(renewal.run(None, refusals));
        let is_new = |current: &Current| expiry(current) != Some(first);
        let renewed = timeout(MINUTE, requests.wait_for(is_new)).await;
        assert_eq!(expiry(&renewed.unwrap().unwrap()), Some(second));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(
            i64::try_from(now.as_secs()).unwrap() >= first - 60,
            "too early"
        );
        running.abort();
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_valid_credentials_a_request_fails_soon_and_asks_for_new_ones() {
        let service =
            || service_fn(|_: Request<Body>| async { Err::<http::Response<Body>, _>("no server") });
        let at = |seconds| k8s_openapi::jiff::Timestamp::from_second(seconds).ok();
        let expired = Client::new(service(), "x").with_valid_until(at(1));
        let (current, requests) = watch::channel(Current {
            client: Some(expired),
            problem: Some("the plugin hangs".to_owned()),
        });
        let (refuse, mut refusals) = mpsc::channel(1);
        let start = Instant::now();
        let error = usable(requests.clone(), &refuse).await.err().unwrap();
        assert_eq!(start.elapsed(), REQUEST_WAIT);
        assert!(error.to_string().ends_with("the plugin hangs"), "{error}");
        assert_eq!(refusals.try_recv(), Ok(()));

        let request = tokio::spawn(async move { usable(requests, &refuse).await.is_ok() });
        tokio::task::yield_now().await;
        current.send_modify(|current| current.client = Some(Client::new(service(), "x")));
        assert!(request.await.unwrap());

        // New credentials are used even if they seem to have expired, because the clock may be wrong.
        let (refuse, _refusals) = mpsc::channel(1);
        let client = Client::new(service(), "x").with_valid_until(at(1));
        current.send_replace(Current::of(client));
        assert!(usable(current.subscribe(), &refuse).await.is_ok());
    }
}
