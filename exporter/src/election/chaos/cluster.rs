//! A simulated cluster with a virtual clock. Replicas can be paused, killed, slow, or separated from the network, and
//! their clocks have different speeds.

use std::time::Duration;

use crate::election::machine::{Election, Outcome, Request, Step, Uptime};
use crate::election::record::{Exported, LeaseRecord};
use crate::election::timing::Timing;
use crate::options::OnOutage;

pub(super) const TICK: Duration = Duration::from_millis(10);
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// A simulated cluster: an API server with one Lease, and replicas.
pub(super) struct Cluster {
    pub(super) random: Random,
    on_outage: OnOutage,
    pub(super) now: Duration,
    pub(super) server: Server,
    pub(super) replicas: Vec<Replica>,
    names: u32,
    /// Whether new replicas start as if a scraper had already scraped them.
    pub(super) are_scraped: bool,
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) is_down: bool,
    /// The outcome of all writes if the server refuses writes; `None` if the server executes writes.
    pub(super) refuses_writes: Option<Outcome>,
    pub(super) lease: Option<LeaseRecord>,
    version: u32,
    pub(super) requests: u32,
    /// How often an edit or a deletion may have removed the leader from the Lease.
    edits: u32,
}

/// An edit of the Lease by another program or by a person.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// Labels or annotations that the election does not use.
    Metadata,
    /// The annotations of a hand-over are removed.
    HandOver,
    Holder,
    Duration,
    /// The whole specification is removed.
    Specification,
}

pub(super) struct Replica {
    name: String,
    election: Election,
    /// The clock of the replica: its time at the start of the simulation, and its speed.
    clock: (Duration, f64),
    pub(super) complete_at: Duration,
    pub(super) paused_until: Duration,
    pub(super) is_killed: bool,
    pub(super) network: Network,
    /// When the network of the replica last failed or was slow, or when the API server was last down.
    pub(super) impaired_at: Duration,
    sent: Option<Sent>,
    /// Requests that the replica no longer waits for, but that may still arrive at the server.
    late: Vec<Sent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Whole,
    RequestsLost,
    ResponsesLost,
    Slow,
    /// Each response takes 4.2 seconds.
    Lagging,
}

struct Sent {
    request: Request,
    /// The start of the request, by the clock of the replica.
    start: Uptime,
    arrives_at: Duration,
    returns_at: Duration,
    network: Network,
    /// The outcome of the request; `None` until the request has arrived at the server or is lost.
    outcome: Option<Outcome>,
}

pub(super) struct Random(u64);

// === impl Random ===

impl Random {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

// === impl Server ===

impl Server {
    /// Executes a request as the API server does. Refuses a write that does not replace the current version of the
    /// Lease.
    fn execute(&mut self, request: &Request) -> Outcome {
        self.requests += 1;
        if *request != Request::Read
            && let Some(refusal) = &self.refuses_writes
        {
            return refusal.clone();
        }
        let written = match (request, &self.lease) {
            (Request::Read, None) | (Request::Update(_), None) => return Outcome::NotFound,
            (Request::Read, Some(lease)) => return Outcome::Lease(lease.clone()),
            (Request::Create(_), Some(_)) => return Outcome::Conflict,
            (Request::Update(new), Some(old)) if new.version != old.version => {
                return Outcome::Conflict;
            }
            (Request::Create(new) | Request::Update(new), _) => new.clone(),
        };
        let before = self.lease.take().unwrap_or_default();
        let renewed = match written.renews(Some(&before.holder)) {
            true => Some(self.version.to_string()),
            false => before.renewed,
        };
        Outcome::Lease(self.store(LeaseRecord { renewed, ..written }))
    }

    fn store(&mut self, lease: LeaseRecord) -> LeaseRecord {
        self.version += 1;
        let version = self.version.to_string();
        let lease = LeaseRecord { version, ..lease };
        self.lease = Some(lease.clone());
        lease
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        self.edits += u32::from(!matches!(edit, Edit::Metadata));
        match edit {
            Edit::Metadata => {}
            Edit::HandOver => (lease.offer, lease.successor) = (None, None),
            Edit::Holder => lease.holder = "somebody".into(),
            Edit::Duration => lease.duration = Duration::from_secs(20),
            Edit::Specification => lease = LeaseRecord::default(),
        }
        self.store(lease);
    }

