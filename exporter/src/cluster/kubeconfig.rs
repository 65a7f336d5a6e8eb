//! Reads and merges the files of a kubeconfig. Errors do not show the content of the files.

use std::collections::HashSet;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use config_file::{ReadError, YamlProblem};
use http::Uri;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};
use secrecy::ExposeSecret;

use super::authority_bundle::AuthorityBundle;
use crate::file_limits;
use crate::server_url::{self, InvalidServerUrl};

/// The keys of a kubeconfig that error messages may name. An unknown key may be a secret that a user wrote in the wrong
/// place, so messages do not name it.
const KEYS: &[&str] = &[
    "apiVersion",
    "args",
    "auth-provider",
    "as",
    "as-groups",
    "as-uid",
    "as-user-extra",
    "certificate-authority",
    "certificate-authority-data",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "cluster",
    "clusters",
    "command",
    "config",
    "context",
    "contexts",
    "current-context",
    "disable-compression",
    "env",
    "exec",
    "extensions",
    "insecure-skip-tls-verify",
    "installHint",
    "interactiveMode",
    "kind",
    "name",
    "namespace",
    "password",
    "preferences",
    "provideClusterInfo",
    "proxy-url",
    "server",
    "tls-server-name",
    "token",
    "tokenFile",
    "user",
    "username",
    "users",
];

/// The reason why a kubeconfig cannot be used. The messages contain no value of the file, because a value may be
/// secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidKubeconfig {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A YAML error. The error does not contain the message of the parser, because this message quotes the line.
    #[error(transparent)]
    Syntax(YamlProblem),
    #[error(
        "the file has no cluster and no context; write a kubeconfig with a cluster, a user and a context to it"
    )]
    Empty,
    #[error("the cluster's `server` {0}")]
    Server(#[from] InvalidServerUrl),
    #[error(
        "the context `{context}` names the {part} `{name}`, which does not exist; add the {part}, or correct the \
         context"
    )]
    Missing {
        context: String,
        part: &'static str,
        name: String,
    },
    #[error(
        "there are several {part} with the name `{name}`, which kubectl refuses, too; give each a different name"
    )]
    Repeated { part: &'static str, name: String },
    #[error(
        "the user of the current context has a {given} without a {missing}, so requests would have no credentials; add \
         the {missing}, or remove the {given}"
    )]
    HalfOfPassword {
        given: &'static str,
        missing: &'static str,
    },
    #[error(
        "the user of the current context has {given} without `as`, so there is no user to impersonate; add `as` with \
         the name of a user, or remove {given}"
    )]
    NoImpersonatedUser { given: &'static str },
    #[error("{0}")]
    Other(KubeconfigError),
}

/// A certificate authority that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("certificate-authority {}: {source}", config_file::shown_path(path.as_ref()))]
pub(super) struct UnreadableAuthority {
    path: String,
    source: ReadError,
}

/// The cluster of the current context.
pub(super) fn current_cluster(kubeconfig: &Kubeconfig) -> Option<&Cluster> {
    let context = context_of(kubeconfig)?;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|named| named.name == context.cluster)?;
    cluster.cluster.as_ref()
}

/// The URL to which the exporter sends requests; `None` if no URL is set. `apiserver` is the URL of the flag, which
/// takes precedence over `server` of the current context's cluster.
///
/// A URL without a scheme means HTTPS if the cluster or the user has TLS settings. kubectl uses HTTP without
/// credentials in this case.
pub(super) fn server_url(
    kubeconfig: &Kubeconfig,
    apiserver: Option<&Uri>,
) -> Result<Option<Uri>, InvalidServerUrl> {
    let cluster = current_cluster(kubeconfig);
    let server = cluster.and_then(|cluster| cluster.server.as_deref());
    let url = match (apiserver, server) {
        (Some(url), _) => url.clone(),
        (None, Some(server)) => server_url::parse(server)?,
        (None, None) => return Ok(None),
    };
    let verifies = cluster.is_some_and(|cluster| {
        cluster.certificate_authority.is_some() || cluster.certificate_authority_data.is_some()
    });
    let is_insecure = cluster.and_then(|cluster| cluster.insecure_skip_tls_verify);
    let has_certificate = current_user(kubeconfig).is_some_and(|user| {
        user.client_certificate.is_some() || user.client_certificate_data.is_some()
    });
    let is_tls = verifies || is_insecure == Some(true) || has_certificate;
    Ok(Some(server_url::with_scheme(url, is_tls)))
}

