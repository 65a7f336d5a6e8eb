//! The bytes of an exposition, piece by piece.

use bytes::{Bytes, BytesMut};

use super::cursor::PartCursor;
use super::{Exposition, Format};

/// A piece is handed out once it holds this much. Larger ones would leave the processor's caches.
const CHUNK: usize = 64 * 1024;

/// The pieces of an [`Exposition`], in order.
///
/// Each is 64 KiB to 160 KiB of text; the memory of a dropped piece serves a later one.
///
/// ```
/// use kube_state_metrics::{Format, ExpositionFilter, StateMetrics};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
/// let body: Vec<_> = exposition.chunks().collect();
/// assert_eq!(body.concat(), b"# EOF\n");
/// # Ok::<(), kube_state_metrics::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Chunks {
    walk: PartCursor,
    buffer: BytesMut,
    done: bool,
}

impl Chunks {
    pub(super) fn new(exposition: Exposition) -> Self {
        Self {
            walk: PartCursor::new(exposition),
            buffer: BytesMut::new(),
            done: false,
        }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        // Takes the memory of dropped pieces again; a part may go beyond the mark, hence the room.
        self.buffer.reserve(3 * CHUNK);
        while self.buffer.len() < CHUNK {
            let Some(part) = self.walk.next_part() else {
                self.done = true;
                if self.walk.exposition().format() == Format::OpenMetrics {
                    self.buffer.extend_from_slice(b"# EOF\n");
                }
                break;
            };
            self.walk.write(&part, &mut self.buffer);
        }
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }
}
