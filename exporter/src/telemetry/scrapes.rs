//! The history: the last scrapes of the metrics of objects, with their clients, times and responses.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::grouping::groups;
use crate::humanize::start_of;

/// A completed or aborted response with the metrics of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scrape {
    pub(crate) ended: SystemTime,
    pub(crate) client: Option<IpAddr>,
    pub(crate) user_agent: String,
    /// The query of the request, which selects metrics; empty if the response has all metrics.
    pub(crate) query: String,
    pub(crate) format: &'static str,
    pub(crate) encoding: &'static str,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    /// Whether the exporter sent the whole response.
    pub(crate) is_complete: bool,
}

/// A client that scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scraper {
    pub(crate) last: Scrape,
    /// The number of scrapes of this client in the history.
    pub(crate) scrapes: usize,
    /// How many of these scrapes ended before the whole response was sent.
    pub(crate) incomplete: usize,
    /// The median time between two consecutive scrapes of this client in the history.
    pub(crate) interval: Option<Duration>,
}

/// The last scrapes of all clients, in the order in which they ended. A clone is another handle to the same history.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScrapeHistory(Arc<Mutex<VecDeque<Scrape>>>);

/// Maximum number of scrapes in the history.
const REMEMBERED: usize = 256;
/// Maximum length of a stored text that a client has sent, in bytes.
const LONGEST_TEXT: usize = 200;

// === impl ScrapeHistory ===

impl ScrapeHistory {
    /// Adds a scrape to the history. If the history is full, removes the oldest scrape.
    pub(crate) fn record(&self, scrape: Scrape) {
        let mut scrapes = self.0.lock();
        if scrapes.len() == REMEMBERED {
            scrapes.pop_front();
        }
        scrapes.push_back(scrape);
    }

    /// Returns the scrapes in the history; the newest is first.
    pub(crate) fn recent(&self) -> Vec<Scrape> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

/// Returns the start of a text that a client has sent.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let start = start_of(text, LONGEST_TEXT);
    format!("{start}…")
}

/// Groups scrapes by client. The scrapes must be sorted: the newest is first. Two scrapes are
/// from the same client if they have the same address, user agent, format, encoding and query.
pub(crate) fn scrapers(scrapes: &[Scrape]) -> Vec<Scraper> {
    let by_client = groups(scrapes.iter(), Scrape::client_key);
    by_client
        .iter()
        .filter_map(|(_, scrapes)| Scraper::of(scrapes))
        .collect()
}

// === impl Scrape ===

impl Scrape {
    /// Returns a value that is equal for all scrapes of one client.
    fn client_key(&self) -> impl PartialEq {
        let content = (&self.query, self.format, self.encoding);
        (self.client, &self.user_agent, content)
    }
}

// === impl Scraper ===

impl Scraper {
    fn of(scrapes: &[&Scrape]) -> Option<Self> {
        let pairs = scrapes.iter().zip(scrapes.iter().skip(1));
        // If the clock was set back between two scrapes, the time between these scrapes is unknown.
        let mut intervals: Vec<_> = pairs
            .filter_map(|(later, earlier)| later.ended.duration_since(earlier.ended).ok())
            .collect();
        intervals.sort_unstable();
        Some(Self {
            last: Scrape::clone(scrapes.first()?),
            scrapes: scrapes.len(),
            incomplete: scrapes.iter().filter(|own| !own.is_complete).count(),
            interval: intervals.get(intervals.len() / 2).copied(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(second: u64, client: &str, user_agent: &str) -> Scrape {
        Scrape {
            ended: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            client: client.parse().ok(),
            user_agent: user_agent.to_owned(),
            query: String::new(),
            format: "text",
            encoding: "gzip",
            bytes: second,
            duration: Duration::from_millis(2),
            is_complete: true,
        }
    }

    #[test]
    fn scrapers_are_told_apart_and_have_an_interval() {
        let history = ScrapeHistory::default();
        for second in [0, 30, 60, 100] {
            history.record(scrape(second, "10.0.0.1", "Prometheus"));
        }
        history.record(Scrape {
            is_complete: false,
            ..scrape(90, "10.0.0.2", "curl")
        });
        let scrapers = scrapers(&history.recent());
        let [curl, prometheus] = &scrapers[..] else {
            panic!("{scrapers:?}")
        };
        assert_eq!((curl.scrapes, curl.incomplete, curl.interval), (1, 1, None));
        assert_eq!((prometheus.scrapes, prometheus.last.bytes), (4, 100));
        assert_eq!(prometheus.interval, Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_history_is_bounded() {
        let history = ScrapeHistory::default();
        for second in 0..300 {
            history.record(scrape(second, "::1", "a"));
        }
        let recent = history.recent();
        assert_eq!((recent.len(), recent[0].bytes), (REMEMBERED, 299));
        let long = shortened(&"ä".repeat(101));
        assert_eq!(long, "ä".repeat(100) + "…");
    }
}
