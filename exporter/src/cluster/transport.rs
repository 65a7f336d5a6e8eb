//! The HTTP service that kube's client uses. The service adds credentials to requests, and opens connections with TLS.
//!
//! This service replaces the default service of kube, which supports fewer kinds of proxies. Both services follow no
//! redirects, so that no other server receives the credentials.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::PROXY_AUTHORIZATION;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ClientBuilder, ConfigExt};
use secrecy::ExposeSecret;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use super::access::{ClusterError, Connection};
use super::connector::Connector;
use super::informational::InformationalLimit;
use super::own_secrets::{HidingBody, OwnSecrets};
use super::plugin::{self, Credentials, Printed};
use super::proxy::Protocol;
use super::tls::{self, Identity};

/// The timeout of a program that an `auth-provider` runs.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates a client. If the kubeconfig has a credential plugin, the function runs the plugin.
///
/// # Errors
///
/// The function fails if the configuration is invalid, if the plugin fails, or if the plugin takes too long.
pub(super) async fn connect(connection: Connection) -> Result<Client, ClusterError> {
    let printed = match plugin::in_use(&connection.config.auth_info) {
        Some(plugin) => Some(plugin::run(plugin).await?),
        None => None,
    };
    let client = tokio::task::spawn_blocking(move || client(connection, printed));
    let client = tokio::time::timeout(PROVIDER_TIMEOUT, client).await;
    let client = client.map_err(|_| {
        let timeout = PROVIDER_TIMEOUT;
        ClusterError::Client(format!(
            "the auth-provider of the kubeconfig provided no credentials within {timeout:?}"
        ))
    })?;
    client.map_err(|error| ClusterError::Client(error.to_string()))?
}

/// Creates a client. The call blocks while an `auth-provider` runs a program.
fn client(connection: Connection, printed: Option<Printed>) -> Result<Client, ClusterError> {
    let Connection {
        mut config,
        proxy,
        authority,
        ..
    } = connection;
    // The plugin has already run. If `exec` stayed set, kube would run the plugin again.
    config.auth_info.exec = None;
    let expires = printed.as_ref().and_then(|printed| printed.expires);
    let identity = match printed.map(|printed| printed.credentials) {
        Some(Credentials::Certificate(certificate, key)) => Some(Identity {
            origin: "the certificate of the credential plugin".to_owned(),
            certificate: certificate.into_bytes(),
            key: key.expose_secret().as_bytes().to_vec(),
        }),
        Some(Credentials::Token(token)) => {
            config.auth_info.token = Some(token);
            Identity::of_user(&config.auth_info)?
        }
        None => Identity::of_user(&config.auth_info)?,
    };
    let authorization = config.auth_layer().map_err(ClusterError::client)?;
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
    let proxy_authorization = match proxy.map(|proxy| proxy.protocol) {
        Some(Protocol::Http { authorization }) => authorization,
        _ => None,
    };
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(authorization)
        .layer(config.extra_headers_layer().map_err(ClusterError::client)?)
        .service(service_fn(move |mut request: Request<Body>| {
            // This line does not log the headers, because they contain credentials.
            tracing::debug!("requesting {} {}", request.method(), request.uri());
            let secrets = OwnSecrets::of(request.headers(), proxy_authorization.as_ref());
            // For an HTTP server, each request needs the credentials for the proxy. For an HTTPS server, only the
            // `CONNECT` request needs these credentials.
            if let Some(value) = proxy_authorization.as_ref().filter(|_| !is_https) {
                let headers = request.headers_mut();
                headers.insert(PROXY_AUTHORIZATION, value.clone());
            }
            let response = client.request(request);
            async move {
                let response = response.await.map_err(BoxError::from)?;
                let is_error = !response.status().is_success();
                Ok::<_, BoxError>(response.map(|body| HidingBody::new(body, secrets, is_error)))
            }
        }));
    let client = ClientBuilder::new(service, config.default_namespace);
    Ok(client.with_valid_until(expires).build())
}
