//! Tests how the exporter reads and merges flags and the options file.

use std::collections::BTreeSet;

use clap::{Args, Command, FromArgMatches};

use super::custom_resources::CustomResources;
use super::row::{Compat, Reload};
use super::*;

fn flags(line: &str) -> Flags {
    let command = Flags::augment_args(Command::new("exporter").args_override_self(true));
    let args = ["exporter"].into_iter().chain(line.split_whitespace());
    Flags::from_arg_matches(&command.get_matches_from(args)).unwrap()
}

fn options(line: &str) -> Options {
    Options::new(&flags(line), None).unwrap().0
}

fn with_file(line: &str, yaml: &str) -> Result<(Options, Vec<String>), String> {
    let path = Path::new("o.yaml");
    let file = OptionsFile::parse(path, yaml).unwrap();
    Options::new(&flags(line), Some((path, &file))).map_err(|error| error.to_string())
}

fn error(line: &str) -> String {
    Options::new(&flags(line), None).unwrap_err().to_string()
}

fn warnings(line: &str) -> Vec<String> {
    Options::new(&flags(line), None).unwrap().1
}

#[test]
fn defaults_are_the_reference_s() {
    let options = options("");
    let defaults = kube_state_metrics::BuiltIn::defaults().count();
    assert_eq!(options.metrics.resources.len(), defaults);
    assert_eq!(
        options.server.main,
        Address {
            host: "::".into(),
            port: 8080
        }
    );
    assert_eq!(
        options.server.telemetry,
        Address {
            host: "::".into(),
            port: 8081
        }
    );
    let limits = options.server.limits;
    let seconds = [
        limits.read_header,
        limits.read,
        limits.write,
        limits.idle,
        limits.progress,
    ];
    assert_eq!(
        seconds.map(|limit| limit.unwrap().as_secs()),
        [5, 60, 60, 300, 10]
    );
    assert_eq!(options.source.object_limit, 0);
    assert_eq!(warnings(""), Vec::<String>::new());
}

#[test]
fn the_file_wins_and_what_it_does_not_say_is_the_flag_s() {
    let (options, warnings) = with_file(
        "--port 1 --resources pods --namespaces a --metric-denylist x --shard 1 --total-shards 3",
        "port: 2\nresources: {}\nnamespaces: [b, ' c ']\nmetric_denylist: {y: {}}\nnew: 1\n\
         labels_allow_list: {pods: [team]}\ncustom_resource_config_file: /none/old.yaml\n\
         continue_without_custom_resource_state_config_file: true\n",
    )
    .unwrap();
    assert_eq!(options.server.main.port, 2);
    assert_eq!(options.metrics.resources, ["pods"]);
    assert_eq!(options.metrics.namespaces, ["b", "c"]);
    assert_eq!(options.metrics.deny, ["y"]);
    assert!(options.metrics.labels.for_resource("pods").matches("team"));
    assert_eq!(
        (options.metrics.shard.index(), options.metrics.shard.total()),
        (1, 3)
    );
    let source = options.metrics.custom.file.unwrap();
    assert_eq!(source.path, Path::new("/none/old.yaml"));
    assert_eq!(
        warnings,
        [
            "the key `custom_resource_config_file` is old; use `custom_resource_state_config_file`",
            "o.yaml: `custom_resource_state_config_file`: /none/old.yaml does not exist; its metrics appear \
             once it exists",
            "o.yaml: there is no option `new`; the key is ignored",
        ]
    );
}

#[test]
fn a_server_with_a_password_is_refused_and_not_quoted() {
    for url in [
        "https://user:SECRET@host",
        "user:SECRET@host:1",
        "https://user:SE/CRET@host",
        "ftp://SECRET@host",
    ] {
        let error = error(&format!("--apiserver {url}"));
        let problem =
            "--apiserver: the URL has a user name or a password, which the exporter does not send";
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("SE"), "{error}");
    }
}

