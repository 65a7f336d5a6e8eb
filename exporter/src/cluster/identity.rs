//! [`ServerIdentity`]: the settings of a kubeconfig that determine which API server requests reach.
//!
//! Other settings, such as the credentials, may change while the exporter watches the server.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use http::Uri;
use kube::config::{Cluster, Kubeconfig};

use super::authority_bundle::AuthorityBundle;
use super::kubeconfig;

/// The settings that determine which API server requests reach.
///
/// Two servers may have the same URL: a proxy may lead to another network, and a cluster may be created again with
/// another authority.
#[derive(Clone, Debug)]
pub(crate) struct ServerIdentity {
    url: String,
    /// `proxy-url` without its password.
    proxy: Option<String>,
    tls_server_name: Option<String>,
    authority: Authority,
}

/// The certificate authority that has signed the certificate of the server.
#[derive(Clone, Debug)]
enum Authority {
    /// A file. The content of the file may change, because programs that rotate the authority rewrite the file.
    File(String),
    /// The certificates in the kubeconfig, encoded as DER. The set is empty if the kubeconfig has no certificate.
    Inline(BTreeSet<Vec<u8>>),
}

/// A setting that leads to another API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerChange {
    Url,
    Proxy,
    TlsServerName,
    Authority,
}

// === impl ServerIdentity ===

impl ServerIdentity {
    /// Creates the identity of a server whose other settings cannot change at run time.
    pub(super) fn of_url(url: String) -> Self {
        Self {
            url,
            proxy: None,
            tls_server_name: None,
            authority: Authority::Inline(BTreeSet::new()),
        }
    }

    /// Creates the identity of the server of a kubeconfig. Relative paths in `cluster` must be resolved. `url` is the
    /// URL to which the exporter sends requests.
    pub(super) fn of_cluster(cluster: &Cluster, url: String) -> Self {
        let proxy = cluster.proxy_url.as_ref();
        // As in `access`, `certificate-authority-data` takes precedence over the file.
        let data = cluster.certificate_authority_data.as_ref();
        let file = cluster.certificate_authority.as_ref();
        Self {
            url,
            proxy: proxy.map(|url| without_password(url.trim())),
            tls_server_name: cluster.tls_server_name.clone(),
            authority: match (data, file) {
                (None, Some(file)) => Authority::File(file.clone()),
                (data, _) => {
                    Authority::Inline(data.map(|own| certificates(own)).unwrap_or_default())
                }
            },
        }
    }

    /// The identity of the server in the current context of merged kubeconfigs; `None` if the context has no server, or
    /// if the URL of the server is invalid. Each kubeconfig is a path and a content. If `apiserver` is `Some`, the
    /// exporter uses this URL instead of the URL in the kubeconfig.
    pub(crate) fn of_kubeconfigs<'a>(
        kubeconfigs: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
        apiserver: Option<&Uri>,
    ) -> Option<Self> {
        let mut kubeconfigs = kubeconfigs.into_iter();
        let merged = kubeconfigs.try_fold(Kubeconfig::default(), |merged, (path, content)| {
            let text = config_file::text(content.to_vec()).ok()?;
            merged.merge(kubeconfig::parse(path, &text).ok()?).ok()
        });
        let merged = merged?;
        let cluster = kubeconfig::current_cluster(&merged)?;
        let url = kubeconfig::server_url(&merged, apiserver).ok()??;
        Some(Self::of_cluster(cluster, url.to_string()))
    }

    /// Returns the first setting by which `other` leads to another server; `None` if both lead to the same server.
    pub(crate) fn change_to(&self, other: &Self) -> Option<ServerChange> {
        if self.url != other.url {
            Some(ServerChange::Url)
        } else if self.proxy != other.proxy {
            Some(ServerChange::Proxy)
        } else if self.tls_server_name != other.tls_server_name {
            Some(ServerChange::TlsServerName)
        } else if !self.authority.may_replace(&other.authority) {
            Some(ServerChange::Authority)
        } else {
            None
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

// === impl Authority ===

impl Authority {
    /// Whether a server with this authority may be the server with the authority `other`. While an authority is
    /// rotated, kubeconfigs contain both the old and the new certificate.
    fn may_replace(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(own), Self::File(other)) => own == other,
            (Self::Inline(own), Self::Inline(other)) => {
                own.is_empty() && other.is_empty() || !own.is_disjoint(other)
            }
            _ => false,
        }
    }
}

// === impl ServerChange ===

impl fmt::Display for ServerChange {
    /// Writes the name of the setting. The text does not contain the value, because a value may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "server",
            Self::Proxy => "proxy-url",
            Self::TlsServerName => "tls-server-name",
            Self::Authority => "certificate-authority",
        })
    }
}

/// Returns the certificates of `certificate-authority-data`. If the data is malformed, the exporter refuses the
/// kubeconfig when it creates the client, so here the data counts as empty.
fn certificates(data: &str) -> BTreeSet<Vec<u8>> {
    let pem = BASE64_STANDARD.decode(data).unwrap_or_default();
    let bundle = AuthorityBundle::parse(&pem);
    bundle.certificates.into_iter().collect()
}

