//! Tests several replicas that use `--ha`. At each moment, only one replica may serve the metrics of objects.

use std::time::{Duration, Instant};

use serde_json::json;

use super::api::Api;
use super::scraper::{Report, Scraper};
use super::support::{Directory, Exporter, eventually, eventually_or};

/// The shortest allowed duration of the Lease.
const LEASE: Duration = Duration::from_secs(3);
/// The start of a series that each leader exports.
const SERIES: &str = "kube_namespace_created{";
const ROLLOUTS: u32 = 10;

/// Returns an API server with one namespace.
fn api() -> Api {
    let api = Api::start(&[]);
    let created = "2024-01-01T00:00:00Z";
    api.put(
        "namespaces",
        json!({ "metadata": { "name": "shop", "creationTimestamp": created, "resourceVersion": "3" } }),
    );
    api
}

fn replica(api: &Api, args: &[&str]) -> Exporter {
    let url = format!("--apiserver={}", api.url);
    let own = [
        &*url,
        "--resources=namespaces",
        "--ha",
        "--ha-lease-duration=3s",
    ];
    Exporter::serving(&[&own[..], args].concat())
}

fn named(api: &Api, name: &str) -> Exporter {
    replica(api, &[&format!("--ha-identity={name}")])
}

fn leads(replica: &Exporter) -> bool {
    replica.metrics("").contains(SERIES)
}

#[track_caller]
fn wait_until_it_leads(replica: &Exporter) {
    let leads = || leads(replica).then_some(());
    eventually_or("the replica leads", leads, || replica.log());
}

#[test]
fn a_lease_says_who_leads_and_a_standby_serves_no_objects() {
    let api = api();
    let first = replica(
        &api,
        &["--ha-identity=a", "--ha-namespace=x", "--ha-lease-name=y"],
    );
    wait_until_it_leads(&first);
    let lease = api
        .lease("x/leases/y")
        .expect("the Lease has the name of the flags");
    let spec = &lease["spec"];
    assert!(
        spec["holderIdentity"].as_str().unwrap().starts_with("a_"),
        "{spec}"
    );
    assert_eq!(spec["leaseDurationSeconds"], 3);

    let second = replica(
        &api,
        &["--ha-identity=b", "--ha-namespace=x", "--ha-lease-name=y"],
    );
    second.becomes_ready();
    let answer = second.get("/metrics");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let series = |name: &str, value| {
        format!("kube_state_metrics_leader{{identity=\"{name}\",lease=\"x/y\"}} {value}")
    };
    assert!(text.ends_with(&format!("{}\n", series("b", 0))), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(first.metrics("").contains(&series("a", 1)));
    // If a query selects metrics, the response has no metrics about the exporter. A standby replica serves no metrics
    // of objects, so its response is empty.
    assert_eq!(second.metrics("?resources=namespaces"), "");

    let ready = second.get("/readyz?verbose").text();
    assert!(ready.contains("standby for lease x/y, which a_"), "{ready}");
    let ready = first.get("/readyz?verbose").text();
    assert!(ready.contains("[+] leader of lease x/y"), "{ready}");
    assert!(first.get("/").text().contains("leader of lease x/y"));
    assert_eq!(second.get("/livez").status, 200);
    let own = |name: &str, replica: &Exporter, identity: &str| {
        replica.own(&format!(
            "kube_state_metrics_{name}{{identity=\"{identity}\",lease=\"x/y\"}}"
        ))
    };
    assert_eq!(own("leader", &first, "a"), Some(1.0));
    assert_eq!(own("leader", &second, "b"), Some(0.0));
    assert_eq!(own("leader_transitions_total", &first, "a"), Some(1.0));
    assert_eq!(own("unconfirmed_scrapes_total", &first, "a"), Some(0.0));
    assert!(own("lease_renewal_age_seconds", &first, "a").unwrap() < 3.0);
    assert_eq!(own("lease_renewal_age_seconds", &second, "b"), None);
    first.tells("this replica is the leader (lease x/y)");
}

#[test]
fn a_leader_without_the_api_server_serves_on_or_stops() {
    for (behavior, goes_on) in [("keep", true), ("silent", false)] {
        let api = api();
        let replica = replica(&api, &[&format!("--ha-on-outage={behavior}")]);
        wait_until_it_leads(&replica);
        api.hang("kube-state-metrics");
        replica
            .tells("lease kube-state-metrics: cannot read or write the Lease: no response in time");
        let unconfirmed = || {
            let text = replica.telemetry("/metrics").text();
            let line = text
                .lines()
                .find(|line| line.starts_with("kube_state_metrics_unconfirmed_scrapes_total{"));
            line.is_some_and(|line| !line.ends_with(" 0"))
        };
        if goes_on {
            eventually("it serves after the end of the Lease", || {
                (leads(&replica) && unconfirmed()).then_some(())
            });
        } else {
            eventually("it stops", || (!leads(&replica)).then_some(()));
            assert!(!unconfirmed());
        }
    }
}

#[test]
fn a_replica_without_permissions_on_the_lease_is_not_ready() {
    let api = Api::start(&["kube-state-metrics"]);
    let replica = named(&api, "a");
    let state = || replica.get("/readyz?verbose");
    let reason = "not ready: standby for lease default/kube-state-metrics, which nobody holds; cannot read or write the Lease: ";
    let is_told = || state().text().starts_with(reason).then_some(());
    eventually_or("the reason", is_told, || state().text());
    // The replica has listed all objects, but it does not become ready, because it does not hold the Lease.
    assert!(
        replica
            .next_line()
            .starts_with("serving 0 series of 0 objects")
    );
    assert_eq!(state().status, 503);
    assert_eq!(replica.get("/livez").status, 200);
    assert_eq!(replica.own("kube_state_metrics_ready"), Some(0.0));
}

#[test]
fn a_change_that_needs_another_lease_waits_for_a_restart() {
    let (api, other) = (api(), api());
    let directory = Directory::new("high-availability");
    let config = |server: &str, more: &str| {
        directory.write("config.yaml", &format!("apiserver: {server}\n{more}"))
    };
    let path = config(&api.url, "");
    let replica = Exporter::serving(&[
        "--config",
        &path,
        "--resources=namespaces",
        "--ha",
        "--ha-lease-duration=3s",
    ]);
    wait_until_it_leads(&replica);
    let reason = "the changed configuration is not used: with --ha, the shard and the API server cannot change";
    let refusals = || replica.log().matches(reason).count();
    config(&other.url, "");
    eventually("another server is refused", || {
        (refusals() == 1).then_some(())
    });
    config(&api.url, "shard: 1\ntotal_shards: 2\n");
    eventually("another shard is refused", || {
        (refusals() == 2).then_some(())
    });
    config(&api.url, "metric_denylist: {kube_namespace_labels: {}}\n");
    replica.tells("configuration reloaded");
    assert!(leads(&replica));
    assert_eq!(other.count("leases"), 0);
}

#[test]
fn an_edited_duration_locks_out_no_replica_without_a_reason_in_the_log() {
    let api = api();
    let path = "default/leases/kube-state-metrics";
    let spec = |seconds: i32| json!({ "holderIdentity": "gone", "leaseDurationSeconds": seconds });
    api.put_lease(path, spec(i32::MAX));
    let replica = named(&api, "a");
    replica
        .tells("another program has set leaseDurationSeconds to 2147483647; a standby waits 300 s");
    assert!(!leads(&replica));
    api.put_lease(path, spec(1));
    wait_until_it_leads(&replica);
    let lease = api.lease("kube-state-metrics").unwrap();
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3);
}

