//! Tests of elections with an API server that is slow, or that refuses some requests.

use std::time::Duration;

use super::SEEDS;
use super::cluster::{Cluster, Network};
use crate::election::machine::Outcome;
use crate::options::OnOutage;

#[test]
fn a_leader_stays_although_each_response_is_slow() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Silent, 3);
        let leader = cluster.settle();
        for replica in &mut cluster.replicas {
            replica.network = Network::Lagging;
        }
        for _ in 0..3_000 {
            cluster.run(Duration::from_millis(100));
            assert_eq!(
                cluster.leader(),
                Some(leader),
                "seed {seed}: {}",
                cluster.describe()
            );
        }
    }
}

#[test]
fn a_leader_whose_writes_fail_serves_until_it_reads_that_another_replica_leads() {
    for seed in 0..SEEDS {
        let mut cluster = Cluster::new(seed, OnOutage::Keep, 2);
        let leader = cluster.settle();
        cluster.server.refuses_writes = Some(Outcome::Failed);
        for _ in 0..60 {
            cluster.run(Duration::from_secs(1));
            assert_eq!(
                cluster.leader(),
                Some(leader),
                "seed {seed}: {}",
                cluster.describe()
            );
        }
        // The test writes another leader into the Lease. The server still refuses all writes of the old leader.
        let mut lease = cluster.server.lease.clone().unwrap();
        (lease.holder, lease.version) = ("other".into(), "900".into());
        cluster.server.lease = Some(lease);
        cluster.run(Duration::from_secs(6));
        assert_eq!(
            cluster.leader(),
            None,
            "seed {seed}: {}",
            cluster.describe()
        );
    }
}

#[test]
fn refused_writes_are_not_repeated_without_a_pause() {
    for on_outage in [OnOutage::Keep, OnOutage::Silent] {
        for refusal in [Outcome::Conflict, Outcome::Failed] {
            let mut cluster = Cluster::new(1, on_outage, 3);
            let leader = cluster.settle();
            cluster.server.refuses_writes = Some(refusal);
            let before = cluster.server.requests;
            cluster.run(Duration::from_secs(60));
            let requests = cluster.server.requests - before;
            assert!(requests < 4 * 60, "{requests}");
            let expected = (on_outage == OnOutage::Keep).then_some(leader);
            assert_eq!(cluster.leader(), expected, "{}", cluster.describe());
            cluster.server.refuses_writes = None;
            let time = cluster.until("a replica leads", |own| own.leader().is_some());
            assert!(time < Duration::from_secs(20), "{time:?}");
        }
    }
}
