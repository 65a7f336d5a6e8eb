//! Checks that every flag has a test of its effect. A table names the tests. The test of this module compares the table
//! with the flags of the exporter.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use super::support::{CLUSTER, Exporter, eventually_or, get, run};

/// Each flag, with the name of a test that fails if the flag has no effect.
const TABLE: &[(&str, &str)] = &[
    (
        "--apiserver",
        "the_api_server_is_that_of_the_flag_or_of_the_kubeconfig",
    ),
    ("--audit-interval", "resources_are_audited_at_the_interval"),
    ("--auth-filter", "only_who_may_read_gets_data"),
    (
        "--auth-filter-grace",
        "a_verdict_holds_for_the_grace_while_the_api_server_does_not_answer",
    ),
    (
        "--auth-filter-timeout",
        "a_review_that_hangs_takes_as_long_as_the_flag_says",
    ),
    (
        "--auto-gomemlimit",
        "flags_without_effect_say_so_and_change_nothing",
    ),
    (
        "--auto-gomemlimit-ratio",
        "options_without_effect_are_explained",
    ),
    ("--config", "a_changed_config_is_used_without_an_outage"),
    (
        "--continue-without-config",
        "a_missing_config_is_an_error_unless_it_may_come_later",
    ),
    (
        "--continue-without-custom-resource-state-config-file",
        "a_file_that_is_missing_may_come_later",
    ),
    (
        "--custom-resource-kind-limit",
        "kinds_beyond_the_limit_are_left_out_and_named",
    ),
    (
        "--custom-resource-state-config",
        "each_source_of_a_configuration_is_evaluated",
    ),
    (
        "--custom-resource-state-config-file",
        "each_source_of_a_configuration_is_evaluated",
    ),
    (
        "--custom-resource-state-only",
        "custom_resources_only_means_no_built_in_ones",
    ),
    (
        "--enable-gzip-encoding",
        "clients_that_accept_gzip_get_it_whatever_the_flag_says",
    ),
    (
        "--expression-cost-limit",
        "an_expression_that_costs_too_much_is_cut_and_named",
    ),
    (
        "--feed-buffer-limit",
        "objects_and_buffers_have_the_sizes_of_the_flags",
    ),
    (
        "--forget-forbidden-after",
        "objects_of_a_forbidden_resource_are_forgotten_in_time",
    ),
    ("--ha", "rollouts_lose_and_double_no_series"),
    (
        "--ha-identity",
        "a_lease_says_who_leads_and_a_standby_serves_no_objects",
    ),
    (
        "--ha-lease-duration",
        "a_lease_says_who_leads_and_a_standby_serves_no_objects",
    ),
    (
        "--ha-lease-name",
        "a_lease_says_who_leads_and_a_standby_serves_no_objects",
    ),
    (
        "--ha-namespace",
        "a_lease_says_who_leads_and_a_standby_serves_no_objects",
    ),
    (
        "--ha-on-outage",
        "a_leader_without_the_api_server_serves_on_or_stops",
    ),
    ("--help", "flag_errors_go_to_standard_error_and_exit_with_1"),
    ("--host", "hosts_and_ports_choose_where_it_listens"),
    ("--join-labels", "joined_labels_come_from_other_objects"),
    (
        "--kubeconfig",
        "the_api_server_is_that_of_the_flag_or_of_the_kubeconfig",
    ),
    (
        "--label-limit",
        "limits_leave_out_samples_and_labels_and_say_so",
    ),
    (
        "--list-deadline",
        "a_streaming_list_without_an_end_is_replaced_by_pages",
    ),
    (
        "--list-object-limit",
        "a_list_with_more_objects_than_the_limit_fails",
    ),
    (
        "--log-format",
        "log_lines_are_json_on_request_and_more_with_v",
    ),
    (
        "--manifests",
        "files_that_are_created_edited_and_deleted_are_followed",
    ),
    (
        "--max-answers",
        "one_answer_too_many_cuts_the_one_longest_without_progress",
    ),
    (
        "--max-connections",
        "one_connection_too_many_closes_the_quietest",
    ),
    ("--metric-allowlist", "lists_of_metrics_choose_families"),
    (
        "--metric-annotations-allowlist",
        "allowlists_show_labels_and_annotations",
    ),
    ("--metric-denylist", "lists_of_metrics_choose_families"),
    (
        "--metric-labels-allowlist",
        "allowlists_show_labels_and_annotations",
    ),
    ("--metric-opt-in-list", "lists_of_metrics_choose_families"),
    (
        "--namespaces",
        "resources_and_namespaces_choose_what_is_watched",
    ),
    (
        "--namespaces-denylist",
        "resources_and_namespaces_choose_what_is_watched",
    ),
    ("--no-watchlist", "lists_are_asked_for_as_the_flags_say"),
    (
        "--node",
        "node_mode_selects_pods_and_leaves_other_namespaced_kinds_out",
    ),
    ("--object-limit", "lists_are_asked_for_as_the_flags_say"),
    (
        "--object-size-limit",
        "objects_and_buffers_have_the_sizes_of_the_flags",
    ),
    ("--pod", "the_own_pod_tells_the_shard"),
    ("--pod-namespace", "the_own_pod_tells_the_shard"),
    ("--port", "hosts_and_ports_choose_where_it_listens"),
    (
        "--readiness",
        "a_refused_resource_is_named_and_holds_nobody_up_unless_strict",
    ),
    (
        "--readiness-deadline",
        "a_resource_that_fails_holds_readiness_up_until_the_deadline",
    ),
    (
        "--resources",
        "resources_and_namespaces_choose_what_is_watched",
    ),
    (
        "--sample-limit",
        "limits_leave_out_samples_and_labels_and_say_so",
    ),
    ("--server-idle-timeout", "an_idle_connection_is_closed"),
    (
        "--server-progress-timeout",
        "an_answer_that_stands_still_is_cut",
    ),
    (
        "--server-read-header-timeout",
        "a_request_must_come_in_time",
    ),
    ("--server-read-timeout", "a_request_must_come_in_time"),
    ("--server-side-sharding", "shards_divide_the_objects"),
    (
        "--server-write-timeout",
        "an_answer_must_be_written_in_time_however_steadily_it_is_read",
    ),
    ("--shard", "shards_divide_the_objects"),
    (
        "--shard-handover",
        "objects_that_move_are_served_on_for_the_handover",
    ),
    (
        "--telemetry-debug",
        "debug_endpoints_are_for_local_and_authenticated_clients",
    ),
    (
        "--telemetry-host",
        "hosts_and_ports_choose_where_it_listens",
    ),
    (
        "--telemetry-port",
        "hosts_and_ports_choose_where_it_listens",
    ),
    (
        "--text-limit",
        "limits_leave_out_samples_and_labels_and_say_so",
    ),
    ("--tls-config", "both_ports_speak_tls_and_tell_who_does_not"),
    ("--total-shards", "shards_divide_the_objects"),
    (
        "--track-unscheduled-pods",
        "node_mode_selects_pods_and_leaves_other_namespaced_kinds_out",
    ),
    (
        "--use-apiserver-cache",
        "lists_are_asked_for_as_the_flags_say",
    ),
    ("--v", "log_lines_are_json_on_request_and_more_with_v"),
    ("--version", "version_prints_six_lines"),
    (
        "--wire",
        "objects_are_requested_in_the_encoding_of_the_flag",
    ),
];

