//! Selects the proxy for connections to the API server, by the same rules as Kubernetes clients in Go.
//!
//! A kubeconfig's `proxy-url` applies to every server. Without `proxy-url`, the environment decides: the scheme of the
//! server's URL selects `HTTPS_PROXY` or `HTTP_PROXY`. There is no proxy if `NO_PROXY` names the server, or if the
//! server is on the loopback interface. `ALL_PROXY` has no effect. The exporter uses `Matcher` of hyper-util only to
//! parse the URL of a proxy. The exporter reads the environment variables itself, because `Matcher` would interpret
//! them by the rules of curl, which differ from the rules of Go.

use std::fmt;
use std::net::IpAddr;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use ipnet::IpNet;

/// A proxy and its protocol.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proxy {
    /// The address of the proxy; the scheme `https` means that the connection to the proxy uses TLS.
    pub(super) uri: Uri,
    pub(super) protocol: Protocol,
    /// The text for messages: the URL without credentials, and the name of the setting that contains the URL.
    name: String,
}

/// The protocol of a proxy, with the credentials for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Protocol {
    /// An HTTP proxy. For an HTTPS server, the exporter sends `CONNECT`. For an HTTP server, the exporter sends each
    /// request to the proxy, with the full URL of the server.
    Http { authorization: Option<HeaderValue> },
    /// SOCKS 5. As in Go, the proxy resolves host names for both schemes, `socks5` and `socks5h`.
    Socks5 { user: Option<(String, String)> },
}

/// A value that is not the URL of a proxy.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "{setting} is not the URL of a proxy; write a URL such as http://proxy:3128, with the scheme http, \
     https, socks5 or socks5h"
)]
pub(crate) struct InvalidProxy {
    pub(super) setting: &'static str,
}

/// The variables of the environment that concern proxies.
#[derive(Debug, Default)]
pub(super) struct Environment {
    https_proxy: String,
    http_proxy: String,
    no_proxy: String,
    /// Whether the process is a CGI program. The web server sets `HTTP_PROXY` of a CGI program from a request header,
    /// so the exporter ignores the variable in this case.
    is_cgi: bool,
}

/// The servers in `NO_PROXY`, to which the exporter connects without a proxy.
#[derive(Debug, Default)]
struct Exemptions {
    everything: bool,
    entries: Vec<Exemption>,
}

#[derive(Debug)]
struct Exemption {
    host: Host,
    /// The exempt port. If `port` is empty, every port matches.
    port: String,
}

#[derive(Debug)]
enum Host {
    Network(IpNet),
    Address(IpAddr),
    /// A domain. `suffix` is the domain with a leading dot, and matches all subdomains. If `itself` is true, the domain
    /// without a subdomain also matches.
    Domain {
        suffix: String,
        itself: bool,
    },
}

// === impl Proxy ===

