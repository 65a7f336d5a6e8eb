//! [`ConnectionState`]: the state of one connection, and the deadlines that follow from it.
//!
//! Each connection has its own task, which closes the connection after a deadline. If the server has too many
//! connections, it *evicts* one: it closes this connection to make room for a new one.
//!
//! The state changes only when the connection receives a request, or receives or sends bytes. If the client stops
//! reading, the server cannot send bytes, so the state does not change and a deadline passes. In this way, the server
//! detects such a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::observer::Observer;
use crate::peer::Peer;

/// Time after the handshake during which the server does not evict a connection.
///
/// The time is shorter if the task of the connection finds nothing to read (see [`FIRST_REQUEST`]). Many clients send a
/// request as soon as the connection is open. This time lets the server read the request before it evicts the
/// connection to make room for others.
const ADMISSION: Duration = Duration::from_millis(50);
/// Maximum time during which the server does not evict a connection whose handshake is incomplete. A TLS handshake
/// needs several round trips and CPU time.
const HANDSHAKE: Duration = Duration::from_millis(500);
/// A low limit on connections shortens [`HANDSHAKE`] to this time, multiplied by the limit.
///
/// So if many connections arrive and none of them completes its handshake, the server still accepts 80 connections per
/// second (fewer if the limit is below 4).
const HANDSHAKE_PER_ROOM: Duration = Duration::from_micros(12_500);
/// How long the server still does not evict a connection after its task has found nothing to read for the first time.
/// Within this time, the operating system reports the bytes of a request that have already arrived.
const FIRST_REQUEST: Duration = Duration::from_millis(5);

/// The number of responses in progress on all connections of a server.
///
/// A connection counts as one response while all its responses are complete, but some of their bytes are not sent yet.
pub(crate) struct BusyCount {
    responses: AtomicUsize,
    observer: Arc<dyn Observer>,
}

/// The state of one connection.
pub(crate) struct ConnectionState {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    opened: Instant,
    progress: Mutex<Progress>,
    busy: Arc<BusyCount>,
    /// The number of responses that have begun so far.
    responses: AtomicU64,
    /// Wakes the task of the connection if the deadline is earlier than before, or if the task must close the
    /// connection.
    changed: Notify,
}

/// What a connection is doing. The server evicts connections in the order of these variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Activity {
    /// The last response is complete, and no request has arrived after it.
    Idle,
    /// The client has sent no request yet, or only a part of a request.
    Silent,
    /// The service has received a request, and has not returned a response yet.
    Waiting,
    /// A response has begun, or bytes of a response wait to be sent.
    Answering,
}

/// A request in progress, together with its response. Dropping this value ends the request.
pub(crate) struct ResponseGuard {
    connection: Arc<ConnectionState>,
    id: u64,
}

#[derive(Debug)]
struct Progress {
    /// The time at which the handshake was complete.
    accepted: Option<Instant>,
    /// The time at which the task of the connection found no bytes to read, for the first time since the connection was
    /// accepted.
    waits_since: Option<Instant>,
    /// The time at which the first byte of an incomplete request arrived.
    request_since: Option<Instant>,
    /// The time at which the last response ended, if no request has begun since then.
    idle_since: Option<Instant>,
    /// Responses in progress, oldest first.
    responses: Vec<Response>,
    next_response: u64,
    /// The last time at which the server sent bytes, or passed bytes of a response to the connection.
    last_progress: Instant,
    /// Whether the connection has bytes that it cannot send yet.
    blocked: bool,
    /// Whether the connection uses HTTP/2. With HTTP/2, bytes that arrive between two requests do not always belong to
    /// a request.
    http2: bool,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct Response {
    id: u64,
    /// The time at which the header of the request was complete.
    since: Instant,
    /// Whether the service has returned the header of the response.
    begun: bool,
}

// === impl BusyCount ===

impl BusyCount {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            responses: AtomicUsize::new(0),
            observer,
        }
    }

    pub(crate) fn get(&self) -> usize {
        self.responses.load(Ordering::Relaxed)
    }

    /// Records that the number of responses of one connection has changed from `before` to `after`.
    fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.responses.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.responses.fetch_sub(before - after, Ordering::Relaxed);
        }
        match (before, after) {
            (0, 1..) => self.observer.connection_busy(),
            (1.., 0) => self.observer.connection_not_busy(),
            _ => {}
        }
    }
}

// === impl ConnectionState ===

