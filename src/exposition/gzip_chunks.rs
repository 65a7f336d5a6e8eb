//! [`GzipChunks`]: the bytes of an exposition as one gzip member, in chunks.
//!
//! The text is compressed in blocks, which a cache keeps between scrapes.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flate2::Crc;

use super::cursor::{RowRun, RunCursor};
use super::format::Format;
use super::gzip::{
    Block, CacheSession, FINAL_BLOCK, GzipCache, HEADER, Refresh, RunKey, RunRevision, compress,
};
use super::snapshot::Exposition;
use super::step::Step;

/// A block contains as many runs as are necessary for this much text, because small blocks compress badly.
const BLOCK: usize = 48 * 1024;

/// A run of at least this size starts a new block. So a change of earlier runs does not change the block of this run.
const LARGE_RUN: usize = 32 * 1024;

/// Minimum size of a chunk of compressed text.
const CHUNK: usize = 16 * 1024;

/// The bytes of an [`Exposition`] as one gzip member, in chunks.
pub(super) struct GzipChunks {
    cursor: RunCursor,
    cache: Arc<GzipCache>,
    session: CacheSession,
    text: BytesMut,
    deflated: Vec<u8>,
    out: BytesMut,
    /// Whether the first chunk has been returned.
    has_begun: bool,
    /// A large block, which becomes its own chunk after the bytes in `out`.
    next_block: Option<Bytes>,
    /// The runs that are already collected for the next block. `size` is the length of their text.
    runs: Vec<RowRun>,
    size: usize,
    /// A run that was too large for the previous block.
    next_run: Option<RowRun>,
    crc: Crc,
    state: State,
    /// Number of blocks that had to be compressed, because they were not in the cache.
    #[cfg(test)]
    compressed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Blocks,
    /// All text is compressed. Only the end of the gzip member is missing.
    End,
    Done,
}

/// Whether a block was cached or had to be compressed.
enum Origin {
    Cache,
    Compressor,
}

// === impl GzipChunks ===

impl GzipChunks {
    /// Compresses an exposition for a scrape, and evicts unused blocks from the cache.
    pub(super) fn scrape(exposition: Exposition) -> Self {
        let complete = exposition.filter().is_everything();
        let session = exposition
            .cache()
            .begin_scrape(complete, exposition.format());
        Self::new(exposition, session)
    }

    fn new(exposition: Exposition, session: CacheSession) -> Self {
        Self {
            cache: Arc::clone(exposition.cache()),
            cursor: RunCursor::new(exposition),
            session,
            text: BytesMut::new(),
            deflated: Vec::new(),
            out: BytesMut::from(&HEADER[..]),
            has_begun: false,
            next_block: None,
            runs: Vec::new(),
            size: 0,
            next_run: None,
            crc: Crc::new(),
            state: State::Blocks,
            #[cfg(test)]
            compressed: 0,
        }
    }

    /// Compresses the changed text of an exposition before a scrape needs this text.
    fn refresh(exposition: Exposition, refresh: Refresh) -> Self {
        let is_second_half = refresh.is_second_half;
        let mut chunks = Self::new(exposition, refresh.session);
        if is_second_half {
            chunks.cursor.skip_first_half();
        }
        chunks
    }

    /// Continues to build the next chunk. Returns after a limited amount of work: each step compresses at most one
    /// block. The last step also compresses the text after the last family.
    pub(super) fn step(&mut self) -> Step<Bytes> {
        if let Some(block) = self.next_block.take() {
            return Step::Item(block);
        }
        self.out.reserve(4 * CHUNK);
        // The first chunk contains only the first block, so that the client receives the first byte early.
        let wanted = if self.has_begun {
            CHUNK
        } else {
            HEADER.len() + 1
        };
        while self.out.len() < wanted && self.next_block.is_none() {
            match self.state {
                State::Blocks => match self.advance() {
                    Step::Item(Origin::Cache) => {}
                    Step::Item(Origin::Compressor) => break,
                    Step::Pause => return Step::Pause,
                    Step::End => {
                        self.finish_text();
                        self.state = State::End;
                    }
                },
                State::End => {
                    self.finish_member();
                    self.state = State::Done;
                }
                State::Done => break,
            }
        }
        let is_complete = self.out.len() >= wanted || self.next_block.is_some();
        if !is_complete && self.state != State::Done {
            return Step::Pause;
        }
        self.has_begun = true;
        if self.out.is_empty() {
            return self.next_block.take().map_or(Step::End, Step::Item);
        }
        Step::Item(self.out.split().freeze())
    }

