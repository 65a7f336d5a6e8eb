//! Runs credential plugins (`exec` in a kubeconfig).
//!
//! The exporter does not let kube run plugins, because kube sets no limits. kube reads output of any length into
//! memory, and waits forever for a plugin that hangs. When the exporter stops waiting, kube does not kill the plugin.
//! So each renewal of the credentials would add a process that hangs. The exporter runs one plugin at a time for each
//! API server, and limits the duration and the output of the plugin. The exporter follows these rules of kube:
//!
//! - The environment of a plugin contains the variable `KUBERNETES_EXEC_INFO`.
//! - An interactive plugin inherits standard input and standard error.
//!
//! Unlike kube, and like client-go, the exporter uses both the token and the certificate of a plugin.

mod process;
mod turn;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::temporal::Pieces;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use kube_state_metrics::source::watch::without_tokens;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use process::{Output, Process, Unread};

use crate::redaction::{SHORTEST, Secrets};

pub(crate) use process::kill_running;
pub(super) use turn::Turn;

/// Maximum time for which a plugin runs.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of bytes that a plugin prints.
const OUTPUT_LIMIT: usize = 1 << 20;
/// Maximum length of a plugin's text in an error message, in characters. The text is the plugin's standard error or its
/// install hint.
const SHOWN: usize = 1 << 10;
/// The hint for a command that seems to contain arguments.
const HIDDEN_ARGUMENTS: &str = "the command contains spaces, and the text after the first space is hidden; write \
                                arguments to `args`";
/// A part of a secret is hidden if it has at least this number of bytes. Common words are shorter.
const PART: usize = 16;

/// What a plugin printed.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) credentials: Credentials,
    pub(super) expires: Option<Timestamp>,
    /// The token and the key of the certificate, even if the key has no certificate.
    secrets: Vec<SecretString>,
}

/// The credentials of a plugin: a token, a certificate, or both.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) token: Option<SecretString>,
    /// A certificate and its key as PEM.
    pub(super) certificate: Option<(String, SecretString)>,
}

/// The reason why a plugin provides no credentials. The messages contain no part of the standard output of the plugin,
/// because the output may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    #[error("the user of the kubeconfig has a credential plugin (exec) without a command")]
    NoCommand,
    #[error(
        "the credential plugin `{0}` needs the cluster (provideClusterInfo), but the context has none"
    )]
    NoCluster(String),
    #[error("cannot start the credential plugin `{name}`: {source}; check command and PATH{hint}")]
    Start {
        name: String,
        source: io::Error,
        hint: String,
    },
    #[error("cannot read what the credential plugin `{name}` prints: {source}")]
    Read { name: String, source: io::Error },
    #[error(
        "the credential plugin `{name}` printed no credentials within {timeout:?} and was killed; run it by hand to \
         see what it waits for"
    )]
    Timeout { name: String, timeout: Duration },
    #[error("the credential plugin `{name}` printed more than {limit} bytes and was killed")]
    TooMuch { name: String, limit: usize },
    #[error("the credential plugin `{name}` failed with {status}{said}")]
    Failed {
        name: String,
        status: ExitStatus,
        said: String,
    },
    #[error("the output of the credential plugin `{0}` is not an ExecCredential with a status")]
    Malformed(String),
    #[error(
        "the credential plugin `{0}` printed an object of another kind; it must print an ExecCredential"
    )]
    OtherKind(String),
    #[error(
        "the credential plugin `{name}` printed an ExecCredential of another apiVersion than `{expected}`; set the \
         apiVersion of the plugin in the kubeconfig"
    )]
    OtherVersion { name: String, expected: String },
    #[error("the credential plugin `{0}` printed neither a token nor a certificate and key")]
    Empty(String),
    #[error(
        "the credential plugin `{0}` printed a token with invalid characters, such as a line break"
    )]
    InvalidToken(String),
    #[error("the expirationTimestamp of the credential plugin `{0}` is not a time in RFC 3339")]
    InvalidExpiry(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// The settings of a plugin, for comparisons. The settings are `None` if the user has no plugin.
#[derive(PartialEq)]
pub(super) struct PluginKey(Option<serde_json::Value>);

/// A lock for plugins that read from the terminal. Without this lock, a user could not know which plugin asks.
static TERMINAL: Mutex<()> = Mutex::const_new(());
/// The secrets that the last plugins have printed. The next error of a plugin may contain these secrets, and the
/// exporter hides them.
static LAST: parking_lot::Mutex<VecDeque<Vec<SecretString>>> =
    parking_lot::Mutex::new(VecDeque::new());
/// The number of outputs in [`LAST`].
const KEPT_OUTPUTS: usize = 4;

/// The plugin that provides the credentials of a user. As in kube, the plugin is not used if the user has other
/// credentials.
pub(super) fn in_use(user: &AuthInfo) -> Option<&ExecConfig> {
    let has_password = user.username.is_some() && user.password.is_some();
    let has_token = user.token.is_some() || user.token_file.is_some();
    let is_in_use = user.auth_provider.is_none() && !has_password && !has_token;
    user.exec.as_ref().filter(|_| is_in_use)
}

/// The name of a plugin, for messages.
pub(super) fn name(plugin: &ExecConfig) -> String {
    let command = plugin.command.as_deref().unwrap_or_default();
    let shown = program_of(command).unwrap_or(command);
    config_file::shown_path(Path::new(shown)).into_owned()
}

/// The first word of a command if the command seems to contain arguments, which may be secrets. Otherwise `None`: the
/// command has no whitespace, or names a program with whitespace in its path.
fn program_of(command: &str) -> Option<&str> {
    let word = command.split_whitespace().next()?;
    (word != command && !is_file(Path::new(command))).then_some(word)
}

/// Whether a command is a file. As in the operating system, a command without a separator is searched in `PATH`.
fn is_file(command: &Path) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let has_directory = command.components().count() > 1;
    let mut paths = std::env::split_paths(&directories).map(|directory| directory.join(command));
    match has_directory {
        true => command.is_file(),
        false => paths.any(|path| path.is_file()),
    }
}

