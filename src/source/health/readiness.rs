//! Readiness: whether the stored samples are complete, so that scrapes can be served. The *readiness text* is the text
//! form of [`Readiness`], the body of a response to `/readyz`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::clock::Instant;
use super::resource::{FeedOrigin, ResourceHealth, ResourceState};
use crate::errors::debug_is_display;

/// The condition under which a source is ready.
///
/// The text form of a policy is `default` or `strict`.
///
/// ```
/// use kube_state_metrics::source::health::ReadinessPolicy;
///
/// assert_eq!("strict".parse(), Ok(ReadinessPolicy::Strict));
/// assert_eq!(ReadinessPolicy::default().to_string(), "default");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadinessPolicy {
    /// Ready when the first list of every resource is complete. A resource that the server currently refuses (403 or
    /// 404) does not prevent readiness, but at least one list must be complete. Once ready, the source stays ready.
    ///
    /// For a moment after its start, an API server refuses all requests. Therefore, if the server has refused all
    /// resources at least once, readiness waits until each refusal has lasted for ten seconds.
    ///
    /// For a watch, there is a deadline, `WatchBuilder::readiness_deadline`. After the deadline, readiness does not
    /// wait for resources whose requests fail.
    #[default]
    Default,
    /// Ready while the first list of every resource is complete and no resource is refused.
    ///
    /// This policy has no deadline. For a moment after its start, an API server refuses all requests. Therefore, if the
    /// first list of a resource is complete, readiness tolerates a refusal of up to ten seconds.
    Strict,
}

/// Whether a source is ready, and which resources prevent readiness.
///
/// The text form of a `Readiness` is the body of a response to `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the policy is met.
    pub ready: bool,
    /// Number of resources on which readiness depends and whose first list is complete.
    pub complete: usize,
    /// Number of resources on which readiness depends. These are the resources that the source feeds, and the resources
    /// for which the host has a reporter.
    pub expected: usize,
    /// Resources whose first list is not complete, and which the server does not refuse.
    pub waiting: Vec<ResourceHealth>,
    /// Resources that the server currently refuses.
    pub refused: Vec<ResourceHealth>,
    /// Resources whose first list is complete, but whose requests currently fail.
    pub failing: Vec<ResourceHealth>,
    /// Resources that prevent readiness. The list is empty if the source is ready. It is also empty if only
    /// [`sharding`](Self::sharding) prevents readiness.
    pub blocking: Vec<ResourceHealth>,
    /// The reason why the shard is not known yet. An unknown shard prevents readiness.
    pub sharding: Option<String>,
}

/// The error for the name of an unknown readiness policy.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a readiness policy; use `default` or `strict`")]
pub struct UnknownPolicy(String);

debug_is_display!(UnknownPolicy);

/// A refusal that is shorter than this time may be temporary. For about 1.5 seconds after its start, an API server
/// refuses all requests, because it has not loaded the permissions yet.
const TOLERATED_REFUSAL: Duration = Duration::from_secs(10);
/// Maximum number of lines in the readiness text for resources in the same state.
const MAX_ERRORS: usize = 3;

// === impl ReadinessPolicy ===

impl ReadinessPolicy {
    /// Returns the resources that prevent readiness. If the result is empty, the policy is met. `is_late` states
    /// whether the deadline for failing resources has passed.
    pub(super) fn blocking(
        self,
        resources: &[ResourceHealth],
        is_late: bool,
    ) -> impl Iterator<Item = &ResourceHealth> {
        let refused_for = settling_time(resources);
        let is_empty = !serves_something(resources);
        let is_blocking = move |own: &ResourceHealth| match self {
            Self::Default => {
                let is_excused = is_late && !own.makes_progress();
                let is_settled = own.is_settled(refused_for) || is_excused;
                !is_settled || is_empty && own.is_requested()
            }
            Self::Strict => !own.complete || own.is_refused_for(TOLERATED_REFUSAL),
        };
        let expected = resources.iter().filter(|own| own.is_expected());
        expected.filter(move |own| is_blocking(own))
    }
}

/// Whether at least one list is complete. Only the resources on which readiness depends count; if there are none, the
/// result is true.
fn serves_something(resources: &[ResourceHealth]) -> bool {
    let mut requested = resources.iter().filter(|own| own.is_requested()).peekable();
    requested.peek().is_none() || requested.any(ResourceHealth::is_served)
}

/// Returns how long a refusal must last before readiness stops waiting for the resource. The time is longer if all
/// resources were refused, because the API server may have just started.
fn settling_time(resources: &[ResourceHealth]) -> Duration {
    let watched = |own: &&ResourceHealth| own.source == FeedOrigin::Watched && !own.is_for_joins;
    let mut watched = resources.iter().filter(watched).peekable();
    if watched.peek().is_some() && watched.all(ResourceHealth::was_refused) {
        TOLERATED_REFUSAL
    } else {
        Duration::ZERO
    }
}

