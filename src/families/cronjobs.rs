//! The resource `cronjobs`: its families show schedules, last runs and next runs.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus};

use super::common::{self, if_present, optional, or_zero};
use crate::family::{Samples, Stability};
use crate::k8s::{next_after, validate};
use crate::{Collector, Family};

/// The families of CronJobs.
///
/// ```
/// use kube_state_metrics::families::cronjobs;
///
/// assert!(cronjobs().iter().any(|family| family.descriptor().name() == "kube_cronjob_annotations"));
/// ```
#[must_use]
pub fn cronjobs() -> Collector<CronJob> {
    type F = Family<CronJob>;
    Collector::new().families([
        common::annotations("kube_cronjob_annotations", "CronJob", Stability::Alpha),
        common::labels("kube_cronjob_labels", "CronJob", Stability::Stable),
        F::gauge(
            "kube_cronjob_info",
            "Always 1 for each CronJob; the labels are its schedule, concurrency policy and time \
             zone. `timezone` is `local` if the CronJob sets no time zone; the time zone of the \
             controller then applies.",
        )
        .stable()
        .labels(["schedule", "concurrency_policy", "timezone"])
        .reads(["spec.schedule", "spec.concurrencyPolicy", "spec.timeZone"])
        .generate(info),
        F::gauge(
            "kube_cronjob_created",
            "Unix time when the CronJob was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_cronjob_status_active",
            "Number of active jobs of the CronJob.",
        )
        .stable()
        // The family counts the entries of the list, but reads none of their fields. One field is declared
        // nevertheless, because otherwise the decoder would skip the entries.
        .reads(["status.active.name"])
        .generate(or_zero(status, |status| {
            status.active.as_ref().map(Vec::len)
        })),
        F::gauge(
            "kube_cronjob_status_last_schedule_time",
            "Unix time when the CronJob last scheduled a job, in seconds; absent before the \
             first job.",
        )
        .stable()
        .reads(["status.lastScheduleTime"])
        .generate(if_present(status, |status| {
            common::unix(status.last_schedule_time.as_ref())
        })),
        F::gauge(
            "kube_cronjob_status_last_successful_time",
            "Unix time when a job of the CronJob last completed successfully, in seconds; \
             absent before the first success.",
        )
        .stable()
        .reads(["status.lastSuccessfulTime"])
        .generate(if_present(status, |status| {
            common::unix(status.last_successful_time.as_ref())
        })),
        F::gauge(
            "kube_cronjob_spec_suspend",
            "1 if the CronJob is suspended, otherwise 0.",
        )
        .stable()
        .reads(["spec.suspend"])
        .generate(or_zero(spec, |spec| spec.suspend)),
        F::gauge(
            "kube_cronjob_spec_starting_deadline_seconds",
            "Deadline for starting a job after its scheduled time, in seconds; a later run \
             counts as missed. Absent if the CronJob has no deadline.",
        )
        .stable()
        .reads(["spec.startingDeadlineSeconds"])
        .generate(if_present(spec, |spec| spec.starting_deadline_seconds)),
        F::gauge(
            "kube_cronjob_next_schedule_time",
            "Unix time of the first run after the last scheduled run (or after the creation, if \
             there was no run), in seconds. If runs were missed, this time is in the past. Absent while the \
             CronJob is suspended, or if there is no further run.",
        )
        .stable()
        .reads([
            "spec.schedule",
            "spec.timeZone",
            "spec.suspend",
            "status.lastScheduleTime",
            common::CREATED,
        ])
        .generate(|job, s| s.maybe_value(next_schedule_time(job))),
        F::gauge(
            "kube_cronjob_schedule_invalid",
            "Always 1 for each CronJob with an invalid schedule or time zone; Kubernetes usually never runs \
             such a CronJob. The rules are those of kube-state-metrics v2.20, which also refuses some schedules that \
             Kubernetes accepts, such as `*/60 * * * *`. Absent if schedule and time zone are valid.",
        )
        .reads(["spec.schedule", "spec.timeZone"])
        .generate(|job, s| {
            let (schedule, time_zone) = schedule(job);
            if validate(schedule, time_zone).is_err() {
                s.value(1);
            }
        }),
        F::gauge(
            "kube_cronjob_metadata_resource_version",
            "Resource version of the CronJob, a number that changes with every update; absent if \
             the version is not a decimal integer.",
        )
        .stable()
        .reads([common::VERSION])
        .generate(common::version),
        F::gauge(
            "kube_cronjob_spec_successful_job_history_limit",
            "Maximum number of successful jobs that the CronJob keeps; absent if not set.",
        )
        .reads(["spec.successfulJobsHistoryLimit"])
        .generate(if_present(spec, |spec| spec.successful_jobs_history_limit)),
        F::gauge(
            "kube_cronjob_spec_failed_job_history_limit",
            "Maximum number of failed jobs that the CronJob keeps; absent if not set.",
        )
        .reads(["spec.failedJobsHistoryLimit"])
        .generate(if_present(spec, |spec| spec.failed_jobs_history_limit)),
    ])
}

