//! Logs only the first of several similar problems.

use std::collections::HashSet;
use std::hash::Hash;

use kube_state_metrics::StateMetrics;

use super::task::every_second;

/// Calls `current` once a second, and logs the first problem with each key. Later problems with the same key are not
/// logged.
///
/// `current` runs on a thread for blocking work: it reads the counters of all families, and may wait for a change of
/// the configuration.
pub(super) async fn log_first<P: Send + 'static, K: Eq + Hash>(
    metrics: &StateMetrics,
    current: fn(&StateMetrics) -> Vec<P>,
    key: impl Fn(&P) -> K,
    log: impl Fn(&P),
) {
    let mut logged = HashSet::new();
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        // The call fails only if `current` panics, or while the runtime shuts down.
        let Ok(problems) = tokio::task::spawn_blocking(move || current(&metrics)).await else {
            return;
        };
        for problem in problems {
            if logged.insert(key(&problem)) {
                log(&problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    static IS_BLOCKED: AtomicBool = AtomicBool::new(true);

    /// Does not return before another task of the runtime has run.
    fn blocking(_metrics: &StateMetrics) -> Vec<u8> {
        while IS_BLOCKED.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        vec![7]
    }

    #[tokio::test]
    async fn other_tasks_run_while_the_problems_are_collected() {
        let metrics = StateMetrics::builder().build().unwrap();
        let (logged, mut numbers) = tokio::sync::mpsc::unbounded_channel();
        let log = move |number: &u8| logged.send(*number).unwrap();
        // The runtime has one thread. If `blocking` ran on this thread, the test would wait forever.
        let reports = tokio::spawn(async move {
            log_first(&metrics, blocking, |number| *number, log).await;
        });
        tokio::task::yield_now().await;
        IS_BLOCKED.store(false, Ordering::SeqCst);
        let number = tokio::time::timeout(Duration::from_secs(20), numbers.recv()).await;
        assert_eq!(number, Ok(Some(7)));
        reports.abort();
    }
}