/// Whether readiness still waits for a resource that the API server refuses, because the refusal may be temporary.
pub(super) fn is_settling(resources: &[ResourceHealth]) -> bool {
    let refused_for = settling_time(resources);
    let expected = resources.iter().filter(|own| own.is_expected());
    let mut refused = expected.filter(|own| own.is_refused());
    refused.any(|own| !own.is_settled(refused_for))
}

/// Returns the time at which the first list was complete. Ignores resources on which readiness does not depend. From
/// this time on, it is certain that the API server works.
pub(super) fn served_since(resources: &[ResourceHealth]) -> Option<Instant> {
    let requested = resources.iter().filter(|own| own.is_requested());
    requested.filter_map(ResourceHealth::served_since).min()
}

impl FromStr for ReadinessPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "default" => Ok(Self::Default),
            "strict" => Ok(Self::Strict),
            _ => Err(UnknownPolicy(name.to_owned())),
        }
    }
}

impl fmt::Display for ReadinessPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Strict => "strict",
        })
    }
}

// === impl Readiness ===

impl Readiness {
    pub(super) fn new(
        ready: bool,
        resources: &[ResourceHealth],
        blocking: Vec<ResourceHealth>,
        sharding: Option<String>,
    ) -> Self {
        let expected = || resources.iter().filter(|own| own.is_expected());
        Self {
            ready,
            complete: expected().filter(|own| own.complete).count(),
            expected: expected().count(),
            waiting: expected()
                .filter(|own| !own.complete && !own.is_refused())
                .cloned()
                .collect(),
            refused: expected().filter(|own| own.is_refused()).cloned().collect(),
            failing: expected().filter(|own| own.is_failing()).cloned().collect(),
            blocking,
            sharding,
        }
    }

    /// The words before the names of the resources whose first list is not complete.
    fn waiting_word(&self) -> &'static str {
        if self.ready {
            "ready without"
        } else {
            "waiting for"
        }
    }

    /// Writes how many stored objects will be removed, and when, if the API server continues to forbid their resources.
    fn write_removals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stale = self.refused.iter();
        let stale = stale.filter_map(|own| Some((own, own.removal_seconds?)));
        let first = stale.clone().map(|(_, seconds)| seconds).reduce(f64::min);
        let Some(seconds) = first else { return Ok(()) };
        // The number is unknown if a resource has several feeds, because only the objects of its refused feeds are
        // removed.
        let has_count = stale.clone().all(|(own, _)| own.feeds.len() == 1);
        let objects: u64 = stale.clone().map(|(own, _)| own.objects).sum();
        let objects = if has_count {
            format!("{objects} stored objects")
        } else {
            String::from("stored objects")
        };
        let names: Vec<_> = stale.map(|(own, _)| &*own.resource).collect();
        let (names, minutes) = (names.join(", "), (seconds / 60.0).ceil());
        writeln!(
            f,
            "stale: {objects} of {names} are removed within {minutes} min, \
             unless the API server allows listing them"
        )
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ready { "ready" } else { "not ready" };
        let (complete, expected) = (self.complete, self.expected);
        writeln!(f, "{word}: {complete} of {expected} resources complete")?;
        if let Some(problem) = &self.sharding {
            writeln!(f, "sharding: {problem}")?;
        }
        for (word, resources) in [
            (self.waiting_word(), &self.waiting),
            ("refused", &self.refused),
            ("failing", &self.failing),
        ] {
            for group in by_state(resources) {
                group.write(word, f)?;
            }
        }
        self.write_removals(f)
    }
}

/// Resources on the same line of the readiness text. They have the same state and the same error. Refused resources are
/// on the same line even if their errors differ.
struct StateGroup<'a> {
    state: ResourceState,
    resources: Vec<&'a ResourceHealth>,
}

// === impl StateGroup ===

impl StateGroup<'_> {
    /// Whether the line of the group can also name `own`, a resource with the state of the group. The line can name
    /// every refused resource. Any other resource must have the same error as a resource in the group.
    fn has_error_of(&self, own: &ResourceHealth) -> bool {
        own.state.is_refusal()
            || self
                .resources
                .iter()
                .any(|other| current_error(other) == current_error(own))
    }

    fn write(&self, word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.resources.iter().map(|own| &*own.resource).collect();
        write!(f, "{word}: {} ({})", names.join(", "), self.state)?;
        let resources = self.resources.iter();
        let mut errors = resources.filter_map(|own| current_error(own));
        match errors.next() {
            None => writeln!(f),
            Some(first) if errors.all(|error| error == first) => writeln!(f, ": {first}"),
            Some(first) => writeln!(f, ": for example, {first}"),
        }
    }
}

/// The reason why the first list of a resource takes long, although the server sends it fast.
pub(in crate::source) const EXPENSIVE: &str =
    "the objects are expensive to process; simplify the expressions of custom resources";