/// The log flags of kube-state-metrics. In this exporter, only `--v` has an effect.
const LOGS: &[&str] = &[
    "--add_dir_header=true",
    "--alsologtostderr=true",
    "--alsologtostderrthreshold=2",
    "--legacy_stderr_threshold_behavior=false",
    "--log_backtrace_at=a.go:1",
    "--log_dir=/tmp",
    "--log_file=/no/such/file",
    "--log_file_max_size=1",
    "--logtostderr=false",
    "--one_output=true",
    "--skip_headers=true",
    "--skip_log_headers=true",
    "--stderrthreshold=2",
    "--vmodule=a=1",
];

/// Returns the flags that the output of `--help` lists.
fn flags() -> BTreeSet<String> {
    let help = run(&["--help"], "").stdout;
    let lines = help.lines().map(str::trim_start);
    let options = lines.filter(|line| line.starts_with('-'));
    let flags = options.filter_map(|line| {
        let at = line.find("--")?;
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let end = line[at..].find(|c| !name(c)).unwrap_or(line.len() - at);
        Some(line[at..at + end].to_owned())
    });
    flags.collect()
}

/// Appends the text of all Rust files in a directory and in its subdirectories.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_flag_has_a_test_of_its_effect() {
    let tested: BTreeSet<_> = TABLE.iter().map(|(flag, _)| *flag).collect();
    let logs = LOGS.iter().map(|flag| flag.split('=').next().unwrap());
    let logs: BTreeSet<_> = logs.collect();
    for flag in flags() {
        let flag = flag.as_str();
        assert!(
            tested.contains(flag) || logs.contains(flag),
            "{flag} has no test: add one, and a line to the table"
        );
    }
    let mut text = String::new();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&package.join("src"), &mut text);
    sources(&package.join("tests"), &mut text);
    for (flag, test) in TABLE {
        let is_there = text.contains(&format!("#[test]\nfn {test}() {{"))
            || text.contains(&format!("#[test]\n    fn {test}() {{"));
        assert!(is_there, "{flag}: there is no test {test}");
    }
}

