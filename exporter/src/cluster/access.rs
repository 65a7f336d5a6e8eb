//! The address of the API server and the credentials for it, from flags, a kubeconfig or the pod.

use std::path::{Path, PathBuf};

use http::uri::Scheme;
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};
use kube_state_metrics::source::watch::configure_for_watching;
use secrecy::{ExposeSecret, SecretString};

use super::authority_bundle::AuthorityBundle;
use super::identity::ServerIdentity;
use super::kubeconfig::{self, InvalidKubeconfig, current_cluster};
use super::plugin::PluginError;
use super::proxy::{Environment, InvalidProxy, Proxy};
use super::system_authorities::UnreadableSystemAuthorities;
use crate::file_limits;
use crate::server_url::{self, InvalidServerUrl};

/// The reason why no client for the API server can be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("kubeconfig {file}: {source}")]
    Kubeconfig {
        file: String,
        source: InvalidKubeconfig,
    },
    #[error(
        "the exporter does not run in a pod with a service account ({0}), and neither $KUBECONFIG nor \
         ~/.kube/config names a cluster; give --kubeconfig FILE, --apiserver URL, or --manifests PATH \
         for metrics without a cluster"
    )]
    NotInCluster(InClusterError),
    #[error(
        "cannot use the credentials of the pod: {}: {source}; repair the file, or mount the token of the \
         service account (automountServiceAccountToken)",
        config_file::shown_path(path)
    )]
    PodFile {
        path: PathBuf,
        source: InClusterError,
    },
    #[error("the URL of the API server in KUBERNETES_SERVICE_HOST {0}")]
    PodServer(InvalidServerUrl),
    #[error(
        "cannot read the token file {}: {source}",
        config_file::shown_path(path)
    )]
    TokenFile {
        path: PathBuf,
        source: config_file::ReadError,
    },
    #[error("the token file {} is empty; write a token to it", config_file::shown_path(.0))]
    EmptyToken(PathBuf),
    #[error("{0} has a token with invalid characters, such as a line break; write only the token")]
    InvalidToken(String),
    #[error("kubeconfig {file}: {source}")]
    ProxyUrl { file: String, source: InvalidProxy },
    #[error("{0}")]
    ProxyVariable(InvalidProxy),
    #[error(
        "the kubeconfig names another API server ({named}), which is not in use yet; requests still go to the previous \
         API server ({used}), until a reload of the configuration is complete"
    )]
    OtherServer { used: String, named: String },
    #[error(
        "kubeconfig {file}: the user has an `auth-provider` other than `oidc`, which kubectl no longer supports, either; \
         use a credential plugin (`exec`)"
    )]
    AuthProvider { file: String },
    #[error(
        "kubeconfig {file}: the exporter does not support `{key}` of the auth-provider `oidc`, and would trust the \
         authorities of the system instead; use a credential plugin (`exec`)"
    )]
    ProviderAuthority { file: String, key: &'static str },
    #[error("{0}")]
    Identity(String),
    #[error("{0}")]
    Authority(String),
    #[error(transparent)]
    SystemAuthorities(#[from] UnreadableSystemAuthorities),
    #[error("tls-server-name: `{0}` is neither a DNS name nor an IP address")]
    ServerName(String),
    #[error("cannot create a client for the API server: {0}")]
    Client(String),
    #[error("cannot create a client for the API server: {0}")]
    Plugin(#[from] PluginError),
}

/// The sources of the address of the API server and of the credentials. If neither field is set, the address and the
/// credentials of the pod are used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    /// If there are several files, the first one that sets a value takes precedence, as with kubectl.
    pub(super) kubeconfig: Vec<PathBuf>,
    pub(super) apiserver: Option<http::Uri>,
}

/// The address of the API server, and the credentials.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) config: Config,
    pub(super) identity: ServerIdentity,
    pub(super) proxy: Option<Proxy>,
    /// The file or setting that contains the certificate authorities. Error messages name this source.
    pub(super) authority: String,
    /// The file of certificate authorities; `None` if the authorities are not in a file.
    pub(super) authority_file: Option<PathBuf>,
    /// The file with the token; `None` if the user has no such file.
    pub(super) token_file: Option<PathBuf>,
    /// Whether the kubeconfig has credentials that the exporter does not send, because the URL of the server is not
    /// HTTPS.
    pub(super) withholds_credentials: bool,
    /// The name of the configured file of certificate authorities if the file is empty; otherwise `None`. If the file
    /// is empty, the exporter trusts the authorities of the system.
    pub(super) empty_authority: Option<String>,
    /// A warning about certificates among the certificate authorities that cannot be used; `None` if there are none.
    pub(super) broken_authorities: Option<String>,
    /// The problem of the last certificate authority if it has no end; otherwise `None`. A program may be writing the
    /// file.
    pub(super) cut_authority: Option<String>,
}

