//! `rbac`: writes the roles that an exporter with these options needs, or shows which permissions are missing.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::health::FailureReason;
use kube_state_metrics::source::manifests::ManifestSource;
use kube_state_metrics::source::watch::failure_of_request;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::output::write;
use crate::cluster::{self, ClusterError};
use crate::humanize::visible_line;
use crate::logging;
use crate::options::{Flags, LogOptions, Options, first_messages};
use crate::rbac::{Account, CustomKinds, Permissions, review, served_kinds};
use crate::reload::{Configuration, ConfigurationError};

/// The maximum time for all requests of `--check` together.
const PATIENCE: Duration = Duration::from_secs(120);
/// The maximum size of a response to `--check`, in bytes. The largest responses are lists of the resources of an API
/// group.
const LARGEST_RESPONSE: usize = 16 << 20;
/// What to do about permissions with an evaluation error.
const EVALUATION_CURE: &str = "; an evaluation error has another cause than a missing rule: the API server could not \
                               evaluate all rules, for example because a binding names a missing role or an \
                               authorization webhook does not answer, so fix this cause first";

#[derive(Args, Debug)]
pub(crate) struct RbacArgs {
    /// Ask the API server which permissions the user of this program lacks, instead of writing roles
    #[arg(long)]
    check: bool,
    /// Name of the roles and of their bindings. If --pod does not name the StatefulSet, also the name of the
    /// StatefulSet
    #[arg(long, value_name = "NAME", default_value = "kube-state-metrics")]
    name: String,
    /// Service account to which the bindings grant the roles [default: kube-system/ and --name]
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service_account)]
    service_account: Option<(String, String)>,
    /// Files or directories with the CustomResourceDefinitions of the configured kinds; `-` is standard input. The
    /// command reads the plural names and the scopes of the kinds from these files
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    definitions: Vec<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// The reason why `rbac` fails: it cannot write roles, or permissions are missing.
#[derive(Debug, thiserror::Error)]
pub(super) enum RbacError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("--check needs an API server: {0}")]
    Cluster(#[from] ClusterError),
    #[error("--check: {reason}: {message}{cure}")]
    Review {
        reason: FailureReason,
        message: String,
        cure: &'static str,
    },
    #[error("--check was interrupted by a signal")]
    Interrupted,
    #[error(
        "--check: the API server does not answer all requests within {PATIENCE:?}; run the command again when the \
         API server has less load"
    )]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error(
        "{missing} of {total} permissions are missing; an administrator can grant them: run the same command \
         without --check and apply its output{}",
        if *has_errors { EVALUATION_CURE } else { "" }
    )]
    Missing {
        missing: usize,
        total: usize,
        /// Whether the API server could not evaluate all rules for one of the permissions.
        has_errors: bool,
    },
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
}

/// Writes roles or missing permissions to `out`, and notes to `err`.
///
/// # Errors
///
/// The function fails if the options are invalid, if the API server does not answer, or if permissions are missing.
pub(super) fn run(
    args: &RbacArgs,
    mut out: impl Write,
    mut err: impl Write,
) -> Result<(), RbacError> {
    logging::start(LogOptions::of(&args.flags));
    let (_, configuration) = Configuration::read(&args.flags, None);
    let options = configuration?.options;
    let (objects, problems) = ManifestSource::new(&args.definitions).objects();
    for problem in &problems {
        let problem = visible_line(problem.to_string());
        writeln!(err, "warning: --definitions: {problem}")?;
    }
    for warning in ignored_definitions(&objects) {
        writeln!(err, "warning: --definitions: {}", visible_line(warning))?;
    }
    let defined = KnownKind::of_objects(&objects);
    if args.check {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let checked = runtime.block_on(async {
            let (mut terminate, mut interrupt) = (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            );
            tokio::select! {
                checked = check(args, &options, defined, out) => checked,
                _ = terminate.recv() => Err(RbacError::Interrupted),
                _ = interrupt.recv() => Err(RbacError::Interrupted),
            }
        });
        // The end of the program stops the task of the client, and this task would kill the plugin.
        cluster::kill_running_plugin();
        return checked;
    }
    let kinds = CustomKinds::of(config(&options), &defined);
    for assumption in &kinds.assumptions {
        writeln!(err, "warning: {}", visible_line(assumption.to_string()))?;
    }
    let shards = options.metrics.shard.total();
    let has_leases = options.high_availability.is_some() && options.source.pod.is_some();
    if has_leases && shards == 1 {
        writeln!(
            err,
            "warning: with --ha and --pod, each shard has a Lease, and the role allows only the Lease of one shard; \
             set --total-shards to the maximum number of replicas of the StatefulSet"
        )?;
    }
    let account = args.account();
    let permissions = Permissions::of(&options, &kinds, &args.name, &account.namespace)?;
    if permissions.is_empty() {
        writeln!(
            err,
            "note: with these options, the exporter needs no permission"
        )?;
    }
    Ok(write(&mut out, account.manifests(&permissions).as_bytes())?)
}

