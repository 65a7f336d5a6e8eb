//! Readiness: whether the stored samples are complete enough to be served.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::clock::Instant;
use super::resource::{ResourceHealth, ResourceState};
use crate::errors::debug_is_display;

/// When a source is ready.
///
/// It displays as, and parses from, `default` and `strict`.
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
    /// Ready when the first list of every resource has synced or is refused (403 or 404) and at least
    /// one is complete, and from then on.
    ///
    /// A watch has a deadline for resources that fail, `WatchBuilder::readiness_deadline`.
    #[default]
    Default,
    /// Ready while the first list of every resource is complete and no resource is refused.
    ///
    /// There is no deadline. A resource that was complete may be refused for ten seconds, since an API
    /// server that has just started refuses everything for a moment.
    Strict,
}

/// Whether a source is ready, and which resources are missing. It displays as the body of a response
/// to `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether the policy is met.
    pub ready: bool,
    /// Number of expected resources whose first list is complete.
    pub complete: usize,
    /// Number of resources that readiness depends on: those that the source feeds, and those that the
    /// host feeds and reports on.
    pub expected: usize,
    /// Resources whose first list is neither complete nor refused.
    pub waiting: Vec<ResourceHealth>,
    /// Resources that the server refuses now.
    pub refused: Vec<ResourceHealth>,
    /// Resources that were complete and cannot be watched now.
    pub failing: Vec<ResourceHealth>,
    /// Why the shard is not known yet.
    pub sharding: Option<String>,
}

/// A readiness policy that does not exist.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a readiness policy; use `default` or `strict`")]
pub struct UnknownPolicy(String);

debug_is_display!(UnknownPolicy);

/// How long the strict policy tolerates that a complete resource is refused. The permissions of an API
/// server that has just started are not loaded for about 1.5 seconds.
const TOLERATED_REFUSAL: Duration = Duration::from_secs(10);

// === impl ReadinessPolicy ===

impl ReadinessPolicy {
    /// Whether the current state of the resources meets the policy. `is_late` is true after the
    /// deadline for resources that fail.
    pub(super) fn is_met(self, resources: &[ResourceHealth], is_late: bool) -> bool {
        let mut expected = resources.iter().filter(|own| own.is_expected());
        match self {
            Self::Default => {
                let is_excused = |own: &ResourceHealth| is_late && !own.makes_progress();
                serves_something(resources)
                    && expected.all(|own| own.is_settled() || is_excused(own))
            }
            Self::Strict => {
                expected.all(|own| own.complete && !own.is_refused_for(TOLERATED_REFUSAL))
            }
        }
    }
}

/// Whether at least one requested resource is complete, in one namespace at least.
fn serves_something(resources: &[ResourceHealth]) -> bool {
    let mut requested = resources.iter().filter(|own| own.is_requested()).peekable();
    requested.peek().is_none() || requested.any(ResourceHealth::is_served)
}

/// When the first requested resource was complete. The API server answers then.
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
    pub(super) fn new(ready: bool, resources: &[ResourceHealth], sharding: Option<String>) -> Self {
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
            sharding,
        }
    }

    /// What the text calls resources whose first list is not complete.
    fn waiting_word(&self) -> &'static str {
        if self.ready {
            "ready without"
        } else {
            "waiting for"
        }
    }

    /// Names the stored objects that are removed if their resources stay forbidden.
    fn write_removals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stale = self.refused.iter();
        let stale = stale.filter_map(|own| Some((own, own.removal_seconds?)));
        let first = stale.clone().map(|(_, seconds)| seconds).reduce(f64::min);
        let Some(seconds) = first else { return Ok(()) };
        let objects: u64 = stale.clone().map(|(own, _)| own.objects).sum();
        let names: Vec<_> = stale.map(|(own, _)| &*own.resource).collect();
        let (names, minutes) = (names.join(", "), (seconds / 60.0).ceil());
        writeln!(
            f,
            "stale: {objects} stored objects of {names} are removed within {minutes} min, \
             unless the API server permits to list them"
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

/// Resources in the same state, which share a line.
struct StateGroup<'a> {
    state: ResourceState,
    resources: Vec<&'a ResourceHealth>,
}

// === impl StateGroup ===

impl StateGroup<'_> {
    fn write(&self, word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.resources.iter().map(|own| &*own.resource).collect();
        write!(f, "{word}: {} ({})", names.join(", "), self.state)?;
        let mut errors = self
            .resources
            .iter()
            .filter_map(|own| own.last_error.as_deref());
        match errors.next() {
            None => writeln!(f),
            Some(first) if errors.all(|error| error == first) => writeln!(f, ": {first}"),
            Some(first) => writeln!(f, ": for example, {first}"),
        }
    }
}

/// Groups resources by state, in the order of their first resources.
fn by_state(resources: &[ResourceHealth]) -> Vec<StateGroup<'_>> {
    let mut groups: Vec<StateGroup<'_>> = Vec::new();
    for own in resources {
        match groups.iter_mut().find(|group| group.state == own.state) {
            Some(group) => group.resources.push(own),
            None => groups.push(StateGroup {
                state: own.state,
                resources: vec![own],
            }),
        }
    }
    groups
}
