//! The address of the API server and the credentials for it, from flags, a kubeconfig or the pod.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use kube_state_metrics::source::watch::configure_for_watching;

/// Why no client for the API server can be created.
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

/// Where the address of the API server and the credentials are read from. If neither is set, they
/// are those that a pod has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) apiserver: Option<http::Uri>,
}

/// The directory of a pod's credentials; the kubelet replaces them about once an hour.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The timeout of a credential plugin.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);

// === impl Access ===

impl Access {
    /// The files to watch: the kubeconfig and all files that credentials are read from.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let Some(path) = &self.kubeconfig else {
            return match &self.apiserver {
                Some(_) => Vec::new(),
                None => ["token", "ca.crt"]
                    .map(|name| Path::new(SERVICE_ACCOUNT).join(name))
                    .into(),
            };
        };
        let mut files = vec![path.clone()];
        // A kubeconfig that cannot be parsed is watched as well: it may be corrected.
        let config = Kubeconfig::read_from(path).unwrap_or_default();
        let clusters = config
            .clusters
            .into_iter()
            .filter_map(|named| named.cluster);
        let authorities = clusters.filter_map(|cluster| cluster.certificate_authority);
        files.extend(authorities.map(PathBuf::from));
        for user in config
            .auth_infos
            .into_iter()
            .filter_map(|named| named.auth_info)
        {
            let user_files = [user.token_file, user.client_certificate, user.client_key];
            files.extend(user_files.into_iter().flatten().map(PathBuf::from));
        }
        files
    }

    /// Reads the files and returns the configuration of a client.
    pub(super) async fn config(&self) -> Result<Config, ClusterError> {
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
        // Other clients also accept an empty file. It is watched, so it can be filled later.
        if config.root_cert.take_if(|roots| roots.is_empty()).is_some()
            && !config.accept_invalid_certs
            && config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTPS)
        {
            let of_pod = || Path::new(SERVICE_ACCOUNT).join("ca.crt");
            let path = self.kubeconfig.clone().unwrap_or_else(of_pod);
            tracing::warn!(
                "{}: the certificate authority is empty; those of the system are trusted instead",
                path.display()
            );
        }
        let user = &mut config.auth_info;
        // As in other clients, the token file takes precedence over an inline token.
        if let Some(path) = user.token_file.take() {
            match std::fs::read_to_string(&path) {
                // Files usually end with a line break; a token never does.
                Ok(token) => user.token = Some(token.trim().to_owned().into()),
                Err(_) if user.token.is_some() => {}
                Err(source) => {
                    let path = path.into();
                    return Err(ClusterError::TokenFile { path, source });
                }
            }
        }
        Ok(configure_for_watching(config))
    }
}

/// The URL of a server. As in other clients, a URL without a scheme means HTTPS if the configuration
/// has any TLS setting, and HTTP otherwise.
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

/// Creates a client, which may run a credential plugin.
///
/// # Errors
///
/// If the configuration is invalid, or the plugin fails or takes too long.
pub(super) async fn connect(config: Config) -> Result<Client, ClusterError> {
    let client = tokio::task::spawn_blocking(|| Client::try_from(config));
    let client = tokio::time::timeout(PLUGIN_TIMEOUT, client).await;
    let client = client.map_err(|_| {
        let timeout = PLUGIN_TIMEOUT;
        ClusterError::Client(format!("no credentials came within {timeout:?}"))
    })?;
    let client = client.map_err(|error| ClusterError::Client(error.to_string()))?;
    client.map_err(|error| ClusterError::Client(describe(&error)))
}

/// The error without the environment and the standard output of a plugin, which may be secret.
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
        assert!(connect(config).await.is_ok(), "it may be filled later");
    }

    #[test]
    fn all_files_that_credentials_come_from_are_watched() {
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
