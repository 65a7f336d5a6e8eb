//! Changes the state of an election after the response to a request.

use std::mem;

use super::{Election, Outcome, Request, Role, Seen, Uptime};
use crate::election::record::LeaseRecord;
use crate::options::OnOutage;

// === impl Election ===

impl Election {
    /// Processes the outcome of a request that was sent at `start`.
    pub(in crate::election) fn received(
        &mut self,
        request: &Request,
        start: Uptime,
        now: Uptime,
        outcome: Outcome,
    ) {
        self.must_read = false;
        match outcome {
            Outcome::Lease(record) => {
                let is_write = *request != Request::Read;
                let is_other = |own: &LeaseRecord| own.version != record.version;
                if self.record().is_none_or(is_other) {
                    self.conflicts = 0;
                }
                let written = is_write.then_some(start);
                let before = mem::replace(&mut self.asked_at, start);
                self.see(Some(record), now);
                self.follow(written, before, now);
            }
            // The response to a create request is 404, so the namespace does not exist.
            Outcome::NotFound if matches!(request, Request::Create(_)) => self.failed(start, now),
            Outcome::NotFound => {
                self.see(None, now);
                self.next_at = now;
                if let Role::HandingOver { .. } | Role::HandedOver { .. } = self.role {
                    self.role = Role::Left;
                }
            }
            Outcome::Conflict => {
                self.conflicts += 1;
                if self.conflicts > 1 {
                    // The Lease has not changed since the first conflict, so the conflict has another cause, such as a
                    // webhook. The next attempt must wait.
                    self.failed(start, now);
                } else {
                    self.next_at = now;
                }
                self.must_read = true;
            }
            Outcome::Failed => self.failed(start, now),
        }
    }

    /// Schedules the next attempt after a failed request. With `--ha-on-outage=keep`, a leader continues to serve until
    /// it learns that another replica leads.
    fn failed(&mut self, start: Uptime, now: Uptime) {
        self.extend(now);
        // While the last renewal of a leader is valid, the leader does not need to read the Lease. After the renewal
        // has expired, another replica may have become the leader. A read shows the new leader even if the API server
        // refuses writes.
        self.must_read = self.role != Role::Leader || !self.is_confirmed(now);
        let interval = match self.role {
            Role::HandingOver { .. } | Role::HandedOver { .. } => self.timing.pause(),
            Role::Standby => self.timing.read_interval(),
            _ => self.timing.interval(),
        };
        // If the request took longer than the interval, the next request is sent after a pause.
        self.next_at = (start + interval).max(now + self.timing.pause());
    }

    /// Lets a leader serve after its last renewal has expired, if `--ha-on-outage` is `keep`.
    fn extend(&mut self, now: Uptime) {
        let serves = now < self.serves_until && self.role == Role::Leader;
        if serves && self.on_outage == OnOutage::Keep {
            let extended = now + self.timing.extension();
            self.serves_until = self.serves_until.max(extended);
        }
    }

    /// Whether the last renewal is still valid, so that no other replica can lead.
    fn is_confirmed(&self, now: Uptime) -> bool {
        self.renewed_until().is_some_and(|until| now < until)
    }

    /// Records the state of the Lease in a response. If the Lease was not renewed since the previous state, `since`
    /// stays the same.
    fn see(&mut self, record: Option<LeaseRecord>, now: Uptime) {
        let since = match (&self.seen, &record) {
            (
                Some(Seen {
                    record: None,
                    since,
                }),
                None,
            ) => *since,
            (
                Some(Seen {
                    record: Some(before),
                    since,
                }),
                Some(record),
            ) if record.has_term_of(before) => *since,
            _ => now,
        };
        self.seen = Some(Seen { record, since });
    }