#[test]
fn all_problems_are_told_at_once_each_with_its_flag_and_a_cure() {
    let error = error(
        "--port abc --telemetry-port 70000 --server-read-timeout 5 --shard 3 --total-shards 2 \
         --resources pod --metric-allowlist ( --metric-labels-allowlist pods=team -v x \
         --metric-annotations-allowlist pod=[a] --auth-filter=maybe --apiserver ftp://host",
    );
    let expected = [
        "11 problems with the options:",
        "--shard 3, --total-shards 2: shard 3 of 2 does not exist",
        "--resources: there is no resource `pod` (did you mean `pods`?); available: certificatesigningrequests, ",
        "--metric-labels-allowlist: misplaced `=` at character 5",
        "--apiserver: `ftp://host` is not a URL; write `https://HOST:PORT`",
        "--port: `abc` is not a port; give a number from 0 to 65535",
        "--telemetry-port: `70000` is not a port",
        "--auth-filter: `maybe` is neither `true` nor `false`",
        "--server-read-timeout: `5` is not a duration; give a number with a unit, such as `300ms`",
        "-v: `x` is not a whole number",
        "--metric-annotations-allowlist: unknown resource `pod` (did you mean `pods`?); use `*` for all",
        "--metric-allowlist: the metric allowlist has an item that is not a regular expression, `(`",
    ];
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in\n{error}");
    }
    let error = with_file("", "port: abc").unwrap_err();
    assert_eq!(
        error,
        "o.yaml: `port`: the value is not a port; give a number from 0 to 65535"
    );
    let most = options("--object-limit=9223372036854775807").source;
    assert_eq!(most.object_limit, i64::MAX.unsigned_abs());
    let error = with_file("", "object_limit: -1").unwrap_err();
    assert_eq!(
        error,
        "o.yaml: `object_limit`: the value is not a number from 0 to 9223372036854775807"
    );
}

#[test]
fn allow_and_deny_lists_exclude_each_other_wherever_they_are_from() {
    assert!(error("--metric-allowlist a --metric-denylist b").contains("keep only one of them"));
    let error = with_file("--metric-allowlist a", "metric_denylist: {b: }").unwrap_err();
    assert!(error.contains("keep only one of them"), "{error}");
}

#[test]
fn options_without_effect_are_explained() {
    let warned = |line: &str, text: &str| {
        let warnings = warnings(line);
        assert!(
            warnings.len() == 1 && warnings[0].contains(text),
            "{line}: {warnings:?}"
        );
    };
    warned(
        "--enable-gzip-encoding=false",
        "clients that accept gzip always get gzip",
    );
    warned("--auto-gomemlimit", "there is no garbage collector");
    warned("--logtostderr=false", "go to standard error");
    warned("--log_file=x", "go to standard error");
    warned("--vmodule=x=1", "use `-v`");
    warned("--pod a", "--pod and --pod-namespace");
    warned(
        "--manifests a --node b",
        "--node: no effect with --manifests",
    );
    warned("--custom-resource-state-only", "there will be no metrics");
    warned(
        "--metric-labels-allowlist pods=[a,*]",
        "`*` allows every key",
    );
    for quiet in [
        "--enable-gzip-encoding",
        "--logtostderr",
        "--auto-gomemlimit-ratio=7",
    ] {
        assert_eq!(warnings(quiet), Vec::<String>::new(), "{quiet}");
    }
    assert!(error("--auto-gomemlimit --auto-gomemlimit-ratio=7").contains("at most 1"));
}

#[test]
fn each_shard_has_a_lease_of_its_own() {
    let lease = |line: &str| {
        options(&format!("--ha {line}"))
            .high_availability
            .unwrap()
            .lease_name
    };
    assert_eq!(lease(""), "kube-state-metrics");
    assert_eq!(
        lease("--shard 1 --total-shards 2"),
        "kube-state-metrics-shard-1"
    );
    assert_eq!(
        lease("--pod ksm-3 --pod-namespace a"),
        "kube-state-metrics-shard-3"
    );
    // For the subcommand `rbac`, users copy the placeholder for the name of the pod from the pod template.
    assert_eq!(
        lease("--pod $(POD_NAME) --pod-namespace a"),
        "kube-state-metrics-shard-0"
    );
    assert_eq!(lease("--shard 1 --total-shards 2 --ha-lease-name x"), "x");
    // Replicas with `--track-unscheduled-pods` run in addition to other replicas, so they need a separate Lease.
    assert_eq!(
        lease("--track-unscheduled-pods"),
        "kube-state-metrics-unscheduled-pods"
    );
    assert_eq!(
        lease("--track-unscheduled-pods --shard 1 --total-shards 2"),
        "kube-state-metrics-unscheduled-pods-shard-1"
    );
    let ha = options("--ha --ha-identity a --ha-lease-duration 30s --ha-on-outage silent");
    let ha = ha.high_availability.unwrap();
    assert_eq!((&*ha.identity, ha.namespace), ("a", None));
    assert_eq!(
        (ha.lease_duration.as_secs(), ha.on_outage),
        (30, OnOutage::Silent)
    );
    let defaults = options("--ha").high_availability.unwrap();
    assert_eq!(
        (defaults.lease_duration.as_secs(), defaults.on_outage),
        (15, OnOutage::Keep)
    );
    assert!(!defaults.identity.is_empty());
    assert_eq!(options("--ha-identity a").high_availability, None);
}

