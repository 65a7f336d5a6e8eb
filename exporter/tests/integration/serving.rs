//! Tests an exporter that reads manifests: logs, changes, reloads and shutdown.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::support::{CLUSTER, Directory, Exporter, config_map, eventually, get, run};

const RELOADED: &str = "kube_state_metrics_last_config_reload_successful{filename=\"";

#[test]
fn one_line_says_what_is_served_and_where() {
    let exporter = Exporter::start(&[]);
    let line = &exporter.line;
    assert!(
        line.starts_with("serving ") && line.contains(" series of "),
        "{line}"
    );
    assert!(line.contains(" objects on http://localhost:"), "{line}");
    assert!(line.contains("/metrics (open http://localhost:"), "{line}");
    let [read, off] = exporter.introduction.as_slice() else {
        panic!("{:?}", exporter.introduction);
    };
    assert_eq!(*read, format!("reading manifests {CLUSTER}"));
    assert!(
        off.starts_with("disabled by default: clusterrolebindings, clusterroles, endpoints, "),
        "{off}"
    );
    assert!(off.contains("--resources"), "{off}");
    let all = Exporter::start(&["--resources=pods"]);
    assert_eq!(all.introduction, [format!("reading manifests {CLUSTER}")]);
    let series = line
        .split(' ')
        .nth(1)
        .unwrap()
        .replace(',', "")
        .parse::<usize>()
        .unwrap();
    let lines = exporter
        .metrics("")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert_eq!(series, lines);
    assert_eq!(exporter.log(), "", "the log is empty without problems");
}

#[test]
fn limits_leave_out_samples_and_labels_and_say_so() {
    let directory = Directory::new("limits");
    let addresses = r#"{"ip":"10.0.0.1"},{"ip":"10.0.0.2"},{"ip":"10.0.0.3"}"#;
    let ports = r#"{"name":"a","port":1},{"name":"b","port":2}"#;
    directory.write(
        "a.json",
        &format!(
            r#"{{"apiVersion":"v1","kind":"Endpoints","metadata":{{"namespace":"shop","name":"db",
            "labels":{{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}}}},
            "subsets":[{{"addresses":[{addresses}],"ports":[{ports}]}}]}}"#
        ),
    );
    let exporter = Exporter::serving(&[
        "--manifests",
        directory.str(),
        "--resources=endpoints",
        "--metric-labels-allowlist=endpoints=[*]",
        "--sample-limit=4",
        "--label-limit=5",
    ]);
    let text = exporter.metrics("");
    assert_eq!(text.matches("\nkube_endpoint_address{").count(), 4);
    assert_eq!(text.matches("\nkube_endpoint_ports{").count(), 2);
    assert!(text.contains("label_e=\"5\"} 1") && !text.contains("label_f="));
    for reason in ["sample_limit", "label_limit"] {
        let series = format!(
            "kube_state_metrics_limit_exceeded_total{{reason=\"{reason}\",resource=\"*v1.Endpoints\"}}"
        );
        assert_eq!(exporter.own(&series), Some(1.0), "{series}");
    }
    let ready = exporter.get("/readyz?verbose").text();
    for (what, flag) in [("samples", "--sample-limit"), ("labels", "--label-limit")] {
        let line =
            format!("[!] endpoints: objects exceeded {flag} 1 time, so {what} are left out; ");
        assert!(
            ready.contains(&line) && !ready.contains("shop/db"),
            "{ready}"
        );
        eventually("the log names the object", || {
            let log = exporter.log();
            let mut lines = log.lines().filter(|line| line.contains(flag));
            lines.next().filter(|line| line.contains("shop/db"))?;
            assert_eq!(lines.next(), None, "the object is logged once");
            Some(())
        });
    }
    let exporter = Exporter::serving(&[
        "--manifests",
        directory.str(),
        "--resources=endpoints",
        "--text-limit=300",
    ]);
    assert!(
        exporter.metrics("").len() < 2_000,
        "{}",
        exporter.metrics("")
    );
    let ready = exporter.get("/readyz?verbose").text();
    let line = "[!] endpoints: objects exceeded --text-limit ";
    assert!(
        ready.contains(line) && ready.contains(", so samples or joined labels are left out; "),
        "{ready}"
    );
}

