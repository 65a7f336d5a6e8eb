//! [`GzipCache`]: compressed blocks, cached between scrapes.
//!
//! The use of the cache by one exposition is a *session*. The exposition belongs to a scrape or to a *refresh*, which
//! compresses changed text before a scrape needs this text. A scrape without a filter is a *complete* scrape.
//!
//! Time is divided into *rounds*, which show how long a block has not been used. A round ends as soon as a complete
//! scrape has both begun and finished in it. If no scrape does so within the time [`IDLE`], the next scrape ends the
//! round.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use flate2::Compress;
use parking_lot::Mutex;

use super::block::Block;
use super::run_key::{RunKey, RunRevision};
use super::scrape_predictor::{LEAD, ScrapePredictor};
use crate::exposition::format::Format;

/// If there is no compressed scrape within this time, the cache is cleared. A round also ends after this time.
const IDLE: Duration = Duration::from_secs(300);

/// Maximum number of compressors that are kept for later scrapes. Each compressor has tables of 256 KiB.
const COMPRESSORS: usize = 2;

/// If a block was not used for more than this number of rounds, it is evicted. One round would not be enough: two
/// alternating scrapers with different formats or filters would evict each other's blocks.
const UNUSED_ROUNDS: u64 = 2;

/// Blocks of compressed text, which are cached between scrapes.
#[derive(Default)]
pub(crate) struct GzipCache {
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    /// The cached blocks, by the keys of their runs. If the text of these runs changes, the new block replaces the old
    /// block. So changes do not double the memory.
    blocks: HashMap<Box<[RunKey]>, CachedBlock>,
    /// The number of the current round. If a round ends before the time [`IDLE`], a complete scrape has begun and
    /// finished during the round. This scrape has used every block that is still needed. Overlapping and aborted
    /// scrapes do not change this.
    round: u64,
    round_began: Option<Instant>,
    /// Number of sessions until now.
    sessions: u64,
    compressors: Vec<Compress>,
    last_use: Option<Instant>,
    /// The number of the newest session at the time when the cache was last cleared. This session and earlier sessions
    /// must not add blocks to the cache.
    cleared_at: u64,
    /// Predicts the time of the next complete scrape.
    predictor: ScrapePredictor,
    /// Whether a refresh has already compressed changed text since the last complete scrape.
    refreshed: bool,
    /// The format of a complete scrape that is in progress and began with an empty cache. `None` as soon as a refresh
    /// compresses the second half of the text for this scrape.
    cold_scrape: Option<Format>,
}

struct CachedBlock {
    revision: Box<[RunRevision]>,
    block: Block,
    /// The number of the session that compressed the block.
    session: u64,
    round: u64,
}

/// A refresh that has begun.
pub(in crate::exposition) struct Refresh {
    pub(in crate::exposition) session: CacheSession,
    pub(in crate::exposition) format: Format,
    /// Whether the refresh helps a scrape that is already in progress. In this case, the refresh compresses the second
    /// half of the text, while the scrape compresses the first half.
    pub(in crate::exposition) is_second_half: bool,
}

/// The use of the cache by one exposition.
pub(in crate::exposition) struct CacheSession {
    number: u64,
    /// The number of the round in which the session began.
    round: u64,
    /// Whether the session belongs to a complete scrape.
    is_complete: bool,
    pub(in crate::exposition) compressor: Option<Compress>,
}

// === impl GzipCache ===

impl GzipCache {
    /// Begins the session of a compressed scrape, and evicts unused blocks. `complete` states whether the scrape has no
    /// filter.
    pub(in crate::exposition) fn begin_scrape(
        &self,
        complete: bool,
        format: Format,
    ) -> CacheSession {
        self.evict_if_idle();
        let (session, evicted) = (self.state.lock()).begin_scrape(complete, format, Instant::now());
        // The memory of the evicted blocks is freed here, because the lock is no longer held.
        drop(evicted);
        session
    }

    /// Begins a refresh. Returns `None` if no refresh is necessary now.
    pub(in crate::exposition) fn begin_refresh(&self) -> Option<Refresh> {
        self.evict_if_idle();
        let mut state = self.state.lock();
        let cold = state.cold_scrape.take();
        let format = cold.or_else(|| state.due(Instant::now()))?;
        Some(Refresh {
            session: state.session(false),
            format,
            is_second_half: cold.is_some(),
        })
    }

    /// If there was no compressed scrape for the time [`IDLE`], clears the cache. Scrapes without compression also call
    /// this method. Otherwise, an unused cache would never be cleared.
    pub(in crate::exposition) fn evict_if_idle(&self) {
        let evicted = self.state.lock().evict_if_idle(Instant::now());
        drop(evicted);
    }

    /// Returns the cached block with this key. Returns `None` if its revision differs, because then the text has
    /// changed.
    pub(in crate::exposition) fn get(
        &self,
        key: &[RunKey],
        revision: &[RunRevision],
    ) -> Option<Block> {
        let mut state = self.state.lock();
        let round = state.round;
        let cached = state.blocks.get_mut(key)?;
        if *cached.revision != *revision {
            return None;
        }
        cached.round = round;
        Some(cached.block.clone())
    }

