//! What the program is told to do: flags and options file together, checked before anything starts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube_state_metrics::filter::{AllowlistConfig, FilterError};
use kube_state_metrics::watch::ReadinessPolicy;
use kube_state_metrics::{BuildError, BuildProblem, BuiltIn, Shard, StateMetrics};

use crate::cli::{ContentFlags, Flags, IgnoredFlags, LogFlags, ServerFlags, SourceFlags};
use crate::config_file::{ConfigFile, Scalar};
use crate::values::{self, Timeout};

/// Everything the flags and the options file say, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) content: Content,
    pub(crate) source: Source,
    pub(crate) server: ServerOptions,
}

/// What is shown of the objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) resources: Vec<String>,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) opt_in: Vec<String>,
    pub(crate) labels: AllowlistConfig,
    pub(crate) annotations: AllowlistConfig,
    pub(crate) namespaces: Vec<String>,
    pub(crate) denied_namespaces: Vec<String>,
    pub(crate) shard: Shard,
    pub(crate) custom: CustomResources,
}

/// Where custom resource metrics are configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CustomResources {
    pub(crate) inline: Option<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) continue_without_file: bool,
    pub(crate) only: bool,
}

/// Where the objects come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    /// Files and directories; a cluster where there are none.
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) apiserver: Option<http::Uri>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) node: Option<String>,
    pub(crate) unscheduled_pods: bool,
    pub(crate) use_cache: bool,
    pub(crate) streaming_lists: bool,
    pub(crate) object_limit: u32,
    pub(crate) readiness: ReadinessPolicy,
    pub(crate) shard_handover: Duration,
    /// Namespace and name of the own pod.
    pub(crate) pod: Option<(String, String)>,
}

/// How the answers are served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerOptions {
    pub(crate) main: Address,
    pub(crate) telemetry: Address,
    pub(crate) tls_config: Option<PathBuf>,
    pub(crate) auth_filter: bool,
    pub(crate) limits: Limits,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// How much of the program a client can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) read_header: Timeout,
    pub(crate) read: Timeout,
    pub(crate) write: Timeout,
    pub(crate) idle: Timeout,
    pub(crate) progress: Timeout,
    pub(crate) connections: usize,
    pub(crate) answers: usize,
}

/// Everything that is wrong with the options.
#[derive(Debug)]
pub(crate) struct OptionsError(Vec<String>);

/// Reads values from flags and the file, and notes what is wrong with them.
struct Reader<'a> {
    /// The options file, where there is one.
    path: Option<&'a Path>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

// === impl Options ===

impl Options {
    /// Puts flags and file together; values of the file win.
    ///
    /// Also returns what is odd about them, for the log.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its flag or key, its value and what would be right.
    pub(crate) fn new(
        flags: &Flags,
        file: Option<(&Path, &ConfigFile)>,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let empty = ConfigFile::default();
        let mut reader = Reader {
            path: file.map(|(path, _)| path),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let file = file.map_or(&empty, |(_, file)| file);
        let options = Self {
            content: reader.content(&flags.content, file),
            source: reader.source(&flags.source, file),
            server: reader.server(&flags.server, file),
        };
        reader.ignored(&flags.ignored, file);
        reader.logging(&flags.logging);
        reader.together(&options);
        reader.built(&options.content);
        let Reader {
            problems,
            mut warnings,
            path,
        } = reader;
        if !problems.is_empty() {
            return Err(OptionsError(problems));
        }
        for key in &file.unknown {
            let path = path.unwrap_or(Path::new("")).display();
            warnings.push(format!(
                "{path}: there is no option `{key}`; the key is ignored"
            ));
        }
        Ok((options, warnings))
    }
}

impl Content {
    /// What `render` shows.
    pub(crate) fn from_flags(
        content: &ContentFlags,
        logging: &LogFlags,
    ) -> Result<(Self, Vec<String>), OptionsError> {
        let flags = Flags {
            content: content.clone(),
            logging: logging.clone(),
            ..Flags::default()
        };
        Options::new(&flags, None).map(|(options, warnings)| (options.content, warnings))
    }

