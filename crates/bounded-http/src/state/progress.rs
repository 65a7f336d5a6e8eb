//! [`Progress`]: what has happened on a connection, and the deadlines that follow from it.

use std::time::Duration;

use tokio::time::Instant;

use crate::busy::seconds_of;
use crate::close_reason::CloseReason;
use crate::frame_budget::{Counted, WindowChange};
use crate::limits::Limits;
use crate::streams::StreamHandle;

/// If a response has made no progress for this time, it is stalled. The server ends stalled responses first.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// A response that began less than this time ago is fresh.
const FRESH: Duration = Duration::from_secs(1);

/// If the connection has sent this number of bytes since the last bytes of a stream, the stream has had its turn, and
/// only a missing window can be the reason why it has not sent any bytes. The streams of a connection send in turn.
const TURN: u64 = 1 << 20;

/// The window that each stream of HTTP/2 has at first, unless the client sets another one.
const INITIAL_WINDOW: i64 = 65_535;

/// The time between two checks of a stream that may be stalled.
const RECHECK: Duration = Duration::from_secs(1);

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

/// Responses that the server can end without ending others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// The response of one stream. `None` stands for the whole connection.
    pub(crate) response: Option<u64>,
    /// Whether the server has begun the responses less than [`FRESH`] ago, and no bytes wait for the client.
    pub(crate) is_fresh: bool,
    /// The time since which nothing has happened.
    pub(crate) since: Instant,
    /// Whether the client has received no bytes for a second.
    pub(crate) is_stalled: bool,
}

#[derive(Debug)]
pub(super) struct Progress {
    /// The time at which the handshake was complete.
    pub(super) accepted: Option<Instant>,
    /// The time at which the task of the connection found no bytes to read, for the first time since the connection was
    /// accepted.
    pub(super) waits_since: Option<Instant>,
    /// The time at which the first byte of an incomplete request arrived.
    pub(super) request_since: Option<Instant>,
    /// The time at which the last response ended, if no request has begun since then.
    pub(super) idle_since: Option<Instant>,
    /// Responses in progress, oldest first.
    pub(super) responses: Vec<Response>,
    pub(super) next_response: u64,
    /// The last time at which the server sent bytes, or passed bytes of a response to the connection.
    pub(super) last_progress: Instant,
    /// The number of bytes that the server has sent.
    pub(super) sent: u64,
    /// Whether the connection has bytes that it cannot send yet.
    pub(super) blocked: bool,
    /// The last time at which `blocked` became `false`.
    pub(super) unblocked: Instant,
    /// Whether the connection uses HTTP/2. With HTTP/2, bytes that arrive between two requests do not always belong to
    /// a request.
    pub(super) http2: bool,
    /// The last time at which the server sent bytes of a body. Known for HTTP/2 only.
    last_data: Instant,
    /// The stream of the last header block of HTTP/2. hyper reads a header block only when it has passed on the request
    /// of the block before, so a new request belongs to this stream.
    header_block: u32,
    /// The window that each stream has at first.
    initial_window: i64,
    pub(super) close: Option<CloseReason>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) id: u64,
    /// The time at which the header of the request was complete.
    pub(super) since: Instant,
    /// The time at which the service returned the header of the response.
    pub(super) begun: Option<Instant>,
    /// Whether the body is so small that the response does not count as a response in progress.
    pub(super) is_small: bool,
    /// The last time at which bytes of this response were sent, or were passed to the connection.
    last_progress: Instant,
    /// The value of [`Progress::sent`] at that time.
    sent: u64,
    /// Whether bytes of the response wait to be sent. Known for HTTP/2 only.
    pub(super) unsent: bool,
    /// The number of the stream. 0 in HTTP/1.
    number: u32,
    /// How many bytes the client lets the server send on the stream. Can be negative, because a client may reduce the
    /// windows of all streams.
    window: i64,
    /// Resets the stream of the response. `None` in HTTP/1.
    pub(super) stream: Option<StreamHandle>,
}

/// What exceeds a limit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Excess {
    Connection(CloseReason),
    /// One stream; the number is the ID of its response.
    Stream(u64, CloseReason),
}

// === impl Response ===

impl Response {
    fn is_fresh(&self) -> bool {
        self.begun.is_some_and(|begun| begun.elapsed() < FRESH)
    }
}

