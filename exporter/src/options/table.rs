//! The table of options. The table has one row for each option.
//!
//! The flags, the keys of the options file, the help, shell completion, the man page and the table in
//! `docs/reference/compat.md` are generated from this table. To add an option, add a row here, and read its value with
//! `reader.value(&table::NEW)`. Each row declares a constant such as `NEW`. The type of the constant contains the type
//! of the option's value. If no code uses the constant, the compiler warns.
//!
//! A row sets only the columns that differ from [`Row::EMPTY`]. The help, the man page and the documentation list the
//! options in the order of the table.

use std::path::PathBuf;
use std::time::Duration;

use kube_state_metrics::BuiltIn;
use kube_state_metrics::filter::AllowlistConfig;
use kube_state_metrics::registry::JoinConfig;
use kube_state_metrics::source::health::ReadinessPolicy;

use super::names;
use super::parse::{self, DebugAccess, LogFormat, OnOutage, Timeout};
use super::row::Compat::{Added, Differs, NoEffect};
use super::row::DefaultValue::{Described, Value as Is};
use super::row::Form::{Allowlists, Keys, List, Switch, Value};
use super::row::Reload::{Live, NewInstance, NewListener};
use super::row::{Items, OptionDef, Row, Single};

/// Declares a constant for each row, and the table of all rows.
macro_rules! options {
    ($(heading $heading:literal, render: $render:literal {
        $($name:tt: $type:ty = $parse:expr, { $($column:ident: $value:expr),* $(,)? })*
    })*) => {
        $($(
            pub(crate) const $name: $type = OptionDef {
                row: Row { $($column: $value,)* heading: $heading, render: $render, ..Row::EMPTY },
                parse: $parse,
            };
        )*)*

        /// All rows.
        pub(crate) const TABLE: &[Row] = &[$($(
            Row { $($column: $value,)* heading: $heading, render: $render, ..Row::EMPTY },
        )*)*];
    };
}

