//! Tests the flags about the cluster, and their effect on the requests to the API server.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::api::Api;
use super::support::{Directory, Exporter, PORTS, PROGRAM, eventually, eventually_or, get};

/// Runs the exporter with these flags until the first lists are complete, and returns its requests to the API server.
fn asked(args: &[&str]) -> Vec<String> {
    let api = Api::start(&[]);
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&[&*url], args].concat());
    exporter.becomes_ready();
    api.requests()
}

fn some(requests: &[String], parts: &[&str]) -> bool {
    requests
        .iter()
        .any(|request| parts.iter().all(|part| request.contains(part)))
}

#[test]
fn the_api_server_is_that_of_the_flag_or_of_the_kubeconfig() {
    let (first, second) = (Api::start(&[]), Api::start(&[]));
    let directory = Directory::new("kubeconfig");
    let kubeconfig = directory.write("config", &first.kubeconfig());
    let exporter = Exporter::serving(&["--kubeconfig", &kubeconfig, "--resources=pods"]);
    assert!(
        exporter
            .line
            .starts_with(&format!("watching {}", first.url)),
        "{}",
        exporter.line
    );
    assert!(
        exporter
            .next_line()
            .starts_with("serving 0 series of 0 objects on http://")
    );
    assert!(first.count("/api/v1/pods") > 0);
    assert_eq!(exporter.log(), "", "the log is empty without problems");

    let url = format!("--apiserver={}", second.url);
    let _both = Exporter::serving(&["--kubeconfig", &kubeconfig, "--resources=nodes", &url]);
    eventually("the flag takes precedence", || {
        (second.count("/api/v1/nodes") > 0).then_some(())
    });
    assert_eq!(first.count("/api/v1/nodes"), 0);

    // The flag also accepts a URL without a scheme, as in kube-state-metrics.
    let bare = format!("--apiserver={}", second.url.trim_start_matches("http://"));
    let bare = Exporter::serving(&["--resources=nodes", &bare]);
    let line = &bare.line;
    assert!(
        line.starts_with(&format!("watching {}", second.url)),
        "{line}"
    );

    // If the kubeconfig changes, the exporter uses the new content, and does not need a restart.
    directory.write("config", &second.kubeconfig());
    eventually("the other server receives a request", || {
        (second.count("/api/v1/pods") > 0).then_some(())
    });
}

