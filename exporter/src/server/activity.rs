//! What each connection is doing, and which one has to go when there are too many.
//!
//! The state of a connection is a matter of its bytes and requests alone, so that a client that
//! stops reading is noticed whatever it is sent: a connection that cannot write makes no progress.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::options::Limits;

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    all: Mutex<HashMap<u64, Arc<Activity>>>,
    next: AtomicU64,
    busy: Arc<Busy>,
    open: IntGauge,
}

/// How many connections are answering, or have something left to write.
#[derive(Debug)]
struct Busy {
    count: AtomicUsize,
    /// The same for the metrics, where an earlier server on another port counts as well.
    gauge: IntGauge,
}

/// What one connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    id: u64,
    state: Mutex<State>,
    busy: Arc<Busy>,
    changed: Notify,
}

/// An answer on its way; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    activity: Arc<Activity>,
    id: u64,
}

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// No request came for long.
    Idle,
    /// A request was not complete in time.
    SlowRequest,
    /// An answer stood still: the client does not read.
    NoProgress,
    /// An answer was not complete in time.
    SlowAnswer,
    /// There were more connections or answers than allowed.
    MadeRoom,
}

#[derive(Debug)]
struct State {
    /// When the first byte of an unfinished request came.
    reading: Option<Instant>,
    /// Since when there is nothing to do.
    idle: Option<Instant>,
    /// Answers on their way, with the time of their request.
    answers: Vec<InFlight>,
    next_answer: u64,
    /// When something was last written or handed over to be written.
    progress: Instant,
    /// Something waits to be written.
    blocked: bool,
    /// Bytes that come between requests say nothing in HTTP/2.
    http2: bool,
    cut: Option<Cut>,
}

#[derive(Debug)]
struct InFlight {
    id: u64,
    since: Instant,
    /// The answer has begun.
    begun: bool,
}

// === impl Connections ===

impl Connections {
    /// No connections yet; the gauges show how many are open and how many are answering.
    pub(crate) fn new(open: IntGauge, answering: IntGauge) -> Self {
        Self {
            all: Mutex::default(),
            next: AtomicU64::new(0),
            busy: Arc::new(Busy {
                count: AtomicUsize::new(0),
                gauge: answering,
            }),
            open,
        }
    }

    /// Takes a new connection in; where that makes too many, the quietest one goes.
    pub(crate) fn admit(&self, limits: &Limits) -> Arc<Activity> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new(id, Arc::clone(&self.busy)));
        let mut all = self.all.lock();
        if all.len() >= limits.connections {
            // Those without anything to do first, then those longest without progress.
            let quietest = all
                .values()
                .filter_map(|other| Some((other.quiet_since()?, other)));
            if let Some((_, victim)) = quietest.min_by_key(|(since, _)| *since) {
                victim.cut(Cut::MadeRoom);
            }
        }
        all.insert(id, Arc::clone(&activity));
        self.open.inc();
        activity
    }

    /// Forgets a connection that is closed.
    pub(crate) fn remove(&self, activity: &Activity) {
        if self.all.lock().remove(&activity.id).is_some() {
            self.open.dec();
        }
        activity.update(|state| {
            state.cut.get_or_insert(Cut::Idle);
        });
    }

    /// Begins an answer; where that makes too many, the one longest without progress goes.
    pub(crate) fn answer(&self, activity: &Arc<Activity>, http2: bool, limits: &Limits) -> Answer {
        let answer = activity.answer(http2);
        if self.busy() > limits.answers {
            let all = self.all.lock();
            let others = all.values().filter(|other| other.id != activity.id);
            let stuck = others.filter_map(|other| Some((other.without_progress_since()?, other)));
            if let Some((_, victim)) = stuck.min_by_key(|(since, _)| *since) {
                victim.cut(Cut::MadeRoom);
            }
        }
        answer
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.all.lock().len()
    }

    /// How many connections are answering.
    fn busy(&self) -> usize {
        self.busy.count.load(Ordering::Relaxed)
    }
}

// === impl Busy ===

impl Busy {
    fn one_more(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
    }

