//! Tests of how flags and options file become options.

use super::*;
use crate::cli::{Cli, ContentFlags};

fn flags(line: &str) -> Flags {
    let args = ["kube-state-metrics"]
        .into_iter()
        .chain(line.split_whitespace());
    Cli::read(args.map(Into::into)).unwrap().flags
}

fn options(line: &str) -> Options {
    Options::new(&flags(line), None).unwrap().0
}

fn with_file(line: &str, yaml: &str) -> Result<(Options, Vec<String>), String> {
    let path = Path::new("o.yaml");
    let file = ConfigFile::parse(path, yaml).unwrap();
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
    assert_eq!(options.content.resources.len(), 32);
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
    assert_eq!(options.content.resources, ["pods"]);
    assert_eq!(options.content.namespaces, ["b", "c"]);
    assert_eq!(options.content.deny, ["y"]);
    assert!(options.content.labels.for_resource("pods").matches("team"));
    assert_eq!(
        (options.content.shard.index(), options.content.shard.total()),
        (1, 3)
    );
    let source = options.content.custom.file.unwrap();
    assert_eq!(source.path, Path::new("/none/old.yaml"));
    assert_eq!(
        warnings,
        [
            "the key `custom_resource_config_file` is old; use `custom_resource_state_config_file`",
            "o.yaml: `custom_resource_state_config_file`: /none/old.yaml is not there; its metrics show \
             once it is",
            "o.yaml: there is no option `new`; the key is ignored",
        ]
    );
}

#[test]
fn all_problems_are_told_at_once_each_with_its_flag_and_a_cure() {
    let error = error(
        "--port abc --telemetry-port 70000 --server-read-timeout 5 --shard 3 --total-shards 2 \
         --resources pod --metric-allowlist ( --metric-labels-allowlist pods=team -v x \
         --metric-annotations-allowlist pod=[a] --auth-filter=maybe --apiserver host",
    );
    let expected = [
        "11 problems with the options:",
        "--shard 3, --total-shards 2: shard 3 does not exist among 2",
        "--resources: there is no resource `pod`; there are certificatesigningrequests, ",
        "--metric-labels-allowlist: misplaced `=` at character 5",
        "--apiserver: `host` is not a URL; write `https://HOST:PORT`",
        "--port: `abc` is not a port; give a number from 0 to 65535",
        "--telemetry-port: `70000` is not a port",
        "--auth-filter: `maybe` is neither `true` nor `false`",
        "--server-read-timeout: `5` is not a duration; give a number with a unit, such as `300ms`",
        "-v: `x` is not a whole number",
        "--metric-annotations-allowlist: unknown resource `pod`; use `*` for all resources or",
        "the metric allowlist has an item that is not a regular expression, `(`",
    ];
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in\n{error}");
    }
    let error = with_file("", "port: abc").unwrap_err();
    assert_eq!(
        error,
        "o.yaml: `port`: `abc` is not a port; give a number from 0 to 65535"
    );
    let error = with_file("", "object_limit: -1").unwrap_err();
    assert_eq!(
        error,
        "o.yaml: `object_limit`: `-1` is not a number from 0 to 4294967295"
    );
}

#[test]
fn allow_and_deny_lists_exclude_each_other_wherever_they_are_from() {
    assert!(error("--metric-allowlist a --metric-denylist b").contains("keep one of them"));
    let error = with_file("--metric-allowlist a", "metric_denylist: {b: }").unwrap_err();
    assert!(error.contains("keep one of them"), "{error}");
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
        "clients that accept gzip get it",
    );
    warned("--auto-gomemlimit", "there is no garbage collector");
    warned("--logtostderr=false", "go to standard error");
    warned("--log_file=x", "go to standard error");
    warned("--vmodule=x=1", "use -v");
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

#[test]
fn a_configuration_of_custom_resources_is_read_with_the_options() {
    let config = "spec: {resources: [{groupVersionKind: {group: acme.dev, version: v1, kind: Widget}, extra: 1}]}";
    let mut inline = inline(config);
    inline.content.custom_resource_state_config_file = Some("/none/ignored.yaml".into());
    let (options, warnings) = Options::new(&inline, None).unwrap();
    assert!(options.content.custom.config.is_some());
    assert_eq!(options.content.custom.file, None);
    assert_eq!(
        warnings,
        [
            "--custom-resource-state-config-file has no effect: --custom-resource-state-config wins; \
             remove one of the two",
            "--custom-resource-state-config: line 1: spec.resources[0].extra: unknown key; it is \
             ignored (resource acme.dev/v1 Widget)",
        ]
    );
    // The options file wins over flags, an empty text over nothing.
    let path = Path::new("o.yaml");
    let file = ConfigFile::parse(path, "custom_resource_config: 'spec: {}'").unwrap();
    let (options, warnings) = Options::new(&inline, Some((path, &file))).unwrap();
    assert!(options.content.custom.config.is_some());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        options_of_custom("--custom-resource-state-config=")
            .config
            .is_none()
    );
}

/// Flags with a configuration of custom resources.
fn inline(config: &str) -> Flags {
    Flags {
        content: ContentFlags {
            custom_resource_state_config: Some(config.into()),
            ..ContentFlags::default()
        },
        ..Flags::default()
    }
}

fn options_of_custom(line: &str) -> CustomResources {
    options(line).content.custom
}

#[test]
fn all_that_is_wrong_with_a_configuration_of_custom_resources_is_told_with_the_rest() {
    let message = error("--port=x --custom-resource-state-config-file=/none/crs.yaml");
    assert!(
        message.starts_with("2 problems with the options:")
            && message.contains(
                "--custom-resource-state-config-file: /none/crs.yaml is not there; create it, or give \
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
    // What contradicts a family of the crate's own is told as well.
    let config = "spec:\n  resources:\n  - groupVersionKind: {group: acme.dev}\n    metricNamePrefix: kube\n    metrics:\n    - {name: pod_info, each: {type: Gauge, gauge: {path: [a]}}}\n";
    let message = Options::new(&inline(config), None).unwrap_err().to_string();
    assert!(
        message
            .contains("`kube_pod_info` of pods and of the custom resource configuration (line 6: "),
        "{message}"
    );
}
