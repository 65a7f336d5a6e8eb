//! [`GzipChunks`]: the bytes of an exposition as one gzip member, in chunks.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flate2::Crc;

use super::cursor::{RowRun, RunCursor};
use super::format::Format;
use super::gzip::{
    Block, CacheSession, FINAL_BLOCK, GzipCache, HEADER, RunKey, RunRevision, compress,
};
use super::snapshot::Exposition;

/// Runs are joined until a block has this much text, because small blocks compress badly.
const BLOCK: usize = 48 * 1024;

/// A run of this size is a separate block, so that changes elsewhere do not move its boundaries.
const LARGE_RUN: usize = 32 * 1024;

/// Minimum size of a chunk of compressed bytes.
const CHUNK: usize = 16 * 1024;

/// The bytes of an [`Exposition`] as one gzip member, in chunks.
pub(super) struct GzipChunks {
    cursor: RunCursor,
    cache: Arc<GzipCache>,
    session: CacheSession,
    text: BytesMut,
    deflated: Vec<u8>,
    out: BytesMut,
    /// A whole block that follows the bytes in `out`.
    next_block: Option<Bytes>,
    /// A run that did not fit into the previous block.
    next_run: Option<RowRun>,
    crc: Crc,
    state: State,
    /// Number of blocks that were not in the cache.
    #[cfg(test)]
    compressed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No bytes have been returned yet.
    Header,
    Blocks,
    /// All text has been compressed.
    End,
    Done,
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
            out: BytesMut::new(),
            next_block: None,
            next_run: None,
            crc: Crc::new(),
            state: State::Header,
            #[cfg(test)]
            compressed: 0,
        }
    }

    /// The runs of the next block.
    fn next_runs(&mut self) -> Vec<RowRun> {
        let mut runs = Vec::new();
        let mut size = 0;
        while size < BLOCK {
            let Some(run) = self.next_run.take().or_else(|| self.cursor.next_run()) else {
                break;
            };
            if run.size >= LARGE_RUN && !runs.is_empty() {
                self.next_run = Some(run);
                break;
            }
            size += run.size;
            runs.push(run);
        }
        runs
    }

    /// Appends the next block to the output. Returns `false` if there is no further block.
    fn advance(&mut self) -> bool {
        let runs = self.next_runs();
        if runs.is_empty() {
            return false;
        }
        let identity = self.identify(&runs);
        if let Some((key, revision)) = &identity
            && let Some(block) = self.cache.get(key, revision, &self.session)
        {
            self.emit(block);
            return true;
        }
        self.text.clear();
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
        true
    }

    /// The key and the revision of a block; `None` if it must not be cached.
    fn identify(&self, runs: &[RowRun]) -> Option<(Vec<RunKey>, Vec<RunRevision>)> {
        runs.iter().map(|run| self.cursor.identify(run)).collect()
    }

    /// Compresses the text of a block.
    fn compress(&mut self) -> Block {
        #[cfg(test)]
        {
            self.compressed += 1;
        }
        compress(&self.text, &mut self.session.compressor, &mut self.deflated)
    }

    fn emit(&mut self, block: Block) {
        self.crc.combine(&block.crc);
        if block.deflated.len() >= CHUNK {
            self.next_block = Some(block.deflated);
        } else {
            self.out.extend_from_slice(&block.deflated);
        }
    }

    /// Appends the text after the last family as a separate block, which is not cached.
    fn finish_text(&mut self) {
        self.text.clear();
        self.cursor.exposition().write_end(&mut self.text);
        if !self.text.is_empty() {
            let block = self.compress();
            self.emit(block);
        }
    }

    /// Ends the member: the empty final block and the checksums.
    fn finish_member(&mut self) {
        self.out.extend_from_slice(&FINAL_BLOCK);
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&self.crc.amount().to_le_bytes());
    }
}

impl Iterator for GzipChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(block) = self.next_block.take() {
            return Some(block);
        }
        self.out.reserve(4 * CHUNK);
        let mut wanted = CHUNK;
        if self.state == State::Header {
            self.out.extend_from_slice(&HEADER);
            self.state = State::Blocks;
            // The first block is a separate chunk, so that a client receives the first byte early.
            wanted = HEADER.len() + 1;
        }
        while self.out.len() < wanted && self.next_block.is_none() {
            match self.state {
                State::Header | State::Blocks => {
                    if !self.advance() {
                        self.finish_text();
                        self.state = State::End;
                    }
                }
                State::End => {
                    self.finish_member();
                    self.state = State::Done;
                }
                State::Done => break,
            }
        }
        if self.out.is_empty() {
            return self.next_block.take();
        }
        Some(self.out.split().freeze())
    }
}

impl Drop for GzipChunks {
    fn drop(&mut self) {
        // A client may disconnect before the end, so `finish_member` is too late to end the session.
        self.cache.end(&mut self.session);
    }
}

impl fmt::Debug for GzipChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipChunks").finish_non_exhaustive()
    }
}

// === impl GzipCache ===

impl GzipCache {
    /// Compresses the changes, if a scrape is due soon. `exposition` returns the current state in a
    /// format.
    pub(crate) fn refresh(&self, exposition: impl FnOnce(Format) -> Exposition) {
        if let Some((session, format)) = self.begin_refresh() {
            GzipChunks::new(exposition(format), session).for_each(drop);
        }
    }
}

#[cfg(test)]
mod tests;
