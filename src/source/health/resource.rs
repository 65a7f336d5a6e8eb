//! The types that describe the health of one resource and of one feed.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::clock::Instant;
use super::failure_reason::FailureReason;

/// The state of a resource or of one of its feeds.
///
/// ```
/// use kube_state_metrics::source::health::{FailureReason, ResourceState};
///
/// let state = serde_json::to_value(ResourceState::Failing(FailureReason::Forbidden))?;
/// assert_eq!(state, serde_json::json!({ "state": "failing", "reason": "forbidden" }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResourceState {
    /// The first list has not begun.
    #[default]
    NotStarted,
    /// The first list is in progress.
    Listing,
    /// The list is complete, and the feed receives changes.
    Synced,
    /// The last request failed. The stored samples are served while the feed retries.
    Failing(FailureReason),
    /// The feed has ended. The stored samples are still served, but no longer change.
    Stopped,
}

/// The kind of source that feeds a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedOrigin {
    /// A watch of the cluster by this crate.
    #[default]
    Watched,
    /// Manifests.
    Manifests,
    /// The host.
    Host,
    /// No source feeds the resource. The watch reads only the pods of one node, or only the pods without a node.
    /// Objects of this resource cannot be selected by node.
    LeftOut,
}

/// The health of all resources at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HealthSnapshot {
    /// Whether the default readiness policy is met.
    pub ready: bool,
    /// The reason why the shard is not known yet, if a StatefulSet determines the shard.
    pub sharding: Option<String>,
    /// The resources, in the order of the exposition.
    pub resources: Vec<ResourceHealth>,
}

/// The health of one resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourceHealth {
    /// The plural name, followed by the group, such as `deployments.apps`. A resource of the core group has only the
    /// plural name, such as `pods`. If a configuration of custom resources selects the resource, the name also has the
    /// version, such as `widgets.v1.acme.dev`.
    pub resource: String,
    /// Group and version.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The kind of source that feeds the resource.
    pub source: FeedOrigin,
    /// The state of the resource, which is the worst state of its feeds.
    #[serde(flatten)]
    pub state: ResourceState,
    /// Whether the first list of each feed is complete.
    pub complete: bool,
    /// Seconds since the server began to refuse the resource (403 or 404). After a failure for another reason, the time
    /// starts again with the next refusal. If the resource has several feeds, this is the maximum. `None` if the server
    /// does not refuse the resource at the moment.
    pub refused_seconds: Option<f64>,
    /// Seconds until the stored objects are removed because the server forbids the resource (403). While requests fail
    /// for another reason, this time does not decrease. `None` if the server does not forbid the resource at the
    /// moment, or if the objects were already removed.
    pub removal_seconds: Option<f64>,
    /// Number of stored objects.
    pub objects: u64,
    /// Number of stored series.
    pub series: u64,
    /// Memory of the store, in bytes.
    pub memory_bytes: u64,
    /// Number of completed lists.
    pub lists: u64,
    /// Number of objects that could not be decoded.
    pub decode_errors: u64,
    /// How often an object was skipped because it is larger than the maximum size.
    pub oversized: u64,
    /// Whether the number of objects in the last list has reached the object limit of the watch, so that further
    /// objects may be missing.
    pub is_limited: bool,
    /// Seconds since the last event or bookmark. A list also counts as an event, unless the silence of the watch caused
    /// this list. If the resource has several feeds, this is the maximum.
    pub silent_seconds: Option<f64>,
    /// Seconds since the last audit that had a result. A complete list counts as an audit. If the resource has several
    /// feeds, this is the maximum. `None` if the resource is not audited, or has no complete list yet.
    pub audit_seconds: Option<f64>,
    /// Number of stored objects that differed from the API server in the last audit. If the resource has several feeds,
    /// this is the sum. `None` if [`audit_seconds`](Self::audit_seconds) is `None`.
    pub audit_difference: Option<u64>,
    /// Number of changed objects that a watch of this crate has received, but whose samples are not stored yet. If the
    /// resource has several feeds, this is the sum. During a list, this number does not include the listed objects.
    pub unapplied_objects: u64,
    /// Seconds since the oldest of the [`unapplied_objects`](Self::unapplied_objects) arrived. If the resource has
    /// several feeds, this is the maximum. `None` if there are no such objects.
    pub unapplied_seconds: Option<f64>,
    /// The message of the last failure, even if requests have succeeded since then.
    pub last_error: Option<String>,
    /// The feeds of the resource. If the watch requests each namespace separately, there is one feed per namespace. If
    /// the host feeds the resource, there is one feed per reporter. Otherwise, there is one feed for all namespaces.
    pub feeds: Vec<FeedHealth>,
    /// Whether the resource has no samples. Its objects then only provide joined labels, or only the watch itself needs
    /// them.
    #[serde(skip)]
    pub(super) is_auxiliary: bool,
    /// Whether the objects only provide joined labels. Readiness does not depend on such a resource.
    #[serde(skip)]
    pub(super) is_for_joins: bool,
}