#[test]
fn high_availability_needs_a_cluster_and_several_replicas() {
    assert!(error("--ha --manifests a").contains("--ha needs an API server"));
    assert!(error("--ha --node a").contains("each node has one exporter"));
    for wrong in ["2s", "1h", "15"] {
        assert!(
            error(&format!("--ha --ha-lease-duration {wrong}")).contains("duration"),
            "{wrong}"
        );
    }
    assert!(error("--ha-on-outage x").contains("is neither `keep` nor `silent`"));
}

#[test]
fn both_ports_must_differ() {
    assert!(error("--port 8081").contains("give one of them another port"));
    assert_eq!(options("--port 0 --telemetry-port 0").server.main.port, 0);
    assert_eq!(
        options("--port 8081 --telemetry-host 127.0.0.1")
            .server
            .main
            .port,
        8081
    );
}

/// The path of an existing configuration of custom resources.
const CRS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/custom_resources/argo-cd.yaml"
);
const CRS_FLAG: &str = concat!(
    "--custom-resource-state-config-file=",
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/custom_resources/argo-cd.yaml"
);

/// Every key of the options file, with a value, a flag that has the same effect, and an invalid value.
const KEYS: &[(&str, &str, &str, Option<&str>)] = &[
    (
        "annotations_allow_list",
        "{pods: [a]}",
        "--metric-annotations-allowlist=pods=[a]",
        None,
    ),
    (
        "apiserver",
        "https://a:1",
        "--apiserver=https://a:1",
        Some("ftp://a"),
    ),
    ("audit_interval", "2s", "--audit-interval=2s", Some("x")),
    ("auth_filter", "true", "--auth-filter", Some("x")),
    (
        "auth_filter_grace",
        "2s",
        "--auth-filter-grace=2s",
        Some("x"),
    ),
    (
        "auth_filter_timeout",
        "3s",
        "--auth-filter-timeout=3s",
        Some("x"),
    ),
    ("auto-gomemlimit", "true", "--auto-gomemlimit", Some("x")),
    (
        "auto-gomemlimit-ratio",
        "0.5",
        "--auto-gomemlimit-ratio=0.5",
        None,
    ),
    (
        "continue_without_config",
        "true",
        "--continue-without-config",
        None,
    ),
    (
        "continue_without_custom_resource_state_config_file",
        "true",
        "--continue-without-custom-resource-state-config-file",
        Some("x"),
    ),
    (
        "custom_resource_config",
        "'{\"spec\":{\"resources\":[]}}'",
        "--custom-resource-state-config={\"spec\":{\"resources\":[]}}",
        None,
    ),
    ("custom_resource_config_file", CRS, CRS_FLAG, None),
    (
        "custom_resource_kind_limit",
        "5",
        "--custom-resource-kind-limit=5",
        Some("x"),
    ),
    ("custom_resource_state_config_file", CRS, CRS_FLAG, None),
    (
        "custom_resources_only",
        "true",
        "--custom-resource-state-only",
        Some("x"),
    ),
    (
        "enable_gzip_encoding",
        "false",
        "--enable-gzip-encoding=false",
        Some("x"),
    ),
    (
        "expression_cost_limit",
        "5",
        "--expression-cost-limit=5",
        Some("x"),
    ),
    (
        "feed_buffer_limit",
        "1Mi",
        "--feed-buffer-limit=1MiB",
        Some("x"),
    ),
    (
        "forget_forbidden_after",
        "2s",
        "--forget-forbidden-after=2s",
        Some("x"),
    ),
    ("host", "127.0.0.1", "--host=127.0.0.1", None),
    (
        "join_labels",
        "{pods: [namespace/team, self/a=b]}",
        "--join-labels=pods=[namespace/team,self/a=b]",
        None,
    ),
    ("kubeconfig", "a", "--kubeconfig=a", None),
    ("label_limit", "5", "--label-limit=5", Some("-5")),
    (
        "labels_allow_list",
        "{pods: [a, b]}",
        "--metric-labels-allowlist=pods=[a,b]",
        None,
    ),
    ("list_deadline", "2s", "--list-deadline=2s", Some("x")),
    ("list_object_limit", "5", "--list-object-limit=5", Some("x")),
    ("manifests", "[a, b]", "--manifests=a,b", None),
    ("max_answers", "3", "--max-answers=3", Some("0")),
    ("max_connections", "3", "--max-connections=3", Some("-1")),
    (
        "metric_allowlist",
        "{a: , b: {}}",
        "--metric-allowlist=a,b",
        None,
    ),
    ("metric_denylist", "{a: {}}", "--metric-denylist=a", None),
    (
        "metric_opt_in_list",
        "{a: {}}",
        "--metric-opt-in-list=a",
        None,
    ),
    ("namespace", "a", "--pod-namespace=a", None),
    ("namespaces", "[a, b]", "--namespaces=a,b", None),
    (
        "namespaces_denylist",
        "[a]",
        "--namespaces-denylist=a",
        None,
    ),
    ("no_watchlist", "true", "--no-watchlist", Some("x")),
    ("node", "a", "--node=a", None),
    ("object_limit", "5", "--object-limit=5", Some("-5")),
    (
        "object_size_limit",
        "5",
        "--object-size-limit=5",
        Some("16MB"),
    ),
    ("pod", "a", "--pod=a", None),
    ("port", "1", "--port=1", Some("99999")),
    ("readiness", "strict", "--readiness=strict", Some("lax")),
    (
        "readiness_deadline",
        "2s",
        "--readiness-deadline=2s",
        Some("x"),
    ),
    ("resources", "{pods: {}}", "--resources=pods", None),
    ("sample_limit", "5", "--sample-limit=5", Some("x")),
    (
        "server_idle_timeout",
        "2s",
        "--server-idle-timeout=2s",
        Some("5"),
    ),
    (
        "server_progress_timeout",
        "2s",
        "--server-progress-timeout=2s",
        Some("5"),
    ),
    (
        "server_read_header_timeout",
        "2s",
        "--server-read-header-timeout=2s",
        Some("5"),
    ),
    (
        "server_read_timeout",
        "2s",
        "--server-read-timeout=2s",
        Some("x"),
    ),
    (
        "server_side_sharding",
        "true",
        "--server-side-sharding --total-shards=2",
        Some("x"),
    ),
    (
        "server_write_timeout",
        "2s",
        "--server-write-timeout=2s",
        Some("s"),
    ),
    ("shard", "1", "--shard=1 --total-shards=2", Some("-1")),
    ("shard_handover", "2s", "--shard-handover=2s", Some("5")),
    (
        "telemetry_debug",
        "open",
        "--telemetry-debug=open",
        Some("closed"),
    ),
    (
        "telemetry_host",
        "127.0.0.1",
        "--telemetry-host=127.0.0.1",
        None,
    ),
    ("telemetry_port", "1", "--telemetry-port=1", Some("x")),
    ("text_limit", "1Mi", "--text-limit=1MiB", Some("x")),
    ("tls_config", "a", "--tls-config=a", None),
    ("total_shards", "2", "--total-shards=2", Some("x")),
    (
        "track_unscheduled_pods",
        "true",
        "--track-unscheduled-pods",
        Some("x"),
    ),
    (
        "use_api_server_cache",
        "true",
        "--use-apiserver-cache",
        Some("x"),
    ),
    ("wire", "json", "--wire=json", Some("x")),
];