    /// Returns the runs of the next block.
    fn next_runs(&mut self) -> Step<Vec<RowRun>> {
        while self.size < BLOCK {
            let step = match self.next_run.take() {
                Some(run) => Step::Item(run),
                None => self.cursor.next_run(),
            };
            match step {
                Step::Item(run) if run.size >= LARGE_RUN && !self.runs.is_empty() => {
                    self.next_run = Some(run);
                    break;
                }
                Step::Item(run) => {
                    self.size += run.size;
                    self.runs.push(run);
                }
                Step::Pause => return Step::Pause,
                Step::End => break,
            }
        }
        self.size = 0;
        match std::mem::take(&mut self.runs) {
            runs if runs.is_empty() => Step::End,
            runs => Step::Item(runs),
        }
    }

    /// Appends the next block to the output.
    fn advance(&mut self) -> Step<Origin> {
        if self.cursor.exposition().filter().has_namespaces() {
            return self.advance_uncached();
        }
        let runs = match self.next_runs() {
            Step::Item(runs) => runs,
            Step::Pause => return Step::Pause,
            Step::End => return Step::End,
        };
        let identity = self.identify(&runs);
        if let Some((key, revision)) = &identity
            && let Some(block) = self.cache.get(key, revision)
        {
            self.emit(block);
            return Step::Item(Origin::Cache);
        }
        if runs.iter().any(|run| self.cursor.prepare_joined(run)) {
            // The next step continues with the same block.
            (self.runs, self.size) = (runs, BLOCK);
            return Step::Pause;
        }
        for run in &runs {
            self.cursor.write(run, &mut self.text);
        }
        if !self.text.is_empty() {
            let block = self.compress();
            if let Some((key, revision)) = identity {
                self.cache.put(key, revision, &block, &self.session);
            }
            self.emit(block);
        }
        Step::Item(Origin::Compressor)
    }

    /// Appends a block that is not cached. A filter by namespace excludes some rows of each run, so the length of the
    /// remaining text is not known in advance. So the method writes runs until there is enough text for a block.
    fn advance_uncached(&mut self) -> Step<Origin> {
        match self.cursor.write_until(BLOCK, &mut self.text) {
            Step::Pause => return Step::Pause,
            Step::End if self.text.is_empty() => return Step::End,
            Step::Item(()) | Step::End => {}
        }
        let block = self.compress();
        self.emit(block);
        Step::Item(Origin::Compressor)
    }

    /// Returns the key and the revision of a block; `None` if the block must not be cached.
    fn identify(&self, runs: &[RowRun]) -> Option<(Vec<RunKey>, Vec<RunRevision>)> {
        runs.iter().map(|run| self.cursor.identify(run)).collect()
    }

    /// Compresses the collected text to a block, and clears the text.
    fn compress(&mut self) -> Block {
        #[cfg(test)]
        {
            self.compressed += 1;
        }
        let block = compress(&self.text, &mut self.session.compressor, &mut self.deflated);
        self.text.clear();
        block
    }

    fn emit(&mut self, block: Block) {
        self.crc.combine(&block.crc);
        if block.deflated.len() >= CHUNK {
            self.next_block = Some(block.deflated);
        } else {
            self.out.extend_from_slice(&block.deflated);
        }
    }

    /// Compresses the text after the last family to a separate block. This block is not cached.
    fn finish_text(&mut self) {
        self.cursor.exposition().write_end(&mut self.text);
        if !self.text.is_empty() {
            let block = self.compress();
            self.emit(block);
        }
    }

    /// Appends the end of the gzip member: the empty final block, the checksum, and the length of the text.
    fn finish_member(&mut self) {
        self.out.extend_from_slice(&FINAL_BLOCK);
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

impl Iterator for GzipChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Step::next_item(|| self.step())
    }
}

impl Drop for GzipChunks {
    fn drop(&mut self) {
        // The session ends here, because a client can disconnect before `finish_member` is called.
        let is_finished = self.state == State::Done;
        self.cache.end(&mut self.session, is_finished);
    }
}

impl fmt::Debug for GzipChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipChunks").finish_non_exhaustive()
    }
}

// === impl GzipCache ===

impl GzipCache {
    /// Compresses changed text before the next scrape, if this scrape is expected soon. But if a scrape has just begun
    /// with an empty cache, compresses the second half of its text. `exposition` returns the current exposition in the
    /// requested format.
    pub(crate) fn refresh(&self, exposition: impl FnOnce(Format) -> Exposition) {
        if let Some(refresh) = self.begin_refresh() {
            GzipChunks::refresh(exposition(refresh.format), refresh).for_each(drop);
        }
    }
}

#[cfg(test)]
mod tests;
