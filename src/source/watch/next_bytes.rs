//! Reads the bytes of a list, with a deadline for the next object and a deadline for the whole list.
//!
//! While another feed waits for memory, a third deadline limits how long this feed keeps an incomplete object in
//! memory.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::connection::ResponseBody;
use super::failure::Failure;
use super::list_bounds::took_too_long;
use super::list_splitter::ListSplitter;
use super::timeouts::WatchTimeouts;

/// Reads the next bytes of a page. `began` is the time at which the list began, and `last_object` is the time at which
/// the last object was complete. `splitter` has the bytes of the incomplete object.
pub(super) async fn next_bytes(
    response: &mut ResponseBody,
    timeouts: &WatchTimeouts,
    began: Instant,
    last_object: Instant,
    splitter: &ListSplitter,
) -> Result<Option<Bytes>, Failure> {
    let object_end = later(last_object, timeouts.response);
    let list_end = later(began, timeouts.list);
    let read = timeout_at(object_end.min(list_end), response.read());
    let read = tokio::select! {
        biased;
        error = splitter.read_too_long() => return Err(error.into()),
        read = read => read,
    };
    let now = Instant::now();
    // If the server sends bytes without a pause, the timeout of the read never expires. Therefore, the deadlines of the
    // object and of the list are also checked here.
    match read {
        _ if now >= list_end => Err(took_too_long(timeouts.list)),
        Ok(read) if now < object_end => read,
        _ => Err(Failure::no_object(timeouts.response)),
    }
}

/// Returns `at + after`, or an instant in the far future if the sum overflows.
fn later(at: Instant, after: Duration) -> Instant {
    let far = || at + Duration::from_secs(86_400 * 365);
    at.checked_add(after).unwrap_or_else(far)
}
