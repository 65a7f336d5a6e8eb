//! The family of an IP address: version 4 or version 6.
//!
//! Addresses are read as in [RFC 4291], section 2.2, with a zone as in [RFC 4007], section 11.
//!
//! [RFC 4291]: https://www.rfc-editor.org/rfc/rfc4291
//! [RFC 4007]: https://www.rfc-editor.org/rfc/rfc4007

use std::net::{Ipv4Addr, Ipv6Addr};

/// The family of an address, `4` or `6`; `None` for a string that is not an address.
///
/// An IPv4-mapped IPv6 address, such as `::ffff:10.0.0.1`, belongs to family `4`. Only an IPv6 address may have a zone
/// (`%eth0`).
pub(crate) fn ip_family(address: &str) -> Option<&'static str> {
    if address.parse::<Ipv4Addr>().is_ok() {
        return Some("4");
    }
    let address = match address.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _zone)) => address,
        None => address,
    };
    let address: Ipv6Addr = address.parse().ok()?;
    Some(if address.to_ipv4_mapped().is_some() {
        "4"
    } else {
        "6"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_have_a_family() {
        for (address, want) in [
            ("10.0.0.1", "4"),
            ("0.0.0.0", "4"),
            ("255.255.255.255", "4"),
            ("::ffff:10.0.0.5", "4"),
            ("::FFFF:10.0.0.5", "4"),
            ("0:0:0:0:0:ffff:a00:5", "4"),
            ("0:0:0:0:0:ffff:10.0.0.5", "4"),
            ("::ffff:10.0.0.5%eth0", "4"),
            ("::", "6"),
            ("::1", "6"),
            ("2001:db8::1", "6"),
            ("2001:DB8::A", "6"),
            ("fe80::1%eth0", "6"),
            ("fe80::1%a%b", "6"),
            ("fe80::1%%", "6"),
            ("::10.0.0.5", "6"),
            ("64:ff9b::10.0.0.5", "6"),
            ("1:2:3:4:5:6:7:8", "6"),
            ("1:2:3:4:5:6:1.2.3.4", "6"),
            ("1:2:3:4:5:6:7::", "6"),
            ("0001:0002:0003:0004:0005:0006:0007:0008", "6"),
        ] {
            assert_eq!(ip_family(address), Some(want), "{address}");
        }
    }

    #[test]
    fn other_texts_have_none() {
        for address in [
            "",
            " ",
            " 10.0.0.1",
            "10.0.0.1 ",
            "10.0.0.0/24",
            "10.0.0.1:80",
            "[::1]",
            "10.0.0",
            "10.0.0.0.1",
            "256.0.0.1",
            "010.0.0.1",
            "10.0.0.01",
            "::ffff:10.0.0.01",
            "10.0.0.1%eth0",
            "fe80::1%",
            "12345::1",
            "1::2::3",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4::5:6:7:8",
            ":1",
            "1:",
            ":::",
            "g::1",
            "::1/64",
            "%eth0",
            "::256.0.0.1",
            "localhost",
            "0x0a.0.0.1",
            "167772161",
        ] {
            assert_eq!(ip_family(address), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn printed_addresses_are_recognised(v4: u32, v6: u128, zone in "%[a-z%]{1,3}|") {
            prop_assert_eq!(ip_family(&Ipv4Addr::from(v4).to_string()), Some("4"));
            let v6 = format!("{}{zone}", Ipv6Addr::from(v6));
            prop_assert!(ip_family(&v6).is_some());
        }

        #[test]
        fn any_text_is_harmless(text in "[0-9a-f:.%]*|\\PC*") {
            let _ = ip_family(&text);
        }
    }
}
