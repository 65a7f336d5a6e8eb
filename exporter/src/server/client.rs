//! Information about the client of a request: whether the client is authenticated, and whether it is local.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::Request;
use bounded_http::Peer;
use http::header::HOST;
use http::{HeaderMap, HeaderName, Version};
use prometheus_web_config::PasswordVerified;

/// Headers that proxies add to requests.
const FORWARDING: [&str; 8] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-real-ip",
];
/// The starts of the names of further headers that proxies add to requests.
const FORWARDING_STARTS: [&str; 2] = ["x-envoy-", "x-forwarded-"];

/// Information about the connection of a request. Every request has a `Connection` in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) listens_on: SocketAddr,
    /// Whether the TLS handshake has verified a certificate of the client. This result is stored for each connection,
    /// because the web configuration may change while the connection is open.
    pub(super) has_certificate: bool,
}

/// Whether a client is known. A client is known if it is authenticated (by a password or a certificate), or if it
/// appears to be on the same machine or in the same pod.
pub(crate) fn is_known(request: &Request) -> bool {
    let extensions = request.extensions();
    let Some(connection) = extensions.get::<Connection>() else {
        return false;
    };
    let peer = extensions.get::<Peer>();
    connection.has_certificate
        || extensions.get::<PasswordVerified>().is_some()
        || peer.is_some_and(|peer| is_local(peer, connection.listens_on, request))
}

/// Returns the loopback address on which the server of a request listens; `None` if the server listens on other
/// addresses.
pub(crate) fn only_loopback(request: &Request) -> Option<IpAddr> {
    loopback(request.extensions().get::<Connection>()?.listens_on)
}

/// Returns the IP address of a socket address if it is an address of the loopback interface.
fn loopback(address: SocketAddr) -> Option<IpAddr> {
    Some(address.ip().to_canonical()).filter(IpAddr::is_loopback)
}

/// Whether a request comes from the same machine or pod, and not through a proxy.
///
/// - If the server listens only on the loopback interface, requests probably come through a proxy on the same machine.
///   The clients of this proxy may be anywhere, so no client is treated as local.
/// - A request with a header that proxies add is not local.
/// - A request of HTTP/1.0 is not local. Usual clients do not use HTTP/1.0, but some proxies do by default and add no
///   header, for example many versions of nginx.
/// - The address of the client must be `127.0.0.1` or `::1`. Service meshes forward the requests of other clients from
///   another loopback address: Istio uses `127.0.0.6`.
/// - `Host` must be a name of the loopback interface. If a hostile web page sends a request through the browser of a
///   user, `Host` is the name of the page.
fn is_local(peer: &Peer, listens_on: SocketAddr, request: &Request) -> bool {
    let ip = peer.address().ip();
    let is_first_loopback = ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
    let is_forwarded = |name: &HeaderName| {
        let starts = |start: &&str| name.as_str().starts_with(*start);
        FORWARDING.contains(&name.as_str()) || FORWARDING_STARTS.iter().any(starts)
    };
    is_first_loopback
        && loopback(listens_on).is_none()
        && request.version() > Version::HTTP_10
        && !request.headers().keys().any(is_forwarded)
        && names_loopback(request.uri().host(), request.headers())
}

/// Returns the host name or the address in a `Host` header, without the port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn names_loopback(authority: Option<&str>, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = authority.or(host.map(without_port)) else {
        return false;
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn local(peer: &str, listens_on: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri("/debug/memory");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer::new(peer.parse().unwrap());
        let request = request.body(Body::empty()).unwrap();
        is_local(&peer, listens_on.parse().unwrap(), &request)
    }

    #[test]
    fn clients_of_the_same_pod_are_local() {
        for (peer, host) in [
            ("127.0.0.1:5", "localhost:8081"),
            ("[::ffff:127.0.0.1]:5", "LOCALHOST"),
            ("[::1]:5", "[::1]:8081"),
            ("127.0.0.1:5", "127.0.0.1:8081"),
        ] {
            assert!(local(peer, "[::]:8081", &[("host", host)]), "{peer}");
            assert!(local(peer, "0.0.0.0:8081", &[("host", host)]), "{peer}");
        }
    }

    #[test]
    fn clients_elsewhere_or_behind_a_proxy_are_not() {
        let host = ("host", "localhost:8081");
        for listens_on in ["127.0.0.1:8081", "[::1]:8081"] {
            assert!(!local("127.0.0.1:5", listens_on, &[host]), "{listens_on}");
        }
        for peer in ["10.0.0.1:5", "127.0.0.6:5", "[2001:db8::1]:5"] {
            assert!(!local(peer, "[::]:8081", &[host]), "{peer}");
        }
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Port",
            "X-Envoy-External-Address",
            "True-Client-IP",
            "Forwarded",
            "Via",
        ] {
            let fields = [host, (name, "10.0.0.1")];
            assert!(!local("127.0.0.1:5", "[::]:8081", &fields), "{name}");
        }
        for other in ["example.com", "localhost.example.com", "10.0.0.1:8081", ""] {
            assert!(
                !local("127.0.0.1:5", "[::]:8081", &[("host", other)]),
                "{other}"
            );
        }
        assert!(!local("127.0.0.1:5", "[::]:8081", &[]));
    }

    #[test]
    fn a_proxy_that_speaks_http_1_0_is_not_local() {
        let peer = Peer::new(([127, 0, 0, 1], 5).into());
        for (version, expected) in [
            (Version::HTTP_09, false),
            (Version::HTTP_10, false),
            (Version::HTTP_11, true),
            (Version::HTTP_2, true),
        ] {
            // The fields are those that nginx sends with its default configuration.
            let request = Request::builder()
                .version(version)
                .uri("/debug/memory")
                .header("host", "localhost:8081")
                .header("connection", "close")
                .body(Body::empty())
                .unwrap();
            let listens_on = ([0, 0, 0, 0], 8081).into();
            assert_eq!(
                is_local(&peer, listens_on, &request),
                expected,
                "{version:?}"
            );
        }
    }
}