/// Sets the server of the current context's cluster. kube and credential plugins then use this URL. Like most
/// kubeconfigs, the text has no `/` after the port.
pub(super) fn set_server(kubeconfig: &mut Kubeconfig, url: &Uri) {
    let mut text = url.to_string();
    if url.path() == "/" {
        text.pop();
    }
    if let Some(cluster) = current_cluster_mut(kubeconfig) {
        cluster.server = Some(text);
    }
}

/// Checks that the cluster and the user of the current context exist. Without this check, kube would accept the name of
/// a missing user, and send requests without credentials. A context that names no user is valid.
pub(super) fn check_context(kubeconfig: &Kubeconfig) -> Result<(), InvalidKubeconfig> {
    let (Some(current), Some(context)) = (&kubeconfig.current_context, context_of(kubeconfig))
    else {
        // This function need not report a missing context: kube reports it.
        return Ok(());
    };
    let check = |part, name: &str, is_known: bool| match is_known {
        true => Ok(()),
        false => Err(InvalidKubeconfig::Missing {
            context: current.clone(),
            part,
            name: name.to_owned(),
        }),
    };
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = &context.cluster;
    check("cluster", cluster, clusters.any(|own| own.name == *cluster))?;
    let mut users = kubeconfig.auth_infos.iter();
    let Some(user) = &context.user else {
        return Ok(());
    };
    check("user", user, users.any(|own| own.name == *user))
}

/// Checks that the settings of a user are complete.
///
/// # Errors
///
/// - The user has a user name without a password, or a password without a user name, and no other credentials. kube
///   ignores a user name or a password alone, and would send requests without credentials. If the user has other
///   credentials, kube sends these.
/// - The user impersonates a group, a UID or extra information without a user. An API server refuses such requests.
pub(super) fn check_user(user: &AuthInfo) -> Result<(), InvalidKubeconfig> {
    if user.impersonate.is_none() {
        let settings = [
            ("as-uid", user.impersonate_uid.is_some()),
            ("as-groups", user.impersonate_groups.is_some()),
            ("as-user-extra", user.impersonate_user_extra.is_some()),
        ];
        if let Some((given, _)) = settings.into_iter().find(|(_, is_set)| *is_set) {
            return Err(InvalidKubeconfig::NoImpersonatedUser { given });
        }
    }
    let has_other = user.token.is_some()
        || user.token_file.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
        || user.auth_provider.is_some()
        || user.exec.is_some();
    let (given, missing) = match (user.username.is_some(), user.password.is_some()) {
        (true, false) => ("username", "password"),
        (false, true) => ("password", "username"),
        _ => return Ok(()),
    };
    match has_other {
        true => Ok(()),
        false => Err(InvalidKubeconfig::HalfOfPassword { given, missing }),
    }
}

fn current_user(kubeconfig: &Kubeconfig) -> Option<&AuthInfo> {
    let name = context_of(kubeconfig)?.user.as_ref()?;
    let mut users = kubeconfig.auth_infos.iter();
    let user = users.find(|named| named.name == *name)?;
    user.auth_info.as_ref()
}

fn context_of(kubeconfig: &Kubeconfig) -> Option<&Context> {
    let current = kubeconfig.current_context.as_ref()?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|named| named.name == *current)?;
    context.context.as_ref()
}

/// Reads a kubeconfig. Relative paths in the kubeconfig become relative to the directory of the kubeconfig.
pub(super) fn read(path: &Path) -> Result<Kubeconfig, InvalidKubeconfig> {
    let text = config_file::read_text(path, file_limits::KUBECONFIG)?;
    parse(path, &text)
}