/// Waits until no other plugin with this `turn` is running, and runs a plugin. If the future is dropped, the plugin is
/// killed.
///
/// # Errors
///
/// The function fails if the plugin cannot be started, fails, takes longer than [`TIMEOUT`], prints too much, or prints
/// no credentials.
pub(super) async fn run(plugin: &ExecConfig, turn: &Turn) -> Result<Printed, PluginError> {
    let _running = turn.take(name(plugin)).await;
    let has_terminal = is_interactive(plugin) && io::stdin().is_terminal();
    let _terminal = match has_terminal {
        true => Some(TERMINAL.lock().await),
        false => None,
    };
    let last: Vec<_> = LAST.lock().iter().flatten().cloned().collect();
    let printed = run_within(plugin, TIMEOUT, &last).await?;
    let mut last = LAST.lock();
    last.push_back(printed.secrets.clone());
    let excess = last.len().saturating_sub(KEPT_OUTPUTS);
    last.drain(..excess);
    Ok(printed)
}

/// Whether the plugin may read from standard input.
fn is_interactive(plugin: &ExecConfig) -> bool {
    plugin.interactive_mode != Some(ExecInteractiveMode::Never)
}

/// Runs a plugin for at most `timeout`. If the plugin fails, the error does not show the secrets in `last`.
async fn run_within(
    plugin: &ExecConfig,
    timeout: Duration,
    last: &[SecretString],
) -> Result<Printed, PluginError> {
    let command = command(plugin)?;
    let name = name(plugin);
    let process = Process::start(command).map_err(|source| PluginError::Start {
        name: name.clone(),
        source,
        hint: {
            let command = plugin.command.as_deref().unwrap_or_default();
            let hidden = program_of(command).map(|_| HIDDEN_ARGUMENTS.to_owned());
            let hint = plugin.install_hint.as_deref().map(shortened);
            let hints = hidden.into_iter().chain(hint);
            hints.map(|hint| format!("; {hint}")).collect()
        },
    })?;
    let output = tokio::time::timeout(timeout, process.output(OUTPUT_LIMIT)).await;
    match output {
        Err(_) => Err(PluginError::Timeout { name, timeout }),
        Ok(Err(Unread::Failed(source))) => Err(PluginError::Read { name, source }),
        Ok(Err(Unread::TooMuch)) => Err(PluginError::TooMuch {
            name,
            limit: OUTPUT_LIMIT,
        }),
        Ok(Ok(output)) if !output.status.success() => {
            Err(failed(&output, name, &secrets(plugin, last)))
        }
        Ok(Ok(output)) => Printed::of(output, name, plugin.api_version.as_deref()),
    }
}

/// The command of a plugin, with its environment.
fn command(plugin: &ExecConfig) -> Result<Command, PluginError> {
    let name = plugin.command.as_ref().ok_or(PluginError::NoCommand)?;
    let mut command = Command::new(name);
    command.args(plugin.args.iter().flatten());
    for variable in plugin.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let interactive = is_interactive(plugin);
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let mut spec = json!({ "interactive": interactive });
    if plugin.provide_cluster_info {
        let cluster = plugin.cluster.as_ref();
        spec["cluster"] = json!(cluster.ok_or_else(|| PluginError::NoCluster(self::name(plugin)))?);
    }
    let info = json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec });
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    for variable in plugin.drop_env.iter().flatten() {
        command.env_remove(variable);
    }
    Ok(command)
}

/// The time of an `expirationTimestamp`; `None` if the text is not a time. For credentials that do not expire, plugins
/// print the end of the year 9999. `jiff` cannot represent every time of this year. For a time that it cannot
/// represent, the result is `Some(None)`: no expiry.
fn expiry(text: &str) -> Option<Option<Timestamp>> {
    match text.parse() {
        Ok(time) => Some(Some(time)),
        Err(_) => {
            let date = Pieces::parse(text).ok()?.date();
            (date.year() == 9999).then_some(None)
        }
    }
}

