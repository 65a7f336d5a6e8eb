//! Tests which proxy the exporter uses for a server, and which values are refused as the URL of a proxy.

use super::*;

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

fn environment(no_proxy: &str) -> Environment {
    Environment {
        https_proxy: "http://secure:1".into(),
        http_proxy: "http://plain:2".into(),
        no_proxy: no_proxy.into(),
        is_cgi: false,
    }
}

/// The address of the proxy for a server; empty if the exporter connects to the server directly.
fn proxy_for(environment: &Environment, server: &str) -> String {
    let proxy = environment.proxy_for(&uri(server)).unwrap();
    proxy.map_or(String::new(), |proxy| {
        proxy.uri.authority().unwrap().to_string()
    })
}

#[test]
fn the_scheme_of_the_server_selects_the_variable() {
    let environment = environment("");
    assert_eq!(proxy_for(&environment, "https://api"), "secure:1");
    assert_eq!(proxy_for(&environment, "http://api"), "plain:2");
    assert_eq!(proxy_for(&Environment::default(), "https://api"), "");
    let cgi = Environment {
        is_cgi: true,
        ..environment
    };
    assert_eq!(
        proxy_for(&cgi, "http://api"),
        "",
        "a request may have set the variable"
    );
    assert_eq!(proxy_for(&cgi, "https://api"), "secure:1");
}

#[test]
fn the_loopback_is_direct() {
    for server in [
        "https://localhost:6443",
        "http://127.0.0.1",
        "https://127.9.9.9:6443",
        "https://[::1]:6443",
        "https://[::ffff:127.0.0.1]:6443",
    ] {
        assert_eq!(proxy_for(&environment(""), server), "", "{server}");
    }
    for server in ["https://a.localhost", "https://128.0.0.1", "https://[::2]"] {
        assert_eq!(proxy_for(&environment(""), server), "secure:1", "{server}");
    }
}

#[test]
fn no_proxy_exempts_as_with_go() {
    #[rustfmt::skip]
    let rows = [
        // Tests domains with and without a leading dot, with a wildcard, with ports, in upper case, and with spaces.
        ("example.com", "https://example.com:6443", true),
        ("example.com", "https://api.example.com:6443", true),
        ("example.com", "https://notexample.com", false),
        (".example.com", "https://api.example.com", true),
        (".example.com", "https://example.com", false),
        ("*.example.com", "https://a.b.example.com", true),
        ("*.example.com", "https://example.com", false),
        ("*example.com", "https://api.example.com", false),
        ("EXAMPLE.com", "https://api.Example.COM", true),
        (" a.com ,\tb.com ", "https://b.com", true),
        ("a.com b.com", "https://b.com", false),
        ("example.com:6443", "https://api.example.com:6443", true),
        ("example.com:6443", "https://example.com", false),
        ("example.com:443", "https://example.com", true),
        ("example.com:80", "http://example.com", true),
        ("example.com:", "https://example.com:6443", true),
        ("example.com:https", "https://example.com", false),
        (".svc,.cluster.local", "https://kubernetes.default.svc", true),
        // Tests addresses and networks. An address or a network in `NO_PROXY` never matches the host name of a server.
        ("10.0.0.1", "https://10.0.0.1:6443", true),
        ("10.0.0.1:6443", "https://10.0.0.1:6443", true),
        ("10.0.0.1:6443", "https://10.0.0.1", false),
        ("10.0.0.1", "https://10.0.0.11", false),
        ("10.96.0.0/12", "https://10.100.0.1:443", true),
        ("10.96.0.0/12", "https://10.112.0.1:443", false),
        ("10.96.0.7/12", "https://10.96.0.1", true),
        ("10.96.0.0/12:443", "https://10.96.0.1", false),
        ("10.96.0.0/33", "https://10.96.0.1", false),
        ("10.0.0.0/8", "https://ten.example.com", false),
        ("0.0.1", "https://10.0.0.1", true),
        ("fd00::/8", "https://[fd00::1]:6443", true),
        ("fd00::1", "https://[fd00::1]:6443", true),
        ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
        ("[fd00::1]:6443", "https://[fd00::1]:443", false),
        ("[fd00::1]", "https://[fd00::1]:443", false),
        ("10.0.0.1", "https://[::ffff:10.0.0.1]", true),
        ("10.0.0.0/8", "https://[::ffff:10.0.0.1]", true),
        // Tests entries that match every server, and entries that match no server.
        ("*", "https://example.com", true),
        ("a.com,*", "https://10.0.0.1", true),
        ("*:443", "https://example.com", false),
        ("", "https://example.com", false),
        (",:443,.,:", "https://example.com", false),
    ];
    for (no_proxy, server, direct) in rows {
        let proxy = proxy_for(&environment(no_proxy), server);
        assert_eq!(proxy.is_empty(), direct, "NO_PROXY={no_proxy} {server}");
    }
}