#[test]
fn files_that_are_created_edited_and_deleted_are_followed() {
    let directory = Directory::new("manifests");
    directory.write("a.yaml", &config_map("x", "one"));
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    let shows = |name: &str| {
        exporter
            .metrics("")
            .contains(&format!("configmap=\"{name}\""))
    };
    assert!(shows("one"));
    directory.write("b.yaml", &config_map("x", "two"));
    eventually("a new file shows", || shows("two").then_some(()));
    directory.write("a.yaml", &config_map("x", "other"));
    eventually("an edited file shows", || {
        (shows("other") && !shows("one")).then_some(())
    });
    fs::remove_file(directory.path().join("b.yaml")).unwrap();
    eventually("the objects of a deleted file are removed", || {
        (!shows("two")).then_some(())
    });
    // The invalid document must not affect the other documents. The log must name the invalid document only once.
    directory.write(
        "c.yaml",
        &("kind: [\n".to_owned() + &config_map("x", "three")),
    );
    eventually("documents beside a broken one show", || {
        shows("three").then_some(())
    });
    assert_eq!(
        exporter.own("kube_state_metrics_manifest_problems"),
        Some(1.0)
    );
    exporter.tells("c.yaml:1");
}

#[test]
fn objects_stay_while_their_file_is_cut_or_their_directory_is_missing() {
    let outer = Directory::new("cut-manifests");
    let directory = outer.path().join("manifests");
    fs::create_dir(&directory).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write("a.yaml", &config_map("x", "one"));
    write("b.yaml", &config_map("x", "two"));
    let exporter = Exporter::serving(&["--manifests", directory.to_str().unwrap()]);
    let shows = |name: &str| {
        exporter
            .metrics("")
            .contains(&format!("configmap=\"{name}\""))
    };
    write("a.yaml", "kind: [");
    exporter.tells(
        "a.yaml: it cannot be read completely, so its objects of the previous reading stay (1)",
    );
    write("b.yaml", &config_map("x", "three"));
    eventually("another file shows", || {
        (shows("three") && !shows("two")).then_some(())
    });
    assert!(shows("one"));
    let problems = "kube_state_metrics_manifest_problems";
    assert_eq!(exporter.own(problems), Some(1.0));
    let ready = exporter.get("/readyz?verbose").text();
    let line = "1 document or file skipped; the log has the reasons";
    assert!(ready.starts_with("OK") && ready.contains(line), "{ready}");
    let away = outer.path().join("away");
    fs::rename(&directory, &away).unwrap();
    exporter.tells("cannot be read completely, so its objects of the previous reading stay (2)");
    assert!(shows("one") && shows("three"));
    fs::write(away.join("a.yaml"), config_map("x", "four")).unwrap();
    fs::rename(&away, &directory).unwrap();
    eventually("the directory shows", || {
        (shows("four") && !shows("one")).then_some(())
    });
    eventually("there is no problem left", || {
        (exporter.own(problems) == Some(0.0)).then_some(())
    });
    assert!(shows("three"));
}

#[test]
fn a_manifest_that_is_written_in_place_never_shows_fewer_objects() {
    let directory = Directory::new("in-place");
    let list = |names: Range<u32>| {
        let items = names.map(|name| {
            format!("- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: m{name}\n    namespace: x\n")
        });
        format!(
            "apiVersion: v1\nkind: List\nitems:\n{}",
            items.collect::<String>()
        )
    };
    directory.write("a.yaml", &list(0..400));
    let exporter = Exporter::serving(&["--manifests", directory.str()]);
    let shown = || {
        exporter
            .metrics("")
            .matches("\nkube_configmap_info{")
            .count()
    };
    assert_eq!(shown(), 400);
    let text = list(0..500);
    let mut file = fs::File::create(directory.path().join("a.yaml")).unwrap();
    for piece in text.as_bytes().chunks(text.len() / 10) {
        file.write_all(piece).unwrap();
        // The exporter reads changed files once in a second.
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(shown(), 400);
        }
    }
    exporter.tells("1 manifest has changed; the exporter uses the new content of a file when");
    eventually("the whole file shows", || (shown() == 500).then_some(()));
    exporter.tells("reloaded the manifests: 500 objects");
    // A renamed file needs no wait.
    let temporary = directory.write("a.tmp", &list(0..300));
    fs::rename(temporary, directory.path().join("a.yaml")).unwrap();
    eventually("the renamed file shows", || (shown() == 300).then_some(()));
    let waits = exporter
        .log()
        .matches("the exporter uses the new content")
        .count();
    assert_eq!(waits, 1);
}

