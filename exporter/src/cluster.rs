//! The connection to the API server.

mod accepted;
mod access;
mod authority_bundle;
mod bounded;
mod connector;
mod identity;
mod informational;
mod kubeconfig;
mod own_secrets;
mod plugin;
mod provider;
mod proxy;
mod renewal;
mod server_in_use;
mod system_authorities;
mod tls;
mod transport;

use std::path::Path;
use std::time::Duration;

use access::Access;
use kube::Client;

use crate::options::SourceOptions;

pub(crate) use access::ClusterError;
pub(crate) use bounded::{bounded, check_status};
pub(crate) use identity::ServerIdentity;
pub(crate) use plugin::kill_running as kill_running_plugin;
pub(crate) use server_in_use::ServerInUse;
pub(crate) use system_authorities::check_system_authorities;

/// How long the exporter waits for a credential plugin before it starts its HTTP servers. Most plugins need less than
/// two seconds.
const STARTUP_WAIT: Duration = Duration::from_secs(3);

/// Creates a client for the API server that the options name. Returns the client and the URL of the server.
///
/// If `server` already contains a server, the options must lead to this server. Otherwise, the function records the
/// server in `server`.
///
/// Until the client is dropped, it renews its credentials in the following cases:
///
/// - A file with credentials changes.
/// - The credentials expire soon.
/// - The server has refused the credentials of a credential plugin.
///
/// If a credential plugin takes more than a few seconds, the client's requests fail until the plugin has printed
/// credentials.
///
/// # Errors
///
/// The function fails if neither the options nor the pod of the exporter name an API server, or if the credentials are
/// malformed. The function also fails if the options lead to another server than `server`. The function does not contact
/// the server, so the server may start later.
pub(crate) async fn client(
    options: &SourceOptions,
    server: &ServerInUse,
) -> Result<(Client, String), ClusterError> {
    renewal::client(access(options), server, STARTUP_WAIT).await
}

/// Creates a client like [`client`], but waits for a credential plugin until the plugin ends or its timeout expires.
///
/// # Errors
///
/// The function fails in the same cases as [`client`]. The function also fails if the plugin takes too long.
pub(crate) async fn patient_client(
    options: &SourceOptions,
) -> Result<(Client, String), ClusterError> {
    renewal::client(access(options), &ServerInUse::default(), Duration::MAX).await
}

fn access(options: &SourceOptions) -> Access {
    Access {
        kubeconfig: options.kubeconfig.clone(),
        apiserver: options.apiserver.clone(),
    }
}

/// Whether a kubeconfig sets the current context.
pub(crate) fn sets_context(content: &[u8]) -> bool {
    let text = config_file::text(content.to_vec()).ok();
    let kubeconfig = text.and_then(|text| kubeconfig::parse(Path::new(""), &text).ok());
    kubeconfig.is_some_and(|own| own.current_context.is_some())
}
