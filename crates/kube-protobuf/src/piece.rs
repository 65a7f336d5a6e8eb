//! [`Piece`]: a part of an object or event.
//!
//! The bytes of the response arrive over time, so an object may arrive in several pieces.

/// A piece of an object or of an event. A reader returns a piece as soon as its bytes arrive.
///
/// The readers do not store the bytes of objects. So the caller decides how much memory an object may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The bytes of this piece.
    pub bytes: &'a [u8],
    /// The number of bytes that follow in further pieces. The last piece has 0.
    pub left: u64,
}

// === impl Piece ===

impl<'a> Piece<'a> {
    /// Splits `bytes` into the next piece of an object, and the bytes after this piece. `left` is the number of missing
    /// bytes of the object.
    pub(crate) fn take(left: u64, bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let whole = usize::try_from(left).ok();
        let (bytes, rest) = whole
            .and_then(|left| bytes.split_at_checked(left))
            .unwrap_or((bytes, &[]));
        let left = left - bytes.len() as u64;
        (Self { bytes, left }, rest)
    }
}
