//! [`Coverage`]: which resources an instance serves completely, and which resources still lack objects.

use std::collections::HashSet;
use std::fmt;

use kube_state_metrics::source::health::{FeedHealth, FeedOrigin, ResourceHealth, ResourceState};

/// The scopes with complete lists, and the scopes with incomplete lists. A scope is a resource in one namespace or in
/// all namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) covered: Vec<ResourceScope>,
    /// The scopes in `covered` whose watches fail now. The stored objects of these scopes may be out of date.
    pub(crate) failing: Vec<ResourceScope>,
    /// The scopes whose lists are not complete. Scopes that the API server refuses to list are not included.
    pub(crate) uncovered: Vec<UncoveredScope>,
}

/// The objects of a resource in one namespace or in all namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ResourceScope {
    pub(crate) resource: String,
    /// The namespace; `None` for all namespaces.
    pub(crate) namespace: Option<String>,
}

/// A scope whose objects are not complete yet.
#[derive(Clone, Debug)]
pub(crate) struct UncoveredScope {
    pub(crate) scope: ResourceScope,
    /// The state of the scope, or its last error.
    pub(crate) reason: String,
}

// === impl Coverage ===

impl Coverage {
    pub(super) fn of(resources: &[ResourceHealth]) -> Self {
        let refused_for = settling_time(resources);
        let uncovered = |health| uncovered_scopes(health, refused_for);
        Self {
            covered: resources.iter().flat_map(covered_scopes).collect(),
            failing: resources.iter().flat_map(failing_scopes).collect(),
            uncovered: resources.iter().flat_map(uncovered).collect(),
        }
    }

    /// The scopes whose lists are complete in `self` but not in `next`. If `next` replaced `self` now, the objects of
    /// these scopes would be missing. The scopes in `abandoned` do not count as complete in `self`.
    pub(crate) fn lost_in(
        &self,
        next: Self,
        abandoned: &HashSet<ResourceScope>,
    ) -> Vec<UncoveredScope> {
        let served = self.covered.iter().filter(|own| !abandoned.contains(own));
        let served: Vec<_> = served.collect();
        let mut lost = next.uncovered;
        lost.retain(|uncovered| served.iter().any(|own| own.overlaps(&uncovered.scope)));
        lost
    }
}

// === impl ResourceScope ===

impl ResourceScope {
    fn all_namespaces(resource: String) -> Self {
        Self {
            resource,
            namespace: None,
        }
    }

    fn of(health: &ResourceHealth, feed: &FeedHealth) -> Self {
        Self {
            resource: health.resource.clone(),
            namespace: feed.namespace.clone(),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let all = self.namespace.is_none() || other.namespace.is_none();
        self.resource == other.resource && (all || self.namespace == other.namespace)
    }
}

// === impl UncoveredScope ===

impl fmt::Display for UncoveredScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scope.resource)?;
        if let Some(namespace) = &self.scope.namespace {
            write!(f, " of namespace {namespace}")?;
        }
        write!(f, " ({})", self.reason)
    }
}

/// Returns the scopes of a resource whose lists are complete, one for each feed.
fn covered_scopes(health: &ResourceHealth) -> Vec<ResourceScope> {
    // A resource is incomplete until its store serves its lists. If all lists are complete but not served yet, no scope
    // of the resource counts as covered.
    if health.feeds.iter().all(|feed| feed.complete) && !health.complete {
        return Vec::new();
    }
    if health.feeds.is_empty() {
        return vec![ResourceScope::all_namespaces(health.resource.clone())];
    }
    let complete = health.feeds.iter().filter(|feed| feed.complete);
    complete
        .map(|feed| ResourceScope::of(health, feed))
        .collect()
}

/// Returns the scopes of a resource whose lists are complete, but whose requests fail now. Manifests never fail: if a
/// file is missing, its objects are gone.
fn failing_scopes(health: &ResourceHealth) -> Vec<ResourceScope> {
    let is_watched = health.source == FeedOrigin::Watched;
    let fails = |feed: &&FeedHealth| {
        let is_failing = matches!(
            feed.state,
            ResourceState::Failing(_) | ResourceState::Stopped
        );
        is_watched && feed.complete && is_failing
    };
    let failing = health.feeds.iter().filter(fails);
    failing
        .map(|feed| ResourceScope::of(health, feed))
        .collect()
}

