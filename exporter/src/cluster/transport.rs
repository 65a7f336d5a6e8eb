//! The HTTP service that kube's client uses. The service adds credentials to requests, and opens connections with TLS.
//!
//! This service replaces the default service of kube, which supports fewer kinds of proxies. Both services follow no
//! redirects, so that no other server receives the credentials.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, Request};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ClientBuilder, ConfigExt};
use secrecy::ExposeSecret;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use super::accepted::Accepted;
use super::access::{ClusterError, Connection};
use super::connector::Connector;
use super::informational::InformationalLimit;
use super::own_secrets::{HidingBody, InUse, RecentSecrets};
use super::plugin::{self, Credentials, Printed, Turn};
use super::provider::Session;
use super::proxy::Protocol;
use super::tls::{self, Identity};

/// The credentials of the clients in use, and of the newest requests. All clients share them, because a renewal of the
/// credentials creates a new client, and a server may repeat the credentials of the previous client.
static RECENT_SECRETS: RecentSecrets = RecentSecrets::new();
/// The timeout of the creation of a client. The creation reads files, and a file system may not respond.
const CREATION_TIMEOUT: Duration = Duration::from_secs(60);

/// A client, and the settings from which it was created.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) accepted: Accepted,
}

/// Creates a client. If the kubeconfig has a credential plugin, the function waits for its `turn`, and runs the plugin.
/// `kept` is the client certificate; `None` means that the function reads it.
///
/// # Errors
///
/// The function fails if the configuration is invalid, if the plugin fails, or if the plugin takes too long.
pub(super) async fn connect(
    connection: Connection,
    kept: Option<Identity>,
    turn: &Turn,
) -> Result<Connected, ClusterError> {
    let printed = match plugin::in_use(&connection.config.auth_info) {
        Some(plugin) => Some(plugin::run(plugin, turn).await?),
        None => None,
    };
    read_files(move || client(connection, kept, printed)).await?
}

/// Calls `read`, which reads files, on a thread for blocking calls.
///
/// # Errors
///
/// The function fails if the call takes longer than [`CREATION_TIMEOUT`].
pub(super) async fn read_files<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClusterError> {
    let read = tokio::time::timeout(CREATION_TIMEOUT, tokio::task::spawn_blocking(read));
    let read = read.await.map_err(|_| {
        let timeout = CREATION_TIMEOUT;
        ClusterError::Client(format!(
            "the files with the credentials and the authorities were not read within {timeout:?}"
        ))
    })?;
    read.map_err(|error| ClusterError::Client(error.to_string()))
}

