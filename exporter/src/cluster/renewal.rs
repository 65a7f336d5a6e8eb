//! A client that renews its credentials while it is in use.
//!
//! It tries to renew them when a file with credentials changes, shortly before the credentials expire, and when the
//! server refuses the credentials of a plugin. If the current files cannot be used, it renews the credentials from the
//! last files that it could use ([`Accepted`]).
//!
//! The client always sends its requests to the same API server ([`ServerInUse`]). If the kubeconfig names another
//! server, a reload of the configuration creates another client. Otherwise a watch could continue at
//! another server, and the exporter would mix the objects of two clusters.

mod schedule;

use std::future::pending;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::{AuthError, Body};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tower::service_fn;

use super::accepted::Accepted;
use super::access::{Access, ClusterError, Connection};
use super::identity::{ServerChange, ServerIdentity};
use super::plugin::{self, PluginKey};
use super::server_in_use::{RenewalReport, ServerInUse};
use super::transport::{Connected, connect, read_files};
use crate::file_watcher::FileWatcher;
use crate::humanize::without_digits;

use schedule::{FILE_CHANGE_INTERVAL, RENEW_BEFORE_EXPIRY, RETRY_INTERVAL, Schedule};

/// How long a request waits for credentials. After this time, the request fails, and `/readyz?verbose` shows the
/// reason, such as the name of a plugin that hangs.
const REQUEST_WAIT: Duration = Duration::from_secs(1);

/// Replaces a client when its credentials change.
struct Renewal {
    access: Access,
    /// The API server to which the client sends requests.
    server: ServerInUse,
    report: RenewalReport,
    /// Whether a warning has named that the certificate of the server is not verified.
    has_warned: bool,
    /// The last warning about broken certificates among the certificate authorities.
    broken_authorities: Option<String>,
    current: watch::Sender<Current>,
    /// The settings from which the credentials are renewed while the current files cannot be used.
    accepted: Accepted,
    /// Whether the server has refused the credentials since their last renewal, or a request has found none.
    is_refused: bool,
    schedule: Schedule,
    /// The last problem in the log, without its digits; `None` if the last attempt succeeded. The exporter logs each
    /// problem once, and not at every attempt. A plugin may write the time or a number into its message.
    logged: Option<String>,
}

/// The client in use, and the problem of the last attempt to renew its credentials.
struct Current {
    /// The current client; `None` until a credential plugin has printed credentials for the first time.
    client: Option<Client>,
    /// Why the last attempt to renew the credentials failed; `None` if the attempt succeeded.
    problem: Option<String>,
}

/// An attempt to renew the credentials. A plugin may be running for it.
struct Running {
    access: Access,
    server: ServerInUse,
    /// The files of the settings that were last accepted.
    kept_files: Vec<PathBuf>,
    /// The plugin in the current kubeconfig; `None` if the kubeconfig cannot be used.
    plugin: Option<PluginKey>,
}

/// A client that is being created, and the plugin that may be running for it.
struct Connecting {
    plugin: PluginKey,
    connected: Pin<Box<dyn Future<Output = Result<Connected, ClusterError>> + Send>>,
}

/// The credentials in a changed kubeconfig: the name of their plugin, or `None` if they have no plugin.
struct Replacement(Option<String>);

