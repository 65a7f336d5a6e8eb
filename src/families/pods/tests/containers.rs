//! Tests of the families of containers and init containers.

use serde_json::{Value, json};

use super::tails;

/// Returns a pod whose containers and init containers have the same statuses.
fn with_statuses(statuses: &Value) -> Value {
    json!({ "status": { "containerStatuses": statuses, "initContainerStatuses": statuses } })
}

/// Checks that the family of containers and the family of init containers have equal samples. Returns these samples.
fn both(suffix: &str, pod: Value) -> Vec<String> {
    let lines = tails(&format!("kube_pod_container_{suffix}"), pod.clone());
    assert_eq!(
        tails(&format!("kube_pod_init_container_{suffix}"), pod),
        lines
    );
    lines
}

#[test]
fn info_pairs_containers_of_the_spec_with_statuses_of_their_name() {
    let pod = json!({
        "spec": {
            "containers": [
                { "name": "b", "image": "spec-b" },
                { "name": "a", "image": "spec-a" },
                { "name": "A", "image": "no status" },
            ],
            "initContainers": [{ "name": "i", "image": "spec-i", "restartPolicy": "Always" }],
        },
        "status": {
            "containerStatuses": [
                { "name": "a", "image": "a1", "imageID": "id", "containerID": "c" },
                { "name": "b" },
                { "name": "a", "image": "a2" },
                { "name": "i", "image": "not in the spec" },
            ],
            "initContainerStatuses": [{ "name": "i", "image": "i1" }],
        },
    });
    assert_eq!(
        tails("kube_pod_container_info", pod.clone()),
        [
            r#"{container="b",image_spec="spec-b",image="",image_id="",container_id=""} 1"#,
            r#"{container="a",image_spec="spec-a",image="a1",image_id="id",container_id="c"} 1"#,
            r#"{container="a",image_spec="spec-a",image="a2",image_id="",container_id=""} 1"#,
        ]
    );
    assert_eq!(
        tails("kube_pod_init_container_info", pod),
        [
            r#"{container="i",image_spec="spec-i",image="i1",image_id="",container_id="",restart_policy="Always"} 1"#
        ]
    );
}

#[test]
fn an_init_container_without_restart_policy_has_an_empty_label() {
    let pod = json!({
        "spec": { "initContainers": [{ "name": "i" }] },
        "status": { "initContainerStatuses": [{ "name": "i" }] },
    });
    assert_eq!(
        tails("kube_pod_init_container_info", pod),
        [
            r#"{container="i",image_spec="",image="",image_id="",container_id="",restart_policy=""} 1"#
        ]
    );
}