/// The health of one feed.
///
/// The feed is for a resource in one namespace or in all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FeedHealth {
    /// The namespace, or `None` for all namespaces.
    pub namespace: Option<String>,
    /// The state.
    #[serde(flatten)]
    pub state: ResourceState,
    /// Whether the first list is complete.
    pub complete: bool,
    /// Whether the server has refused the resource (403 or 404) at least once.
    pub was_refused: bool,
    /// Seconds since the server began to refuse the resource. After a failure for another reason, the time starts again
    /// with the next refusal. `None` if the server does not refuse the resource at the moment.
    pub refused_seconds: Option<f64>,
    /// Number of failed requests since the last success.
    pub failures: u64,
    /// How often an object was skipped because it is larger than the maximum size.
    pub oversized: u64,
    /// Whether the number of objects in the last list has reached the object limit of the watch, so that further
    /// objects may be missing.
    pub is_limited: bool,
    /// Seconds since the last event or bookmark. A list counts as an event, except a list that was requested because no
    /// events and no bookmarks arrived.
    pub silent_seconds: Option<f64>,
    /// Seconds since the last audit that had a result. A complete list counts as an audit. `None` if the watch is not
    /// audited, or has no complete list yet.
    pub audit_seconds: Option<f64>,
    /// Number of stored objects that differed from the API server in the last audit. `None` if
    /// [`audit_seconds`](Self::audit_seconds) is `None`.
    pub audit_difference: Option<u64>,
    /// Number of changed objects that a watch of this crate has received, but whose samples are not stored yet.
    pub unapplied_objects: u64,
    /// Seconds since the oldest of the [`unapplied_objects`](Self::unapplied_objects) arrived. `None` if there are no
    /// such objects.
    pub unapplied_seconds: Option<f64>,
    /// The message of the last failure, even if requests have succeeded since then.
    pub last_error: Option<String>,
    /// The highest `resourceVersion` of an object that a watch of this crate has received. `None` before the first list
    /// is complete, or if a version is not a number. To check whether another process has received the same changes,
    /// compare this version with [`received_version`](Self::received_version) of the other process.
    #[serde(skip)]
    pub newest_version: Option<u64>,
    /// The `resourceVersion` up to which a watch of this crate has received all changes: the version of the last list,
    /// event or bookmark. `None` before the first list is complete, or if a version is not a number.
    #[serde(skip)]
    pub received_version: Option<u64>,
    /// The time at which the first list was complete.
    #[serde(skip)]
    pub(super) complete_at: Option<Instant>,
    /// The time at which the list in progress last received an object.
    #[serde(skip)]
    pub(super) received_at: Option<Instant>,
    /// Whether the list in progress takes long because its objects are expensive to apply.
    #[serde(skip)]
    pub(super) is_expensive: bool,
    /// How long the server has refused the resource since the last success. Periods with other failures do not count.
    #[serde(skip)]
    pub(super) refused_for: Duration,
    /// Whether the stored objects were removed because the server forbids the resource.
    #[serde(skip)]
    pub(super) is_forgotten: bool,
}