    /// The stores for it.
    ///
    /// # Errors
    ///
    /// Names every pattern and resource that is wrong.
    pub(crate) fn build(&self) -> Result<StateMetrics, BuildError> {
        StateMetrics::builder()
            .resources(&self.resources)
            .allow_metrics(&self.allow)
            .deny_metrics(&self.deny)
            .opt_in_metrics(&self.opt_in)
            .label_allowlists(self.labels.clone())
            .annotation_allowlists(self.annotations.clone())
            .namespaces(&self.namespaces)
            .deny_namespaces(&self.denied_namespaces)
            .shard(self.shard)
            .build()
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn content(&mut self, flags: &ContentFlags, file: &ConfigFile) -> Content {
        /// The keys of a map of the file, unless it is absent or empty.
        fn keys(map: Option<&crate::config_file::Keys>) -> Option<Vec<String>> {
            map.filter(|map| !map.is_empty())
                .map(|map| map.keys().cloned().collect())
        }
        let list = |flag: &[String], keys: Option<Vec<String>>| {
            keys.unwrap_or_else(|| values::items(flag))
        };
        let custom = self.custom(flags, file);
        let mut resources = list(&flags.resources, keys(file.resources.as_ref()));
        let unknown = resources
            .iter()
            .filter(|name| name.parse::<BuiltIn>().is_err());
        for name in unknown.cloned().collect::<Vec<_>>() {
            let from = self.from("--resources", "resources", file.resources.is_some());
            let known: Vec<_> = BuiltIn::ALL.iter().map(|known| known.name()).collect();
            let known = known.join(", ");
            self.problems.push(format!(
                "{from}: there is no resource `{name}`; there are {known}"
            ));
        }
        resources.retain(|name| name.parse::<BuiltIn>().is_ok());
        if resources.is_empty() {
            resources.extend(BuiltIn::defaults().map(|resource| resource.name().to_owned()));
        }
        if custom.only {
            resources.clear();
        }
        let shard = self.shard(flags, file);
        Content {
            resources,
            allow: list(
                &flags.metric_allowlist,
                keys(file.metric_allowlist.as_ref()),
            ),
            deny: list(&flags.metric_denylist, keys(file.metric_denylist.as_ref())),
            opt_in: list(
                &flags.metric_opt_in_list,
                keys(file.metric_opt_in_list.as_ref()),
            ),
            labels: self.allowlists(
                "--metric-labels-allowlist",
                flags.metric_labels_allowlist.as_deref(),
                file.labels.as_ref(),
            ),
            annotations: self.allowlists(
                "--metric-annotations-allowlist",
                flags.metric_annotations_allowlist.as_deref(),
                file.annotations.as_ref(),
            ),
            namespaces: list(
                &flags.namespaces,
                file.namespaces.as_ref().map(values::items),
            ),
            denied_namespaces: list(
                &flags.namespaces_denylist,
                file.namespaces_denylist.as_ref().map(values::items),
            ),
            shard,
            custom,
        }
    }

    fn custom(&mut self, flags: &ContentFlags, file: &ConfigFile) -> CustomResources {
        if file.custom_resource_file_old.0.is_some() {
            self.warnings.push(
                "the key `custom_resource_config_file` is old; use `custom_resource_state_config_file`"
                    .into(),
            );
        }
        let config_file = (file.custom_resource_file.0.as_ref())
            .or(file.custom_resource_file_old.0.as_ref())
            .or(flags.custom_resource_state_config_file.as_ref());
        let inline = (file.custom_resource_config.0.as_ref())
            .or(flags.custom_resource_state_config.as_ref());
        if [config_file, inline]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty())
        {
            self.warnings.push(
                "this version of the exporter does not evaluate the custom resource configuration: \
                 its families are missing; the library's `custom_resource_state` module does"
                    .into(),
            );
        }
        CustomResources {
            inline: inline.filter(|text| !text.is_empty()).cloned(),
            file: config_file
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            continue_without_file: self.value(
                "--continue-without-custom-resource-state-config-file",
                &flags.continue_without_custom_resource_state_config_file,
                "continue_without_custom_resource_state_config_file",
                &file.continue_without_custom_resource_file,
                values::switch,
                false,
            ),
            only: self.value(
                "--custom-resource-state-only",
                &flags.custom_resource_state_only,
                "custom_resources_only",
                &file.custom_resources_only,
                values::switch,
                false,
            ),
        }
    }

