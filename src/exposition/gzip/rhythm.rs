//! When the next scrape is due, from when the last ones came.

use std::collections::VecDeque;
use std::time::Instant;

/// So many scrapers with an interval each are told apart: a pair of Prometheus servers is usual.
const SCRAPERS: usize = 3;

/// When scrapes came, the last one first.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    times: VecDeque<Instant>,
}

impl Rhythm {
    pub(super) fn note(&mut self, now: Instant) {
        self.times.truncate(SCRAPERS + 1);
        self.times.push_front(now);
    }

    /// When the next scrape is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let ago = |back: usize| self.times.get(back).copied();
        // Of so many scrapers the next is that which came so many scrapes ago, a period later. How
        // many there are shows in the periods before the last two scrapes: they are equal.
        let candidates = (1..=SCRAPERS).filter_map(|scrapers| {
            let period = ago(0)?.duration_since(ago(scrapers)?);
            let before = ago(1)?.duration_since(ago(scrapers + 1)?);
            let next = ago(scrapers - 1)? + period;
            Some((period.abs_diff(before), next))
        });
        let best = candidates.min_by_key(|(difference, _)| *difference);
        let only_two = || Some(ago(0)? + ago(0)?.duration_since(ago(1)?));
        best.map(|(_, next)| next).or_else(only_two)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Notes scrapes at `times`, in seconds, and says when the next is due.
    fn next(times: &[f64]) -> Option<f64> {
        let start = Instant::now();
        let mut rhythm = Rhythm::default();
        for &time in times {
            rhythm.note(start + Duration::from_secs_f64(time));
        }
        let next = rhythm.next()?.duration_since(start).as_secs_f64();
        Some((next * 1e3).round() / 1e3)
    }

    #[test]
    fn one_scraper_is_due_an_interval_after_the_last() {
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[0.0]), None);
        assert_eq!(next(&[0.0, 30.0]), Some(60.0));
        assert_eq!(next(&[0.0, 30.0, 60.0, 90.0, 120.0, 150.0]), Some(180.0));
        assert_eq!(next(&[0.0, 15.0, 30.0, 90.0, 150.0]), Some(210.0));
    }

    #[test]
    fn several_scrapers_are_due_by_turns() {
        // Two, every 30 seconds, ten apart.
        assert_eq!(next(&[0.0, 10.0, 30.0, 40.0]), Some(60.0));
        assert_eq!(next(&[0.0, 10.0, 30.0, 40.0, 60.0]), Some(70.0));
        // Three.
        assert_eq!(next(&[0.0, 3.0, 20.0, 30.0, 33.0]), Some(50.0));
        assert_eq!(next(&[3.0, 20.0, 30.0, 33.0, 50.0]), Some(60.0));
    }

    #[test]
    fn a_little_jitter_does_no_harm() {
        let due = next(&[0.0, 10.01, 29.99, 40.0, 60.02]).unwrap();
        assert!((due - 70.0).abs() < 0.1, "{due}");
    }
}
