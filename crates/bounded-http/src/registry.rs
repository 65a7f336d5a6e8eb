//! All connections of a server, and which one is evicted when there are too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::observer::Observer;
use crate::state::{BusyCount, ConnectionState, ResponseGuard};

/// The open connections of a server.
pub(crate) struct Registry {
    open: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next_id: AtomicU64,
    busy: Arc<BusyCount>,
    observer: Arc<dyn Observer>,
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            busy: Arc::new(BusyCount::new(Arc::clone(&observer))),
            observer,
        }
    }

    /// Adds a new connection. If that exceeds the limit, evicts the quietest one.
    pub(crate) fn add(&self, limits: &Limits) -> Arc<ConnectionState> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(ConnectionState::new(id, Arc::clone(&self.busy)));
        let mut open = self.open.lock();
        if open.len() >= limits.max_connections {
            // Connections that are not busy come first, then those without progress for the longest
            // time.
            let quiet = (open.values()).filter_map(|other| Some((other.quiet_since()?, other)));
            if let Some((_, quietest)) = quiet.min_by_key(|(since, _)| *since) {
                quietest.close(CloseReason::Evicted);
            }
        }
        open.insert(id, Arc::clone(&connection));
        self.observer.connection_opened();
        connection
    }

    /// Removes a connection that is closed.
    pub(crate) fn remove(&self, connection: &ConnectionState) {
        if self.open.lock().remove(&connection.id).is_some() {
            self.observer.connection_closed();
        }
        // A closed connection does not count as busy. Nothing reports the reason.
        connection.close(CloseReason::Idle);
    }

    /// Begins a response. If that exceeds the limit, evicts the other connection that has made no
    /// progress longest.
    pub(crate) fn begin_response(
        &self,
        connection: &Arc<ConnectionState>,
        http2: bool,
        limits: &Limits,
    ) -> ResponseGuard {
        let response = connection.begin_response(http2);
        if self.busy.get() > limits.max_responses {
            let open = self.open.lock();
            let others = open.values().filter(|other| other.id != connection.id);
            let busy = others.filter_map(|other| Some((other.stalled_since()?, other)));
            if let Some((_, stalled)) = busy.min_by_key(|(since, _)| *since) {
                stalled.close(CloseReason::Evicted);
            }
        }
        response
    }

    /// Returns the number of open connections.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A registry, and limits of three connections and two responses.
    fn registry() -> (Registry, Limits) {
        let limits = Limits {
            max_connections: 3,
            max_responses: 2,
            ..Limits::default()
        };
        (Registry::new(Arc::new(())), limits)
    }

    async fn seconds(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_response_too_many_evicts_the_connection_longest_without_progress() {
        let (registry, limits) = registry();
        let [first, second, third] = [(); 3].map(|()| registry.add(&limits));
        let stalled = registry.begin_response(&first, false, &limits);
        seconds(1).await;
        let _reads = registry.begin_response(&second, false, &limits);
        seconds(1).await;
        stalled.record_progress();
        let _new = registry.begin_response(&third, false, &limits);
        assert_eq!(second.closed(&limits).await, CloseReason::Evicted);
        assert_eq!(registry.busy.get(), 2);
        assert_eq!(first.closed(&limits).await, CloseReason::NoProgress);
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_too_many_evicts_an_idle_one_first() {
        let (registry, limits) = registry();
        let [stalled, idle, _] = [(); 3].map(|()| registry.add(&limits));
        let _response = registry.begin_response(&stalled, false, &limits);
        seconds(1).await;
        drop(registry.begin_response(&idle, false, &limits));
        seconds(1).await;
        registry.add(&limits);
        // The third connection was evicted: it has sent no request, and is quiet for longer than
        // the second.
        assert_eq!(registry.len(), 4);
        assert_eq!(idle.quiet_since().map(|(busy, _)| busy), Some(false));
        registry.add(&limits);
        assert_eq!(idle.closed(&limits).await, CloseReason::Evicted);
        assert!(stalled.quiet_since().is_some());
        registry.remove(&idle);
        assert_eq!(registry.len(), 4);
    }
}
