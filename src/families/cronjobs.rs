//! `cronjobs`.

use k8s_openapi::api::batch::v1::CronJob;

use crate::Collector;

/// The families of cronjobs.
#[must_use]
pub fn cronjobs() -> Collector<CronJob> {
    Collector::new()
}
