//! [`ConnectionState`]: the state of one connection, and the deadlines that follow from it.
//!
//! Each connection has its own task, which closes the connection after a deadline. If the server has too many
//! connections, it *evicts* one: it closes this connection to make room for a new one.
//!
//! The state changes only when the connection receives a request, or receives or sends bytes. If the client stops
//! reading, the server cannot send bytes, so the state does not change and a deadline passes. In this way, the server
//! detects such a client.

mod progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::busy::BusyCount;
use crate::close_reason::CloseReason;
use crate::frame_budget::Counted;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::streams::StreamHandle;
use progress::{Excess, Progress, Response};

pub(crate) use progress::{Activity, Answer};

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

/// A request in progress, together with its response. Dropping this value ends the request.
pub(crate) struct ResponseGuard {
    connection: Arc<ConnectionState>,
    id: u64,
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
            progress: Mutex::new(Progress::new(now)),
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

    /// Records the frames of HTTP/2 in bytes that the server has received.
    pub(crate) fn record_frames(&self, counted: &Counted) {
        if counted.header_block.is_some() || !counted.windows.is_empty() {
            self.progress.lock().record_frames(counted);
        }
    }

    /// Records that `count` bytes were sent.
    pub(crate) fn record_write(&self, count: usize) {
        self.update(|progress| {
            progress.last_progress = Instant::now();
            progress.sent += count as u64;
            progress.set_blocked(false);
        });
    }

    /// Records whether the connection has bytes that it cannot send yet.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        let mut began = false;
        self.update(|progress| {
            began = blocked && !progress.blocked;
            progress.set_blocked(blocked);
        });
        if began {
            self.changed.notify_one();
        }
    }

    /// Records a request whose header is complete. [`BusyCount`] counts the response only after the response has begun.
    pub(crate) fn begin_request(self: &Arc<Self>, http2: bool) -> ResponseGuard {
        let id = self.update(|progress| progress.begin_request(http2));
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
                Some(at) => tokio::select! {
                    () = changed => {}
                    // At this time, the deadline may be later than before, because not every event wakes the task.
                    () = tokio::time::sleep_until(at) => {
                        let excess = self.progress.lock().excess(limits);
                        match excess {
                            Some(Excess::Connection(reason)) => return reason,
                            Some(Excess::Stream(id, reason)) => self.reset(id, reason),
                            None => {}
                        }
                    }
                },
                None => changed.await,
            }
        }
    }

    /// Resets the stream of a response. The response no longer counts as a response in progress.
    pub(crate) fn reset(&self, id: u64, reason: CloseReason) {
        let Some(response) = self.update(|progress| progress.end_response(id)) else {
            return;
        };
        self.record_end(&response, reason.counts_as_use());
        if let Some(stream) = &response.stream {
            stream.reset();
        }
        self.busy
            .observer
            .response_ended(self.peer.address(), reason);
        self.changed.notify_one();
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
        Some(progress.activity())
    }

    /// The responses that the server can end separately (see [`Answer`]).
    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.progress.lock().answers()
    }

    /// The use of the responses in progress (see [`BusyCount::usage`]).
    pub(crate) fn usage(&self) -> f64 {
        self.progress.lock().usage()
    }

    /// The number of responses of the connection, by the rules of [`BusyCount`].
    pub(crate) fn answering(&self) -> usize {
        self.progress.lock().answering()
    }

    /// Changes the progress and updates the count of responses.
    fn update<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        let mut progress = self.progress.lock();
        let before = progress.answering();
        let changed = change(&mut progress);
        self.busy.change(before, progress.answering());
        changed
    }

    /// Records the use of a response that has ended, if the use `counts`. A small response does not count.
    fn record_end(&self, response: &Response, counts: bool) {
        if let Some(begun) = response.begun.filter(|_| counts && !response.is_small) {
            self.busy.record_end(self.peer.group(), begun);
        }
    }
}

// === impl ResponseGuard ===

impl ResponseGuard {
    pub(crate) fn connection(&self) -> &Arc<ConnectionState> {
        &self.connection
    }

    /// Whether the response belongs to a stream of HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.connection.progress.lock().http2
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Sets the handle that resets the stream of the response.
    pub(crate) fn set_stream(&self, stream: StreamHandle) {
        let mut progress = self.connection.progress.lock();
        if let Some(response) = progress.response(self.id) {
            response.stream = Some(stream);
        }
    }

    /// Records that a response begins whose body is so small that it does not count as a response in progress.
    pub(crate) fn begin_small(&self) {
        let mut progress = self.connection.progress.lock();
        if let Some(response) = progress.response(self.id) {
            response.is_small = true;
        }
        drop(progress);
        self.record_progress();
    }

    /// Records that the response begins, or that its next bytes are ready to be sent or are sent.
    pub(crate) fn record_progress(&self) {
        let begins = (self.connection).update(|progress| progress.record_response(self.id));
        if begins {
            self.connection.responses.fetch_add(1, Ordering::Relaxed);
            self.connection.changed.notify_one();
        }
    }

    /// Records that `count` bytes of the body were sent. For HTTP/2 only.
    pub(crate) fn record_sent(&self, count: usize) {
        self.connection
            .update(|progress| progress.record_sent(self.id, count));
    }

    /// Records whether bytes of the response wait to be sent.
    pub(crate) fn set_unsent(&self, unsent: bool) {
        let mut progress = self.connection.progress.lock();
        let response = progress.response(self.id);
        let was_unsent = response.is_some_and(|own| std::mem::replace(&mut own.unsent, unsent));
        drop(progress);
        // A deadline can only begin with the first bytes that wait.
        if unsent && !was_unsent {
            self.connection.changed.notify_one();
        }
    }

    /// Records that the server does not send a response that has begun, because it has too many responses. A small
    /// response takes its place.
    pub(crate) fn refuse(&self) {
        self.connection.update(|progress| {
            if let Some(response) = progress.response(self.id) {
                response.is_small = true;
            }
        });
        let connection = &self.connection;
        let observer = &connection.busy.observer;
        observer.response_ended(connection.peer.address(), CloseReason::Displaced);
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        let connection = &self.connection;
        let (ended, counts) = connection.update(|progress| {
            let counts = progress.close.is_none_or(CloseReason::counts_as_use);
            (progress.end_response(self.id), counts)
        });
        if let Some(response) = ended {
            connection.record_end(&response, counts);
            connection.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