    /// The number of edits and deletions that may have removed the leader.
    pub(super) fn edits(&self) -> u32 {
        self.edits
    }

    pub(super) fn delete(&mut self) {
        self.edits += 1;
        self.lease = None;
    }
}

// === impl Replica ===

impl Replica {
    fn local(&self, now: Duration) -> Uptime {
        self.clock.0 + now.mul_f64(self.clock.1)
    }

    fn runs(&self, now: Duration) -> bool {
        !self.is_killed && now >= self.paused_until
    }

    /// Whether a response at this time has the metrics of objects.
    pub(super) fn serves(&self, now: Duration) -> bool {
        self.runs(now) && self.local(now) < self.election.term().serves_until
    }

    /// Whether a response at this time waits for the result of a hand-over.
    pub(super) fn holds(&self, now: Duration) -> bool {
        self.runs(now) && self.local(now) < self.election.term().hold_until
    }

    /// Whether the replica serves and its last renewal is still valid. A replica without a valid renewal may serve only
    /// during an outage.
    pub(super) fn is_confirmed(&self, now: Duration) -> bool {
        self.serves(now) && self.local(now) < self.election.term().renewed_until
    }

    pub(super) fn is_healthy(&self, now: Duration) -> bool {
        self.runs(now) && self.network == Network::Whole && now >= self.complete_at
    }

    /// Kills the replica. Requests that have not arrived are lost.
    pub(super) fn kill(&mut self) {
        self.is_killed = true;
        self.sent = None;
        self.late.clear();
    }

    fn step(&mut self, now: Duration, server: &mut Server, random: &mut Random) {
        for sent in self.late.iter_mut().chain(&mut self.sent) {
            if now >= sent.arrives_at && sent.outcome.is_none() {
                sent.outcome = Some(match sent.network {
                    _ if server.is_down => Outcome::Failed,
                    Network::RequestsLost => Outcome::Failed,
                    Network::ResponsesLost => {
                        server.execute(&sent.request);
                        Outcome::Failed
                    }
                    Network::Whole | Network::Slow | Network::Lagging => {
                        server.execute(&sent.request)
                    }
                });
            }
        }
        self.late.retain(|sent| sent.outcome.is_none());
        if !self.runs(now) {
            return;
        }
        let local = self.local(now);
        if let Some(sent) = self.sent.take() {
            let is_late = local >= sent.start + Timing::new(LEASE).timeout();
            match &sent.outcome {
                Some(outcome) if now >= sent.returns_at && *outcome != Outcome::Failed => {
                    self.election
                        .received(&sent.request, sent.start, local, outcome.clone());
                }
                _ if is_late => {
                    self.election
                        .received(&sent.request, sent.start, local, Outcome::Failed);
                    self.late.push(sent);
                }
                _ => self.sent = Some(sent),
            }
        }
        let exported = (now >= self.complete_at).then(Exported::default);
        self.election.set_complete(exported);
        if self.sent.is_none()
            && let Step::Send(request) = self.election.next(local)
        {
            let (least, most) = match self.network {
                Network::Slow => (1, 9_000),
                Network::Lagging => (2_099, 2_100),
                _ => (1, 40),
            };
            let arrives_at = now + random.millis(least, most);
            let returns_at = arrives_at + random.millis(least, most);
            self.sent = Some(Sent {
                request,
                start: local,
                arrives_at,
                returns_at,
                network: self.network,
                outcome: None,
            });
        }
    }
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(seed: u64, on_outage: OnOutage, replicas: usize) -> Self {
        let mut cluster = Self {
            random: Random(seed),
            on_outage,
            now: Duration::ZERO,
            server: Server::default(),
            replicas: Vec::new(),
            names: 0,
            are_scraped: true,
        };
        for _ in 0..replicas {
            let replica = cluster.replica();
            cluster.replicas.push(replica);
        }
        cluster
    }

