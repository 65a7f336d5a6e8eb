//! Runs the servers: startup, changes of the configuration, and shutdown.

mod awaited_files;
mod protections;
mod shard_removal;
mod signals;
mod worker_threads;

use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bounded_http::Listener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::introduction;
use super::output::AnyError;
use crate::app_state::{AppState, Ports};
use crate::cluster::{self, ServerInUse};
use crate::descriptors::warn_of_low_limit;
use crate::election::{Candidate, RunningElection};
use crate::file_watcher::{FileWatcher, ReloadPace};
use crate::humanize::without_digits;
use crate::instance::{Instance, InstanceError};
use crate::logging::{self, LogLevel};
use crate::options::{Address, DebugAccess, Flags, LogOptions};
use crate::reload::{
    Configuration, ConfigurationError, Patience, Retry, wait_for_coverage, wait_for_manifests,
    web_config,
};
use crate::routes;
use crate::server::{AddressFlags, CurrentProtection, Protection, Server, listen};
use crate::telemetry::{Changed, Telemetry};

use awaited_files::{any_appears, missing_files};
use protections::{auth, keeps_auth, web_file};
use shard_removal::hand_over_shard;
use signals::Signals;

/// Maximum time that the exporter waits for responses in progress after a shutdown signal.
const DRAIN: Duration = Duration::from_secs(15);
/// Maximum time that a leader waits after a shutdown signal until a standby accepts the hand-over. During this time,
/// the leader still serves metrics. This time and [`DRAIN`] together are shorter than the usual grace period of a pod
/// (30 s).
const HAND_OVER: Duration = Duration::from_secs(10);
/// If manifests take longer than this to load, the exporter logs its addresses before all objects are loaded.
const SLOW_READING: Duration = Duration::from_secs(2);

/// The running program.
struct Program {
    flags: Flags,
    configuration: Arc<Configuration>,
    /// The API server of this configuration.
    server: ServerInUse,
    app: Arc<AppState>,
    main: Server,
    telemetry: Server,
    /// The election of a leader; `None` without `--ha`.
    election: Option<RunningElection>,
    /// The task that waits until the objects have arrived, and then logs the size of the exposition.
    announcing: Option<JoinHandle<()>>,
    /// The files that the last configuration requires, but that did not exist, so that the exporter refused the
    /// configuration.
    awaited: Vec<PathBuf>,
    /// When the exporter tries the last refused configuration again.
    retry: Retry,
    /// The last refusal in the log, without its digits.
    logged_refusal: String,
}

/// Serves until a signal arrives.
///
/// # Errors
///
/// The function fails if the options are invalid, or if a port cannot be opened.
pub(crate) fn run(flags: Flags) -> Result<(), AnyError> {
    let telemetry = Telemetry::new()?;
    let log_level = logging::start_queued(LogOptions::of(&flags), &telemetry.dropped_log_lines)?;
    let runtime = worker_threads::runtime()?;
    let served = runtime.block_on(serve(flags, telemetry, log_level));
    // Usually, a plugin is killed when its task is dropped. The exporter ends without dropping the tasks, so this call
    // kills a running plugin.
    cluster::kill_running_plugin();
    // This call does not wait for threads that still read files, such as manifests. So such threads do not delay the
    // shutdown.
    runtime.shutdown_background();
    served
}

