//! The blocks that are kept between scrapes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compress;
use parking_lot::Mutex;

use super::scrape_predictor::ScrapePredictor;
use super::{Block, GzipChunks};
use crate::exposition::cursor::{BlockKey, BlockRevision};
use crate::exposition::{Exposition, Format};

/// The cache goes when nobody has asked for a compressed exposition for so long, and a round ends
/// after it at the latest.
const IDLE: Duration = Duration::from_secs(300);

/// Blocks are refreshed this long before the next scrape is expected.
pub(super) const LEAD: Duration = Duration::from_secs(1);

/// Idle compressors that are kept: each is a quarter of a megabyte of tables.
const COMPRESSORS: usize = 2;

/// Compressed blocks, kept between scrapes.
#[derive(Default)]
pub(crate) struct GzipCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By the places of a block's parts: a later state replaces the one before, so that changes
    /// take no memory twice.
    blocks: HashMap<Box<[BlockKey]>, Cached>,
    /// A round is from one complete scrape to the next, or some minutes where there is none.
    round: u64,
    round_began: Option<Instant>,
    /// Counts expositions in the order they began.
    passes: u64,
    compressors: Vec<Compress>,
    last_use: Option<Instant>,
    /// Of complete scrapes.
    rhythm: ScrapePredictor,
    /// The blocks have been refreshed since the last complete scrape.
    refreshed: bool,
}

struct Cached {
    versions: Box<[BlockRevision]>,
    block: Block,
    /// The pass that made it.
    pass: u64,
    /// The last round that used it.
    round: u64,
}

/// One exposition's use of the cache.
pub(super) struct CacheSession {
    number: u64,
    round: u64,
    pub(super) compressor: Option<Compress>,
}

impl GzipCache {
    /// Notes a scrape and begins its exposition.
    pub(in crate::exposition) fn scrape(self: &Arc<Self>, exposition: Exposition) -> GzipChunks {
        let complete = exposition.selection.is_everything();
        let (pass, outdated) =
            (self.inner.lock()).scrape(complete, exposition.format, Instant::now());
        // Freed without the lock.
        drop(outdated);
        GzipChunks::new(exposition, Arc::clone(self), pass)
    }

    /// Lets the cache go where it is idle; refreshes it shortly before the next scrape is due.
    ///
    /// `exposition` makes the current state in a format.
    pub(crate) fn tend(self: &Arc<Self>, exposition: impl FnOnce(Format) -> Exposition) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        if inner.is_idle(now) {
            let old = inner.forget();
            drop(inner);
            drop(old);
        } else if let Some(format) = inner.due(now) {
            let pass = inner.pass();
            drop(inner);
            GzipChunks::new(exposition(format), Arc::clone(self), pass).for_each(drop);
        }
    }

    /// The block at some places, if it is of these versions.
    pub(super) fn get(
        &self,
        places: &[BlockKey],
        versions: &[BlockRevision],
        pass: &CacheSession,
    ) -> Option<Block> {
        let mut inner = self.inner.lock();
        let cached = inner.blocks.get_mut(places)?;
        if *cached.versions != *versions {
            return None;
        }
        cached.round = cached.round.max(pass.round);
        Some(cached.block.clone())
    }

    /// Keeps a block.
    pub(super) fn put(
        &self,
        places: Vec<BlockKey>,
        versions: Vec<BlockRevision>,
        block: &Block,
        pass: &CacheSession,
    ) {
        let old = (self.inner.lock()).put(places, versions, block, pass);
        drop(old);
    }

    pub(super) fn end(&self, pass: &mut CacheSession) {
        let mut inner = self.inner.lock();
        if inner.compressors.len() < COMPRESSORS {
            inner.compressors.extend(pass.compressor.take());
        }
    }

    /// Memory of the blocks, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let inner = self.inner.lock();
        let blocks = inner.blocks.iter().map(|(places, cached)| {
            size_of_val(&**places)
                + size_of_val(&*cached.versions)
                + size_of::<(Box<[BlockKey]>, Cached)>()
                + cached.block.heap_bytes()
        });
        blocks.sum()
    }
}

impl Inner {
    /// Notes a scrape and begins its pass; also gives what is outdated.
    fn scrape(
        &mut self,
        complete: bool,
        format: Format,
        now: Instant,
    ) -> (CacheSession, Vec<Cached>) {
        self.last_use = Some(now);
        if complete {
            self.rhythm.note(now, format);
            self.refreshed = false;
        }
        let long = |began: Instant| now.duration_since(began) > IDLE;
        let mut outdated = Vec::new();
        if complete || self.round_began.is_none_or(long) {
            self.round += 1;
            self.round_began = Some(now);
            // Two rounds, for who asks by turns for other formats, or for less.
            let round = self.round;
            let unused = (self.blocks).extract_if(|_, cached| cached.round + 2 < round);
            outdated.extend(unused.map(|(_, cached)| cached));
        }
        (self.pass(), outdated)
    }

