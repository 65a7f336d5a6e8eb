//! Applies the expensive objects of a list, and reports a list that takes long because of them.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::reflector::Reflector;
use super::sink::{Change, ListWatchSink};
use crate::decode::{DecodeError, Encoding};

/// If the expensive objects of a list have taken this time, the health says that the list is expensive.
const LONG: Duration = Duration::from_secs(5);

impl<S: ListWatchSink> Reflector<S> {
    /// Applies or deletes an expensive object of a list on a thread for blocking work.
    pub(super) async fn list_expensive(
        &mut self,
        change: Change,
        encoding: Encoding,
        object: Bytes,
    ) -> Result<(), DecodeError> {
        let began = Instant::now();
        let permit = self.sink.expensive_permit().await;
        let changed = self.sink.change_expensive(permit, change, encoding, object);
        let changed = changed.await;
        self.expensive_time += began.elapsed();
        if self.expensive_time >= LONG {
            self.feed.reporter().list_is_expensive(true);
        }
        changed
    }
}