/// Returns after how many seconds of refusals [`Coverage::uncovered`] no longer contains a scope. An API server that
/// has just started refuses all requests for a short time. So the number is larger if the API server has refused every
/// scope.
fn settling_time(resources: &[ResourceHealth]) -> f64 {
    let watched = resources
        .iter()
        .filter(|own| own.source == FeedOrigin::Watched);
    let mut feeds = watched.flat_map(|own| &own.feeds);
    if feeds.all(|feed| feed.was_refused) {
        10.0
    } else {
        0.0
    }
}

fn uncovered_scopes(health: &ResourceHealth, refused_for: f64) -> Vec<UncoveredScope> {
    if health.complete || health.source == FeedOrigin::LeftOut {
        return Vec::new();
    }
    if health.feeds.iter().all(|feed| feed.complete) {
        let scope = ResourceScope::all_namespaces(health.resource.clone());
        let reason = reason(health.state, health.last_error.as_deref());
        return vec![UncoveredScope { scope, reason }];
    }
    let feeds = health.feeds.iter();
    let is_refused = |feed: &FeedHealth| feed.refused_seconds.is_some_and(|own| own >= refused_for);
    let open = feeds.filter(|feed| !feed.complete && !is_refused(feed));
    open.map(|feed| UncoveredScope {
        scope: ResourceScope::of(health, feed),
        reason: reason(feed.state, feed.last_error.as_deref()),
    })
    .collect()
}

fn reason(state: ResourceState, error: Option<&str>) -> String {
    match (state, error) {
        // The error of a failing resource already begins with the state.
        (ResourceState::Failing(_), Some(error)) => error.to_owned(),
        _ => state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::source::health::FailureReason;

    use super::*;

    fn scope(resource: &str, namespace: &str) -> ResourceScope {
        ResourceScope {
            resource: resource.into(),
            namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
        }
    }

    #[test]
    fn only_what_is_covered_now_can_be_lost() {
        let cases = [
            ("pods", "", "pods", "", true),
            ("pods", "", "nodes", "", false),
            ("pods", "", "pods", "a", true),
            ("pods", "a", "pods", "", true),
            ("pods", "a", "pods", "a", true),
            ("pods", "a", "pods", "b", false),
        ];
        for (covered, of, uncovered, within, expected) in cases {
            let old = Coverage {
                covered: vec![scope(covered, of)],
                ..Coverage::default()
            };
            let new = Coverage {
                uncovered: vec![UncoveredScope {
                    scope: scope(uncovered, within),
                    reason: "listing".into(),
                }],
                ..Coverage::default()
            };
            assert_eq!(
                !old.lost_in(new.clone(), &HashSet::new()).is_empty(),
                expected,
                "{covered} of {of:?}, {uncovered} of {within:?}"
            );
            let abandoned = HashSet::from([scope(covered, of)]);
            assert!(old.lost_in(new, &abandoned).is_empty());
        }
    }

    #[test]
    fn only_watches_whose_requests_fail_now_are_failing() {
        let unreachable = ResourceState::Failing(FailureReason::Unreachable);
        let (watched, manifests) = (FeedOrigin::Watched, FeedOrigin::Manifests);
        for (source, state, complete, is_failing) in [
            (watched, unreachable, true, true),
            (watched, ResourceState::Stopped, true, true),
            (watched, ResourceState::Synced, true, false),
            (watched, unreachable, false, false),
            (manifests, unreachable, true, false),
            (manifests, ResourceState::Stopped, true, false),
        ] {
            let feed = |namespace: &str, state, complete| {
                let mut feed = FeedHealth::default();
                feed.namespace = Some(namespace.to_owned());
                (feed.state, feed.complete) = (state, complete);
                feed
            };
            let mut health = ResourceHealth::default();
            (health.source, health.resource) = (source, "pods".to_owned());
            health.complete = complete;
            health.feeds = vec![
                feed("a", ResourceState::Synced, true),
                feed("b", state, complete),
            ];
            let coverage = Coverage::of(&[health]);
            let b = scope("pods", "b");
            let failing = if is_failing {
                vec![b.clone()]
            } else {
                Vec::new()
            };
            assert_eq!(coverage.failing, failing, "{source:?} {state:?}");
            assert_eq!(coverage.covered.contains(&b), complete);
        }
    }
}