/// Parses the content of the kubeconfig at `path`, like [`read`].
pub(super) fn parse(path: &Path, text: &str) -> Result<Kubeconfig, InvalidKubeconfig> {
    // The function does not use `Kubeconfig::read_from`, because that function would read the file a second time. If a
    // named pipe replaced the file between the two reads, `read_from` would block forever.
    let read = Kubeconfig::from_yaml(text);
    let mut kubeconfig = read.map_err(|error| InvalidKubeconfig::new(error, text))?;
    refuse_repeated_names(&kubeconfig)?;
    remove_empty_values(&mut kubeconfig);
    if let Some(directory) = path.parent() {
        resolve_paths(&mut kubeconfig, directory);
    }
    Ok(kubeconfig)
}

/// Refuses several clusters, users or contexts with the same name in one file. A user could not know which of them
/// determines the server or the credentials.
fn refuse_repeated_names(kubeconfig: &Kubeconfig) -> Result<(), InvalidKubeconfig> {
    let clusters = kubeconfig.clusters.iter().map(|named| &named.name);
    let users = kubeconfig.auth_infos.iter().map(|named| &named.name);
    let contexts = kubeconfig.contexts.iter().map(|named| &named.name);
    let repeated = first_repeated(clusters)
        .map(|name| ("clusters", name))
        .or_else(|| first_repeated(users).map(|name| ("users", name)))
        .or_else(|| first_repeated(contexts).map(|name| ("contexts", name)));
    match repeated {
        None => Ok(()),
        Some((part, name)) => Err(InvalidKubeconfig::Repeated {
            part,
            name: name.clone(),
        }),
    }
}

fn first_repeated<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut known = HashSet::new();
    names.find(|name| !known.insert(*name))
}

/// Removes empty values. As in kubectl, an empty value counts as not set. kube would, for example, send an empty token.
fn remove_empty_values(kubeconfig: &mut Kubeconfig) {
    let remove = |texts: &mut [&mut Option<String>]| {
        for text in texts {
            text.take_if(|text| text.is_empty());
        }
    };
    remove(&mut [
        &mut kubeconfig.kind,
        &mut kubeconfig.api_version,
        &mut kubeconfig.current_context,
    ]);
    let contexts = kubeconfig.contexts.iter_mut();
    for context in contexts.filter_map(|named| named.context.as_mut()) {
        remove(&mut [&mut context.user, &mut context.namespace]);
    }
    let clusters = kubeconfig.clusters.iter_mut();
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        remove(&mut [
            &mut cluster.server,
            &mut cluster.certificate_authority,
            &mut cluster.certificate_authority_data,
            &mut cluster.proxy_url,
            &mut cluster.tls_server_name,
        ]);
    }
    let users = kubeconfig.auth_infos.iter_mut();
    for user in users.filter_map(|named| named.auth_info.as_mut()) {
        remove(&mut [
            &mut user.username,
            &mut user.token_file,
            &mut user.client_certificate,
            &mut user.client_certificate_data,
            &mut user.client_key,
            &mut user.impersonate,
            &mut user.impersonate_uid,
        ]);
        for secret in [&mut user.token, &mut user.client_key_data] {
            secret.take_if(|secret| secret.expose_secret().is_empty());
        }
        // As in kubectl, the password that belongs to a user name may be empty.
        let has_name = user.username.is_some();
        let password = &mut user.password;
        password.take_if(|password| !has_name && password.expose_secret().is_empty());
        user.impersonate_groups.take_if(|groups| groups.is_empty());
        let extra = &mut user.impersonate_user_extra;
        extra.take_if(|extra| extra.is_empty());
        if let Some(exec) = &mut user.exec {
            remove(&mut [
                &mut exec.api_version,
                &mut exec.command,
                &mut exec.install_hint,
            ]);
        }
    }
}

/// Adds the directory of the kubeconfig to all relative paths in the kubeconfig, as `Kubeconfig::read_from` does.
fn resolve_paths(kubeconfig: &mut Kubeconfig, directory: &Path) {
    let resolve = |path: &mut Option<String>| {
        if let Some(relative) = path.as_deref().map(Path::new)
            && relative.is_relative()
            && let Some(resolved) = directory.join(relative).to_str()
        {
            *path = Some(resolved.to_owned());
        }
    };
    let clusters = kubeconfig.clusters.iter_mut();
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    let users = kubeconfig.auth_infos.iter_mut();
    for user in users.filter_map(|named| named.auth_info.as_mut()) {
        resolve(&mut user.client_certificate);
        resolve(&mut user.client_key);
        resolve(&mut user.token_file);
        // The operating system searches in `PATH` for a command without a separator, so such a command stays unchanged.
        let commands = user.exec.iter_mut().map(|exec| &mut exec.command);
        commands
            .filter(|command| {
                let has_separator = |own: &str| own.contains(std::path::MAIN_SEPARATOR);
                command.as_deref().is_some_and(has_separator)
            })
            .for_each(resolve);
    }
}