    fn pass(&mut self) -> CacheSession {
        self.passes += 1;
        CacheSession {
            number: self.passes,
            round: self.round,
            compressor: self.compressors.pop(),
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        (self.last_use).is_some_and(|last| now.duration_since(last) > IDLE)
    }

    /// The format of the scrape that is due, the first time it is asked.
    fn due(&mut self, now: Instant) -> Option<Format> {
        let (next, format) = self.rhythm.next()?;
        let due = now + LEAD >= next && now < next + LEAD;
        (due && !std::mem::replace(&mut self.refreshed, due)).then_some(format)
    }

    fn put(
        &mut self,
        places: Vec<BlockKey>,
        versions: Vec<BlockRevision>,
        block: &Block,
        pass: &CacheSession,
    ) -> Option<Cached> {
        // An answer that is still on its way does not bring back what was let go.
        self.last_use?;
        let new = |round| Cached {
            versions: versions.into(),
            block: block.clone(),
            pass: pass.number,
            round,
        };
        match self.blocks.get_mut(&*places) {
            // A slow client's answer is of an older state.
            Some(cached) if cached.pass > pass.number => None,
            Some(cached) => {
                let new = new(cached.round.max(pass.round));
                Some(std::mem::replace(cached, new))
            }
            None => self.blocks.insert(places.into(), new(pass.round)),
        }
    }

    fn forget(&mut self) -> Self {
        let new = Self {
            round: self.round,
            passes: self.passes,
            ..Self::default()
        };
        std::mem::replace(self, new)
    }
}

impl fmt::Debug for GzipCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    /// A cache and its clock, in seconds.
    struct Clock {
        inner: Inner,
        zero: Instant,
    }

    impl Clock {
        fn new() -> Self {
            let zero = Instant::now() + START;
            let inner = Inner::default();
            Self { inner, zero }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.zero + Duration::from_secs(seconds)
        }

        fn scrape(&mut self, complete: bool, seconds: u64) -> CacheSession {
            let now = self.at(seconds);
            self.inner.scrape(complete, Format::Text, now).0
        }

        /// Puts a block that is told apart by its version.
        fn put(&mut self, page: u64, version: u64, pass: &CacheSession) {
            let block = Block::default();
            let (places, versions) = (vec![BlockKey::of(page)], vec![BlockRevision::of(version)]);
            self.inner.put(places, versions, &block, pass);
        }

        fn due(&mut self, seconds: u64) -> Option<Format> {
            let now = self.at(seconds);
            self.inner.due(now)
        }

        /// The pages that have a block, and their versions.
        fn pages(&self) -> Vec<(BlockKey, BlockRevision)> {
            let blocks = self.inner.blocks.iter();
            let mut pages: Vec<_> = blocks
                .map(|(places, cached)| (places[0].clone(), cached.versions[0].clone()))
                .collect();
            pages.sort_by_key(|(place, _)| place.page());
            pages
        }
    }

    fn pages<const N: usize>(pages: [(u64, u64); N]) -> Vec<(BlockKey, BlockRevision)> {
        let own = pages.map(|(page, version)| (BlockKey::of(page), BlockRevision::of(version)));
        own.into()
    }

    #[test]
    fn what_two_rounds_did_not_use_goes() {
        let mut clock = Clock::new();
        let pass = clock.scrape(true, 0);
        clock.put(1, 1, &pass);
        clock.put(2, 1, &pass);
        for seconds in [30, 60] {
            let pass = clock.scrape(true, seconds);
            clock.put(1, seconds, &pass);
            assert_eq!(clock.pages(), pages([(1, seconds), (2, 1)]));
        }
        clock.scrape(true, 90);
        assert_eq!(clock.pages(), pages([(1, 60)]));
    }

    #[test]
    fn rounds_end_with_time_where_no_scrape_is_complete() {
        let mut clock = Clock::new();
        let pass = clock.scrape(false, 0);
        clock.put(1, 1, &pass);
        for seconds in (15..900).step_by(15) {
            let pass = clock.scrape(false, seconds);
            clock.put(2, 1, &pass);
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
        let pass = clock.scrape(true, 0);
        clock.put(1, 1, &pass);
        assert!(!clock.inner.is_idle(clock.at(300)));
        assert!(clock.inner.is_idle(clock.at(301)));
        assert_eq!(clock.inner.forget().blocks.len(), 1);
        clock.put(1, 1, &pass);
        assert_eq!(clock.pages(), []);
        assert!(!clock.inner.is_idle(clock.at(999)), "it is gone already");
    }

    #[test]
    fn a_scrape_that_is_due_is_prepared_once_in_its_format() {
        let mut clock = Clock::new();
        // Two scrapers, one for each format.
        for round in 0..4 {
            for (format, offset) in [(Format::Text, 0), (Format::OpenMetrics, 10)] {
                let now = clock.at(round * 30 + offset);
                clock.inner.scrape(true, format, now);
            }
        }
        assert_eq!(clock.due(115), None);
        assert_eq!(clock.due(119), Some(Format::Text));
        assert_eq!(clock.due(120), None, "prepared already");
        clock.scrape(true, 120);
        assert_eq!(clock.due(129), Some(Format::OpenMetrics));
    }
}