    fn shard(&mut self, flags: &ContentFlags, file: &ConfigFile) -> Shard {
        let count = values::number;
        let before = self.problems.len();
        let by_range = self.value(
            "--server-side-sharding",
            &flags.server_side_sharding,
            "server_side_sharding",
            &file.server_side_sharding,
            values::switch,
            false,
        );
        let shard = self.value("--shard", &flags.shard, "shard", &file.shard, count, 0);
        let total = "total_shards";
        let total = self.value(
            "--total-shards",
            &flags.total_shards,
            total,
            &file.total_shards,
            count,
            1,
        );
        if self.problems.len() > before {
            return Shard::default();
        }
        let shard = Shard::new(shard, total).unwrap_or_else(|error| {
            self.problems
                .push(format!("--shard {shard}, --total-shards {total}: {error}"));
            Shard::default()
        });
        if by_range { shard.by_range() } else { shard }
    }

    fn allowlists(
        &mut self,
        flag: &'static str,
        value: Option<&str>,
        file: Option<&std::collections::BTreeMap<String, Vec<String>>>,
    ) -> AllowlistConfig {
        if let Some(lists) = file.filter(|lists| !lists.is_empty()) {
            let mut config = AllowlistConfig::default();
            for (resource, patterns) in lists {
                config.insert(resource, patterns);
            }
            return config;
        }
        AllowlistConfig::parse(value.unwrap_or_default()).unwrap_or_else(|error| {
            self.problems.push(format!("{flag}: {error}"));
            AllowlistConfig::default()
        })
    }

    fn source(&mut self, flags: &SourceFlags, file: &ConfigFile) -> Source {
        let text = |flag: &Option<String>, key: &Scalar| {
            key.0
                .as_ref()
                .or(flag.as_ref())
                .filter(|text| !text.is_empty())
                .cloned()
        };
        let pod = text(&flags.pod, &file.pod);
        let namespace = text(&flags.pod_namespace, &file.pod_namespace);
        if pod.is_some() != namespace.is_some() {
            self.warnings.push(
                "--pod and --pod-namespace find the shard only together; one of them is missing, so \
                 --shard and --total-shards count"
                    .into(),
            );
        }
        let apiserver = text(&flags.apiserver, &file.apiserver);
        let manifests = file.manifests.as_ref().unwrap_or(&flags.manifests);
        Source {
            manifests: values::items(manifests)
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            apiserver: apiserver.and_then(|url| {
                let from = self.from("--apiserver", "apiserver", file.apiserver.0.is_some());
                let uri = values::url(&url);
                uri.map_err(|cure| self.problems.push(format!("{from}: `{url}` {cure}")))
                    .ok()
            }),
            kubeconfig: text(&flags.kubeconfig, &file.kubeconfig).map(PathBuf::from),
            node: text(&flags.node, &file.node),
            unscheduled_pods: self.value(
                "--track-unscheduled-pods",
                &flags.track_unscheduled_pods,
                "track_unscheduled_pods",
                &file.track_unscheduled_pods,
                values::switch,
                false,
            ),
            use_cache: self.value(
                "--use-apiserver-cache",
                &flags.use_apiserver_cache,
                "use_api_server_cache",
                &file.use_apiserver_cache,
                values::switch,
                false,
            ),
            streaming_lists: !self.value(
                "--no-watchlist",
                &flags.no_watchlist,
                "no_watchlist",
                &file.no_watchlist,
                values::switch,
                false,
            ),
            object_limit: self.value(
                "--object-limit",
                &flags.object_limit,
                "object_limit",
                &file.object_limit,
                values::number,
                0,
            ),
            readiness: self.value(
                "--readiness",
                &flags.readiness,
                "readiness",
                &file.readiness,
                |text| {
                    text.parse()
                        .map_err(|_| "is neither `default` nor `strict`".into())
                },
                ReadinessPolicy::Default,
            ),
            shard_handover: self
                .value(
                    "--shard-handover",
                    &flags.shard_handover,
                    "shard_handover",
                    &file.shard_handover,
                    values::timeout,
                    None,
                )
                .unwrap_or_default(),
            pod: namespace.zip(pod),
        }
    }

