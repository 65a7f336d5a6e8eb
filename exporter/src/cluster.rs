//! The way to the API server.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kube_state_metrics::watch::tuned;

use crate::options::Source;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("--kubeconfig {}: {source}", path.display())]
    Kubeconfig {
        path: PathBuf,
        source: kube::config::KubeconfigError,
    },
    #[error(
        "this does not run in a cluster ({0}); give --kubeconfig FILE, --apiserver URL, or \
         --manifests PATH for metrics without a cluster"
    )]
    NotInCluster(kube::config::InClusterError),
    #[error("cannot make a client for the API server: {0}")]
    Client(#[source] kube::Error),
}

/// A client for the API server that the options name, and where that is.
///
/// # Errors
///
/// Where the options, or the cluster this runs in, do not lead to one. The server itself is not
/// asked: it may come later.
pub(crate) async fn client(source: &Source) -> Result<(Client, String), ClusterError> {
    let mut config = match (&source.kubeconfig, &source.apiserver) {
        (Some(path), _) => {
            let wrong = |source| ClusterError::Kubeconfig {
                path: path.clone(),
                source,
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(wrong)?
        }
        (None, Some(apiserver)) => Config::new(apiserver.clone()),
        (None, None) => Config::incluster().map_err(ClusterError::NotInCluster)?,
    };
    if let Some(apiserver) = &source.apiserver {
        config.cluster_url = apiserver.clone();
    }
    let url = config.cluster_url.to_string();
    let client = Client::try_from(tuned(config)).map_err(ClusterError::Client)?;
    Ok((client, url))
}
