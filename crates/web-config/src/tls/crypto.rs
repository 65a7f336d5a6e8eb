//! Selects TLS versions, cipher suites and key exchanges.

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use crate::document::TlsSection;

/// The error if a setting has a value that rustls does not support.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CryptoError {
    #[error("{key}: there is no `{version}`; available: TLS12 and TLS13")]
    Version { key: &'static str, version: String },
    #[error("max_version is below min_version, or below TLS12; raise max_version")]
    VersionRange,
    #[error("cipher_suites: there is no `{name}`; available: {}", .names.join(", "))]
    CipherSuite { name: String, names: Vec<String> },
    #[error("curve_preferences: there is no `{0}`; available: X25519, CurveP256 and CurveP384")]
    Curve(String),
}

/// Returns the TLS versions from `min_version` to `max_version`.
pub(super) fn versions(
    section: &TlsSection,
) -> Result<&'static [&'static SupportedProtocolVersion], CryptoError> {
    static BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    static NEW: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
    static OLD: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let version = |key, text: &str, default: u8| match text {
        "" => Ok(default),
        "TLS10" => Ok(10),
        "TLS11" => Ok(11),
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        other => Err(CryptoError::Version {
            key,
            version: other.to_owned(),
        }),
    };
    let min = version("min_version", &section.min_version, 12)?;
    let max = version("max_version", &section.max_version, 13)?;
    match (min, max) {
        (13, 13) => Ok(NEW),
        (..=12, 13) => Ok(BOTH),
        (..=12, 12) => Ok(OLD),
        _ => Err(CryptoError::VersionRange),
    }
}

/// Returns the cryptography provider aws-lc-rs, with the algorithms that the section selects.
pub(super) fn provider(section: &TlsSection) -> Result<CryptoProvider, CryptoError> {
    let mut provider = aws_lc_rs::default_provider();
    if !section.cipher_suites.is_empty() {
        provider.cipher_suites = cipher_suites(&section.cipher_suites, &provider.cipher_suites)?;
    }
    if !section.curve_preferences.is_empty() {
        provider.kx_groups = curves(&section.curve_preferences, &provider.kx_groups)?;
    }
    Ok(provider)
}

fn cipher_suites(
    selected: &[String],
    all: &[SupportedCipherSuite],
) -> Result<Vec<SupportedCipherSuite>, CryptoError> {
    let is_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
    // As in Go, the cipher suites of TLS 1.3 are always enabled.
    let mut chosen: Vec<_> = all.iter().copied().filter(is_tls13).collect();
    for wanted in selected {
        if wanted.starts_with("TLS_AES_") || wanted.starts_with("TLS_CHACHA20_") {
            continue;
        }
        // In Go, some cipher suites have two names: with and without the hash algorithm.
        let found = all.iter().find(|suite| {
            let name = name(suite);
            name == *wanted || name.strip_suffix("_SHA256") == Some(wanted)
        });
        chosen.push(*found.ok_or_else(|| {
            CryptoError::CipherSuite {
                name: wanted.clone(),
                names: all
                    .iter()
                    .filter(|suite| !is_tls13(suite))
                    .map(name)
                    .collect(),
            }
        })?);
    }
    Ok(chosen)
}

fn curves(
    selected: &[String],
    all: &[&'static dyn SupportedKxGroup],
) -> Result<Vec<&'static dyn SupportedKxGroup>, CryptoError> {
    let curve = |wanted: &String| {
        let group = match wanted.as_str() {
            "CurveP256" => Some(NamedGroup::secp256r1),
            "CurveP384" => Some(NamedGroup::secp384r1),
            "X25519" => Some(NamedGroup::X25519),
            _ => None,
        };
        let found = all.iter().find(|curve| Some(curve.name()) == group);
        found
            .copied()
            .ok_or_else(|| CryptoError::Curve(wanted.clone()))
    };
    selected.iter().map(curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_are_selected_by_both_of_their_names() {
        let section = TlsSection {
            cipher_suites: vec!["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305".into()],
            curve_preferences: vec!["CurveP384".into(), "X25519".into()],
            ..TlsSection::default()
        };
        let provider = provider(&section).unwrap();
        let suites = provider.cipher_suites.iter();
        let old: Vec<_> = suites
            .filter(|suite| suite.tls13().is_none())
            .map(|suite| format!("{:?}", suite.suite()))
            .collect();
        assert_eq!(old, ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]);
        assert!(provider.cipher_suites.len() > 1, "TLS 1.3 stays");
        let curves: Vec<_> = provider
            .kx_groups
            .iter()
            .map(|curve| curve.name())
            .collect();
        assert_eq!(curves, [NamedGroup::secp384r1, NamedGroup::X25519]);
    }

    #[test]
    fn a_version_below_1_2_means_1_2() {
        let versions = |min: &str, max: &str| {
            let section = TlsSection {
                min_version: min.into(),
                max_version: max.into(),
                ..TlsSection::default()
            };
            versions(&section).map(|versions| versions.len())
        };
        assert_eq!(versions("", "").unwrap(), 2);
        assert_eq!(versions("TLS10", "TLS12").unwrap(), 1);
        assert_eq!(versions("TLS13", "TLS13").unwrap(), 1);
        for (min, max) in [("TLS13", "TLS12"), ("TLS10", "TLS11")] {
            let error = versions(min, max).unwrap_err().to_string();
            assert_eq!(
                error,
                "max_version is below min_version, or below TLS12; raise max_version"
            );
        }
    }
}
