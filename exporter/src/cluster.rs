//! The way to the API server.

mod renewal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use kube_state_metrics::watch::tuned;

use crate::options::SourceOptions;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("--kubeconfig {}: {source}", path.display())]
    Kubeconfig {
        path: PathBuf,
        source: KubeconfigError,
    },
    #[error(
        "this does not run in a cluster ({0}); give --kubeconfig FILE, --apiserver URL, or \
         --manifests PATH for metrics without a cluster"
    )]
    NotInCluster(kube::config::InClusterError),
    #[error("cannot read the token file {}: {source}", path.display())]
    TokenFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot make a client for the API server: {0}")]
    Client(String),
}

/// What leads to the API server and proves who asks.
#[derive(Clone, Debug, PartialEq)]
struct Access {
    kubeconfig: Option<PathBuf>,
    apiserver: Option<http::Uri>,
}

/// Where a pod finds its credentials; they are replaced every hour or so.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The longest time a credential plugin may take.
const PLUGIN_PATIENCE: Duration = Duration::from_secs(60);

/// A client for the API server that the options name, and where that is.
///
/// Its credentials are renewed for as long as it lives: when a file they are from changes, before they
/// expire, and where a plugin has better ones than those the server refuses.
///
/// # Errors
///
/// Where the options, or the cluster this runs in, do not lead to one. The server itself is not
/// asked: it may come later.
pub(crate) async fn client(source: &SourceOptions) -> Result<(Client, String), ClusterError> {
    let access = Access {
        kubeconfig: source.kubeconfig.clone(),
        apiserver: source.apiserver.clone(),
    };
    renewal::client(access).await
}

/// The server that the content of a kubeconfig leads to, where it leads anywhere.
pub(crate) fn server(kubeconfig: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(kubeconfig).ok()?;
    let config = Kubeconfig::from_yaml(text).ok()?;
    let context = config.current_context?;
    let mut contexts = config.contexts.into_iter();
    let context = contexts.find(|own| own.name == context)?.context?;
    let mut clusters = config.clusters.into_iter();
    clusters
        .find(|own| own.name == context.cluster)?
        .cluster?
        .server
}

// === impl Access ===

impl Access {
    /// The files that credentials are read from.
    fn files(&self) -> Vec<PathBuf> {
        let Some(path) = &self.kubeconfig else {
            return match &self.apiserver {
                Some(_) => Vec::new(),
                None => ["token", "ca.crt"]
                    .map(|name| Path::new(SERVICE_ACCOUNT).join(name))
                    .into(),
            };
        };
        let mut files = vec![path.clone()];
        // A kubeconfig that cannot be read may be mended.
        let config = Kubeconfig::read_from(path).unwrap_or_default();
        let clusters = config.clusters.into_iter().filter_map(|own| own.cluster);
        let authorities = clusters.filter_map(|cluster| cluster.certificate_authority);
        files.extend(authorities.map(PathBuf::from));
        for user in config
            .auth_infos
            .into_iter()
            .filter_map(|own| own.auth_info)
        {
            let own = [user.token_file, user.client_certificate, user.client_key];
            files.extend(own.into_iter().flatten().map(PathBuf::from));
        }
        files
    }

    /// The configuration of a client, as the files are now.
    async fn config(&self) -> Result<Config, ClusterError> {
        let mut config = match (&self.kubeconfig, &self.apiserver) {
            (Some(path), _) => {
                let wrong = |source| ClusterError::Kubeconfig {
                    path: path.clone(),
                    source,
                };
                let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(wrong)?
            }
            (None, Some(apiserver)) => Config::new(apiserver.clone()),
            (None, None) => Config::incluster().map_err(ClusterError::NotInCluster)?,
        };
        if let Some(apiserver) = &self.apiserver {
            config.cluster_url = with_scheme(apiserver, &config);
        }
        // As other clients take it; the file may be filled later, and is followed.
        if config.root_cert.take_if(|own| own.is_empty()).is_some()
            && !config.accept_invalid_certs
            && config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTPS)
        {
            let ours = || Path::new(SERVICE_ACCOUNT).join("ca.crt");
            let path = self.kubeconfig.clone().unwrap_or_else(ours);
            tracing::warn!(
                "{}: the certificate authority is empty; those of the system are trusted instead",
                path.display()
            );
        }
        let user = &mut config.auth_info;
        // As for other clients, the file counts where there is a token beside it.
        if let Some(path) = user.token_file.take() {
            match std::fs::read_to_string(&path) {
                // Files end with a line break more often than not, and tokens never do.
                Ok(token) => user.token = Some(token.trim().to_owned().into()),
                Err(_) if user.token.is_some() => {}
                Err(source) => {
                    let path = path.into();
                    return Err(ClusterError::TokenFile { path, source });
                }
            }
        }
        Ok(tuned(config))
    }
}

