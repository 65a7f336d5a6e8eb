//! [`Election`]: decides when this replica leads, as a state machine without clock and network.
//!
//! The caller passes the time, sends the requests, and reports their outcomes. The leader regularly *renews* the Lease:
//! it writes the current time into the Lease. The other replicas are standbys. Every write contains the version of the
//! Lease that it replaces. So the API server refuses a write that is based on an older version. The rules:
//!
//! * A leader serves the metrics of objects for two thirds of the Lease duration after the **start** of its last
//!   successful renewal.
//! * A standby claims the Lease if the leader has not renewed it for the whole Lease duration. The standby measures
//!   this time with its own clock, so the times in the Lease have no effect. Edits of labels and annotations do not
//!   restart the wait.
//! * If the Lease does not exist, a replica creates a Lease without a leader, because somebody may have deleted the
//!   Lease of a leader. A leader with a valid renewal claims the new Lease immediately. A standby waits for the whole
//!   Lease duration before it claims the new Lease.
//! * A leader that stops offers the Lease, and serves until a standby has accepted the offer. Then the leader waits
//!   until shortly after its next scrape, stops serving, and writes the standby into the Lease. Because of this wait,
//!   the hand-over does not happen in the middle of a scrape of all replicas. The standby delays its responses until it
//!   has renewed the Lease, and then serves. If the standby does not renew the Lease in time, for example because the
//!   standby has crashed, the old leader takes the Lease back. If both replicas write at the same time, the API server
//!   accepts only one of the two writes.
//! * If no standby accepts the offer in time, the leader *releases* the Lease: it removes its name, so that a standby
//!   can claim the Lease without a wait.

mod outcomes;

use std::time::Duration;

use super::record::{Exported, LeaseRecord, RELEASED, covers};
use super::timing::{LONGEST_HOLD, Timing};
use crate::options::OnOutage;

/// Time since the machine started, including times in which the machine was suspended.
pub(super) type Uptime = Duration;

/// The state of the election, as one replica knows it.
#[derive(Debug)]
pub(super) struct Election {
    /// The text that names this replica in the Lease. Each process has a different identity, even if two processes run
    /// in the same pod.
    identity: String,
    on_outage: OnOutage,
    timing: Timing,
    role: Role,
    /// The last state of the Lease that this replica has seen; `None` before the first response.
    seen: Option<Seen>,
    /// The start of the last request that returned the Lease.
    asked_at: Uptime,
    /// Whether this replica must read the Lease before the next write.
    must_read: bool,
    /// The number of conflicts (refused writes) since this replica last saw a new version of the Lease. If there are
    /// two, the cause is not another write, but, for example, a webhook.
    conflicts: u32,
    next_at: Uptime,
    serves_until: Uptime,
    /// The start of the last successful renewal.
    renewed_at: Option<Uptime>,
    /// The versions of the objects that this replica exports; `None` until the replica meets the readiness policy.
    complete: Option<Exported>,
    /// The deadline of the leader's offer: if no standby has accepted the offer by then, the leader releases the Lease.
    /// `None` until this replica starts to leave the election.
    leaves_at: Option<Uptime>,
    /// Whether a scraper has scraped this replica.
    was_scraped: bool,
    /// When this replica first saw the offer that is in the Lease.
    offered_since: Option<Uptime>,
    /// The time of a hand-over to this replica. The previous leader serves the requests that arrived before this time.
    serves_from: Uptime,
    /// Until this time, responses wait for the result of a hand-over to this replica.
    hold_until: Uptime,
}

/// The role of this replica in the election.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Standby,
    Leader,
    /// The leader gives the Lease to the standby `to` at the time `at`. If `to` is empty, the leader releases the Lease
    /// at the time `at`. If a scrape arrives after `since`, the leader moves `at` to a time shortly after this scrape.
    HandingOver {
        to: String,
        since: Uptime,
        at: Uptime,
    },
    /// The leader has given the Lease to a standby, but the standby has not renewed the Lease yet.
    HandedOver {
        /// The Lease as this replica wrote it, with the standby as the leader.
        given: LeaseRecord,
        /// The time at which this replica takes the Lease back if the standby has not renewed the Lease.
        until: Uptime,
    },
    /// The replica no longer takes part in the election.
    Left,
}