/// Creates a client. The call blocks while it reads files.
fn client(
    connection: Connection,
    kept: Option<Identity>,
    printed: Option<Printed>,
) -> Result<Connected, ClusterError> {
    let of_user = match kept {
        Some(identity) => Ok(Some(identity)),
        None => Identity::of_user(&connection.config.auth_info),
    };
    let accepted = Accepted::new(connection.clone(), of_user.as_ref().ok().cloned().flatten());
    let Connection {
        mut config,
        proxy,
        authority,
        ..
    } = connection;
    let failed = |error: kube::Error| ClusterError::Client(error.to_string());
    // The plugin has already run. If `exec` stayed set, kube would run the plugin again.
    config.auth_info.exec = None;
    let expires = printed.as_ref().and_then(|printed| printed.expires);
    let credentials = printed.map(|printed| printed.credentials);
    let (token, certificate) = match credentials {
        Some(Credentials { token, certificate }) => (token, certificate),
        None => (None, None),
    };
    if token.is_some() {
        config.auth_info.token = token;
    }
    let identity = match certificate {
        Some((certificate, key)) => Some(Identity {
            origin: "the certificate of the credential plugin".to_owned(),
            certificate: certificate.into_bytes(),
            key: key.expose_secret().as_bytes().to_vec(),
        }),
        None => of_user?,
    };
    let session = Session::of(&config)?;
    let authorization = match session {
        Some(_) => None,
        None => config.auth_layer().map_err(failed)?,
    };
    let tls = tls::client_config(&config, identity, &authority)?;
    let connector = Connector::new(tls.clone(), proxy.clone(), config.connect_timeout);
    let connector = match &config.tls_server_name {
        Some(name) => {
            let wrong = |_| ClusterError::ServerName(name.clone());
            let name = name.clone().try_into().map_err(wrong)?;
            let resolver = Arc::new(FixedServerNameResolver::new(name));
            HttpsConnector::new(connector, tls, false, resolver)
        }
        None => HttpsConnector::from((connector, tls)),
    };
    let mut connector = TimeoutConnector::new(connector.map_err(tls::explain as fn(_) -> _));
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let connector = connector.map_response(InformationalLimit::new as fn(_) -> _);
    let client: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    let is_https = config.cluster_url.scheme() == Some(&http::uri::Scheme::HTTPS);
    let protocol = proxy.map(|proxy| proxy.protocol);
    let proxy_secrets = protocol.as_ref().and_then(proxy_secrets);
    let proxy_authorization = match protocol {
        Some(Protocol::Http { authorization }) => authorization,
        _ => None,
    };
    let in_use = Arc::<InUse>::default();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(authorization)
        .layer(config.extra_headers_layer().map_err(failed)?)
        .service(service_fn(move |mut request: Request<Body>| {
            // This line does not log the headers, because they contain credentials.
            tracing::debug!("requesting {} {}", request.method(), request.uri());
            let secrets = RECENT_SECRETS.with(&in_use, request.headers(), proxy_secrets.as_ref());
            // For an HTTP server, each request needs the credentials for the proxy. For an HTTPS server, only the
            // `CONNECT` request needs these credentials.
            if let Some(value) = proxy_authorization.as_ref().filter(|_| !is_https) {
                let headers = request.headers_mut();
                headers.insert(PROXY_AUTHORIZATION, value.clone());
            }
            let response = client.request(request);
            async move {
                let response = response.await;
                let response = response.map_err(|error| secrets.hide_in_error(error.into()))?;
                let is_error = !response.status().is_success();
                Ok::<_, BoxError>(response.map(|body| HidingBody::new(body, secrets, is_error)))
            }
        }));
    let service = service.boxed_clone();
    let service = match session {
        Some(session) => session.service(service),
        None => service,
    };
    let client = ClientBuilder::new(service, config.default_namespace);
    let client = client.with_valid_until(expires).build();
    Ok(Connected { client, accepted })
}

/// The credentials for a proxy, in the form of an `Authorization` header.
fn proxy_secrets(protocol: &Protocol) -> Option<HeaderValue> {
    match protocol {
        Protocol::Http { authorization } => authorization.clone(),
        Protocol::Socks5 { user } => {
            let (user, password) = user.as_ref()?;
            let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
            HeaderValue::try_from(format!("Basic {pair}")).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::cluster::access::Access;

    const TOKEN: &str = "0wn-t0ken+of<the,exporter.s1gnature";

    /// Starts a server whose certificate has the token as its subject. Returns the port of the server.
    async fn server() -> u16 {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, TOKEN);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn the_error_of_a_connection_does_not_show_the_token_of_this_or_of_an_earlier_request() {
        let port = server().await;
        let directory = std::env::temp_dir().join(format!("transport-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let authority = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
        let authority = BASE64_STANDARD.encode(authority.cert.pem());
        for token in [TOKEN, "renewed"] {
            let kubeconfig = json!({
                "current-context": "c",
                "clusters": [{ "name": "c", "cluster": {
                    "server": format!("https://127.0.0.1:{port}"),
                    "certificate-authority-data": authority,
                } }],
                "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
                "users": [{ "name": "c", "user": { "token": token } }],
            });
            std::fs::write(directory.join("config"), kubeconfig.to_string()).unwrap();
            let access = Access {
                kubeconfig: vec![directory.join("config")],
                apiserver: None,
            };
            let connection = access.connection().await.unwrap();
            let connected = connect(connection, None, &Turn::default()).await.unwrap();
            let client = connected.client;
            let error = client.apiserver_version().await.unwrap_err().to_string();
            assert!(
                error.contains("certificate: CN=[hidden]: no certificate authority"),
                "{error}"
            );
            assert!(
                !error.contains("0wn-t0ken") && !error.contains("s1gnature"),
                "{error}"
            );
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_password_for_a_socks_proxy_is_a_secret() {
        let user = Some(("me".to_owned(), "pa:ss".to_owned()));
        let secrets = proxy_secrets(&Protocol::Socks5 { user }).unwrap();
        assert_eq!(
            secrets,
            format!("Basic {}", BASE64_STANDARD.encode("me:pa:ss"))
        );
        assert_eq!(proxy_secrets(&Protocol::Socks5 { user: None }), None);
    }
}