#[test]
fn until_the_lists_of_another_server_are_complete_the_previous_one_is_watched() {
    let (first, second) = (Api::start(&[]), Api::start(&[]));
    first.put("namespaces", namespace("of-first"));
    second.put("namespaces", namespace("of-second"));
    // The lists of the second server never become complete.
    second.fail("nodes");
    let directory = Directory::new("other-server");
    let kubeconfig = directory.write("config", &first.kubeconfig());
    let arguments = ["--kubeconfig", &kubeconfig, "--resources=nodes,namespaces"];
    let exporter = Exporter::serving(&arguments);
    exporter.next_line();
    directory.write("config", &second.kubeconfig());
    eventually("the second server is asked for nodes", || {
        (second.count("/api/v1/nodes") > 1).then_some(())
    });
    // The exporter must open its watches again.
    first.cut();
    let path = "/api/v1/namespaces";
    eventually("the first server is asked for namespaces", || {
        (first.count(path) > 0).then_some(())
    });
    first.put("namespaces", namespace("later"));
    let names = || {
        let text = exporter.get("/metrics").text();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("kube_namespace_created{"));
        let names = lines.filter_map(|line| line.split('"').nth(1));
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    eventually("the watch goes on at the first server", || {
        (names() == ["later", "of-first"]).then_some(())
    });
    second.put("namespaces", namespace("later-of-second"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(names(), ["later", "of-first"]);
    exporter.tells("the kubeconfig names another API server");
}

#[test]
fn a_kubeconfig_of_several_files_does_not_lose_one_at_run_time() {
    let (first, second) = (Api::start(&[]), Api::start(&[]));
    first.put("namespaces", namespace("of-first"));
    second.put("namespaces", namespace("of-second"));
    let directory = Directory::new("several-kubeconfigs");
    let one = directory.write("one", &first.kubeconfig());
    // Both files use the same names for the cluster, the user and the context, so the first file takes precedence.
    let two = directory.write("two", &second.kubeconfig());
    let mut command = std::process::Command::new(PROGRAM);
    command.arg("--resources=namespaces").args(PORTS);
    let exporter = Exporter::of_command(command.env("KUBECONFIG", format!("{one}:{two}")));
    exporter.next_line();
    let shows = |name: &str| exporter.get("/metrics").text().contains(name);
    assert!(shows("of-first"));
    for incomplete in [Some(""), Some("apiVersion: v1\nkind: Config\n"), None] {
        match incomplete {
            Some(text) => std::fs::write(&one, text).unwrap(),
            None => std::fs::remove_file(&one).unwrap(),
        }
        exporter.tells("is missing or incomplete now");
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert!(shows("of-first") && !shows("of-second"));
        directory.write("one", &first.kubeconfig());
    }
    // Another server in the first file is used.
    directory.write("one", &second.kubeconfig());
    eventually("the second server is used", || {
        shows("of-second").then_some(())
    });
}

#[test]
fn without_flags_the_kubeconfig_is_that_of_kubectl() {
    let (named, at_home) = (Api::start(&[]), Api::start(&[]));
    let directory = Directory::new("home");
    std::fs::create_dir(directory.path().join(".kube")).unwrap();
    let in_home = format!("{}/.kube/config", directory.str());
    std::fs::write(&in_home, at_home.kubeconfig()).unwrap();
    let variable = directory.write("named", &named.kubeconfig());
    // If `KUBECONFIG` names several files, the first file takes precedence. Both files use the same names for the
    // cluster, the user and the context.
    let (missing, both) = (
        format!("{}/none", directory.str()),
        format!("{variable}, {in_home}"),
    );
    let list = format!("{missing}:{variable}:{in_home}");
    let start = |kubeconfig: &str| {
        let mut command = std::process::Command::new(PROGRAM);
        command
            .arg("--resources=pods")
            .args(PORTS)
            .env("HOME", directory.str())
            .env("KUBECONFIG", kubeconfig);
        Exporter::of_command(&mut command)
    };
    for (kubeconfig, path, server) in [
        ("", &in_home, &at_home),
        (&variable, &variable, &named),
        (&list, &both, &named),
    ] {
        let exporter = start(kubeconfig);
        let read = format!("reading kubeconfig {path}");
        assert_eq!(exporter.introduction, [read]);
        let line = &exporter.line;
        assert!(
            line.starts_with(&format!("watching {}", server.url)),
            "{line}"
        );
    }
}

#[test]
fn resources_and_namespaces_choose_what_is_watched() {
    let requests = asked(&["--resources=pods,nodes", "--namespaces=a, b,a"]);
    for path in [
        "/api/v1/namespaces/a/pods",
        "/api/v1/namespaces/b/pods",
        "/api/v1/nodes",
    ] {
        assert_eq!(
            requests
                .iter()
                .filter(|request| request.contains(path))
                .count(),
            1,
            "{path}"
        );
    }
    assert_eq!(requests.len(), 3, "{requests:?}");
    let requests = asked(&["--resources=pods", "--namespaces-denylist=a,b"]);
    assert!(
        some(
            &requests,
            &[
                "/api/v1/pods",
                "metadata.namespace%21%3Da%2Cmetadata.namespace%21%3Db"
            ]
        ),
        "{requests:?}"
    );
}

#[test]
fn node_mode_selects_pods_and_leaves_other_namespaced_kinds_out() {
    let requests = asked(&["--resources=pods,services,nodes", "--node=n1"]);
    assert!(
        some(&requests, &["/pods", "fieldSelector=spec.nodeName%3Dn1"]),
        "{requests:?}"
    );
    assert!(
        !some(&requests, &["/services"]) && some(&requests, &["/nodes"]),
        "{requests:?}"
    );
    let requests = asked(&["--resources=pods", "--track-unscheduled-pods", "--node=n1"]);
    assert!(
        some(&requests, &["/pods", "fieldSelector=spec.nodeName%3D&"]),
        "{requests:?}"
    );
}

#[test]
fn lists_are_asked_for_as_the_flags_say() {
    let streamed = asked(&["--resources=pods"]);
    assert!(
        some(&streamed, &["watch=", "sendInitialEvents=true"]),
        "{streamed:?}"
    );
    let paged = asked(&["--resources=pods", "--no-watchlist"]);
    assert!(
        !some(&paged, &["sendInitialEvents"]) && some(&paged, &["limit=500"]),
        "{paged:?}"
    );
    let limited = asked(&["--resources=pods", "--object-limit=7"]);
    assert!(
        some(&limited, &["limit=7"]) && !some(&limited, &["sendInitialEvents"]),
        "{limited:?}"
    );
    let cached = asked(&[
        "--resources=pods",
        "--no-watchlist",
        "--use-apiserver-cache",
    ]);
    assert!(
        some(&cached, &["/pods?", "resourceVersion=0"]),
        "{cached:?}"
    );
    let any = ["sendInitialEvents=true", "resourceVersion=0"];
    let cached = asked(&["--resources=pods", "--use-apiserver-cache"]);
    assert!(some(&cached, &any) && !some(&streamed, &any), "{cached:?}");
}

#[test]
fn the_pages_name_the_resources_that_reach_the_object_limit() {
    let api = Api::start(&[]);
    for name in ["a", "b", "c"] {
        let metadata = json!({ "namespace": "x", "name": name });
        api.put("configmaps", json!({ "metadata": metadata }));
    }
    let url = format!("--apiserver={}", api.url);
    let resources = "--resources=configmaps,secrets";
    let exporter = Exporter::serving(&[&url, resources, "--object-limit=2"]);
    let verbose = eventually("the lists are complete", || {
        let verbose = exporter.get("/readyz?verbose");
        (verbose.status == 200).then(|| verbose.text())
    });
    let line = "[+] configmaps: synced, 2 objects, --object-limit reached, so further objects have no metrics\n";
    assert!(verbose.contains(line), "{verbose}");
    assert_eq!(verbose.matches("--object-limit").count(), 1, "{verbose}");
    let page = exporter.get("/").text();
    let line = "\n! the last list of configmaps has as many objects as `--object-limit` allows";
    assert!(page.contains(line), "{page}");
}

#[test]
fn a_list_with_more_objects_than_the_limit_fails() {
    let api = Api::start(&[]);
    for name in ["a", "b", "c"] {
        api.put(
            "configmaps",
            json!({ "metadata": { "namespace": "x", "name": name } }),
        );
    }
    api.put(
        "namespaces",
        json!({ "metadata": { "name": "x", "creationTimestamp": "2024-01-01T00:00:00Z" } }),
    );
    let url = format!("--apiserver={}", api.url);
    let resources = "--resources=configmaps,namespaces";
    let exporter = Exporter::serving(&[&url, resources, "--list-object-limit=2"]);
    let text = eventually("the other resource is served", || {
        let text = exporter.metrics("");
        text.contains("kube_namespace_created").then_some(text)
    });
    assert!(!text.contains("kube_configmap_info{"), "{text}");
    exporter.tells("more than 2 objects");
    let exporter = Exporter::serving(&[&url, resources, "--list-object-limit=3"]);
    eventually("all configmaps are served", || {
        let text = exporter.metrics("");
        (text.matches("kube_configmap_info{").count() == 3).then_some(())
    });
}

#[test]
fn objects_are_requested_in_the_encoding_of_the_flag() {
    for (flags, accept) in [
        (
            &["--resources=pods"][..],
            "application/vnd.kubernetes.protobuf,application/json",
        ),
        (&["--resources=pods", "--wire=json"], "application/json"),
    ] {
        let api = Api::start(&[]);
        let url = format!("--apiserver={}", api.url);
        let exporter = Exporter::serving(&[&[&*url], flags].concat());
        exporter.becomes_ready();
        let mut asked = api.asked();
        asked.retain(|asked| asked.line.contains("/api/v1/pods?"));
        assert!(!asked.is_empty());
        for asked in asked {
            assert_eq!(asked.accept.as_deref(), Some(accept), "{}", asked.line);
        }
        let responses =
            "kube_state_metrics_responses_total{encoding=\"json\",resource=\"*v1.Pod\"}";
        assert!(exporter.own(responses) >= Some(1.0));
    }
}

#[test]
fn the_own_pod_tells_the_shard() {
    let api = Api::start(&[]);
    let url = format!("--apiserver={}", api.url);
    let args = [
        &*url,
        "--resources=pods",
        "--pod=ksm-0",
        "--pod-namespace=kube-system",
    ];
    let exporter = Exporter::serving(&args);
    eventually("the exporter requests its pod", || {
        (api.count("/api/v1/namespaces/kube-system/pods/ksm-0") > 0).then_some(())
    });
    assert_eq!(
        exporter.get("/readyz").status,
        503,
        "the exporter does not guess its shard"
    );
    assert_eq!(exporter.get("/livez").status, 200);
}

#[test]
fn objects_that_move_are_served_on_for_the_handover() {
    let api = Api::start(&[]);
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ksm", "uid": "u", "controller": true }]);
    let pod = |name: &str, owners: &Value| {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": name, "namespace": "a", "uid": format!("uid-{name}"), "resourceVersion": "3",
            "ownerReferences": owners } })
    };
    let set = |replicas: u32| {
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": replicas },
            "metadata": { "name": "ksm", "namespace": "a", "uid": "u", "resourceVersion": format!("{replicas}") } })
    };
    api.put("statefulsets", set(1));
    api.put("pods", pod("ksm-0", &owner));
    for number in 1..20 {
        api.put("pods", pod(&format!("pod-{number}"), &json!([])));
    }
    let url = format!("--apiserver={}", api.url);
    let args = [
        &*url,
        "--resources=pods",
        "--pod=ksm-0",
        "--pod-namespace=a",
    ];
    let at_once = Exporter::serving(&[&args[..], &["--shard-handover=0"]].concat());
    let later = Exporter::serving(&args);
    let pods = |exporter: &Exporter| exporter.metrics("").matches("\nkube_pod_info{").count();
    eventually("all pods are exported", || {
        (pods(&at_once) == 20 && pods(&later) == 20).then_some(())
    });
    api.put("statefulsets", set(2));
    eventually("the pods of the other shard are removed", || {
        (pods(&at_once) < 20).then_some(())
    });
    eventually("the new number of shards is in use", || {
        (later.own("kube_state_metrics_total_shards") == Some(2.0)).then_some(())
    });
    assert_eq!(pods(&later), 20);
}