async fn serve(flags: Flags, telemetry: Telemetry, log_level: LogLevel) -> Result<(), AnyError> {
    let mut signals = Signals::new()?;
    worker_threads::check().await?;
    let (mut file_watcher, configuration) = tokio::select! {
        read = read(&flags, None) => read?,
        () = signals.received() => return Ok(()),
    };
    // The startup may wait for a credential plugin. A signal must end this wait.
    let mut program = tokio::select! {
        started = Program::start(flags, configuration?, telemetry, log_level) => started?,
        () = signals.received() => return Ok(()),
    };
    program.announce();
    let mut pace = ReloadPace::new();
    'serving: loop {
        tokio::select! {
            () = signals.received() => break,
            () = file_watcher.changed() => program.retry.reset(),
            () = any_appears(&program.awaited) => program.retry.reset(),
            () = program.retry.due() => {}
        }
        loop {
            tokio::select! {
                () = signals.received() => break 'serving,
                () = pace.wait() => {}
            }
            let start = Instant::now();
            let configuration;
            (file_watcher, configuration) = tokio::select! {
                read = read(&program.flags, Some(&program.configuration)) => read?,
                () = signals.received() => break 'serving,
            };
            pace.record(start);
            tokio::select! {
                () = signals.received() => break 'serving,
                () = program.reload(configuration) => break,
                // If the files change again before the reload is complete, the reload starts again.
                () = file_watcher.changed() => program.retry.reset(),
            }
        }
    }
    let Program {
        app,
        configuration,
        main,
        telemetry,
        election,
        ..
    } = program;
    let drained = async {
        if let Some(mut election) = election {
            tracing::info!(
                "shutdown signal received; a leader waits up to {HAND_OVER:?} for a standby"
            );
            election.leave(HAND_OVER).await;
        } else if configuration.options.source.pod.is_some() {
            tracing::info!(
                "shutdown signal received; a shard that its StatefulSet removes waits up to {HAND_OVER:?} for the \
                 other shards"
            );
            let _ = timeout(HAND_OVER, hand_over_shard(&app)).await;
        }
        tracing::info!(
            "shutdown signal received; waiting up to {DRAIN:?} for responses in progress"
        );
        tokio::join!(main.drain(DRAIN), telemetry.drain(DRAIN))
    };
    tokio::select! {
        _ = drained => {}
        () = signals.received() => tracing::warn!("second shutdown signal received; stopping immediately"),
    }
    Ok(())
}

/// Reads the configuration on a separate thread, so that a signal can stop the program during the read.
async fn read(
    flags: &Flags,
    running: Option<&Arc<Configuration>>,
) -> Result<(FileWatcher, Result<Configuration, ConfigurationError>), AnyError> {
    let (flags, running) = (flags.clone(), running.cloned());
    let read = tokio::task::spawn_blocking(move || Configuration::read(&flags, running.as_deref()));
    Ok(read.await?)
}

// === impl Program ===

impl Program {
    async fn start(
        flags: Flags,
        configuration: Configuration,
        telemetry: Telemetry,
        log_level: LogLevel,
    ) -> Result<Self, AnyError> {
        let options = &configuration.options;
        // The code detects errors of the configuration before it opens a port.
        let web = web_file(&options.server, None, &telemetry)?;
        warn_of_low_limit(options.server.limits.connections);
        let server = ServerInUse::default();
        let auth = auth(&configuration, &server).await?;
        let candidate = match &options.high_availability {
            Some(high_availability) => {
                Some(Candidate::new(high_availability, &options.source, &server).await?)
            }
            None => None,
        };
        let main = listen(AddressFlags::MAIN, &options.server.main).await?;
        let own = listen(AddressFlags::TELEMETRY, &options.server.telemetry).await?;
        let leadership = candidate.as_ref().map(Candidate::leadership);
        let (metrics, source) = (options.metrics.clone(), options.source.clone());
        let instance = Instance::start(metrics, source, &server, leadership.clone(), None).await?;
        configuration.record_use(None, &telemetry);
        web_config::record_use(None, web.as_deref(), &telemetry);
        let protection = CurrentProtection::new(Protection {
            web,
            auth,
            debug: options.server.debug,
        });
        let limits = options.server.limits;
        let instance = Arc::new(instance);
        let app = Arc::new(AppState::new(
            instance,
            protection.clone(),
            leadership,
            telemetry,
            log_level,
            Ports {
                main: main.local_addr().port(),
                telemetry: own.local_addr().port(),
            },
        ));
        let servers = &app.telemetry.servers;
        let election = candidate.map(|candidate| {
            let app = Arc::clone(&app);
            candidate.start(move || app.instance().exported())
        });
        Ok(Self {
            election,
            main: Server::start(
                "metrics",
                main,
                routes::main_port(&app),
                &limits,
                protection.clone(),
                servers,
            ),
            telemetry: Server::start(
                "telemetry",
                own,
                routes::telemetry_port(&app),
                &limits,
                protection,
                servers,
            ),
            flags,
            configuration: Arc::new(configuration),
            server,
            app,
            announcing: None,
            awaited: Vec::new(),
            retry: Retry::default(),
            logged_refusal: String::new(),
        })
    }

