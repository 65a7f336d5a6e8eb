//! Tests chains that webpki accepts and Go refuses. Also tests certificates with unusual encodings.

use rcgen::{CustomExtension, KeyUsagePurpose, SerialNumber};

use super::*;

/// Returns two errors: why a client refuses a server with this chain, and why a server refuses a client with this
/// chain. An error is empty if the chain is accepted.
fn both(trusted: &[&CertificateDer<'static>], chain: &[&Pair]) -> [String; 2] {
    let (provider, now) = (provider(), UnixTime::since_unix_epoch(NOW));
    let intermediates: Vec<_> = chain.iter().skip(1).map(|own| own.der.clone()).collect();
    let name = ServerName::try_from("api.test").unwrap();
    let all: Vec<_> = trusted.iter().copied().cloned().collect();
    let (all, _) = Authorities::new(&all).unwrap();
    let verifier = ServerVerifier::new(all.clone(), &provider, "ca.pem");
    let server = verifier.verify_server_cert(&chain[0].der, &intermediates, &name, &[], now);
    let verifier = ClientVerifier::new(all, &provider, true);
    let client = verifier.verify_client_cert(&chain[0].der, &intermediates, now);
    [server.err(), client.err()].map(|error| error.map_or(String::new(), said))
}

const ACCEPTED: [&str; 2] = [""; 2];

#[track_caller]
fn refuse(said: &[String; 2], part: &str) {
    for said in said {
        refuses(said, &[part]);
    }
}

fn authority(name: &str) -> CertificateParams {
    params(name, Is::Authority, YEARS)
}

fn leaf(name: &str) -> CertificateParams {
    params(name, Is::Leaf, YEARS)
}

fn with_path_length(name: &str, length: u8) -> CertificateParams {
    let mut params = authority(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
    params
}

fn critical(mut params: CertificateParams, oid: &[u64], content: &[u8]) -> CertificateParams {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params
}

fn with_long_serial(mut params: CertificateParams) -> CertificateParams {
    params.serial_number = Some(SerialNumber::from(vec![1; 23]));
    params
}

#[test]
fn every_authority_of_a_chain_must_be_for_its_purpose() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};

    let cases = [
        (vec![], true, true),
        (vec![Any], true, true),
        (vec![ServerAuth], true, false),
        (vec![ClientAuth], false, true),
        (vec![ServerAuth, ClientAuth], true, true),
        (vec![CodeSigning], false, false),
    ];
    for (usages, is_server, is_client) in cases {
        let limit = |mut params: CertificateParams| {
            params.extended_key_usages.clone_from(&usages);
            params
        };
        let limited = Pair::self_signed(limit(authority("root")));
        let of_root = limited.issue(leaf("leaf"));
        let root = Pair::new("root", Is::Authority);
        let middle = root.issue(limit(authority("middle")));
        let of_middle = middle.issue(leaf("leaf"));
        let of_itself = root.issue(limit(leaf("leaf")));
        for said in [
            both(&[&limited.der], &[&of_root]),
            both(&[&root.der], &[&of_middle, &middle]),
            both(&[&root.der], &[&of_itself]),
        ] {
            for (said, is_accepted, usage) in [
                (&said[0], is_server, "usage serverAuth"),
                (&said[1], is_client, "usage clientAuth"),
            ] {
                match is_accepted {
                    true => assert_eq!(said, "", "{usages:?}"),
                    false => refuses(
                        said,
                        &[
                            "CN=leaf: the extended key usage of the certificate, or of one of its authorities",
                            usage,
                        ],
                    ),
                }
            }
        }
        // A version 1 certificate of a client has no extended key usages, so only the usages of its authority count.
        let old = of_root.as_version_1(&limited);
        assert_eq!(client(&limited.der, &old).is_empty(), is_client);
    }
}

#[test]
fn the_path_length_of_a_root_limits_its_chains() {
    for (length, is_accepted) in [(0, false), (1, true)] {
        let root = Pair::self_signed(with_path_length("root", length));
        let direct = root.issue(leaf("direct"));
        assert_eq!(both(&[&root.der], &[&direct]), ACCEPTED);
        let middle = root.issue(authority("middle"));
        let of_middle = middle.issue(leaf("leaf"));
        let said = both(&[&root.der], &[&of_middle, &middle]);
        match is_accepted {
            true => assert_eq!(said, ACCEPTED),
            false => refuse(&said, "CN=leaf: its chain is longer than"),
        }
        // The result is the same if the server also sends the root in its chain.
        let said_with_root = both(&[&root.der], &[&of_middle, &middle, &root]);
        assert_eq!(said_with_root, said);
    }
}

