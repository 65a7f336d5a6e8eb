//! [`FrameReader`]: splits the response of a watch into events while its bytes arrive.

use crate::piece::Piece;

/// Splits the response of a watch into frames. A frame has four bytes with the length of an event (the highest byte
/// first), then the bytes of the event.
///
/// ```
/// use kube_protobuf::FrameReader;
///
/// let mut frames = FrameReader::default();
/// let mut seen = Vec::new();
/// for bytes in [&b"\0\0\0\x03ab"[..], b"c\0\0"] {
///     frames.feed(bytes, |piece| {
///         seen.push((piece.bytes.to_vec(), piece.left));
///         Ok::<_, ()>(())
///     })?;
/// }
/// assert_eq!(seen, [(b"ab".to_vec(), 1), (b"c".to_vec(), 0)]);
/// # Ok::<(), ()>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The bytes of the length of the next event, as far as they have arrived.
    length: [u8; 4],
    known: usize,
    /// The number of bytes of the current event that have not arrived yet.
    left: Option<u64>,
}

// === impl FrameReader ===

impl FrameReader {
    /// Returns `true` if a part of a frame has arrived, but not the whole frame.
    #[must_use]
    pub fn is_in_frame(&self) -> bool {
        self.known > 0 || self.left.is_some()
    }

    /// Reads the next bytes of the response, and calls `each` with every piece of an event. If `each` returns an error,
    /// the method stops and returns this error.
    ///
    /// # Errors
    ///
    /// Returns the error of `each`.
    pub fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let left = match self.left {
                Some(left) => left,
                None => {
                    let Some((&byte, rest)) = bytes.split_first() else {
                        break;
                    };
                    bytes = rest;
                    if let Some(place) = self.length.get_mut(self.known) {
                        *place = byte;
                    }
                    self.known += 1;
                    if self.known < self.length.len() {
                        continue;
                    }
                    self.known = 0;
                    u32::from_be_bytes(self.length).into()
                }
            };
            let (piece, rest) = Piece::take(left, bytes);
            bytes = rest;
            self.left = (piece.left > 0).then_some(piece.left);
            each(piece)?;
        }
        Ok(())
    }
}
