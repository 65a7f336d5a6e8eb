//! Tests of the families of a pod's status: phase, conditions, times and reasons.

use serde_json::{Value, json};

use super::tails;

fn with_conditions(conditions: &Value) -> Value {
    json!({ "status": { "conditions": conditions } })
}

#[test]
fn the_current_phase_is_1_and_running_comes_last() {
    let phase = |phase| {
        tails(
            "kube_pod_status_phase",
            json!({ "status": { "phase": phase } }),
        )
    };
    assert_eq!(
        phase("Running"),
        [
            r#"{phase="Pending"} 0"#,
            r#"{phase="Succeeded"} 0"#,
            r#"{phase="Failed"} 0"#,
            r#"{phase="Unknown"} 0"#,
            r#"{phase="Running"} 1"#,
        ]
    );
    assert!(phase("running").iter().all(|line| line.ends_with(" 0")));
    assert!(phase("").is_empty());
}

#[test]
fn the_quality_of_service_is_one_of_three() {
    let class = |class| {
        tails(
            "kube_pod_status_qos_class",
            json!({ "status": { "qosClass": class } }),
        )
    };
    assert_eq!(
        class("Burstable"),
        [
            r#"{qos_class="BestEffort"} 0"#,
            r#"{qos_class="Burstable"} 1"#,
            r#"{qos_class="Guaranteed"} 0"#,
        ]
    );
    assert_eq!(class("Other").len(), 3);
    assert!(class("").is_empty());
}

#[test]
fn a_condition_is_three_samples_and_the_first_of_its_type_counts() {
    let pod = with_conditions(&json!([
        { "type": "ready", "status": "True" },
        { "type": "Ready", "status": "Unknown" },
        { "type": "Ready", "status": "True" },
        { "type": "PodScheduled", "status": "true" },
    ]));
    assert_eq!(
        tails("kube_pod_status_ready", pod.clone()),
        [
            r#"{condition="true"} 0"#,
            r#"{condition="false"} 0"#,
            r#"{condition="unknown"} 1"#
        ]
    );
    assert_eq!(
        tails("kube_pod_status_scheduled", pod),
        [
            r#"{condition="true"} 0"#,
            r#"{condition="false"} 0"#,
            r#"{condition="unknown"} 0"#
        ]
    );
}

#[test]
fn times_of_conditions_count_only_with_their_status() {
    let at = |kind, status, time: &str| json!({ "type": kind, "status": status, "lastTransitionTime": time });
    let pod = with_conditions(&json!([
        at("Ready", "False", "1970-01-01T00:00:01Z"),
        at("Ready", "True", "1970-01-01T00:00:02Z"),
        at("Initialized", "True", "1969-12-31T23:59:58.5Z"),
        at("ContainersReady", "True", "1970-01-01T00:00:00Z"),
        at("PodScheduled", "True", "1970-01-01T00:00:05Z"),
        at("PodScheduled", "False", "1970-01-01T00:00:06Z"),
    ]));
    assert_eq!(tails("kube_pod_status_ready_time", pod.clone()), ["{} 2"]);
    assert_eq!(
        tails("kube_pod_status_initialized_time", pod.clone()),
        ["{} -2"]
    );
    assert_eq!(
        tails("kube_pod_status_container_ready_time", pod.clone()),
        ["{} 0"]
    );
    assert_eq!(
        tails("kube_pod_status_scheduled_time", pod.clone()),
        ["{} 5"]
    );
    assert_eq!(tails("kube_pod_status_unscheduled_time", pod), ["{} 6"]);
}

#[test]
fn a_gated_pod_is_unschedulable_and_tells_no_time() {
    let gated = with_conditions(&json!([
        { "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastTransitionTime": null },
    ]));
    assert_eq!(
        tails("kube_pod_status_unschedulable", gated.clone()),
        ["{} 1"]
    );
    assert!(tails("kube_pod_status_unscheduled_time", gated).is_empty());
    let unknown = with_conditions(&json!([{ "type": "PodScheduled", "status": "Unknown" }]));
    assert!(tails("kube_pod_status_unschedulable", unknown).is_empty());
}

