//! The buffer of an object whose bytes have not all arrived.

use super::split_error::{MAX_OBJECT, SplitError};

/// Larger buffers are freed after use.
const MAX_KEPT: usize = 256 << 10;

/// Appends to the bytes of an incomplete object.
pub(super) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), SplitError> {
    if buffer.len() + bytes.len() > MAX_OBJECT {
        return Err(SplitError::TooLarge);
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// Empties the buffer for the next object. A large buffer is freed.
pub(super) fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > MAX_KEPT {
        buffer.shrink_to(0);
    }
}