/// The directory of a pod's credentials. The kubelet replaces the credentials about once an hour.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

// === impl Access ===

impl Access {
    /// The files to watch: the kubeconfig and all files that credentials are read from.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if self.kubeconfig.is_empty() {
            return match &self.apiserver {
                Some(_) => Vec::new(),
                None => ["token", "ca.crt"]
                    .map(|name| Path::new(SERVICE_ACCOUNT).join(name))
                    .into(),
            };
        }
        let mut files = self.kubeconfig.clone();
        // A kubeconfig that cannot be parsed is also watched, because a user may correct it.
        let config = self.read_kubeconfig().unwrap_or_default();
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

    /// The paths of the kubeconfig, for messages.
    fn kubeconfig_name(&self) -> String {
        let paths = self
            .kubeconfig
            .iter()
            .map(|path| config_file::shown_path(path).into_owned());
        paths.collect::<Vec<_>>().join(", ")
    }

    /// Reads and merges the files of the kubeconfig.
    fn read_kubeconfig(&self) -> Result<Kubeconfig, ClusterError> {
        let mut paths = self.kubeconfig.iter();
        paths.try_fold(Kubeconfig::default(), |merged, path| {
            let next = kubeconfig::read(path);
            let merged = next.and_then(|next| Ok(merged.merge(next)?));
            merged.map_err(|source| ClusterError::Kubeconfig {
                file: config_file::shown_path(path).into_owned(),
                source,
            })
        })
    }

    /// Reads the files and returns the configuration of a client.
    pub(super) async fn connection(&self) -> Result<Connection, ClusterError> {
        let (mut proxy, mut named) = (None, None);
        let mut authority = "the certificate authorities of the system".to_owned();
        let mut authority_file = None;
        let has_content;
        let bundle;
        let mut config = match (self.kubeconfig.as_slice(), &self.apiserver) {
            ([], Some(apiserver)) => {
                (has_content, bundle) = (false, None);
                Config::new(server_url::with_scheme(apiserver.clone(), false))
            }
            ([], None) => {
                authority = format!("{SERVICE_ACCOUNT}/ca.crt");
                authority_file = Some(PathBuf::from(&authority));
                let content = config_file::read(Path::new(&authority), file_limits::CERTIFICATES);
                let content = content.unwrap_or_default();
                has_content = !content.is_empty();
                bundle = Some(AuthorityBundle::parse(&content));
                let mut config = Config::incluster().map_err(of_pod)?;
                let url = server_url::parse(&config.cluster_url.to_string());
                config.cluster_url = url.map_err(ClusterError::PodServer)?;
                config
            }
            _ => {
                let file = self.kubeconfig_name();
                let wrong = |source| ClusterError::Kubeconfig {
                    file: file.clone(),
                    source,
                };
                let mut kubeconfig = self.read_kubeconfig()?;
                if kubeconfig.clusters.is_empty() && kubeconfig.contexts.is_empty() {
                    return Err(wrong(InvalidKubeconfig::Empty));
                }
                kubeconfig::check_context(&kubeconfig).map_err(wrong)?;
                let cluster = current_cluster(&kubeconfig);
                if let Some(named) = cluster.and_then(|own| authority_of(own, &file)) {
                    authority = named;
                }
                let has_data = |own: &&Cluster| own.certificate_authority_data.is_some();
                let of_file = cluster.filter(|own| !has_data(own));
                let of_file = of_file.and_then(|own| own.certificate_authority.as_ref());
                authority_file = of_file.map(PathBuf::from);
                named = cluster.cloned();
                let found = cluster.and_then(proxy_of).transpose();
                proxy = found.map_err(|source| ClusterError::ProxyUrl {
                    file: file.clone(),
                    source,
                })?;
                let url = kubeconfig::server_url(&kubeconfig, self.apiserver.as_ref());
                if let Some(url) = url.map_err(|source| wrong(source.into()))? {
                    kubeconfig::set_server(&mut kubeconfig, &url);
                }
                let unreadable = kubeconfig::inline_authority(&mut kubeconfig);
                unreadable.map_err(|error| ClusterError::Authority(error.to_string()))?;
                let data = current_cluster(&kubeconfig)
                    .and_then(|cluster| cluster.certificate_authority_data.as_deref());
                has_content = data.is_some_and(|data| !data.is_empty());
                bundle = kubeconfig::take_authorities(&mut kubeconfig);
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|source| match source {
                        // Here, kube reads the proxy from the environment, so this error is about an environment
                        // variable.
                        KubeconfigError::ParseProxyUrl(_) => {
                            let setting = "HTTPS_PROXY";
                            ClusterError::ProxyVariable(InvalidProxy { setting })
                        }
                        source => wrong(source.into()),
                    })?;
                kubeconfig::check_user(&config.auth_info).map_err(wrong)?;
                config
            }
        };
        if proxy.is_none() {
            let environment = Environment::of_process();
            let found = environment.proxy_for(&config.cluster_url);
            proxy = found.map_err(ClusterError::ProxyVariable)?;
        }
        // kube would run the program of these providers without limits on its time and its output.
        let provider = config.auth_info.auth_provider.as_ref();
        if provider.is_some_and(|provider| provider.name != "oidc") {
            let file = self.kubeconfig_name();
            return Err(ClusterError::AuthProvider { file });
        }
        // kube ignores these settings, so a server with a certificate of any other authority could get the secrets.
        for key in [
            "idp-certificate-authority",
            "idp-certificate-authority-data",
        ] {
            let value = provider.and_then(|provider| provider.config.get(key));
            if value.is_some_and(|value| !value.is_empty()) {
                let file = self.kubeconfig_name();
                return Err(ClusterError::ProviderAuthority { file, key });
            }
        }
        let (mut broken, mut cut) = (None, None);
        if let Some(bundle) = bundle {
            (broken, cut) = (bundle.broken(), bundle.cut());
            config.root_cert = Some(bundle.certificates);
        }
        let is_https = config.cluster_url.scheme() == Some(&Scheme::HTTPS);
        let withholds_credentials = !is_https && forget_credentials(&mut config.auth_info);
        // Like other Kubernetes clients, the exporter accepts an empty file of authorities. The exporter watches the
        // file, and uses certificates that are written later.
        let has_no_root = config.root_cert.take_if(|roots| roots.is_empty()).is_some();
        let trusts_system = has_no_root && is_https && !config.accept_invalid_certs;
        if trusts_system && has_content {
            // The file has content, but no certificate. Without this error, the exporter would trust the authorities of
            // the system instead.
            let broken = broken.map(|broken| format!("; broken certificates: {broken}"));
            let broken = broken.unwrap_or_default();
            return Err(ClusterError::Authority(format!(
                "{authority}: no certificate found; a PEM certificate is required{broken}"
            )));
        }
        let empty_authority = trusts_system.then(|| match self.kubeconfig.is_empty() {
            true => authority.clone(),
            false => self.kubeconfig_name(),
        });
        let broken_authorities = broken.map(|broken| {
            format!(
                "{authority}: certificates that are not trusted: {broken}; repair or remove them"
            )
        });
        let cut_authority = cut.map(|cut| {
            format!("{authority}: the file is not complete: certificate {cut}; write the rest of the file")
        });
        let user = &mut config.auth_info;
        let token_file = user.token_file.take().map(PathBuf::from);
        // As in other Kubernetes clients, the token file takes precedence over a token in the kubeconfig.
        if let Some(path) = &token_file {
            match read_token(path) {
                Ok(token) => user.token = Some(token),
                Err(ClusterError::TokenFile { .. }) if user.token.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        // The token must not contain characters that are invalid in an HTTP header. The error names the source of such
        // a token.
        if user.token.as_ref().is_some_and(|token| !is_header(token)) {
            let shown = |file: &PathBuf| config_file::shown_path(file).into_owned();
            let origin = token_file.as_ref().map(shown);
            let origin = origin.unwrap_or_else(|| self.kubeconfig_name());
            return Err(ClusterError::InvalidToken(origin));
        }
        let url = config.cluster_url.to_string();
        let identity = match named {
            Some(cluster) => ServerIdentity::of_cluster(&cluster, url),
            None => ServerIdentity::of_url(url),
        };
        Ok(Connection {
            identity,
            config: configure_for_watching(config),
            proxy,
            authority,
            authority_file,
            token_file,
            withholds_credentials,
            empty_authority,
            broken_authorities,
            cut_authority,
        })
    }
}

