//! Tests which certificates of servers and clients are accepted, and the messages for refused certificates.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SigningKey,
};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{Decode, Encode, Tag};

use super::*;

mod chains;

/// The time at which the tests check certificates, in 2030. The test certificates are valid from 2025 to 2035.
const NOW: Duration = Duration::from_secs(1_893_456_000);
const YEARS: (i32, i32) = (2025, 2035);

/// A certificate with its key.
struct Pair {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

#[derive(Clone, Copy, PartialEq)]
enum Is {
    Authority,
    Leaf,
}

fn params(name: &str, is: Is, (from, until): (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(["api.test".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    if is == Is::Authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

impl Pair {
    fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, der }
    }

    fn new(name: &str, is: Is) -> Self {
        Self::self_signed(params(name, is, YEARS))
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn issue(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer()).unwrap();
        let der = certificate.der().clone();
        Self { params, key, der }
    }

    /// Returns a copy of this certificate as version 1, without extensions. `signer` signs the copy.
    fn as_version_1(&self, signer: &Self) -> CertificateDer<'static> {
        let parsed = x509_cert::Certificate::from_der(&self.der).unwrap();
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
        let signature = BitString::from_bytes(&signer.key.sign(&tbs).unwrap()).unwrap();
        let algorithm = parsed.signature_algorithm().to_der().unwrap();
        sequence(&[tbs, algorithm, signature.to_der().unwrap()]).into()
    }
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    let content = Any::new(Tag::Sequence, parts.concat()).unwrap();
    content.to_der().unwrap()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn authorities(all: &[&CertificateDer<'static>]) -> Authorities {
    let all: Vec<_> = all.iter().copied().cloned().collect();
    let (authorities, ignored) = Authorities::new(&all).unwrap();
    assert_eq!(ignored, 0);
    authorities
}

/// Returns the reason why a client refuses a server. Returns an empty text if the client accepts the server.
fn server(trusted: &CertificateDer<'static>, der: &CertificateDer<'_>, name: &str) -> String {
    let verifier = ServerVerifier::new(authorities(&[trusted]), &provider(), "ca.pem");
    let name = ServerName::try_from(name).unwrap();
    let result = verifier.verify_server_cert(der, &[], &name, &[], UnixTime::since_unix_epoch(NOW));
    result.err().map_or(String::new(), said)
}

/// Returns the reason why a server refuses a client. Returns an empty text if the server accepts the client.
fn client(trusted: &CertificateDer<'static>, der: &CertificateDer<'_>) -> String {
    let verifier = ClientVerifier::new(authorities(&[trusted]), &provider(), true);
    let result = verifier.verify_client_cert(der, &[], UnixTime::since_unix_epoch(NOW));
    result.err().map_or(String::new(), said)
}

fn said(error: rustls::Error) -> String {
    let error = std::io::Error::other(std::io::Error::other(error));
    let rejection = Rejection::find(&error);
    rejection.map_or_else(|| format!("{error:?}"), ToString::to_string)
}

#[track_caller]
fn refuses(said: &str, parts: &[&str]) {
    assert!(
        parts.iter().all(|part| said.contains(part)),
        "`{said}`: {parts:?}"
    );
}

#[test]
fn a_leaf_among_the_authorities_is_accepted_itself_and_signs_nothing() {
    let root = Pair::new("root", Is::Authority);
    for leaf in [
        Pair::new("leaf", Is::Leaf),
        root.issue(params("leaf", Is::Leaf, YEARS)),
    ] {
        assert_eq!(server(&leaf.der, &leaf.der, "api.test"), "");
        let said = server(&leaf.der, &leaf.der, "other.test");
        refuses(
            &said,
            &["CN=leaf: it is for ", "api.test", "not for other.test; use"],
        );
        let other = Pair::new("leaf", Is::Leaf);
        refuses(
            &server(&leaf.der, &other.der, "api.test"),
            &[
                "CN=leaf: no certificate authority in ca.pem signed it",
                "add the certificate of",
            ],
        );
        let signed = leaf.issue(params("signed", Is::Leaf, YEARS));
        refuses(
            &server(&leaf.der, &signed.der, "api.test"),
            &["CN=signed: no certificate auth"],
        );
        assert_eq!(client(&leaf.der, &leaf.der), "");
        refuses(
            &client(&leaf.der, &signed.der),
            &["CN=signed: no certificate authority of client_ca"],
        );
        refuses(
            &client(&leaf.der, &other.der),
            &["CN=leaf: no certificate authority"],
        );
    }
}

#[test]
fn an_authority_that_serves_itself_is_accepted() {
    let own = Pair::new("own", Is::Authority);
    assert_eq!(server(&own.der, &own.der, "api.test"), "");
    refuses(
        &server(&own.der, &own.der, "other.test"),
        &["not for other.test"],
    );
    let impostor = Pair::new("own", Is::Authority);
    assert_ne!(server(&own.der, &impostor.der, "api.test"), "");
    // The trusted certificate can also sign other certificates.
    let signed = own.issue(params("signed", Is::Leaf, YEARS));
    assert_eq!(server(&own.der, &signed.der, "api.test"), "");
}

#[test]
fn a_trusted_certificate_is_refused_beyond_its_period_and_purpose() {
    for is in [Is::Leaf, Is::Authority] {
        let old = Pair::self_signed(params("old", is, (2020, 2029)));
        let cure = [
            "CN=old: the certificate or its authority has expired (the certificate is valid until \
             2029-01-01T00:00:00Z); renew the expired certificate, or set the clock",
        ];
        refuses(&server(&old.der, &old.der, "api.test"), &cure);
        refuses(&client(&old.der, &old.der), &cure);
        let new = Pair::self_signed(params("new", is, (2031, 2035)));
        let cure = [
            "CN=new: the certificate or its authority is not valid yet (the certificate is valid from \
             2031-01-01",
        ];
        refuses(&server(&new.der, &new.der, "api.test"), &cure);
        refuses(&client(&new.der, &new.der), &cure);
    }
    let mut only = params("only", Is::Leaf, YEARS);
    only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let only = Pair::self_signed(only);
    assert_eq!(client(&only.der, &only.der), "");
    refuses(
        &server(&only.der, &only.der, "api.test"),
        &["CN=only: ", "usage serverAuth"],
    );
    let mut any = params("any", Is::Leaf, YEARS);
    any.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let any = Pair::self_signed(any);
    assert_eq!(server(&any.der, &any.der, "api.test"), "");
}

#[test]
fn what_an_authority_outside_of_its_period_signed_is_refused() {
    let expired = Pair::self_signed(params("root", Is::Authority, (2020, 2029)));
    let early = Pair::self_signed(params("root", Is::Authority, (2031, 2035)));
    for (root, problem) in [(&expired, "has expired"), (&early, "is not valid yet")] {
        let leaf = root.issue(params("leaf", Is::Leaf, YEARS));
        let said = ["CN=leaf: the certificate or its authority ", problem];
        refuses(&server(&root.der, &leaf.der, "api.test"), &said);
        refuses(&client(&root.der, &leaf.der), &said);
    }
    // If a renewed authority is also trusted, the chain ends at the renewed authority, and the leaf is accepted.
    let renewed = Pair::new("other", Is::Authority);
    let leaf = renewed.issue(params("leaf", Is::Leaf, YEARS)).der;
    let all = || authorities(&[&expired.der, &renewed.der]);
    let now = UnixTime::since_unix_epoch(NOW);
    let verifier = ServerVerifier::new(all(), &provider(), "ca.pem");
    let name = ServerName::try_from("api.test").unwrap();
    let verified = verifier.verify_server_cert(&leaf, &[], &name, &[], now);
    assert!(verified.is_ok(), "{verified:?}");
    let verifier = ClientVerifier::new(all(), &provider(), true);
    assert!(verifier.verify_client_cert(&leaf, &[], now).is_ok());
}

#[test]
fn another_verifier_says_why_it_refuses_a_server() {
    let (root, other) = (
        Pair::new("root", Is::Authority),
        Pair::new("other", Is::Authority),
    );
    let leaf = other.issue(params("leaf", Is::Leaf, YEARS)).der;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der.clone()).unwrap();
    let inner =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
    let verifier = ExplainedVerifier::new(inner.build().unwrap(), "the system");
    let name = ServerName::try_from("api.test").unwrap();
    let now = UnixTime::since_unix_epoch(NOW);
    let result = verifier.verify_server_cert(&leaf, &[], &name, &[], now);
    let parts = [
        "CN=leaf: no certificate authority in the system signed it",
        "add the certificate of its authority `CN=other`",
    ];
    refuses(&said(result.unwrap_err()), &parts);
}

#[test]
fn clients_of_version_1_are_accepted_if_an_authority_signed_them() {
    let root = Pair::new("root", Is::Authority);
    let leaf = |years| root.issue(params("v1", Is::Leaf, years));
    assert_eq!(client(&root.der, &leaf(YEARS).as_version_1(&root)), "");
    // A client is also accepted if its authority has a certificate of version 1. Such a certificate cannot declare that
    // its owner is an authority.
    let old_root = root.as_version_1(&root);
    assert_eq!(client(&old_root, &leaf(YEARS).as_version_1(&root)), "");
    assert_eq!(client(&old_root, &leaf(YEARS).der), "");

    let impostor = Pair::new("root", Is::Authority);
    let forged = leaf(YEARS).as_version_1(&impostor);
    refuses(
        &client(&root.der, &forged),
        &["CN=v1: no certificate authority of client_ca signed it"],
    );
    let mut broken = leaf(YEARS).as_version_1(&root).to_vec();
    let at = broken
        .windows(2)
        .position(|window| window == b"v1")
        .unwrap();
    broken[at] = b'w';
    refuses(
        &client(&root.der, &broken.into()),
        &["CN=w1: no certificate authority"],
    );
    refuses(
        &client(&root.der, &leaf((2020, 2029)).as_version_1(&root)),
        &["has expired"],
    );
    refuses(
        &client(&root.der, &leaf((2031, 2035)).as_version_1(&root)),
        &["not valid yet"],
    );
    let expired = Pair::self_signed(params("root", Is::Authority, (2020, 2029)));
    let of_expired = expired
        .issue(params("v1", Is::Leaf, YEARS))
        .as_version_1(&expired);
    refuses(&client(&expired.der, &of_expired), &["has expired"]);
    // A certificate that is not an authority must not sign other certificates.
    let no_root = Pair::new("root", Is::Leaf);
    let of_leaf = no_root
        .issue(params("v1", Is::Leaf, YEARS))
        .as_version_1(&no_root);
    refuses(
        &client(&no_root.der, &of_leaf),
        &["CN=v1: no certificate authority"],
    );
}

#[test]
fn a_server_of_version_1_is_refused_since_it_has_no_names() {
    let root = Pair::new("root", Is::Authority);
    let leaf = root
        .issue(params("v1", Is::Leaf, YEARS))
        .as_version_1(&root);
    for trusted in [&root.der, &leaf] {
        let said = server(trusted, &leaf, "api.test");
        refuses(
            &said,
            &["CN=v1: it is an X.509 version 1 certificate, which has no names; issue"],
        );
    }
}

#[test]
fn p_521_signs_and_is_signed() {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let root = params("root", Is::Authority, YEARS);
    let root_key = key();
    let root_der = root.self_signed(&root_key).unwrap().der().clone();
    let leaf = params("leaf", Is::Leaf, YEARS);
    let leaf_key = key();
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::from_params(&root, &root_key))
        .unwrap();
    assert_eq!(server(&root_der, leaf.der(), "api.test"), "");
    assert_eq!(client(&root_der, leaf.der()), "");
    let (chain, key) = (leaf.pem(), leaf_key.serialize_pem());
    assert!(certified_key(chain.as_bytes(), key.as_bytes(), &provider()).is_ok());
}

#[test]
fn a_key_belongs_to_its_certificate_in_every_version() {
    let root = Pair::new("root", Is::Authority);
    let leaf = root.issue(params("leaf", Is::Leaf, YEARS));
    let pem = |der: &CertificateDer<'_>| {
        let parsed = x509_cert::Certificate::from_der(der).unwrap();
        pem_of(&parsed.to_der().unwrap())
    };
    let key = leaf.key.serialize_pem();
    for der in [&leaf.der, &leaf.as_version_1(&root)] {
        let chain = pem(der);
        assert!(certified_key(chain.as_bytes(), key.as_bytes(), &provider()).is_ok());
        let other = root.key.serialize_pem();
        let error = certified_key(chain.as_bytes(), other.as_bytes(), &provider()).unwrap_err();
        let error = error.to_string();
        refuses(
            &error,
            &["the key does not belong to the certificate CN=leaf; take the key"],
        );
    }
    let says = |chain: &str, key: &str| {
        let error = certified_key(chain.as_bytes(), key.as_bytes(), &provider());
        error.unwrap_err().to_string()
    };
    refuses(&says("", &key), &["no certificate found"]);
    refuses(
        &says(&pem_of(&[0x30, 3, 2, 1, 1]), &key),
        &["the certificate cannot be parsed; it must be an X.509 certificate"],
    );
    refuses(
        &says(&pem(&leaf.der), ""),
        &["the key cannot be read", "unencrypted PEM"],
    );
}

#[test]
fn certificates_that_cannot_be_parsed_are_ignored_beside_others() {
    let (root, junk) = (
        Pair::new("root", Is::Authority),
        CertificateDer::from(vec![1, 2, 3]),
    );
    let (_, ignored) = Authorities::new(&[root.der, junk.clone()]).unwrap();
    assert_eq!(ignored, 1);
    let error = Authorities::new(&[junk]).unwrap_err().to_string();
    refuses(&error, &["no certificate can be parsed"]);
}

/// Encodes a certificate as PEM. rcgen can encode only its own certificates.
fn pem_of(der: &[u8]) -> String {
    let encoded = base64(der);
    format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | chunk.get(at).map_or(0, |b| u32::from(*b))
        });
        for at in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
            text.push(if at > chunk.len() { '=' } else { digit });
        }
    }
    text
}
