//! Waits before a new instance replaces the old instance. In this file, a *scope* is a resource in one namespace or in
//! all namespaces.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::instance::coverage::{ResourceScope, UncoveredScope};
use crate::instance::{Instance, MOST_NAMES};
use crate::telemetry::PendingChange;

/// The maximum time for which the new instance waits for scopes that the old instance does not serve.
const GRACE_PERIOD: Duration = Duration::from_secs(10);
/// If the wait is longer than this time, the exporter logs a warning.
const WARN_AFTER: Duration = Duration::from_secs(30);
/// If the wait for manifests is longer than this time, `/readyz` and the log show the reason.
const SHOW_AFTER: Duration = Duration::from_secs(5);
/// The interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The time of [`Patience::WhileFollowed`] if `--readiness-deadline` is disabled: the default of this option.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(55);

/// How long the new instance waits for a scope that the old instance serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Patience {
    /// There is no limit. If the server of both instances does not answer, the old instance still serves objects that
    /// the new instance cannot list.
    Unlimited,
    /// The instances have different API servers. The new instance waits until the requests of the old instance for the
    /// scope have failed for this time.
    WhileFollowed(Duration),
}

/// The scopes whose requests fail in the old instance, and the times since when they fail.
#[derive(Debug, Default)]
struct FailingSince(HashMap<ResourceScope, Instant>);

// === impl Patience ===

impl Patience {
    /// `readiness_deadline` is the value of `--readiness-deadline`; zero means no deadline.
    pub(crate) fn new(is_other_server: bool, readiness_deadline: Duration) -> Self {
        match (is_other_server, readiness_deadline) {
            (false, _) => Self::Unlimited,
            (true, Duration::ZERO) => Self::WhileFollowed(DEFAULT_DEADLINE),
            (true, deadline) => Self::WhileFollowed(deadline),
        }
    }
}

// === impl FailingSince ===

impl FailingSince {
    /// Records which scopes fail now, and returns the scopes that have failed for longer than `time`.
    fn longer_than(
        &mut self,
        time: Duration,
        failing: Vec<ResourceScope>,
    ) -> HashSet<ResourceScope> {
        let mut before = std::mem::take(&mut self.0);
        let since = |scope| (before.remove(&scope).unwrap_or_else(Instant::now), scope);
        let failing = failing.into_iter().map(since);
        self.0 = failing.map(|(since, scope)| (scope, since)).collect();
        let long = self.0.iter().filter(|(_, since)| since.elapsed() > time);
        long.map(|(scope, _)| scope.clone()).collect()
    }
}

/// Waits until `new` can replace `old` without missing metrics.
///
/// For each scope that `old` serves, the function waits until the list of the scope is complete in `new`, or until the
/// API server refuses to list the scope. With [`Patience::WhileFollowed`], the wait for a scope also ends when `old` has
/// not been able to follow the scope for some time, which begins after [`GRACE_PERIOD`]. For other scopes, the function
/// waits only for [`GRACE_PERIOD`]. While the function waits for scopes that `old` serves, `pending` shows these scopes.
pub(crate) async fn wait_for_coverage(
    old: &Instance,
    new: &Instance,
    patience: Patience,
    pending: &PendingChange,
) {
    let mut failing = FailingSince::default();
    let lost = || {
        let (old, new) = (old.coverage(), new.coverage());
        let mut abandoned = match patience {
            Patience::Unlimited => HashSet::new(),
            Patience::WhileFollowed(time) => failing.longer_than(time, old.failing.clone()),
        };
        // If the new instance has no objects at all, the outdated objects of the old instance are better than none. The
        // URL of the new server may be wrong.
        if new.covered.is_empty() {
            abandoned.clear();
        }
        old.lost_in(new, &abandoned)
    };
    wait_until_nothing_is_lost(
        new.settled(),
        lost,
        |lost| pending.waits_for(list(lost)),
        |lost| {
            let lost = list(lost);
            tracing::warn!(
                "the changed configuration is not used yet, because metrics would be missing for {lost}; the \
                 previous configuration stays in use until these metrics are complete"
            );
        },
    )
    .await;
    let uncovered = new.coverage().uncovered;
    if !uncovered.is_empty() {
        let uncovered = list(&uncovered);
        tracing::warn!(
            "using the changed configuration, but these metrics are not complete: {uncovered}; the \
             exporter retries, so fix the cause of each error"
        );
    }
}

/// Waits until `new` has read all its manifests completely. Until then, the old instance serves objects that `new` does
/// not have: those of a file that is incomplete at the moment. If the wait is long, `pending` shows the files.
pub(crate) async fn wait_for_manifests(new: &Instance, pending: &PendingChange) {
    let mut read = pin!(new.read_completely());
    if timeout(SHOW_AFTER, &mut read).await.is_ok() {
        return;
    }
    let mut logged = None;
    loop {
        let files = new.incomplete_manifests();
        if !files.is_empty() {
            let lost = incomplete(&files);
            pending.waits_for(lost.clone());
            let logged = logged.get_or_insert_with(BTreeSet::new);
            // A file that changes all the time is named once.
            if files.iter().any(|file| !logged.contains(file)) {
                tracing::warn!(
                    "the changed configuration is not used yet, because metrics would be missing for {lost}; the \
                     previous configuration stays in use until then"
                );
                logged.extend(files);
            }
        }
        if timeout(CHECK_INTERVAL, &mut read).await.is_ok() {
            return;
        }
    }
}

