//! [`Reports`]: computes reports and caches them. There are two kinds of reports, and only one report of each kind is
//! computed at a time.
//!
//! - The report about all families: if its client disconnects, the exporter still completes the report, and caches the
//!   report for the next client.
//! - Reports about the labels of one family: if its client disconnects, the exporter stops the report. The next report
//!   of this kind begins after a pause. The pause is longer if the last report took longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube_state_metrics::StateMetrics;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::abandoned::Abandoned;
use super::families::Report;
use super::labels::LabelReport;
use crate::options::MetricsOptions;

/// The minimum time for which a cached report is reused. A new report takes long, because it reads all samples.
const FRESH: Duration = Duration::from_secs(5);
/// The number by which the computation time of a report is multiplied. The product is the minimum time for which the
/// cached report is reused. After a report about labels, it is also the pause before the next report. So the reports of
/// one kind use at most a tenth of a CPU.
const FRESH_BY_COST: u32 = 10;
/// The maximum pause between two reports about labels, so that a waiting request does not reach its timeout. Because of
/// this maximum, reports that take longer than 3 s can use more than a tenth of a CPU.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The maximum number of cached reports about labels.
const FAMILIES: usize = 64;

/// Computes and caches the reports of an instance.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    // The thread that computes a report holds this lock until the report is complete.
    families: Arc<Mutex<Option<Remembered<Report>>>>,
    labels: Arc<Mutex<LabelReports>>,
}

#[derive(Debug, Default)]
struct LabelReports {
    by_family: HashMap<String, Remembered<LabelReport>>,
    /// The earliest time at which the next report about labels may begin.
    pause: Option<Instant>,
}

#[derive(Debug)]
struct Remembered<T> {
    report: Arc<T>,
    until: Instant,
}

// === impl Reports ===

impl Reports {
    /// Returns the cached report about all families. If the cached report is too old, computes a new report.
    pub(crate) async fn get(
        &self,
        metrics: &StateMetrics,
        content: &MetricsOptions,
    ) -> Arc<Report> {
        let last = Arc::clone(&self.families).lock_owned().await;
        if let Some(fresh) = last.as_ref().and_then(Remembered::fresh) {
            return fresh;
        }
        let (metrics, content) = (metrics.clone(), content.clone());
        // The thread holds the lock until this report is complete, even if all clients of this report disconnect. The
        // next report waits for the lock.
        let made = make(move |_| {
            let mut last = last;
            let made = Remembered::make(|| Some(Report::new(&metrics, &content)))?;
            let report = Arc::clone(&made.report);
            *last = Some(made);
            Some(report)
        });
        made.await
    }

    /// Returns the cached report about the labels of a family. If the cached report is too old, waits for the pause
    /// after the previous report, and computes a new report.
    pub(crate) async fn labels(&self, metrics: &StateMetrics, family: &str) -> Arc<LabelReport> {
        let last = loop {
            let last = Arc::clone(&self.labels).lock_owned().await;
            if let Some(fresh) = last.by_family.get(family).and_then(Remembered::fresh) {
                return fresh;
            }
            let Some(pause) = last.pause.filter(|pause| *pause > Instant::now()) else {
                break last;
            };
            // This request releases the lock while it waits, so that other requests can read cached reports.
            drop(last);
            tokio::time::sleep_until(pause).await;
        };
        let (metrics, family) = (metrics.clone(), family.to_owned());
        let made = make(move |abandoned| {
            let mut last = last;
            let made = last.make(|| LabelReport::new(&metrics, &family, abandoned));
            let is_abandoned = made.is_none();
            tracing::debug!(family, is_abandoned, "counted the values of labels");
            let made = made?;
            let report = Arc::clone(&made.report);
            last.by_family.retain(|_, old| old.fresh().is_some());
            // Reports about unknown families are not cached, because a client can send any number of names of any
            // length.
            if report.series > 0 && last.by_family.len() < FAMILIES {
                last.by_family.insert(family, made);
            }
            Some(report)
        });
        made.await
    }
}

/// Computes a report on a blocking thread of tokio. The closure `make` can stop if its argument shows that the returned
/// future was dropped.
async fn make<T: Default + Send + Sync + 'static>(
    make: impl FnOnce(&Abandoned) -> Option<Arc<T>> + Send + 'static,
) -> Arc<T> {
    let client = Arc::new(());
    let abandoned = Abandoned::by(&client);
    let made = tokio::task::spawn_blocking(move || make(&abandoned)).await;
    drop(client);
    // If the runtime is shutting down, the report is empty.
    made.ok().flatten().unwrap_or_default()
}

// === impl LabelReports ===

impl LabelReports {
    /// Computes a report, and sets the pause after it. The pause also applies if the client has disconnected and the
    /// report has stopped.
    fn make<T>(&mut self, make: impl FnOnce() -> Option<T>) -> Option<Remembered<T>> {
        let started = Instant::now();
        let made = Remembered::make(make);
        let pause = started.elapsed().saturating_mul(FRESH_BY_COST);
        self.pause = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        made
    }
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

#[cfg(test)]
mod tests;