/// The state of the Lease, and the time at which this replica learned of the newest renewal of the Lease.
#[derive(Debug)]
struct Seen {
    /// The content of the Lease; `None` if the Lease does not exist.
    record: Option<LeaseRecord>,
    since: Uptime,
}

/// The times that decide whether a response contains the metrics of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    /// The time of a hand-over to this replica. The previous leader serves the requests that arrived before this time,
    /// and this replica answers them without metrics of objects.
    pub(super) serves_from: Uptime,
    /// When this replica stops serving the metrics of objects. Each renewal of the Lease moves this time.
    pub(super) serves_until: Uptime,
    /// When the last renewal expires; zero if there was none. With `--ha-on-outage=keep`, a replica that cannot renew
    /// the Lease may serve after this time.
    pub(super) renewed_until: Uptime,
    /// Until this time, responses wait for the result of a hand-over to this replica.
    pub(super) hold_until: Uptime,
    /// The start of the last successful renewal.
    pub(super) renewed_at: Option<Uptime>,
}

/// A request to the API server. A write contains the version of the Lease that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Read,
    Create(LeaseRecord),
    Update(LeaseRecord),
}

/// The response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The Lease in the response. After a write, this is the written Lease.
    Lease(LeaseRecord),
    NotFound,
    /// The write is refused: the Lease has another version now, or the Lease to create already exists.
    Conflict,
    /// The API server has refused the request, or the outcome of the request is unknown.
    Failed,
}

/// The number of refused writes (conflicts) from which the caller reports the conflicts as a problem.
const LASTING_CONFLICTS: u32 = 3;

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(Request),
    WaitUntil(Uptime),
    /// The replica has left the election.
    Stop,
}

// === impl Request ===

impl Request {
    /// The Lease that the request writes; `None` if the request only reads.
    pub(super) fn written(&self) -> Option<&LeaseRecord> {
        match self {
            Self::Read => None,
            Self::Create(record) | Self::Update(record) => Some(record),
        }
    }
}

// === impl Term ===

impl Term {
    /// Returns how long a response must still wait. Its request arrived at `arrived_at`.
    pub(super) fn hold_left(&self, arrived_at: Uptime, now: Uptime) -> Duration {
        let until = self.hold_until.min(arrived_at + LONGEST_HOLD);
        until.saturating_sub(now)
    }
}

// === impl Election ===

impl Election {
    pub(super) fn new(identity: String, timing: Timing, on_outage: OnOutage) -> Self {
        Self {
            identity,
            on_outage,
            timing,
            role: Role::Standby,
            seen: None,
            asked_at: Uptime::ZERO,
            must_read: true,
            conflicts: 0,
            next_at: Uptime::ZERO,
            serves_until: Uptime::ZERO,
            renewed_at: None,
            complete: None,
            leaves_at: None,
            was_scraped: false,
            offered_since: None,
            serves_from: Uptime::ZERO,
            hold_until: Uptime::ZERO,
        }
    }

    // === what the caller reports ===

    /// Whether the caller must set the exported versions ([`Self::set_complete`]) before the next call of
    /// [`Self::next`]. If no request to the API server is due yet, the result is false.
    pub(super) fn needs_exported(&self, now: Uptime) -> bool {
        now >= self.next_at
            && match self.role {
                Role::Standby => !self.is_successor(),
                // A leader that leaves makes an offer, and the offer contains these versions.
                Role::Leader => self.leaves_at.is_some(),
                Role::HandingOver { .. } | Role::HandedOver { .. } | Role::Left => false,
            }
    }

    /// Sets the versions of the objects that this replica exports; `None` until the replica meets the readiness policy.
    pub(super) fn set_complete(&mut self, exported: Option<Exported>) {
        self.complete = exported;
    }

    /// Records the time of the last scrape: the last request for the metrics of objects. The time is zero if there was
    /// none.
    pub(super) fn scraped(&mut self, scraped_at: Uptime) {
        self.was_scraped |= !scraped_at.is_zero();
        let pause = self.timing.pause();
        if let Role::HandingOver { since, at, .. } = &mut self.role
            && scraped_at >= *since
        {
            *at = (*at).min(scraped_at + pause);
            self.serves_until = self.serves_until.min(*at);
        }
    }

