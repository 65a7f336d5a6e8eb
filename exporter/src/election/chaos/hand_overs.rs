//! Tests of hand-overs: a leader that stops gives the leadership to a standby.
//!
//! The leader first offers the Lease, and a standby accepts this offer.

use std::time::Duration;

use super::SEEDS;
use super::cluster::{Cluster, Replica, TICK};
use crate::options::OnOutage;

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
            // While no replica serves, the standby that has accepted the offer delays its responses.
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
        // No scraper has scraped the new replicas, so they wait before they accept the offer.
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
    // Because the leader has released the Lease, the next ready replica does not wait for the Lease duration.
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
    // The test pauses the leader, so that the leader does not see in time that a standby has accepted the offer.
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

/// Kills the standby to which the leader has just given the Lease.
fn kill_the_new_holder(cluster: &mut Cluster, leader: usize) {
    let holder = |own: &Cluster| own.server.lease.as_ref().map(|lease| lease.holder.clone());
    let before = holder(cluster);
    cluster.until("the hand-over", |own| holder(own) != before);
    let next = cluster.index_of(&holder(cluster).unwrap());
    assert_ne!(next, leader);
    cluster.replicas[next].kill();
}

#[test]
fn a_leader_takes_the_lease_back_from_a_standby_that_dies() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let leader = cluster.settle();
        cluster.leave(leader);
        kill_the_new_holder(&mut cluster, leader);
        let gap = cluster.until("a replica leads", |own| own.leader().is_some());
        assert!(gap < Duration::from_secs(3), "seed {seed}: {gap:?}");
        // The leader offers the Lease again, and the other standby accepts this offer.
        let is_done = |own: &Cluster| own.leader().is_some_and(|next| next != leader);
        let time = cluster.until("the other standby leads", is_done);
        assert!(time < Duration::from_secs(5), "seed {seed}: {time:?}");
        cluster.run(Duration::from_secs(60));
        assert!(is_done(&cluster), "seed {seed}: {}", cluster.describe());
    }
}

#[test]
fn a_leader_whose_time_is_over_releases_the_lease_of_a_standby_that_dies() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 2);
        let leader = cluster.settle();
        cluster.replicas[1 - leader].complete_at = cluster.now + Duration::from_millis(8_800);
        cluster.leave(leader);
        kill_the_new_holder(&mut cluster, leader);
        let new = cluster.replica();
        cluster.replicas.push(new);
        let gap = cluster.until("the new replica leads", |own| own.leader() == Some(2));
        assert!(gap < Duration::from_secs(6), "seed {seed}: {gap:?}");
    }
}