    /// Logs the source of the objects, and the resources that are disabled by default. When the objects have arrived,
    /// logs the size of the exposition and the addresses of the ports. For a cluster, and for manifests that take long
    /// to load, an earlier line also contains the addresses.
    fn announce(&mut self) {
        for line in introduction::lines(&self.configuration) {
            self.app.log_level.say(&line);
        }
        if !self.reads_manifests() {
            let source = self.app.instance().status().source;
            let line = format!("{source}; listening {}", self.place());
            self.app.log_level.say(&line);
        }
        self.announce_once_ready();
    }

    fn announce_once_ready(&mut self) {
        let (instance, place) = (self.app.instance(), self.place());
        let out = self.app.log_level.clone();
        let reads_manifests = self.reads_manifests();
        self.announcing = Some(tokio::spawn(async move {
            let announce = async {
                if reads_manifests && timeout(SLOW_READING, instance.ready()).await.is_err() {
                    out.say(&format!("loading manifests; listening {place}"));
                }
                instance.ready().await;
                let summary = instance.on_blocking_thread(Instance::summary).await;
                out.say(&format!("serving {summary} {place}"));
            };
            tokio::join!(announce, log_missing_rules(&instance));
        }));
    }

    fn reads_manifests(&self) -> bool {
        !self.configuration.options.source.manifests.is_empty()
    }

    /// The addresses of both ports.
    fn place(&self) -> String {
        let (main, telemetry) = (url(&self.main), url(&self.telemetry));
        format!("on {main}/metrics (open {main}/ in a browser), telemetry on {telemetry}/")
    }

    /// Lets the clients in use follow the settings of the API server in a new configuration, so that they renew changed
    /// credentials themselves. If the settings lead to another server, changes nothing and returns the reason.
    fn follow_server(&self, new: &Configuration) -> Option<String> {
        match self.configuration.server_to_compare(new) {
            Ok(Some(named)) => {
                let change = self.server.follow(&named)?;
                Some(format!("{change} in the kubeconfig has changed"))
            }
            Ok(None) => None,
            Err(reason) => Some(reason.to_owned()),
        }
    }

    /// Returns an error if the new configuration leads to another Lease. With another Lease, this replica would take
    /// part in another election.
    fn refuse_other_lease(
        &self,
        new: &Configuration,
        server_change: Option<&str>,
    ) -> Result<(), AnyError> {
        let before = &self.configuration.options.high_availability;
        if before.is_none() {
            return Ok(());
        }
        let reason = match *before == new.options.high_availability {
            true => server_change,
            false => Some("an option of the election or of the shard has changed"),
        };
        let Some(reason) = reason else {
            return Ok(());
        };
        let problem = format!(
            "with --ha, the shard and the API server cannot change at run time, because they determine the Lease: \
             {reason}; undo the change, or restart the exporter"
        );
        Err(problem.into())
    }

