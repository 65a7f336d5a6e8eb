//! Reports are made one at a time, remembered, and abandoned if their client leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_state_metrics::StateMetrics;
use tokio::sync::Mutex;

use super::abandoned::Abandoned;
use super::families::Report;
use super::labels::LabelReport;
use crate::options::MetricsOptions;

/// The time for which a report is reused. A new one reads all samples.
const FRESH: Duration = Duration::from_secs(5);
/// A report that took longer is reused for this many times the time that it took, so that reports never
/// take more than a tenth of a processor.
const FRESH_BY_COST: u32 = 10;
/// The number of families whose label reports are remembered.
const FAMILIES: usize = 64;

/// Makes and remembers the reports of an instance.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// The task that makes a report holds the lock until the report is complete.
    last: Arc<Mutex<LastReports>>,
}

#[derive(Debug, Default)]
struct LastReports {
    families: Option<Remembered<Report>>,
    labels: HashMap<String, Remembered<LabelReport>>,
}

#[derive(Debug)]
struct Remembered<T> {
    report: Arc<T>,
    until: Instant,
}

/// Abandons a report when it is dropped, because the client has left.
struct AbandonOnDrop(Abandoned);

// === impl Reports ===

impl Reports {
    /// Returns the last report, or a new one if that is too old.
    pub(crate) async fn get(
        &self,
        metrics: &StateMetrics,
        content: &MetricsOptions,
    ) -> Arc<Report> {
        let last = Arc::clone(&self.last).lock_owned().await;
        if let Some(fresh) = last.families.as_ref().and_then(Remembered::fresh) {
            return fresh;
        }
        let (metrics, content) = (metrics.clone(), content.clone());
        // The lock goes to the thread, so that the next report waits for the end of one that nobody waits
        // for any longer.
        let made = make(move |abandoned| {
            let mut last = last;
            last.families = Remembered::make(|| Report::new(&metrics, &content, abandoned));
            last.families.as_ref().map(|made| Arc::clone(&made.report))
        });
        made.await
    }

    /// Returns the last report about the labels of a family, or a new one if that is too old.
    pub(crate) async fn labels(&self, metrics: &StateMetrics, family: &str) -> Arc<LabelReport> {
        let last = Arc::clone(&self.last).lock_owned().await;
        if let Some(fresh) = last.labels.get(family).and_then(Remembered::fresh) {
            return fresh;
        }
        let (metrics, family) = (metrics.clone(), family.to_owned());
        let made = make(move |abandoned| {
            let mut last = last;
            let made = Remembered::make(|| LabelReport::new(&metrics, &family, abandoned))?;
            let report = Arc::clone(&made.report);
            last.labels.retain(|_, old| old.fresh().is_some());
            // Names of families that do not exist are as long as the client likes.
            if report.series > 0 && last.labels.len() < FAMILIES {
                last.labels.insert(family, made);
            }
            Some(report)
        });
        made.await
    }
}

/// Makes a report on a blocking thread. If the future is dropped, the report is abandoned.
async fn make<T: Default + Send + Sync + 'static>(
    make: impl FnOnce(&Abandoned) -> Option<Arc<T>> + Send + 'static,
) -> Arc<T> {
    let client = AbandonOnDrop(Abandoned::default());
    let abandoned = client.0.clone();
    let made = tokio::task::spawn_blocking(move || make(&abandoned)).await;
    drop(client);
    // It is empty if the runtime shuts down.
    made.ok().flatten().unwrap_or_default()
}

// === impl Remembered ===

impl<T> Remembered<T> {
    fn make(make: impl FnOnce() -> Option<T>) -> Option<Self> {
        let started = Instant::now();
        let report = Arc::new(make()?);
        let cost = started.elapsed().saturating_mul(FRESH_BY_COST);
        Some(Self {
            report,
            until: Instant::now() + cost.max(FRESH),
        })
    }

    fn fresh(&self) -> Option<Arc<T>> {
        (Instant::now() < self.until).then(|| Arc::clone(&self.report))
    }
}

// === impl AbandonOnDrop ===

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests;