#[test]
fn a_refused_resource_is_named_and_holds_nobody_up_unless_strict() {
    let api = Api::start(&["secrets"]);
    let url = format!("--apiserver={}", api.url);
    let args = [&*url, "--resources=pods,secrets"];
    let exporter = Exporter::serving(&args);
    exporter.becomes_ready();
    let ready = exporter.get("/readyz").text();
    assert!(
        ready.starts_with("OK\nrefused: secrets (forbidden)"),
        "{ready}"
    );
    let strict = Exporter::serving(&[&args[..], &["--readiness=strict"]].concat());
    eventually("the refusal shows", || {
        strict
            .get("/readyz")
            .text()
            .contains("refused")
            .then_some(())
    });
    assert_eq!(strict.get("/readyz").status, 503);
}

#[test]
fn without_any_right_it_is_not_ready() {
    let api = Api::start(&["pods", "secrets"]);
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&*url, "--resources=pods,secrets"]);
    eventually("one line names the refused resources", || {
        let ready = exporter.get("/readyz");
        assert_eq!(ready.status, 503);
        let refused = "refused: pods, secrets (forbidden): forbidden: no\n";
        ready.text().ends_with(refused).then_some(())
    });
    exporter.tells("cannot list or watch several resources");
}

#[test]
fn a_resource_that_fails_holds_readiness_up_until_the_deadline() {
    let api = Api::start(&[]);
    api.fail("secrets");
    let url = format!("--apiserver={}", api.url);
    let args = [&*url, "--resources=pods,secrets"];
    let patient = Exporter::serving(&args);
    let exporter = Exporter::serving(&[&args[..], &["--readiness-deadline=1s"]].concat());
    exporter.becomes_ready();
    let ready = exporter.get("/readyz?verbose").text();
    let without = "OK\nready without: secrets (server error): server error: no\n";
    assert!(ready.starts_with(without), "{ready}");
    let without = "kube_state_metrics_ready_without{resource=\"*v1.Secret\"}";
    assert_eq!(exporter.own(without), Some(1.0));
    exporter.tells("ready, but these resources could not be listed");
    assert_eq!(patient.get("/readyz").status, 503);
    assert_eq!(patient.own(without), None);
}

