//! Client certificates that a credential plugin prints. kube handles only the tokens of plugins.

use std::process::{Command, Stdio};

use k8s_openapi::jiff::Timestamp;
use kube::client::AuthError;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

/// The part of a plugin's output that concerns a certificate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginCertificate {
    /// The certificate and the key as PEM.
    pub(super) client_certificate_data: String,
    pub(super) client_key_data: String,
    #[serde(rename = "expirationTimestamp")]
    pub(super) expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<PluginCertificate>,
}

// === impl PluginCertificate ===

impl PluginCertificate {
    /// Runs a plugin that prints no token, and waits until it exits.
    ///
    /// # Errors
    ///
    /// If the plugin cannot be started or fails, or prints no certificate and key.
    pub(super) fn obtain(plugin: &ExecConfig) -> Result<Self, AuthError> {
        let name = plugin.command.as_ref().ok_or(AuthError::MissingCommand)?;
        let mut command = Command::new(name);
        command.args(plugin.args.iter().flatten());
        for variable in plugin.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        let interactive = plugin.interactive_mode != Some(ExecInteractiveMode::Never);
        if interactive {
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            command.stdin(Stdio::piped());
        }
        let mut spec = json!({ "interactive": interactive });
        if plugin.provide_cluster_info {
            let cluster = plugin.cluster.as_ref();
            spec["cluster"] = json!(cluster.ok_or(AuthError::ExecMissingClusterInfo)?);
        }
        let info =
            json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec });
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        let out = command.output().map_err(AuthError::AuthExecStart)?;
        if !out.status.success() {
            let (cmd, out) = (name.clone(), Box::new(out));
            return Err(AuthError::AuthExecRun { cmd, out });
        }
        // The output may be secret, and serde's errors quote texts that have the wrong type. So the error has only the
        // position in the output.
        let printed: ExecCredential = serde_json::from_slice(&out.stdout).map_err(|error| {
            AuthError::AuthExec(format!(
                "the credential plugin {name} printed neither a token nor a certificate and key; its output \
                 is wrong at line {} column {}",
                error.line(),
                error.column(),
            ))
        })?;
        printed.status.ok_or(AuthError::ExecPluginFailed)
    }
}
