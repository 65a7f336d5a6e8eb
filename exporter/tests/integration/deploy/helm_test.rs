//! Tests the commands in the pods of `helm test`. The commands must succeed only if the exporter is ready and serves
//! metrics.

use super::helm::{chart, has_helm, objects};
use crate::support::{Exporter, Output, run};

/// Returns the addresses to which a test pod sends requests.
fn addresses(case: &str) -> Option<Vec<String>> {
    let objects = objects(&chart().join(format!("ci/{case}-values.yaml")), &[]);
    let is_test = |name: &str| name.ends_with("-test-service");
    let mut pods = objects.iter().filter(|own| own["kind"] == "Pod");
    let pod = pods.find(|own| is_test(own["metadata"]["name"].as_str().unwrap()))?;
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"][1], "probe");
    let addresses = container["args"].as_array().unwrap().iter();
    Some(
        addresses
            .map(|own| own.as_str().unwrap().to_owned())
            .collect(),
    )
}

/// Runs the command of a test pod, with the addresses of an exporter instead of the addresses of the Service.
fn ask(exporter: &Exporter, addresses: &[String]) -> Output {
    let host = "http://ksm-kube-state-metrics.monitoring.svc:";
    let addresses = addresses.iter().map(|own| {
        let own = own.replace(&format!("{host}8080"), &format!("http://{}", exporter.main));
        own.replace(
            &format!("{host}8081"),
            &format!("http://{}", exporter.telemetry),
        )
    });
    let addresses: Vec<_> = addresses.collect();
    let addresses = addresses.iter().map(String::as_str);
    run(
        &["probe", "--timeout=2s"]
            .into_iter()
            .chain(addresses)
            .collect::<Vec<_>>(),
        "",
    )
}

#[test]
fn the_test_of_the_service_fails_unless_the_exporter_is_ready() {
    if !has_helm() {
        return;
    }
    let all = addresses("mixin").unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    let exporter = Exporter::start(&[]);
    let output = ask(&exporter, &all);
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.stdout.lines().count(), 3, "{}", output.stdout);

    // No API server listens on this address, so the exporter cannot list any resource.
    let away = ["--apiserver=http://127.0.0.1:1", "--resources=pods"];
    let output = ask(&Exporter::serving(&away), &all);
    output.fails("/readyz answers with status 503");

    let missing = [format!("http://{}/absent", exporter.main)];
    let output = ask(&exporter, &missing);
    assert!(
        output.stderr.contains("/absent answers with status 404"),
        "{}",
        output.stderr
    );
    let address = exporter.main.clone();
    drop(exporter);
    let output = run(
        &["probe", "--timeout=1s", &format!("http://{address}/readyz")],
        "",
    );
    output.fails("does not answer; check the address, and that the exporter runs: ");
}

#[test]
fn the_test_of_the_service_asks_nothing_that_needs_a_token() {
    if !has_helm() {
        return;
    }
    let host = "http://ksm-kube-state-metrics.monitoring.svc:8080";
    let expected = ["/readyz", "/metrics"].map(|path| format!("{host}{path}"));
    assert_eq!(addresses("default").unwrap(), expected);
    assert_eq!(
        addresses("minimal-rights").unwrap(),
        [format!("{host}/readyz")]
    );
    assert_eq!(addresses("kube-rbac-proxy"), None);
}
