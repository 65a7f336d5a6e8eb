//! [`ScrapePredictor`]: predicts the next scrape from the times of the last scrapes.
//!
//! A *refresh* compresses the changed text shortly before the predicted scrape.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::exposition::format::Format;

/// The time between the start of a refresh and the expected scrape.
pub(super) const LEAD: Duration = Duration::from_secs(1);

/// Maximum number of remembered scrapes. This number is sufficient for two Prometheus servers and a few manual scrapes.
const REMEMBERED: usize = 12;

/// The intervals of one scraper may differ by up to this time.
const JITTER: Duration = Duration::from_millis(500);

/// The times and the formats of the last scrapes; the latest scrape is first.
#[derive(Debug, Default)]
pub(super) struct ScrapePredictor {
    scrapes: VecDeque<(Instant, Format)>,
}

// === impl ScrapePredictor ===

impl ScrapePredictor {
    pub(super) fn note(&mut self, now: Instant, format: Format) {
        self.scrapes.truncate(REMEMBERED - 1);
        self.scrapes.push_front((now, format));
    }

    /// Returns the expected time and the format of the next scrape.
    pub(super) fn next(&self) -> Option<(Instant, Format)> {
        let &(last, format) = self.scrapes.front()?;
        self.next_regular().or_else(|| {
            let before = self.scrapes.get(1)?.0;
            Some((last + period(last, before)?, format))
        })
    }

    /// Looks for scrapers that have scraped three times at equal intervals. Returns the earliest next scrape of these
    /// scrapers.
    fn next_regular(&self) -> Option<(Instant, Format)> {
        let last = self.scrapes.front()?.0;
        let mut first: Option<(Instant, Format)> = None;
        for (at, &(late, format)) in self.scrapes.iter().enumerate() {
            for (middle, _) in self.scrapes.iter().skip(at + 1) {
                let Some(period) = period(late, *middle) else {
                    continue;
                };
                let next = late + period;
                // The method ignores expected times before the last scrape: the scrape at such a time has already
                // happened, or will not happen.
                let is_sooner = next > last + JITTER && first.is_none_or(|(first, _)| next < first);
                if is_sooner && self.has_scrape(*middle, period) {
                    first = Some((next, format));
                }
            }
        }
        first
    }

    /// Whether a scrape happened at the time `period` before `time`.
    fn has_scrape(&self, time: Instant, period: Duration) -> bool {
        let mut ages = (self.scrapes.iter()).map(|(scrape, _)| time.duration_since(*scrape));
        ages.any(|age| age.abs_diff(period) < JITTER)
    }
}

/// Returns the time between two scrapes; `None` if it is so short that a refresh cannot end before the next scrape.
fn period(late: Instant, early: Instant) -> Option<Duration> {
    Some(late.duration_since(early)).filter(|period| *period >= 2 * LEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records scrapes at these times, and returns the expected time of the next scrape. All times are in seconds.
    fn next(times: &[f64]) -> Option<f64> {
        let start = Instant::now();
        let mut predictor = ScrapePredictor::default();
        for &time in times {
            predictor.note(start + Duration::from_secs_f64(time), Format::Text);
        }
        let next = predictor.next()?.0.duration_since(start).as_secs_f64();
        Some((next * 1e3).round() / 1e3)
    }

    #[test]
    fn one_scraper_is_due_an_interval_after_the_last() {
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[0.0]), None);
        assert_eq!(next(&[0.0, 30.0]), Some(60.0));
        assert_eq!(next(&[0.0, 30.0, 60.0, 90.0, 120.0, 150.0]), Some(180.0));
        assert_eq!(next(&[0.0, 15.0, 30.0, 90.0, 150.0, 210.0]), Some(270.0));
    }

    #[test]
    fn several_scrapers_are_due_alternately() {
        // Two scrapers have an interval of 30 seconds. The second scraper starts ten seconds after the first scraper.
        assert_eq!(next(&[0.0, 10.0, 30.0, 40.0, 60.0, 70.0]), Some(90.0));
        let two = [0.0, 10.0, 30.0, 40.0, 60.0, 70.0, 90.0];
        assert_eq!(next(&two), Some(100.0));
        let three = [0.0, 10.0, 13.0, 30.0, 40.0, 43.0, 60.0, 70.0, 73.0];
        assert_eq!(next(&three), Some(90.0));
        // One scraper has an interval of 15 seconds, and another scraper has an interval of 60 seconds.
        let different = [0.0, 5.0, 20.0, 35.0, 50.0, 60.0, 65.0, 80.0, 95.0];
        assert_eq!(next(&different), Some(110.0));
    }

    #[test]
    fn a_manual_scrape_and_jitter_do_no_harm() {
        assert_eq!(next(&[0.0, 30.0, 60.0, 71.0]), Some(90.0));
        assert_eq!(next(&[0.0, 30.0, 60.0, 71.0, 71.0]), Some(90.0));
        let due = next(&[0.0, 10.01, 29.99, 40.0, 60.02, 70.01, 90.0]).unwrap();
        assert!((due - 100.0).abs() < 0.1, "{due}");
    }

    #[test]
    fn a_scraper_that_stopped_is_not_expected() {
        assert_eq!(next(&[0.0, 30.0, 60.0, 300.0]), Some(540.0));
        assert_eq!(next(&[0.0, 30.0, 60.0, 300.0, 330.0]), Some(360.0));
        assert_eq!(next(&[0.0, 30.0, 60.0, 300.0, 330.0, 360.0]), Some(390.0));
    }

    #[test]
    fn scrapes_in_quick_succession_predict_nothing() {
        assert_eq!(next(&[0.0, 0.0]), None);
        assert_eq!(next(&[0.0, 1.0, 2.0, 3.0]), None);
    }
}
