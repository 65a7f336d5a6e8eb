//! A certificate authority for tests.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use go_x509::{Authorities, ClientVerifier};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, SigningKey, string::Ia5String,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{Decode, Encode, Tag};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
    key_der: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().unwrap())
    }

    /// Creates an authority whose key is a P-521 key.
    pub fn with_p521(name: &str) -> Self {
        Self::with_key(name, p521())
    }

    /// Creates an authority whose certificate is also valid for servers on loopback addresses.
    fn with_key(name: &str, key: KeyPair) -> Self {
        let names = ["localhost", "127.0.0.1", "api.test"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns the identity of a server that presents the certificate of the authority.
    pub fn own(&self) -> Identity {
        let (key, der) = (self.0.key(), self.0.der());
        Identity::new(der.to_vec(), key)
    }

    /// Returns the certificate of the authority.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns an identity for clients and for servers on loopback addresses.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_to(name, &["localhost", "127.0.0.1", "api.test"])
    }

    /// Returns an identity with a P-521 key, for clients and for servers on loopback addresses.
    pub fn issue_p521(&self, name: &str) -> Identity {
        let names = ["localhost", "127.0.0.1", "api.test"];
        self.sign(name, &names, p521())
    }

    /// Returns an identity with an X.509 version 1 certificate, which has no extensions.
    pub fn issue_version_1(&self, name: &str) -> Identity {
        let identity = self.issue(name);
        let parsed = x509_cert::Certificate::from_der(&identity.der).unwrap();
        let tbs = parsed.tbs_certificate();
        let fields = [
            tbs.serial_number().to_der(),
            tbs.signature().to_der(),
            tbs.issuer().to_der(),
            tbs.validity().to_der(),
            tbs.subject().to_der(),
            tbs.subject_public_key_info().to_der(),
        ];
        let tbs = sequence(&fields.map(Result::unwrap));
        let signature = self.0.key().sign(&tbs).unwrap();
        let signature = BitString::from_bytes(&signature).unwrap();
        let algorithm = parsed.signature_algorithm().to_der().unwrap();
        let der = sequence(&[tbs, algorithm, signature.to_der().unwrap()]);
        Identity {
            certificate: pem("CERTIFICATE", &der),
            der,
            ..identity
        }
    }

    /// Returns an identity that is valid for these DNS names, addresses and URIs.
    pub fn issue_to(&self, name: &str, names: &[&str]) -> Identity {
        self.sign(name, names, KeyPair::generate().unwrap())
    }

    fn sign(&self, name: &str, names: &[&str], key: KeyPair) -> Identity {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        for uri in uris {
            let uri = SanType::URI(Ia5String::try_from(uri).unwrap());
            params.subject_alt_names.push(uri);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::new(certificate.der().to_vec(), &key)
    }

    /// Returns the configuration of a server that requests client certificates of this authority. The server also
    /// accepts clients without a certificate.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_with(self.issue("server"))
    }

    /// Returns the configuration of a server that presents another identity.
    pub fn server_with(&self, identity: Identity) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (authorities, _) = Authorities::new(&[self.0.der().clone()]).unwrap();
        let clients = ClientVerifier::new(authorities, &provider, false);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key_der));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(vec![identity.der.into()], key);
        Arc::new(config.unwrap())
    }
}

// === impl Identity ===

impl Identity {
    fn new(der: Vec<u8>, key: &KeyPair) -> Self {
        Self {
            certificate: pem("CERTIFICATE", &der),
            der,
            key: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}

fn p521() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap()
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let content = Any::new(Tag::Sequence, parts.concat()).unwrap();
    content.to_der().unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