/// Returns a URL without its password, because a new password for the same proxy is a renewal of credentials.
fn without_password(url: &str) -> String {
    let Some((start, host)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    let (scheme, user) = start.split_once("://").unwrap_or(("", start));
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kubeconfig(cluster: Value) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": cluster }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        })
        .to_string()
    }

    fn identity(cluster: Value) -> ServerIdentity {
        let text = kubeconfig(cluster);
        let files = [(Path::new("/etc/config"), text.as_bytes())];
        ServerIdentity::of_kubeconfigs(files, None).unwrap()
    }

    fn data(certificates: &[&str]) -> Value {
        json!(BASE64_STANDARD.encode(certificates.concat()))
    }

    #[test]
    fn each_setting_that_leads_to_another_server_is_named() {
        let certificate = || {
            let certified = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
            certified.cert.pem()
        };
        let (old, new) = (certificate(), certificate());
        let (url, proxy) = ("https://a", "http://user:first@proxy:1");
        let of = |more: Value| {
            let mut cluster = json!({ "server": url });
            let fields = cluster.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            cluster
        };
        let with_data = |own: &[&str]| of(json!({ "certificate-authority-data": data(own) }));
        let with_file = |own: &str| of(json!({ "certificate-authority": own }));
        let (is_url, is_proxy) = (Some(ServerChange::Url), Some(ServerChange::Proxy));
        let (is_name, is_authority) = (
            Some(ServerChange::TlsServerName),
            Some(ServerChange::Authority),
        );
        let none = of(json!({}));
        let cases = [
            (none.clone(), none.clone(), None),
            (none.clone(), json!({ "server": "https://b" }), is_url),
            // The same URL in another notation.
            (none.clone(), json!({ "server": "HTTPS://a/" }), None),
            // An empty value counts as not set.
            (
                none.clone(),
                of(
                    json!({ "proxy-url": "", "tls-server-name": "", "certificate-authority-data": "" }),
                ),
                None,
            ),
            (none.clone(), of(json!({ "proxy-url": proxy })), is_proxy),
            (
                of(json!({ "proxy-url": proxy })),
                of(json!({ "proxy-url": "http://user:second@proxy:1" })),
                None,
            ),
            (
                of(json!({ "proxy-url": proxy })),
                of(json!({ "proxy-url": "http://other:first@proxy:1" })),
                is_proxy,
            ),
            (
                of(json!({ "proxy-url": proxy })),
                of(json!({ "proxy-url": "http://user:first@proxy:2" })),
                is_proxy,
            ),
            (
                of(json!({ "tls-server-name": "a" })),
                of(json!({ "tls-server-name": "b" })),
                is_name,
            ),
            (with_data(&[&old]), with_data(&[&new]), is_authority),
            (with_data(&[&old]), with_data(&[&new, &old]), None),
            (with_data(&[&new, &old]), with_data(&[&new]), None),
            (with_data(&[&old]), none.clone(), is_authority),
            (with_file("ca.pem"), with_file("/etc/ca.pem"), None),
            (with_file("ca.pem"), with_file("other.pem"), is_authority),
            (with_file("ca.pem"), with_data(&[&old]), is_authority),
            (with_file("ca.pem"), none, is_authority),
            // Credentials and the verification of the certificate do not determine the server.
            (
                of(json!({ "insecure-skip-tls-verify": true })),
                of(json!({})),
                None,
            ),
        ];
        for (before, after, expected) in cases {
            let (before, after) = (identity(before), identity(after));
            assert_eq!(before.change_to(&after), expected, "{before:?}, {after:?}");
            assert_eq!(after.change_to(&before), expected, "{after:?}, {before:?}");
        }
    }

    #[test]
    fn the_server_of_a_kubeconfig_is_that_of_its_context() {
        let kubeconfig = "
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'https://a'}}, {name: b, cluster: {server: 'https://b'}}]
contexts: [{name: x, context: {cluster: b, user: u}}]
current-context: x
";
        let url = |texts: &[&str], flag: Option<&str>| {
            let files = texts.iter().map(|own| (Path::new("/k"), own.as_bytes()));
            let flag = flag.map(|own| own.parse().unwrap());
            ServerIdentity::of_kubeconfigs(files, flag.as_ref()).map(|own| own.url)
        };
        let of_b = Some("https://b/".to_owned());
        assert_eq!(url(&[kubeconfig], None), of_b);
        let other = kubeconfig.replace("current-context: x", "current-context: y");
        assert_eq!(url(&[kubeconfig, &other], None), of_b);
        let unset = kubeconfig.replace("current-context: x", "current-context: ''");
        assert_eq!(url(&[&unset, kubeconfig], None), of_b);
        assert_eq!(url(&[kubeconfig], Some("c")).as_deref(), Some("http://c/"));
        for wrong in ["", "x", "current-context: y", "\u{fffd}: ["] {
            assert_eq!(url(&[wrong], None), None, "{wrong}");
        }
    }

    #[test]
    fn a_relative_path_belongs_to_the_directory_of_its_file() {
        let cluster = json!({ "server": "https://a", "certificate-authority": "ca.pem" });
        let text = kubeconfig(cluster);
        let of = |path: &'static str| {
            let files = [("/none/config", "{}"), (path, &*text)];
            let files = files.map(|(path, text)| (Path::new(path), text.as_bytes()));
            ServerIdentity::of_kubeconfigs(files, None).unwrap()
        };
        let change = of("/a/config").change_to(&of("/b/config"));
        assert_eq!(change, Some(ServerChange::Authority));
        assert_eq!(of("/a/config").change_to(&of("/a/other")), None);
    }
}
