//! The protections of the ports: the web configuration file and the filter of tokens.

use std::sync::Arc;

use prometheus_web_config::WebConfigFile;

use crate::auth::AuthFilter;
use crate::cluster::{self, ClusterError, ServerInUse};
use crate::commands::output::AnyError;
use crate::options::ServerOptions;
use crate::reload::{Configuration, web_config};
use crate::telemetry::Telemetry;

/// Opens the web configuration file that the options name.
pub(super) fn web_file(
    options: &ServerOptions,
    in_use: Option<&WebConfigFile>,
    telemetry: &Telemetry,
) -> Result<Option<Arc<WebConfigFile>>, AnyError> {
    let open = |path| web_config::open(path, in_use, telemetry);
    let web = options.tls_config.as_deref().map(open).transpose()?;
    if options.auth_filter
        && web
            .as_ref()
            .is_some_and(|web| web.in_use().requires_password())
    {
        // The token and the password use the same header, `Authorization`. A request has only one such header, so it
        // cannot send both.
        return Err(
            "--auth-filter and the basic_auth_users of --tls-config cannot be combined, because no \
             request can have a token and a password; remove one of them"
                .into(),
        );
    }
    Ok(web.map(Arc::new))
}

/// Whether the token filter and its cached verdicts stay valid with the new configuration.
pub(super) fn keeps_auth(old: &Configuration, new: &Configuration, is_other_server: bool) -> bool {
    let (before, after) = (&old.options.server, &new.options.server);
    before.auth_filter == after.auth_filter
        && before.auth_limits == after.auth_limits
        && old.has_same_source(new, is_other_server)
}

pub(super) async fn auth(
    configuration: &Configuration,
    server: &ServerInUse,
) -> Result<Option<AuthFilter>, AnyError> {
    if !configuration.options.server.auth_filter {
        return Ok(None);
    }
    let client = cluster::client(&configuration.options.source, server).await;
    let (client, url) = client.map_err(|error| match error {
        // The error would advise to give --manifests.
        ClusterError::NotInCluster(_) if !configuration.options.source.manifests.is_empty() => {
            "--auth-filter needs an API server that reviews the tokens, and --manifests names none; give --kubeconfig \
             FILE or --apiserver URL for the reviews, or remove --auth-filter (in the options file, `auth_filter`)"
                .to_owned()
        }
        error => format!("--auth-filter needs an API server: {error}"),
    })?;
    if url.starts_with("http://") {
        tracing::warn!(
            "--auth-filter sends the tokens of clients to {url} without encryption; use an https:// URL"
        );
    }
    let limits = configuration.options.server.auth_limits;
    Ok(Some(AuthFilter::new(client, limits)))
}
