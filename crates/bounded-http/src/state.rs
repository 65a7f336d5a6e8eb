//! The state of one connection, and the time when it exceeds a limit.
//!
//! The state depends on bytes and requests alone, so a client that stops reading is noticed whatever
//! the server sends: a connection that cannot write makes no progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::observer::Observer;

/// Counts the connections that have a response in progress, or bytes of one to send.
pub(crate) struct BusyCount {
    count: AtomicUsize,
    observer: Arc<dyn Observer>,
}

/// The state of one connection.
pub(crate) struct ConnectionState {
    pub(crate) id: u64,
    progress: Mutex<Progress>,
    busy: Arc<BusyCount>,
    /// Notifies the task of the connection that a deadline is earlier, or that it must close the
    /// connection.
    changed: Notify,
}

/// A response in progress; it ends when this is dropped.
pub(crate) struct ResponseGuard {
    connection: Arc<ConnectionState>,
    id: u64,
}

#[derive(Debug)]
struct Progress {
    /// When the first byte of an incomplete request arrived.
    request_since: Option<Instant>,
    /// When the last response ended, if no request began since.
    idle_since: Option<Instant>,
    /// Responses in progress, oldest first.
    responses: Vec<Response>,
    next_response: u64,
    /// When bytes were last sent, or given to the connection to be sent.
    last_progress: Instant,
    /// Whether bytes wait to be sent.
    blocked: bool,
    /// In HTTP/2, bytes between requests need not be the start of a request.
    http2: bool,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct Response {
    id: u64,
    /// When the header of its request was complete.
    since: Instant,
    /// Whether the header of the response was passed to the connection.
    begun: bool,
}

// === impl BusyCount ===

impl BusyCount {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            count: AtomicUsize::new(0),
            observer,
        }
    }

    pub(crate) fn get(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn increment(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.observer.connection_busy();
    }

    fn decrement(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.observer.connection_not_busy();
    }
}

// === impl ConnectionState ===

impl ConnectionState {
    /// A connection that was just accepted, which counts as the first byte of its first request.
    pub(crate) fn new(id: u64, busy: Arc<BusyCount>) -> Self {
        let now = Instant::now();
        Self {
            id,
            progress: Mutex::new(Progress {
                request_since: Some(now),
                idle_since: None,
                responses: Vec::new(),
                next_response: 0,
                last_progress: now,
                blocked: false,
                http2: false,
                close: None,
            }),
            busy,
            changed: Notify::new(),
        }
    }

    /// Records that bytes were received.
    pub(crate) fn record_read(&self) {
        let mut progress = self.progress.lock();
        if !progress.http2 && progress.idle_since.take().is_some() {
            progress.request_since = Some(Instant::now());
            drop(progress);
            self.changed.notify_one();
        }
    }

    /// Records that bytes were sent.
    pub(crate) fn record_write(&self) {
        self.update(|progress| {
            progress.last_progress = Instant::now();
            progress.blocked = false;
        });
    }

    /// Records whether bytes wait to be sent.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        let mut began = false;
        self.update(|progress| {
            began = blocked && !progress.blocked;
            progress.blocked = blocked;
        });
        if began {
            self.changed.notify_one();
        }
    }

    /// Begins a response, when the header of its request is complete.
    pub(crate) fn begin_response(self: &Arc<Self>, http2: bool) -> ResponseGuard {
        let mut id = 0;
        self.update(|progress| {
            id = progress.next_response;
            progress.next_response += 1;
            progress.http2 = http2;
            progress.request_since = None;
            progress.idle_since = None;
            progress.responses.push(Response {
                id,
                since: Instant::now(),
                begun: false,
            });
        });
        self.changed.notify_one();
        ResponseGuard {
            connection: Arc::clone(self),
            id,
        }
    }

    /// Asks the task of the connection to close it. Of several calls, the reason of the first one
    /// counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.update(|progress| {
            progress.close.get_or_insert(reason);
        });
        self.changed.notify_one();
    }

    /// Waits until the connection has to be closed, because it exceeds `limits` or
    /// [`close`](Self::close) was called.
    pub(crate) async fn closed(&self, limits: &Limits) -> CloseReason {
        loop {
            let changed = self.changed.notified();
            let (close, deadline) = {
                let progress = self.progress.lock();
                (progress.close, progress.deadline(limits))
            };
            if let Some(reason) = close {
                return reason;
            }
            match deadline {
                Some((at, reason)) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {
                        // Progress moves the deadline without a notification.
                        let deadline = self.progress.lock().deadline(limits);
                        if deadline.is_some_and(|(at, _)| at <= Instant::now()) {
                            return reason;
                        }
                    }
                },
                None => changed.await,
            }
        }
    }

    /// Returns since when the connection is quiet, which is the order of eviction: connections that
    /// are not busy come first. `None` if it is being closed already.
    pub(crate) fn quiet_since(&self) -> Option<(bool, Instant)> {
        let progress = self.progress.lock();
        let busy = progress.is_busy();
        let since = if busy {
            None
        } else {
            progress.idle_since.or(progress.request_since)
        };
        let since = since.unwrap_or(progress.last_progress);
        progress.close.is_none().then_some((busy, since))
    }

    /// When a busy connection last made progress; `None` if it is not busy.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        let progress = self.progress.lock();
        progress.is_busy().then_some(progress.last_progress)
    }

    /// Changes the progress and keeps the count of busy connections.
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock();
        let before = progress.is_busy();
        change(&mut progress);
        match (before, progress.is_busy()) {
            (false, true) => self.busy.increment(),
            (true, false) => self.busy.decrement(),
            _ => {}
        }
    }
}

