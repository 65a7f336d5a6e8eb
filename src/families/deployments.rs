//! The resource `deployments`: its families show desired and current replicas, conditions, and the limits of a rolling
//! update.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::common::{self, if_present, optional, or_zero, text};
use crate::family::{Samples, Stability};
use crate::k8s::{IntOrPercent, scaled};
use crate::{Collector, Family};

/// The families of Deployments.
///
/// ```
/// use kube_state_metrics::families::deployments;
///
/// assert!(deployments().iter().any(|family| family.descriptor().name() == "kube_deployment_owner"));
/// ```
#[must_use]
pub fn deployments() -> Collector<Deployment> {
    type F = Family<Deployment>;
    Collector::new().families([
        F::gauge(
            "kube_deployment_owner",
            "Always 1 for each owner of the deployment, or once with empty labels if it has no \
             owner.",
        )
        .labels(["owner_kind", "owner_name"])
        .reads([
            "metadata.ownerReferences.kind",
            "metadata.ownerReferences.name",
        ])
        .generate(common::owners_without_controller),
        F::gauge(
            "kube_deployment_created",
            "Unix time when the deployment was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_deployment_status_replicas",
            "Number of non-terminating pods of the deployment, including pods of earlier pod templates.",
        )
        .stable()
        .reads(["status.replicas"])
        .generate(or_zero(status, |status| status.replicas)),
        F::gauge(
            "kube_deployment_status_replicas_ready",
            "Number of ready pods of the deployment.",
        )
        .stable()
        .reads(["status.readyReplicas"])
        .generate(or_zero(status, |status| status.ready_replicas)),
        F::gauge(
            "kube_deployment_status_replicas_available",
            "Number of available pods of the deployment (ready for at least minReadySeconds).",
        )
        .stable()
        .reads(["status.availableReplicas"])
        .generate(or_zero(status, |status| status.available_replicas)),
        F::gauge(
            "kube_deployment_status_replicas_unavailable",
            "Number of unavailable pods of the deployment: pods that are not created yet, and \
             pods that are not available.",
        )
        .stable()
        .reads(["status.unavailableReplicas"])
        .search_words(["degraded", "down"])
        .generate(or_zero(status, |status| status.unavailable_replicas)),
        F::gauge(
            "kube_deployment_status_replicas_updated",
            "Number of pods of the deployment that have the latest pod template.",
        )
        .stable()
        .reads(["status.updatedReplicas"])
        .generate(or_zero(status, |status| status.updated_replicas)),
        F::gauge(
            "kube_deployment_status_terminating_replicas",
            "Number of terminating pods of the deployment; absent if the cluster does not report \
             this number.",
        )
        .reads(["status.terminatingReplicas"])
        .generate(if_present(status, |status| status.terminating_replicas)),
        F::gauge(
            "kube_deployment_status_observed_generation",
            "Latest generation of the deployment that its controller has observed.",
        )
        .stable()
        .reads(["status.observedGeneration"])
        .generate(or_zero(status, |status| status.observed_generation)),
        F::gauge(
            "kube_deployment_status_condition",
            "Conditions of the deployment (Available, Progressing, ReplicaFailure): 1 for the \
             current `status`, otherwise 0. `reason` is `unknown` if the reason of the condition \
             is not a standard reason.",
        )
        .stable()
        .labels(["reason", "condition", "status"])
        .reads([
            "status.conditions.reason",
            "status.conditions.type",
            "status.conditions.status",
        ])
        .generate(conditions),
        F::gauge(
            "kube_deployment_spec_replicas",
            "Desired number of pods of the deployment; absent if not set.",
        )
        .stable()
        .reads(["spec.replicas"])
        .generate(if_present(spec, |spec| spec.replicas)),
        F::gauge(
            "kube_deployment_spec_paused",
            "1 if the deployment is paused (changes are not rolled out), otherwise 0.",
        )
        .stable()
        .reads(["spec.paused"])
        .generate(or_zero(spec, |spec| spec.paused)),
        F::gauge(
            "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
            "Maximum number of unavailable pods during a rolling update of the deployment (a \
             percentage is rounded down); absent if not set.",
        )
        .stable()
        .reads([
            "spec.replicas",
            "spec.strategy.rollingUpdate.maxUnavailable",
        ])
        .generate(|deployment, s| {
            s.maybe_value(limit(
                deployment,
                |update| update.max_unavailable.as_ref(),
                false,
            ));
        }),
        F::gauge(
            "kube_deployment_spec_strategy_rollingupdate_max_surge",
            "Maximum number of pods above the desired number during a rolling update of the \
             deployment (a percentage is rounded up); absent if not set.",
        )
        .stable()
        .reads(["spec.replicas", "spec.strategy.rollingUpdate.maxSurge"])
        .generate(|deployment, s| {
            s.maybe_value(limit(deployment, |update| update.max_surge.as_ref(), true));
        }),
        F::gauge(
            "kube_deployment_metadata_generation",
            "Generation of the deployment, a number that increases when its spec changes.",
        )
        .stable()
        .reads([common::GENERATION])
        .generate(common::generation),
        F::gauge(
            "kube_deployment_deletion_timestamp",
            "Unix time when the deployment is due for deletion, in seconds; absent until \
             deletion is requested.",
        )
        .reads([common::DELETED])
        .generate(common::deleted),
        common::annotations(
            "kube_deployment_annotations",
            "deployment",
            Stability::Alpha,
        ),
        common::labels("kube_deployment_labels", "deployment", Stability::Stable),
    ])
}