impl ConnectionState {
    /// Creates the state of a connection that the server has just accepted. The time limit of the first request starts
    /// now.
    pub(crate) fn new(id: u64, peer: Peer, busy: Arc<BusyCount>) -> Self {
        let now = Instant::now();
        Self {
            id,
            peer,
            opened: now,
            progress: Mutex::new(Progress {
                accepted: None,
                waits_since: None,
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
            responses: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Returns the number of responses that have begun.
    pub(crate) fn responses(&self) -> u64 {
        self.responses.load(Ordering::Relaxed)
    }

    /// Records that no bytes from the client are available.
    pub(crate) fn record_nothing_to_read(&self) {
        let mut progress = self.progress.lock();
        progress.waits_since.get_or_insert_with(Instant::now);
    }

    /// Records that the handshake is complete.
    pub(crate) fn record_accepted(&self) {
        self.progress.lock().accepted = Some(Instant::now());
    }

    /// The time until which the server does not evict the connection, even if the client has not sent a complete
    /// request. `room` is the maximum number of connections of the server.
    pub(crate) fn admitted_until(&self, room: usize) -> Instant {
        let progress = self.progress.lock();
        let latest = match progress.accepted {
            Some(accepted) => accepted + ADMISSION,
            None => {
                let room = u32::try_from(room).unwrap_or(u32::MAX);
                let handshake = HANDSHAKE_PER_ROOM.saturating_mul(room);
                self.opened + handshake.clamp(ADMISSION, HANDSHAKE)
            }
        };
        let waits_since = progress.waits_since;
        waits_since.map_or(latest, |since| latest.min(since + FIRST_REQUEST))
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

    /// Records whether the connection has bytes that it cannot send yet.
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

    /// Records a request whose header is complete. [`BusyCount`] counts the response only after the response has begun.
    pub(crate) fn begin_request(self: &Arc<Self>, http2: bool) -> ResponseGuard {
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

    /// Asks the task of the connection to close the connection. If the function is called several times, the first call
    /// determines the reason.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.update(|progress| {
            progress.close.get_or_insert(reason);
        });
        self.changed.notify_one();
    }

    /// Waits until the connection exceeds one of the `limits`, or until [`close`](Self::close) is called. Returns the
    /// reason to close the connection.
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
                        // The loop computes the deadline again, because nothing notifies it when the deadline moves to
                        // a later time.
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

    pub(crate) fn is_closing(&self) -> bool {
        self.progress.lock().close.is_some()
    }

    /// What the connection is doing, and the time since which nothing has happened on it. `None` if the server is
    /// already closing the connection.
    pub(crate) fn quiet_since(&self) -> Option<(Activity, Instant)> {
        let progress = self.progress.lock();
        if progress.close.is_some() {
            return None;
        }
        let quiet = if progress.is_answering() {
            (Activity::Answering, progress.last_progress)
        } else if let Some(response) = progress.responses.first() {
            (Activity::Waiting, response.since)
        } else if let Some(since) = progress.idle_since {
            (Activity::Idle, since)
        } else {
            let since = progress.request_since;
            (Activity::Silent, since.unwrap_or(progress.last_progress))
        };
        Some(quiet)
    }

    /// The number of responses of the connection, by the rules of [`BusyCount`].
    pub(crate) fn answering(&self) -> usize {
        self.progress.lock().answering()
    }

    /// Changes the progress and updates the count of responses.
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock();
        let before = progress.answering();
        change(&mut progress);
        self.busy.change(before, progress.answering());
    }
}

// === impl Progress ===

impl Progress {
    fn is_answering(&self) -> bool {
        self.answering() > 0
    }

    /// The number of responses that have begun. If all responses are complete but some bytes are not sent yet, the
    /// function returns 1.
    fn answering(&self) -> usize {
        if self.close.is_some() {
            return 0;
        }
        let begun = self.responses.iter().filter(|response| response.begun);
        begun.count().max(usize::from(self.blocked))
    }

    /// Whether the server has bytes of a response to send to the client.
    fn sends(&self) -> bool {
        self.blocked || self.responses.iter().any(|response| response.begun)
    }

    /// Returns the earliest deadline of the connection, and the reason to close the connection at this time. The
    /// deadline changes when a request or a response begins or ends, and when the server sends bytes.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, CloseReason)> {
        let within = |since: Option<Instant>, limit, reason| Some((since? + limit?, reason));
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
                self.sends().then_some(self.last_progress),
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
    pub(crate) fn connection(&self) -> &Arc<ConnectionState> {
        &self.connection
    }

    /// Records that the response begins, or that its next bytes are ready to be sent.
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
            self.connection.responses.fetch_add(1, Ordering::Relaxed);
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
mod tests;
