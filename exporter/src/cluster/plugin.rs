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
mod tests {
    use super::*;

    /// A plugin that runs a shell script. The script can use the environment variable `NAME`.
    fn plugin(script: &str) -> ExecConfig {
        serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", script], "env": [{ "name": "NAME", "value": "n" }],
        }))
        .unwrap()
    }

    async fn error_of(script: &str) -> String {
        let printed = run_within(&plugin(script), Duration::from_secs(60), &[]).await;
        printed.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_plugin_gets_its_environment_and_prints_json_or_yaml() {
        let json = r#"printf '{"status":{"token":"%s %s"}}' "$NAME" "$(echo "$KUBERNETES_EXEC_INFO" | tr -d '"')""#;
        let turn = Turn::default();
        let printed = run(&plugin(json), &turn).await.unwrap();
        assert!(printed.credentials.certificate.is_none());
        assert_eq!(
            printed.credentials.token.unwrap().expose_secret(),
            "n {apiVersion:client.authentication.k8s.io/v1,kind:ExecCredential,spec:{interactive:false}}"
        );
        let yaml = "printf 'status:\\n  token: t\\n  clientCertificateData: c\\n  clientKeyData: k\\n  \
                    expirationTimestamp: 2030-01-01T00:00:00Z\\n'";
        let printed = run(&plugin(yaml), &turn).await.unwrap();
        let (certificate, key) = printed.credentials.certificate.unwrap();
        assert_eq!((&*certificate, key.expose_secret()), ("c", "k"));
        assert_eq!(printed.credentials.token.unwrap().expose_secret(), "t");
        assert_eq!(printed.expires.unwrap().to_string(), "2030-01-01T00:00:00Z");
    }

    #[tokio::test]
    async fn each_failure_names_the_plugin_and_quotes_no_output() {
        for (script, says) in [
            (
                "echo secret; echo first >&2; echo no luck >&2; exit 3",
                "failed with exit status: 3: no luck",
            ),
            ("exit 3", "failed with exit status: 3"),
            ("echo secret", "is not an ExecCredential"),
            ("echo '{\"secret\":1}'", "is not an ExecCredential"),
            (
                "echo '{\"kind\":\"Secret\",\"status\":{\"token\":\"secret\"}}'",
                "printed an object of another kind; it must print an ExecCredential",
            ),
            (
                "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":\"ExecCredential\",\
                 \"status\":{\"token\":\"secret\"}}'",
                "another apiVersion than `client.authentication.k8s.io/v1`",
            ),
            (
                "echo '{\"status\":{\"clientKeyData\":\"secret\"}}'",
                "neither a token",
            ),
            ("echo '{\"status\":{\"token\":\"\"}}'", "neither a token"),
            (
                "printf %s '{\"status\":{\"token\":\"secret\\n\"}}'",
                "invalid characters",
            ),
            (
                "echo '{\"status\":{\"token\":\"t\",\"expirationTimestamp\":\"secret\"}}'",
                "is not a time",
            ),
        ] {
            let error = error_of(script).await;
            assert!(error.contains("credential plugin `sh`"), "{error}");
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let mut missing = plugin("");
        missing.command = Some("/no/such/plugin".to_owned());
        missing.install_hint = Some("install it".to_owned());
        let error = run(&missing, &Turn::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("`/no/such/plugin`"), "{error}");
        assert!(error.ends_with("; install it"), "{error}");
    }

    #[tokio::test]
    async fn an_error_shows_no_secret_that_the_plugin_knows() {
        let plugin: ExecConfig = serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
            "args": ["-c", "echo no: \"$0\" \"$1\" $PASSWORD la''st-tok''en 01234567''89abcdef >&2; exit 1",
                     "argument", "--key=in-flag"],
            "env": [{ "name": "PASSWORD", "value": "hunter2" }],
        }))
        .unwrap();
        let last = [SecretString::from("last-token")];
        let printed = run_within(&plugin, Duration::from_secs(60), &last).await;
        let error = printed.unwrap_err().to_string();
        let says = "1: no: [hidden] --key=[hidden] [hidden] [hidden] [hidden]";
        assert!(error.ends_with(says), "{error}");
    }

    #[tokio::test]
    async fn an_error_shows_no_value_that_is_attached_to_a_flag() {
        for (arg, shown) in [
            ("-ts3cret-t0ken", "-[hidden]"),
            ("-ts3cret==", "-[hidden]"),
            ("-t=s3cret", "-[hidden]"),
            ("-ts3c", "-[hidden]"),
            ("-é\u{fc}bersecret", "-[hidden]"),
            ("-v", "-v"),
            ("--verbose", "--verbose"),
            ("--key=s3cret", "--key=[hidden]"),
        ] {
            let plugin: ExecConfig = serde_json::from_value(json!({
                "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
                "args": ["-c", "echo no: $0 >&2; exit 1", arg],
            }))
            .unwrap();
            let printed = run_within(&plugin, Duration::from_secs(60), &[]).await;
            let error = printed.unwrap_err().to_string();
            assert!(error.ends_with(&format!("1: no: {shown}")), "{error}");
        }
    }

    #[tokio::test]
    async fn an_error_shows_neither_the_last_key_nor_the_token_beside_it() {
        let line = "MIGHAgEAMBMGByqGSM-line-of-a-key";
        let key =
            format!("-----BEGIN PRIVATE KEY-----\\n{line}\\nQ2==\\n-----END PRIVATE KEY-----");
        let status = format!(
            r#"{{"status":{{"clientCertificateData":"c","clientKeyData":"{key}","token":"other-secret"}}}}"#
        );
        let printing = plugin(&format!("printf %s '{status}'"));
        let printed = run_within(&printing, Duration::from_secs(60), &[]).await;
        // The arguments of this plugin do not contain the secrets.
        let secrets = secrets(&plugin(""), &printed.unwrap().secrets);
        for (text, shown) in [
            (line, "[hidden]"),
            (&line[4..24], "[hidden]"),
            (&format!("{line}\nQ2=="), "[hidden]"),
            ("other-secret", "[hidden]"),
            ("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert_eq!(secrets.message(text), shown);
        }
    }

    #[tokio::test]
    async fn an_output_without_an_end_is_read_as_far_as_the_limit() {
        let error = error_of("exec yes").await;
        assert!(
            error.ends_with("printed more than 1048576 bytes and was killed"),
            "{error}"
        );
        // The exporter reads the whole standard error, but keeps only its last bytes.
        let error = error_of("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1").await;
        assert!(error.len() < 2 * SHOWN, "{}", error.len());
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_killed_with_its_children() {
        let directory = std::env::temp_dir().join(format!("plugin-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("pids");
        let script = format!("sleep 1000 & echo $$ $! > {}; wait", file.display());
        let hanging = plugin(&script);
        let start = std::time::Instant::now();
        let error = run_within(&hanging, Duration::from_secs(2), &[])
            .await
            .unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(
            error.to_string().contains("within 2s and was killed"),
            "{error}"
        );
        let pids = std::fs::read_to_string(&file).unwrap();
        let mut pids: Vec<&str> = pids.split_whitespace().collect();
        assert_eq!(pids.len(), 2);
        // After a process is killed, it may exist as a zombie (`Z`) until its parent reads its exit status.
        while !pids.is_empty() {
            pids.retain(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                stat.is_ok_and(|stat| !stat.contains(") Z "))
            });
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{pids:?} still run"
            );
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn a_child_in_the_background_that_keeps_the_output_open_does_not_delay_the_credentials() {
        let script = "echo '{\"status\":{\"token\":\"t\"}}'; sleep 20 & exit 0";
        let start = std::time::Instant::now();
        let printed = run_within(&plugin(script), Duration::from_secs(60), &[]).await;
        assert!(printed.unwrap().credentials.token.is_some());
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn the_end_of_the_year_9999_is_no_expiry() {
        let time = "2030-01-01T00:00:00Z";
        assert_eq!(expiry(time), Some(time.parse().ok()));
        assert_eq!(expiry("9999-12-31T23:59:59Z"), Some(None));
        for wrong in ["", "soon", "2030-13-01T00:00:00Z", "9999-99-99T00:00:00Z"] {
            assert_eq!(expiry(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_program_of_a_command_with_arguments_is_shown() {
        let directory = std::env::temp_dir().join(format!("plugin name {}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join("log in");
        std::fs::write(&program, "").unwrap();
        let shown = |command: &str| {
            let command = Some(command.to_owned());
            name(&ExecConfig {
                command,
                ..plugin("")
            })
        };
        assert_eq!(shown("get-token"), "get-token");
        assert_eq!(shown("sh -c secret"), "sh");
        assert_eq!(shown("./get-token\t--secret s"), "./get-token");
        assert_eq!(shown(" "), " ");
        let program = program.to_str().unwrap();
        assert_eq!(shown(program), program);
        assert!(!shown(&format!("{program} secret")).contains("secret"));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn other_credentials_take_precedence() {
        let mut user = AuthInfo {
            exec: Some(plugin("")),
            ..AuthInfo::default()
        };
        assert!(in_use(&user).is_some());
        user.token = Some("t".into());
        assert!(in_use(&user).is_none());
    }
}
