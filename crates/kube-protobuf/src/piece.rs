//! [`Piece`]: a part of an object, as it arrives.

/// A part of an object or an event, as it arrives.
///
/// The readers keep no bytes of objects, so that their caller decides how much memory an object may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// The next bytes.
    pub bytes: &'a [u8],
    /// The number of bytes that follow in further pieces. The last piece has 0.
    pub left: u64,
}
