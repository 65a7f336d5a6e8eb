//! The status of an instance and of each of its resources.
//!
//! The landing page shows the status, and programs can read it as JSON.

use serde::Serialize;

use super::exceeded_limits::LimitProblem;
use super::problems::Problem;

/// The value of [`ResourceStatus::state`] if the stores of the resource are complete and up to date.
pub(super) const SYNCED: &str = "synced";

/// Whether an instance is ready, and the state of each resource.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InstanceStatus {
    pub(crate) ready: bool,
    /// Why the instance is not ready, as a line that begins with `not ready`; `None` if the instance is ready.
    pub(crate) not_ready: Option<String>,
    /// The source of the objects, such as `manifests` or `watching https://…`.
    pub(crate) source: String,
    /// The reasons why the instance is not ready, and problems that do not affect readiness.
    pub(crate) remarks: Vec<String>,
    /// The resources that are not up to date. There is one entry for each cause.
    pub(crate) problems: Vec<Problem>,
    /// Other problems. Examples: problems of sharding, lists that have reached `--object-limit`, differences that
    /// audits have found, and skipped manifests.
    pub(crate) notes: Vec<String>,
    /// The limits that objects have exceeded. There is one entry for each limit.
    pub(crate) limits: Vec<LimitProblem>,
    /// A line about the kinds of custom resources that are not exported because of `--custom-resource-kind-limit`;
    /// `None` if there are no such kinds.
    pub(crate) kinds_left_out: Option<String>,
    pub(crate) resources: Vec<ResourceStatus>,
}

/// The state of one resource.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ResourceStatus {
    pub(crate) resource: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// `synced`, or the reason why the resource is not synced.
    pub(crate) state: String,
    pub(crate) objects: u64,
    pub(crate) series: u64,
    pub(crate) memory_bytes: u64,
    /// Seconds since the last event; `None` if no event has arrived yet.
    pub(crate) last_event_seconds: Option<f64>,
    /// Whether the watch of a synced resource is silent. A silent watch has received no event and no bookmark for some
    /// time, although a bookmark was due.
    pub(crate) is_silent: bool,
    /// The number of objects that could not be decoded.
    pub(crate) errors: u64,
    /// How often an object was skipped because it is larger than `--object-size-limit`.
    pub(crate) oversized: u64,
    /// Whether the last list had as many objects as `--object-limit` allows.
    pub(crate) is_limited: bool,
    /// The number of objects that differed from the objects of the API server in the last audit.
    pub(crate) audit_difference: u64,
    /// The number of changed objects that the watch has received but not processed.
    pub(crate) unapplied_objects: u64,
    /// Seconds since the oldest of these objects arrived; `None` if the time is short.
    pub(crate) unapplied_seconds: Option<f64>,
    /// The last error; `None` if the resource is synced.
    pub(crate) last_error: Option<String>,
}

// === impl InstanceStatus ===

impl InstanceStatus {
    /// The number of objects of all resources.
    pub(crate) fn objects(&self) -> u64 {
        self.resources.iter().map(|resource| resource.objects).sum()
    }

    /// The number of series of all resources.
    pub(crate) fn series(&self) -> u64 {
        self.resources.iter().map(|resource| resource.series).sum()
    }

    /// Returns the memory of all stores, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.resources
            .iter()
            .map(|resource| resource.memory_bytes)
            .sum()
    }
}

// === impl ResourceStatus ===

impl ResourceStatus {
    /// The plural name of the resource without its group.
    pub(crate) fn plural(&self) -> &str {
        self.resource.split('.').next().unwrap_or_default()
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.state == SYNCED
    }

    /// The state that the landing page shows. If the watch of a synced resource is silent, this state is `silent`,
    /// because the objects may be out of date.
    pub(crate) fn shown_state(&self) -> &str {
        if self.is_silent {
            "silent"
        } else {
            &self.state
        }
    }

    /// Returns the group and the version of the resource. If a Custom Resource State configuration selects the
    /// resource, the text also contains `configured`.
    pub(crate) fn origin(&self) -> String {
        // The name of a configured resource contains the version after the plural, such as `widgets.v1.acme.dev`.
        let version = self.api_version.rsplit('/').next();
        let is_configured = version == self.resource.split('.').nth(1);
        let suffix = if is_configured { ", configured" } else { "" };
        format!("{}{suffix}", self.api_version)
    }
}