    /// Caches a block.
    pub(in crate::exposition) fn put(
        &self,
        key: Vec<RunKey>,
        revision: Vec<RunRevision>,
        block: &Block,
        session: &CacheSession,
    ) {
        let replaced = (self.state.lock()).put(key, revision, block, session);
        drop(replaced);
    }

    /// Ends a session, and evicts unused blocks. `is_finished` is false if the client disconnected before the end.
    pub(in crate::exposition) fn end(&self, session: &mut CacheSession, is_finished: bool) {
        let evicted = (self.state.lock()).end(session, is_finished, Instant::now());
        drop(evicted);
    }

    /// Returns how much memory all blocks take, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let state = self.state.lock();
        let blocks = state.blocks.iter().map(|(key, cached)| {
            size_of_val(&**key)
                + size_of_val(&*cached.revision)
                + size_of::<(Box<[RunKey]>, CachedBlock)>()
                + cached.block.heap_bytes()
        });
        blocks.sum()
    }
}

impl fmt::Debug for GzipCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipCache").finish_non_exhaustive()
    }
}

// === impl CacheState ===

impl CacheState {
    /// Begins the session of a scrape. Also returns the evicted blocks.
    fn begin_scrape(
        &mut self,
        complete: bool,
        format: Format,
        now: Instant,
    ) -> (CacheSession, Vec<CachedBlock>) {
        self.last_use = Some(now);
        if complete {
            self.predictor.note(now, format);
            self.refreshed = false;
            self.cold_scrape = self.blocks.is_empty().then_some(format);
        }
        let is_over = |began: Instant| now.duration_since(began) > IDLE;
        let evicted = match self.round_began.is_none_or(is_over) {
            true => self.end_round(now),
            false => Vec::new(),
        };
        (self.session(complete), evicted)
    }

    /// Ends a session. Returns the evicted blocks.
    fn end(
        &mut self,
        session: &mut CacheSession,
        is_finished: bool,
        now: Instant,
    ) -> Vec<CachedBlock> {
        if self.compressors.len() < COMPRESSORS && session.number > self.cleared_at {
            self.compressors.extend(session.compressor.take());
        }
        if session.is_complete {
            self.cold_scrape = None;
        }
        match is_finished && session.is_complete && session.round == self.round {
            true => self.end_round(now),
            false => Vec::new(),
        }
    }

    /// Begins the next round. Returns the evicted blocks.
    fn end_round(&mut self, now: Instant) -> Vec<CachedBlock> {
        self.round += 1;
        self.round_began = Some(now);
        let round = self.round;
        let unused = (self.blocks).extract_if(|_, cached| cached.round + UNUSED_ROUNDS < round);
        unused.map(|(_, cached)| cached).collect()
    }

    fn session(&mut self, is_complete: bool) -> CacheSession {
        self.sessions += 1;
        CacheSession {
            number: self.sessions,
            round: self.round,
            is_complete,
            compressor: self.compressors.pop(),
        }
    }

    /// If a scrape is due soon, returns its format. Returns `None` if no scrape is due soon, or if a refresh for this
    /// scrape has already begun.
    fn due(&mut self, now: Instant) -> Option<Format> {
        let (next, format) = self.predictor.next()?;
        let due = now + LEAD >= next && now < next + LEAD;
        (due && !std::mem::replace(&mut self.refreshed, due)).then_some(format)
    }

    /// Adds a block to the cache. Returns the block that it replaces.
    fn put(
        &mut self,
        key: Vec<RunKey>,
        revision: Vec<RunRevision>,
        block: &Block,
        session: &CacheSession,
    ) -> Option<CachedBlock> {
        if session.number <= self.cleared_at {
            return None;
        }
        let new = CachedBlock {
            revision: revision.into(),
            block: block.clone(),
            session: session.number,
            round: self.round,
        };
        match self.blocks.get_mut(&*key) {
            // A slow client may still read an older snapshot. The blocks of an older snapshot must not replace newer
            // blocks.
            Some(cached) if cached.session > session.number => None,
            Some(cached) => Some(std::mem::replace(cached, new)),
            None => self.blocks.insert(key.into(), new),
        }
    }