impl Proxy {
    /// Parses a URL. A URL without a scheme means an HTTP proxy. `setting` is the name of the setting that contains the
    /// URL, for errors.
    pub(super) fn parse(url: &str, setting: &'static str) -> Result<Self, InvalidProxy> {
        let invalid = || InvalidProxy { setting };
        let url = with_one_at(url.trim());
        if has_late_credentials(&url) || has_invalid_port(&url) {
            return Err(invalid());
        }
        let matcher = Matcher::builder().all(url).build();
        // The server in this call does not matter, because the matcher selects the same proxy for every server.
        let proxy = matcher
            .intercept(&Uri::from_static("http://server/"))
            .ok_or_else(invalid)?;
        let uri = proxy.uri();
        let (scheme, port, protocol) = match uri.scheme_str() {
            Some(scheme @ ("http" | "https")) => {
                let authorization = proxy.basic_auth().cloned();
                let port = if scheme == "http" { 80 } else { 443 };
                (scheme, port, Protocol::Http { authorization })
            }
            Some("socks5" | "socks5h") => {
                let user = proxy.raw_auth();
                let user = user.map(|(user, password)| (user.to_owned(), password.to_owned()));
                ("http", 1080, Protocol::Socks5 { user })
            }
            _ => return Err(invalid()),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(invalid)?;
        let port = uri.port_u16().unwrap_or(port);
        let dial = Uri::builder()
            .scheme(scheme)
            .authority(format!("{host}:{port}"))
            .path_and_query("/")
            .build();
        let shown = uri.to_string();
        Ok(Self {
            uri: dial.map_err(|_| invalid())?,
            protocol,
            name: format!("{} ({setting})", shown.trim_end_matches('/')),
        })
    }
}

/// Splits a URL into the text before the authority, the authority, and the text after the authority.
fn split_at_authority(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let (before, rest) = url.split_at(start);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    (before, authority, after)
}

/// Escapes each `@` in the credentials. As in Go, the last `@` of the authority ends the credentials. Another parser
/// would read a part of the password as the host of the proxy, and the exporter would log this part.
fn with_one_at(url: &str) -> String {
    let (before, authority, after) = split_at_authority(url);
    match authority.rsplit_once('@') {
        Some((credentials, host)) => {
            let credentials = credentials.replace('@', "%40");
            format!("{before}{credentials}@{host}{after}")
        }
        None => url.to_owned(),
    }
}

/// Whether the port of a URL is not a number from 0 to 65535.
fn has_invalid_port(url: &str) -> bool {
    let (_, authority, _) = split_at_authority(url);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let port = after_address.split_once(':').map_or("", |(_, port)| port);
    !port.is_empty() && port.parse::<u16>().is_err()
}

/// Whether a URL contains an `@` after its authority. The authority ends at the first `/`, `?` or `#` after the scheme.
/// In such a URL, the password contains one of these characters without an escape. A parser would read a part of the
/// password as the host or the port of the proxy, and the exporter would log this part.
fn has_late_credentials(url: &str) -> bool {
    let (_, _, after) = split_at_authority(url);
    after.contains('@')
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

// === impl Environment ===

impl Environment {
    /// Reads the variables of this process. An empty variable is treated as not set.
    pub(super) fn of_process() -> Self {
        let first = |names: [&str; 2]| {
            let values = names.map(|name| std::env::var(name).unwrap_or_default());
            values.into_iter().find(|value| !value.is_empty())
        };
        Self {
            https_proxy: first(["HTTPS_PROXY", "https_proxy"]).unwrap_or_default(),
            http_proxy: first(["HTTP_PROXY", "http_proxy"]).unwrap_or_default(),
            no_proxy: first(["NO_PROXY", "no_proxy"]).unwrap_or_default(),
            is_cgi: std::env::var_os("REQUEST_METHOD").is_some(),
        }
    }

    /// The proxy for a server; `None` if the exporter connects to the server without a proxy.
    ///
    /// # Errors
    ///
    /// The function fails if the value of the variable for this server is not the URL of a proxy.
    pub(super) fn proxy_for(&self, server: &Uri) -> Result<Option<Proxy>, InvalidProxy> {
        let is_https = server.scheme() == Some(&Scheme::HTTPS);
        let (url, setting) = match is_https {
            true => (&self.https_proxy, "HTTPS_PROXY"),
            false if self.is_cgi => return Ok(None),
            false => (&self.http_proxy, "HTTP_PROXY"),
        };
        let host = server.host().unwrap_or_default();
        let port = server.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if url.is_empty() || Exemptions::parse(&self.no_proxy).is_direct(host, port) {
            return Ok(None);
        }
        Proxy::parse(url, setting).map(Some)
    }
}

// === impl Exemptions ===

impl Exemptions {
    fn parse(list: &str) -> Self {
        let entries = list.split(',').map(|entry| entry.trim().to_lowercase());
        let entries: Vec<_> = entries.filter(|entry| !entry.is_empty()).collect();
        Self {
            everything: entries.iter().any(|entry| entry == "*"),
            entries: entries
                .iter()
                .filter_map(|entry| Exemption::parse(entry))
                .collect(),
        }
    }

    /// Whether the exporter connects to a server without a proxy.
    fn is_direct(&self, host: &str, port: u16) -> bool {
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let address = host.parse::<IpAddr>().ok().map(|own| own.to_canonical());
        if host == "localhost" || address.is_some_and(|own| own.is_loopback()) {
            return true;
        }
        let (host, port) = (host.to_lowercase(), port.to_string());
        let exempts = |entry: &Exemption| {
            (entry.port.is_empty() || entry.port == port) && entry.host.is(&host, address)
        };
        self.everything || self.entries.iter().any(exempts)
    }
}

// === impl Exemption ===

impl Exemption {
    /// Parses an entry of `NO_PROXY`. The entry must be in lower case. Returns `None` if the entry matches no server.
    fn parse(entry: &str) -> Option<Self> {
        if let Ok(network) = entry.parse::<IpNet>() {
            let (host, port) = (Host::Network(network), String::new());
            return Some(Self { host, port });
        }
        let (host, port) = split_port(entry).unwrap_or((entry, ""));
        let port = port.to_owned();
        if let Ok(address) = host.parse::<IpAddr>() {
            let host = Host::Address(address.to_canonical());
            return Some(Self { host, port });
        }
        let domain = host.strip_prefix('*').filter(|rest| rest.starts_with('.'));
        let domain = domain.unwrap_or(host);
        let itself = !domain.starts_with('.');
        let suffix = format!(".{}", domain.strip_prefix('.').unwrap_or(domain));
        let host = Host::Domain { suffix, itself };
        (!domain.is_empty()).then_some(Self { host, port })
    }
}

// === impl Host ===

impl Host {
    fn is(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::Network(network) => address.is_some_and(|own| network.contains(&own)),
            Self::Address(wanted) => address == Some(*wanted),
            Self::Domain { suffix, itself } => {
                host.ends_with(suffix) || (*itself && suffix.strip_prefix('.') == Some(host))
            }
        }
    }
}

/// Splits a text `HOST:PORT` or `[ADDRESS]:PORT`, and returns the host and the port.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (host, port) = entry.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

#[cfg(test)]
mod tests;