#[test]
fn a_lease_with_a_time_at_the_end_of_the_year_9999_is_claimed_after_its_duration() {
    let api = api();
    let time = "9999-12-31T00:00:00.000000Z";
    api.put_lease(
        "default/leases/kube-state-metrics",
        json!({ "holderIdentity": "gone", "leaseDurationSeconds": 3, "acquireTime": time, "renewTime": time }),
    );
    let replica = named(&api, "a");
    wait_until_it_leads(&replica);
    let lease = api.lease("kube-state-metrics").unwrap();
    let renewed = lease["spec"]["renewTime"].as_str().unwrap();
    assert!(renewed < time, "{renewed}");
}

#[test]
fn a_killed_leader_is_replaced_when_its_lease_ends() {
    let api = api();
    let first = named(&api, "a");
    wait_until_it_leads(&first);
    let second = named(&api, "b");
    second.becomes_ready();
    assert!(!leads(&second));
    first.signal("KILL");
    let killed = Instant::now();
    wait_until_it_leads(&second);
    let gap = killed.elapsed();
    // The gap is the duration of the Lease, plus the time until the standby reads the Lease again (0.4 s). A busy
    // machine needs some more time, so the limit is longer.
    assert!(gap < LEASE + Duration::from_secs(3), "{gap:?}");
}

#[test]
fn a_leader_alone_serves_until_its_hand_over_is_hopeless_and_frees_the_lease() {
    let api = api();
    let mut replica = named(&api, "a");
    wait_until_it_leads(&replica);
    replica.signal("TERM");
    replica.tells("a leader waits up to 10s for a standby");
    assert!(leads(&replica));
    assert!(replica.wait().success());
    let lease = api.lease("kube-state-metrics").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "");
    // The leader has released the Lease, so the next replica need not wait until the Lease expires.
    let next = named(&api, "b");
    let started = Instant::now();
    wait_until_it_leads(&next);
    assert!(started.elapsed() < LEASE, "{:?}", started.elapsed());
}

#[test]
fn rollouts_lose_and_double_no_series() {
    let api = api();
    let mut replicas = vec![named(&api, "a0"), named(&api, "b0")];
    eventually("a replica leads", || {
        replicas.iter().any(leads).then_some(())
    });
    let scraper = Scraper::start(|texts| {
        let leaders = texts.iter().filter(|text| text.contains(SERIES)).count();
        (leaders != 1).then(|| format!("{leaders} leaders"))
    });
    replicas.iter().for_each(|replica| scraper.add(replica));
    for rollout in 1..=ROLLOUTS {
        for name in ["a", "b"] {
            // In the rollout of a Deployment, the new pod becomes ready before an old pod stops. The test uses the same
            // order.
            let new = named(&api, &format!("{name}{rollout}"));
            new.becomes_ready();
            scraper.add(&new);
            let mut old = replicas.remove(0);
            replicas.push(new);
            old.signal("TERM");
            assert!(old.wait().success());
            scraper.remove(&old);
        }
    }
    let Report { scrapes, problems } = scraper.end();
    println!("{scrapes} scrapes during {ROLLOUTS} rollouts of two replicas");
    assert!(problems.is_empty(), "{problems:#?} of {scrapes} scrapes");
    assert!(scrapes > 50);
}
