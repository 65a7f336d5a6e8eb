use serde_json::json;

use super::own;

#[test]
fn overhead_counts_processor_time_and_memory_only() {
    let overhead = json!({ "cpu": "250m", "memory": "1.5", "ephemeral-storage": "1Gi" });
    let pod = json!({ "spec": { "overhead": overhead } });
    assert_eq!(own("kube_pod_overhead_cpu_cores", pod.clone()), ["{} 0.25"]);
    assert_eq!(own("kube_pod_overhead_memory_bytes", pod), ["{} 2"]);
    let none = json!({ "spec": { "overhead": { "cpu": "0", "memory": "?" } } });
    assert_eq!(own("kube_pod_overhead_cpu_cores", none.clone()), ["{} 0"]);
    assert!(own("kube_pod_overhead_memory_bytes", none).is_empty());
}

#[test]
fn a_claim_is_named_by_the_spec_or_else_by_the_last_status_of_its_name() {
    let pod = json!({
        "spec": {
            "resourceClaims": [
                { "name": "direct", "resourceClaimName": "own" },
                { "name": "made", "resourceClaimTemplateName": "t" },
                { "name": "pending", "resourceClaimTemplateName": "t" },
                { "name": "neither" },
                { "name": "both", "resourceClaimName": "", "resourceClaimTemplateName": "t" },
            ],
        },
        "status": {
            "resourceClaimStatuses": [
                { "name": "made", "resourceClaimName": "first" },
                { "name": "direct", "resourceClaimName": "unused" },
                { "name": "both", "resourceClaimName": "unused" },
                { "name": "made", "resourceClaimName": "last" },
                { "name": "made" },
                { "name": "neither", "resourceClaimName": "unused" },
            ],
        },
    });
    assert_eq!(
        own("kube_pod_resourceclaim_info", pod),
        [
            r#"{claim_name="direct",resourceclaim_name="own",resourceclaim_template_name=""} 1"#,
            r#"{claim_name="made",resourceclaim_name="last",resourceclaim_template_name="t"} 1"#,
            r#"{claim_name="pending",resourceclaim_name="",resourceclaim_template_name="t"} 1"#,
            r#"{claim_name="both",resourceclaim_name="",resourceclaim_template_name="t"} 1"#,
        ]
    );
}

#[test]
fn a_runtime_class_counts_when_present_even_if_empty() {
    let class = |name| {
        let pod = json!({ "spec": { "runtimeClassName": name } });
        own("kube_pod_runtimeclass_name_info", pod)
    };
    assert_eq!(
        class(json!("gvisor")),
        [r#"{runtimeclass_name="gvisor"} 1"#]
    );
    assert_eq!(class(json!("")), [r#"{runtimeclass_name=""} 1"#]);
    assert!(class(json!(null)).is_empty());
}

#[test]
fn volumes_show_their_claim_and_whether_it_was_made_for_the_pod() {
    let pod = json!({
        "spec": {
            "containers": [{ "volumeMounts": [{ "name": "scratch", "readOnly": true }] }],
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "db", "readOnly": true } },
                { "name": "config", "configMap": {} },
                { "name": "scratch", "ephemeral": {} },
                { "name": "two", "persistentVolumeClaim": {}, "ephemeral": {} },
            ],
        },
    });
    assert_eq!(
        own(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            pod.clone()
        ),
        [
            r#"{volume="data",persistentvolumeclaim="db",ephemeral="false"} 1"#,
            r#"{volume="scratch",persistentvolumeclaim="p-scratch",ephemeral="true"} 1"#,
            r#"{volume="two",persistentvolumeclaim="",ephemeral="false"} 1"#,
        ]
    );
    assert_eq!(
        own("kube_pod_spec_volumes_persistentvolumeclaims_readonly", pod),
        [
            r#"{volume="data",persistentvolumeclaim="db",ephemeral="false"} 1"#,
            r#"{volume="scratch",persistentvolumeclaim="p-scratch",ephemeral="true"} 0"#,
            r#"{volume="two",persistentvolumeclaim="",ephemeral="false"} 0"#,
        ]
    );
}

#[test]
fn tolerations_that_differ_in_nothing_are_one() {
    let pod = json!({
        "spec": {
            "tolerations": [
                { "key": "b", "operator": "Equal", "value": "v", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "a", "operator": "Exists" },
                { "key": "a" },
                { "key": "a", "operator": "Exists" },
                { "key": "a", "operator": "Exists", "tolerationSeconds": -9223372036854775808_i64 },
                { "key": "a", "operator": "Exists", "tolerationSeconds": 0 },
                {},
            ],
        },
    });
    assert_eq!(
        own("kube_pod_tolerations", pod),
        [
            r#"{key="b",operator="Equal",value="v",effect="NoExecute",toleration_seconds="300"} 1"#,
            r#"{key="a",operator="Exists",value="",effect="",toleration_seconds=""} 1"#,
            r#"{key="a",operator="",value="",effect="",toleration_seconds=""} 1"#,
            r#"{key="a",operator="Exists",value="",effect="",toleration_seconds="-9223372036854775808"} 1"#,
            r#"{key="a",operator="Exists",value="",effect="",toleration_seconds="0"} 1"#,
            r#"{key="",operator="",value="",effect="",toleration_seconds=""} 1"#,
        ]
    );
}

#[test]
fn node_selectors_come_in_order_of_their_keys_and_colliding_ones_get_suffixes() {
    let selector =
        json!({ "kubernetes.io/os": "linux", "a.b": "dot", "a-b": "dash", "diskType": "" });
    assert_eq!(
        own(
            "kube_pod_nodeselectors",
            json!({ "spec": { "nodeSelector": selector } })
        ),
        [
            r#"{nodeselector_a_b_conflict1="dash",nodeselector_a_b_conflict2="dot",nodeselector_disk_type="",nodeselector_kubernetes_io_os="linux"} 1"#
        ]
    );
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
        own("kube_pod_service_account", pod.clone()),
        [r#"{service_account="app"} 1"#]
    );
    assert_eq!(
        own("kube_pod_scheduler", pod.clone()),
        [r#"{name="custom"} 1"#]
    );
    assert_eq!(
        own("kube_pod_restart_policy", pod),
        [r#"{type="Sometimes"} 1"#]
    );
}