#[test]
fn keys_of_the_file_do_what_the_flags_do() {
    let keys: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys, file::keys(), "every key has a line here");
    // Some options are valid only together with another option, which this flag sets.
    let beside = |key: &str| match key {
        "shard" | "server_side_sharding" => "--total-shards=2",
        _ => "",
    };
    // This option has two keys, and the old key causes a warning.
    let old = |warning: &String| !warning.contains("`custom_resource_config_file` is old");
    for (key, value, flag, _) in KEYS {
        let by_file = with_file(beside(key), &format!("{key}: {value}\n"));
        let (by_file, mut warnings) = by_file.unwrap_or_else(|error| panic!("{key}: {error}"));
        let (by_flag, expected) = Options::new(&flags(flag), None).unwrap();
        warnings.retain(old);
        assert_eq!((by_file, warnings), (by_flag, expected), "{key}");
    }
}

#[test]
fn a_changed_value_takes_effect_as_the_table_says() {
    for (key, value, ..) in KEYS {
        let row = table::TABLE
            .iter()
            .find(|row| row.keys().any(|known| known == *key));
        let row = row.unwrap();
        // Some options have an effect only together with another option, which this flag sets.
        let beside = match *key {
            "shard" | "server_side_sharding" => "--total-shards=2",
            "pod" => "--pod-namespace=b",
            "namespace" => "--pod=b",
            _ => "",
        };
        let (before, _) = with_file(beside, "").unwrap();
        let (after, _) = with_file(beside, &format!("{key}: {value}\n")).unwrap();
        let is_moved = before.server.main != after.server.main
            || before.server.telemetry != after.server.telemetry;
        let reload = if before.metrics != after.metrics || before.source != after.source {
            Reload::NewInstance
        } else if is_moved {
            Reload::NewListener
        } else if before.server != after.server {
            Reload::Live
        } else {
            // The exporter uses this option only while it reads files, or the option has no effect. So the options
            // structs do not contain it.
            let is_kept = !key.starts_with("continue_without");
            assert!(
                !is_kept || matches!(row.compat, Compat::NoEffect(_)),
                "{key}"
            );
            continue;
        };
        assert_eq!(row.reload, reload, "{key}");
    }
    for row in table::TABLE.iter().filter(|row| row.key.is_none()) {
        assert_eq!(row.reload, Reload::Restart, "{}", row.flag);
    }
}

