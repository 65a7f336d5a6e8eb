//! [`Piece`]: a part of an object, as it arrives.

/// A part of an object or an event, as it arrives.
///
/// The readers keep no bytes of objects, so that their caller decides how much memory an object may take.
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
    /// The next piece of an object that has `left` more bytes, and the bytes that follow the piece.
    pub(crate) fn take(left: u64, bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let whole = usize::try_from(left).ok();
        let (bytes, rest) = whole
            .and_then(|left| bytes.split_at_checked(left))
            .unwrap_or((bytes, &[]));
        let left = left - bytes.len() as u64;
        (Self { bytes, left }, rest)
    }
}
