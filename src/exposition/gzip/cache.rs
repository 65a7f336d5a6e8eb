//! The blocks that are kept between scrapes, one for each place where a block may begin.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compress;
use parking_lot::Mutex;

use super::key::{BlockKey, Place};
use super::rhythm::Rhythm;
use super::{Block, GzipChunks};
use crate::exposition::{Exposition, Format};

/// The cache goes when nobody has asked for a compressed exposition for so long, and a round ends
/// after it at the latest.
const IDLE: Duration = Duration::from_secs(300);

/// Blocks are refreshed this long before the next scrape is expected.
const LEAD: Duration = Duration::from_secs(1);

/// Idle compressors that are kept: each is a quarter of a megabyte of tables.
const COMPRESSORS: usize = 2;

/// Compressed blocks, kept between scrapes.
#[derive(Default)]
pub(crate) struct GzipCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What begins at a place replaces what began there before, so that changes take no more memory.
    blocks: HashMap<Place, Cached>,
    /// Complete expositions end a round, or time does; a block knows the last that used it.
    round: u64,
    round_began: Option<Instant>,
    compressors: Vec<Compress>,
    last_use: Option<Instant>,
    /// Of complete scrapes.
    rhythm: Rhythm,
    /// The blocks have been refreshed since the last complete scrape.
    refreshed: bool,
    /// Of the last complete scrape.
    format: Format,
}

struct Cached {
    key: BlockKey,
    block: Block,
    round: u64,
}

/// What an exposition has of the cache while it is on its way.
pub(super) struct Turn {
    pub(super) round: u64,
    /// It began the round: at its end, what no round uses any more goes.
    sweeps: bool,
    pub(super) compressor: Option<Compress>,
}

impl GzipCache {
    /// Notes a scrape and begins its exposition.
    pub(in crate::exposition) fn scrape(self: &Arc<Self>, exposition: Exposition) -> GzipChunks {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.last_use = Some(now);
        if exposition.selection.is_everything() {
            inner.rhythm.note(now);
            inner.refreshed = false;
            inner.format = exposition.format;
        }
        drop(inner);
        self.chunks(exposition, now)
    }

    fn chunks(self: &Arc<Self>, exposition: Exposition, now: Instant) -> GzipChunks {
        let turn = (self.inner.lock()).begin(exposition.selection.is_everything(), now);
        GzipChunks::new(exposition, Arc::clone(self), turn)
    }

    /// Lets the cache go where it is idle; refreshes it shortly before the next scrape is due.
    ///
    /// `exposition` makes the current state in a format.
    pub(crate) fn tend(self: &Arc<Self>, exposition: impl FnOnce(Format) -> Exposition) {
        let now = Instant::now();
        let format = {
            let mut inner = self.inner.lock();
            match inner.last_use {
                Some(last) if now.duration_since(last) <= IDLE => {}
                Some(_) => return inner.forget(),
                None => return,
            }
            let due =
                (inner.rhythm.next()).is_some_and(|next| now + LEAD >= next && now < next + LEAD);
            if !due || inner.refreshed {
                return;
            }
            inner.refreshed = true;
            inner.format
        };
        self.chunks(exposition(format), now).for_each(drop);
    }

    /// The block of `key` at `place`, if that is what was there last.
    pub(super) fn get(&self, place: &Place, key: &BlockKey, round: u64) -> Option<Block> {
        let mut inner = self.inner.lock();
        let cached = inner.blocks.get_mut(place)?;
        if cached.key != *key {
            return None;
        }
        cached.round = cached.round.max(round);
        Some(cached.block.clone())
    }

    /// Keeps a block, unless what its place has is newer: a slow client's answer is of an older state.
    pub(super) fn put(&self, place: Place, key: BlockKey, block: &Block, round: u64) {
        let mut inner = self.inner.lock();
        if (inner.blocks.get(&place)).is_some_and(|cached| cached.key.newest() > key.newest()) {
            return;
        }
        let block = block.clone();
        let old = inner.blocks.insert(place, Cached { key, block, round });
        // Freed without the lock.
        drop(inner);
        drop(old);
    }

    pub(super) fn end(&self, turn: &mut Turn) {
        let mut inner = self.inner.lock();
        if turn.sweeps {
            // One round more for who asks for the other format, or for less.
            (inner.blocks).retain(|_, cached| cached.round + 1 >= turn.round);
        }
        if inner.compressors.len() < COMPRESSORS {
            inner.compressors.extend(turn.compressor.take());
        }
    }

    /// Memory the cache holds, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let inner = self.inner.lock();
        let blocks = inner.blocks.values().map(|cached| {
            cached.block.deflated.len()
                + cached.key.heap_bytes()
                + size_of::<Place>()
                + size_of::<Cached>()
        });
        blocks.sum()
    }
}

impl Inner {
    fn begin(&mut self, complete: bool, now: Instant) -> Turn {
        let long = |began: Instant| now.duration_since(began) > IDLE;
        let sweeps = complete || self.round_began.is_none_or(long);
        if sweeps {
            self.round += 1;
            self.round_began = Some(now);
        }
        Turn {
            round: self.round,
            sweeps,
            compressor: self.compressors.pop(),
        }
    }

    fn forget(&mut self) {
        *self = Self {
            round: self.round,
            ..Self::default()
        };
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

    #[test]
    fn a_round_ends_with_every_complete_exposition_and_with_time() {
        let (mut inner, start) = (Inner::default(), Instant::now());
        let mut begin = |complete, seconds| {
            let turn = inner.begin(complete, start + Duration::from_secs(seconds));
            (turn.round, turn.sweeps)
        };
        assert_eq!(begin(false, 0), (1, true));
        assert_eq!(begin(false, 30), (1, false));
        assert_eq!(begin(true, 31), (2, true));
        assert_eq!(begin(false, 331), (2, false));
        assert_eq!(begin(false, 332), (3, true));
        assert_eq!(begin(true, 333), (4, true));
    }
}