#[test]
fn each_option_has_names_of_its_own_and_a_sentence_of_help() {
    let flags: BTreeSet<_> = table::TABLE.iter().map(|row| row.flag).collect();
    assert_eq!(flags.len(), table::TABLE.len());
    let keys: BTreeSet<_> = file::keys().into_iter().collect();
    assert_eq!(keys.len(), file::keys().len());
    for row in table::TABLE {
        let is_sentence = row.help.starts_with(|c: char| c.is_uppercase())
            && !row.help.ends_with('.')
            && !row.help.contains(". ");
        assert!(is_sentence, "{}: {}", row.flag, row.help);
    }
}

#[test]
fn a_wrong_value_is_told_with_its_flag_or_key() {
    for (key, _, flag, wrong) in KEYS {
        let Some(wrong) = wrong else { continue };
        let flag = flag.split(['=', ' ']).next().unwrap();
        let beside = match *key {
            "shard" => " --total-shards=2",
            _ => "",
        };
        let message = error(&format!("{flag}={wrong}{beside}"));
        assert!(
            message.starts_with(&format!("{flag}: `{wrong}` is ")),
            "{message}"
        );
        let message = with_file(beside, &format!("{key}: {wrong}\n")).unwrap_err();
        assert!(
            message.starts_with(&format!("o.yaml: `{key}`: the value is ")),
            "{message}"
        );
    }
}

#[test]
fn a_key_without_a_value_is_a_warning() {
    let (_, warnings) = with_file(
        "--namespaces-denylist a",
        "port: 1\nnamespaces_denylist:\nenable_gzip_encoding:\n",
    )
    .unwrap();
    let expected = "o.yaml: `namespaces_denylist`: it has no value, so `--namespaces-denylist` or its default applies";
    assert_eq!(warnings, [expected]);
}