/// The URL of a server. As for other clients, one without a scheme speaks TLS where the configuration has
/// something to say about that, and else does not.
fn with_scheme(server: &http::Uri, config: &Config) -> http::Uri {
    if server.scheme().is_some() {
        return server.clone();
    }
    let user = &config.auth_info;
    let is_tls = config.root_cert.is_some()
        || config.accept_invalid_certs
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some();
    let host = server.authority().map_or("", http::uri::Authority::as_str);
    let uri = http::Uri::builder().authority(host).path_and_query("/");
    let uri = uri.scheme(if is_tls { "https" } else { "http" }).build();
    uri.unwrap_or_else(|_| server.clone())
}

/// A client of a configuration, which may run a plugin for its credentials.
async fn of_config(config: Config) -> Result<Client, ClusterError> {
    let made = tokio::task::spawn_blocking(|| Client::try_from(config));
    let made = tokio::time::timeout(PLUGIN_PATIENCE, made).await;
    let made = made.map_err(|_| {
        let patience = PLUGIN_PATIENCE;
        ClusterError::Client(format!("no credentials came within {patience:?}"))
    })?;
    let made = made.map_err(|error| ClusterError::Client(error.to_string()))?;
    made.map_err(|error| ClusterError::Client(describe(&error)))
}

/// What went wrong, without what a plugin was given or said in confidence.
fn describe(error: &kube::Error) -> String {
    let kube::Error::Auth(AuthError::AuthExecRun { out, .. }) = error else {
        return error.to_string();
    };
    let said = String::from_utf8_lossy(&out.stderr);
    let status = out.status;
    match said.trim() {
        "" => format!("the credential plugin failed with {status}"),
        said => format!("the credential plugin failed with {status}: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_a_kubeconfig_is_that_of_its_context() {
        let kubeconfig = "
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'https://a'}}, {name: b, cluster: {server: 'https://b'}}]
contexts: [{name: x, context: {cluster: b, user: u}}]
current-context: x
";
        assert_eq!(server(kubeconfig.as_bytes()).as_deref(), Some("https://b"));
        for wrong in ["", "x", "current-context: y", "\u{fffd}: ["] {
            assert_eq!(server(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_server_without_a_scheme_speaks_tls_only_where_that_can_be_checked() {
        let bare: http::Uri = "a:6443".parse().unwrap();
        let mut config = Config::new(bare.clone());
        assert_eq!(with_scheme(&bare, &config), "http://a:6443/");
        config.root_cert = Some(vec![vec![1]]);
        assert_eq!(with_scheme(&bare, &config), "https://a:6443/");
        let full = "http://a:6443/x".parse().unwrap();
        assert_eq!(with_scheme(&full, &config), full);
    }

    #[tokio::test]
    async fn an_authority_without_certificates_is_none() {
        let directory = std::env::temp_dir().join(format!("authority-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("config");
        let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.pem}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: a, user: u}}]
current-context: x
";
        std::fs::write(&path, kubeconfig).unwrap();
        std::fs::write(directory.join("ca.pem"), "").unwrap();
        let access = Access {
            kubeconfig: Some(path),
            apiserver: None,
        };
        let config = access.config().await.unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(config.root_cert.is_none());
        assert!(of_config(config).await.is_ok(), "it may be filled later");
    }

    #[test]
    fn all_files_that_credentials_come_from_are_followed() {
        let directory = std::env::temp_dir().join(format!("access-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("config");
        let kubeconfig = "
clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token, client-certificate: /c.pem, client-key: key.pem}}]
";
        std::fs::write(&path, kubeconfig).unwrap();
        let access = Access {
            kubeconfig: Some(path.clone()),
            apiserver: None,
        };
        let files = access.files();
        let beside = |name: &str| directory.join(name);
        let c = PathBuf::from("/c.pem");
        let all = [
            path,
            beside("ca.pem"),
            beside("token"),
            c,
            beside("key.pem"),
        ];
        assert_eq!(files, all);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(access.files().len(), 1, "it may come back");
        let pod = Access {
            kubeconfig: None,
            apiserver: None,
        };
        assert_eq!(pod.files().len(), 2);
    }
}
