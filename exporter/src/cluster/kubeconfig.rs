//! Reads and merges the files of a kubeconfig. Errors do not show the content of the files.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use config_file::{ReadError, YamlProblem};
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};

use crate::file_limits;

/// The keys of a kubeconfig that messages may name. Another key may be a secret value that a user wrote in the wrong
/// place.
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

/// The reason why a kubeconfig cannot be used. The messages quote no value of the file, because a value may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidKubeconfig {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The message of the parser is not shown, because it quotes the line.
    #[error(transparent)]
    Syntax(YamlProblem),
    #[error("it is empty; give a kubeconfig with a cluster, a user and a context")]
    Empty,
    #[error(
        "the server's URL has a user name or a password, which the exporter does not send; remove \
         them from the URL and give the user a token, a certificate or a credential plugin"
    )]
    UserInfo,
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
        "the user of the current context has a {given} without a {missing}, so requests would have no credentials; add \
         the {missing}, or remove the {given}"
    )]
    HalfOfPassword {
        given: &'static str,
        missing: &'static str,
    },
    #[error("{0}")]
    Other(KubeconfigError),
}

/// A certificate authority that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("certificate-authority {path}: {source}")]
pub(super) struct UnreadableAuthority {
    path: String,
    source: ReadError,
}

/// Adds a kubeconfig to the previous kubeconfigs, which take precedence. As with kubectl, an empty value is treated as
/// not set.
pub(super) fn merge(
    merged: Kubeconfig,
    mut next: Kubeconfig,
) -> Result<Kubeconfig, KubeconfigError> {
    let texts = [
        &mut next.kind,
        &mut next.api_version,
        &mut next.current_context,
    ];
    for text in texts {
        text.take_if(|text| text.is_empty());
    }
    merged.merge(next)
}

/// The cluster of the current context.
pub(super) fn current_cluster(kubeconfig: &Kubeconfig) -> Option<&Cluster> {
    let context = context_of(kubeconfig)?;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|named| named.name == context.cluster)?;
    cluster.cluster.as_ref()
}

/// Checks that the cluster and the user of the current context exist. kube accepts a missing user, and would send
/// requests without credentials. A context without a user is valid.
pub(super) fn check_context(kubeconfig: &Kubeconfig) -> Result<(), InvalidKubeconfig> {
    let (Some(current), Some(context)) = (&kubeconfig.current_context, context_of(kubeconfig))
    else {
        // kube reports a missing context.
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
    let user = context.user.as_deref().unwrap_or_default();
    check(
        "user",
        user,
        user.is_empty() || users.any(|own| own.name == user),
    )
}

/// Checks that a user with a user name also has a password. kube ignores a user name or a password alone, and would send
/// requests without credentials. If the user has other credentials, these credentials are sent.
pub(super) fn check_password(user: &AuthInfo) -> Result<(), InvalidKubeconfig> {
    let has_other = user.token.is_some()
        || user.token_file.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
        || user.auth_provider.is_some()
        || user.exec.is_some();
    let name = user.username.as_ref().is_some_and(|name| !name.is_empty());
    let (given, missing) = match (name, user.password.is_some()) {
        (true, false) => ("username", "password"),
        (false, true) => ("password", "username"),
        _ => return Ok(()),
    };
    match has_other {
        true => Ok(()),
        false => Err(InvalidKubeconfig::HalfOfPassword { given, missing }),
    }
}

fn context_of(kubeconfig: &Kubeconfig) -> Option<&Context> {
    let current = kubeconfig.current_context.as_ref()?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|named| named.name == *current)?;
    context.context.as_ref()
}

/// Reads a kubeconfig. Paths in the kubeconfig are relative to its directory.
pub(super) fn read(path: &Path) -> Result<Kubeconfig, InvalidKubeconfig> {
    let text = config_file::read_text(path, file_limits::KUBECONFIG)?;
    // kube reads the file again, because it makes paths relative to the directory of the file only if it reads the file
    // itself.
    Kubeconfig::read_from(path).map_err(|error| InvalidKubeconfig::new(error, &text))
}

/// Copies the certificate authority of the current context from its file into the kubeconfig, so that kube does not
/// read the file.
pub(super) fn inline_authority(kubeconfig: &mut Kubeconfig) -> Result<(), UnreadableAuthority> {
    let Some(cluster) = current_cluster_mut(kubeconfig) else {
        return Ok(());
    };
    let data = cluster.certificate_authority_data.as_deref();
    if data.is_some_and(|data| !data.is_empty()) {
        return Ok(());
    }
    let path = cluster.certificate_authority.take();
    let Some(path) = path.filter(|path| !path.is_empty()) else {
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

fn current_cluster_mut(kubeconfig: &mut Kubeconfig) -> Option<&mut Cluster> {
    let name = context_of(kubeconfig)?.cluster.clone();
    let mut clusters = kubeconfig.clusters.iter_mut();
    let cluster = clusters.find(|named| named.name == name)?;
    cluster.cluster.as_mut()
}

// === impl InvalidKubeconfig ===

impl InvalidKubeconfig {
    /// Describes an error of kube. The description does not show the content of the file; `text` is this content.
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