#[test]
fn reasons_of_pod_conditions_and_ended_containers_come_in_the_order_of_the_list() {
    let waiting = json!({ "waiting": { "reason": "NodeLost" } });
    let ended = |reason| json!({ "terminated": { "reason": reason } });
    let pod = json!({
        "status": {
            "reason": "UnexpectedAdmissionError",
            "conditions": [
                { "type": "Any", "status": "False", "reason": "TerminationByKubelet" },
                { "type": "Any", "reason": "Unlisted" },
            ],
            "containerStatuses": [
                { "name": "a", "state": ended("Evicted") },
                { "name": "b", "state": waiting, "lastState": ended("Shutdown") },
                { "name": "c", "state": ended("Error") },
                { "name": "d", "state": ended("UnexpectedAdmissionError") },
            ],
            "initContainerStatuses": [{ "name": "i", "state": ended("NodeAffinity") }],
        },
    });
    assert_eq!(
        tails("kube_pod_status_reason", pod),
        [
            r#"{reason="Evicted"} 1"#,
            r#"{reason="TerminationByKubelet"} 1"#,
            r#"{reason="UnexpectedAdmissionError"} 1"#,
        ]
    );
}

#[test]
fn an_unlisted_reason_of_the_pod_is_other_beside_listed_ones() {
    for reason in ["evicted", "Other", "Terminated"] {
        let condition = json!({ "reason": "PreemptionByScheduler" });
        let pod = json!({ "status": { "reason": reason, "conditions": [condition] } });
        assert_eq!(
            tails("kube_pod_status_reason", pod),
            [
                r#"{reason="PreemptionByScheduler"} 1"#,
                r#"{reason="Other"} 1"#
            ],
            "{reason}"
        );
    }
}

#[test]
fn disruptions_count_whatever_their_status_and_once_per_reason() {
    let target =
        |status, reason| json!({ "type": "DisruptionTarget", "status": status, "reason": reason });
    let pod = with_conditions(&json!([
        target("False", json!("EvictionByEvictionAPI")),
        { "type": "Ready", "reason": "DeletionByPodGC" },
        target("True", json!("Evicted")),
        target("", json!(null)),
        target("True", json!("TerminationByKubelet")),
    ]));
    assert_eq!(
        tails("kube_pod_status_disruption_reason", pod),
        [
            r#"{reason="EvictionByEvictionAPI"} 1"#,
            r#"{reason="Other"} 1"#,
            r#"{reason="TerminationByKubelet"} 1"#,
        ]
    );
}

fn finished(time: &str) -> Value {
    json!({ "state": { "terminated": { "finishedAt": time } } })
}

#[test]
fn a_pod_is_complete_when_its_last_container_ended() {
    let pod = json!({
        "status": {
            "containerStatuses": [
                finished("2024-01-01T00:00:01Z"),
                finished("2024-01-01T00:00:03.9Z"),
                finished("2024-01-01T00:00:02Z"),
                { "state": { "running": {} }, "lastState": finished("2025-01-01T00:00:00Z")["state"] },
            ],
            "initContainerStatuses": [finished("2025-01-01T00:00:00Z")],
        },
    });
    assert_eq!(
        tails("kube_pod_completion_time", pod),
        ["{} 1.704067203e+09"]
    );
}

#[test]
fn a_pod_that_ended_at_or_before_the_epoch_has_no_completion_time() {
    for time in [
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:58Z",
        "0001-01-01T00:00:00Z",
    ] {
        let pod = json!({ "status": { "containerStatuses": [finished(time)] } });
        assert!(tails("kube_pod_completion_time", pod).is_empty(), "{time}");
    }
}
