//! Tests of the families of a pod's spec: overhead, runtime class, service account, scheduler and restart policy.

use serde_json::json;

use super::tails;

#[test]
fn overhead_counts_processor_time_and_memory_only() {
    let overhead = json!({ "cpu": "250m", "memory": "1.5", "ephemeral-storage": "1Gi" });
    let pod = json!({ "spec": { "overhead": overhead } });
    assert_eq!(
        tails("kube_pod_overhead_cpu_cores", pod.clone()),
        ["{} 0.25"]
    );
    assert_eq!(tails("kube_pod_overhead_memory_bytes", pod), ["{} 2"]);
    let none = json!({ "spec": { "overhead": { "cpu": "0", "memory": "?" } } });
    assert_eq!(tails("kube_pod_overhead_cpu_cores", none.clone()), ["{} 0"]);
    assert!(tails("kube_pod_overhead_memory_bytes", none).is_empty());
}

#[test]
fn a_runtime_class_counts_when_present_even_if_empty() {
    let class = |name| {
        let pod = json!({ "spec": { "runtimeClassName": name } });
        tails("kube_pod_runtimeclass_name_info", pod)
    };
    assert_eq!(
        class(json!("gvisor")),
        [r#"{runtimeclass_name="gvisor"} 1"#]
    );
    assert_eq!(class(json!("")), [r#"{runtimeclass_name=""} 1"#]);
    assert!(class(json!(null)).is_empty());
}

#[test]
fn service_account_scheduler_and_restart_policy_are_verbatim() {
    let pod = json!({
        "spec": {
            "serviceAccountName": "app", "serviceAccount": "old",
            "schedulerName": "custom", "restartPolicy": "Sometimes",
        },
    });
    assert_eq!(
        tails("kube_pod_service_account", pod.clone()),
        [r#"{service_account="app"} 1"#]
    );
    assert_eq!(
        tails("kube_pod_scheduler", pod.clone()),
        [r#"{name="custom"} 1"#]
    );
    assert_eq!(
        tails("kube_pod_restart_policy", pod),
        [r#"{type="Sometimes"} 1"#]
    );
}
