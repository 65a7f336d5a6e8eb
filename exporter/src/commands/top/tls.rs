//! The TLS configuration with which `top` connects to an exporter.

use std::path::Path;
use std::sync::Arc;

use go_x509::{Authorities, ExplainedVerifier, ServerVerifier, certificates_of_pem};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use super::super::output::AnyError;
use crate::cluster::check_system_authorities;
use crate::file_limits;

/// The configuration of connections to an exporter. `top` trusts the certificate authorities in `ca_file`, or the
/// authorities of the system if `ca_file` is `None`.
///
/// # Errors
///
/// The function fails if the file contains no usable certificate, or if the authorities of the system cannot be read.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, AnyError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match ca_file {
        Some(path) => {
            let origin = format!("--ca-file {}", config_file::shown_path(path));
            let verifier = trusting(path, &provider, &origin);
            Arc::new(verifier.map_err(|error| format!("{origin}: {error}"))?)
        }
        None => {
            check_system_authorities()?;
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
            let verifier = verifier.map_err(|error| format!("{error}; use --ca-file"))?;
            let origin = "the authorities of the system (--ca-file names others)";
            Arc::new(ExplainedVerifier::new(Arc::new(verifier), origin))
        }
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

/// Creates a verifier that trusts the certificate authorities in a file.
fn trusting(
    path: &Path,
    provider: &CryptoProvider,
    origin: &str,
) -> Result<ServerVerifier, AnyError> {
    let pem = config_file::read(path, file_limits::CERTIFICATES)?;
    let certificates = certificates_of_pem(&pem)?;
    if certificates.is_empty() {
        return Err(
            "no certificate found; give a PEM file with the certificate authority of the exporter"
                .into(),
        );
    }
    let (authorities, _) = Authorities::new(&certificates)?;
    Ok(ServerVerifier::new(authorities, provider, origin))
}