/// The result of an attempt to renew the credentials from the last usable files.
enum Kept {
    /// The credentials were renewed, or their renewal is not due.
    Valid,
    /// The last usable files provide no other credentials than the current credentials.
    Fixed,
    Failed(ClusterError),
}

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
    let broken_authorities = connection.broken_authorities.clone();
    if let Some(warning) = &broken_authorities {
        tracing::warn!("{warning}");
    }
    let plugin = plugin::in_use(&config.auth_info).map(plugin::name);
    let accepted = Accepted::new(connection.clone(), None);
    let mut connecting = connecting(connection, server);
    let (connected, problem, first) = match plugin {
        None => (Some(connecting.connected.await?), None, None),
        Some(plugin) => match timeout(patience, &mut connecting.connected).await {
            Ok(connected) => (Some(connected?), None, None),
            Err(_) => {
                // The plugin may not have started, because it waits until another plugin ends.
                let running = server.turn().running().unwrap_or(plugin);
                tracing::warn!(
                    "the credential plugin `{running}` has printed no credentials for {patience:?}; requests to the API \
                     server fail until it prints them"
                );
                (None, Some(no_credentials_yet(&running)), Some(connecting))
            }
        },
    };
    let report = server.report();
    let mut logged = None;
    if let Some(problem) = connected.as_ref().and_then(expired) {
        tracing::warn!("{problem}");
        logged = Some(without_digits(&problem));
        report.set(Some(problem));
    }
    let (client, accepted) = match connected {
        Some(Connected { client, accepted }) => (Some(client), accepted),
        None => (None, accepted),
    };
    let (current, requests) = watch::channel(Current { client, problem });
    // Each item in this channel requests new credentials. The capacity is 1, because further items would request the
    // same.
    let (refuse, refusals) = mpsc::channel(1);
    let renewal = Renewal {
        access,
        server: server.clone(),
        report,
        has_warned,
        broken_authorities,
        current,
        accepted,
        is_refused: false,
        schedule: Schedule::default(),
        logged,
    };
    tokio::spawn(renewal.run(file_watcher, first, refusals));
    let service = service_fn(move |request| send(request, requests.clone(), refuse.clone()));
    Ok((Client::new(service, namespace), url))
}

/// Sends a request with the current client. If the server refuses the credentials, requests new credentials. If they
/// arrive within [`REQUEST_WAIT`], the function sends a `GET` request again. Otherwise, a watch would wait for its
/// backoff although the credentials are valid.
async fn send(
    request: Request<Body>,
    mut current: watch::Receiver<Current>,
    refuse: mpsc::Sender<()>,
) -> Result<Response<Body>, kube::Error> {
    let client = usable(&mut current, &refuse).await?;
    let again = copy_of_get(&request);
    let response = client.send(request).await?;
    if response.status() != StatusCode::UNAUTHORIZED {
        return Ok(response);
    }
    let _ = refuse.try_send(());
    let Some(again) = again else {
        return Ok(response);
    };
    // `usable` has marked the client in use as seen.
    let Ok(Ok(())) = timeout(REQUEST_WAIT, renewed(&mut current)).await else {
        return Ok(response);
    };
    drop(response);
    let client = usable(&mut current, &refuse).await?;
    let response = client.send(again).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let _ = refuse.try_send(());
    }
    Ok(response)
}

/// Waits until another client with valid credentials replaces the client that was last seen.
async fn renewed(current: &mut watch::Receiver<Current>) -> Result<(), watch::error::RecvError> {
    loop {
        current.changed().await?;
        if current.borrow().problem.is_none() {
            return Ok(());
        }
    }
}

