//! The TLS configuration of connections to the API server: the certificate authorities that the exporter trusts, and
//! the client certificate that it sends.

use std::path::Path;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use go_x509::{
    Authorities, ExplainedVerifier, Rejection, ServerVerifier, UncheckedServer, certified_key,
};
use kube::Config;
use kube::config::AuthInfo;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use secrecy::ExposeSecret;
use tower::BoxError;

use super::access::ClusterError;
use super::system_authorities::check_system_authorities;
use crate::file_limits;

/// A certificate and its key as PEM.
#[derive(Clone)]
pub(super) struct Identity {
    /// The source of the certificate and the key, for errors.
    pub(super) origin: String,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

// === impl Identity ===

impl Identity {
    /// The client certificate of a user in a kubeconfig. Data in the kubeconfig takes precedence over files.
    pub(super) fn of_user(user: &AuthInfo) -> Result<Option<Self>, ClusterError> {
        let data = user.client_certificate_data.as_deref();
        let certificate = read("client-certificate", data, user.client_certificate.as_ref())?;
        let data = user.client_key_data.as_ref();
        let data = data.map(|secret| secret.expose_secret());
        let key = read("client-key", data, user.client_key.as_ref())?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some((certificate_name, certificate)), Some((key_name, key))) => Ok(Some(Self {
                origin: format!("{certificate_name} and {key_name}"),
                certificate,
                key,
            })),
            (Some((name, _)), None) => Err(ClusterError::Identity(format!(
                "{name} needs a key; add client-key"
            ))),
            (None, Some((name, _))) => Err(ClusterError::Identity(format!(
                "{name} needs a certificate; add client-certificate"
            ))),
        }
    }

    /// The certificate and the key for TLS.
    ///
    /// # Errors
    ///
    /// The function fails if the PEM is malformed, or if the key does not belong to the certificate.
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, ClusterError> {
        let key = certified_key(&self.certificate, &self.key, provider);
        key.map_err(|error| ClusterError::Identity(format!("{}: {error}", self.origin)))
    }

    /// Whether TLS can use the certificate and the key.
    pub(super) fn is_usable(&self) -> bool {
        self.certified(&aws_lc_rs::default_provider()).is_ok()
    }

    /// Whether both have the same certificate and the same key.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key == other.key
    }
}

/// Reads a value from the kubeconfig (`data`) or from a file. Returns the value and a name of its source, for errors.
fn read(
    setting: &str,
    data: Option<&str>,
    file: Option<&String>,
) -> Result<Option<(String, Vec<u8>)>, ClusterError> {
    if let Some(data) = data {
        let bytes = BASE64_STANDARD.decode(data.trim());
        let wrong = |_| ClusterError::Identity(format!("{setting}-data must be base64"));
        return Ok(Some((format!("{setting}-data"), bytes.map_err(wrong)?)));
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let name = format!("{setting} {}", config_file::shown_path(Path::new(file)));
    match config_file::read(Path::new(file), file_limits::CERTIFICATES) {
        Ok(bytes) => Ok(Some((name, bytes))),
        Err(error) => Err(ClusterError::Identity(format!("{name}: {error}"))),
    }
}

/// The configuration of connections to the API server. In errors, `authority` names the source of the certificate
/// authorities.
pub(super) fn client_config(
    config: &Config,
    identity: Option<Identity>,
    authority: &str,
) -> Result<ClientConfig, ClusterError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let wrong =
        |error: &dyn std::fmt::Display| ClusterError::Authority(format!("{authority}: {error}"));
    let verifier: Arc<dyn ServerCertVerifier> = match &config.root_cert {
        _ if config.accept_invalid_certs => Arc::new(UncheckedServer::new(&provider)),
        Some(roots) => {
            let roots: Vec<_> = roots
                .iter()
                .map(|der| CertificateDer::from(&**der))
                .collect();
            // `Access` has already removed certificates that cannot be parsed.
            let (authorities, _) = Authorities::new(&roots).map_err(|error| wrong(&error))?;
            Arc::new(ServerVerifier::new(authorities, &provider, authority))
        }
        None => {
            check_system_authorities()?;
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
            let verifier = verifier.map_err(|error| wrong(&error))?;
            Arc::new(ExplainedVerifier::new(Arc::new(verifier), authority))
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let key = identity.certified(&provider)?;
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))))
}

/// Improves the message of an error: if the exporter has refused a certificate, the message states the reason.
pub(super) fn explain(error: BoxError) -> BoxError {
    match Rejection::find(&*error) {
        Some(rejection) => format!("invalid peer certificate: {rejection}").into(),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_place_of_its_path_is_not_shown() {
        for secret in [
            "-----BEGIN PRIVATE KEY-----\nhunter2\n",
            "LS0tLS1CRUdJTihunter2",
        ] {
            let user = AuthInfo {
                client_key: Some(format!("/etc/{secret}")),
                ..AuthInfo::default()
            };
            let error = Identity::of_user(&user).err().unwrap().to_string();
            assert!(error.starts_with("client-key (hidden, "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
