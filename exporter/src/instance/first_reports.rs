//! Logs only the first of several similar problems, and only some problems in a minute.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use tokio::time::Instant;

use super::task::every_second;
use crate::limited_threads::LimitedThreads;

/// Maximum number of problems that are logged in [`PERIOD`]. A configuration can have a problem in each of its
/// families. Without this limit, the messages would fill the log.
const MOST_LOGGED: usize = 20;

const PERIOD: Duration = Duration::from_secs(60);

/// Calls `current` once a second, and logs the first problem with each key. Later problems with the same key are not
/// logged. If there are more than [`MOST_LOGGED`] new problems in [`PERIOD`], the log has only the number of the
/// others.
///
/// `current` runs on one of `threads`: it reads the counters of all families, and may wait for a change of the
/// configuration.
pub(super) async fn log_first<P: Send + 'static, K: Eq + Hash>(
    metrics: &StateMetrics,
    threads: &LimitedThreads,
    current: fn(&StateMetrics) -> Vec<P>,
    key: impl Fn(&P) -> K,
    log: impl Fn(&P),
) {
    let mut seen = HashSet::new();
    let (mut start, mut logged) = (Instant::now(), 0);
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        // The call fails only if `current` panics, or while the runtime shuts down.
        let Some(problems) = threads.run(move || current(&metrics)).await else {
            return;
        };
        if start.elapsed() >= PERIOD {
            (start, logged) = (Instant::now(), 0);
        }
        let mut more = 0;
        for problem in problems {
            if !seen.insert(key(&problem)) {
                continue;
            }
            if logged < MOST_LOGGED {
                logged += 1;
                log(&problem);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            tracing::warn!(
                "{more} more such problems are not logged; the metrics of the exporter count them"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    fn many(_metrics: &StateMetrics) -> Vec<usize> {
        CALLS.fetch_add(1, Ordering::SeqCst);
        (0..50_000).collect()
    }

    #[tokio::test]
    async fn of_many_problems_only_the_first_are_logged() {
        let metrics = StateMetrics::builder().build().unwrap();
        let logged = AtomicUsize::new(0);
        let log = |_: &usize| {
            logged.fetch_add(1, Ordering::SeqCst);
        };
        let threads = LimitedThreads::new(1);
        let reports = log_first(&metrics, &threads, many, |number| *number, log);
        let called_twice = async {
            while CALLS.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = reports => unreachable!(),
            () = called_twice => {}
        }
        assert_eq!(logged.load(Ordering::SeqCst), MOST_LOGGED);
    }

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
            let threads = LimitedThreads::new(1);
            log_first(&metrics, &threads, blocking, |number| *number, log).await;
        });
        tokio::task::yield_now().await;
        IS_BLOCKED.store(false, Ordering::SeqCst);
        let number = tokio::time::timeout(Duration::from_secs(20), numbers.recv()).await;
        assert_eq!(number, Ok(Some(7)));
        reports.abort();
    }
}