#[test]
fn a_reload_keeps_the_objects_of_manifests_that_are_incomplete() {
    let (directory, manifests) = (Directory::new("options"), Directory::new("incomplete"));
    let maps = |count: u32| -> String {
        let maps = (0..count).map(|number| config_map("x", &format!("map{number}")));
        maps.collect()
    };
    let options = directory.write("options.yaml", "resources: {configmaps: {}}\n");
    manifests.write("a.yaml", &maps(3));
    let exporter = Exporter::serving(&["--manifests", manifests.str(), "--config", &options]);
    let shown = || {
        exporter
            .metrics("")
            .matches("\nkube_configmap_info{")
            .count()
    };
    assert_eq!(shown(), 3);
    // The last document is not complete.
    manifests.write("a.yaml", "apiVersion: v1\nkind: Conf");
    directory.write(
        "options.yaml",
        "resources: {configmaps: {}, namespaces: {}}\n",
    );
    let waits =
        "the changed configuration is not used yet, because metrics would be missing for manifests";
    eventually("the reload waits", || {
        assert_eq!(shown(), 3);
        exporter.log().contains(waits).then_some(())
    });
    let ready = exporter.get("/readyz?verbose").text();
    assert!(ready.contains("cannot be read completely"), "{ready}");
    manifests.write("a.yaml", &maps(4));
    exporter.tells("configuration reloaded");
    eventually("all objects show", || (shown() == 4).then_some(()));
}

#[test]
fn only_manifests_that_the_new_options_name_delay_a_reload() {
    let directory = Directory::new("ways-out");
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for name in ["a", "b"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(&format!("{name}/x.yaml")), config_map("x", name)).unwrap();
    }
    let configured = |paths: &str| {
        let text = format!("resources: {{configmaps: {{}}}}\nmanifests: [{paths}]\n");
        let temporary = directory.write("options.tmp", &text);
        fs::rename(temporary, path("options.yaml")).unwrap();
    };
    configured(&format!("{}, {}", path("a"), path("b")));
    let exporter = Exporter::serving(&["--config", &path("options.yaml")]);
    let shows = |names: &[&str]| {
        eventually("the maps show", || {
            let text = exporter.metrics("");
            let is_shown = |name: &&str| text.contains(&format!("configmap=\"{name}\""));
            (["a", "b"]
                .iter()
                .all(|name| is_shown(name) == names.contains(name)))
            .then_some(())
        });
    };
    shows(&["a", "b"]);
    // A directory is missing, and the new options no longer name it.
    fs::remove_dir_all(path("b")).unwrap();
    configured(&path("a"));
    shows(&["a"]);
    // A broken file, and new options that name another file.
    fs::write(path("a/x.yaml"), "kind: [").unwrap();
    exporter.tells("not valid YAML");
    directory.write("b.yaml", &config_map("x", "b"));
    // The new options still name the broken file, so that the exporter waits, and names the file.
    configured(&format!("{}, {}", path("a"), path("b.yaml")));
    exporter.tells(&format!("still change: {}. Complete", path("a/x.yaml")));
    shows(&["a"]);
    configured(&path("b.yaml"));
    shows(&["b"]);
}