    /// Creates a replica that meets the readiness policy after a few seconds.
    pub(super) fn replica(&mut self) -> Replica {
        self.names += 1;
        let speed = 0.95 + self.random.below(100) as f64 / 1000.0;
        let name = format!("replica-{}", self.names);
        let mut election = Election::new(name.clone(), Timing::new(LEASE), self.on_outage);
        if self.are_scraped {
            election.scraped(TICK);
        }
        Replica {
            name,
            election,
            clock: (self.random.millis(0, 1_000_000), speed),
            complete_at: self.now + self.random.millis(100, 4_000),
            paused_until: Duration::ZERO,
            is_killed: false,
            network: Network::Whole,
            impaired_at: Duration::ZERO,
            sent: None,
            late: Vec::new(),
        }
    }

    pub(super) fn tick(&mut self) {
        self.now += TICK;
        let (now, server) = (self.now, &mut self.server);
        for replica in &mut self.replicas {
            if replica.network != Network::Whole || server.is_down {
                replica.impaired_at = now;
            }
            replica.step(now, server, &mut self.random);
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
            assert!(self.count(Replica::serves) <= 1, "{}", self.describe());
        }
    }

    pub(super) fn count(&self, is: fn(&Replica, Duration) -> bool) -> usize {
        self.replicas.iter().filter(|own| is(own, self.now)).count()
    }

    /// Runs the simulation until a condition is met, and returns the time that has passed.
    pub(super) fn until(&mut self, what: &str, is_met: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !is_met(self) {
            assert!(self.now < start + 10 * LEASE, "{what}: {}", self.describe());
            self.tick();
        }
        self.now - start
    }

    pub(super) fn leader(&self) -> Option<usize> {
        self.replicas.iter().position(|own| own.serves(self.now))
    }

    /// The index of the replica with an identity.
    pub(super) fn index_of(&self, name: &str) -> usize {
        let at = self.replicas.iter().position(|own| own.name == name);
        at.expect("a replica has this identity")
    }

    pub(super) fn settle(&mut self) -> usize {
        self.until("a replica leads", |own| own.leader().is_some());
        self.run(Duration::from_secs(5));
        self.leader().expect("the leader stays")
    }

    /// Begins to remove a replica from the election.
    pub(super) fn leave(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let local = replica.local(self.now);
        replica
            .election
            .leave(local, local + Duration::from_secs(10));
    }

    /// Causes a random failure of a replica or of the API server, or ends the failures.
    pub(super) fn disturb(&mut self) {
        let at = self.random.below(self.replicas.len() as u64) as usize;
        let (kind, pause) = (self.random.below(15), self.random.millis(10, 40_000));
        match kind {
            0 | 1 => self.replicas[at].paused_until = self.now + pause,
            2 | 3 => self.replicas[at] = self.replica(),
            4 => self.replicas[at].network = Network::RequestsLost,
            5 => self.replicas[at].network = Network::ResponsesLost,
            6 => self.replicas[at].network = Network::Slow,
            7 => self.server.is_down = !self.server.is_down,
            8 => self.server.delete(),
            9 => self.leave(at),
            10 | 11 => self.server.edit(Edit::Metadata),
            12 => {
                let edits = [
                    Edit::HandOver,
                    Edit::Holder,
                    Edit::Duration,
                    Edit::Specification,
                ];
                let edit = edits[self.random.below(4) as usize];
                self.server.edit(edit);
            }
            _ => {
                self.server.is_down = false;
                self.replicas
                    .iter_mut()
                    .for_each(|own| own.network = Network::Whole);
            }
        }
        // A new replica replaces each replica that has left the election.
        for at in 0..self.replicas.len() {
            let local = self.replicas[at].local(self.now);
            if self.replicas[at].election.next(local) == Step::Stop {
                self.replicas[at] = self.replica();
            }
        }
    }

    pub(super) fn describe(&self) -> String {
        let replicas = self.replicas.iter();
        let replicas = replicas.map(|own| {
            format!(
                "{:?} {:?} {:?}",
                own.network, own.paused_until, own.election
            )
        });
        let replicas: Vec<_> = replicas.collect();
        format!(
            "at {:?}: {:?}\n{}",
            self.now,
            self.server.lease,
            replicas.join("\n")
        )
    }
}
