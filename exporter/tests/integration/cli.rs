//! Tests the subcommands and their output.

use super::support::{CLUSTER, Directory, PROGRAM, config_map, run};

#[test]
fn version_prints_six_lines() {
    let output = run(&["version", "whatever", "--else"], "");
    assert!(output.status.success());
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(
        lines[0].starts_with("kube-state-metrics, version 0."),
        "{}",
        lines[0]
    );
    let names = [
        "build user:",
        "build date:",
        "go version:",
        "platform:",
        "tags:",
    ];
    for (line, name) in lines[1..].iter().zip(names) {
        assert!(line.trim_start().starts_with(name), "{line}");
    }
}

#[test]
fn flag_errors_go_to_standard_error_and_exit_with_1() {
    for args in [
        &["--no-such-flag"][..],
        &["positional"],
        &["completion"],
        &["completion", "a", "b"],
        &["render"],
    ] {
        let output = run(args, "");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            output.stdout.is_empty() && output.stderr.contains("Usage:"),
            "{args:?}"
        );
    }
    for args in [&["--help"][..], &["help"], &["-h"], &["render", "--help"]] {
        let output = run(args, "");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            output.stderr.is_empty() && output.stdout.contains("Usage:"),
            "{args:?}"
        );
    }
}

#[test]
fn help_ends_with_examples_and_the_address_of_the_documentation() {
    for args in [&["--help"][..], &["render", "--help"], &["check", "--help"]] {
        let help = run(args, "").stdout;
        let (_, examples) = help
            .split_once("\nExamples:\n")
            .unwrap_or_else(|| panic!("{help}"));
        assert!(examples.contains("  kube-state-metrics"), "{examples}");
        let documentation = concat!("Documentation: ", env!("CARGO_PKG_REPOSITORY"));
        assert!(examples.trim_end().ends_with(documentation), "{examples}");
    }
}

#[test]
fn help_names_every_flag_of_the_reference() {
    let help = run(&["--help"], "").stdout;
    let flags = "apiserver auth-filter auto-gomemlimit auto-gomemlimit-ratio config \
        continue-without-config continue-without-custom-resource-state-config-file \
        custom-resource-state-config custom-resource-state-config-file custom-resource-state-only \
        enable-gzip-encoding help host kubeconfig log_dir log_file logtostderr metric-allowlist \
        metric-annotations-allowlist metric-denylist metric-labels-allowlist metric-opt-in-list \
        namespaces namespaces-denylist node object-limit pod pod-namespace port resources \
        server-idle-timeout server-read-header-timeout server-read-timeout server-write-timeout \
        shard telemetry-host telemetry-port tls-config total-shards track-unscheduled-pods \
        use-apiserver-cache v vmodule";
    for flag in flags.split_whitespace() {
        assert!(help.contains(&format!("--{flag}")), "--{flag}");
    }
}

#[test]
fn all_that_is_wrong_with_the_options_is_told_at_once() {
    let output = run(
        &["--port=x", "--resources=pod", "--server-read-timeout=5"],
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    for problem in [
        "3 problems",
        "--port: `x`",
        "there is no resource `pod`",
        "--server-read-timeout: `5`",
    ] {
        assert!(
            output.stderr.contains(problem),
            "{problem}: {}",
            output.stderr
        );
    }
}

#[test]
fn completion_scripts_know_the_flags() {
    for (command, shell) in [("completion", "bash"), ("comp", "zsh"), ("c", "fish")] {
        let output = run(&[command, shell], "");
        assert!(
            output.status.success() && output.stdout.contains("telemetry-port"),
            "{shell}"
        );
    }
}

#[test]
fn man_pages_describe_the_options_and_the_subcommands() {
    let page = run(&["man"], "");
    assert!(page.status.success() && page.stdout.contains(".TH kube-state-metrics 1"));
    for text in [
        ".SH SERVING",
        ".SH EXAMPLES\n",
        "\\fB\\-\\-telemetry\\-port\\fR",
        "Options file: telemetry_port; a change takes effect with a new listener.",
        "kube\\-state\\-metrics\\-render(1)",
    ] {
        assert!(page.stdout.contains(text), "{text}: {}", page.stdout);
    }
    let page = run(&["man", "render"], "").stdout;
    assert!(page.contains(".TH kube-state-metrics-render 1"), "{page}");
    assert!(page.contains("total\\-shards") && !page.contains("telemetry"));
    let wrong = run(&["man", "rendr"], "");
    wrong.fails("there is no subcommand `rendr`");
}

#[test]
fn families_are_listed_for_people_documents_and_programs() {
    let table = run(&["families"], "").stdout;
    assert_eq!(
        table.lines().count(),
        kube_state_metrics::families::catalogue::catalogue().len()
    );
    let json = run(&["families", "--format", "json", "--resource", "pods"], "").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let info = json
        .as_array()
        .unwrap()
        .iter()
        .find(|own| own["name"] == "kube_pod_info")
        .unwrap();
    assert_eq!(
        info["baseLabels"],
        serde_json::json!(["namespace", "pod", "uid"])
    );
    assert_eq!(info["stability"], "STABLE");
    let markdown = run(&["families", "--format=markdown", "--resource=nodes"], "").stdout;
    assert!(markdown.starts_with("# nodes\n") && markdown.contains("\n## kube_node_info\n"));
    let joined = [
        "families",
        "--format=markdown",
        "--resource=configmaps",
        "--join-labels",
    ];
    let with = |joins: &str| run(&[&joined[..], &[joins]].concat(), "");
    let markdown = with("*=[namespace/team],pods=[self/tier]").stdout;
    let labels = "The first labels of every sample are `namespace`, `configmap`, `team`.";
    assert!(markdown.contains(labels), "{markdown}");
    with("*=[namespace/team=configmap]")
        .fails("--join-labels: the joined label `namespace/team=configmap` has the name");
    with("configmaps=[namespace]").fails("--join-labels: `namespace` has no key");
    let wrong = run(&["families", "--resource", "node"], "");
    wrong.fails("--resource: there is no built-in resource `node` (did you mean `nodes`?)");
}

#[test]
fn render_writes_the_metrics_of_manifests() {
    let text = run(&["render", CLUSTER], "");
    assert!(
        text.status.success() && text.stderr.is_empty(),
        "{}",
        text.stderr
    );
    assert!(text.stdout.contains("\nkube_pod_info{namespace=\"shop\""));
    let open = run(&["render", "--format=openmetrics", CLUSTER], "");
    assert!(open.stdout.ends_with("# EOF\n"));
    let some = run(
        &[
            "render",
            "--resources=pods",
            "--namespaces=shop",
            "--metric-allowlist=_info$",
            CLUSTER,
        ],
        "",
    );
    let lines: Vec<_> = some
        .stdout
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(
            line.starts_with("kube_pod_") && line.contains("namespace=\"shop\""),
            "{line}"
        );
    }
}

