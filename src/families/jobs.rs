//! `jobs`.

use k8s_openapi::api::batch::v1::Job;

use crate::Collector;

/// The families of jobs.
#[must_use]
pub fn jobs() -> Collector<Job> {
    Collector::new()
}