#[test]
fn resources_are_rounded_by_their_unit_and_come_in_order_of_their_names() {
    let resources = json!({
        "attachable-volumes-csi/ebs": "1.5",
        "cpu": "1n",
        "ephemeral-storage": "-1.5",
        "example-com/gpu": 1,
        "example.com/gpu": 2,
        "hugepages-2Mi": null,
        "memory": "1.1Ki",
        "nvidia.com/gpu": "100m",
        "pods": "1",
        "requests.cpu": "1",
        "storage": "what",
        "x.kubernetes.io/y": "1",
    });
    let containers = json!([
        { "name": "z", "resources": { "limits": { "cpu": "1500u" }, "requests": resources } },
        { "name": "a", "resources": { "requests": { "cpu": 0 } } },
        { "name": "none" },
    ]);
    let pod = json!({
        "spec": { "nodeName": "n1", "containers": containers, "initContainers": containers },
    });
    assert_eq!(
        both("resource_limits", pod.clone()),
        [r#"{container="z",node="n1",resource="cpu",unit="core"} 0.002"#]
    );
    assert_eq!(
        both("resource_requests", pod),
        [
            r#"{container="z",node="n1",resource="attachable_volumes_csi_ebs",unit="byte"} 2"#,
            r#"{container="z",node="n1",resource="attachable_volumes_csi_ebs",unit="integer"} 2"#,
            r#"{container="z",node="n1",resource="cpu",unit="core"} 0.001"#,
            r#"{container="z",node="n1",resource="ephemeral_storage",unit="byte"} -2"#,
            r#"{container="z",node="n1",resource="example_com_gpu",unit="integer"} 1"#,
            r#"{container="z",node="n1",resource="hugepages_2Mi",unit="byte"} 0"#,
            r#"{container="z",node="n1",resource="memory",unit="byte"} 1127"#,
            r#"{container="z",node="n1",resource="nvidia_com_gpu",unit="integer"} 1"#,
            r#"{container="a",node="n1",resource="cpu",unit="core"} 0"#,
        ]
    );
}

#[test]
fn large_processor_times_are_divided_after_rounding() {
    let limits = json!({ "cpu": "9007199254740993", "memory": "9007199254740993" });
    let pod = json!({ "spec": { "containers": [{ "resources": { "limits": limits } }] } });
    assert_eq!(
        tails("kube_pod_container_resource_limits", pod),
        [
            r#"{container="",node="",resource="cpu",unit="core"} 9.007199254740994e+15"#,
            r#"{container="",node="",resource="memory",unit="byte"} 9.007199254740992e+15"#,
        ]
    );
}

#[test]
fn every_status_has_its_flags_whatever_its_state() {
    let pod = with_statuses(&json!([
        { "name": "run", "ready": true, "started": false, "state": { "running": {} } },
        { "name": "end", "state": { "terminated": {} } },
        { "name": "wait", "state": { "waiting": {} }, "restartCount": 2 },
        { "name": "none", "state": {}, "restartCount": -1 },
        { "name": "all", "state": { "running": {}, "terminated": {}, "waiting": {} } },
    ]));
    let flags = |suffix: &str| {
        let lines = both(suffix, pod.clone());
        lines
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(flags("status_ready"), ["1", "0", "0", "0", "0"]);
    assert_eq!(flags("status_running"), ["1", "0", "0", "0", "1"]);
    assert_eq!(flags("status_terminated"), ["0", "1", "0", "0", "1"]);
    assert_eq!(flags("status_waiting"), ["0", "0", "1", "0", "1"]);
    assert_eq!(
        both("status_restarts_total", pod.clone()),
        [
            r#"{container="run"} 0"#,
            r#"{container="end"} 0"#,
            r#"{container="wait"} 2"#,
            r#"{container="all"} 0"#,
        ]
    );
    assert_eq!(
        both("status_terminated_reason", pod.clone()),
        [
            r#"{container="end",reason=""} 1"#,
            r#"{container="all",reason=""} 1"#
        ]
    );
    assert_eq!(
        both("status_waiting_reason", pod),
        [
            r#"{container="wait",reason=""} 1"#,
            r#"{container="all",reason=""} 1"#
        ]
    );
}

#[test]
fn reasons_are_verbatim() {
    let pod = with_statuses(&json!([
        { "name": "a", "state": { "waiting": { "reason": "Any \"thing\"" } } },
        { "name": "b", "state": { "terminated": { "reason": "OOMKilled" } } },
    ]));
    assert_eq!(
        both("status_waiting_reason", pod.clone()),
        [r#"{container="a",reason="Any \"thing\""} 1"#]
    );
    assert_eq!(
        both("status_terminated_reason", pod),
        [r#"{container="b",reason="OOMKilled"} 1"#]
    );
}

#[test]
fn a_running_container_never_shows_when_it_started_before() {
    let ended = json!({ "startedAt": "1970-01-01T00:00:05Z" });
    let pod = with_statuses(&json!([
        { "name": "run", "state": { "running": { "startedAt": "1970-01-01T00:00:07Z" }, "terminated": ended } },
        { "name": "untold", "state": { "running": {}, "terminated": ended } },
        { "name": "end", "state": { "terminated": ended } },
        { "name": "wait", "state": { "waiting": {} } },
        { "name": "before", "lastState": { "terminated": ended } },
    ]));
    assert_eq!(
        both("state_started", pod),
        [r#"{container="run"} 7"#, r#"{container="end"} 5"#]
    );
}

#[test]
fn the_last_end_is_told_apart_from_the_current_one() {
    let pod = with_statuses(&json!([
        {
            "name": "a",
            "state": { "terminated": { "reason": "Error", "exitCode": 1 } },
            "lastState": {
                "terminated": { "reason": "OOMKilled", "exitCode": 137, "finishedAt": "1970-01-01T00:00:09Z" },
            },
        },
        { "name": "b", "lastState": { "terminated": { "exitCode": -1 } } },
        { "name": "c", "lastState": { "running": {} } },
    ]));
    assert_eq!(
        both("status_last_terminated_reason", pod.clone()),
        [
            r#"{container="a",reason="OOMKilled"} 1"#,
            r#"{container="b",reason=""} 1"#
        ]
    );
    assert_eq!(
        both("status_last_terminated_exitcode", pod.clone()),
        [r#"{container="a"} 137"#, r#"{container="b"} -1"#]
    );
    assert_eq!(
        both("status_last_terminated_timestamp", pod),
        [r#"{container="a"} 9"#]
    );
}

#[test]
fn containers_of_one_name_keep_the_first_sample() {
    let pod = with_statuses(&json!([{ "name": "a", "ready": true }, { "name": "a" }]));
    assert_eq!(both("status_ready", pod), [r#"{container="a"} 1"#]);
}