fn spec(job: &CronJob) -> Option<&CronJobSpec> {
    optional(&job.spec)
}

fn status(job: &CronJob) -> Option<&CronJobStatus> {
    optional(&job.status)
}

/// Returns the schedule of a CronJob, and its time zone if the CronJob has one.
fn schedule(job: &CronJob) -> (&str, Option<&str>) {
    spec(job).map_or(("", None), |spec| {
        (&spec.schedule, spec.time_zone.as_deref())
    })
}

fn info(job: &CronJob, s: &mut Samples<'_>) {
    let (schedule, time_zone) = schedule(job);
    let policy = spec(job).and_then(|spec| spec.concurrency_policy.as_ref());
    s.label("schedule", schedule)
        .label("concurrency_policy", policy)
        .label("timezone", time_zone.unwrap_or("local"))
        .value(1);
}

/// Returns the time of the first scheduled run after the last run. This time does not depend on the current time, so a
/// missed run stays visible.
fn next_schedule_time(job: &CronJob) -> Option<i64> {
    if spec(job).is_some_and(|spec| spec.suspend == Some(true)) {
        return None;
    }
    let last = status(job).and_then(|status| status.last_schedule_time.as_ref());
    let base =
        common::unix(last).or_else(|| common::unix(job.metadata.creation_timestamp.as_ref()))?;
    let (schedule, time_zone) = schedule(job);
    next_after(schedule, time_zone, base).ok().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::cronjobs;
    use crate::families::testing::family;

    /// Returns the samples of a CronJob in the family `kube_cronjob_<name>`, without the base labels.
    fn samples(name: &str, spec: &Value, status: &Value) -> Vec<String> {
        let name = format!("kube_cronjob_{name}");
        let metadata = json!({ "name": "backup", "creationTimestamp": "2025-03-01T00:00:00Z" });
        let job = json!({ "metadata": metadata, "spec": spec, "status": status });
        let start = format!("{name}{{namespace=\"\",cronjob=\"backup\"");
        let lines = family(cronjobs(), &name, &job);
        lines
            .into_iter()
            .map(|line| line.replace(&start, ""))
            .collect()
    }

    fn next(spec: &Value, last: &Value) -> Vec<String> {
        samples(
            "next_schedule_time",
            spec,
            &json!({ "lastScheduleTime": last }),
        )
    }

    #[test]
    fn the_next_run_follows_the_last_one_or_else_creation() {
        let daily = json!({ "schedule": "@daily" });
        // If a run was missed, the next run can be in the past, because the result does not depend on the current time.
        assert_eq!(
            next(&daily, &json!("2020-01-01T00:00:00Z")),
            ["} 1.5779232e+09"]
        );
        assert_eq!(
            next(&daily, &json!("0001-01-01T00:00:00Z")),
            ["} 1.7408736e+09"]
        );
        assert_eq!(next(&daily, &json!(null)), ["} 1.7408736e+09"]);
    }

    #[test]
    fn the_last_success_is_no_base_of_the_next_run() {
        let status = json!({ "lastSuccessfulTime": "2026-01-01T00:00:00Z" });
        let next = samples(
            "next_schedule_time",
            &json!({ "schedule": "@daily" }),
            &status,
        );
        assert_eq!(next, ["} 1.7408736e+09"]);
    }

    #[test]
    fn a_schedule_that_is_suspended_or_never_fires_has_no_next_run_but_is_valid() {
        for spec in [
            json!({ "schedule": "@daily", "suspend": true }),
            json!({ "schedule": "0 0 30 2 *" }),
        ] {
            assert!(next(&spec, &json!(null)).is_empty());
            assert!(samples("schedule_invalid", &spec, &json!(null)).is_empty());
        }
    }

    #[test]
    fn an_invalid_schedule_shows_even_while_suspended() {
        for spec in [
            json!({ "schedule": "* * *", "suspend": true }),
            json!({ "schedule": "@daily", "timeZone": "Mars/Olympus" }),
            json!({ "schedule": "TZ=UTC @daily", "timeZone": "Asia/Tokyo" }),
            json!({}),
            json!(null),
        ] {
            assert_eq!(
                samples("schedule_invalid", &spec, &json!(null)),
                ["} 1"],
                "{spec}"
            );
            assert!(next(&spec, &json!(null)).is_empty());
        }
    }

    #[test]
    fn an_absent_time_zone_is_local_and_an_empty_one_is_empty() {
        for (zone, shown) in [
            (json!(null), "local"),
            (json!(""), ""),
            (json!("Mars"), "Mars"),
        ] {
            let spec = json!({ "schedule": "0 9 * * *", "timeZone": zone });
            assert_eq!(
                samples("info", &spec, &json!(null)),
                [format!(
                    ",schedule=\"0 9 * * *\",concurrency_policy=\"\",timezone=\"{shown}\"}} 1"
                )]
            );
        }
    }

    #[test]
    fn every_entry_of_the_active_list_counts() {
        let active = json!([{ "name": "a", "uid": "1" }, {}, null]);
        assert_eq!(
            samples("status_active", &json!({}), &json!({ "active": active })),
            ["} 3"]
        );
    }
}
