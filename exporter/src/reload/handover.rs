//! Waits before a new instance replaces the old instance. In this file, a *scope* is a resource in one namespace or in
//! all namespaces.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::instance::Instance;
use crate::instance::coverage::UncoveredScope;

/// The maximum time for which the new instance waits for scopes that the old instance does not serve.
const GRACE_PERIOD: Duration = Duration::from_secs(10);
/// If the wait is longer than this time, the exporter logs a warning.
const WARN_AFTER: Duration = Duration::from_secs(30);
/// The interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Waits until `new` can replace `old` without missing metrics.
///
/// For each scope that `old` serves, the function waits until the list of the scope is complete in `new`, or until the
/// API server refuses to list the scope. For other scopes, the function waits only for [`GRACE_PERIOD`].
pub(crate) async fn wait_for_coverage(old: &Instance, new: &Instance) {
    let lost = || old.coverage().lost_in(new.coverage());
    wait_until_nothing_is_lost(new.settled(), lost, |lost| {
        let lost = list(lost);
        tracing::warn!(
            "the changed configuration is not used yet, because metrics would be missing for {lost}; the \
             previous configuration stays in use until these metrics are complete"
        );
    })
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

/// Waits until the list of each scope is complete, or the API server refuses to list the scope. After [`GRACE_PERIOD`],
/// waits only for the scopes that `lost` returns. Without this wait, their metrics would be missing after the
/// replacement. If the wait is long, calls `warn` once.
async fn wait_until_nothing_is_lost(
    settled: impl Future<Output = ()>,
    lost: impl Fn() -> Vec<UncoveredScope>,
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

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::instance::coverage::ResourceScope;

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
        wait_until_nothing_is_lost(settled, lost, |_| panic!("warned")).await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));

        let start = Instant::now();
        wait_until_nothing_is_lost(pending(), Vec::new, |_| panic!("warned")).await;
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
        let wait = wait_until_nothing_is_lost(pending(), lost, warn);
        let waited = timeout(Duration::from_secs(60), wait).await;
        assert!(waited.is_err(), "there would be a gap");
        let listed = "pods of namespace a (listing), nodes (listing)".to_owned();
        assert_eq!(warned.take(), Some((WARN_AFTER, listed)));

        wait_until_nothing_is_lost(pending(), lost, |_| {}).await;
        assert_eq!(start.elapsed(), Duration::from_secs(90));
    }
}