#[test]
fn changes_without_a_pause_cause_at_most_one_reload_in_a_second() {
    let directory = Directory::new("busy");
    let options = directory.write("options.yaml", "resources: {configmaps: {}}\n");
    directory.write("a.yaml", &config_map("x", "map0"));
    let exporter = Exporter::serving(&[
        "--manifests",
        directory.path().join("a.yaml").to_str().unwrap(),
        "--config",
        &options,
    ]);
    let start = Instant::now();
    for round in 1..=4 {
        directory.write("a.yaml", &config_map("x", &format!("map{round}")));
        directory.write(
            "options.yaml",
            &format!("resources: {{configmaps: {{}}}}\nsample_limit: {round}\n"),
        );
        eventually("both changes are in use", || {
            let map = exporter
                .metrics("")
                .contains(&format!("configmap=\"map{round}\""));
            let reloads = exporter.log().matches("configuration reloaded").count();
            (map && reloads >= round).then_some(())
        });
    }
    // Each reload waits for the pause after the previous one. Only the first reload begins immediately, so there are
    // three pauses.
    assert!(
        start.elapsed() >= Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_signal_lets_answers_on_their_way_end() {
    for signal in ["TERM", "INT"] {
        let mut exporter = Exporter::start(&[]);
        let mut idle = TcpStream::connect(&exporter.main).unwrap();
        // When the signal arrives, the client has sent only a part of its request. The request must still get its
        // response.
        let mut stream = TcpStream::connect(&exporter.main).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")
            .unwrap();
        let connections = "kube_state_metrics_http_connections{server=\"metrics\"}";
        eventually("both connections are accepted", || {
            (exporter.own(connections) == Some(2.0)).then_some(())
        });
        stream.write_all(b"connection: close\r\n\r\n").unwrap();
        exporter.signal(signal);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("0\r\n\r\n"),
            "{signal}"
        );
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(exporter.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_busy_port_is_told_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--telemetry-port"] {
        let other = if flag == "--port" {
            "--telemetry-port"
        } else {
            "--port"
        };
        let hosts = ["--host=127.0.0.1", "--telemetry-host=127.0.0.1"];
        let args = [
            &["--manifests", CLUSTER, flag, &port, other, "0"],
            &hosts[..],
        ]
        .concat();
        let output = run(&args, "");
        assert_eq!(output.status.code(), Some(1));
        let stderr = output.stderr;
        assert!(
            stderr.contains(&format!("Error: {flag}: cannot listen on 127.0.0.1:{port}")),
            "{stderr}"
        );
        let host = flag.replace("port", "host");
        let cure = format!(
            "choose another address or port with {host} or {flag}; {flag}=0 selects a free port"
        );
        assert!(stderr.contains(&cure), "{stderr}");
    }
}

#[test]
fn a_wrong_host_is_told_with_its_flag() {
    for flag in ["--host", "--telemetry-host"] {
        for (host, problem) in [
            ("not an ip", "cannot resolve `not an ip`"),
            // This address is reserved for documentation, so it is not an address of this machine.
            ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ] {
            let ports = ["--port=0", "--telemetry-port=0"];
            let args = [&["--manifests", CLUSTER, flag, host], &ports[..]].concat();
            let output = run(&args, "");
            output.fails(&format!("Error: {flag}: {problem}"));
        }
    }
}

#[test]
fn it_listens_on_all_addresses_by_default() {
    let exporter = Exporter::spawn(&["--manifests", CLUSTER, "--port=0", "--telemetry-port=0"]);
    assert_eq!(exporter.get("/livez").status, 200);
    let v6 = exporter.main.replace("127.0.0.1", "[::1]");
    if TcpStream::connect("[::1]:1")
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    {
        assert_eq!(get(&v6, "/livez", &[]).status, 200);
    }
}

#[test]
fn a_changed_config_is_used_without_an_outage() {
    let directory = Directory::new("config");
    let config = directory.write("config.yaml", "resources: {pods: {}}\n");
    let exporter = Exporter::start(&["--config", &config, "--resources", "nodes"]);
    let reloaded = format!("{RELOADED}{config}\",type=\"config\"}}");
    let hash = format!("kube_state_metrics_config_hash{{filename=\"{config}\",type=\"config\"}}");
    let shows = |family: &str| exporter.metrics("").contains(family);
    assert!(shows("kube_pod_info{") && !shows("kube_node_info{"));
    assert_eq!(exporter.own(&hash), Some(5_950_443_893_422.0));
    assert_eq!(exporter.own(&reloaded), Some(1.0));

    // Until the change is visible, every scrape must succeed. Its metrics must come from either the old file or the new
    // file.
    directory.write("config.yaml", "resources: {services: {}}\n");
    eventually("the change shows", || {
        assert!(shows("kube_pod_info{") || shows("kube_service_info{"));
        (shows("kube_service_info{") && !shows("kube_pod_info{")).then_some(())
    });

    // If the file is invalid, the exporter does not use it, and a metric shows the failure.
    for wrong in ["resources: [pods]\n", "resources: {pod: {}}\n", "port: {"] {
        directory.write("config.yaml", wrong);
        eventually("the failure shows", || {
            (exporter.own(&reloaded) == Some(0.0)).then_some(())
        });
        assert!(shows("kube_service_info{"));
        let tells_why = |path| {
            let text = exporter.get(path).text();
            text.contains("the changed configuration is not used (refused ")
                && text.contains("config.yaml")
        };
        eventually("pages have the reason", || {
            (tells_why("/") && tells_why("/readyz")).then_some(())
        });
        directory.write("config.yaml", "resources: {services: {}}\n");
        eventually("the repair shows", || {
            (exporter.own(&reloaded) == Some(1.0)).then_some(())
        });
        eventually("the reason is gone", || {
            (!tells_why("/") && !tells_why("/readyz")).then_some(())
        });
    }
    exporter.tells("there is no resource `pod`");

    // If an option is removed from the file, the flag applies again.
    directory.write("config.yaml", "{}\n");
    eventually("the flag applies again", || {
        shows("kube_node_info{").then_some(())
    });
}

#[test]
fn options_that_name_a_missing_file_are_used_once_the_file_exists() {
    let directory = Directory::new("later");
    let first = directory.write("a.yaml", &config_map("x", "one"));
    let later = directory.path().join("later.yaml");
    let options = directory.write("options.yaml", &format!("manifests: [{first}]\n"));
    let exporter = Exporter::serving(&["--config", &options]);
    exporter.becomes_ready();
    let both = format!("manifests: [{first}, {}]\n", later.display());
    directory.write("options.yaml", &both);
    exporter.tells("the changed configuration is not used: ");
    assert!(exporter.metrics("").contains("configmap=\"one\""));
    directory.write("later.yaml", &config_map("x", "two"));
    eventually("the new file shows", || {
        let metrics = exporter.metrics("");
        metrics.contains("configmap=\"two\"").then_some(())
    });
    assert!(exporter.metrics("").contains("configmap=\"one\""));
}

#[test]
fn a_changed_port_moves_the_server() {
    let directory = Directory::new("port");
    let config = directory.write("config.yaml", "{}\n");
    let exporter = Exporter::start(&["--config", &config]);
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    directory.write("config.yaml", &format!("port: {}\n", free.port()));
    eventually("the new port answers", || TcpStream::connect(free).ok());
    assert_eq!(get(&free.to_string(), "/livez", &[]).status, 200);
    eventually("the old port is closed", || {
        TcpStream::connect(&exporter.main).err()
    });
    assert_eq!(exporter.telemetry("/livez").status, 200);
}

#[test]
fn a_missing_config_is_an_error_unless_it_may_come_later() {
    let directory = Directory::new("missing");
    let path = directory
        .path()
        .join("later.yaml")
        .to_str()
        .unwrap()
        .to_owned();
    let output = run(&["--manifests", CLUSTER, "--config", &path], "");
    output.fails("cannot read the options file");

    let exporter = Exporter::start(&[
        "--config",
        &path,
        "--continue-without-config",
        "--resources=pods",
    ]);
    exporter.tells("continuing with the flags alone");
    exporter
        .tells("`tls_config` and `auth_filter` do not apply: every client may read the metrics");
    assert!(!exporter.metrics("").contains("kube_node_info{"));
    let reloaded = format!("{RELOADED}{path}\",type=\"config\"}}");
    assert_eq!(
        exporter.own(&reloaded),
        None,
        "a missing file has no metric"
    );
    // If the file exists but the exporter does not use it, the metric is 0.
    directory.write("later.yaml", "resources: {");
    eventually("the failure shows", || {
        (exporter.own(&reloaded) == Some(0.0)).then_some(())
    });
    directory.write("later.yaml", "resources: {nodes: {}}\n");
    eventually("the new file is used", || {
        exporter
            .metrics("")
            .contains("kube_node_info{")
            .then_some(())
    });
    eventually("the success shows", || {
        (exporter.own(&reloaded) == Some(1.0)).then_some(())
    });
}

#[test]
fn log_lines_are_json_on_request_and_more_with_v() {
    let exporter = Exporter::start(&["--log-format=json", "--vmodule=a=1", "-v=4"]);
    exporter.tells("telemetry on");
    // With this log format, the exporter writes the startup message to the log, so standard output is empty.
    for (level, message) in [("WARN", "--vmodule has no effect"), ("INFO", "serving ")] {
        let log = exporter.log();
        let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
        let mut lines = lines.map(Result::unwrap);
        let says = |line: &serde_json::Value| line["message"].as_str().unwrap().contains(message);
        assert!(
            lines.any(|line| line["level"] == level && says(&line)),
            "{message}: {log}"
        );
    }
    assert!(exporter.has_said_all(), "standard output is empty");
    assert_eq!(
        exporter.telemetry("/debug/log-level").text(),
        "kube_state_metrics=debug,info\n"
    );
}

#[test]
fn a_pattern_that_needs_too_much_backtracking_is_counted_and_logged_once() {
    let pattern = r"--metric-denylist=^(?:(\w+)\1*)+!$";
    let exporter = Exporter::start(&["--resources=deployments", pattern]);
    let count = exporter.own("kube_state_metrics_exhausted_patterns");
    assert_eq!(count, Some(1.0));
    let line = "a pattern of --metric-denylist needs too much backtracking";
    exporter.tells(line);
    let log = exporter.log();
    assert_eq!(log.matches(line).count(), 1, "{log}");
    let output = run(&["render", CLUSTER, "--resources=deployments", pattern], "");
    assert!(output.stderr.contains(line), "{}", output.stderr);
}