/// Describes the manifests that cannot be read completely, and what to do. Names up to [`MOST_NAMES`] files.
fn incomplete(files: &BTreeSet<PathBuf>) -> String {
    let names = files.iter().take(MOST_NAMES);
    let names: Vec<_> = names.map(|path| config_file::shown_path(path)).collect();
    let more = match files.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "manifests that cannot be read completely at the moment, or that still change: {}{more}. Complete each of these \
         files, delete it, or remove its path from --manifests",
        names.join(", ")
    )
}

/// Waits until the list of each scope is complete, or the API server refuses to list the scope. After [`GRACE_PERIOD`],
/// waits only for the scopes that `lost` returns. Without this wait, their metrics would be missing after the
/// replacement. Calls `show` after each check of these scopes. If the wait is long, calls `warn` once.
async fn wait_until_nothing_is_lost(
    settled: impl Future<Output = ()>,
    mut lost: impl FnMut() -> Vec<UncoveredScope>,
    show: impl Fn(&[UncoveredScope]),
    warn: impl FnOnce(&[UncoveredScope]),
) {
    let start = Instant::now();
    let mut settled = pin!(settled);
    let mut warn = Some(warn);
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut settled => return,
            _ = checks.tick() => {}
        }
        if start.elapsed() < GRACE_PERIOD {
            continue;
        }
        let lost = lost();
        if lost.is_empty() {
            return;
        }
        show(&lost);
        if start.elapsed() >= WARN_AFTER
            && let Some(warn) = warn.take()
        {
            warn(&lost);
        }
    }
}

fn list(scopes: &[UncoveredScope]) -> String {
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    scopes.join(", ")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{advance, sleep};

    use super::*;

    fn uncovered(resource: &str, namespace: &str) -> UncoveredScope {
        UncoveredScope {
            scope: ResourceScope {
                resource: resource.into(),
                namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
            },
            reason: "listing".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_settled_instance_is_used_at_once_and_new_scopes_have_a_grace_period() {
        let start = Instant::now();
        let settled = sleep(Duration::from_secs(2));
        let lost = || vec![uncovered("pods", "")];
        let never = |_: &[UncoveredScope]| panic!("waits for lost scopes");
        wait_until_nothing_is_lost(settled, lost, never, never).await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));

        let start = Instant::now();
        wait_until_nothing_is_lost(pending(), Vec::new, never, never).await;
        assert_eq!(start.elapsed(), GRACE_PERIOD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_for_lost_scopes_is_warned_of_once() {
        let start = Instant::now();
        let warned = Cell::new(None);
        let lost = || match start.elapsed().as_secs() {
            ..90 => vec![uncovered("pods", "a"), uncovered("nodes", "")],
            _ => Vec::new(),
        };
        let warn = |lost: &[UncoveredScope]| warned.set(Some((start.elapsed(), list(lost))));
        let shown = Cell::new(Duration::ZERO);
        let show = |_: &[UncoveredScope]| shown.set(start.elapsed());
        let wait = wait_until_nothing_is_lost(pending(), lost, show, warn);
        let waited = timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_err(), "there would be a gap");
        let listed = "pods of namespace a (listing), nodes (listing)".to_owned();
        assert_eq!(warned.take(), Some((WARN_AFTER, listed)));

        wait_until_nothing_is_lost(pending(), lost, show, |_| {}).await;
        assert_eq!(start.elapsed(), Duration::from_secs(90));
        assert!(
            shown.get() >= Duration::from_secs(89),
            "shown at each check"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_scope_is_abandoned_when_its_requests_have_failed_for_the_whole_time() {
        let second = Duration::from_secs(1);
        let scope = |resource: &str| uncovered(resource, "").scope;
        let mut failing = FailingSince::default();
        let mut after = |resources: &[&str]| {
            let failing = failing.longer_than(
                10 * second,
                resources.iter().map(|own| scope(own)).collect(),
            );
            let mut names: Vec<_> = failing.into_iter().map(|own| own.resource).collect();
            names.sort_unstable();
            names
        };
        assert!(after(&["nodes", "pods"]).is_empty());
        advance(9 * second).await;
        // A success in between starts the time again.
        assert!(after(&["nodes"]).is_empty());
        advance(2 * second).await;
        assert_eq!(after(&["nodes", "pods"]), ["nodes"]);
        advance(10 * second).await;
        assert_eq!(after(&["nodes", "pods"]), ["nodes"]);
        advance(second).await;
        assert_eq!(after(&["nodes", "pods"]), ["nodes", "pods"]);
        assert!(after(&[]).is_empty());
    }

    #[test]
    fn only_with_another_server_the_patience_is_limited() {
        let (zero, two) = (Duration::ZERO, Duration::from_secs(2));
        assert_eq!(Patience::new(false, two), Patience::Unlimited);
        assert_eq!(Patience::new(true, two), Patience::WhileFollowed(two));
        let default = Patience::WhileFollowed(DEFAULT_DEADLINE);
        assert_eq!(Patience::new(true, zero), default);
    }
}