    /// If there was no compressed scrape for the time [`IDLE`], clears the cache and returns its old content.
    fn evict_if_idle(&mut self, now: Instant) -> Option<Self> {
        let idle = now.duration_since(self.last_use?);
        if idle <= IDLE {
            return None;
        }
        let cleared = Self {
            round: self.round,
            sessions: self.sessions,
            cleared_at: self.sessions,
            ..Self::default()
        };
        Some(std::mem::replace(self, cleared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// A cache for tests. Its methods have the time in seconds as an argument.
    struct Clock {
        state: CacheState,
        zero: Instant,
    }

    impl Clock {
        fn new() -> Self {
            let zero = Instant::now() + START;
            let state = CacheState::default();
            Self { state, zero }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.zero + Duration::from_secs(seconds)
        }

        fn scrape(&mut self, complete: bool, seconds: u64) -> CacheSession {
            let now = self.at(seconds);
            self.state.begin_scrape(complete, Format::Text, now).0
        }

        fn end(&mut self, mut session: CacheSession, is_finished: bool, seconds: u64) {
            let now = self.at(seconds);
            self.state.end(&mut session, is_finished, now);
        }

        /// Caches an empty block. The tests identify the block by its revision.
        fn put(&mut self, page: u64, revision: u64, session: &CacheSession) {
            let block = Block::default();
            let (key, revision) = (vec![RunKey::of(page)], vec![RunRevision::of(revision)]);
            self.state.put(key, revision, &block, session);
        }

        fn evict_if_idle(&mut self, seconds: u64) -> Option<CacheState> {
            let now = self.at(seconds);
            self.state.evict_if_idle(now)
        }

        fn due(&mut self, seconds: u64) -> Option<Format> {
            let now = self.at(seconds);
            self.state.due(now)
        }

        /// The keys and the revisions of all blocks, sorted by the number of the page.
        fn pages(&self) -> Vec<(RunKey, RunRevision)> {
            let blocks = self.state.blocks.iter();
            let mut pages: Vec<_> = blocks
                .map(|(key, cached)| (key[0].clone(), cached.revision[0].clone()))
                .collect();
            pages.sort_by_key(|(key, _)| key.page);
            pages
        }
    }

    fn pages<const N: usize>(pages: [(u64, u64); N]) -> Vec<(RunKey, RunRevision)> {
        let expected = pages.map(|(page, revision)| (RunKey::of(page), RunRevision::of(revision)));
        expected.into()
    }

    #[test]
    fn what_two_rounds_did_not_use_goes() {
        let mut clock = Clock::new();
        let session = clock.scrape(true, 0);
        clock.put(1, 1, &session);
        clock.put(2, 1, &session);
        clock.end(session, true, 1);
        for seconds in [30, 60] {
            let session = clock.scrape(true, seconds);
            clock.put(1, seconds, &session);
            assert_eq!(clock.pages(), pages([(1, seconds), (2, 1)]));
            clock.end(session, true, seconds + 1);
        }
        assert_eq!(clock.pages(), pages([(1, 60)]));
    }

    #[test]
    fn concurrent_and_aborted_scrapes_keep_the_blocks() {
        let mut clock = Clock::new();
        let session = clock.scrape(true, 0);
        clock.put(1, 1, &session);
        clock.end(session, true, 1);
        // Several scrapes run at the same time. When the first one ends, none of them has used the block yet.
        for is_finished in [true, false] {
            let sessions: Vec<_> = (30..38).map(|second| clock.scrape(true, second)).collect();
            for session in sessions {
                clock.end(session, is_finished, 40);
            }
            assert_eq!(clock.pages(), pages([(1, 1)]), "{is_finished}");
        }
    }

    #[test]
    fn rounds_end_with_time_where_no_scrape_is_complete() {
        let mut clock = Clock::new();
        let session = clock.scrape(false, 0);
        clock.put(1, 1, &session);
        for seconds in (15..900).step_by(15) {
            let session = clock.scrape(false, seconds);
            clock.put(2, 1, &session);
            assert_eq!(clock.pages().len(), 2, "{seconds}");
        }
        for seconds in (900..1200).step_by(15) {
            clock.scrape(false, seconds);
        }
        assert_eq!(clock.pages(), pages([(2, 1)]));
    }

    #[test]
    fn a_slow_answer_does_not_replace_what_a_later_one_made() {
        let mut clock = Clock::new();
        let (slow, later) = (clock.scrape(true, 0), clock.scrape(true, 1));
        clock.put(1, 2, &later);
        clock.put(1, 1, &slow);
        assert_eq!(clock.pages(), pages([(1, 2)]));
        clock.put(1, 3, &later);
        assert_eq!(clock.pages(), pages([(1, 3)]));
    }

    #[test]
    fn an_idle_cache_goes_and_stays_away() {
        let mut clock = Clock::new();
        let session = clock.scrape(true, 0);
        clock.put(1, 1, &session);
        assert!(clock.evict_if_idle(300).is_none());
        assert_eq!(clock.evict_if_idle(301).unwrap().blocks.len(), 1);
        assert!(clock.evict_if_idle(999).is_none(), "it is gone already");
        clock.put(1, 1, &session);
        assert_eq!(clock.pages(), []);
        let session = clock.scrape(true, 1000);
        clock.put(2, 1, &session);
        assert_eq!(clock.pages(), pages([(2, 1)]));
    }

    #[test]
    fn a_scrape_that_is_due_is_prepared_once_in_its_format() {
        let mut clock = Clock::new();
        // Two scrapers alternate, and request different formats.
        for round in 0..4 {
            for (format, offset) in [(Format::Text, 0), (Format::OpenMetrics, 10)] {
                let now = clock.at(round * 30 + offset);
                clock.state.begin_scrape(true, format, now);
            }
        }
        assert_eq!(clock.due(115), None);
        assert_eq!(clock.due(119), Some(Format::Text));
        assert_eq!(clock.due(120), None, "prepared already");
        clock.scrape(true, 120);
        assert_eq!(clock.due(129), Some(Format::OpenMetrics));
    }
}
