//! [`GzipCache`]: compressed blocks, cached between scrapes.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use flate2::Compress;
use parking_lot::Mutex;

use super::block::Block;
use super::run_key::{RunKey, RunRevision};
use super::scrape_predictor::{LEAD, ScrapePredictor};
use crate::exposition::format::Format;

/// The cache is cleared after this time without a compressed scrape. A round (see `CacheState::round`) lasts at most
/// this time.
const IDLE: Duration = Duration::from_secs(300);

/// Maximum number of compressors that are kept for later sessions. Each compressor has tables of 256 KiB.
const COMPRESSORS: usize = 2;

/// A block is evicted if it was not used for more than this number of rounds. One round would be too short: scrapers
/// with alternating formats or filters would evict each other's blocks.
const UNUSED_ROUNDS: u64 = 2;

/// Compressed blocks, cached between scrapes.
#[derive(Default)]
pub(crate) struct GzipCache {
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    /// The blocks, by the keys of their runs. When the text of these runs has changed, the new block replaces the old
    /// block, so changes do not double the memory.
    blocks: HashMap<Box<[RunKey]>, CachedBlock>,
    /// The number of the current round. A complete scrape is a scrape without a filter. If a complete scrape begins in
    /// a round, the round ends when this scrape has finished. If there is no such scrape, or if it is aborted, the
    /// round ends after [`IDLE`]. So each round contains all uses of blocks by at least one scrape, even if several
    /// scrapes run at the same time or are aborted.
    round: u64,
    round_began: Option<Instant>,
    /// Number of sessions so far.
    sessions: u64,
    compressors: Vec<Compress>,
    last_use: Option<Instant>,
    /// The number of the last session that began before the cache was cleared. Sessions up to this number must not
    /// repopulate the cache.
    cleared_at: u64,
    /// Predicts complete scrapes.
    predictor: ScrapePredictor,
    /// Whether the blocks were refreshed after the last complete scrape.
    refreshed: bool,
    /// The format of a complete scrape in progress that began without a cached block; `None` after a refresh has begun
    /// to compress the second half of its text.
    cold_scrape: Option<Format>,
}

struct CachedBlock {
    revision: Box<[RunRevision]>,
    block: Block,
    /// The session that compressed the block.
    session: u64,
    /// The last round that used the block.
    round: u64,
}

/// A refresh, which compresses changed blocks before a scrape needs them.
pub(in crate::exposition) struct Refresh {
    pub(in crate::exposition) session: CacheSession,
    pub(in crate::exposition) format: Format,
    /// Whether the scrape is already in progress. In this case, the scrape compresses the first half of the text, and
    /// the refresh compresses the second half.
    pub(in crate::exposition) is_second_half: bool,
}

/// The use of the cache by one exposition.
pub(in crate::exposition) struct CacheSession {
    number: u64,
    /// The round in which the session began.
    round: u64,
    /// Whether the session is a scrape without a filter.
    is_complete: bool,
    pub(in crate::exposition) compressor: Option<Compress>,
}

// === impl GzipCache ===

impl GzipCache {
    /// Begins the session of a compressed scrape and evicts unused blocks. `complete` is true if the scrape has no
    /// filter.
    pub(in crate::exposition) fn begin_scrape(
        &self,
        complete: bool,
        format: Format,
    ) -> CacheSession {
        self.evict_if_idle();
        let (session, evicted) = (self.state.lock()).begin_scrape(complete, format, Instant::now());
        // The evicted blocks are freed here, after the lock is released.
        drop(evicted);
        session
    }

    /// Begins a refresh, which compresses changed text before a scrape needs it. Returns `None` if no refresh is needed
    /// now.
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

    /// Clears the cache if there was no compressed scrape for the time [`IDLE`]. Scrapes that are not compressed call
    /// this method too, so that an unused cache is freed.
    pub(in crate::exposition) fn evict_if_idle(&self) {
        let evicted = self.state.lock().evict_if_idle(Instant::now());
        drop(evicted);
    }

    /// Returns the cached block of these runs, if the block has this revision.
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

    /// Ends a session and evicts unused blocks. `is_finished` is false if the client disconnected earlier.
    pub(in crate::exposition) fn end(&self, session: &mut CacheSession, is_finished: bool) {
        let evicted = (self.state.lock()).end(session, is_finished, Instant::now());
        drop(evicted);
    }

    /// Returns the memory of the blocks, in bytes.
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
    /// Begins the session of a scrape. Also returns the blocks that it evicts.
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

    /// Ends a session. Returns the blocks that it evicts.
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

    /// Begins the next round. Returns the blocks that it evicts.
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

    /// Returns the format of the scrape that is due soon. Returns `None` if no scrape is due soon, or if the blocks are
    /// already refreshed for that scrape.
    fn due(&mut self, now: Instant) -> Option<Format> {
        let (next, format) = self.predictor.next()?;
        let due = now + LEAD >= next && now < next + LEAD;
        (due && !std::mem::replace(&mut self.refreshed, due)).then_some(format)
    }

    /// Caches a block and returns the one that it replaces.
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
            // A slow client may still read an older state. The blocks of that state must not replace newer blocks.
            Some(cached) if cached.session > session.number => None,
            Some(cached) => Some(std::mem::replace(cached, new)),
            None => self.blocks.insert(key.into(), new),
        }
    }

    /// Clears an idle cache and returns its blocks.
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

    /// A cache whose methods have a time in seconds as argument.
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

        /// Caches an empty block. The tests recognize the block by its revision.
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

        /// The keys and the revisions of all blocks, in the order of their pages.
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
        // Several scrapes run at the same time. None of them has used the block when the first of them ends.
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
        // Two scrapers request different formats alternately.
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
