//! Checks the URL of an API server, from a kubeconfig, a flag or the environment of a pod.
//!
//! kube panics if a URL has no scheme, or if the URL and the path of a request are too long together. A port that is
//! not a number would silently become the default port.

use std::net::Ipv6Addr;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::humanize::is_visible;

/// The reason why a text is not the URL of an API server. The message continues a sentence that names the source of
/// the URL. The message does not contain the URL, because the URL may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidServerUrl {
    #[error(
        "has a user name or a password, which the exporter does not send; remove them, and use a kubeconfig whose \
         user has a token, a certificate or a credential plugin"
    )]
    UserInfo,
    #[error(
        "has a query or a fragment, which may contain a password, and which the exporter does not send; remove it"
    )]
    Query,
    #[error("has an invalid port; give a number from 1 to 65535")]
    Port,
    #[error("has invisible characters, such as control characters; remove them")]
    Invisible,
    #[error("is longer than {MAX_LENGTH} bytes; shorten it")]
    TooLong,
    #[error("is not a URL; write `https://HOST:PORT`")]
    NoUrl,
}

/// The maximum length of a URL in bytes. kube panics if the URL and the path of a request have more than 65,534 bytes
/// together.
const MAX_LENGTH: usize = 2048;

/// Parses the URL of an API server. The scheme is optional; [`with_scheme`] adds it.
///
/// # Errors
///
/// The function fails if the text is not a URL with a host, or if the exporter cannot send or show all parts of the
/// URL.
pub(crate) fn parse(text: &str) -> Result<Uri, InvalidServerUrl> {
    // The log and the landing page show the URL, so the URL must not contain a password.
    if text.contains('@') {
        return Err(InvalidServerUrl::UserInfo);
    }
    if text.contains(['?', '#']) {
        return Err(InvalidServerUrl::Query);
    }
    if !text.chars().all(is_visible) {
        return Err(InvalidServerUrl::Invisible);
    }
    if text.len() > MAX_LENGTH {
        return Err(InvalidServerUrl::TooLong);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let scheme_or_http = scheme.as_deref().unwrap_or("http");
    if !matches!(scheme_or_http, "http" | "https") {
        return Err(InvalidServerUrl::NoUrl);
    }
    let uri = format!("{scheme_or_http}://{rest}").parse::<Uri>();
    let uri = uri.map_err(|_| InvalidServerUrl::NoUrl)?;
    let authority = uri.authority().ok_or(InvalidServerUrl::NoUrl)?;
    check_authority(authority)?;
    if scheme.is_some() {
        return Ok(uri);
    }
    // As in other Kubernetes clients, only a URL with a scheme may have a path.
    if uri.path() != "/" {
        return Err(InvalidServerUrl::NoUrl);
    }
    let bare = Uri::builder().authority(authority.clone()).build();
    bare.map_err(|_| InvalidServerUrl::NoUrl)
}

fn check_authority(authority: &Authority) -> Result<(), InvalidServerUrl> {
    let host = authority.host();
    let is_host = match host.strip_prefix('[') {
        Some(address) => {
            let address = address.strip_suffix(']').map(str::parse::<Ipv6Addr>);
            matches!(address, Some(Ok(_)))
        }
        None => {
            let is_part = |own: u8| own.is_ascii_alphanumeric() || b"-._".contains(&own);
            !host.is_empty() && host.bytes().all(is_part)
        }
    };
    let port = authority.as_str().strip_prefix(host);
    let port = port.filter(|_| is_host).ok_or(InvalidServerUrl::NoUrl)?;
    // As in Go, an empty port is the default port of the scheme.
    let Some(digits) = port.strip_prefix(':').filter(|own| !own.is_empty()) else {
        return match port {
            "" | ":" => Ok(()),
            _ => Err(InvalidServerUrl::NoUrl),
        };
    };
    let is_number = digits.bytes().all(|own| own.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(1..) if is_number => Ok(()),
        _ => Err(InvalidServerUrl::Port),
    }
}

/// Adds the scheme to a URL that has none. The scheme is HTTPS if the configuration has any TLS setting (`is_tls`).
/// Otherwise it is HTTP.
pub(crate) fn with_scheme(url: Uri, is_tls: bool) -> Uri {
    if url.scheme().is_some() {
        return url;
    }
    let mut parts = url.clone().into_parts();
    parts.scheme = Some(if is_tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use kube::client::middleware::BaseUriLayer;
    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;

    fn full(text: &str) -> Result<String, InvalidServerUrl> {
        parse(text).map(|url| with_scheme(url, false).to_string())
    }

    #[test]
    fn a_url_needs_a_host_and_a_port_that_is_one() {
        for (text, expected) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("127.0.0.1:6443", "http://127.0.0.1:6443/"),
            ("[::1]:80", "http://[::1]:80/"),
            ("h", "http://h/"),
            ("h/", "http://h/"),
            ("a_b-c.d.", "http://a_b-c.d./"),
            ("https://h", "https://h/"),
            ("HTTPS://h:1/a/b/", "https://h:1/a/b/"),
            ("https://[fd00::1]", "https://[fd00::1]/"),
            ("https://h:", "https://h:/"),
            ("https://h:65535/é", "https://h:65535/é"),
        ] {
            assert_eq!(full(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "*",
            "/",
            "/x",
            "h/x",
            "://",
            "://h",
            "https://",
            "https:///x",
            "https://*",
            "ftp://h",
            "unix:/x",
            "https://[",
            "https://[]",
            "https://[h]",
            "https://[::1]x",
            "https://[fe80::1%25eth0]",
            "::1",
            "a b",
            "https://a b",
            " https://a",
            "https://h\\x",
            "https://%68",
            "a:b:1",
            ".*",
            "ü",
        ] {
            let error = full(text).unwrap_err();
            let is_expected = matches!(error, InvalidServerUrl::NoUrl | InvalidServerUrl::Port);
            assert!(is_expected, "{text}: {error}");
        }
        for port in ["0", "-1", "+1", "65536", "99999", "x", "1x", "000000065536"] {
            for start in ["", "https://", "http://"] {
                let url = format!("{start}h:{port}");
                assert_eq!(full(&url), Err(InvalidServerUrl::Port), "{url}");
            }
        }
        for (text, expected) in [
            ("https://u:p@h", InvalidServerUrl::UserInfo),
            ("u@h", InvalidServerUrl::UserInfo),
            ("https://h?pw=x", InvalidServerUrl::Query),
            ("https://h/#x", InvalidServerUrl::Query),
            ("https://h/\u{202e}x", InvalidServerUrl::Invisible),
            ("https://h/\u{1b}[1m", InvalidServerUrl::Invisible),
            ("https://h/\u{200b}", InvalidServerUrl::Invisible),
            ("h\n", InvalidServerUrl::Invisible),
        ] {
            assert_eq!(full(text), Err(expected), "{text}");
        }
        let long = format!("https://h/{}", "x".repeat(MAX_LENGTH));
        assert_eq!(full(&long), Err(InvalidServerUrl::TooLong));
    }

    #[test]
    fn a_server_without_a_scheme_speaks_tls_only_where_that_can_be_checked() {
        let bare = parse("a:6443").unwrap();
        assert_eq!(with_scheme(bare.clone(), false), "http://a:6443/");
        assert_eq!(with_scheme(bare, true), "https://a:6443/");
        let full = parse("http://a:6443/x").unwrap();
        assert_eq!(with_scheme(full.clone(), true), full);
    }

    /// Combines parts of URLs, and lets kube send a request to each combination that the check accepts.
    #[tokio::test]
    async fn kube_accepts_every_url_that_the_check_accepts() {
        let schemes = [
            "", "http://", "HTTPS://", "https:", "//", "ftp://", "://", "*",
        ];
        let hosts = [
            "",
            "h",
            "*",
            "127.0.0.1",
            "[::1]",
            "[",
            "]",
            "[]",
            "::1",
            "u@h",
            ".",
            "%",
            "é",
            "\\",
            "{",
            "h,h",
            "a b",
            "!",
        ];
        let ports = ["", ":", ":1", ":-1", ":99999", ":x", "::", ":1:1"];
        let long = format!("/{}", "x".repeat(65_520));
        let paths = [
            "", "/", "//", "/a/", "a", "*", "/%", "/%zz", "/é", "/\"{}", "/\u{7f}", "?", "/?a",
            "#", "/\\", "/ ", "/:@", "/[", &long, "/..//../",
        ];
        let mut accepted = 0;
        for (scheme, host) in schemes
            .iter()
            .flat_map(|scheme| hosts.map(|host| (scheme, host)))
        {
            for (port, path) in ports.iter().flat_map(|port| paths.map(|path| (port, path))) {
                let text = format!("{scheme}{host}{port}{path}");
                let Ok(url) = parse(&text) else {
                    continue;
                };
                accepted += 1;
                let url = with_scheme(url, accepted % 2 == 0);
                let send = BaseUriLayer::new(url.clone()).layer(service_fn(
                    |request: http::Request<()>| async move { Ok::<_, ()>(request.uri().clone()) },
                ));
                let request = http::Request::get("/api/v1/pods?limit=1").body(()).unwrap();
                let sent = send.oneshot(request).await.unwrap();
                assert_eq!(sent.authority(), url.authority(), "{text}");
                assert!(sent.path().ends_with("/api/v1/pods"), "{text}: {sent}");
            }
        }
        assert!(accepted > 50, "{accepted}");
    }
}
