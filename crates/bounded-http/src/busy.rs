//! [`BusyCount`]: the responses in progress on all connections of a server, and how long the responses of each peer
//! have taken.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::observer::Observer;

/// After this time, the use of a peer counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// The use that each response adds to its duration. Without it, a peer with many short responses would have no use.
const PER_RESPONSE: f64 = 1.0;
/// Maximum number of peers whose use is stored.
const PEERS: usize = 1024;

/// The number of responses in progress on all connections of a server.
///
/// A connection counts as one response while all its responses are complete, but some of their bytes are not sent yet.
pub(crate) struct BusyCount {
    responses: AtomicUsize,
    /// The use of each peer (see [`usage`](Self::usage)).
    usage: Mutex<HashMap<IpAddr, Usage>>,
    pub(crate) observer: Arc<dyn Observer>,
}

/// The use of one peer at a time.
#[derive(Clone, Copy, Debug)]
struct Usage {
    seconds: f64,
    at: Instant,
}

// === impl BusyCount ===

impl BusyCount {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            responses: AtomicUsize::new(0),
            usage: Mutex::default(),
            observer,
        }
    }

    pub(crate) fn get(&self) -> usize {
        self.responses.load(Ordering::Relaxed)
    }

    /// Records that the number of responses of one connection has changed from `before` to `after`.
    pub(crate) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.responses.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.responses.fetch_sub(before - after, Ordering::Relaxed);
        }
        if before != after {
            // A connection has few responses, so the numbers fit.
            self.observer
                .responses_changed(after as isize - before as isize);
        }
    }

    /// Returns how long the responses of a peer have taken, in seconds. Recent responses count more than older ones,
    /// and each response counts one second more than its duration. The value does not include responses in progress
    /// (see [`seconds_of`]).
    pub(crate) fn usage(&self, peer: IpAddr) -> f64 {
        let usage = self.usage.lock();
        usage.get(&peer).map_or(0.0, |usage| usage.now())
    }

    /// Records the end of a response that began at the time `since`.
    pub(crate) fn record_end(&self, peer: IpAddr, since: Instant) {
        let added = seconds_of(since);
        let mut all = self.usage.lock();
        if all.len() >= PEERS && !all.contains_key(&peer) {
            // The peers with little use make room, because a use of zero is almost the same for them.
            all.retain(|_, usage| usage.now() > added);
            if all.len() >= PEERS {
                return;
            }
        }
        let before = all.get(&peer).map_or(0.0, |usage| usage.now());
        all.insert(
            peer,
            Usage {
                seconds: before + added,
                at: Instant::now(),
            },
        );
    }
}

/// The use of a response that began at the time `since`.
pub(crate) fn seconds_of(since: Instant) -> f64 {
    PER_RESPONSE + since.elapsed().as_secs_f64()
}

// === impl Usage ===

impl Usage {
    fn now(&self) -> f64 {
        let half_lives = self.at.elapsed().as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.seconds * (-half_lives).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_use_of_a_peer_fades_and_takes_limited_memory() {
        let busy = BusyCount::new(Arc::new(()));
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(9)).await;
        busy.record_end(peer(0), start);
        assert!((busy.usage(peer(0)) - 10.0).abs() < 0.01);
        tokio::time::advance(HALF_LIFE).await;
        assert!((busy.usage(peer(0)) - 5.0).abs() < 0.01);
        for number in 1..10_000 {
            busy.record_end(peer(number), Instant::now());
            assert!(busy.usage.lock().len() <= PEERS);
        }
        assert!(busy.usage(peer(0)) > 4.0);
    }
}
