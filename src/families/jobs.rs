//! The resource `jobs`: its families show the specification, the numbers of pods and the result of each job.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of jobs.
///
/// ```
/// use kube_state_metrics::families::jobs;
///
/// assert!(jobs().iter().any(|family| family.descriptor().name() == "kube_job_annotations"));
/// ```
#[must_use]
pub fn jobs() -> Collector<Job> {
    type F = Family<Job>;
    let collector = Collector::new().no_base_labels();
    collector.namespace_label("namespace").name_label("job_name").families([
        common::annotations("kube_job_annotations",
                            "job", Stability::Alpha),
        common::labels("kube_job_labels",
                       "job", Stability::Stable),
        F::gauge("kube_job_info",
                 "Always 1 for each job.")
            .stable()
            .reads_identity_only()
            .generate(common::always),
        F::gauge("kube_job_created",
                 "Unix time when the job was created, in seconds.")
            .stable()
            .reads([common::CREATED])
            .generate(common::created),
        F::gauge(
            "kube_job_spec_parallelism",
            "Maximum number of pods of the job that run at the same time; absent if not set.",
        )
        .stable()
        .reads(["spec.parallelism"])
        .generate(if_present(spec, |spec| spec.parallelism)),
        F::gauge(
            "kube_job_spec_completions",
            "Number of pods that must succeed for the job to complete; absent if the success of \
             one pod is enough.",
        )
        .stable()
        .reads(["spec.completions"])
        .generate(if_present(spec, |spec| spec.completions)),
        F::gauge(
            "kube_job_spec_active_deadline_seconds",
            "Time that the job may be active before it fails with DeadlineExceeded, in seconds; \
             absent if the job has no deadline.",
        )
        .stable()
        .reads(["spec.activeDeadlineSeconds"])
        .generate(if_present(spec, |spec| spec.active_deadline_seconds)),
        F::gauge("kube_job_status_succeeded",
                 "Number of succeeded pods of the job.")
            .stable()
            .reads(["status.succeeded"])
            .generate(or_zero(status, |status| status.succeeded)),
        F::gauge(
            "kube_job_status_failed",
            "1 for the failure `reason` of the job (BackoffLimitExceeded, DeadlineExceeded or \
             Evicted), 0 for the other two reasons. For a job without such a reason, the value \
             is the number of failed pods.",
        )
        .stable()
        .labels(["reason"])
        .reads(["status.failed", "status.conditions.type", "status.conditions.reason"])
        .search_words(["failure"])
        .generate(failures),
        F::gauge("kube_job_status_active",
                 "Number of pending and running pods of the job that are not terminating.")
            .stable()
            .reads(["status.active"])
            .generate(or_zero(status, |status| status.active)),
        F::gauge("kube_job_status_ready",
                 "Number of ready pods of the job.")
            .reads(["status.ready"])
            .generate(or_zero(status, |status| status.ready)),
        F::gauge(
            "kube_job_complete",
            "Complete condition of the job: 1 for its current status (true, false, unknown), \
             otherwise 0. Absent until the job has the condition.",
        )
        .stable()
        .labels(["condition"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .generate(|job, s| condition(job, "Complete", s)),
        F::gauge(
            "kube_job_failed",
            "Failed condition of the job: 1 for its current status (true, false, unknown), \
             otherwise 0. Absent until the job has the condition.",
        )
        .stable()
        .labels(["condition"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .generate(|job, s| condition(job, "Failed", s)),
        F::gauge(
            "kube_job_status_start_time",
            "Unix time when the job started or last resumed, in seconds; absent until then.",
        )
        .stable()
        .reads(["status.startTime"])
        .generate(if_present(status, |status| common::unix(status.start_time.as_ref()))),
        F::gauge(
            "kube_job_status_completion_time",
            "Unix time when the job completed successfully, in seconds; absent for jobs that \
             have not completed, and for failed jobs.",
        )
        .stable()
        .reads(["status.completionTime"])
        .generate(if_present(status, |status| common::unix(status.completion_time.as_ref()))),
        F::gauge(
            "kube_job_status_suspended",
            "1 if the job is suspended, 0 if it has resumed; absent if it was never suspended.",
        )
        .reads(["status.conditions.type", "status.conditions.status"])
        .generate(|job, s| {
            for condition in conditions(job, "Suspended") {
                s.value(condition.status == "True");
            }
        }),
        F::gauge(
            "kube_job_owner",
            "Always 1 for each owner of the job, or once with empty labels if it has no owner.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
    ])
}

/// The known reasons why a job fails. The family of failed pods has one sample per reason.
const REASONS: [&str; 3] = ["BackoffLimitExceeded", "DeadlineExceeded", "Evicted"];

fn spec(job: &Job) -> Option<&JobSpec> {
    optional(&job.spec)
}

fn status(job: &Job) -> Option<&JobStatus> {
    optional(&job.status)
}

/// The conditions of one type. A job usually has at most one such condition, but the API server accepts several.
fn conditions<'a>(job: &'a Job, type_: &'static str) -> impl Iterator<Item = &'a JobCondition> {
    let conditions = status(job).and_then(|status| status.conditions.as_deref());
    conditions
        .unwrap_or_default()
        .iter()
        .filter(move |condition| condition.type_ == type_)
}

fn condition(job: &Job, type_: &'static str, s: &mut Samples<'_>) {
    for condition in conditions(job, type_) {
        common::condition(s, "condition", &condition.status, Samples::sample);
    }
}

fn failures(job: &Job, s: &mut Samples<'_>) {
    let failed = status(job).and_then(|status| status.failed).unwrap_or(0);
    if failed == 0 {
        s.value(0);
        return;
    }
    let mut is_explained = false;
    for condition in conditions(job, "Failed") {
        let reason = condition.reason.as_deref().unwrap_or_default();
        s.state_set("reason", &REASONS, reason);
        is_explained |= REASONS.contains(&reason);
    }
    if !is_explained {
        s.label("reason", "").value(failed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::jobs;
    use crate::families::testing::family;

    /// The samples of the family `kube_job_<name>` for a job with this status, without the base labels.
    fn samples(name: &str, status: &Value) -> Vec<String> {
        let name = format!("kube_job_{name}");
        let job = json!({ "metadata": { "namespace": "etl", "name": "import" }, "status": status });
        let start = format!("{name}{{namespace=\"etl\",job_name=\"import\"");
        let lines = family(jobs(), &name, &job);
        lines
            .into_iter()
            .map(|line| line.replace(&start, ""))
            .collect()
    }

    #[test]
    fn a_known_reason_takes_the_place_of_the_number_of_failed_pods() {
        let condition =
            json!({ "type": "Failed", "status": "False", "reason": "DeadlineExceeded" });
        assert_eq!(
            samples(
                "status_failed",
                &json!({ "failed": 4, "conditions": [condition] })
            ),
            [
                r#",reason="BackoffLimitExceeded"} 0"#,
                r#",reason="DeadlineExceeded"} 1"#,
                r#",reason="Evicted"} 0"#,
            ]
        );
    }

    #[test]
    fn without_a_known_reason_the_number_of_failed_pods_comes_last() {
        let other = json!({ "type": "Failed", "status": "True", "reason": "PodFailurePolicy" });
        assert_eq!(
            samples(
                "status_failed",
                &json!({ "failed": 4, "conditions": [other] })
            ),
            [
                r#",reason="BackoffLimitExceeded"} 0"#,
                r#",reason="DeadlineExceeded"} 0"#,
                r#",reason="Evicted"} 0"#,
                r#",reason=""} 4"#,
            ]
        );
        let target = json!({ "type": "FailureTarget", "reason": "BackoffLimitExceeded" });
        let lower_case = json!({ "type": "failed", "reason": "BackoffLimitExceeded" });
        assert_eq!(
            samples(
                "status_failed",
                &json!({ "failed": -2, "conditions": [target, lower_case] })
            ),
            [r#",reason=""} -2"#]
        );
    }

    #[test]
    fn no_failed_pod_is_one_plain_zero_whatever_the_conditions() {
        let condition = json!({ "type": "Failed", "status": "True", "reason": "Evicted" });
        for status in [
            json!({ "failed": 0, "conditions": [condition] }),
            json!({ "failed": null, "conditions": [condition] }),
            json!(null),
        ] {
            assert_eq!(samples("status_failed", &status), ["} 0"]);
        }
    }

    #[test]
    fn only_the_exact_status_true_counts_as_suspended() {
        for (status, value) in [
            ("True", 1),
            ("False", 0),
            ("Unknown", 0),
            ("true", 0),
            ("", 0),
        ] {
            let conditions = json!([{ "type": "Suspended", "status": status }]);
            assert_eq!(
                samples("status_suspended", &json!({ "conditions": conditions })),
                [format!("}} {value}")]
            );
        }
        assert!(samples("status_suspended", &json!({})).is_empty());
    }

    #[test]
    fn the_zero_time_is_no_start_and_no_completion() {
        let zero = "0001-01-01T01:00:00+01:00";
        let status = json!({ "startTime": zero, "completionTime": zero });
        assert!(samples("status_start_time", &status).is_empty());
        assert!(samples("status_completion_time", &status).is_empty());
    }
}