async fn check(
    args: &RbacArgs,
    options: &Options,
    mut defined: Vec<KnownKind>,
    mut out: impl Write,
) -> Result<(), RbacError> {
    let (client, url) = cluster::patient_client(&options.source).await?;
    let client = cluster::bounded(client, LARGEST_RESPONSE);
    let reviewed = async {
        if let Some(config) = config(options) {
            defined.extend(served_kinds(&client, config).await?);
        }
        let kinds = CustomKinds::of(config(options), &defined);
        let permissions = Permissions::of(options, &kinds, &args.name, client.default_namespace())?;
        Ok::<_, RbacError>(review(&client, &permissions).await?)
    };
    let reviewed = timeout(PATIENCE, reviewed).await??;
    let mut text = String::new();
    for missing in &reviewed.missing {
        // The names of custom resources come from the API server, so they may contain characters that control a
        // terminal.
        text += &format!("missing: {}\n", visible_line(missing.clone()));
    }
    let (missing, total) = (reviewed.missing.len(), reviewed.total);
    if missing == 0 {
        text += &format!("{url} grants all {total} permissions\n");
    }
    write(&mut out, text.as_bytes())?;
    match missing {
        0 => Ok(()),
        missing => Err(RbacError::Missing {
            missing,
            total,
            has_errors: reviewed.has_errors,
        }),
    }
}

/// Returns a message for each CustomResourceDefinition that defines no kind.
fn ignored_definitions(objects: &[Value]) -> Vec<String> {
    let is_definition = |object: &&Value| {
        object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition")
    };
    let definitions = objects.iter().filter(is_definition);
    let ignored = definitions.filter_map(|definition| {
        let problem = KnownKind::definition_problem(definition)?;
        let name = definition.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or("without a name");
        Some(format!(
            "the CustomResourceDefinition {name} is ignored: {problem}"
        ))
    });
    let ignored: Vec<_> = ignored.collect();
    first_messages(ignored.into_iter(), "the CustomResourceDefinitions", "")
}

fn config(options: &Options) -> Option<&Config> {
    let configured = options.metrics.custom.config.as_ref()?;
    Some(&configured.config)
}

fn service_account(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("is not NAMESPACE/NAME, such as monitoring/kube-state-metrics".to_owned()),
    }
}

// === impl RbacError ===

impl From<kube::Error> for RbacError {
    /// Converts the error of a request. The reason and the message are the same as in the log of the exporter.
    fn from(error: kube::Error) -> Self {
        let (reason, message) = failure_of_request(&error);
        let cure = match reason {
            FailureReason::Unauthorized => "; check the credentials",
            FailureReason::Forbidden => {
                "; an administrator can allow the user to create selfsubjectaccessreviews and to read the API groups \
                 (ClusterRoles system:basic-user and system:discovery)"
            }
            FailureReason::Throttled | FailureReason::ServerError => {
                "; run the command again when the API server has less load"
            }
            // Messages about certificates already name the cure.
            FailureReason::Unreachable if message.contains("; ") => "",
            _ => {
                "; check the URL of the API server, and the proxies between this program and the API server"
            }
        };
        Self::Review {
            reason,
            message,
            cure,
        }
    }
}

// === impl RbacArgs ===

impl RbacArgs {
    fn account(&self) -> Account {
        let default = || ("kube-system".to_owned(), self.name.clone());
        let (namespace, name) = self.service_account.clone().unwrap_or_else(default);
        Account {
            role: self.name.clone(),
            namespace,
            name,
        }
    }
}
