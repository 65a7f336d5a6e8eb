//! The flags of the exporter.

use clap::Args;

/// All flags of the serving program.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) content: ContentFlags,
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    #[command(flatten)]
    pub(crate) logging: LogFlags,
    #[command(flatten)]
    pub(crate) ignored: IgnoredFlags,
}

/// What is shown of the objects.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct ContentFlags {
    /// Resources, by their plural names [default: 32 of 39; see `families`]
    #[arg(long, value_name = "LIST")]
    pub(crate) resources: Vec<String>,
    /// Only families whose name one of these regular expressions finds
    #[arg(long, value_name = "LIST")]
    pub(crate) metric_allowlist: Vec<String>,
    /// No families whose name one of these regular expressions finds
    #[arg(long, value_name = "LIST")]
    pub(crate) metric_denylist: Vec<String>,
    /// Opt-in families to switch on, by regular expressions
    #[arg(long, value_name = "LIST")]
    pub(crate) metric_opt_in_list: Vec<String>,
    /// Labels of objects to show, such as `pods=[team,app.kubernetes.io/*],*=[env]`
    #[arg(long, value_name = "ALLOWLIST")]
    pub(crate) metric_labels_allowlist: Option<String>,
    /// Annotations of objects to show, written like the labels
    #[arg(long, value_name = "ALLOWLIST")]
    pub(crate) metric_annotations_allowlist: Option<String>,
    /// Only objects of these namespaces; cluster-scoped objects always show
    #[arg(long, value_name = "LIST")]
    pub(crate) namespaces: Vec<String>,
    /// No objects of these namespaces
    #[arg(long, value_name = "LIST")]
    pub(crate) namespaces_denylist: Vec<String>,
    /// Custom Resource State metrics: the YAML itself; wins over the file
    #[arg(long, value_name = "YAML", help_heading = "Custom resources")]
    pub(crate) custom_resource_state_config: Option<String>,
    /// Custom Resource State metrics: a YAML file, followed as it changes
    #[arg(long, value_name = "FILE", help_heading = "Custom resources")]
    pub(crate) custom_resource_state_config_file: Option<String>,
    /// Show custom resources only, no built-in ones
    #[arg(long, value_name = "BOOL", help_heading = "Custom resources")]
    pub(crate) custom_resource_state_only: Option<String>,
    /// Start without the file; its metrics show once it is there
    #[arg(long, value_name = "BOOL", help_heading = "Custom resources")]
    pub(crate) continue_without_custom_resource_state_config_file: Option<String>,
    /// The own shard, counted from 0 [default: 0]
    #[arg(long, value_name = "INDEX", help_heading = "Sharding")]
    pub(crate) shard: Option<String>,
    /// The number of shards [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Sharding")]
    pub(crate) total_shards: Option<String>,
    /// Divide objects as the API server can, so that it sends each shard only its own; the same on
    /// all shards
    #[arg(long, value_name = "BOOL", help_heading = "Sharding")]
    pub(crate) server_side_sharding: Option<String>,
}

/// Where the objects come from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Source of objects")]
pub(crate) struct SourceFlags {
    /// Manifests instead of a cluster: files or directories, followed as they change
    #[arg(long, value_name = "LIST")]
    pub(crate) manifests: Vec<String>,
    /// URL of the API server [default: the kubeconfig's, or the cluster this runs in]
    #[arg(long, value_name = "URL")]
    pub(crate) apiserver: Option<String>,
    /// The kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<String>,
    /// Only pods on this node, for one exporter per node
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Only pods without a node, beside exporters per node
    #[arg(long, value_name = "BOOL")]
    pub(crate) track_unscheduled_pods: Option<String>,
    /// Let lists be answered from the API server's cache
    #[arg(long, value_name = "BOOL")]
    pub(crate) use_apiserver_cache: Option<String>,
    /// Ask for lists in pages, also where the API server can stream them
    #[arg(long, value_name = "BOOL")]
    pub(crate) no_watchlist: Option<String>,
    /// When to be ready: `default` also where the API server refuses resources, or `strict`
    #[arg(long, value_name = "POLICY")]
    pub(crate) readiness: Option<String>,
    /// The most objects a list takes; 0 is no limit [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) object_limit: Option<String>,
    /// Name of the own pod, to find the shard from its StatefulSet
    #[arg(long, value_name = "NAME", help_heading = "Sharding")]
    pub(crate) pod: Option<String>,
    /// Namespace of the own pod
    #[arg(long, value_name = "NAME", help_heading = "Sharding")]
    pub(crate) pod_namespace: Option<String>,
    /// How long to serve objects on that another shard takes over [default: 0]
    #[arg(long, value_name = "DURATION", help_heading = "Sharding")]
    pub(crate) shard_handover: Option<String>,
}