    /// Replaces the running configuration by a new configuration, which is the argument `read`. If the new
    /// configuration is invalid, logs the reason and keeps the running configuration. During the reload, the exporter
    /// serves scrapes.
    ///
    /// If the future is dropped before it is complete, the running configuration stays in use.
    async fn reload(&mut self, read: Result<Configuration, ConfigurationError>) {
        // The old configuration stays in use until this function returns. Until then, the metrics show that the changed
        // files are not in use.
        self.configuration.record_changes(&self.app.telemetry);
        let mut missing = None;
        let was_read = read.is_ok();
        let applied = match read {
            Ok(configuration) => {
                missing = missing_files(configuration.required_files()).await;
                self.apply(configuration).await
            }
            Err(error) => Err(error.into()),
        };
        self.awaited = missing.filter(|_| applied.is_err()).unwrap_or_default();
        match applied {
            Ok(()) => {
                self.retry.reset();
                self.app.telemetry.refusals.used(Changed::Options);
                let instance = self.app.instance();
                // A separate task logs the summary. Otherwise this future could be dropped after the new configuration
                // is in use.
                tokio::spawn(async move {
                    let summary = instance.on_blocking_thread(Instance::summary).await;
                    tracing::info!("configuration reloaded: {summary}");
                });
            }
            Err(error) => {
                let refusals = &self.app.telemetry.refusals;
                let (text, is_repeated) = (error.to_string(), self.retry.is_repeated());
                let cause = without_digits(&text);
                // The log shows a repeated refusal only if its reason differs.
                if !is_repeated || cause != self.logged_refusal {
                    tracing::error!("the changed configuration is not used: {text}");
                    self.logged_refusal = cause;
                }
                match is_repeated {
                    true => refusals.refused_again(Changed::Options, text),
                    false => refusals.refused(Changed::Options, text),
                }
                // The watched files determine whether the options are valid. Other reasons may pass without a change of
                // these files.
                if was_read && !is_build_error(&error) {
                    self.retry.plan();
                } else {
                    self.retry.reset();
                }
            }
        }
    }

    async fn apply(&mut self, new: Configuration) -> Result<(), AnyError> {
        let (old, options) = (&self.configuration.options.server, &new.options);
        let server_change = self.follow_server(&new);
        self.refuse_other_lease(&new, server_change.as_deref())?;
        let is_other_server = server_change.is_some();
        let keeps_instance = self.configuration.has_same_instance(&new, is_other_server);
        let server = match is_other_server {
            true => ServerInUse::replacement(),
            false => self.server.clone(),
        };
        let before = self.app.protection.get();
        let web = web_file(&options.server, before.web.as_deref(), &self.app.telemetry)?;
        web_config::refuse_to_weaken(
            (before.web.as_deref(), before.auth.is_some()),
            (web.as_deref(), options.server.auth_filter),
        )?;
        let auth = if keeps_auth(&self.configuration, &new, is_other_server) {
            before.auth.clone()
        } else {
            auth(&new, &server).await?
        };
        let ports = [&self.main, &self.telemetry].map(|own| own.address().port());
        let main = moved(&old.main, AddressFlags::MAIN, &options.server.main, ports).await?;
        let telemetry = moved(
            &old.telemetry,
            AddressFlags::TELEMETRY,
            &options.server.telemetry,
            ports,
        )
        .await?;
        let instance = if keeps_instance {
            self.app.instance()
        } else {
            let old = self.app.instance();
            let (metrics, source) = (options.metrics.clone(), options.source.clone());
            let leadership = self.app.leadership.clone();
            let mut instance =
                Instance::start(metrics, source, &server, leadership, Some(&old)).await?;
            // The waits below may take long, for example while the API server does not answer. Protections must not wait.
            self.app.protection.set(Protection {
                web: web.clone(),
                // Until the new instance is in use, the API server of the old instance reviews the tokens.
                auth: before
                    .auth
                    .clone()
                    .filter(|_| auth.is_some())
                    .or_else(|| auth.clone()),
                debug: match options.server.debug {
                    DebugAccess::Local => DebugAccess::Local,
                    DebugAccess::Open => before.debug,
                },
            });
            // If the source is manifests, the new instance has no objects until it has read all manifests.
            instance.loaded().await;
            // The old instance serves scrapes until the new instance has all its objects. This wait has no timeout,
            // unless the old instance cannot reach its API server.
            let patience = Patience::new(is_other_server, options.source.readiness_deadline);
            let pending = self.app.telemetry.refusals.pending();
            wait_for_manifests(&instance, &pending).await;
            wait_for_coverage(&old, &instance, patience, &pending).await;
            instance.take_over(&old);
            Arc::new(instance)
        };
        // The steps after this line cannot fail, so the exporter never uses only a part of the new configuration.
        let protection = &self.app.protection;
        protection.set(Protection {
            web: web.clone(),
            auth,
            debug: options.server.debug,
        });
        let replaced = self.app.replace(instance);
        // Freeing the memory of many families takes time, and would block the other tasks of this thread.
        tokio::task::spawn_blocking(move || drop(replaced));
        let servers = &self.app.telemetry.servers;
        let limits = &options.server.limits;
        self.main.set_limits(limits);
        self.telemetry.set_limits(limits);
        if let Some(listener) = main {
            let router = routes::main_port(&self.app);
            let server = Server::start(
                "metrics",
                listener,
                router,
                limits,
                protection.clone(),
                servers,
            );
            tokio::spawn(std::mem::replace(&mut self.main, server).drain(DRAIN));
        }
        if let Some(listener) = telemetry {
            let router = routes::telemetry_port(&self.app);
            let server = Server::start(
                "telemetry",
                listener,
                router,
                limits,
                protection.clone(),
                servers,
            );
            tokio::spawn(std::mem::replace(&mut self.telemetry, server).drain(DRAIN));
        }
        self.app.set_ports(Ports {
            main: self.main.address().port(),
            telemetry: self.telemetry.address().port(),
        });
        new.record_use(Some(&self.configuration), &self.app.telemetry);
        web_config::record_use(before.web.as_deref(), web.as_deref(), &self.app.telemetry);
        self.configuration = Arc::new(new);
        self.server = server;
        let announcing = self.announcing.take();
        if let Some(announcing) = announcing.filter(|task| !task.is_finished()) {
            // The task waits until the old instance is ready. The old instance is no longer in use, so a new task must
            // wait for the new instance.
            announcing.abort();
            self.announce_once_ready();
        }
        Ok(())
    }
}

