//! Stores the connections of a server, and chooses which connection to close (evict) when there are too many.
//!
//! Before a limit is reached, a single peer (the address of a client) may use all connections and responses of the
//! server. If there are too many connections, the server evicts a connection of the peer with the most connections. If
//! there are too many responses, the server ends a response of the peer with the most responses.
//!
//! Some connections are protected, so that scrapes complete: the server evicts them only if all its connections are
//! protected. A connection is protected if it has a request in progress, and if its peer has at most an equal share of
//! the connections. The connections of a peer with more than its share are not protected. If they were protected, one
//! peer could occupy the server with requests that wait for a response.
//!
//! In addition, the server does not evict a new connection in its first moments, so that the client can send a request.
//! If a peer has very many connections, this protection does not apply to them (see [`FLOOD`]).

mod loss;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::busy::BusyCount;
use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::state::{Activity, ConnectionState, ResponseGuard};
use loss::Loss;

pub(crate) use loss::TooManyResponses;

/// If a peer has more connections than this number, and more than half of all connections, its new connections are not
/// protected. Otherwise, a peer that opens and closes connections quickly could keep the server from accepting others.
const FLOOD: usize = 256;

/// Maximum number of equal shares into which the server divides its connections.
const SHARES: usize = 16;

/// The open connections of a server.
pub(crate) struct Registry {
    open: Mutex<OpenConnections>,
    next_id: AtomicU64,
    busy: Arc<BusyCount>,
    /// Notifies tasks that wait until a connection is removed.
    removed: Notify,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct OpenConnections {
    all: HashMap<u64, Arc<ConnectionState>>,
    by_peer: HashMap<IpAddr, usize>,
}

/// A connection that the server may evict.
struct Candidate<'a> {
    connection: &'a Arc<ConnectionState>,
    activity: Activity,
    since: Instant,
    /// The number of connections that the same peer has.
    peer: usize,
}

/// The reason why the server cannot add a new connection yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The server has evicted enough connections, but some of them are not closed yet.
    Closing,
    /// The connection to evict is new. The server must not evict it before this time.
    Until(Instant),
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            busy: Arc::new(BusyCount::new(Arc::clone(&observer))),
            removed: Notify::new(),
            observer,
        }
    }

    /// Adds a new connection. If the server has too many connections, first evicts another connection and waits until
    /// its task has closed it.
    pub(crate) async fn admit(&self, peer: Peer, limits: &Limits) -> Arc<ConnectionState> {
        loop {
            let mut removed = pin!(self.removed.notified());
            removed.as_mut().enable();
            match self.try_admit(peer, limits) {
                Ok(connection) => return connection,
                Err(Full::Closing) => removed.await,
                Err(Full::Until(time)) => tokio::select! {
                    () = removed => {}
                    () = tokio::time::sleep_until(time) => {}
                },
            }
        }
    }

    fn try_admit(&self, peer: Peer, limits: &Limits) -> Result<Arc<ConnectionState>, Full> {
        let mut open = self.open.lock();
        let room = limits.max_connections.max(1);
        if open.all.len() >= room {
            let excess = (open.remaining() + 1).saturating_sub(room);
            return Err(open.evict(excess, room).map_or(Full::Closing, Full::Until));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(ConnectionState::new(id, peer, Arc::clone(&self.busy)));
        open.insert(Arc::clone(&connection));
        self.observer.connection_opened();
        Ok(connection)
    }

    /// Evicts the first connection of [`quietest`](OpenConnections::quietest), and waits at most `time` until it is
    /// closed.
    ///
    /// If the server has no connection to evict, the function waits for `time`.
    pub(crate) async fn evict_quietest(&self, time: Duration) {
        loop {
            let mut removed = pin!(self.removed.notified());
            removed.as_mut().enable();
            let Some(admitted) = self.try_evict_quietest() else {
                let _ = tokio::time::timeout(time, removed).await;
                return;
            };
            // At the time `admitted`, another connection may be the first in the order of eviction. So the loop chooses
            // again.
            tokio::select! {
                () = removed => return,
                () = tokio::time::sleep_until(admitted) => {}
            }
        }
    }

    /// Evicts the first connection of [`quietest`](OpenConnections::quietest). Does nothing if another connection is
    /// being closed already.
    ///
    /// If this connection is still too new, the function does not evict it, and returns the time from which the server
    /// may evict it.
    fn try_evict_quietest(&self) -> Option<Instant> {
        let open = self.open.lock();
        let room = open.all.len();
        if open.remaining() < room {
            return None;
        }
        open.evict(1, room)
    }

    /// Removes a connection that is closed.
    pub(crate) fn remove(&self, connection: &ConnectionState) {
        if self.open.lock().remove(connection) {
            self.observer.connection_closed();
        }
        // The responses of a closed connection must not count as responses in progress, so the state is marked as
        // closed. The reason `Idle` has no effect, because the task of the connection has ended and does not report the
        // reason.
        connection.close(CloseReason::Idle);
        self.removed.notify_waiters();
    }

    /// Begins the response to a request. If the server now has too many responses, the function ends another one (see
    /// [`Loss`]).
    ///
    /// # Errors
    ///
    /// The server must not send the response, because it has too many responses.
    pub(crate) fn begin_response(
        &self,
        response: &ResponseGuard,
        limits: &Limits,
    ) -> Result<(), TooManyResponses> {
        response.record_progress();
        let room = limits.max_responses.max(1);
        if self.busy.get() <= room {
            return Ok(());
        }
        let open = self.open.lock();
        if self.busy.get() <= room {
            return Ok(());
        }
        let own = response.connection().peer.group();
        let reason = |loser: &ConnectionState| match loser.peer.group() == own {
            true => CloseReason::Replaced,
            false => CloseReason::Displaced,
        };
        match Loss::choose(open.all.values(), response, &self.busy) {
            Loss::Connection(connection) => connection.close(reason(connection)),
            Loss::Stream(connection, id) => connection.reset(id, reason(connection)),
            Loss::Newest => {
                response.refuse();
                return Err(TooManyResponses);
            }
        }
        Ok(())
    }

    /// Returns the number of open connections.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().all.len()
    }
}

