//! Elections with a virtual clock, in which replicas and the API server fail.

mod cluster;

use std::time::Duration;

use self::cluster::{Cluster, LEASE, Network, Replica, TICK};
use crate::options::OnOutage;

/// Elections per test.
const SEEDS: u64 = 40;

/// Disturbs elections; checks that at most one replica serves by a renewal, and calls `check` in each step.
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
                // The extension (two intervals and a timeout), by a slow clock, and late packets of a slow network.
                let bound = Duration::from_secs(9 + 18);
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
    // Clocks may be 5 % slow. The interval is 2 s.
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
            // The same replica goes on, unless nobody is the leader any more.
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
fn a_leader_that_leaves_hands_over_without_a_gap_or_an_overlap() {
    let mut longest = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 3);
        let leader = cluster.settle();
        let wait = cluster.random.millis(0, 3_000);
        cluster.run(wait);
        cluster.leave(leader);
        let start = cluster.now;
        while cluster.leader().is_none_or(|own| own == leader) {
            cluster.run(TICK);
            // While nobody serves, the successor lets responses wait.
            let answers = cluster.count(Replica::serves) + cluster.count(Replica::holds);
            assert!(answers > 0, "seed {seed}: {}", cluster.describe());
        }
        longest = longest.max(cluster.now - start);
        let next = cluster.leader().unwrap();
        assert!(!cluster.replicas[next].holds(cluster.now));
        cluster.run(Duration::from_secs(60));
        assert_eq!(cluster.leader(), Some(next));
    }
    assert!(longest < Duration::from_secs(4), "{longest:?}");
}

#[test]
fn a_standby_that_a_scraper_knows_goes_first() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 2);
        let leader = cluster.settle();
        cluster.are_scraped = false;
        for _ in 0..2 {
            let replica = cluster.replica();
            cluster.replicas.push(replica);
        }
        cluster.run(Duration::from_secs(5));
        cluster.leave(leader);
        cluster.run(Duration::from_secs(5));
        assert_eq!(cluster.leader(), Some(1 - leader), "seed {seed}");
        // The others go second.
        cluster.leave(1 - leader);
        cluster.run(Duration::from_secs(5));
        assert_eq!(cluster.leader(), Some(1 - leader), "seed {seed}");
        let time = cluster.until("another replica leads", |own| {
            own.leader().is_some_and(|next| next > 1)
        });
        assert!(time < Duration::from_secs(6), "seed {seed}: {time:?}");
    }
}

#[test]
fn a_standby_that_is_behind_does_not_accept_an_offer() {
    let mut cluster = Cluster::new(1, OnOutage::Keep, 2);
    let leader = cluster.settle();
    cluster.replicas[1 - leader].complete_at = Duration::MAX;
    cluster.leave(leader);
    cluster.run(Duration::from_secs(9));
    assert_eq!(
        cluster.leader(),
        Some(leader),
        "it serves as long as it may"
    );
    cluster.run(Duration::from_secs(5));
    assert_eq!(cluster.leader(), None);
    assert_eq!(
        cluster.server.lease.as_ref().unwrap().holder,
        "",
        "it has released the Lease"
    );
    // The next complete replica does not wait for the whole duration.
    cluster.replicas[1 - leader].complete_at = cluster.now;
    let time = cluster.until("the standby leads", |own| own.leader().is_some());
    assert!(time < Duration::from_secs(3), "{time:?}");
}

#[test]
fn a_successor_that_dies_does_not_inherit_the_lease() {
    let mut cluster = Cluster::new(1, OnOutage::Keep, 2);
    let leader = cluster.settle();
    cluster.leave(leader);
    let accepted = |own: &Cluster| {
        own.server
            .lease
            .as_ref()
            .is_some_and(|lease| lease.successor.is_some())
    };
    // The leader does not see the acceptance in time.
    cluster.until("the offer", |own| {
        own.server
            .lease
            .as_ref()
            .is_some_and(|lease| lease.offer.is_some())
    });
    cluster.replicas[leader].paused_until = cluster.now + Duration::from_secs(3);
    cluster.until("the acceptance", accepted);
    cluster.replicas[1 - leader].is_killed = true;
    cluster.run(Duration::from_secs(4));
    assert!(!accepted(&cluster), "{}", cluster.describe());
    assert_eq!(cluster.leader(), Some(leader), "{}", cluster.describe());
}

#[test]
fn a_lease_that_is_deleted_comes_back_with_the_same_leader() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let leader = cluster.settle();
        cluster.server.lease = None;
        cluster.run(Duration::from_secs(60));
        assert_eq!(cluster.leader(), Some(leader));
    }
}

#[test]
fn a_healthy_standby_ends_each_gap() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let mut gap = Duration::ZERO;
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
                // Each deletion of the Lease starts the wait again.
                let is_deleted = cluster.server.lease.is_none();
                if cluster.leader().is_some() || !has_standby || is_slow || is_deleted {
                    gap = Duration::ZERO;
                } else {
                    gap += TICK;
                }
                // A leader may lose the response of a renewal.
                assert!(gap < 3 * LEASE, "seed {seed}: {}", cluster.describe());
            }
            cluster.disturb();
        }
    }
}