    /// Begins to leave the election. A leader hands over to a standby. If no standby accepts the offer before `at`, the
    /// leader releases the Lease.
    pub(super) fn leave(&mut self, now: Uptime, at: Uptime) {
        self.leaves_at = Some(at);
        self.next_at = now;
    }

    // === what the caller asks ===

    pub(super) fn term(&self) -> Term {
        Term {
            serves_from: self.serves_from,
            serves_until: self.serves_until,
            renewed_until: self.renewed_until().unwrap_or_default(),
            hold_until: self.hold_until,
            renewed_at: self.renewed_at,
        }
    }

    /// The identity of the leader in the Lease that this replica last saw; `None` if there is no leader.
    pub(super) fn holder(&self) -> Option<&str> {
        let record = self.record()?;
        Some(&*record.holder).filter(|holder| !holder.is_empty())
    }

    /// Whether the API server has refused several writes in a row because of conflicts, although this replica has seen
    /// no new version of the Lease.
    pub(super) fn has_lasting_conflicts(&self) -> bool {
        self.conflicts >= LASTING_CONFLICTS
    }

    /// Whether the replica would write the Lease if it sent its next request now.
    pub(super) fn has_write(&self, now: Uptime) -> bool {
        self.request(now) != Request::Read
    }

    pub(super) fn next(&mut self, now: Uptime) -> Step {
        if let Some(leaves_at) = self.leaves_at {
            let is_over = now >= leaves_at + self.timing.timeout();
            if is_over || self.role == Role::Standby && !self.is_successor() {
                self.role = Role::Left;
                self.serves_until = Uptime::ZERO;
            } else if self.role == Role::Leader && now >= leaves_at {
                // No standby has accepted the offer, so the leader releases the Lease.
                self.hand_over(String::new(), now, Duration::ZERO);
            }
        }
        if self.role == Role::Left {
            return Step::Stop;
        }
        let at = match &self.role {
            Role::HandingOver { at, .. } => self.next_at.max(*at),
            _ => self.next_at,
        };
        if now < at {
            // During a hand-over, wake the caller several times before `at`, so that it reports scrapes. A scrape makes
            // the hand-over end earlier.
            let polls_at = matches!(self.role, Role::HandingOver { .. })
                .then(|| now + self.timing.pause() / 4);
            // Also wake the caller when this replica stops serving, because the caller logs and counts this change.
            let earlier = [polls_at, self.leaves_at, Some(self.serves_until)];
            let earlier = earlier.into_iter().flatten().filter(|wake| now < *wake);
            return Step::WaitUntil(earlier.fold(at, Uptime::min));
        }
        let request = self.request(now);
        if let Request::Update(record) = &request
            && record.successor.as_ref() == Some(&self.identity)
        {
            self.hold_until = now + self.timing.hold();
        }
        Step::Send(request)
    }

    fn request(&self, now: Uptime) -> Request {
        if self.must_read {
            return Request::Read;
        }
        let record = self.record();
        match (&self.role, record) {
            (Role::Leader, Some(record)) => {
                let is_due = self
                    .renewed_at
                    .is_none_or(|at| now >= at + self.timing.interval());
                // The record may name a standby that has accepted an offer. This acceptance is too old (see
                // [`Timing::hold`]), so the renewal removes it.
                if record.offer.is_some() && record.successor.is_none() && !is_due {
                    return Request::Read;
                }
                Request::Update(self.renewed(record))
            }
            (Role::HandingOver { to, .. }, Some(record)) => {
                Request::Update(self.given(record, to.clone()))
            }
            (Role::HandedOver { until, .. }, Some(_)) if now < *until => Request::Read,
            (Role::HandedOver { .. }, Some(record)) => Request::Update(
                match self.leaves_at.is_some_and(|leaves_at| now >= leaves_at) {
                    // The standby has crashed. The leader releases the Lease, so that another standby can claim it
                    // immediately.
                    true => self.given(record, String::new()),
                    false => LeaseRecord {
                        transitions: record.transitions.saturating_add(1),
                        ..self.renewed(record)
                    },
                },
            ),
            // The created Lease has no leader, so that a request that arrives late does not make this replica the
            // leader.
            (_, None) if self.seen.is_some() => Request::Create(LeaseRecord {
                duration: self.timing.duration,
                ..LeaseRecord::default()
            }),
            (_, Some(record)) if self.may_claim(now) => {
                let is_taken = record.is_held() && record.holder != self.identity;
                Request::Update(LeaseRecord {
                    transitions: record.transitions.saturating_add(i32::from(is_taken)),
                    ..self.renewed(record)
                })
            }
            (_, Some(record)) if self.may_accept(record, now) => Request::Update(LeaseRecord {
                successor: Some(self.identity.clone()),
                ..record.clone()
            }),
            _ => Request::Read,
        }
    }