/// The last error of a resource. While a list is in progress, the reason why the list takes long, or `None`.
fn current_error(own: &ResourceHealth) -> Option<&str> {
    if own.state == ResourceState::Listing && own.is_expensive() {
        return Some(EXPENSIVE);
    }
    let error = own.last_error.as_deref();
    error.filter(|_| own.state != ResourceState::Listing)
}

/// Groups resources by state and error. The groups are in the order of their first resources. A state has at most
/// [`MAX_ERRORS`] groups: its last group also gets the resources with further errors.
fn by_state(resources: &[ResourceHealth]) -> Vec<StateGroup<'_>> {
    let mut groups: Vec<StateGroup<'_>> = Vec::new();
    for own in resources {
        let same_error =
            |group: &StateGroup<'_>| group.state == own.state && group.has_error_of(own);
        let same_state = |group: &StateGroup<'_>| group.state == own.state;
        let is_full = groups.iter().filter(|group| same_state(group)).count() >= MAX_ERRORS;
        let at = groups.iter().position(same_error);
        let last = groups.iter().rposition(same_state).filter(|_| is_full);
        match at.or(last) {
            Some(at) => groups[at].resources.push(own),
            None => groups.push(StateGroup {
                state: own.state,
                resources: vec![own],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::resource::FeedHealth;
    use super::*;
    use crate::source::health::FailureReason;

    fn failing(name: &str, reason: FailureReason, error: &str) -> ResourceHealth {
        ResourceHealth {
            resource: name.to_owned(),
            state: ResourceState::Failing(reason),
            complete: true,
            last_error: Some(error.to_owned()),
            objects: 5,
            feeds: vec![FeedHealth {
                state: ResourceState::Failing(reason),
                ..FeedHealth::default()
            }],
            ..ResourceHealth::default()
        }
    }

    fn text(resources: &[ResourceHealth]) -> String {
        let text = Readiness::new(true, resources, Vec::new(), None).to_string();
        text.split_once('\n').unwrap().1.to_owned()
    }

    #[test]
    fn each_cause_has_a_line() {
        let error = |name, error| failing(name, FailureReason::ServerError, error);
        let causes = [
            error("a", "x"),
            error("b", "y"),
            error("c", "x"),
            error("d", "z"),
        ];
        let expected = "failing: a, c (server error): x\n\
                        failing: b (server error): y\n\
                        failing: d (server error): z\n";
        assert_eq!(text(&causes), expected);
        let more = [&causes[..], &[error("e", "w")]].concat();
        let last = "failing: d, e (server error): for example, z\n";
        assert!(text(&more).ends_with(last), "{}", text(&more));
        let refusals = ["a", "b"].map(|name| failing(name, FailureReason::Forbidden, name));
        assert_eq!(
            text(&refusals),
            "refused: a, b (forbidden): for example, a\n"
        );
    }

    #[test]
    fn only_what_the_policy_requires_blocks_readiness() {
        let listed = |name: &str, state| ResourceHealth {
            resource: name.to_owned(),
            state,
            complete: state == ResourceState::Synced,
            feeds: vec![FeedHealth {
                state,
                complete: state == ResourceState::Synced,
                ..FeedHealth::default()
            }],
            ..ResourceHealth::default()
        };
        let mut refused = failing("secrets", FailureReason::Forbidden, "no");
        (refused.refused_seconds, refused.feeds[0].refused_seconds) = (Some(60.0), Some(60.0));
        let pods = listed("pods", ResourceState::Synced);
        let outage = failing("services", FailureReason::Unreachable, "no route");
        let blocking = |policy: ReadinessPolicy, resources: &[ResourceHealth]| {
            let blocking = policy.blocking(resources, false);
            let names: Vec<_> = blocking.map(|own| own.resource.clone()).collect();
            names.join(" ")
        };
        let (default, strict) = (ReadinessPolicy::Default, ReadinessPolicy::Strict);
        let resources = [pods.clone(), refused.clone(), outage.clone()];
        assert_eq!(blocking(strict, &resources), "secrets");
        assert_eq!(blocking(default, &resources), "");
        let nodes = listed("nodes", ResourceState::Listing);
        let resources = [pods, nodes.clone(), outage];
        assert_eq!(blocking(default, &resources), "nodes");
        // If no list is complete, a refused resource also prevents readiness.
        (refused.complete, refused.feeds[0].complete) = (false, false);
        assert_eq!(blocking(default, &[refused]), "secrets");
        assert_eq!(blocking(default, &[]), "");
    }

    #[test]
    fn the_objects_of_one_namespace_of_several_are_not_counted() {
        let mut pods = failing("pods", FailureReason::Forbidden, "no");
        pods.removal_seconds = Some(30.0);
        assert!(text(&[pods.clone()]).contains("\nstale: 5 stored objects of pods"));
        pods.feeds.push(FeedHealth::default());
        assert!(text(&[pods]).contains("\nstale: stored objects of pods"));
    }
}