#[test]
fn a_streaming_list_without_an_end_is_replaced_by_pages() {
    let api = Api::start(&[]);
    api.never_end_lists();
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&*url, "--resources=pods", "--list-deadline=1s"]);
    exporter.becomes_ready();
    assert!(some(&api.requests(), &["/pods?", "limit=500"]));
    exporter.tells("a streaming list did not end in time");
}

#[test]
fn resources_are_audited_at_the_interval() {
    let api = Api::start(&[]);
    let url = format!("--apiserver={}", api.url);
    let exporter = Exporter::serving(&[&*url, "--resources=pods,nodes", "--audit-interval=1s"]);
    exporter.becomes_ready();
    // To count the pods, the exporter requests a list with the limit 1: the response states how many more pods exist.
    let is_count = |line: &String| line.contains("/pods?") && line.ends_with("limit=1");
    eventually("pods are counted", || {
        api.requests().iter().any(is_count).then_some(())
    });
    let age = "kube_state_metrics_audit_age_seconds{resource=\"*v1.Pod\"}";
    eventually("the audit shows", || {
        exporter.own(age).filter(|age| *age < 2.0).map(drop)
    });
    let silent = Exporter::serving(&[&*url, "--resources=pods", "--audit-interval=0"]);
    silent.becomes_ready();
    assert_eq!(silent.own(age), None);
}