#[test]
fn a_configuration_of_custom_resources_is_read_with_the_options() {
    let config = "spec: {resources: [{groupVersionKind: {group: acme.dev, version: v1, kind: Widget}, extra: 1}]}";
    let file = &table::CUSTOM_RESOURCE_STATE_CONFIG_FILE.row;
    let inline = inline(config).with(file, "/none/ignored.yaml");
    let (options, warnings) = Options::new(&inline, None).unwrap();
    assert!(options.metrics.custom.config.is_some());
    assert_eq!(options.metrics.custom.file, None);
    assert_eq!(
        warnings,
        [
            "--custom-resource-state-config-file has no effect: --custom-resource-state-config takes \
             precedence; remove one of the two",
            "--custom-resource-state-config: line 1: spec.resources[0].extra: unknown key; it is \
             ignored (resource acme.dev/v1 Widget)",
        ]
    );
    // The configuration in the options file takes precedence over the flag.
    let path = Path::new("o.yaml");
    let file = OptionsFile::parse(path, "custom_resource_config: 'spec: {resources: []}'").unwrap();
    let (options, warnings) = Options::new(&inline, Some((path, &file))).unwrap();
    assert!(options.metrics.custom.config.is_some());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        options_of_custom("--custom-resource-state-config=")
            .config
            .is_none()
    );
}

/// Returns flags that set a configuration of custom resources.
fn inline(config: &str) -> Flags {
    Flags::default().with(&table::CUSTOM_RESOURCE_STATE_CONFIG.row, config)
}

fn options_of_custom(line: &str) -> CustomResources {
    options(line).metrics.custom
}

#[test]
fn all_that_is_wrong_with_a_configuration_of_custom_resources_is_told_with_the_rest() {
    let message = error("--port=x --custom-resource-state-config-file=/none/crs.yaml");
    assert!(
        message.starts_with("2 problems with the options:")
            && message.contains(
                "--custom-resource-state-config-file: /none/crs.yaml does not exist; create it, or give \
                 --continue-without-custom-resource-state-config-file"
            ),
        "{message}"
    );
    let config = "spec:\n  resources:\n  - groupVersionKind: {group: acme.dev}\n    metrics:\n    - {name: a-b}\n";
    let message = Options::new(&inline(config), None).unwrap_err().to_string();
    assert!(
        message.starts_with(
            "2 problems with the options:\n  --custom-resource-state-config: line 5: \
                             spec.resources[0].metrics[0].name: `kube_customresource_a-b`"
        ),
        "{message}"
    );
}

/// A broken file can have an unknown key in each line. A message for each of them would fill the log.
#[test]
fn only_the_first_messages_about_a_file_are_logged() {
    let keys = |end: &str| -> String { (0..83).map(|key| format!("k{key:02}: {end}\n")).collect() };
    let config = format!("spec: {{resources: []}}\n{}", keys("a"));
    let (_, warnings) = Options::new(&inline(&config), None).unwrap();
    assert_eq!(warnings.len(), 21, "{warnings:?}");
    assert_eq!(
        warnings[20],
        "--custom-resource-state-config: 63 more such messages; `kube-state-metrics check FILE` shows more of them"
    );
    let config = format!("spec:\n  resources:\n{}", "  - a\n".repeat(83));
    let message = Options::new(&inline(&config), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("21 problems with the options:"),
        "{message}"
    );
    let path = Path::new("o.yaml");
    let text = format!("port: 1\n{}: a\n{}", "long".repeat(200), keys("a"));
    let file = OptionsFile::parse(path, &text).unwrap();
    let (_, warnings) = Options::new(&Flags::default(), Some((path, &file))).unwrap();
    assert_eq!(warnings.len(), 21, "{warnings:?}");
    assert_eq!(warnings[20], "o.yaml: 64 more such messages");
    let longest = file.unknown.iter().map(String::len).max();
    assert_eq!(longest, Some(103));
}

#[test]
fn a_family_that_differs_from_a_built_in_one_is_a_warning() {
    let config = "spec:\n  resources:\n  - groupVersionKind: {group: acme.dev}\n    metricNamePrefix: kube\n    metrics:\n    - {name: pod_info, each: {type: Gauge, gauge: {path: [a]}}}\n";
    let (_, warnings) = Options::new(&inline(config), None).unwrap();
    let start = "--custom-resource-state-config: line 6: spec.resources[0].metrics[0]: the family \
                 `kube_pod_info` of pods has a different help text";
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with(start), "{warnings:?}");
}