    /// When the last renewal expires; `None` if there was none.
    fn renewed_until(&self) -> Option<Uptime> {
        self.renewed_at.map(|at| at + self.timing.term())
    }

    /// Returns the record with `to` as the leader and without an offer. If `to` is empty, the result is the record of a
    /// released Lease.
    fn given(&self, record: &LeaseRecord, to: String) -> LeaseRecord {
        LeaseRecord {
            duration: if to.is_empty() {
                RELEASED
            } else {
                record.duration
            },
            holder: to,
            transitions: record.transitions.saturating_add(1),
            offer: None,
            successor: None,
            ..record.clone()
        }
    }

    /// Returns the record with this replica as the leader. If this replica is leaving, the record contains an offer.
    fn renewed(&self, record: &LeaseRecord) -> LeaseRecord {
        LeaseRecord {
            holder: self.identity.clone(),
            duration: self.timing.duration,
            offer: self.leaves_at.map(|_| {
                let complete = self.complete.as_ref();
                complete.map(|own| own.newest.clone()).unwrap_or_default()
            }),
            successor: None,
            ..record.clone()
        }
    }

    /// Whether the leader has given the Lease to this replica, or this replica has accepted the leader's offer.
    fn is_successor(&self) -> bool {
        let record = self.record();
        record.is_some_and(|own| {
            own.holder == self.identity || own.successor.as_ref() == Some(&self.identity)
        })
    }

    fn record(&self) -> Option<&LeaseRecord> {
        self.seen.as_ref()?.record.as_ref()
    }

    /// When this standby may claim the Lease; `None` if it may not claim the Lease. A standby that does not meet the
    /// readiness policy yet may claim only a Lease that the leader has handed over to it.
    fn claims_at(&self) -> Option<Uptime> {
        let seen = self.seen.as_ref()?;
        let record = seen.record.as_ref()?;
        if record.holder == self.identity {
            // The leader has handed over to this replica.
            Some(Uptime::ZERO)
        } else if self.complete.is_none() || self.leaves_at.is_some() {
            None
        } else if record.is_released() {
            Some(Uptime::ZERO)
        } else {
            Some(seen.since + self.timing.duration.max(record.duration))
        }
    }

    fn may_claim(&self, now: Uptime) -> bool {
        self.claims_at().is_some_and(|at| now >= at)
    }

    /// Whether this standby may accept an offer. If no scraper has scraped this replica yet, it waits for some seconds,
    /// so that another standby can accept the offer first.
    fn may_accept(&self, record: &LeaseRecord, now: Uptime) -> bool {
        let is_open = record.is_held() && record.successor.is_none() && self.leaves_at.is_none();
        let waits_until = self
            .offered_since
            .map(|at| at + self.timing.unscraped_wait());
        if !self.was_scraped && waits_until.is_none_or(|until| now < until) {
            return false;
        }
        let offer = record.offer.as_ref().filter(|_| is_open);
        let both = self.complete.as_ref().zip(offer);
        both.is_some_and(|(own, offered)| covers(&own.received, offered))
    }

    fn hand_over(&mut self, to: String, now: Uptime, wait: Duration) {
        let at = now + wait;
        self.serves_until = self.serves_until.min(at);
        self.role = Role::HandingOver { to, since: now, at };
        self.next_at = Uptime::ZERO;
    }
}
