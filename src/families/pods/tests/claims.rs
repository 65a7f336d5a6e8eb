//! Tests of the families of claims: volumes with PersistentVolumeClaims, and resource claims.

use serde_json::json;

use super::tails;

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
        tails("kube_pod_resourceclaim_info", pod),
        [
            r#"{claim_name="direct",resourceclaim_name="own",resourceclaim_template_name=""} 1"#,
            r#"{claim_name="made",resourceclaim_name="last",resourceclaim_template_name="t"} 1"#,
            r#"{claim_name="pending",resourceclaim_name="",resourceclaim_template_name="t"} 1"#,
            r#"{claim_name="both",resourceclaim_name="",resourceclaim_template_name="t"} 1"#,
        ]
    );
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
        tails(
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
        tails("kube_pod_spec_volumes_persistentvolumeclaims_readonly", pod),
        [
            r#"{volume="data",persistentvolumeclaim="db",ephemeral="false"} 1"#,
            r#"{volume="scratch",persistentvolumeclaim="p-scratch",ephemeral="true"} 0"#,
            r#"{volume="two",persistentvolumeclaim="",ephemeral="false"} 0"#,
        ]
    );
}
