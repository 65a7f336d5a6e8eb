//! Tests of elections with a virtual clock. Replicas and the API server fail at random.
//!
//! A replica *serves* if its responses contain the metrics of objects. A leader renews the Lease every 2 s. A renewal
//! is valid for two thirds of the Lease duration (the *term*).

mod cluster;
mod hand_overs;
mod third_parties;
mod trouble;

use std::time::Duration;

use self::cluster::{Cluster, LEASE, Network, Replica, TICK};
use crate::options::OnOutage;

/// The number of elections per test.
const SEEDS: u64 = 40;

/// Runs an election with random failures. In each step, checks that at most one replica serves with a valid renewal,
/// and calls `check`.
fn chaos(seed: u64, on_outage: OnOutage, check: fn(&Cluster)) {
    let mut cluster = Cluster::new(seed, on_outage, 3);
    for _ in 0..40 {
        let next = cluster.now + cluster.random.millis(10, 12_000);
        while cluster.now < next {
            cluster.tick();
            let confirmed = cluster.count(Replica::is_confirmed);
            assert!(confirmed <= 1, "seed {seed}: {}", cluster.describe());
            check(&cluster);
        }
        cluster.disturb();
    }
}

#[test]
fn two_replicas_never_serve_together_if_an_outage_silences_them() {
    for seed in 0..SEEDS {
        chaos(seed, OnOutage::Silent, |cluster| {
            let serving = cluster.count(Replica::serves);
            assert!(serving <= 1, "{}", cluster.describe());
        });
    }
}

#[test]
fn two_replicas_serve_together_only_while_one_cannot_reach_the_api_server() {
    for seed in 0..SEEDS {
        chaos(seed, OnOutage::Keep, |cluster| {
            let serving = cluster
                .replicas
                .iter()
                .filter(|own| own.serves(cluster.now));
            for replica in serving.filter(|own| !own.is_confirmed(cluster.now)) {
                // A slow clock extends the term of a leader by at most 10 s (two intervals and a timeout). A slow
                // network delays packets by at most 18 s.
                let bound = Duration::from_secs(10 + 18);
                let impaired = cluster.now - replica.impaired_at;
                assert!(impaired < bound, "{impaired:?}: {}", cluster.describe());
            }
        });
    }
}

#[test]
fn a_killed_leader_is_replaced_within_the_duration_and_an_interval() {
    let mut longest = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 2);
        let leader = cluster.settle();
        let wait = cluster.random.millis(0, 3_000);
        cluster.run(wait);
        cluster.replicas[leader].is_killed = true;
        longest = longest.max(cluster.until("the standby leads", |own| own.leader().is_some()));
    }
    // The Lease duration is 15 s. With a clock that is 5 % slow, this is almost 16 s. The interval adds 2 s.
    assert!(longest < Duration::from_millis(18_000), "{longest:?}");
}

#[test]
fn a_leader_without_the_api_server_is_silent_after_two_thirds_or_keeps_serving() {
    for seed in 0..SEEDS {
        for on_outage in [OnOutage::Silent, OnOutage::Keep] {
            let mut cluster = Cluster::new(seed, on_outage, 3);
            let leader = cluster.settle();
            cluster.server.is_down = true;
            cluster.run(Duration::from_millis(9_400));
            cluster.run(Duration::from_secs(60));
            let expected = (on_outage == OnOutage::Keep).then_some(leader);
            assert_eq!(
                cluster.leader(),
                expected,
                "seed {seed}: {}",
                cluster.describe()
            );
            // After the outage, a replica becomes the leader. If the old leader still serves, it becomes the leader
            // again.
            cluster.server.is_down = false;
            let time = cluster.until("a replica leads", |own| own.leader().is_some());
            assert!(time < Duration::from_secs(20), "{time:?}");
        }
    }
}

#[test]
fn a_paused_leader_is_silent_when_it_continues_although_the_api_server_is_down() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 3);
        let leader = cluster.settle();
        cluster.replicas[leader].paused_until = cluster.now + Duration::from_secs(40);
        cluster.run(Duration::from_secs(39));
        let other = cluster.leader().expect("a standby leads");
        assert_ne!(other, leader);
        cluster.replicas[leader].network = Network::RequestsLost;
        cluster.run(Duration::from_secs(60));
        assert_eq!(cluster.leader(), Some(other));
    }
}

#[test]
fn a_lease_that_is_deleted_comes_back_with_the_same_leader() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let leader = cluster.settle();
        cluster.server.delete();
        cluster.run(Duration::from_secs(60));
        assert_eq!(cluster.leader(), Some(leader));
    }
}

#[test]
fn a_healthy_standby_ends_each_gap() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let (mut gap, mut edits) = (Duration::ZERO, 0);
        for _ in 0..40 {
            let next = cluster.now + cluster.random.millis(10, 12_000);
            while cluster.now < next {
                cluster.tick();
                let is_healthy =
                    |own: &Replica, now| own.is_healthy(now) && now > own.impaired_at + LEASE;
                let has_standby = !cluster.server.is_down && cluster.count(is_healthy) > 0;
                let is_slow = cluster
                    .replicas
                    .iter()
                    .any(|own| own.network == Network::Slow);
                // If somebody deletes the Lease or edits its specification, a standby waits again for the whole Lease
                // duration. Other edits do not restart this wait.
                let is_edited = edits != cluster.server.edits() || cluster.server.lease.is_none();
                edits = cluster.server.edits();
                if cluster.leader().is_some() || !has_standby || is_slow || is_edited {
                    gap = Duration::ZERO;
                } else {
                    gap += TICK;
                }
                // The gap can be longer than the Lease duration. For example, a leader renews the Lease, but does not
                // receive the response. Then the leader stops serving, but the standbys still wait for the whole Lease
                // duration.
                assert!(gap < 3 * LEASE, "seed {seed}: {}", cluster.describe());
            }
            cluster.disturb();
        }
    }
}
