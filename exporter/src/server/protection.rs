//! The protection: the requirements of both ports on their clients (TLS, passwords and tokens). A reload replaces all
//! of these requirements at the same moment.

use std::future::pending;
use std::sync::{Arc, LazyLock};

use prometheus_web_config::{WebConfig, WebConfigFile};
use tokio::sync::watch;

use crate::auth::AuthFilter;
use crate::options::DebugAccess;

/// The requirements of both ports on their clients, as the options define them.
#[derive(Clone, Debug)]
pub(crate) struct Protection {
    /// The web configuration file (`--tls-config`): TLS, basic authentication and headers.
    pub(crate) web: Option<Arc<WebConfigFile>>,
    /// The token filter (`--auth-filter`); `None` if requests need no token.
    pub(crate) auth: Option<AuthFilter>,
    /// The clients that may use the debug endpoints.
    pub(crate) debug: DebugAccess,
}

/// The protection in use. Clones share it.
///
/// For each request, the server reads the protection once, and adds it to the extensions of the request as
/// `Arc<Protection>`. Two reads during one request would be unsafe. Between them, a reload could replace the token
/// filter by passwords, and the request could pass without any check.
#[derive(Clone, Debug)]
pub(crate) struct CurrentProtection(Arc<watch::Sender<Arc<Protection>>>);

/// The web configuration that is in use if there is no file. All requests share this value, because the creation of a
/// configuration computes an MD5 sum.
static NO_FILE: LazyLock<Arc<WebConfig>> = LazyLock::new(Arc::default);

// === impl Protection ===

impl Protection {
    /// Checks whether the web configuration file has changed, and returns its current content. Without a file, returns
    /// a configuration that allows every request.
    pub(super) async fn web_config(self: Arc<Self>) -> Arc<WebConfig> {
        match self.web.clone() {
            Some(file) => file.latest().await,
            None => Arc::clone(&NO_FILE),
        }
    }

    /// Waits until this protection no longer permits the connections of the configuration `accepted`.
    async fn outdates(&self, accepted: &WebConfig) {
        match &self.web {
            Some(file) => file.outdates(accepted).await,
            None if NO_FILE.accepts_like(accepted) => pending().await,
            None => {}
        }
    }
}

// === impl CurrentProtection ===