    /// Changes the role and the times of this replica after a response that contains the Lease. If the response answers
    /// a write of this replica, `written` is the start time of this write. `before` is the start time of the previous
    /// request that returned the Lease.
    fn follow(&mut self, written: Option<Uptime>, before: Uptime, now: Uptime) {
        let Some(record) = self.record().cloned() else {
            return;
        };
        let is_holder = record.holder == self.identity;
        let renewal = written.filter(|_| is_holder);
        let offered_since = self.offered_since.unwrap_or(now);
        self.offered_since = record.offer.is_some().then_some(offered_since);
        if self.role == Role::Standby && is_holder && renewal.is_none() && self.hold_until > now {
            // The previous leader stopped serving a short time ago. This replica serves only requests that arrived
            // after the previous leader stopped.
            self.serves_from = now.saturating_sub(self.timing.pause() * 3 / 5);
        }
        self.role = match mem::replace(&mut self.role, Role::Left) {
            // This replica becomes the leader only after it has renewed the Lease itself.
            Role::Standby if renewal.is_some() => Role::Leader,
            // Somebody has removed the leader from the Lease. This replica stays the leader, because its last renewal
            // is still valid.
            Role::Leader if record.is_vacant() && self.is_confirmed(now) => Role::Leader,
            Role::Leader if !is_holder => self.step_down(),
            // This replica has just written the standby into the Lease, so the standby cannot have renewed the Lease
            // yet.
            Role::HandingOver { to, .. }
                if written.is_some() && !to.is_empty() && record.holder == to =>
            {
                Role::HandedOver {
                    given: record.clone(),
                    until: now + self.timing.hold(),
                }
            }
            // The Lease is released, or another replica has claimed it.
            Role::HandingOver { .. } if !is_holder => Role::Left,
            // The standby has crashed, and this replica has taken the Lease back.
            Role::HandedOver { .. } if renewal.is_some() => Role::Leader,
            Role::HandedOver { given, .. } if !record.has_term_of(&given) => Role::Left,
            Role::HandingOver { to, since, at }
                if to.is_empty() || record.successor.as_ref() == Some(&to) =>
            {
                Role::HandingOver { to, since, at }
            }
            // The Lease no longer contains the standby that has accepted the offer, so the hand-over is cancelled. This
            // replica serves again after it has renewed the Lease.
            Role::HandingOver { .. } => {
                self.renewed_at = None;
                Role::Leader
            }
            role => role,
        };
        if self.role == Role::Leader
            && let Some(start) = renewal
        {
            self.renewed_at = Some(start);
            self.serves_until = start + self.timing.term();
            self.hold_until = Uptime::ZERO;
        }
        // This replica cannot renew the Lease, but the Lease still names this replica. So no other replica is the
        // leader, and this replica may continue to serve.
        if renewal.is_none() && is_holder && !self.is_confirmed(now) {
            self.extend(now);
        }
        if self.role == Role::Standby
            && record.successor.as_ref() != Some(&self.identity)
            && !is_holder
        {
            self.hold_until = Uptime::ZERO;
        }
        let pause = self.timing.pause();
        self.next_at = match &self.role {
            Role::Leader if self.leaves_at.is_some() => {
                if renewal.is_none()
                    && now <= before + self.timing.hold()
                    && let Some(successor) = record.successor
                {
                    self.hand_over(successor, now, self.timing.scrape_wait());
                    return;
                }
                // A standby has accepted an offer, but the acceptance is too old for a hand-over. The next renewal
                // removes the acceptance from the Lease.
                if record.successor.is_some() {
                    now
                } else {
                    now + pause
                }
            }
            Role::Leader => match renewal {
                Some(start) => (start + self.timing.interval()).max(now + pause),
                None => now,
            },
            Role::HandedOver { until, .. } => (now + pause).min(*until).max(now),
            Role::HandingOver { .. } | Role::Left => now,
            Role::Standby if self.may_claim(now) || self.may_accept(&record, now) => now,
            Role::Standby => {
                let is_offered = self
                    .offered_since
                    .is_some_and(|at| now < at + self.timing.offer());
                let interval = match is_offered {
                    true if self.hold_until > now => pause / 4,
                    true => pause,
                    false => self.timing.read_interval(),
                };
                let claims_at = self.claims_at().unwrap_or(Uptime::MAX);
                (now + interval).min(claims_at)
            }
        };
    }

    /// Stops serving after another replica has claimed the Lease, and returns the new role.
    fn step_down(&mut self) -> Role {
        self.serves_until = Uptime::ZERO;
        self.renewed_at = None;
        match self.leaves_at {
            Some(_) => Role::Left,
            None => Role::Standby,
        }
    }
}