    fn one_less(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

// === impl Activity ===

impl Activity {
    fn new(id: u64, busy: Arc<Busy>) -> Self {
        let now = Instant::now();
        Self {
            id,
            state: Mutex::new(State {
                reading: Some(now),
                idle: None,
                answers: Vec::new(),
                next_answer: 0,
                progress: now,
                blocked: false,
                http2: false,
                cut: None,
            }),
            busy,
            changed: Notify::new(),
        }
    }

    /// Bytes came.
    pub(crate) fn has_read(&self) {
        let mut state = self.state.lock();
        if !state.http2 && state.idle.take().is_some() {
            state.reading = Some(Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Bytes went out.
    pub(crate) fn has_written(&self) {
        self.update(|state| {
            state.progress = Instant::now();
            state.blocked = false;
        });
    }

    /// Bytes wait to go out; `false` once there are none.
    pub(crate) fn is_blocked(&self, blocked: bool) {
        let mut began = false;
        self.update(|state| {
            began = blocked && !state.blocked;
            state.blocked = blocked;
        });
        if began {
            self.changed.notify_one();
        }
    }

    /// Waits until the connection has to be closed, by what `limits` says.
    pub(crate) async fn until_cut(&self, limits: &Limits) -> Cut {
        loop {
            let changed = self.changed.notified();
            let (cut, deadline) = {
                let state = self.state.lock();
                (state.cut, state.deadline(limits))
            };
            if let Some(cut) = cut {
                return cut;
            }
            match deadline {
                Some((at, cut)) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {
                        // Progress made meanwhile moves the deadline without a notice.
                        let deadline = self.state.lock().deadline(limits);
                        if deadline.is_some_and(|(at, _)| at <= Instant::now()) {
                            return cut;
                        }
                    }
                },
                None => changed.await,
            }
        }
    }

    fn answer(self: &Arc<Self>, http2: bool) -> Answer {
        let mut id = 0;
        self.update(|state| {
            id = state.next_answer;
            state.next_answer += 1;
            state.http2 = http2;
            state.reading = None;
            state.idle = None;
            state.answers.push(InFlight {
                id,
                since: Instant::now(),
                begun: false,
            });
        });
        self.changed.notify_one();
        Answer {
            activity: Arc::clone(self),
            id,
        }
    }

    fn cut(&self, cut: Cut) {
        self.update(|state| {
            state.cut.get_or_insert(cut);
        });
        self.changed.notify_one();
    }

    /// Changes the state and keeps the count of busy connections.
    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let before = state.is_busy();
        change(&mut state);
        match (before, state.is_busy()) {
            (false, true) => self.busy.one_more(),
            (true, false) => self.busy.one_less(),
            _ => {}
        }
    }

    /// Since when the connection is quiet, idle ones before those that are stuck.
    fn quiet_since(&self) -> Option<(bool, Instant)> {
        let state = self.state.lock();
        let busy = state.is_busy();
        let since = if busy {
            None
        } else {
            state.idle.or(state.reading)
        };
        state
            .cut
            .is_none()
            .then(|| (busy, since.unwrap_or(state.progress)))
    }

    /// Since when a busy connection has made no progress.
    fn without_progress_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (state.cut.is_none() && state.is_busy()).then_some(state.progress)
    }
}

// === impl State ===

impl State {
    fn is_busy(&self) -> bool {
        self.cut.is_none() && (self.blocked || !self.answers.is_empty())
    }

    /// When the connection has to be closed if nothing happens, and why.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Cut)> {
        let within = |since: Option<Instant>, limit, cut| Some((since? + limit?, cut));
        let header = match (limits.read_header, limits.read) {
            (Some(header), Some(read)) => Some(header.min(read)),
            (header, read) => header.or(read),
        };
        let writes = self.blocked || self.answers.iter().any(|answer| answer.begun);
        let oldest = self.answers.first().map(|answer| answer.since);
        let idle = self.idle.filter(|_| !self.blocked);
        let deadlines = [
            within(self.reading, header, Cut::SlowRequest),
            within(idle, limits.idle, Cut::Idle),
            within(
                writes.then_some(self.progress),
                limits.progress,
                Cut::NoProgress,
            ),
            within(oldest, limits.write, Cut::SlowAnswer),
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

// === impl Answer ===

impl Answer {
    /// The answer begins, or a further piece of it is handed over.
    pub(crate) fn progress(&self) {
        let mut begins = false;
        self.activity.update(|state| {
            state.progress = Instant::now();
            if let Some(answer) = state.answers.iter_mut().find(|answer| answer.id == self.id) {
                begins = !answer.begun;
                answer.begun = true;
            }
        });
        if begins {
            self.activity.changed.notify_one();
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.update(|state| {
            state.answers.retain(|answer| answer.id != self.id);
            if state.answers.is_empty() {
                state.idle = Some(Instant::now());
            }
        });
        self.activity.changed.notify_one();
    }
}

// === impl Cut ===

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::SlowRequest => "slow_request",
            Self::NoProgress => "no_progress",
            Self::SlowAnswer => "slow_answer",
            Self::MadeRoom => "made_room",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        read_header: Some(Duration::from_secs(5)),
        read: Some(Duration::from_secs(60)),
        write: Some(Duration::from_secs(60)),
        idle: Some(Duration::from_secs(300)),
        progress: Some(Duration::from_secs(10)),
        connections: 3,
        answers: 2,
    };

    fn connections() -> Connections {
        let gauge = || IntGauge::new("gauge", "A gauge.").unwrap();
        Connections::new(gauge(), gauge())
    }

    async fn cut_after(activity: &Activity) -> (u64, Cut) {
        let start = Instant::now();
        let cut = activity.until_cut(&LIMITS).await;
        (start.elapsed().as_secs(), cut)
    }

    async fn seconds(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_five_seconds_and_a_quiet_connection_five_minutes() {
        let connections = connections();
        let activity = connections.admit(&LIMITS);
        assert_eq!(cut_after(&activity).await, (5, Cut::SlowRequest));

        drop(connections.answer(&activity, false, &LIMITS));
        assert_eq!(cut_after(&activity).await, (300, Cut::Idle));
        // The first byte of the next request starts its five seconds.
        activity.has_read();
        assert_eq!(cut_after(&activity).await, (5, Cut::SlowRequest));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_between_requests_are_no_request_in_http2() {
        let connections = connections();
        let activity = connections.admit(&LIMITS);
        drop(connections.answer(&activity, true, &LIMITS));
        activity.has_read();
        assert_eq!(cut_after(&activity).await, (300, Cut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_a_minute_but_not_stand_still_for_ten_seconds() {
        let connections = connections();
        let activity = connections.admit(&LIMITS);
        let answer = connections.answer(&activity, false, &LIMITS);
        // Before it begins, the client is not to blame.
        assert_eq!(cut_after(&activity).await, (60, Cut::SlowAnswer));
        drop(answer);

        let answer = connections.answer(&activity, false, &LIMITS);
        answer.progress();
        seconds(8).await;
        activity.has_written();
        assert_eq!(cut_after(&activity).await, (10, Cut::NoProgress));
        // The body is done with, but what is left of it does not get out.
        activity.is_blocked(true);
        drop(answer);
        activity.has_written();
        activity.is_blocked(true);
        assert_eq!(cut_after(&activity).await, (10, Cut::NoProgress));
        activity.is_blocked(false);
        assert_eq!(connections.busy(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_too_many_cuts_the_one_longest_without_progress() {
        let connections = connections();
        let [first, second, third] = [(); 3].map(|()| connections.admit(&LIMITS));
        let stuck = connections.answer(&first, false, &LIMITS);
        seconds(1).await;
        let _reads = connections.answer(&second, false, &LIMITS);
        seconds(1).await;
        stuck.progress();
        let _new = connections.answer(&third, false, &LIMITS);
        assert_eq!(second.until_cut(&LIMITS).await, Cut::MadeRoom);
        assert_eq!(connections.busy(), 2);
        assert_eq!(cut_after(&first).await.1, Cut::NoProgress);
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_too_many_closes_an_idle_one_first() {
        let connections = connections();
        let [stuck, idle, _] = [(); 3].map(|()| connections.admit(&LIMITS));
        let _answer = connections.answer(&stuck, false, &LIMITS);
        seconds(1).await;
        drop(connections.answer(&idle, false, &LIMITS));
        seconds(1).await;
        connections.admit(&LIMITS);
        // The third connection has not sent its request, and came before the second became idle.
        assert_eq!(connections.open(), 4);
        assert_eq!(idle.quiet_since().map(|(busy, _)| busy), Some(false));
        connections.admit(&LIMITS);
        assert_eq!(idle.until_cut(&LIMITS).await, Cut::MadeRoom);
        assert!(stuck.quiet_since().is_some());
        connections.remove(&idle);
        assert_eq!(connections.open(), 4);
    }
}