/// Copies a request that has no body.
fn copy_of_get(request: &Request<Body>) -> Option<Request<Body>> {
    if request.method() != Method::GET {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    request.extensions().clone_into(copy.extensions_mut());
    Some(copy)
}

/// The client for a request. If there are no valid credentials, the function waits at most [`REQUEST_WAIT`] for valid
/// credentials.
async fn usable(
    current: &mut watch::Receiver<Current>,
    refuse: &mpsc::Sender<()>,
) -> Result<Client, kube::Error> {
    let usable = current.borrow_and_update().usable();
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

/// Starts to create a client for a server.
fn connecting(connection: Connection, server: &ServerInUse) -> Connecting {
    let server = server.clone();
    Connecting {
        plugin: PluginKey::of(&connection.config.auth_info),
        connected: Box::pin(async move { connect(connection, None, server.turn()).await }),
    }
}

fn no_credentials_yet(plugin: &str) -> String {
    format!("the credential plugin `{plugin}` has printed no credentials yet")
}

fn warn_of_unverified(url: &str) {
    tracing::warn!(
        "the certificate of {url} is not verified, because insecure-skip-tls-verify is set; to verify it, remove \
         insecure-skip-tls-verify, and set certificate-authority"
    );
}

/// Waits until the last client is dropped. Sets `is_refused` if the credentials are refused in the meantime.
async fn dropped(refusals: &mut mpsc::Receiver<()>, is_refused: &mut bool) {
    while refusals.recv().await.is_some() {
        *is_refused = true;
    }
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
    async fn run(
        mut self,
        mut file_watcher: FileWatcher,
        first: Option<Connecting>,
        mut refusals: mpsc::Receiver<()>,
    ) {
        let (mut has_changed, mut is_refused) = (false, false);
        if let Some(Connecting { plugin, connected }) = first {
            let running = Running::new(&self, Some(plugin));
            let connected = tokio::select! {
                connected = connected => Ok(connected),
                replacement = running.replacement(&mut file_watcher, &mut has_changed) => Err(replacement),
                () = dropped(&mut refusals, &mut is_refused) => return,
            };
            match connected {
                Ok(Ok(connected)) => self.accept(connected),
                Ok(Err(error)) => self.fail(&error, Kept::Fixed),
                Err(replacement) => self.replace_plugin(replacement),
            }
        }
        loop {
            if !has_changed {
                let due = self.schedule.due(self.valid_for());
                tokio::select! {
                    () = file_watcher.changed() => has_changed = true,
                    () = sleep_until_some(due) => {}
                    refusal = refusals.recv() => {
                        if refusal.is_none() {
                            return;
                        }
                        self.is_refused = true;
                        // Without a plugin, all items of the channel are ignored. With a plugin, an item is ignored if
                        // the minimum interval has not passed. A later request then fails, too, and triggers the
                        // renewal.
                        let earliest = self.schedule.earliest(RETRY_INTERVAL);
                        if self.accepted.plugin().is_none() || Instant::now() < earliest {
                            continue;
                        }
                    }
                }
            }
            if has_changed {
                // A credential plugin may write to a file that the exporter watches. Without this minimum interval,
                // each run of the plugin would immediately trigger another run.
                sleep_until(self.schedule.earliest(FILE_CHANGE_INTERVAL)).await;
                has_changed = false;
            }
            let running = Running::new(&self, None);
            running.watch(&mut file_watcher);
            let present = self.present().await;
            let plugin = present.as_ref().ok();
            let plugin = plugin.map(|own| PluginKey::of(&own.config.auth_info));
            let running = Running { plugin, ..running };
            let replaced = tokio::select! {
                () = self.renew(present) => None,
                replacement = running.replacement(&mut file_watcher, &mut has_changed) => Some(replacement),
                () = dropped(&mut refusals, &mut is_refused) => return,
            };
            if let Some(replacement) = replaced {
                self.replace_plugin(replacement);
            }
            // After a success, the server has refused the previous credentials, and not the current ones.
            self.is_refused |= std::mem::take(&mut is_refused) && self.schedule.has_failed();
        }
    }

    /// The time until the client's credentials expire; `None` if that is unknown.
    fn valid_for(&self) -> Option<Duration> {
        self.current.borrow().client.as_ref().and_then(valid_for)
    }

    fn has_client(&self) -> bool {
        self.current.borrow().client.is_some()
    }

    /// Reads the current files.
    ///
    /// # Errors
    ///
    /// The function fails if the files cannot be used, or if they lead to another server.
    async fn present(&self) -> Result<Connection, ClusterError> {
        let connection = self.access.connection().await?;
        if let Some(file) = &connection.empty_authority
            && !self.accepted.trusts_system()
        {
            // The file may be empty for a short time while a program writes it. So the exporter refuses the empty file,
            // and does not start to trust the authorities of the system.
            let problem = "the certificate authority is empty now; restore it, or restart the exporter to trust the \
                           authorities of the system";
            return Err(ClusterError::Authority(format!("{file}: {problem}")));
        }
        if let Some(problem) = &connection.cut_authority
            && !self.accepted.has_cut_authority()
        {
            // A program may be writing the file of the authorities. The other certificates alone could end the
            // connections to the server.
            return Err(ClusterError::Authority(problem.clone()));
        }
        match self.server.follow(&connection.identity) {
            Some(change) => Err(other_server(change, &self.server, &connection.identity)),
            None => Ok(connection),
        }
    }

    /// Creates a client with renewed credentials for the same server. `present` has the settings in the current files.
    /// If these settings cannot be used, the credentials are renewed from the last usable files.
    async fn renew(&mut self, present: Result<Connection, ClusterError>) {
        let mut failed_plugin = None;
        let problem = match present {
            Err(problem) => problem,
            Ok(connection) => {
                let is_unverified = connection.config.accept_invalid_certs;
                if is_unverified && !self.has_warned {
                    warn_of_unverified(connection.identity.url());
                }
                self.has_warned = is_unverified;
                if connection.broken_authorities != self.broken_authorities {
                    self.broken_authorities
                        .clone_from(&connection.broken_authorities);
                    if let Some(warning) = &self.broken_authorities {
                        tracing::warn!("{warning}");
                    }
                }
                let Connecting { plugin, connected } = connecting(connection, &self.server);
                match connected.await {
                    Ok(connected) => return self.accept(connected),
                    Err(problem) => {
                        let has_failed = matches!(problem, ClusterError::Plugin(_));
                        failed_plugin = Some(plugin).filter(|_| has_failed);
                        problem
                    }
                }
            }
        };
        let kept = self.renew_kept(failed_plugin).await;
        self.fail(&problem, kept);
    }

    /// Renews the credentials from the last usable files. `failed` is a plugin that has just failed.
    async fn renew_kept(&mut self, failed: Option<PluginKey>) -> Kept {
        let accepted = self.accepted.clone();
        let new = match read_files(move || accepted.read_again()).await {
            Ok(new) => new,
            Err(error) => return Kept::Failed(error),
        };
        let has_changed = !new.has_same_content(&self.accepted);
        let is_due = match new.plugin().map(PluginKey::from) {
            None if new.files().is_empty() => return Kept::Fixed,
            None => has_changed,
            Some(plugin) if failed.as_ref() == Some(&plugin) => return Kept::Fixed,
            Some(_) => {
                // If another plugin has just failed, its next run may take long.
                let failing = failed.map_or(Duration::ZERO, |_| plugin::TIMEOUT + RETRY_INTERVAL);
                let lead = RENEW_BEFORE_EXPIRY + failing;
                let expires_soon = self.valid_for().is_some_and(|valid| valid <= lead);
                has_changed || expires_soon || self.is_refused || !self.has_client()
            }
        };
        if !is_due {
            return Kept::Valid;
        }
        let (connection, identity) = new.into_parts();
        match connect(connection, identity, self.server.turn()).await {
            Ok(connected) => {
                self.replace(connected);
                Kept::Valid
            }
            Err(error) => Kept::Failed(error),
        }
    }

    /// Uses a client that was created from the current files.
    fn accept(&mut self, connected: Connected) {
        self.schedule.record(true);
        let expired = expired(&connected);
        let cause = expired.as_deref().map(without_digits);
        if let Some(problem) = expired.as_ref().filter(|_| self.logged != cause) {
            tracing::warn!("{problem}");
        }
        self.logged = cause;
        self.report.set(expired);
        self.replace(connected);
    }

    fn replace(&mut self, Connected { client, accepted }: Connected) {
        self.accepted = accepted;
        self.is_refused = false;
        self.current.send_replace(Current::of(client));
        tracing::info!("the credentials for the API server were reloaded");
    }

    /// Records that a plugin was killed, because the kubeconfig now names other credentials.
    fn replace_plugin(&mut self, Replacement(plugin): Replacement) {
        // The minimum interval also applies in this case.
        self.schedule.record(false);
        let problem = match plugin {
            Some(plugin) => no_credentials_yet(&plugin),
            None => "the changed credentials of the kubeconfig are not in use yet".to_owned(),
        };
        if !self.has_client() {
            self.current
                .send_modify(|current| current.problem = Some(problem));
        }
    }

    /// Records that the credentials cannot be renewed from the current files.
    fn fail(&mut self, problem: &ClusterError, kept: Kept) {
        self.schedule.record(false);
        let until = match kept {
            _ if !self.has_client() => {
                "requests to the API server fail until the credentials arrive"
            }
            Kept::Valid => "they are renewed from the last usable files",
            Kept::Fixed | Kept::Failed(_) => "the current credentials stay in use",
        };
        let mut text = problem.to_string();
        if let Kept::Failed(error) = &kept {
            text = format!("{text}; the last usable files cannot be used, either: {error}");
        }
        if !matches!(kept, Kept::Valid) {
            self.current
                .send_modify(|current| current.problem = Some(text.clone()));
        }
        // The lines about the reload show a change to another server. The change alone is no problem.
        let is_other_server = matches!(problem, ClusterError::OtherServer { .. });
        let is_shown = !is_other_server || matches!(kept, Kept::Failed(_));
        let text = match is_shown {
            true => format!("cannot renew the credentials for the API server; {until}: {text}"),
            false => format!("{text}; {until}"),
        };
        let cause = without_digits(&text);
        if self.logged.as_ref() != Some(&cause) {
            match is_shown {
                true => tracing::warn!("{text}"),
                false => tracing::info!("{text}"),
            }
            self.logged = Some(cause);
        }
        self.report.set(Some(text).filter(|_| is_shown));
    }
}

// === impl Running ===

impl Running {
    fn new(renewal: &Renewal, plugin: Option<PluginKey>) -> Self {
        Self {
            access: renewal.access.clone(),
            server: renewal.server.clone(),
            kept_files: renewal.accepted.files(),
            plugin,
        }
    }

    /// Makes the watcher watch all files on which the credentials depend.
    fn watch(&self, file_watcher: &mut FileWatcher) {
        let mut files = self.access.files();
        files.extend(self.kept_files.iter().cloned());
        if !file_watcher.watches(&files) {
            *file_watcher = FileWatcher::new(files);
        }
    }

    /// Waits until the kubeconfig names other credentials than the plugin that is running, for the same server. Returns
    /// these credentials. Sets `has_changed` if a file has changed.
    async fn replacement(
        &self,
        file_watcher: &mut FileWatcher,
        has_changed: &mut bool,
    ) -> Replacement {
        loop {
            file_watcher.changed().await;
            *has_changed = true;
            self.watch(file_watcher);
            let Ok(connection) = self.access.connection().await else {
                continue;
            };
            let user = &connection.config.auth_info;
            let is_same = self.plugin.as_ref() == Some(&PluginKey::of(user));
            if !is_same && self.server.follow(&connection.identity).is_none() {
                return Replacement(plugin::in_use(user).map(plugin::name));
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

/// The problem of a plugin whose credentials have expired already; otherwise `None`. The credentials are used anyway,
/// because the clock may be wrong.
fn expired(connected: &Connected) -> Option<String> {
    let plugin = plugin::name(connected.accepted.plugin()?);
    let time = connected.client.valid_until().as_ref()?;
    let is_expired = valid_for(&connected.client)?.is_zero();
    is_expired.then(|| {
        format!(
            "the credential plugin `{plugin}` prints credentials that have expired: their expirationTimestamp ({time}) \
             is in the past; log in again, clear the cache of the plugin, or correct the clock"
        )
    })
}

/// The time until the credentials of a client expire; `None` if that is unknown.
fn valid_for(client: &Client) -> Option<Duration> {
    let seconds = client.valid_until().as_ref()?.as_second();
    let until = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or_default());
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Sleeps until `time`. If `time` is `None`, the future never resolves.
async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