/// Whether the stores of a configuration cannot be built. Only the options determine this.
fn is_build_error(error: &AnyError) -> bool {
    matches!(error.downcast_ref(), Some(InstanceError::Build(_)))
}

/// Waits until each resource is synced or forbidden, and then logs the rules that the roles of the exporter lack.
async fn log_missing_rules(instance: &Arc<Instance>) {
    instance.settled().await;
    for rules in instance.on_blocking_thread(Instance::missing_rules).await {
        tracing::warn!("the API server forbids resources; {rules}");
    }
}

/// Opens a listener if the new address differs from the old address. `own` contains the ports on which the exporter
/// listens now.
async fn moved(
    old: &Address,
    flags: AddressFlags,
    new: &Address,
    own: [u16; 2],
) -> Result<Option<Listener>, AnyError> {
    if old == new {
        return Ok(None);
    }
    match listen(flags, new).await {
        Ok(listener) => Ok(Some(listener)),
        // The old listener stays open until the new one is open, so that the exporter answers at any time.
        Err(error) if own.contains(&new.port) && is_in_use(&error) => Err(format!(
            "{error}. The exporter itself listens on port {} now, and cannot change this at run time: restart the \
             exporter, or choose a port that it does not use",
            new.port
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error is that a socket already has the address.
fn is_in_use(error: &(dyn Error + 'static)) -> bool {
    let causes = successors(Some(error), |error: &&(dyn Error + 'static)| {
        (*error).source()
    });
    let mut causes = causes.filter_map(|error| error.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// The address of a server as a URL. If the server listens on all addresses, the host is `localhost`.
fn url(server: &Server) -> String {
    let address = server.address();
    let scheme = if server.is_tls() { "https" } else { "http" };
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) if ip == Ipv4Addr::LOCALHOST => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("{scheme}://{host}:{}", address.port())
}
