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

/// The minimum time between two messages with the number of problems that are not logged.
const COUNT_PERIOD: Duration = Duration::from_secs(10 * 60);

/// The problems that were logged, and the limit on further problems. `K` is the key of a problem.
struct FirstReports<K> {
    logged: HashSet<K>,
    /// When the current [`PERIOD`] began.
    start: Instant,
    /// The number of problems that were logged in the current period.
    recent: usize,
    /// The number of problems in the last message about problems that are not logged, and the time of this message.
    count: Option<(usize, Instant)>,
}

/// Calls `current` once a second, and logs the first problem with each key. Later problems with the same key are not
/// logged. If there are more than [`MOST_LOGGED`] new problems in [`PERIOD`], the log has only the number of the
/// others, and names them in the next periods if they still exist.
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
    let mut reports = FirstReports::new();
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        let metrics = metrics.clone();
        // The call fails only if `current` panics, or while the runtime shuts down.
        let Some(problems) = threads.run(move || current(&metrics)).await else {
            return;
        };
        if let Some(more) = reports.log(&problems, &key, &log) {
            tracing::warn!(
                "{more} more such problems are not logged yet; the metrics of the exporter count them"
            );
        }
    }
}

// === impl FirstReports ===

impl<K: Eq + Hash> FirstReports<K> {
    fn new() -> Self {
        Self {
            logged: HashSet::new(),
            start: Instant::now(),
            recent: 0,
            count: None,
        }
    }

    /// Logs new problems. If a message about the problems that are not logged is due, returns their number.
    fn log<P>(&mut self, problems: &[P], key: impl Fn(&P) -> K, log: impl Fn(&P)) -> Option<usize> {
        if self.start.elapsed() >= PERIOD {
            (self.start, self.recent) = (Instant::now(), 0);
        }
        let mut more = 0;
        for problem in problems {
            let key = key(problem);
            if self.logged.contains(&key) {
                continue;
            }
            if self.recent < MOST_LOGGED {
                self.recent += 1;
                self.logged.insert(key);
                log(problem);
            } else {
                more += 1;
            }
        }
        let is_due = self
            .count
            .is_none_or(|(count, at)| count != more && at.elapsed() >= COUNT_PERIOD);
        if more == 0
            && let Some((count, _)) = &mut self.count
        {
            *count = 0;
        }
        if more == 0 || !is_due {
            return None;
        }
        self.count = Some((more, Instant::now()));
        Some(more)
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

    #[tokio::test(start_paused = true)]
    async fn problems_above_the_limit_are_named_later_and_their_number_is_logged_rarely() {
        let problems: Vec<usize> = (0..50).collect();
        let (logged, mut reports) = (std::cell::RefCell::new(Vec::new()), FirstReports::new());
        let log = |number: &usize| logged.borrow_mut().push(*number);
        let mut counts = Vec::new();
        for second in 0..600 {
            let more = reports.log(&problems, |number| *number, log);
            counts.extend(more.map(|more| (second, more)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(*logged.borrow(), problems);
        assert_eq!(counts, [(0, 30)]);
        let many: Vec<usize> = (0..101).collect();
        assert_eq!(reports.log(&many, |number| *number, log), Some(31));
        assert_eq!(reports.log(&many[..100], |number| *number, log), None);
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