// === impl OpenConnections ===

impl OpenConnections {
    /// Evicts the first `count` connections of [`quietest`](Self::quietest).
    ///
    /// If one of these connections is still too new, the function evicts neither this connection nor the following
    /// ones, and returns the time from which the server may evict this connection.
    fn evict(&self, count: usize, room: usize) -> Option<Instant> {
        for quietest in self.quietest(count, room) {
            let is_flood = quietest.peer > FLOOD.max(room / 2);
            let admitted = quietest.admitted_until(room).filter(|_| !is_flood);
            if admitted.is_some() {
                return admitted;
            }
            quietest.connection.close(CloseReason::Evicted);
        }
        None
    }

    fn insert(&mut self, connection: Arc<ConnectionState>) {
        *self.by_peer.entry(connection.peer.group()).or_default() += 1;
        self.all.insert(connection.id, connection);
    }

    fn remove(&mut self, connection: &ConnectionState) -> bool {
        if self.all.remove(&connection.id).is_none() {
            return false;
        }
        if let Entry::Occupied(mut count) = self.by_peer.entry(connection.peer.group()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        true
    }

    /// The number of connections that the server is not closing.
    fn remaining(&self) -> usize {
        let all = self.all.values();
        all.filter(|connection| !connection.is_closing()).count()
    }

    /// The `count` connections that the server evicts first, in this order. `room` is the number of connections that
    /// the server may have.
    fn quietest(&self, count: usize, room: usize) -> Vec<Candidate<'_>> {
        // With many peers, an equal share would be small, and even a peer with few connections would exceed it. So the
        // server divides the connections by at most `SHARES` peers.
        let share = room / self.by_peer.len().clamp(1, SHARES);
        let candidates = self.all.values().filter_map(|connection| {
            let (activity, since) = connection.quiet_since()?;
            let peer = self.by_peer.get(&connection.peer.group());
            Some(Candidate {
                connection,
                activity,
                since,
                peer: peer.copied().unwrap_or_default(),
            })
        });
        if count <= 1 {
            let first = candidates.min_by_key(|candidate| candidate.order(share));
            return first.into_iter().take(count).collect();
        }
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_unstable_by_key(Candidate::order_in_peer);
        // Each eviction leaves the peer with one connection less. So for each candidate, the loop decreases the number
        // of connections of the candidate's peer by one.
        let mut remaining = self.by_peer.clone();
        for candidate in &mut candidates {
            if let Some(peer) = remaining.get_mut(&candidate.connection.peer.group()) {
                candidate.peer = *peer;
                *peer = peer.saturating_sub(1);
            }
        }
        candidates.sort_unstable_by_key(|candidate| candidate.order(share));
        candidates.truncate(count);
        candidates
    }
}

// === impl Candidate ===

impl Candidate<'_> {
    /// A value that sorts the connections of one peer into their order of eviction.
    fn order_in_peer(&self) -> (Activity, Instant, u64) {
        (self.activity, self.since, self.connection.id)
    }

    /// A key that sorts all connections by the order in which the server evicts them. `share` is the equal share of a
    /// peer.
    fn order(&self, share: usize) -> impl Ord + use<> {
        let in_use = matches!(self.activity, Activity::Waiting | Activity::Answering);
        let is_protected = in_use && self.peer <= share;
        (is_protected, Reverse(self.peer), self.order_in_peer())
    }

    /// The time until which the connection is too new to be evicted; `None` if it is not too new.
    fn admitted_until(&self, room: usize) -> Option<Instant> {
        let until = self.connection.admitted_until(room);
        (self.activity == Activity::Silent && until > Instant::now()).then_some(until)
    }
}

#[cfg(test)]
mod tests;