#[test]
fn the_url_of_a_proxy_gives_its_address_and_credentials() {
    let http = |text: Option<&'static str>| Protocol::Http {
        authorization: text.map(HeaderValue::from_static),
    };
    let socks = |user: Option<(&str, &str)>| Protocol::Socks5 {
        user: user.map(|(user, password)| (user.into(), password.into())),
    };
    #[rustfmt::skip]
    let rows = [
        ("http://proxy:3128", "http://proxy:3128/", http(None), "http://proxy:3128"),
        ("http://proxy", "http://proxy:80/", http(None), "http://proxy"),
        ("https://proxy/path", "https://proxy:443/", http(None), "https://proxy"),
        ("proxy:3128", "http://proxy:3128/", http(None), "http://proxy:3128"),
        (" http://proxy\n", "http://proxy:80/", http(None), "http://proxy"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128/", http(None), "http://[fd00::1]:3128"),
        ("http://u:p%40ss@proxy", "http://proxy:80/", http(Some("Basic dTpwQHNz")), "http://proxy"),
        ("https://u@proxy:1", "https://proxy:1/", http(Some("Basic dTo=")), "https://proxy:1"),
        ("socks5://proxy", "http://proxy:1080/", socks(None), "socks5://proxy"),
        ("socks5h://u:p@proxy:9", "http://proxy:9/", socks(Some(("u", "p"))), "socks5h://proxy:9"),
    ];
    for (url, dial, protocol, shown) in rows {
        let proxy = Proxy::parse(url, "proxy-url").unwrap();
        assert_eq!(proxy.uri, dial, "{url}");
        assert_eq!(proxy.protocol, protocol, "{url}");
        assert_eq!(proxy.to_string(), format!("{shown} (proxy-url)"));
    }
}

#[test]
fn a_value_that_is_no_proxy_is_refused_by_the_name_of_its_setting() {
    for url in [
        "ftp://proxy",
        "socks4://proxy",
        "http://",
        "/proxy",
        "a b",
        "http://u:p@",
    ] {
        let error = Proxy::parse(url, "HTTPS_PROXY").unwrap_err().to_string();
        assert!(
            error.starts_with("HTTPS_PROXY is not the URL"),
            "{url}: {error}"
        );
    }
    // An invalid value of `HTTP_PROXY` is an error only for HTTP servers, and an invalid value of `HTTPS_PROXY` only
    // for HTTPS servers.
    let environment = Environment {
        http_proxy: "ftp://proxy".into(),
        ..Environment::default()
    };
    assert_eq!(environment.proxy_for(&uri("https://api")), Ok(None));
    assert!(environment.proxy_for(&uri("http://api")).is_err());
}

#[test]
fn a_password_without_escapes_is_an_error_and_no_host() {
    for password in ["secret/x", "secret?x", "secret#x", "12345#x"] {
        for scheme in ["http://", "https://", "socks5://", ""] {
            let url = format!("{scheme}user:{password}@proxy:1");
            assert!(Proxy::parse(&url, "HTTPS_PROXY").is_err(), "{url}");
        }
    }
    let escaped = Proxy::parse("http://user:a%2Fb%40c@proxy:1/", "HTTPS_PROXY").unwrap();
    assert_eq!(escaped.to_string(), "http://proxy:1 (HTTPS_PROXY)");
}

#[test]
fn the_last_at_ends_the_credentials() {
    for scheme in ["http", "https", "socks5"] {
        for user in ["john@corp.example:secret", "user:a@secret"] {
            let url = format!("{scheme}://{user}@proxy:1");
            let proxy = Proxy::parse(&url, "HTTPS_PROXY").unwrap();
            assert_eq!(
                proxy.to_string(),
                format!("{scheme}://proxy:1 (HTTPS_PROXY)")
            );
        }
    }
    let proxy = Proxy::parse("http://a@b:c@proxy", "HTTPS_PROXY").unwrap();
    let authorization = Some(HeaderValue::from_static("Basic YUBiOmM="));
    assert_eq!(proxy.protocol, Protocol::Http { authorization });
    for port in ["99999", "x", "1:2"] {
        let url = format!("http://user:secret@proxy:{port}");
        assert!(Proxy::parse(&url, "HTTPS_PROXY").is_err(), "{url}");
    }
    assert!(Proxy::parse("http://[::1]:3128", "HTTPS_PROXY").is_ok());
}