    fn server(&mut self, flags: &ServerFlags, file: &ConfigFile) -> ServerOptions {
        let text = |flag: &Option<String>, key: &Scalar, default: &str| {
            let given = key.0.as_ref().or(flag.as_ref());
            given.map_or(default, String::as_str).to_owned()
        };
        let main = Address {
            host: text(&flags.host, &file.host, "::"),
            port: self.value(
                "--port",
                &flags.port,
                "port",
                &file.port,
                values::port,
                8080,
            ),
        };
        let (flag, key) = (&flags.telemetry_port, &file.telemetry_port);
        let telemetry = Address {
            host: text(&flags.telemetry_host, &file.telemetry_host, "::"),
            port: self.value(
                "--telemetry-port",
                flag,
                "telemetry_port",
                key,
                values::port,
                8081,
            ),
        };
        let tls_config = text(&flags.tls_config, &file.tls_config, "");
        ServerOptions {
            main,
            telemetry,
            tls_config: Some(tls_config)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            auth_filter: self.value(
                "--auth-filter",
                &flags.auth_filter,
                "auth_filter",
                &file.auth_filter,
                values::switch,
                false,
            ),
            limits: self.limits(flags, file),
        }
    }

    fn limits(&mut self, flags: &ServerFlags, file: &ConfigFile) -> Limits {
        let mut timeout = |flag: &'static str, value, key: &'static str, file, seconds| {
            let default = Some(Duration::from_secs(seconds));
            self.value(flag, value, key, file, values::timeout, default)
        };
        Limits {
            read_header: timeout(
                "--server-read-header-timeout",
                &flags.server_read_header_timeout,
                "server_read_header_timeout",
                &file.server_read_header_timeout,
                5,
            ),
            read: timeout(
                "--server-read-timeout",
                &flags.server_read_timeout,
                "server_read_timeout",
                &file.server_read_timeout,
                60,
            ),
            write: timeout(
                "--server-write-timeout",
                &flags.server_write_timeout,
                "server_write_timeout",
                &file.server_write_timeout,
                60,
            ),
            idle: timeout(
                "--server-idle-timeout",
                &flags.server_idle_timeout,
                "server_idle_timeout",
                &file.server_idle_timeout,
                300,
            ),
            progress: timeout(
                "--server-progress-timeout",
                &flags.server_progress_timeout,
                "server_progress_timeout",
                &file.server_progress_timeout,
                10,
            ),
            connections: self.value(
                "--max-connections",
                &flags.max_connections,
                "max_connections",
                &file.max_connections,
                values::positive,
                1024,
            ),
            answers: self.value(
                "--max-answers",
                &flags.max_answers,
                "max_answers",
                &file.max_answers,
                values::positive,
                32,
            ),
        }
    }

    /// Checks flags that change nothing, and says so.
    fn ignored(&mut self, flags: &IgnoredFlags, file: &ConfigFile) {
        let memory = values::switch;
        let key = "auto-gomemlimit";
        if self.value(
            "--auto-gomemlimit",
            &flags.auto_gomemlimit,
            key,
            &file.auto_gomemlimit,
            memory,
            false,
        ) {
            self.value(
                "--auto-gomemlimit-ratio",
                &flags.auto_gomemlimit_ratio,
                "auto-gomemlimit-ratio",
                &file.auto_gomemlimit_ratio,
                values::ratio,
                0.9,
            );
            self.warnings.push(
                "--auto-gomemlimit has no effect: there is no garbage collector to limit".into(),
            );
        }
        let gzip = &flags.enable_gzip_encoding;
        if !self.value(
            "--enable-gzip-encoding",
            gzip,
            "enable_gzip_encoding",
            &file.enable_gzip_encoding,
            memory,
            true,
        ) {
            self.warnings.push(
                "--enable-gzip-encoding=false has no effect: clients that accept gzip get it"
                    .into(),
            );
        }
        let log_files = [
            ("--logtostderr", &flags.logtostderr),
            ("--alsologtostderr", &flags.alsologtostderr),
            (
                "--alsologtostderrthreshold",
                &flags.alsologtostderrthreshold,
            ),
            ("--stderrthreshold", &flags.stderrthreshold),
            (
                "--legacy_stderr_threshold_behavior",
                &flags.legacy_stderr_threshold_behavior,
            ),
            ("--log_dir", &flags.log_dir),
            ("--log_file", &flags.log_file),
            ("--log_file_max_size", &flags.log_file_max_size),
            ("--log_backtrace_at", &flags.log_backtrace_at),
            ("--add_dir_header", &flags.add_dir_header),
            ("--skip_headers", &flags.skip_headers),
            ("--skip_log_headers", &flags.skip_log_headers),
            ("--one_output", &flags.one_output),
        ];
        for (flag, value) in log_files {
            // What the program does anyway needs no word.
            let harmless = flag == "--logtostderr" && value.as_deref() == Some("true");
            if value.is_some() && !harmless {
                self.warnings.push(format!(
                    "{flag} has no effect: log lines of one format go to standard error; see \
                     --log-format"
                ));
            }
        }
        if flags.vmodule.is_some() {
            self.warnings
                .push("--vmodule has no effect: use -v, or PUT /debug/log-level".into());
        }
    }