/// Names the file of the pod that cannot be used. Without the environment variables of a pod, the exporter does not run
/// in a pod.
fn of_pod(source: InClusterError) -> ClusterError {
    let name = match source {
        InClusterError::ReadCertificateBundle(_) | InClusterError::ParseCertificates(_) => "ca.crt",
        InClusterError::ReadDefaultNamespace(_) => "namespace",
        _ => return ClusterError::NotInCluster(source),
    };
    let path = Path::new(SERVICE_ACCOUNT).join(name);
    ClusterError::PodFile { path, source }
}

/// Reads a token file.
///
/// # Errors
///
/// The function fails if the file cannot be read, or if it has no token.
pub(super) fn read_token(path: &Path) -> Result<SecretString, ClusterError> {
    match config_file::read_text(path, file_limits::TOKEN) {
        Ok(token) if token.trim().is_empty() => Err(ClusterError::EmptyToken(path.to_owned())),
        // Files usually end with a line break; a token never does.
        Ok(token) => Ok(token.trim().into()),
        Err(source) => {
            let path = path.to_owned();
            Err(ClusterError::TokenFile { path, source })
        }
    }
}

/// Whether an HTTP header can contain the token.
pub(super) fn is_header(token: &SecretString) -> bool {
    http::HeaderValue::from_str(token.expose_secret()).is_ok()
}

