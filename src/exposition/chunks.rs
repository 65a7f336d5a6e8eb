//! [`Chunks`]: the bytes of an exposition, in chunks.

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};

use super::cursor::RunCursor;
use super::snapshot::Exposition;
use super::step::Step;

/// A chunk ends as soon as it has at least this many bytes. Larger chunks would not fit into the caches of the
/// processor.
const CHUNK: usize = 64 * 1024;

/// The bytes of an [`Exposition`], in chunks of 64 KiB to 160 KiB; with joined labels, in chunks of up to 256 KiB.
///
/// A later chunk uses the memory of a dropped chunk again.
///
/// ```
/// use kube_state_metrics::exposition::{Format, ExpositionFilter};
/// use kube_state_metrics::StateMetrics;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let body: Vec<_> = exposition.chunks().collect();
/// assert_eq!(body.concat(), b"# EOF\n");
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Chunks {
    cursor: RunCursor,
    buffer: BytesMut,
    done: bool,
}

// === impl Chunks ===

impl Chunks {
    /// Continues to build the next chunk. Returns after a limited amount of work, even if the chunk is not complete.
    pub(super) fn step(&mut self) -> Step<Bytes> {
        if self.done {
            return Step::End;
        }
        // `reserve` uses the memory of dropped chunks again. The capacity is larger than `CHUNK`: the chunk ends only
        // after a whole run of rows, so it can have more than `CHUNK` bytes.
        self.buffer.reserve(3 * CHUNK);
        match self.cursor.write_until(CHUNK, &mut self.buffer) {
            Step::Item(()) => {}
            Step::Pause => return Step::Pause,
            Step::End => {
                self.done = true;
                self.cursor.exposition().write_end(&mut self.buffer);
            }
        }
        if self.buffer.is_empty() {
            return Step::End;
        }
        Step::Item(self.buffer.split().freeze())
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Step::next_item(|| self.step())
    }
}

// === impl Exposition ===

impl Exposition {
    /// Returns the bytes of the exposition in chunks of about 64 KiB. The memory of dropped chunks is used again.
    ///
    /// ```
    /// use kube_state_metrics::exposition::{Format, ExpositionFilter};
    /// use kube_state_metrics::StateMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    /// assert_eq!(exposition.chunks().map(|chunk| chunk.len()).sum::<usize>(), 0, "no objects yet");
    /// # Ok::<(), kube_state_metrics::registry::BuildError>(())
    /// ```
    #[must_use]
    pub fn chunks(self) -> Chunks {
        #[cfg(feature = "gzip")]
        self.cache().evict_if_idle();
        Chunks {
            cursor: RunCursor::new(self),
            buffer: BytesMut::new(),
            done: false,
        }
    }

    /// Writes all bytes to `out`.
    ///
    /// # Errors
    ///
    /// Returns the error of `out`.
    pub fn write_to(self, mut out: impl io::Write) -> io::Result<()> {
        self.chunks().try_for_each(|chunk| out.write_all(&chunk))
    }
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        for chunk in self.clone().chunks() {
            text.extend_from_slice(&chunk);
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}
