//! A certificate authority for tests.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, string::Ia5String,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
    key_der: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// An identity for servers of the loopback and for clients.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_to(name, &["localhost", "127.0.0.1", "api.test"])
    }

    /// An identity for DNS names, addresses and URIs.
    pub fn issue_to(&self, name: &str, names: &[&str]) -> Identity {
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
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }

    /// A server that asks its clients for certificates of this authority, and does without.
    pub fn server(&self) -> Arc<ServerConfig> {
        let identity = self.issue("server");
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder(Arc::new(roots));
        let clients = clients.allow_unauthenticated().build().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key_der));
        let config = ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![identity.der.into()], key);
        Arc::new(config.unwrap())
    }
}