/// The secrets that the standard error of a plugin may contain: the values that the kubeconfig passes to the plugin,
/// and the last token and key of a plugin.
fn secrets(plugin: &ExecConfig, last: &[SecretString]) -> Secrets {
    let variables = plugin.env.iter().flatten();
    let values = variables.filter_map(|variable| variable.get("value").map(String::as_str));
    let args = plugin.args.iter().flatten().flat_map(|arg| values_of(arg));
    let mut secrets = Secrets::default();
    for secret in values.chain(args) {
        secrets.add_token(secret, PART);
    }
    for secret in last {
        secrets.add_token(&without_armor(secret.expose_secret()), PART);
    }
    secrets
}

/// The texts in an argument that may be secrets. The names of flags with two hyphens are no secrets. A flag with one
/// hyphen may have its value directly after its letter (`-tVALUE`), so the name of such a flag may be hidden, too.
fn values_of(arg: &str) -> impl Iterator<Item = &str> {
    let flag = arg.strip_prefix('-');
    let value = flag.and_then(|flag| Some(flag.split_once('=')?.1));
    let short = flag.filter(|flag| !flag.starts_with('-'));
    let attached = short.and_then(|flag| flag.get(flag.chars().next()?.len_utf8()..));
    // A short value is hidden only as a word, and the letter of the flag belongs to the same word.
    let word = short.filter(|_| attached.is_some_and(|value| value.len() >= SHORTEST));
    let whole = flag.is_none().then_some(arg);
    [whole, value, attached, word].into_iter().flatten()
}

/// A key without the first and the last line of its PEM, which are no secrets, and without line breaks. A text that is
/// not PEM stays the same.
fn without_armor(secret: &str) -> String {
    if !secret.contains("-----BEGIN ") {
        return secret.to_owned();
    }
    let sections = secret.split("-----");
    let contents = sections.filter(|own| !own.starts_with("BEGIN ") && !own.starts_with("END "));
    contents.flat_map(str::split_whitespace).collect()
}

/// The error for a plugin that failed. The error shows the last line of the standard error of the plugin, without
/// `secrets` and without words that may be tokens.
fn failed(output: &Output, name: String, secrets: &Secrets) -> PluginError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim_end().lines().last().unwrap_or_default();
    PluginError::Failed {
        name,
        status: output.status,
        said: match said {
            "" => String::new(),
            said => format!(": {}", shortened(&without_tokens(&secrets.message(said)))),
        },
    }
}

/// The first [`SHOWN`] characters of a text.
fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

// === impl PluginKey ===

impl PluginKey {
    pub(super) fn of(user: &AuthInfo) -> Self {
        in_use(user).map_or(Self(None), Self::from)
    }
}

impl From<&ExecConfig> for PluginKey {
    fn from(plugin: &ExecConfig) -> Self {
        Self(serde_json::to_value(plugin).ok())
    }
}

// === impl Printed ===

impl Printed {
    /// Reads what a plugin has printed. `api_version` is the API version of the plugin in the kubeconfig.
    fn of(output: Output, name: String, api_version: Option<&str>) -> Result<Self, PluginError> {
        // As in kube, the output may be YAML or JSON. The error does not contain the message of the parser, because
        // this message quotes the output.
        let Ok(printed) = serde_saphyr::from_slice::<ExecCredential>(&output.stdout) else {
            return Err(PluginError::Malformed(name));
        };
        // As in kubectl, the kind and the API version must match. As in kube, they may be missing.
        if printed.kind.is_some_and(|kind| kind != "ExecCredential") {
            return Err(PluginError::OtherKind(name));
        }
        if let Some((printed, expected)) = printed.api_version.as_deref().zip(api_version)
            && printed != expected
        {
            let expected = expected.to_owned();
            return Err(PluginError::OtherVersion { name, expected });
        }
        let Some(status) = printed.status else {
            return Err(PluginError::Malformed(name));
        };
        let expires = match status.expiration_timestamp.as_deref().map(expiry) {
            Some(Some(expires)) => expires,
            Some(None) => return Err(PluginError::InvalidExpiry(name)),
            None => None,
        };
        // As in other clients, an empty text means that the value is absent.
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let (key, token) = (given(status.client_key_data), given(status.token));
        let secrets = key.iter().chain(&token).cloned();
        let secrets = secrets.map(SecretString::from).collect();
        let pair = given(status.client_certificate_data).zip(key);
        let credentials = match (&pair, &token) {
            // An HTTP header cannot contain this token.
            (_, Some(token)) if http::HeaderValue::from_str(token).is_err() => {
                return Err(PluginError::InvalidToken(name));
            }
            (None, None) => return Err(PluginError::Empty(name)),
            _ => Credentials {
                token: token.map(SecretString::from),
                certificate: pair.map(|(certificate, key)| (certificate, key.into())),
            },
        };
        Ok(Self {
            credentials,
            expires,
            secrets,
        })
    }
}

#[cfg(test)]
mod tests;