/// The reasons that the Deployment controller sets in conditions. All other reasons have the same label value, which
/// limits the number of series.
const REASONS: [&str; 10] = [
    "ReplicaSetUpdated",
    "ReplicaSetCreateError",
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "DeploymentPaused",
    "DeploymentResumed",
    "MinimumReplicasAvailable",
    "MinimumReplicasUnavailable",
];

fn spec(deployment: &Deployment) -> Option<&DeploymentSpec> {
    optional(&deployment.spec)
}

fn status(deployment: &Deployment) -> Option<&DeploymentStatus> {
    optional(&deployment.status)
}

fn conditions(deployment: &Deployment, s: &mut Samples<'_>) {
    let conditions = status(deployment).and_then(|status| status.conditions.as_deref());
    for condition in conditions.unwrap_or_default() {
        let reason = match condition.reason.as_deref().unwrap_or_default() {
            reason if reason.is_empty() || REASONS.contains(&reason) => reason,
            _ => "unknown",
        };
        common::condition(s, "status", text(&condition.status), |s| {
            s.label("reason", reason)
                .label("condition", text(&condition.type_))
        });
    }
}

/// Returns a limit of a rolling update as a number of pods. Returns `None` if the limit or the number of replicas is
/// absent.
fn limit(
    deployment: &Deployment,
    field: fn(&RollingUpdateDeployment) -> Option<&IntOrString>,
    round_up: bool,
) -> Option<f64> {
    let spec = spec(deployment)?;
    let limit = match field(spec.strategy.as_ref()?.rolling_update.as_ref()?)? {
        IntOrString::Int(pods) => IntOrPercent::Int(*pods),
        IntOrString::String(text) => IntOrPercent::Text(text),
    };
    scaled(limit, spec.replicas?, round_up)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::deployments;
    use crate::families::testing::family;

    /// Returns the samples of a Deployment in the family `kube_deployment_<name>`, without the common start of the
    /// lines.
    fn samples(name: &str, deployment: &Value) -> Vec<String> {
        let name = format!("kube_deployment_{name}");
        let start = format!("{name}{{namespace=\"\",deployment=\"\"");
        let lines = family(deployments(), &name, deployment);
        lines
            .into_iter()
            .map(|line| line.replace(&start, ""))
            .collect()
    }

    fn limits(deployment: &Value) -> [Vec<String>; 2] {
        ["max_unavailable", "max_surge"]
            .map(|limit| samples(&format!("spec_strategy_rollingupdate_{limit}"), deployment))
    }

    #[test]
    fn a_reason_that_the_controller_never_gives_shows_as_unknown() {
        let condition =
            |reason| json!({ "type": "Progressing", "status": "True", "reason": reason });
        for (reason, shown) in [
            (json!("ReplicaSetUpdated"), "ReplicaSetUpdated"),
            (json!("NewReplicaSetAvailable"), "NewReplicaSetAvailable"),
            (json!("DeploymentPaused"), "DeploymentPaused"),
            (json!("deploymentpaused"), "unknown"),
            (json!("FailedCreate"), "unknown"),
            (json!("unknown"), "unknown"),
            (json!(" "), "unknown"),
            (json!(""), ""),
            (json!(null), ""),
        ] {
            let object = json!({ "status": { "conditions": [condition(reason)] } });
            let start = format!(",reason=\"{shown}\",condition=\"Progressing\",status=");
            assert_eq!(
                samples("status_condition", &object),
                [("true", 1), ("false", 0), ("unknown", 0)]
                    .map(|(status, value)| format!("{start}\"{status}\"}} {value}"))
            );
        }
    }

    #[test]
    fn two_unknown_reasons_of_a_condition_share_the_series_of_the_first() {
        let object = json!({ "status": { "conditions": [
            { "type": "A", "status": "False", "reason": "X" },
            { "type": "A", "status": "True", "reason": "Y" },
        ] } });
        assert_eq!(
            samples("status_condition", &object),
            [("true", 0), ("false", 1), ("unknown", 0)].map(|(status, value)| format!(
                ",reason=\"unknown\",condition=\"A\",status=\"{status}\"}} {value}"
            ))
        );
    }

    #[test]
    fn limits_need_replicas_even_where_they_are_numbers() {
        let update = json!({ "rollingUpdate": { "maxUnavailable": 1, "maxSurge": "25%" } });
        let without = json!({ "spec": { "replicas": null, "strategy": update } });
        assert_eq!(limits(&without), [[""; 0]; 2]);
        let with = json!({ "spec": { "replicas": 10, "strategy": update } });
        assert_eq!(limits(&with), [["} 1"], ["} 3"]]);
    }

    #[test]
    fn the_type_of_the_strategy_does_not_hide_its_limits() {
        let update = json!({ "maxUnavailable": "-25%", "maxSurge": "+25%" });
        let strategy = json!({ "type": "Recreate", "rollingUpdate": update });
        let object = json!({ "spec": { "replicas": 10, "strategy": strategy } });
        assert_eq!(limits(&object), [["} -3"], ["} 3"]]);
    }

    #[test]
    fn an_owner_without_fields_still_counts_and_a_null_one_too() {
        let object = json!({ "metadata": { "ownerReferences": [
            { "kind": "Rollout", "name": "web", "controller": true }, { "uid": "1" }, null,
        ] } });
        assert_eq!(
            samples("owner", &object),
            [
                r#",owner_kind="Rollout",owner_name="web"} 1"#,
                r#",owner_kind="",owner_name=""} 1"#,
            ]
        );
    }
}