/// The source of a cluster's certificate authorities; `None` if the cluster has none. `certificate-authority-data`
/// takes precedence over the file `certificate-authority`.
fn authority_of(cluster: &Cluster, kubeconfig: &str) -> Option<String> {
    let data = cluster.certificate_authority_data.as_ref();
    let name = |_| format!("certificate-authority-data of {kubeconfig}");
    let file = cluster.certificate_authority.as_ref();
    let shown = |file: &String| config_file::shown_path(Path::new(file)).into_owned();
    data.map(name).or_else(|| file.map(shown))
}

fn proxy_of(cluster: &Cluster) -> Option<Result<Proxy, InvalidProxy>> {
    let url = cluster.proxy_url.as_ref()?;
    Some(Proxy::parse(url, "proxy-url"))
}

/// Removes the credentials, and returns whether there were any. Settings for impersonation stay, because they are not
/// credentials.
fn forget_credentials(user: &mut AuthInfo) -> bool {
    let impersonation = AuthInfo {
        impersonate: user.impersonate.take(),
        impersonate_uid: user.impersonate_uid.take(),
        impersonate_groups: user.impersonate_groups.take(),
        impersonate_user_extra: user.impersonate_user_extra.take(),
        ..AuthInfo::default()
    };
    let forgotten = std::mem::replace(user, impersonation);
    let AuthInfo {
        username,
        password,
        token,
        token_file,
        client_certificate,
        client_certificate_data,
        client_key,
        client_key_data,
        auth_provider,
        exec,
        ..
    } = forgotten;
    let texts = [
        username,
        token_file,
        client_certificate,
        client_certificate_data,
        client_key,
    ];
    texts.iter().any(Option::is_some)
        || [password, token, client_key_data]
            .iter()
            .any(Option::is_some)
        || auth_provider.is_some()
        || exec.is_some()
}

#[cfg(test)]
mod tests;
