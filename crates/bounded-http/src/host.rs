//! Checks the host of a request by the rules of RFC 9112 (section 3.2) and RFC 9113 (section 8.3.1).

use http::header::HOST;
use http::uri::Authority;
use http::{Request, Version};

/// Returns `true` if the request has a valid host, in the form that its HTTP version requires.
///
/// - HTTP/1.1 has exactly one valid field `Host`, which may be empty. Requests of earlier versions may omit the field.
/// - HTTP/2 has `:authority`. If there is also a field `Host`, it must be equal to `:authority`.
/// - The host in `:authority`, or in the target of an HTTP/1 request, has no user name (RFC 9110, section 4.2.4). hyper
///   accepts a user name, and `Uri::host` returns the host without it.
pub(crate) fn has_valid_host<B>(request: &Request<B>) -> bool {
    let mut fields = request.headers().get_all(HOST).iter();
    let (host, further) = (fields.next(), fields.next());
    let authority = request.uri().authority();
    if further.is_some() || authority.is_some_and(|authority| !is_valid(authority)) {
        return false;
    }
    let Some(host) = host else {
        return request.version() != Version::HTTP_11;
    };
    let (Ok(host), authority) = (host.to_str(), authority.map(Authority::as_str)) else {
        return false;
    };
    match request.version() {
        Version::HTTP_2 if authority.is_some() => authority == Some(host),
        _ => is_host(host),
    }
}

/// Returns `true` if a string is empty, or is a host with or without a port.
fn is_host(text: &str) -> bool {
    text.is_empty()
        || text
            .parse::<Authority>()
            .is_ok_and(|authority| is_valid(&authority))
}

/// Returns `true` if an authority is a host with or without a port, and has no user name.
fn is_valid(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port = port.is_some_and(|port| match port.strip_prefix(':') {
        Some(digits) => digits.is_empty() || digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    });
    is_port && !authority.as_str().contains('@') && !authority.host().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        has_valid_host(&request.body(()).unwrap())
    }

    #[test]
    fn http_1_1_has_exactly_one_valid_host() {
        for host in [
            "",
            "a",
            "a.b:8080",
            "a:",
            "10.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "a_b",
        ] {
            assert!(request(Version::HTTP_11, "/", &[host]), "{host}");
        }
        for host in [
            "a b", "a/b", "a?b", "u@a", "a:b", "a:65536", ":1", "http://a", "[::1", "a:1:2",
            "a\"b", "<a>",
        ] {
            assert!(!request(Version::HTTP_11, "/", &[host]), "{host}");
            assert!(!request(Version::HTTP_10, "/", &[host]), "{host}");
        }
        assert!(!request(Version::HTTP_11, "/", &[]));
        assert!(!request(Version::HTTP_11, "/", &["a", "a"]));
        assert!(!request(Version::HTTP_11, "http://a/", &[]));
        assert!(request(Version::HTTP_11, "http://a/", &["b"]));
    }

    #[test]
    fn http_1_0_may_omit_it() {
        assert!(request(Version::HTTP_10, "/", &[]));
        assert!(request(Version::HTTP_10, "/", &["a"]));
        assert!(!request(Version::HTTP_10, "/", &["a", "a"]));
    }

    #[test]
    fn http_2_has_an_authority() {
        assert!(request(Version::HTTP_2, "http://a:1/", &[]));
        assert!(request(Version::HTTP_2, "http://a:1/", &["a:1"]));
        assert!(!request(Version::HTTP_2, "http://a:1/", &["b:1"]));
        assert!(request(Version::HTTP_2, "/", &["a"]));
        assert!(!request(Version::HTTP_2, "/", &["a b"]));
        for authority in ["u@a", "u:p@a:1", "a:65536"] {
            let uri = format!("http://{authority}/");
            assert!(!request(Version::HTTP_2, &uri, &[]), "{authority}");
            assert!(!request(Version::HTTP_2, &uri, &[authority]), "{authority}");
        }
        assert!(request(Version::HTTP_2, "http://[::1]:8080/", &[]));
    }

    #[test]
    fn a_target_with_a_host_has_no_user() {
        assert!(request(Version::HTTP_11, "http://a:1/", &["a:1"]));
        assert!(!request(Version::HTTP_11, "http://u@a/", &["a"]));
        assert!(!request(Version::HTTP_10, "http://u@a/", &[]));
    }
}