// === impl Progress ===

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            accepted: None,
            waits_since: None,
            request_since: Some(now),
            idle_since: None,
            responses: Vec::new(),
            next_response: 0,
            last_progress: now,
            sent: 0,
            blocked: false,
            unblocked: now,
            http2: false,
            last_data: now,
            header_block: 0,
            initial_window: INITIAL_WINDOW,
            close: None,
        }
    }

    pub(super) fn set_blocked(&mut self, blocked: bool) {
        if self.blocked && !blocked {
            self.unblocked = Instant::now();
        }
        self.blocked = blocked;
    }

    /// Adds a request whose header is complete. Returns its ID.
    pub(super) fn begin_request(&mut self, http2: bool) -> u64 {
        let (id, now) = (self.next_response, Instant::now());
        self.next_response += 1;
        self.http2 = http2;
        self.request_since = None;
        self.idle_since = None;
        self.responses.push(Response {
            id,
            since: now,
            begun: None,
            is_small: false,
            last_progress: now,
            sent: self.sent,
            unsent: false,
            number: self.header_block,
            window: self.initial_window,
            stream: None,
        });
        id
    }

    pub(super) fn response(&mut self, id: u64) -> Option<&mut Response> {
        self.responses.iter_mut().find(|response| response.id == id)
    }

    /// Records that a response has begun, or that some of its bytes were passed to the connection or sent. Returns
    /// whether the response has just begun.
    pub(super) fn record_response(&mut self, id: u64) -> bool {
        let (now, sent) = (Instant::now(), self.sent);
        self.last_progress = now;
        let Some(response) = self.response(id) else {
            return false;
        };
        response.last_progress = now;
        response.sent = sent;
        let begins = response.begun.is_none();
        response.begun.get_or_insert(now);
        begins
    }

    /// Records that `count` bytes of the body of a response were sent.
    pub(super) fn record_sent(&mut self, id: u64, count: usize) {
        self.record_response(id);
        self.last_data = self.last_progress;
        if let Some(response) = self.response(id) {
            response.window -= count as i64;
        }
    }

    /// Records the frames that the client has sent.
    pub(super) fn record_frames(&mut self, counted: &Counted) {
        for change in &counted.windows {
            match *change {
                WindowChange::Widened { stream, by } => {
                    let own = (self.responses.iter_mut()).find(|own| own.number == stream);
                    if let Some(response) = own {
                        response.window += i64::from(by);
                    }
                }
                WindowChange::Initial(window) => {
                    let before = std::mem::replace(&mut self.initial_window, i64::from(window));
                    for response in &mut self.responses {
                        response.window += self.initial_window - before;
                    }
                }
            }
        }
        if let Some(stream) = counted.header_block {
            self.header_block = stream;
        }
    }

    /// Removes a response.
    pub(super) fn end_response(&mut self, id: u64) -> Option<Response> {
        let position = (self.responses.iter()).position(|response| response.id == id)?;
        let response = self.responses.remove(position);
        if self.responses.is_empty() {
            self.idle_since = Some(Instant::now());
        }
        Some(response)
    }

    /// The number of responses that have begun and are not small. If all responses are complete but some bytes are not
    /// sent yet, the function returns 1.
    pub(super) fn answering(&self) -> usize {
        if self.close.is_some() {
            return 0;
        }
        self.begun().count().max(usize::from(self.blocked))
    }

    /// The responses that have begun and are not small.
    pub(super) fn begun(&self) -> impl Iterator<Item = &Response> {
        let counts = |response: &&Response| response.begun.is_some() && !response.is_small;
        self.responses.iter().filter(counts)
    }

    /// The use of all responses that have begun (see [`BusyCount::usage`](crate::busy::BusyCount::usage)).
    pub(super) fn usage(&self) -> f64 {
        self.begun()
            .filter_map(|response| response.begun.map(seconds_of))
            .sum()
    }

    /// What the connection is doing, and the time since which nothing has happened on it.
    pub(super) fn activity(&self) -> (Activity, Instant) {
        if self.answering() > 0 {
            (Activity::Answering, self.last_progress)
        } else if let Some(response) = self.responses.first() {
            (Activity::Waiting, response.since)
        } else if let Some(since) = self.idle_since {
            (Activity::Idle, since)
        } else {
            let since = self.request_since;
            (Activity::Silent, since.unwrap_or(self.last_progress))
        }
    }

    /// The responses that the server can end separately. If this is not possible, or if no response makes progress, the
    /// only element stands for the whole connection.
    pub(super) fn answers(&self) -> Vec<Answer> {
        if self.answering() == 0 {
            return Vec::new();
        }
        // If no bytes wait to be sent, the server itself is slow, for example because of many other responses.
        let waits = self.blocked || self.begun().any(|response| response.unsent);
        let is_stalled = waits && self.sends() && self.last_progress.elapsed() >= STALLED;
        let mut begun = self.begun().peekable();
        if is_stalled || begun.peek().is_none() || self.begun().any(|own| own.stream.is_none()) {
            return vec![Answer {
                response: None,
                is_fresh: !waits && self.begun().any(Response::is_fresh),
                since: self.last_progress,
                is_stalled,
            }];
        }
        begun
            .map(|response| Answer {
                response: Some(response.id),
                is_fresh: !self.blocked && !response.unsent && response.is_fresh(),
                since: response.last_progress,
                is_stalled: (self.stalled_since(response))
                    .is_some_and(|since| since.elapsed() >= STALLED),
            })
            .collect()
    }

    /// The time since which the client does not let the server send the waiting bytes of a stream, although the
    /// connection can send bytes.
    fn stalled_since(&self, response: &Response) -> Option<Instant> {
        if !response.unsent || response.begun.is_none() || response.stream.is_none() {
            return None;
        }
        if response.window > 0 {
            // The stream waits for the window of the connection or for the socket, which all streams share. So it is
            // stalled only if no stream can send bytes.
            return Some(response.last_progress.max(self.last_data));
        }
        if self.sent.saturating_sub(response.sent) >= TURN {
            return Some(response.last_progress);
        }
        // On a slow connection, a stream waits for the bytes of the other streams.
        (!self.blocked).then(|| response.last_progress.max(self.unblocked))
    }

    /// The time at which the next limit may be exceeded. This time changes when a request or a response begins or ends,
    /// and when the server sends bytes.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let (connection, _) = self.connection_deadline(limits).unzip();
        let streams = self.responses.iter().flat_map(|response| {
            let total = self.response_deadline(response, limits);
            let stalls = limits.progress_timeout.filter(|_| response.unsent);
            // Whether the stream is stalled depends on later events, which do not wake the task of the connection. So
            // the task checks the stream repeatedly.
            let earliest = stalls.map(|limit| response.last_progress + limit);
            let recheck = earliest.map(|at| at.max(Instant::now() + RECHECK));
            let known = self.stall_deadline(response, limits);
            [total, recheck, known]
        });
        streams.flatten().chain(connection).min()
    }

    /// Returns what exceeds a limit now.
    pub(super) fn excess(&self, limits: &Limits) -> Option<Excess> {
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let reason = |response: &Response| {
            if passed(self.stall_deadline(response, limits)) {
                Some(CloseReason::NoProgress)
            } else if passed(self.response_deadline(response, limits)) {
                Some(CloseReason::SlowResponse)
            } else {
                None
            }
        };
        if let Some((at, reason)) = self.connection_deadline(limits)
            && at <= now
        {
            return Some(Excess::Connection(reason));
        }
        let (response, exceeded) = (self.responses.iter())
            .find_map(|response| reason(response).map(|reason| (response, reason)))?;
        // Between two requests, a connection without responses in time is not stalled yet.
        let pause = (limits.progress_timeout).map_or(STALLED, |limit| STALLED.min(limit / 2));
        let others_progress = self.last_progress.elapsed() < pause
            || self.responses.iter().any(|other| reason(other).is_none());
        Some(match &response.stream {
            Some(_) if others_progress => Excess::Stream(response.id, exceeded),
            _ => Excess::Connection(exceeded),
        })
    }

    /// Whether all responses of the connection are late if the server sends no bytes. This is not the case if the
    /// service still has to respond to another request of the connection.
    fn sends(&self) -> bool {
        let is_begun = |response: &Response| response.begun.is_some();
        self.blocked || (!self.responses.is_empty() && self.responses.iter().all(is_begun))
    }

    /// The earliest deadline of the whole connection, and the reason to close the connection at this time.
    fn connection_deadline(&self, limits: &Limits) -> Option<(Instant, CloseReason)> {
        let within = |since: Option<Instant>, limit, reason| Some((since? + limit?, reason));
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
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn response_deadline(&self, response: &Response, limits: &Limits) -> Option<Instant> {
        Some(response.since + limits.response_timeout?)
    }

    fn stall_deadline(&self, response: &Response, limits: &Limits) -> Option<Instant> {
        Some(self.stalled_since(response)? + limits.progress_timeout?)
    }
}