#[test]
fn of_the_first_configuration_only_the_families_that_have_errors_are_left_out() {
    let config = |size: &str| {
        format!(
            "spec:\n  resources:\n  - groupVersionKind: {{group: acme.dev}}\n    metrics:\n    \
             - {{name: {size}, each: {{type: Gauge, gauge: {{path: [a]}}}}}}\n    \
             - {{name: a-b, each: {{type: Gauge, gauge: {{path: [a]}}}}}}\n"
        )
    };
    let lenient = |config: &str| {
        inline(config).with(
            &table::CONTINUE_WITHOUT_CUSTOM_RESOURCE_STATE_CONFIG_FILE.row,
            "true",
        )
    };
    assert!(Options::new(&inline(&config("size")), None).is_err());
    let (running, warnings) = Options::new(&lenient(&config("size")), None).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("`kube_customresource_a-b`")
            && warnings[0].contains("; the family is left out"),
        "{warnings:?}"
    );
    let families = running.metrics.custom.config.as_ref().unwrap();
    assert!(
        families
            .config
            .family_names()
            .eq(["kube_customresource_size"])
    );
    // If the first configuration appears during a reload, the same rules apply as at startup.
    let (without, _) = Options::new(&Flags::default(), None).unwrap();
    let (later, warnings) = without.reload(&lenient(&config("size")), None).unwrap();
    assert_eq!(
        (later.metrics, warnings.len()),
        (running.metrics.clone(), 1)
    );
    // The configuration in use has an error. A reload that does not change this configuration must succeed
    // nevertheless.
    let (same, _) = running.reload(&lenient(&config("size")), None).unwrap();
    assert_eq!(same.metrics, running.metrics);
    let error = running
        .reload(&lenient(&config("other")), None)
        .unwrap_err();
    assert!(
        error.to_string().contains("`kube_customresource_a-b`"),
        "{error}"
    );
}

#[test]
fn of_many_problems_only_the_first_are_listed() {
    let keys = |end: &str| -> String { (0..60_000).map(|key| format!("k{key}{end}, ")).collect() };
    for (text, last) in [
        (
            format!("labels_allow_list: {{{}}}", keys(": ['*']")),
            "--metric-labels-allowlist: 59980 more such messages",
        ),
        (
            format!("resources: {{{}}}", keys(": {}")),
            "o.yaml: `resources`: 59980 more such messages",
        ),
        (
            format!("join_labels: {{pods: [{}]}}", keys("")),
            "o.yaml: `join_labels`: 59980 more such messages",
        ),
    ] {
        let error = with_file("", &text).unwrap_err();
        assert!(error.len() < 40_000, "{last}: {}", error.len());
        assert!(error.contains(last), "{last}: {error}");
    }
}

#[test]
fn names_that_no_namespace_can_have_are_errors() {
    let cure = "is not the name of a namespace; give at most 63 lower-case letters, digits and `-`, with a letter or a digit \
                at both ends";
    let long = "a".repeat(64);
    for flag in ["--namespaces", "--namespaces-denylist"] {
        for wrong in ["Shop", "a/b", "a.b", "*", &long] {
            let message = error(&format!("{flag}=kube-system,{wrong}"));
            assert_eq!(message, format!("{flag}: `{wrong}` {cure}"));
        }
        let key = flag[2..].replace('-', "_");
        let message = with_file("", &format!("{key}: [a, 'a b']\n")).unwrap_err();
        assert_eq!(message, format!("o.yaml: `{key}`: `a b` {cure}"));
    }
    // Empty items have no effect. The subcommand `rbac` accepts variables of a pod template.
    let options = options("--namespaces=a,,$(POD_NAMESPACE) --namespaces-denylist=,");
    assert_eq!(options.metrics.namespaces, ["a", "$(POD_NAMESPACE)"]);
    assert_eq!(options.metrics.denied_namespaces, [""; 0]);
}

#[test]
fn only_the_first_wrong_names_of_namespaces_are_logged() {
    let names: Vec<_> = (0..83).map(|number| format!("N{number}")).collect();
    let message = error(&format!("--namespaces={}", names.join(",")));
    assert!(
        message.starts_with("21 problems with the options:"),
        "{message}"
    );
    assert!(
        message.ends_with("--namespaces: 63 more such messages"),
        "{message}"
    );
}