/// Copies the certificate authority of the current context from its file into the kubeconfig. Then kube does not read
/// the file. The copy is necessary because kube has no limit on the size of the file.
pub(super) fn inline_authority(kubeconfig: &mut Kubeconfig) -> Result<(), UnreadableAuthority> {
    let Some(cluster) = current_cluster_mut(kubeconfig) else {
        return Ok(());
    };
    if cluster.certificate_authority_data.is_some() {
        return Ok(());
    }
    let Some(path) = cluster.certificate_authority.take() else {
        return Ok(());
    };
    match config_file::read(Path::new(&path), file_limits::CERTIFICATES) {
        Ok(content) => {
            cluster.certificate_authority_data = Some(BASE64_STANDARD.encode(content));
            Ok(())
        }
        Err(source) => Err(UnreadableAuthority { path, source }),
    }
}

/// Parses the certificate authorities of the current context; `None` if the context has none, or if they are not Base64.
/// [`inline_authority`] must have copied them into the kubeconfig. If a certificate is broken, the function replaces the
/// authorities with the other certificates, because kube would refuse the kubeconfig.
pub(super) fn take_authorities(kubeconfig: &mut Kubeconfig) -> Option<AuthorityBundle> {
    let cluster = current_cluster_mut(kubeconfig)?;
    let data = cluster.certificate_authority_data.as_mut()?;
    let bundle = AuthorityBundle::parse(&BASE64_STANDARD.decode(&*data).ok()?);
    if bundle.broken().is_some() {
        *data = BASE64_STANDARD.encode(bundle.to_pem());
    }
    Some(bundle)
}

fn current_cluster_mut(kubeconfig: &mut Kubeconfig) -> Option<&mut Cluster> {
    let name = context_of(kubeconfig)?.cluster.clone();
    let mut clusters = kubeconfig.clusters.iter_mut();
    let cluster = clusters.find(|named| named.name == name)?;
    cluster.cluster.as_mut()
}

// === impl InvalidKubeconfig ===

impl InvalidKubeconfig {
    /// Converts an error of kube. `text` is the content of the file; the error message does not show it.
    pub(super) fn new(error: KubeconfigError, text: &str) -> Self {
        match error {
            KubeconfigError::Parse(error) => {
                Self::Syntax(config_file::yaml_problem(&error, text, KEYS))
            }
            error => Self::Other(error),
        }
    }
}

impl From<KubeconfigError> for InvalidKubeconfig {
    fn from(error: KubeconfigError) -> Self {
        Self::new(error, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_as_kube_does() {
        let text = "
apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: 'https://a', certificate-authority: ca.crt}}
- {name: b, cluster: {server: 'https://b', certificate-authority: /etc/ca.crt}}
users:
- {name: a, user: {client-certificate: ../c.pem, client-key: k.pem, tokenFile: t}}
- {name: b, user: {client-certificate: /c.pem, client-key: /k.pem, tokenFile: /t}}
- {name: c, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login}}}
- {name: d, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}
contexts:
- {name: a, context: {cluster: a, user: a}}
current-context: a
---
clusters:
- {name: d, cluster: {server: 'https://d', certificate-authority: below/ca.crt}}
";
        let directory = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("config");
        std::fs::write(&path, text).unwrap();
        let json = |kubeconfig: Kubeconfig| serde_json::to_value(kubeconfig).unwrap();
        let resolved = json(read(&path).unwrap());
        assert_eq!(resolved, json(Kubeconfig::read_from(&path).unwrap()));
        let user = resolved["users"][0]["user"]["client-key"].as_str();
        assert_eq!(user, directory.join("k.pem").to_str());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
