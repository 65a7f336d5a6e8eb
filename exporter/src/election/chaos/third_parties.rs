//! Tests in which other programs or people edit the Lease.

use std::time::Duration;

use super::SEEDS;
use super::cluster::{Cluster, Edit};
use crate::options::OnOutage;

/// Runs an election for a minute, and edits the Lease once per second.
fn edited_for_a_minute(seed: u64, edit: Edit) -> Cluster {
    let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
    let leader = cluster.settle();
    for _ in 0..60 {
        cluster.server.edit(edit);
        cluster.run(Duration::from_secs(1));
        assert_eq!(cluster.leader(), Some(leader), "seed {seed}: {edit:?}");
    }
    cluster
}

#[test]
fn edits_of_labels_do_not_keep_a_standby_from_leading() {
    for seed in 0..SEEDS {
        let mut cluster = edited_for_a_minute(seed, Edit::Metadata);
        let leader = cluster.leader().unwrap();
        cluster.replicas[leader].is_killed = true;
        let killed = cluster.now;
        while cluster.leader().is_none() {
            cluster.server.edit(Edit::Metadata);
            cluster.run(Duration::from_secs(1));
            let gap = cluster.now - killed;
            assert!(gap < Duration::from_secs(19), "seed {seed}: {gap:?}");
        }
    }
}

#[test]
fn a_leader_repairs_a_lease_without_its_fields_or_with_another_duration() {
    for seed in 0..SEEDS {
        for edit in [Edit::Specification, Edit::Duration, Edit::HandOver] {
            let mut cluster = edited_for_a_minute(seed, edit);
            cluster.run(Duration::from_secs(3));
            let lease = cluster.server.lease.as_ref().unwrap();
            assert!(!lease.holder.is_empty(), "{lease:?}");
            assert_eq!(lease.duration, super::LEASE);
        }
    }
}

#[test]
fn a_replica_leads_again_after_somebody_has_named_another_holder() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 3);
        cluster.settle();
        cluster.server.edit(Edit::Holder);
        cluster.run(Duration::from_secs(5));
        assert_eq!(cluster.leader(), None);
        let time = cluster.until("a replica leads", |own| own.leader().is_some());
        assert!(time < Duration::from_secs(14), "seed {seed}: {time:?}");
    }
}

#[test]
fn a_hand_over_succeeds_although_its_annotations_are_removed_once() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 2);
        let leader = cluster.settle();
        cluster.leave(leader);
        let wait = cluster.random.millis(10, 1_500);
        cluster.run(wait);
        cluster.server.edit(Edit::HandOver);
        let time = cluster.until("the standby leads", |own| own.leader() == Some(1 - leader));
        assert!(time < Duration::from_secs(8), "seed {seed}: {time:?}");
    }
}