#[test]
fn objects_of_a_forbidden_resource_are_forgotten_in_time() {
    let api = Api::start(&[]);
    api.put("namespaces", namespace("x"));
    let url = format!("--apiserver={}", api.url);
    let args = [&*url, "--resources=namespaces,pods"];
    let kept = Exporter::serving(&args);
    let exporter = Exporter::serving(&[&args[..], &["--forget-forbidden-after=1s"]].concat());
    let shows = |exporter: &Exporter| exporter.metrics("").contains("kube_namespace_created{");
    eventually("the namespace shows", || {
        (shows(&exporter) && shows(&kept)).then_some(())
    });
    api.revoke("namespaces");
    api.cut();
    eventually("the namespace is removed", || {
        (!shows(&exporter)).then_some(())
    });
    eventually("the refusal shows", || {
        let ready = kept.get("/readyz?verbose").text();
        let stale = "stale: 1 stored objects of namespaces are removed within 60 min";
        ready.contains(stale).then_some(())
    });
    assert!(shows(&kept));
}

#[test]
fn the_page_and_readyz_name_the_cause_of_not_being_ready_in_the_same_words() {
    let api = Api::start(&[]);
    api.revoke("secrets");
    let url = format!("--apiserver={}", api.url);
    let flags = [&*url, "--resources=pods,secrets", "--readiness=strict"];
    let exporter = Exporter::serving(&flags);
    let reason = "not ready with --readiness=strict: secrets (forbidden)";
    eventually("the reason shows", || {
        let ready = exporter.get("/readyz").text();
        ready.starts_with(&format!("{reason}\n")).then_some(())
    });
    let page = exporter.get("/").text();
    let first = page.lines().find(|line| line.starts_with("! "));
    assert_eq!(first, Some(&*format!("! {reason}")), "{page}");
    let html = get(&exporter.main, "/", &[("accept", "text/html")]).text();
    assert!(html.contains(&format!("<b>{reason}</b>")), "{html}");
}

#[test]
fn an_api_server_that_is_away_does_not_stop_the_exporter() {
    let exporter = Exporter::serving(&["--apiserver=http://127.0.0.1:1", "--resources=pods,nodes"]);
    assert!(
        exporter.line.starts_with("watching http://127.0.0.1:1"),
        "{}",
        exporter.line
    );
    let body = || {
        let answer = exporter.get("/readyz");
        assert_eq!(answer.status, 503);
        answer.text()
    };
    eventually_or(
        "/readyz reports the failure of both resources",
        || {
            let line = "not ready: nodes, pods (unreachable)\n";
            body().starts_with(line).then_some(())
        },
        body,
    );
    assert_eq!(exporter.get("/livez").status, 200);
    assert_eq!(exporter.metrics(""), "");
    assert!(exporter.telemetry("/").text().contains("unreachable"));
    let failures = "kube_state_metrics_watch_total{resource=\"*v1.Pod\",result=\"error\"}";
    eventually("the exporter retries", || {
        (exporter.own(failures) > Some(2.0)).then_some(())
    });
    exporter.tells("the API server does not answer");
    let log = exporter.log();
    assert_eq!(log.lines().count(), 1, "logged once: {log}");
}