#[test]
fn help_is_grouped_and_fits_a_terminal() {
    let help = run(&["--help"], "").stdout;
    for group in [
        "Usage:",
        "Commands:",
        "Metrics:",
        "Custom resources:",
        "Sharding:",
        "Source of objects:",
        "Serving:",
        "Limits:",
        "Options file:",
        "Logging:",
        "Accepted without effect:",
    ] {
        assert!(help.lines().any(|line| line.starts_with(group)), "{group}");
    }
    let longest = help.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "{longest:?}");
}

#[test]
fn flags_without_effect_say_so_and_change_nothing() {
    let plain = Exporter::start(&["--resources=pods"]);
    let memory = ["--auto-gomemlimit", "--enable-gzip-encoding=false"];
    let args = [&["--resources=pods"], &memory[..], LOGS].concat();
    let exporter = Exporter::start(&args);
    assert_eq!(exporter.metrics(""), plain.metrics(""));
    for flag in memory.iter().chain(LOGS) {
        let name = flag.split("=").next().unwrap();
        let told = |line: &str| line.contains(name) && line.contains("has no effect");
        let log = || exporter.log();
        eventually_or(flag, || log().lines().any(told).then_some(()), log);
    }
    assert!(!Path::new("/no/such/file").exists());
}

#[test]
fn lists_of_metrics_choose_families() {
    let shown = |args: &[&str]| {
        let output = run(
            &[&["render", "--resources=pods", CLUSTER], args].concat(),
            "",
        );
        let lines = output.stdout;
        let names = lines
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let all = shown(&[]);
    let phase: BTreeSet<_> = ["kube_pod_status_phase".to_owned()].into();
    assert!(all.is_superset(&phase) && all.len() > 20);
    assert_eq!(
        shown(&["--metric-allowlist=^kube_pod_status_phase$"]),
        phase
    );
    let denied = shown(&["--metric-denylist=_status_ph,nothing"]);
    assert_eq!(&all - &denied, phase);
    let opt_in = run(&["families", "--format=json", "--resource=pods"], "").stdout;
    let families: Vec<serde_json::Value> = serde_json::from_str(&opt_in).unwrap();
    let opt_in: Vec<_> = families
        .iter()
        .filter(|family| family["optIn"] == true)
        .map(|family| family["name"].as_str().unwrap())
        .collect();
    assert!(!opt_in.is_empty() && opt_in.iter().all(|name| !all.contains(*name)));
    let more = shown(&["--metric-opt-in-list=.*"]);
    assert!(more.is_superset(&all) && more.len() > all.len());
    assert!(
        (&more - &all)
            .iter()
            .all(|name| opt_in.contains(&name.as_str()))
    );
}

#[test]
fn allowlists_show_labels_and_annotations() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: b\n  \
               labels: {team: x, app.kubernetes.io/name: 'y'}\n  annotations: {note: z}\n";
    let shown = |args: &[&str], family: &str| {
        let output = run(&[&["render", "--resources=pods", "-"], args].concat(), pod);
        let prefix = format!("{family}{{namespace=\"b\",pod=\"a\",uid=\"\"");
        let lines = output.stdout;
        let line = lines.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map(str::to_owned)
    };
    assert_eq!(shown(&[], "kube_pod_labels"), None);
    let allow = ["--metric-labels-allowlist=pods=[team]"];
    let team = ",label_team=\"x\"} 1";
    assert_eq!(shown(&allow, "kube_pod_labels").as_deref(), Some(team));
    // If a flag is repeated, the last value is used.
    let both = [
        &allow[..],
        &["--metric-labels-allowlist=*=[app.kubernetes.io/*]"],
    ]
    .concat();
    let name = ",label_app_kubernetes_io_name=\"y\"} 1";
    assert_eq!(shown(&both, "kube_pod_labels").as_deref(), Some(name));
    let annotations = ["--metric-annotations-allowlist=pods=[*]"];
    let note = ",annotation_note=\"z\"} 1";
    assert_eq!(
        shown(&annotations, "kube_pod_annotations").as_deref(),
        Some(note)
    );
    assert_eq!(shown(&allow, "kube_pod_annotations"), None);
}