impl CurrentProtection {
    pub(crate) fn new(protection: Protection) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(protection))))
    }

    /// The protection in use.
    pub(crate) fn get(&self) -> Arc<Protection> {
        Arc::clone(&self.0.borrow())
    }

    /// Uses another protection for later requests and new connections.
    pub(crate) fn set(&self, protection: Protection) {
        self.0.send_replace(Arc::new(protection));
    }

    /// Waits until the protection in use no longer permits connections that the configuration `accepted` permitted. The
    /// cause is a change of the web configuration file, or a reload that replaces the file.
    pub(super) async fn outdates(self, accepted: Arc<WebConfig>) {
        let mut changes = self.0.subscribe();
        loop {
            let protection = Arc::clone(&changes.borrow_and_update());
            tokio::select! {
                () = protection.outdates(&accepted) => return,
                // `self` holds the sender, so `changed` returns no error.
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::routing::get;
    use axum::{Extension, Router};
    use bounded_http::Listener;
    use http::StatusCode;
    use parking_lot::Mutex;
    use prometheus_web_config::ReloadObserver;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::options::{AuthLimits, Limits};
    use crate::server::Server;
    use crate::telemetry::Telemetry;

    /// Pauses each read of a file until the test sends a message.
    struct Gate {
        reached: tokio::sync::mpsc::UnboundedSender<()>,
        passes: Mutex<mpsc::Receiver<()>>,
    }

    impl ReloadObserver for Gate {
        fn reloaded(&self, _: &Path, _: &WebConfig) {
            let _ = self.reached.send(());
            let _ = self.passes.lock().recv();
        }
    }

    fn write(name: &str, content: &str) -> PathBuf {
        let name = format!("protection-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn filter() -> AuthFilter {
        let server = tower::service_fn(async |_: http::Request<kube::client::Body>| {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no server"))
        });
        let limits = AuthLimits {
            review: None,
            grace: None,
        };
        AuthFilter::new(kube::Client::new(server, "default"), limits)
    }

    #[tokio::test]
    async fn connections_outlive_a_reload_that_leaves_their_settings_as_they_are() {
        let open = |name: &str, content: &str| {
            let file = WebConfigFile::open(write(name, content)).unwrap();
            Protection {
                web: Some(Arc::new(file)),
                auth: None,
                debug: DebugAccess::Open,
            }
        };
        let none = Protection {
            web: None,
            auth: Some(filter()),
            debug: DebugAccess::Open,
        };
        let current = CurrentProtection::new(none.clone());
        let accepted = current.get().web_config().await;
        let mut outdated = Box::pin(current.clone().outdates(accepted));
        let hash = bcrypt::hash("open", 4).unwrap();
        let users = format!("basic_auth_users: {{ann: {hash}}}\n");
        for same in [open("users.yaml", &users), none] {
            current.set(same);
            let polled = tokio::time::timeout(Duration::ZERO, &mut outdated).await;
            assert!(polled.is_err(), "the connection stays open");
        }
        let other = open("other.yaml", "http_server_config: {http2: false}\n");
        let config = Arc::new(other.clone()).web_config().await;
        current.set(other);
        outdated.await;
        // A connection with the new settings becomes invalid when the content of the file changes.
        let outdated = current.clone().outdates(config);
        write("other.yaml", "rate_limit: {burst: 9, interval: 1s}\n");
        current.get().web_config().await;
        outdated.await;
    }

    #[tokio::test]
    async fn a_request_during_a_reload_meets_the_old_or_the_new_protection() {
        let (reached, mut is_reached) = tokio::sync::mpsc::unbounded_channel();
        let (pass, passes) = mpsc::channel();
        let passes = Mutex::new(passes);
        let old = write("old.yaml", "http_server_config: {http2: false}\n");
        let web = WebConfigFile::open_with_observer(&old, Gate { reached, passes }).unwrap();
        let current = CurrentProtection::new(Protection {
            web: Some(Arc::new(web)),
            auth: Some(filter()),
            debug: DebugAccess::Open,
        });
        // With a token filter, this route responds with 401, as the exporter does to requests without a token.
        let route = get(
            async |Extension(protection): Extension<Arc<Protection>>| match &protection.auth {
                Some(_) => StatusCode::UNAUTHORIZED,
                None => StatusCode::OK,
            },
        );
        let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr();
        let telemetry = Telemetry::new().unwrap();
        let _server = Server::start(
            "metrics",
            listener,
            Router::new().route("/", route),
            &Limits {
                read_header: None,
                read: None,
                write: None,
                idle: None,
                progress: None,
                connections: 8,
                answers: 8,
            },
            current.clone(),
            &telemetry.servers,
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        let first = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(first).await.unwrap();
        let count = stream.read(&mut [0; 1024]).await.unwrap();
        assert!(
            count > 0,
            "the connection is accepted before the file changes"
        );
        // The next request finds that the file has changed, and waits until the file has been read.
        write(
            "old.yaml",
            "http_server_config: {http2: false}\n# changed\n",
        );
        let last = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(last).await.unwrap();
        is_reached.recv().await.unwrap();
        let hash = bcrypt::hash("open", 4).unwrap();
        let users =
            format!("basic_auth_users: {{ann: {hash}}}\nhttp_server_config: {{http2: false}}\n");
        let new = write("new.yaml", &users);
        current.set(Protection {
            web: Some(Arc::new(WebConfigFile::open(new).unwrap())),
            auth: None,
            debug: DebugAccess::Open,
        });
        pass.send(()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    }
}