#[test]
fn shards_divide_the_objects() {
    let cluster = super::support::CLUSTER;
    let lines = |args: &[&str]| {
        let output = super::support::run(&[&["render", cluster], args].concat(), "");
        let lines = output
            .stdout
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned);
        lines.collect::<std::collections::BTreeSet<_>>()
    };
    let all = lines(&[]);
    for more in [&[][..], &["--server-side-sharding"]] {
        let shard = |index: &str| lines(&[&["--shard", index, "--total-shards=2"], more].concat());
        let (first, second) = (shard("0"), shard("1"));
        assert!(!first.is_empty() && !second.is_empty() && first.is_disjoint(&second));
        assert_eq!(&first | &second, all);
    }
    assert_ne!(
        lines(&["--shard=0", "--total-shards=2"]),
        lines(&["--shard=0", "--total-shards=2", "--server-side-sharding"])
    );
}

#[test]
fn a_changed_config_waits_for_what_is_served_and_not_for_what_is_new() {
    let api = Api::start(&[]);
    api.fail("nodes");
    api.put("namespaces", namespace("x"));
    let away = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let directory = Directory::new("handover");
    let config = |resources: &str, server: &str| {
        let text = format!("resources: {resources}\napiserver: {server}\n");
        directory.write("config.yaml", &text)
    };
    let path = config("{namespaces: {}}", &api.url);
    let exporter = Exporter::serving(&["--config", &path]);
    let own = |name: &str| {
        let labels = format!("{{filename=\"{path}\",type=\"config\"}}");
        exporter.own(&format!("kube_state_metrics_{name}{labels}"))
    };
    let reloaded = || own("last_config_reload_successful");
    let is_served = || {
        assert_eq!(exporter.get("/readyz").status, 200);
        exporter
            .metrics("")
            .contains("kube_namespace_created{namespace=\"x\"}")
    };
    exporter.becomes_ready();
    assert_eq!(reloaded(), Some(1.0));
    let first = own("config_hash");

    // The new configuration adds nodes. No metrics are lost if the exporter uses it before the list of nodes is
    // complete, because nodes were not exported before.
    config("{namespaces: {}, nodes: {}}", &api.url);
    eventually("the metric shows that a change is not in use yet", || {
        (reloaded() == Some(0.0)).then_some(())
    });
    assert_eq!(own("config_hash"), first);
    eventually("the change is in use", || {
        assert!(is_served());
        (reloaded() == Some(1.0)).then_some(())
    });
    assert_ne!(own("config_hash"), first);
    exporter
        .tells("using the changed configuration, but these metrics are not complete: nodes (server error: no)");
    let remarks = exporter.get("/readyz").text();
    assert!(remarks.starts_with("OK\nwaiting for: nodes ("), "{remarks}");

    // The new configuration names another API server. If the exporter used it immediately, metrics of namespaces would
    // be missing until the list of namespaces is complete.
    let second = own("config_hash");
    config("{namespaces: {}}", &format!("http://{away}"));
    exporter.tells("metrics would be missing for namespaces (");
    assert!(is_served());
    assert_eq!((reloaded(), own("config_hash")), (Some(0.0), second));

    config("{namespaces: {}}", &api.url);
    eventually("the correction is in use", || {
        assert!(is_served());
        (reloaded() == Some(1.0)).then_some(())
    });
    assert_eq!(own("config_hash"), first);
}

#[test]
fn a_server_that_was_wrong_is_replaced_and_what_is_served_then_is_said() {
    let api = Api::start(&[]);
    let away = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let directory = Directory::new("corrected");
    let path = directory.write("config.yaml", &format!("apiserver: {away}\n"));
    let exporter = Exporter::serving(&["--resources=pods", "--config", &path]);
    assert!(exporter.line.starts_with("watching "), "{}", exporter.line);
    directory.write("config.yaml", &format!("apiserver: {}\n", api.url));
    let line = exporter.next_line();
    assert!(line.starts_with("serving 0 series"), "{line}");
    assert_eq!(exporter.get("/readyz").status, 200);
}

fn namespace(name: &str) -> Value {
    json!({ "metadata": {
        "name": name, "resourceVersion": "1", "creationTimestamp": "2024-01-01T00:00:00Z",
    } })
}