options! {
heading "Metrics", render: true {
    RESOURCES: Items = parse::items, {
        flag: "--resources", key: Some("resources"), form: Keys("LIST"), reload: NewInstance,
        default: Described(default_resources),
        help: "Resources to export, by plural name, such as `pods,nodes`",
        compat: Differs("with `--custom-resource-state-only`, an unknown name causes a warning, not an error"),
    }
    METRIC_ALLOWLIST: Items = parse::items, {
        flag: "--metric-allowlist", key: Some("metric_allowlist"), form: Keys("LIST"), reload: NewInstance,
        help: "Export only families whose name matches one of these regular expressions, such as \
            `kube_pod_.*,kube_node_info`",
        compat: Differs("POSIX classes and `(?P<name>...)` work, too"),
    }
    METRIC_DENYLIST: Items = parse::items, {
        flag: "--metric-denylist", key: Some("metric_denylist"), form: Keys("LIST"), reload: NewInstance,
        help: "Do not export families whose name matches one of these regular expressions, such as \
            `kube_secret_.*`",
        compat: Differs("POSIX classes and `(?P<name>...)` work, too"),
    }
    METRIC_OPT_IN_LIST: Items = parse::items, {
        flag: "--metric-opt-in-list", key: Some("metric_opt_in_list"),
        form: Keys("LIST"), reload: NewInstance,
        help: "Export opt-in families whose name matches one of these regular expressions, such as \
            `kube_pod_nodeselectors`",
        compat: Differs("the regular expressions have the same syntax as in `--metric-allowlist`, so \
            look-around works"),
    }
    METRIC_LABELS_ALLOWLIST: Single<AllowlistConfig> = parse::allowlists, {
        flag: "--metric-labels-allowlist", key: Some("labels_allow_list"),
        form: Allowlists("ALLOWLIST"), reload: NewInstance,
        help: "Kubernetes labels to export per resource, such as `pods=[team,app.kubernetes.io/*],*=[env]`",
        compat: Differs("if a list has the item `*`, every key is allowed, and a warning names the other \
            items; a pattern may have any number of `*`; patterns must be ASCII"),
    }
    METRIC_ANNOTATIONS_ALLOWLIST: Single<AllowlistConfig> = parse::allowlists, {
        flag: "--metric-annotations-allowlist", key: Some("annotations_allow_list"),
        form: Allowlists("ALLOWLIST"), reload: NewInstance,
        help: "Kubernetes annotations to export per resource, in the notation of --metric-labels-allowlist",
        compat: Differs("the same differences as for `--metric-labels-allowlist`"),
    }
    JOIN_LABELS: Single<JoinConfig> = parse::joins, {
        flag: "--join-labels", key: Some("join_labels"),
        form: Allowlists("JOINS"), reload: NewInstance,
        help: "Labels to add to all samples of a resource, from the labels (`/`), annotations (`@`), names or \
            kinds (`:`) of its `namespace`, `node`, `workload` or `self`, such as \
            `pods=[namespace/team,workload:name=workload],*=[namespace@cost]`",
        compat: Added,
    }
    NAMESPACES: Items = parse::items, {
        flag: "--namespaces", key: Some("namespaces"), form: List("LIST"), reload: NewInstance,
        help: "Export only objects of these namespaces and cluster-scoped objects, such as `shop,payments`; \
            an empty list means all namespaces",
        compat: Differs("if a namespace is repeated, it is used once; a text that is not the name of a namespace is an \
            error"),
    }
    NAMESPACES_DENYLIST: Items = parse::items, {
        flag: "--namespaces-denylist", key: Some("namespaces_denylist"),
        form: List("LIST"), reload: NewInstance,
        help: "Do not export objects of these namespaces, such as `kube-system`",
        compat: Differs("a text that is not the name of a namespace is an error"),
    }
    SAMPLE_LIMIT: Single<u64> = parse::limit, {
        flag: "--sample-limit", key: Some("sample_limit"),
        form: Value("NUMBER"), default: Is("10000"), reload: NewInstance,
        help: "Maximum number of samples of one object in one family; further samples are left out; 0 disables \
            the limit",
        compat: Added,
    }
    LABEL_LIMIT: Single<u64> = parse::limit, {
        flag: "--label-limit", key: Some("label_limit"),
        form: Value("NUMBER"), default: Is("1024"), reload: NewInstance,
        help: "Maximum number of labels that a family adds to one sample, such as Kubernetes labels; further \
            labels are left out; 0 disables the limit",
        compat: Added,
    }
    TEXT_LIMIT: Single<usize> = parse::size, {
        flag: "--text-limit", key: Some("text_limit"),
        form: Value("SIZE"), default: Is("16MiB"), reload: NewInstance,
        help: "Maximum size of the text of all samples of one object, such as `32MiB`; samples beyond this \
            size are left out; 0 disables the limit",
        compat: Added,
    }
}
heading "Custom resources", render: true {
    CUSTOM_RESOURCE_STATE_CONFIG: Single<String> = parse::text, {
        flag: "--custom-resource-state-config", key: Some("custom_resource_config"),
        form: Value("YAML"), reload: NewInstance,
        help: "Custom Resource State configuration as YAML text, which takes precedence over the \
            configuration file",
        compat: Differs("docs/reference/custom-resources.md lists the differences in samples; if the \
            configuration has errors, the startup fails and reports all errors; entries for built-in kinds \
            work, too"),
    }
    CUSTOM_RESOURCE_STATE_CONFIG_FILE: Single<String> = parse::text, {
        flag: "--custom-resource-state-config-file", key: Some("custom_resource_state_config_file"),
        old_key: Some("custom_resource_config_file"), form: Value("FILE"), reload: NewInstance,
        help: "Custom Resource State configuration file (YAML), which is reloaded when it changes",
        compat: Differs("the same differences as for `--custom-resource-state-config`; a changed file is used \
            without an outage; if the changed file is invalid, the exporter does not use it, and a metric shows \
            the failure"),
    }
    CUSTOM_RESOURCE_STATE_ONLY: Single<bool> = parse::switch, {
        flag: "--custom-resource-state-only", key: Some("custom_resources_only"),
        form: Switch, reload: NewInstance,
        help: "Export only custom resources, no built-in resources",
    }
    CONTINUE_WITHOUT_CUSTOM_RESOURCE_STATE_CONFIG_FILE: Single<bool> = parse::switch, {
        flag: "--continue-without-custom-resource-state-config-file",
        key: Some("continue_without_custom_resource_state_config_file"), form: Switch, reload: Live,
        help: "Start without the Custom Resource State configuration file, and load it when it exists; \
            start without families that have errors",
        compat: Differs("if the configuration has errors at startup, only the families with errors are left out; if the \
            file is missing while the exporter runs, its previous content stays in use"),
    }
    EXPRESSION_COST_LIMIT: Single<u64> = parse::limit, {
        flag: "--expression-cost-limit", key: Some("expression_cost_limit"),
        form: Value("NUMBER"), default: Is("1000000"), reload: NewInstance,
        help: "Maximum cost of the CEL expressions of a custom resource family for one object; the \
            default allows about 0.1 s; above the limit, further samples of this object in this family are left \
            out; 0 disables the limit",
        compat: Added,
    }
    CUSTOM_RESOURCE_KIND_LIMIT: Single<u64> = parse::limit, {
        flag: "--custom-resource-kind-limit", key: Some("custom_resource_kind_limit"),
        form: Value("NUMBER"), default: Is("1000"), reload: NewInstance,
        help: "Maximum number of custom resource kinds that entries with a wildcard select; further kinds have no \
            metrics; 0 disables the limit",
        compat: Added,
    }
}
heading "Sharding", render: true {
    SHARD: Single<u32> = parse::number, {
        flag: "--shard", key: Some("shard"), form: Value("INDEX"), default: Is("0"), reload: NewInstance,
        help: "Zero-based index of this shard, less than --total-shards",
        compat: Differs("`--shard` must be less than `--total-shards`"),
    }
    TOTAL_SHARDS: Single<u32> = parse::number, {
        flag: "--total-shards", key: Some("total_shards"),
        form: Value("NUMBER"), default: Is("1"), reload: NewInstance,
        help: "Number of shards that share the objects; 1 disables sharding",
        compat: Differs("`--shard` must be less than `--total-shards`"),
    }
    SERVER_SIDE_SHARDING: Single<bool> = parse::switch, {
        flag: "--server-side-sharding", key: Some("server_side_sharding"), form: Switch, reload: NewInstance,
        help: "Let the API server send each shard only its own objects; set the same value on all shards",
        compat: Added,
    }
}
heading "Sharding", render: false {
    POD: Single<Option<String>> = names::optional_object, {
        flag: "--pod", key: Some("pod"), form: Value("NAME"), reload: NewInstance,
        help: "Name of the pod of this exporter, such as `$(POD_NAME)`; its StatefulSet determines the shard",
        compat: Differs("when the number of shards changes, objects that stay in this shard are served \
            without interruption; if the StatefulSet of the pod cannot be found, the exporter is not \
            ready and retries (the Go program exits); `--pod` without `--pod-namespace`, or \
            `--pod-namespace` without `--pod`, causes a warning"),
    }
    POD_NAMESPACE: Single<Option<String>> = names::optional_namespace, {
        flag: "--pod-namespace", key: Some("namespace"), form: Value("NAME"), reload: NewInstance,
        help: "Namespace of the pod of this exporter, such as `$(POD_NAMESPACE)`; required with --pod",
        compat: Differs("the same differences as for `--pod`"),
    }
    SHARD_HANDOVER: Single<Option<Timeout>> = parse::optional_timeout, {
        flag: "--shard-handover", key: Some("shard_handover"),
        form: Value("DURATION"), default: Described(default_handover), reload: NewInstance,
        help: "Minimum time for which this shard still exports objects that another shard takes over, such as `2m`; \
            0 disables the hand-over",
        compat: Added,
    }
}
heading "High availability", render: false {
    HA: Single<bool> = parse::switch, {
        flag: "--ha", form: Switch,
        help: "Serve the metrics of objects only while this replica holds a Lease of the API server; all replicas \
            watch the cluster, and one replica serves",
        compat: Added,
    }
    HA_IDENTITY: Single<Option<String>> = parse::optional_text, {
        flag: "--ha-identity", form: Value("NAME"),
        default: Described(|| "$POD_NAME, or the host name (in a pod, the name of the pod)".to_owned()),
        help: "Name of this replica in the Lease and in metrics, such as `$(POD_NAME)`",
        compat: Added,
    }
    HA_NAMESPACE: Single<Option<String>> = names::optional_namespace, {
        flag: "--ha-namespace", form: Value("NAME"),
        default: Described(|| "the namespace of the pod, or of the kubeconfig".to_owned()),
        help: "Namespace of the Lease, such as `monitoring`",
        compat: Added,
    }
    HA_LEASE_NAME: Single<Option<String>> = names::optional_object, {
        flag: "--ha-lease-name", form: Value("NAME"),
        default: Described(|| {
            "kube-state-metrics, or kube-state-metrics-unscheduled-pods with --track-unscheduled-pods; with shards, \
                followed by -shard-INDEX".to_owned()
        }),
        help: "Name of the Lease, which the replicas of a shard share, such as `kube-state-metrics`",
        compat: Added,
    }
    HA_LEASE_DURATION: Single<Duration> = parse::lease_duration, {
        flag: "--ha-lease-duration", form: Value("DURATION"), default: Is("15s"),
        help: "Time after which a standby replaces a leader that does not renew the Lease, from `3s` to `5m`",
        compat: Added,
    }
    HA_ON_OUTAGE: Single<OnOutage> = parse::on_outage, {
        flag: "--ha-on-outage", form: Value("keep|silent"), default: Is("keep"),
        help: "Behavior of the leader while it cannot renew the Lease: with `silent`, the leader stops serving; with \
            `keep`, it serves until it learns that another replica leads; if only the leader cannot reach the API \
            server, two replicas may serve with `keep`",
        compat: Added,
    }
}
heading "Source of objects", render: false {
    MANIFESTS: Items = parse::items, {
        flag: "--manifests", key: Some("manifests"), form: List("LIST"), reload: NewInstance,
        help: "Files or directories with manifests, such as `./manifests,extra.yaml`, to export instead of a \
            cluster; reloaded when they change",
        compat: Added,
    }
    APISERVER: Single<Option<http::Uri>> = parse::optional_server, {
        flag: "--apiserver", key: Some("apiserver"), form: Value("URL"), reload: NewInstance,
        default: Described(|| "the server of the kubeconfig, or of the cluster in which the exporter \
            runs".to_owned()),
        help: "URL of the API server, such as `https://10.0.0.1:6443`",
        compat: Differs("a URL without a scheme is `https://` if the kubeconfig has TLS settings, and \
            otherwise `http://`; the exporter waits for a server that is down"),
    }
    KUBECONFIG: Single<Option<PathBuf>> = parse::optional_path, {
        flag: "--kubeconfig", key: Some("kubeconfig"), form: Value("FILE"), reload: NewInstance,
        default: Described(|| {
            "none in a pod with a service account; otherwise $KUBECONFIG, ~/.kube/config".to_owned()
        }),
        help: "Kubeconfig file, which is reloaded when it changes",
        compat: Differs("without the flag and outside a pod, the exporter merges the files of \
            `$KUBECONFIG`; if `$KUBECONFIG` is not set, the exporter uses `~/.kube/config`; a changed kubeconfig \
            is used without an outage; token, certificate and CA files of \
            the pod or of a kubeconfig are read again when they change; a credential plugin runs again \
            before its credentials expire and when the server refuses them"),
    }
    NODE: Single<Option<String>> = names::optional_object, {
        flag: "--node", key: Some("node"), form: Value("NAME"), reload: NewInstance,
        help: "Export only pods on this node, such as `$(NODE_NAME)`, for a DaemonSet with one exporter per \
            node",
        compat: Differs("the flag restricts only pods; the exporter leaves out other namespaced resources with a \
            warning (the Go program fails)"),
    }
    TRACK_UNSCHEDULED_PODS: Single<bool> = parse::switch, {
        flag: "--track-unscheduled-pods", key: Some("track_unscheduled_pods"),
        form: Switch, reload: NewInstance,
        help: "Export only pods that are not scheduled to a node, for one exporter in addition to the \
            exporters of the nodes",
        compat: Differs("the same differences as for `--node`"),
    }
    USE_APISERVER_CACHE: Single<bool> = parse::switch, {
        flag: "--use-apiserver-cache", key: Some("use_api_server_cache"), form: Switch, reload: NewInstance,
        help: "Allow the API server to answer lists from its cache, which is cheaper, but the objects may be \
            slightly outdated",
        compat: Differs("also applies to streaming lists"),
    }
    NO_WATCHLIST: Single<bool> = parse::switch, {
        flag: "--no-watchlist", key: Some("no_watchlist"), form: Switch, reload: NewInstance,
        help: "Request lists in pages, even if the API server supports streaming lists",
        compat: Added,
    }
    WIRE: Single<bool> = parse::wire, {
        flag: "--wire", key: Some("wire"), form: Value("auto|json"), default: Is("auto"), reload: NewInstance,
        help: "Encoding of objects that the exporter requests from the API server: `auto` requests protobuf for \
            the kinds that have it, `json` always requests JSON",
        compat: Added,
    }
    LIST_DEADLINE: Single<Timeout> = parse::timeout, {
        flag: "--list-deadline", key: Some("list_deadline"),
        form: Value("DURATION"), default: Is("1m"), reload: NewInstance,
        help: "Maximum time of a streaming list, or three times the duration of the last list, whichever is \
            longer; after this time, a list in pages replaces the streaming list; 0 disables the limit",
        compat: Added,
    }
    READINESS: Single<ReadinessPolicy> = parse::readiness, {
        flag: "--readiness", key: Some("readiness"),
        form: Value("POLICY"), default: Is("default"), reload: NewInstance,
        help: "Readiness policy: if the API server refuses a resource (403, 404), the exporter is ready \
            with `default`, and not ready with `strict`",
        compat: Added,
    }
    READINESS_DEADLINE: Single<Timeout> = parse::timeout, {
        flag: "--readiness-deadline", key: Some("readiness_deadline"),
        form: Value("DURATION"), default: Is("55s"), reload: NewInstance,
        help: "Maximum time after the first complete list for which failing resources delay readiness \
            (policy `default`); 0 disables the limit",
        compat: Added,
    }
    FORGET_FORBIDDEN_AFTER: Single<Timeout> = parse::timeout, {
        flag: "--forget-forbidden-after", key: Some("forget_forbidden_after"),
        form: Value("DURATION"), default: Is("1h"), reload: NewInstance,
        help: "Time after which the exporter removes the objects of a resource that the API server forbids; \
            0 keeps the objects",
        compat: Added,
    }
    AUDIT_INTERVAL: Single<Timeout> = parse::timeout, {
        flag: "--audit-interval", key: Some("audit_interval"),
        form: Value("DURATION"), default: Is("5m"), reload: NewInstance,
        help: "Time between two audits of a resource, which find objects that the watch has missed; \
            0 disables audits",
        compat: Added,
    }
    OBJECT_LIMIT: Single<u64> = parse::limit, {
        flag: "--object-limit", key: Some("object_limit"),
        form: Value("NUMBER"), default: Is("0"), reload: NewInstance,
        help: "Maximum number of objects to request per list; 0 disables the limit",
        compat: Differs("the exporter refuses negative limits; the exporter accepts every other 64-bit limit"),
    }
    OBJECT_SIZE_LIMIT: Single<usize> = parse::size, {
        flag: "--object-size-limit", key: Some("object_size_limit"),
        form: Value("SIZE"), default: Is("16MiB"), reload: NewInstance,
        help: "Maximum size of an object in a response of the API server, such as `32MiB`; a larger object has \
            no metrics; 0 disables the limit",
        compat: Added,
    }
    LIST_OBJECT_LIMIT: Single<u64> = parse::limit, {
        flag: "--list-object-limit", key: Some("list_object_limit"),
        form: Value("NUMBER"), default: Is("5000000"), reload: NewInstance,
        help: "Maximum number of objects in a list from the API server; a longer list fails and is retried; 0 \
            disables the limit",
        compat: Added,
    }
    FEED_BUFFER_LIMIT: Single<usize> = parse::size, {
        flag: "--feed-buffer-limit", key: Some("feed_buffer_limit"),
        form: Value("SIZE"), default: Is("64MiB"), reload: NewInstance,
        help: "Maximum memory for incomplete objects of all lists and watches together, such as `128MiB`; \
            at the limit, the exporter waits before it reads more; during a reload, the limit is twice as \
            high; 0 disables the limit",
        compat: Added,
    }
}
heading "Serving", render: false {
    HOST: Single<String> = parse::text, {
        flag: "--host", key: Some("host"), form: Value("ADDRESS"), default: Is("::"), reload: NewListener,
        help: "IP address of the metrics server; `::` accepts IPv4 and IPv6 clients, and `127.0.0.1` \
            accepts only local clients",
        compat: Differs("on a machine without IPv6, the default is `0.0.0.0`"),
    }
    PORT: Single<u16> = parse::port, {
        flag: "--port", key: Some("port"), form: Value("PORT"), default: Is("8080"), reload: NewListener,
        help: "Port of the metrics server; 0 picks a free port",
        compat: Differs("0 picks a free port; both servers need different addresses"),
    }
    TELEMETRY_HOST: Single<String> = parse::text, {
        flag: "--telemetry-host", key: Some("telemetry_host"),
        form: Value("ADDRESS"), default: Is("::"), reload: NewListener,
        help: "IP address of the telemetry server, which serves metrics and state of the exporter itself",
        compat: Differs("the same differences as for `--host`"),
    }
    TELEMETRY_PORT: Single<u16> = parse::port, {
        flag: "--telemetry-port", key: Some("telemetry_port"),
        form: Value("PORT"), default: Is("8081"), reload: NewListener,
        help: "Port of the telemetry server; 0 picks a free port",
        compat: Differs("the same differences as for `--port`"),
    }
    TELEMETRY_DEBUG: Single<DebugAccess> = parse::debug_access, {
        flag: "--telemetry-debug", key: Some("telemetry_debug"),
        form: Value("local|open"), default: Is("local"), reload: Live,
        help: "Clients that may use /debug/ of the telemetry server: `local` allows authenticated clients and \
            clients in the same pod (also all clients of a proxy in the pod that adds no forwarding header), \
            `open` allows all clients",
        compat: Added,
    }
    TLS_CONFIG: Single<Option<PathBuf>> = parse::optional_path, {
        flag: "--tls-config", key: Some("tls_config"), form: Value("FILE"), reload: Live,
        help: "Web configuration file (YAML) with TLS, client certificates and basic authentication",
        compat: Differs("the section *Web configuration* of docs/reference/compat.md lists the differences; an invalid \
            file is refused at startup, and the error names the key"),
    }
    AUTH_FILTER: Single<bool> = parse::switch, {
        flag: "--auth-filter", key: Some("auth_filter"), form: Switch, reload: Live,
        help: "Require a bearer token, and ask the API server whether the user of the token may read the \
            requested path",
        compat: Differs("if the token is invalid, the response is 401; if the user lacks the permission, \
            the response is 403; the response is 503 if the API server does not answer, or if its response is \
            invalid; the response is 429 if too many tokens wait for their review; a `HEAD` request needs a permission \
            for the verb `head`, as in the Go program; \
            every path needs a token, except the health paths, and `/` without a query (without a token, the page \
            shows no data); \
            the flag cannot be combined with `basic_auth_users`, because no request can have both a token and a \
            password"),
    }
    AUTH_FILTER_TIMEOUT: Single<Timeout> = parse::timeout, {
        flag: "--auth-filter-timeout", key: Some("auth_filter_timeout"),
        form: Value("DURATION"), default: Is("2s"), reload: Live,
        help: "Maximum time of a review of --auth-filter (of a token or of a permission), such as `5s`; \
            0 disables the limit",
        compat: Added,
    }
    AUTH_FILTER_GRACE: Single<Timeout> = parse::timeout, {
        flag: "--auth-filter-grace", key: Some("auth_filter_grace"),
        form: Value("DURATION"), default: Is("0"), reload: Live,
        help: "If the API server does not answer or fails, --auth-filter accepts a token for this time after the last \
            successful review of the token, such as `10m`; 0 disables this",
        compat: Added,
    }
}
heading "Limits", render: false {
    SERVER_READ_TIMEOUT: Single<Timeout> = parse::timeout_as_in_go, {
        flag: "--server-read-timeout", key: Some("server_read_timeout"),
        form: Value("DURATION"), default: Is("1m"), reload: Live,
        help: "Maximum time to read a request, such as `30s`; 0 disables the limit",
        compat: Differs("for both ports; a negative value also disables the limit"),
    }
    SERVER_WRITE_TIMEOUT: Single<Timeout> = parse::timeout_as_in_go, {
        flag: "--server-write-timeout", key: Some("server_write_timeout"),
        form: Value("DURATION"), default: Is("1m"), reload: Live,
        help: "Maximum time to write a response, such as `30s`; 0 disables the limit",
        compat: Differs("the same differences as for `--server-read-timeout`"),
    }
    SERVER_IDLE_TIMEOUT: Single<Timeout> = parse::timeout_as_in_go, {
        flag: "--server-idle-timeout", key: Some("server_idle_timeout"),
        form: Value("DURATION"), default: Is("5m"), reload: Live,
        help: "Maximum time that a connection stays open between requests, such as `2m`; 0 disables the limit",
        compat: Differs("the same differences as for `--server-read-timeout`"),
    }
    SERVER_READ_HEADER_TIMEOUT: Single<Timeout> = parse::timeout_as_in_go, {
        flag: "--server-read-header-timeout", key: Some("server_read_header_timeout"),
        form: Value("DURATION"), default: Is("5s"), reload: Live,
        help: "Maximum time to read the header of a request, such as `5s`; 0 disables the limit",
        compat: Differs("the same differences as for `--server-read-timeout`"),
    }
    SERVER_PROGRESS_TIMEOUT: Single<Timeout> = parse::timeout, {
        flag: "--server-progress-timeout", key: Some("server_progress_timeout"),
        form: Value("DURATION"), default: Is("10s"), reload: Live,
        help: "Maximum time for which a client may stop reading a response, such as `10s`; 0 disables \
            the limit",
        compat: Added,
    }
    MAX_CONNECTIONS: Single<usize> = parse::positive, {
        flag: "--max-connections", key: Some("max_connections"),
        form: Value("NUMBER"), default: Is("1024"), reload: Live,
        help: "Maximum number of connections per port, as far as the limit on open files allows; at the \
            maximum, a new connection closes a connection of the peer with the most connections, an idle \
            connection first",
        compat: Added,
    }
    MAX_ANSWERS: Single<usize> = parse::positive, {
        flag: "--max-answers", key: Some("max_answers"),
        form: Value("NUMBER"), default: Is("32"), reload: Live,
        help: "Maximum number of responses in progress per port (each stream of HTTP/2 is one); at the maximum, \
            a new response ends a stalled response, or a response of the peer with the most responses",
        compat: Added,
    }
}
heading "Options file", render: false {
    CONFIG: Single<Option<PathBuf>> = parse::optional_path, {
        flag: "--config", form: Value("FILE"),
        help: "Options file (YAML), which takes precedence over flags and is reloaded when it changes",
        compat: Differs("docs/reference/compat.md describes the options file"),
    }
    CONTINUE_WITHOUT_CONFIG: Single<bool> = parse::switch, {
        flag: "--continue-without-config", key: Some("continue_without_config"), form: Switch,
        help: "Start with only the flags if the options file is missing or invalid",
        compat: Differs("the Go program opens no port if the file is invalid; while the file is missing, \
            there is no `kube_state_metrics_last_config_reload_successful`"),
    }
}
heading "Logging", render: true {
    VERBOSITY: Single<i64> = parse::integer, {
        flag: "-v", form: Value("LEVEL"), default: Is("0"),
        help: "Log verbosity: 0 logs info, 2 and above also debug, 5 and above also trace messages",
        compat: Differs("0 logs info messages, 2 and above also debug messages, 5 and above all messages"),
    }
    LOG_FORMAT: Single<LogFormat> = parse::log_format, {
        flag: "--log-format", form: Value("text|json"), default: Is("text"),
        help: "Format of log lines, `text` or `json`",
        compat: Added,
    }
}
heading "Accepted without effect", render: false {
    ENABLE_GZIP_ENCODING: Single<bool> = parse::switch, {
        flag: "--enable-gzip-encoding", key: Some("enable_gzip_encoding"),
        form: Switch, default: Is("true"), reload: Live,
        help: "No effect: responses are always compressed for clients that accept gzip",
        compat: NoEffect("clients that accept gzip always get gzip"),
    }
    AUTO_GOMEMLIMIT: Single<bool> = parse::switch, {
        flag: "--auto-gomemlimit", key: Some("auto-gomemlimit"), form: Switch, reload: Live,
        help: "No effect: the exporter has no garbage collector",
        compat: NoEffect("there is no garbage collector to limit"),
    }
    AUTO_GOMEMLIMIT_RATIO: Single<f64> = parse::ratio, {
        flag: "--auto-gomemlimit-ratio", key: Some("auto-gomemlimit-ratio"),
        form: Value("RATIO"), default: Is("0.9"), reload: Live,
        help: "No effect: the exporter has no garbage collector",
        compat: NoEffect("there is no garbage collector to limit; with `--auto-gomemlimit`, the ratio is \
            checked"),
    }
    _: Single<bool> = parse::switch, {
        flag: "--logtostderr", form: Switch, default: Is("true"), help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--alsologtostderr", form: Switch, hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--alsologtostderrthreshold", form: Value("LEVEL"), hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--stderrthreshold", form: Value("LEVEL"), hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--legacy_stderr_threshold_behavior", form: Switch, hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--log_dir", form: Value("DIR"), help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--log_file", form: Value("FILE"), help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--log_file_max_size", form: Value("MB"), hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--log_backtrace_at", form: Value("FILE:LINE"), hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--add_dir_header", form: Switch, hidden: true, help: ONE_FORMAT, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--skip_headers", form: Switch, hidden: true, help: ONE_FORMAT, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--skip_log_headers", form: Switch, hidden: true, help: ONE_FORMAT, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<bool> = parse::switch, {
        flag: "--one_output", form: Switch, hidden: true, help: ALWAYS_STDERR, compat: NoEffect(STANDARD_ERROR),
    }
    _: Single<String> = parse::text, {
        flag: "--vmodule", form: Value("PATTERN=LEVEL"),
        help: "No effect: the verbosity is the same for all files; use -v",
        compat: NoEffect("use `-v`, or a `PUT` request to `/debug/log-level`"),
    }
}
}

const ALWAYS_STDERR: &str = "No effect: log lines always go to standard error";
const ONE_FORMAT: &str = "No effect: log lines have one format";
const STANDARD_ERROR: &str =
    "log lines always go to standard error; `--log-format` sets their format";

fn default_resources() -> String {
    let (on, all) = (BuiltIn::defaults().count(), BuiltIn::ALL.len());
    format!("{on} of {all}; see `families`")
}

fn default_handover() -> String {
    "with --pod, until all replicas are ready, but at least 30s; otherwise 0".to_owned()
}