#[test]
fn render_reads_standard_input_and_skips_what_is_broken() {
    let input = config_map("a", "one") + "---\nkind: [\n---\nkind: Nothing\napiVersion: x/v1\n";
    let output = run(&["render", "-"], &input);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output
            .stdout
            .contains("kube_configmap_info{namespace=\"a\",configmap=\"one\"} 1")
    );
    assert_eq!(output.stderr.lines().count(), 3, "{}", output.stderr);
    assert!(output.stderr.contains("-:"), "{}", output.stderr);
}

#[test]
fn render_fails_where_nothing_could_be_read() {
    for (paths, input) in [
        (&["-"][..], ""),
        (&["/no/such/file"], ""),
        (&["-"], "a: b\n"),
    ] {
        let output = run(&[&["render"], paths].concat(), input);
        output.fails("no object could be read");
    }
    let output = run(
        &["render", "--resources=pods,nodes", "-"],
        &config_map("a", "one"),
    );
    assert!(output.status.success() && output.stdout.is_empty());
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let line = format!("{PROGRAM} render {CLUSTER} | head -1; {PROGRAM} families | head -1");
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_path_of_manifests_that_does_not_exist_ends_the_startup() {
    for paths in [
        "/no/such/file",
        "/no/such/directory/",
        "FIRST,/no/such/file",
    ] {
        let paths = paths.replace("FIRST", CLUSTER);
        let output = run(
            &["--port=0", "--telemetry-port=0", "--manifests", &paths],
            "",
        );
        assert_eq!(output.status.code(), Some(1), "{paths}");
        let said = "--manifests: cannot read /no/such/";
        assert!(output.stderr.contains(said), "{}", output.stderr);
        let cure = "; give files or directories with manifests";
        assert!(output.stderr.contains(cure), "{}", output.stderr);
    }
}

#[test]
fn flags_of_old_versions_say_what_takes_their_place() {
    for (args, advice) in [
        (
            &["--collectors=pods"][..],
            "--collectors is a flag of kube-state-metrics 1.x; use --resources",
        ),
        (
            &["--port=0", "--metric-whitelist", "kube_pod_info"],
            "--metric-whitelist is a flag of kube-state-metrics 1.x; use --metric-allowlist",
        ),
        (
            &["render", "--metric-blacklist=a", "x"],
            "--metric-blacklist is a flag of kube-state-metrics 1.x; use --metric-denylist",
        ),
        (
            &["--in-cluster"],
            "--in-cluster is a flag of kube-state-metrics before 1.3; leave it out in a pod;",
        ),
    ] {
        let output = run(args, "");
        output.fails(advice);
    }
    let output = run(&["--colectors=pods"], "");
    assert!(
        output.stderr.contains("unexpected argument"),
        "{}",
        output.stderr
    );
}

#[test]
fn without_a_cluster_it_says_what_to_do() {
    let directory = Directory::new("home");
    let output = std::process::Command::new(PROGRAM)
        .args(["--port=0", "--telemetry-port=0"])
        .env("HOME", directory.str())
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for cure in [
        "--kubeconfig",
        "$KUBECONFIG",
        "~/.kube/config",
        "--manifests",
    ] {
        assert!(error.contains(cure), "{cure}: {error}");
    }
}