// === impl Progress ===

impl Progress {
    fn is_busy(&self) -> bool {
        self.close.is_none() && (self.blocked || !self.responses.is_empty())
    }

    /// When the connection has to be closed if nothing happens until then, and why.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, CloseReason)> {
        let within = |since: Option<Instant>, limit, reason| Some((since? + limit?, reason));
        let sends = self.blocked || self.responses.iter().any(|response| response.begun);
        let oldest = self.responses.first().map(|response| response.since);
        let idle = self.idle_since.filter(|_| !self.blocked);
        let deadlines = [
            within(
                self.request_since,
                limits.request_timeout,
                CloseReason::SlowRequest,
            ),
            within(idle, limits.idle_timeout, CloseReason::Idle),
            within(
                sends.then_some(self.last_progress),
                limits.progress_timeout,
                CloseReason::NoProgress,
            ),
            within(oldest, limits.response_timeout, CloseReason::SlowResponse),
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

// === impl ResponseGuard ===

impl ResponseGuard {
    /// Records that the response begins, or that a further piece of it is ready to be sent.
    pub(crate) fn record_progress(&self) {
        let mut begins = false;
        self.connection.update(|progress| {
            progress.last_progress = Instant::now();
            let response = (progress.responses.iter_mut()).find(|response| response.id == self.id);
            if let Some(response) = response {
                begins = !response.begun;
                response.begun = true;
            }
        });
        if begins {
            self.connection.changed.notify_one();
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.connection.update(|progress| {
            progress.responses.retain(|response| response.id != self.id);
            if progress.responses.is_empty() {
                progress.idle_since = Some(Instant::now());
            }
        });
        self.connection.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connection() -> (Arc<ConnectionState>, Arc<BusyCount>) {
        let busy = Arc::new(BusyCount::new(Arc::new(())));
        let connection = Arc::new(ConnectionState::new(0, Arc::clone(&busy)));
        (connection, busy)
    }

    async fn closed_after(connection: &ConnectionState) -> (u64, CloseReason) {
        let start = Instant::now();
        let reason = connection.closed(&Limits::default()).await;
        (start.elapsed().as_secs(), reason)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_five_seconds_and_a_quiet_connection_five_minutes() {
        let (connection, _) = connection();
        assert_eq!(
            closed_after(&connection).await,
            (5, CloseReason::SlowRequest)
        );

        drop(connection.begin_response(false));
        assert_eq!(closed_after(&connection).await, (300, CloseReason::Idle));
        // The first byte of the next request starts its five seconds.
        connection.record_read();
        assert_eq!(
            closed_after(&connection).await,
            (5, CloseReason::SlowRequest)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_between_requests_do_not_start_a_request_in_http2() {
        let (connection, _) = connection();
        drop(connection.begin_response(true));
        connection.record_read();
        assert_eq!(closed_after(&connection).await, (300, CloseReason::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_take_a_minute_but_must_progress_within_ten_seconds() {
        let (connection, busy) = connection();
        let response = connection.begin_response(false);
        // Before the response begins, the client is not at fault.
        assert_eq!(
            closed_after(&connection).await,
            (60, CloseReason::SlowResponse)
        );
        drop(response);

        let response = connection.begin_response(false);
        response.record_progress();
        tokio::time::advance(Duration::from_secs(8)).await;
        connection.record_write();
        assert_eq!(
            closed_after(&connection).await,
            (10, CloseReason::NoProgress)
        );
        // The body has ended, but its last bytes cannot be sent.
        connection.set_blocked(true);
        drop(response);
        connection.record_write();
        connection.set_blocked(true);
        assert_eq!(
            closed_after(&connection).await,
            (10, CloseReason::NoProgress)
        );
        connection.set_blocked(false);
        assert_eq!(busy.get(), 0);
    }
}
