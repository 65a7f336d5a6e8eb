//! Tests of the families of pods, with one file per group of families. The cases of `tests/conformance` also cover
//! these families.

mod claims;
mod containers;
mod scheduling;
mod spec;
mod status;

use serde_json::{Value, json};

use super::pods;
use crate::families::testing::{family, samples};

/// The samples of the family `name` for a pod `n/p` with the uid `u`. The samples are without the family name and the
/// base labels.
fn tails(name: &str, mut pod: Value) -> Vec<String> {
    for (field, value) in [("namespace", "n"), ("name", "p"), ("uid", "u")] {
        pod["metadata"][field] = value.into();
    }
    let start = format!(r#"{name}{{namespace="n",pod="p",uid="u""#);
    let strip = |line: &String| {
        let tail = line
            .strip_prefix(&start)
            .expect("a sample starts with its base labels");
        format!("{{{}", tail.trim_start_matches(','))
    };
    family(pods(), name, &pod).iter().map(strip).collect()
}

#[test]
fn an_empty_pod_has_its_unconditional_families_only() {
    assert_eq!(
        samples(pods(), &json!({})),
        [
            r#"kube_pod_info{namespace="",pod="",uid="",host_ip="",pod_ip="",node="",created_by_kind="",created_by_name="",priority_class="",host_network="false"} 1"#,
            r#"kube_pod_owner{namespace="",pod="",uid="",owner_kind="",owner_name="",owner_is_controller=""} 1"#,
            r#"kube_pod_restart_policy{namespace="",pod="",uid="",type=""} 1"#,
            r#"kube_pod_nodeselectors{namespace="",pod="",uid=""} 1"#,
            r#"kube_pod_service_account{namespace="",pod="",uid="",service_account=""} 1"#,
            r#"kube_pod_scheduler{namespace="",pod="",uid="",name=""} 1"#,
        ]
    );
}

#[test]
fn null_is_the_same_as_absent() {
    let null = json!({
        "metadata": { "ownerReferences": null, "creationTimestamp": null },
        "spec": {
            "containers": null, "initContainers": null, "overhead": null, "tolerations": null,
            "runtimeClassName": null, "volumes": null, "resourceClaims": null,
        },
        "status": { "phase": null, "conditions": null, "containerStatuses": null, "startTime": null },
    });
    assert_eq!(samples(pods(), &null), samples(pods(), &json!({})));
}

#[test]
fn the_first_controlling_owner_is_the_creator() {
    let pod = json!({
        "metadata": {
            "ownerReferences": [
                { "kind": "A", "name": "a" },
                { "kind": "B", "name": "b", "controller": true },
                { "kind": "C", "name": "c", "controller": true },
            ],
        },
        "spec": { "nodeName": "n1", "priorityClassName": "high", "hostNetwork": true },
        "status": {
            "hostIP": "10.0.0.1", "hostIPs": [{ "ip": "10.0.0.9" }],
            "podIP": "10.1.0.1", "podIPs": [{ "ip": "10.1.0.9" }],
        },
    });
    assert_eq!(
        tails("kube_pod_info", pod.clone()),
        [
            r#"{host_ip="10.0.0.1",pod_ip="10.1.0.1",node="n1",created_by_kind="B",created_by_name="b",priority_class="high",host_network="true"} 1"#
        ]
    );
    assert_eq!(
        tails("kube_pod_owner", pod),
        [
            r#"{owner_kind="A",owner_name="a",owner_is_controller="false"} 1"#,
            r#"{owner_kind="B",owner_name="b",owner_is_controller="true"} 1"#,
            r#"{owner_kind="C",owner_name="c",owner_is_controller="true"} 1"#,
        ]
    );
}

#[test]
fn only_addresses_are_listed_and_mapped_ones_are_of_family_4() {
    let pod = json!({
        "status": {
            "podIP": "192.0.2.1",
            "podIPs": [
                { "ip": "fe80::1%eth0" },
                { "ip": "" },
                { "ip": "10.0.0.01" },
                { "ip": "::FFFF:10.0.0.5" },
                {},
                { "ip": "10.0.0.1%eth0" },
                { "ip": "10.0.0.1" },
            ],
        },
    });
    assert_eq!(
        tails("kube_pod_ips", pod),
        [
            r#"{ip="fe80::1%eth0",ip_family="6"} 1"#,
            r#"{ip="::FFFF:10.0.0.5",ip_family="4"} 1"#,
            r#"{ip="10.0.0.1",ip_family="4"} 1"#,
        ]
    );
}

#[test]
fn absent_and_zero_times_have_no_sample_in_any_family() {
    for time in [
        json!(null),
        json!("0001-01-01T00:00:00Z"),
        json!("0001-01-01T01:00:00+01:00"),
    ] {
        let end = json!({ "terminated": { "startedAt": time, "finishedAt": time } });
        let statuses = json!([{ "name": "c", "state": end, "lastState": end }]);
        let condition =
            |kind, status| json!({ "type": kind, "status": status, "lastTransitionTime": time });
        let pod = json!({
            "metadata": { "creationTimestamp": time, "deletionTimestamp": time },
            "status": {
                "startTime": time,
                "containerStatuses": statuses,
                "initContainerStatuses": statuses,
                "conditions": [
                    condition("Ready", "True"),
                    condition("Initialized", "True"),
                    condition("ContainersReady", "True"),
                    condition("PodScheduled", "True"),
                    condition("PodScheduled", "False"),
                ],
            },
        });
        for name in [
            "kube_pod_completion_time",
            "kube_pod_container_state_started",
            "kube_pod_container_status_last_terminated_timestamp",
            "kube_pod_created",
            "kube_pod_deletion_timestamp",
            "kube_pod_init_container_state_started",
            "kube_pod_init_container_status_last_terminated_timestamp",
            "kube_pod_start_time",
            "kube_pod_status_ready_time",
            "kube_pod_status_initialized_time",
            "kube_pod_status_container_ready_time",
            "kube_pod_status_scheduled_time",
            "kube_pod_status_unscheduled_time",
        ] {
            assert!(tails(name, pod.clone()).is_empty(), "{name} with {time}");
        }
    }
}