#[test]
fn joined_labels_come_from_other_objects() {
    let objects = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {team: x}}\n---\n\
                   apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b, labels: {tier: web}}\n";
    let render = |args: &[&str]| {
        let args = [
            &[
                "render",
                "--resources=pods",
                "--metric-allowlist=^kube_pod_info$",
                "-",
            ],
            args,
        ];
        run(&args.concat(), objects)
    };
    let joined = render(&["--join-labels=pods=[namespace/team],*=[self/tier=t]"]).stdout;
    let prefix = "kube_pod_info{namespace=\"b\",pod=\"a\",uid=\"\",team=\"x\",t=\"web\",host_ip=";
    assert!(joined.contains(prefix), "{joined}");
    let error = render(&["--join-labels=pods=[namespace/team=node]"]).stderr;
    let message = "--join-labels: the joined label `namespace/team=node` has the name `node`, which is also a label \
                   of `kube_pod_info`";
    assert!(error.contains(message), "{error}");
}

#[test]
fn custom_resources_only_means_no_built_in_ones() {
    for resources in ["pods", "nosuch"] {
        let resources = format!("--resources={resources}");
        let exporter = Exporter::start(&["--custom-resource-state-only", &resources]);
        assert_eq!(exporter.metrics(""), "", "{resources}");
    }
}

#[test]
fn clients_that_accept_gzip_get_it_whatever_the_flag_says() {
    for flag in ["--enable-gzip-encoding", "--enable-gzip-encoding=false"] {
        let exporter = Exporter::start(&["--resources=pods", flag]);
        let accepts = [("accept-encoding", "gzip")];
        let answer = get(&exporter.main, "/metrics", &accepts);
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{flag}");
        assert!(answer.body.starts_with(b"\x1f\x8b"));
        let refuses = [("accept-encoding", "gzip;q=0")];
        let answer = get(&exporter.main, "/metrics", &refuses);
        assert_eq!(answer.header("content-encoding"), None, "{flag}");
    }
}

#[test]
fn hosts_and_ports_choose_where_it_listens() {
    // Other sockets use these ports on 127.0.0.1. So the exporter can start only on another address.
    let taken = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, telemetry] =
        [0, 1].map(|index| taken[index].local_addr().unwrap().port().to_string());
    let exporter = Exporter::spawn(&[
        "--manifests",
        CLUSTER,
        "--host=127.0.0.2",
        "--port",
        &port,
        "--telemetry-host=127.0.0.3",
        "--telemetry-port",
        &telemetry,
    ]);
    assert_eq!(exporter.main, format!("127.0.0.2:{port}"));
    assert_eq!(exporter.telemetry, format!("127.0.0.3:{telemetry}"));
    assert!(exporter.metrics("").contains("kube_pod_info{"));
    let own = exporter.telemetry("/metrics").text();
    assert!(own.contains("kube_state_metrics_build_info{"));
    for listener in &taken {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(
            peer,
            client.local_addr().unwrap(),
            "the test still owns the port"
        );
    }
}
