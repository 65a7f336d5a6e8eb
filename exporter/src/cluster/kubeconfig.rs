//! Kubeconfigs: how several become one, and errors that show nothing of their content.

use kube::config::{Cluster, Kubeconfig, KubeconfigError};

/// Why a kubeconfig cannot be used. Its messages quote no value of the file, which may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidKubeconfig {
    /// The parser's own message has the source line.
    #[error("line {line}, column {column}: {reason}")]
    Syntax {
        line: u64,
        column: u64,
        reason: String,
    },
    #[error(
        "the server's URL has a user name or a password, which the exporter does not send; remove \
         them from the URL and give the user a token, a certificate or a credential plugin"
    )]
    UserInfo,
    #[error("{0}")]
    Other(KubeconfigError),
}

/// Adds a kubeconfig to those before it, which take precedence. As for kubectl, an empty text counts as
/// one that is not set.
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
    let current = kubeconfig.current_context.as_ref()?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|named| named.name == *current)?;
    let context = context.context.as_ref()?;
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|named| named.name == context.cluster)?;
    cluster.cluster.as_ref()
}

// === impl InvalidKubeconfig ===

impl From<KubeconfigError> for InvalidKubeconfig {
    fn from(error: KubeconfigError) -> Self {
        let KubeconfigError::Parse(error) = error else {
            return Self::Other(error);
        };
        let location = error.location();
        Self::Syntax {
            line: location.map_or(1, |location| location.line()),
            column: location.map_or(1, |location| location.column()),
            reason: reason(&error),
        }
    }
}

/// The problem in words that depend only on the kind of the error and the expected type.
fn reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::SerdeInvalidType { expected, .. }
        | Error::SerdeInvalidValue { expected, .. }
        | Error::SerdeInvalidLength { expected, .. } => format!("expected {expected}"),
        Error::SerdeUnknownVariant { expected, .. } => {
            format!("expected one of {}", expected.join(", "))
        }
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        Error::InvalidScalar { ty, .. } => format!("expected {ty}"),
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        Error::DuplicateMappingKey { .. } => "a key is given twice; remove one".to_owned(),
        Error::UnknownAnchor { .. } => "an alias has no anchor".to_owned(),
        Error::Eof { .. } => "the text ends too early".to_owned(),
        Error::InvalidUtf8Input => "the text is not UTF-8".to_owned(),
        Error::AliasError { error, .. } => reason(error),
        _ => "not valid YAML, or not a kubeconfig".to_owned(),
    }
}