/// If a list receives no object for this time, readiness no longer waits for the list.
const STALLED: Duration = Duration::from_secs(30);

// === impl ResourceState ===

impl ResourceState {
    /// Whether the server refuses the resource.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::Failing(reason) if reason.is_refusal())
    }

    /// Returns a number to compare states: the worse the state, the lower the number.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failing(_) => 1,
            Self::NotStarted => 2,
            Self::Listing => 3,
            Self::Synced => 4,
        }
    }
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::Listing => f.write_str("listing"),
            Self::Synced => f.write_str("synced"),
            Self::Failing(reason) => write!(f, "{reason}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

// === impl ResourceHealth ===

impl ResourceHealth {
    /// Whether readiness depends on the resource. Readiness does not depend on a resource without a source, or on a
    /// resource that the host feeds without a reporter.
    pub(super) fn is_expected(&self) -> bool {
        match self.source {
            _ if self.is_for_joins => false,
            FeedOrigin::Watched | FeedOrigin::Manifests => true,
            FeedOrigin::Host => !self.feeds.is_empty(),
            FeedOrigin::LeftOut => false,
        }
    }

    /// Whether the server currently refuses the resource in at least one namespace.
    pub(super) fn is_refused(&self) -> bool {
        self.feeds.iter().any(|feed| feed.state.is_refusal())
    }

    /// Whether the server has refused the resource for longer than `time`.
    pub(super) fn is_refused_for(&self, time: Duration) -> bool {
        let seconds = self.refused_seconds;
        seconds.is_some_and(|seconds| seconds > time.as_secs_f64())
    }

    /// Whether readiness depends on the resource, and the resource has samples.
    pub(super) fn is_requested(&self) -> bool {
        self.is_expected() && !self.is_auxiliary
    }

    /// Whether the first list of at least one feed is complete.
    pub(super) fn is_served(&self) -> bool {
        self.complete || self.feeds.iter().any(|feed| feed.complete)
    }

    /// Returns the earliest time at which a feed of the resource has completed its first list.
    pub(super) fn served_since(&self) -> Option<Instant> {
        self.feeds.iter().filter_map(|feed| feed.complete_at).min()
    }

    /// Whether at least one feed still receives objects of its first list. Feeds with expensive objects do not count:
    /// otherwise, the objects of one tenant could delay readiness for a long time.
    pub(super) fn makes_progress(&self) -> bool {
        let open = self.feeds.iter();
        let open = open.filter(|feed| !feed.complete && !feed.is_expensive);
        let mut received = open.filter_map(|feed| feed.received_at);
        received.any(|at| at.elapsed() < STALLED)
    }

    /// Whether the first list of a feed takes long because its objects are expensive to apply.
    pub(in crate::source) fn is_expensive(&self) -> bool {
        let mut open = self.feeds.iter().filter(|feed| !feed.complete);
        open.any(|feed| feed.is_expensive)
    }

    /// Whether each feed is settled: it has completed its first list, or the server has been refusing its requests for
    /// at least `time`.
    pub(super) fn is_settled(&self, time: Duration) -> bool {
        let is_refused = |seconds: f64| seconds >= time.as_secs_f64();
        let settled =
            |feed: &FeedHealth| feed.complete || feed.refused_seconds.is_some_and(is_refused);
        self.complete || !self.feeds.is_empty() && self.feeds.iter().all(settled)
    }

    /// Whether the server has refused the requests of each feed at least once.
    pub(super) fn was_refused(&self) -> bool {
        !self.feeds.is_empty() && self.feeds.iter().all(|feed| feed.was_refused)
    }

    /// Whether the first list is complete, but requests now fail for a reason other than a refusal.
    pub(super) fn is_failing(&self) -> bool {
        matches!(self.state, ResourceState::Failing(_)) && self.complete && !self.is_refused()
    }
}