/// How the answers are served.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServerFlags {
    /// Address of the metrics [default: ::]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Port of the metrics; 0 takes a free one [default: 8080]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// Address of the telemetry: the exporter's own metrics and state [default: ::]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) telemetry_host: Option<String>,
    /// Port of the telemetry; 0 takes a free one [default: 8081]
    #[arg(long, value_name = "PORT")]
    pub(crate) telemetry_port: Option<String>,
    /// Web configuration file: TLS, client certificates, basic authentication
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_config: Option<String>,
    /// Ask the API server whether a request's bearer token may read what it asks for
    #[arg(long, value_name = "BOOL")]
    pub(crate) auth_filter: Option<String>,
    /// The longest time for reading a request; 0 is no limit [default: 1m]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    pub(crate) server_read_timeout: Option<String>,
    /// The longest time for writing an answer; 0 is no limit [default: 1m]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    pub(crate) server_write_timeout: Option<String>,
    /// The longest time a connection stays open between requests; 0 is no limit [default: 5m]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    pub(crate) server_idle_timeout: Option<String>,
    /// The longest time for reading a request's header; 0 is no limit [default: 5s]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    pub(crate) server_read_header_timeout: Option<String>,
    /// The longest time an answer may stand still because the client does not read; 0 is no limit
    /// [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    pub(crate) server_progress_timeout: Option<String>,
    /// The most connections at a time; one more closes the one that is quiet longest [default: 1024]
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) max_connections: Option<String>,
    /// The most answers at a time; one more cuts the one longest without progress [default: 32]
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) max_answers: Option<String>,
}

/// The options file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options file")]
pub(crate) struct ConfigFlags {
    /// Options as a YAML file, which win over the flags; followed as it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// Start with the flags alone where the file is missing or invalid
    #[arg(long, value_name = "BOOL")]
    pub(crate) continue_without_config: Option<String>,
}

/// What is logged, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogFlags {
    /// Verbosity: 0 tells what matters, from 2 on more, from 5 on everything [default: 0]
    #[arg(short = 'v', long = "v", value_name = "LEVEL")]
    pub(crate) verbosity: Option<String>,
    /// Log lines for people or for machines [default: text]
    #[arg(long, value_name = "text|json")]
    pub(crate) log_format: Option<String>,
}

/// Flags that have nothing to change here.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Accepted without effect")]
pub(crate) struct IgnoredFlags {
    /// gzip is always on for clients that accept it
    #[arg(long, value_name = "BOOL")]
    pub(crate) enable_gzip_encoding: Option<String>,
    /// There is no garbage collector to limit
    #[arg(long, value_name = "BOOL")]
    pub(crate) auto_gomemlimit: Option<String>,
    /// There is no garbage collector to limit
    #[arg(long, value_name = "RATIO")]
    pub(crate) auto_gomemlimit_ratio: Option<String>,
    /// Logs go to standard error
    #[arg(long, value_name = "BOOL")]
    pub(crate) logtostderr: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true)]
    pub(crate) alsologtostderr: Option<String>,
    #[arg(long, value_name = "LEVEL", hide = true)]
    pub(crate) alsologtostderrthreshold: Option<String>,
    #[arg(long, value_name = "LEVEL", hide = true)]
    pub(crate) stderrthreshold: Option<String>,
    #[arg(
        long = "legacy_stderr_threshold_behavior",
        value_name = "BOOL",
        hide = true
    )]
    pub(crate) legacy_stderr_threshold_behavior: Option<String>,
    /// Logs go to standard error
    #[arg(long = "log_dir", value_name = "DIR")]
    pub(crate) log_dir: Option<String>,
    /// Logs go to standard error
    #[arg(long = "log_file", value_name = "FILE")]
    pub(crate) log_file: Option<String>,
    #[arg(long = "log_file_max_size", value_name = "MB", hide = true)]
    pub(crate) log_file_max_size: Option<String>,
    #[arg(long = "log_backtrace_at", value_name = "FILE:LINE", hide = true)]
    pub(crate) log_backtrace_at: Option<String>,
    #[arg(long = "add_dir_header", value_name = "BOOL", hide = true)]
    pub(crate) add_dir_header: Option<String>,
    #[arg(long = "skip_headers", value_name = "BOOL", hide = true)]
    pub(crate) skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", value_name = "BOOL", hide = true)]
    pub(crate) skip_log_headers: Option<String>,
    #[arg(long = "one_output", value_name = "BOOL", hide = true)]
    pub(crate) one_output: Option<String>,
    /// Verbosity per file: use -v for all
    #[arg(long, value_name = "PATTERN=LEVEL")]
    pub(crate) vmodule: Option<String>,
}
