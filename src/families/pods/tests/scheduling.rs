//! Tests of the families of a pod's scheduling: tolerations and node selectors.

use serde_json::json;

use super::tails;

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
        tails("kube_pod_tolerations", pod),
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
        tails(
            "kube_pod_nodeselectors",
            json!({ "spec": { "nodeSelector": selector } })
        ),
        [
            r#"{nodeselector_a_b_conflict1="dash",nodeselector_a_b_conflict2="dot",nodeselector_disk_type="",nodeselector_kubernetes_io_os="linux"} 1"#
        ]
    );
}
