//! Tests the dashboard panels that show growth. The panels must show only clusters that have samples from 24 hours
//! earlier.

use std::fs;

use serde_json::json;

use super::{dashboard, panels};
use crate::support::tools::{Directory, promtool, run, said};

/// Returns the query of a panel. The query selects all clusters and instances.
fn query(title: &str) -> String {
    let dashboard = dashboard("exporter");
    let panels = panels(&dashboard);
    let (_, query) = panels.iter().find(|(own, _)| *own == title).unwrap();
    query
        .replace("$cluster", ".*")
        .replace("$job", "kube-state-metrics")
        .replace("$instance", ".*")
}

/// Returns a series with a value for each minute of 27 hours: `earlier` until hour 10, and then `later`.
fn series(
    cluster: &str,
    name: &str,
    labels: &str,
    earlier: &str,
    later: &str,
) -> serde_json::Value {
    let labels = format!("job=\"kube-state-metrics\",instance=\"a:1\",{labels}");
    let cluster = match cluster {
        "" => String::new(),
        cluster => format!(",cluster=\"{cluster}\""),
    };
    json!({ "series": format!("{name}{{{labels}{cluster}}}"), "values": format!("{earlier}x600 {later}x1020") })
}

#[test]
fn growth_needs_samples_of_the_earlier_time() {
    let mut rows = Vec::new();
    let pod = "resource=\"*v1.Pod\"";
    let job = "resource=\"*v1.Job\"";
    for (cluster, is_new) in [("new", true), ("known", false), ("", false)] {
        let earlier = |value| if is_new { "_" } else { value };
        let name = "kube_state_metrics_series";
        rows.push(series(cluster, name, pod, earlier("100"), "130"));
        // Jobs were added later, and the number of series of nodes decreases. The panel of resources must show jobs,
        // but not nodes.
        rows.push(series(cluster, name, job, "_", "7"));
        let fewer = "resource=\"*v1.Node\"";
        rows.push(series(cluster, name, fewer, earlier("20"), "10"));
        for (pod, earlier) in [("a", earlier("1")), ("b", "_")] {
            let pod = format!("pod=\"{pod}\"");
            rows.push(series(cluster, "kube_pod_info", &pod, earlier, "1"));
        }
        rows.push(series(cluster, "kube_job_info", "job_name=\"a\"", "_", "1"));
    }
    // The panels must show growth in each of the two clusters that have earlier samples.
    let expected = |label: &str, rows: &[(&str, u64)]| -> Vec<_> {
        let rows = rows.iter();
        rows.map(
            |(name, value)| json!({ "labels": format!("{{{label}=\"{name}\"}}"), "value": value }),
        )
        .collect()
    };
    let resources = query("Growth of resources since yesterday");
    let families = query("Growth of families since yesterday");
    let tests = [
        (
            &resources,
            "26h",
            expected("resource", &[("*v1.Pod", 60), ("*v1.Job", 14)]),
        ),
        (
            &families,
            "26h",
            expected("family", &[("kube_pod_info", 2), ("kube_job_info", 2)]),
        ),
        // At hour 20, no cluster has samples from 24 hours earlier.
        (&resources, "20h", Vec::new()),
        (&families, "20h", Vec::new()),
    ];
    let tests = tests.map(
        |(query, time, rows)| json!({ "expr": query, "eval_time": time, "exp_samples": rows }),
    );
    let file =
        json!({ "tests": [{ "interval": "1m", "input_series": rows, "promql_expr_test": tests }] });
    let directory = Directory::new("growth");
    let path = directory.path().join("growth.yaml");
    fs::write(&path, file.to_string()).unwrap();
    let Some(mut promtool) = promtool() else {
        return;
    };
    let output = run(promtool.args(["test", "rules"]).arg(&path), b"");
    assert!(output.status.success(), "{}", said(&output));
}