    fn logging(&mut self, flags: &LogFlags) {
        if let Err(error) = crate::logging::LogOptions::new(flags) {
            self.problems.extend(error);
        }
    }

    /// Checks what concerns several options.
    fn together(&mut self, options: &Options) {
        let (main, telemetry) = (&options.server.main, &options.server.telemetry);
        if main == telemetry && main.port != 0 {
            let port = main.port;
            self.problems.push(format!(
                "--port and --telemetry-port are both {port}; give one of them another port"
            ));
        }
        let source = &options.source;
        if !source.manifests.is_empty() {
            let idle = [
                ("--node", source.node.is_some()),
                ("--track-unscheduled-pods", source.unscheduled_pods),
                ("--use-apiserver-cache", source.use_cache),
                ("--object-limit", source.object_limit > 0),
                ("--pod and --pod-namespace", source.pod.is_some()),
            ];
            for (flags, _) in idle.iter().filter(|(_, given)| *given) {
                self.warnings
                    .push(format!("{flags}: no effect with --manifests"));
            }
        } else if source.node.is_some() && source.unscheduled_pods {
            self.warnings
                .push("--node has no effect beside --track-unscheduled-pods".into());
        }
        let custom = &options.content.custom;
        if custom.only && custom.inline.is_none() && custom.file.is_none() {
            self.warnings.push(
                "--custom-resource-state-only without a configuration of custom resources: there \
                 will be no metrics"
                    .into(),
            );
        }
    }

    /// Builds the stores once, for what only that can tell.
    fn built(&mut self, content: &Content) {
        let known: Vec<_> = BuiltIn::ALL
            .iter()
            .map(|resource| resource.name())
            .collect();
        for (flag, allowlists) in [
            ("--metric-labels-allowlist", &content.labels),
            ("--metric-annotations-allowlist", &content.annotations),
        ] {
            let errors = allowlists.check_resources(&known).err().unwrap_or_default();
            self.problems
                .extend(errors.iter().map(|error| format!("{flag}: {error}")));
        }
        match content.build() {
            Ok(metrics) => {
                self.warnings
                    .extend(metrics.warnings().iter().map(ToString::to_string));
            }
            Err(error) => {
                // These are told above, with their flag.
                let told = |problem: &&BuildProblem| {
                    matches!(
                        problem,
                        BuildProblem::Filter(FilterError::UnknownResource { .. })
                    )
                };
                let rest = error.problems().iter().filter(|problem| !told(problem));
                self.problems.extend(rest.map(ToString::to_string));
            }
        }
    }

    /// The value of the file, or else of the flag, or else the default.
    fn value<T>(
        &mut self,
        flag: &'static str,
        flag_value: &Option<String>,
        key: &'static str,
        file_value: &Scalar,
        read: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> T {
        let Some(text) = file_value.0.as_ref().or(flag_value.as_ref()) else {
            return default;
        };
        read(text).unwrap_or_else(|cure| {
            let from = self.from(flag, key, file_value.0.is_some());
            self.problems.push(format!("{from}: `{text}` {cure}"));
            default
        })
    }

    /// Where a value is from.
    fn from(&self, flag: &'static str, key: &'static str, in_file: bool) -> String {
        match self.path.filter(|_| in_file) {
            Some(path) => format!("{}: `{key}`", path.display()),
            None => flag.to_owned(),
        }
    }
}

// === impl OptionsError ===

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [problem] => f.write_str(problem),
            problems => {
                write!(f, "{} problems with the options:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for OptionsError {}

#[cfg(test)]
mod tests;