#[test]
fn authorities_with_a_key_usage_need_the_one_for_certificates() {
    for (usage, is_accepted) in [
        (KeyUsagePurpose::DigitalSignature, false),
        (KeyUsagePurpose::KeyCertSign, true),
    ] {
        let limited = |name| {
            let mut params = authority(name);
            params.key_usages = vec![usage];
            params
        };
        let root = Pair::new("root", Is::Authority);
        let middle = root.issue(limited("middle"));
        let said = both(&[&root.der], &[&middle.issue(leaf("leaf")), &middle]);
        match is_accepted {
            true => assert_eq!(said, ACCEPTED),
            false => refuse(&said, "CN=leaf: one of its authorities must not sign"),
        }
        let root = Pair::self_signed(limited("root"));
        let said = both(&[&root.der], &[&root.issue(leaf("leaf"))]);
        match is_accepted {
            true => assert_eq!(said, ACCEPTED),
            false => refuse(&said, "CN=leaf: no certificate authority"),
        }
    }
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let unknown = |params| critical(params, &[1, 2, 3, 4, 5], &[5, 0]);
    let cure = ": the certificate or its authority has a critical extension that is unknown";
    let own = Pair::self_signed(unknown(leaf("own")));
    refuse(&both(&[&own.der], &[&own]), cure);
    let root = Pair::self_signed(unknown(authority("root")));
    refuse(&both(&[&root.der], &[&root]), cure);
    let signed = root.issue(leaf("leaf"));
    refuse(&both(&[&root.der], &[&signed]), cure);
    refuses(&client(&root.der, &signed.as_version_1(&root)), &[cure]);
    let good = Pair::new("root", Is::Authority);
    refuse(
        &both(&[&good.der], &[&good.issue(unknown(leaf("leaf")))]),
        cure,
    );
    // The crate knows the extension for certificate policies, so this extension may be critical.
    let policies = [0x30, 6, 0x30, 4, 6, 2, 0x2a, 3];
    let root = critical(authority("root"), &[2, 5, 29, 32], &policies);
    let root = Pair::self_signed(root);
    assert_eq!(both(&[&root.der], &[&root.issue(leaf("leaf"))]), ACCEPTED);
    assert_eq!(client(&root.der, &root.der), "");
}

#[test]
fn a_serial_number_of_any_length_is_parsed() {
    let own = Pair::self_signed(with_long_serial(leaf("own")));
    assert_eq!(both(&[&own.der], &[&own]), ACCEPTED);
    let signed = own.issue(leaf("leaf"));
    refuse(
        &both(&[&own.der], &[&signed]),
        "CN=leaf: no certificate authority",
    );

    let expired = params("root", Is::Authority, (2020, 2029));
    let expired = Pair::self_signed(with_long_serial(expired));
    let said = both(&[&expired.der], &[&expired.issue(leaf("leaf"))]);
    refuse(
        &said,
        "CN=leaf: the certificate or its authority has expired",
    );
    // If one trusted authority has expired, certificates of the other authorities stay valid.
    let root = Pair::self_signed(with_long_serial(authority("other")));
    let signed = root.issue(with_long_serial(leaf("leaf")));
    assert_eq!(both(&[&expired.der, &root.der], &[&signed]), ACCEPTED);
}

#[test]
fn certificates_that_cannot_be_classified_are_not_trusted() {
    let good = Pair::new("good", Is::Authority);
    for is in [Is::Leaf, Is::Authority] {
        for until in [2029, 2035] {
            let odd = Pair::self_signed(params("odd", is, (1, until)));
            let (_, ignored) = Authorities::new(&[odd.der.clone(), good.der.clone()]).unwrap();
            assert_eq!(ignored, 1);
            assert!(Authorities::new(std::slice::from_ref(&odd.der)).is_err());
            let said = both(&[&odd.der, &good.der], &[&odd.issue(leaf("leaf"))]);
            refuse(&said, "CN=leaf: no certificate authority");
            let old = odd.issue(leaf("leaf"));
            let old = Pair {
                der: old.as_version_1(&odd),
                ..old
            };
            refuses(
                &both(&[&odd.der, &good.der], &[&old])[1],
                &["no certificate auth"],
            );
        }
    }
}

#[test]
fn each_authority_with_the_name_and_key_counts() {
    let root = Pair::new("root", Is::Authority);
    let twin = |edit: &dyn Fn(&mut CertificateParams)| {
        let mut params = root.params.clone();
        edit(&mut params);
        params.self_signed(&root.key).unwrap().der().clone()
    };
    let expired = twin(&|params| params.not_after = rcgen::date_time_ymd(2029, 1, 1));
    let other =
        twin(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]);
    let new = root.issue(leaf("leaf"));
    let old = root.issue(leaf("leaf"));
    let old = Pair {
        der: old.as_version_1(&root),
        ..old
    };
    for good_is_at in 0..3 {
        let mut trusted = vec![&expired, &other];
        trusted.insert(good_is_at, &root.der);
        assert_eq!(both(&trusted, &[&new]), ACCEPTED);
        assert_eq!(both(&trusted, &[&old])[1], "");
    }
    // If no authority passes its checks, the error is that of the first authority.
    refuses(&both(&[&expired, &other], &[&old])[1], &["has expired"]);
    refuses(
        &both(&[&other, &expired], &[&old])[1],
        &["usage clientAuth"],
    );
}

#[test]
fn a_client_with_too_many_certificates_is_refused_before_its_chain_is_checked() {
    let root = Pair::new("root", Is::Authority);
    let middle = root.issue(authority("middle"));
    let client = middle.issue(leaf("leaf"));
    let others: Vec<_> = (0..5).map(|_| root.issue(authority("other"))).collect();
    let chain: Vec<_> = [&client, &middle].into_iter().chain(&others).collect();
    assert_eq!(both(&[&root.der], &chain[..6]), ACCEPTED);
    let [server, client] = both(&[&root.der], &chain);
    assert_eq!(server, "");
    refuses(&client, &["MaximumPathDepthExceeded"]);
}
