//! Which objects a store accepts: the objects of some namespaces, and of one shard.

use std::collections::BTreeSet;
use std::fmt;

use crate::errors::debug_is_display;

/// The objects that one of several exporters serves.
///
/// The uid of an object determines its shard.
///
/// Every object belongs to exactly one shard. A shard contains the same objects as in kube-state-metrics, because the
/// hash functions are the same: FNV-1a of `metadata.uid`, then a [jump consistent
/// hash](https://arxiv.org/abs/1406.2294).
///
/// ```
/// use kube_state_metrics::registry::Shard;
///
/// let shard = Shard::new(1, 2)?;
/// assert!(shard.owns("f6674cdf-4c09-4967-8fee-3c11732a4852"));
/// assert!(!shard.owns("e41b66d4-13c6-4bdc-a996-431cfcb2185a"));
/// # Ok::<(), kube_state_metrics::registry::ShardError>(())
/// ```
///
/// [`by_range`](Self::by_range) selects another partition, which divides the range of the hash into equal parts. The
/// two partitions may assign an object to different shards.
///
/// ```
/// use kube_state_metrics::registry::Shard;
///
/// let shard = Shard::new(1, 2)?;
/// assert_eq!((shard.index(), shard.total(), shard.is_by_range()), (1, 2, false));
/// assert!(shard.by_range().is_by_range());
/// # Ok::<(), kube_state_metrics::registry::ShardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: u32,
    total: u32,
    partition: Partition,
}

/// The error for a shard that cannot exist.
///
/// ```
/// use kube_state_metrics::registry::{Shard, ShardError};
///
/// assert_eq!(Shard::new(0, 0), Err(ShardError::NoShards));
/// assert_eq!(Shard::new(2, 2), Err(ShardError::OutOfRange { index: 2, total: 2 }));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The number of shards is 0.
    #[error("the number of shards is 0; use 1 for no sharding")]
    NoShards,
    /// The index is not less than the number of shards.
    #[error("shard {index} of {total} does not exist; shards are numbered from 0 to {}", total - 1)]
    OutOfRange {
        /// The given index.
        index: u32,
        /// The number of shards.
        total: u32,
    },
}

debug_is_display!(ShardError);

/// A partition: a method that assigns objects to shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Partition {
    /// A jump consistent hash of the hash of the uid, as in kube-state-metrics.
    #[default]
    Jump,
    /// Equal ranges of the hash of the uid. An API server can select the objects of a range.
    Ranges,
}

/// The objects that a store accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectFilter {
    /// Accepted namespaces. If the list is empty, all namespaces are accepted. The list does not apply to
    /// cluster-scoped kinds.
    pub(crate) namespaces: BTreeSet<String>,
    /// Denied namespaces.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) shard: Shard,
    /// Earlier shards of this exporter. The store still accepts the objects of these shards, until other exporters
    /// serve these objects.
    pub(crate) leaving: Vec<Shard>,
}

// === impl Shard ===

impl Shard {
    /// Creates the shard with the index `index`, which starts at 0, of `total` shards.
    ///
    /// # Errors
    ///
    /// Returns an error if `total` is 0, or if `index` is not less than `total`.
    pub fn new(index: u32, total: u32) -> Result<Self, ShardError> {
        match total {
            0 => Err(ShardError::NoShards),
            _ if index >= total => Err(ShardError::OutOfRange { index, total }),
            _ => Ok(Self::of_replica(index, total)),
        }
    }

    /// Creates the shard of a replica. If `index` is not less than `total`, the shard contains no objects.
    pub(crate) fn of_replica(index: u32, total: u32) -> Self {
        Self {
            index,
            total,
            partition: Partition::Jump,
        }
    }

    /// Returns the shard with the same index, but in the partition into equal ranges of the hash.
    ///
    /// An API server may support sharded lists ([KEP-5866](https://github.com/kubernetes/enhancements/issues/5866),
    /// alpha in Kubernetes 1.36). Such a server then sends only the objects of the shard. Other servers send all
    /// objects, and the store drops the objects of other shards. All exporters of a cluster must use the same
    /// partition, because an object may have different shards in the two partitions.
    #[must_use]
    pub fn by_range(self) -> Self {
        Self {
            partition: Partition::Ranges,
            ..self
        }
    }

    /// Whether the shard belongs to the partition into equal ranges of the hash.
    #[must_use]
    pub fn is_by_range(self) -> bool {
        self.partition == Partition::Ranges
    }

    /// The index of the shard, which starts at 0.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of shards.
    #[must_use]
    pub fn total(self) -> u32 {
        self.total
    }

    /// Whether the object with this `metadata.uid` belongs to the shard.
    #[must_use]
    pub fn owns(self, uid: &str) -> bool {
        if self.total <= 1 || self.index >= self.total {
            return self.index < self.total;
        }
        let hash = fnv1a(uid.as_bytes());
        match self.partition {
            Partition::Jump => jump_hash(hash, self.total) == self.index,
            Partition::Ranges => {
                let (start, end) = self.range();
                (start..end).contains(&u128::from(hash))
            }
        }
    }

    /// The first hash in the range of the shard, and the first hash after the range.
    fn range(self) -> (u128, u128) {
        let bound = |index: u32| (u128::from(index) << 64) / u128::from(self.total.max(1));
        (bound(self.index), bound(self.index.saturating_add(1)))
    }

    /// The value of `ListOptions.shardSelector` for these shards. An API server then sends only their objects. `None`
    /// if a selector cannot select the objects of these shards.
    ///
    /// Source: [`ListOptions`](https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#ListOptions).
    #[cfg(feature = "watch")]
    pub(crate) fn selector(shards: &[Self]) -> Option<String> {
        let everything = |shard: &Self| !shard.is_by_range() || shard.total == 1;
        if shards.iter().any(everything) {
            return None;
        }
        let ranges = shards.iter().filter(|shard| shard.index < shard.total);
        let terms = ranges.map(|shard| {
            let (start, end) = shard.range();
            format!("shardRange(object.metadata.uid, '0x{start:016x}', '0x{end:016x}')")
        });
        let terms: Vec<_> = terms.collect();
        if terms.is_empty() {
            // The shards contain no objects, but a range in a selector must not be empty. So the selector has the
            // smallest possible range.
            let (start, end) = ("0x0000000000000000", "0x0000000000000001");
            return Some(format!(
                "shardRange(object.metadata.uid, '{start}', '{end}')"
            ));
        }
        Some(terms.join(" || "))
    }
}

impl Default for Shard {
    /// A single shard with all objects: index 0 of 1.
    fn default() -> Self {
        Self::of_replica(0, 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.index >= self.total {
            return write!(f, "none of {}", self.total);
        }
        write!(f, "{} of {}", self.index, self.total)
    }
}

// === impl ObjectFilter ===

impl ObjectFilter {
    /// Whether the store accepts all objects.
    #[cfg(feature = "watch")]
    pub(crate) fn is_everything(&self) -> bool {
        self.namespaces.is_empty() && self.denied.is_empty() && self.shard.total() == 1
    }

    /// Whether the store accepts an object. For a cluster-scoped object, `namespace` is empty.
    pub(crate) fn takes(&self, namespace: &str, uid: &str) -> bool {
        self.takes_namespace(namespace)
            && (self.shard.owns(uid) || self.leaving.iter().any(|shard| shard.owns(uid)))
    }

    /// Whether the store accepts the objects of a namespace. The shard is not checked.
    pub(crate) fn takes_namespace(&self, namespace: &str) -> bool {
        namespace.is_empty()
            || (self.namespaces.is_empty() || self.namespaces.contains(namespace))
                && !self.denied.contains(namespace)
    }
}

/// Computes the 64-bit FNV-1a hash. Source: [RFC 9923](https://www.rfc-editor.org/rfc/rfc9923).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the bucket of a key, from 0 to `buckets - 1`, by the jump consistent hash of Lamping and Veach.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn jump_hash(mut key: u64, buckets: u32) -> u32 {
    let (mut bucket, mut next) = (0_u32, 0_u64);
    while next < u64::from(buckets) {
        bucket = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let quotient = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((f64::from(bucket) + 1.0) * quotient) as u64;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn shards_agree_with_the_reference_object_by_object() {
        let cases = include_str!("../tests/conformance/process/sharding.jsonl");
        let mut checked = 0;
        for line in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let uid = case["uid"].as_str().unwrap();
            assert_eq!(
                format!("{:016x}", fnv1a(uid.as_bytes())),
                case["fnv1a64"].as_str().unwrap()
            );
            let owners: BTreeMap<String, u32> =
                serde_json::from_value(case["shard"].clone()).unwrap();
            for (total, owner) in owners {
                let total = total.parse().unwrap();
                let owned = (0..total).filter(|&index| Shard::new(index, total).unwrap().owns(uid));
                assert_eq!(owned.collect::<Vec<_>>(), [owner], "{uid} of {total}");
                checked += 1;
            }
        }
        assert!(checked > 200, "{checked}");
    }

    #[test]
    fn a_shard_out_of_range_is_refused() {
        assert_eq!(Shard::new(0, 0), Err(ShardError::NoShards));
        let error = Shard::new(3, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shard 3 of 3 does not exist; shards are numbered from 0 to 2"
        );
    }

    #[test]
    fn ranges_are_a_partition() {
        let uids = include_str!("../tests/conformance/process/sharding.jsonl").lines();
        let uids = uids.map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            case["uid"].as_str().unwrap().to_owned()
        });
        let uids: Vec<_> = uids.collect();
        for total in [1, 2, 3, 7, 100] {
            for uid in &uids {
                let shards = (0..total).map(|index| Shard::new(index, total).unwrap().by_range());
                let owners = shards.filter(|shard| shard.owns(uid));
                assert_eq!(owners.count(), 1, "{uid} of {total}");
            }
        }
        let low = Shard::new(0, 2).unwrap().by_range();
        assert!(!low.owns("a"), "af63dc4c8601ec8c is in the upper half");
        assert!(low.owns("abc") != Shard::new(1, 2).unwrap().by_range().owns("abc"));
    }

    #[cfg(feature = "watch")]
    #[test]
    fn ranges_are_spelled_as_the_server_wants_them() {
        let range = |index, total| Shard::of_replica(index, total).by_range();
        let (low, high) = (
            "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')",
            "shardRange(object.metadata.uid, '0xaaaaaaaaaaaaaaaa', '0x10000000000000000')",
        );
        let selector = |shards: &[Shard]| Shard::selector(shards);
        assert_eq!(selector(&[range(0, 2)]).as_deref(), Some(low));
        assert_eq!(selector(&[range(2, 3)]).as_deref(), Some(high));
        let both = format!("{low} || {high}");
        assert_eq!(selector(&[range(0, 2), range(2, 3)]), Some(both));
        assert_eq!(selector(&[range(0, 2), range(0, 1)]), None);
        assert_eq!(selector(&[Shard::of_replica(0, 2)]), None);
        assert!(selector(&[range(2, 2)]).is_some_and(|text| text.contains("'0x0000000000000001'")));
    }

    #[test]
    fn a_surplus_replica_owns_nothing() {
        for (index, total) in [(1, 1), (3, 2), (0, 0)] {
            let shard = Shard::of_replica(index, total);
            assert!(!shard.owns("a") && !shard.by_range().owns("a"), "{shard}");
        }
    }

    #[test]
    fn objects_that_leave_are_taken_until_they_are_handed_over() {
        let filter = ObjectFilter {
            shard: Shard::new(0, 2).unwrap(),
            leaving: vec![Shard::default()],
            ..ObjectFilter::default()
        };
        let (stays, leaves) = (
            "e41b66d4-13c6-4bdc-a996-431cfcb2185a",
            "f6674cdf-4c09-4967-8fee-3c11732a4852",
        );
        assert!(filter.takes("a", stays) && filter.takes("a", leaves));
        let filter = ObjectFilter {
            leaving: Vec::new(),
            ..filter
        };
        assert!(filter.takes("a", stays) && !filter.takes("a", leaves));
    }

    #[test]
    fn namespaces_do_not_concern_cluster_scoped_objects() {
        let filter = ObjectFilter {
            namespaces: BTreeSet::from(["a".into(), "b".into()]),
            denied: BTreeSet::from(["b".into()]),
            ..ObjectFilter::default()
        };
        assert!(filter.takes("", "1"));
        assert!(filter.takes("a", "1"));
        assert!(!filter.takes("b", "1"));
        assert!(!filter.takes("c", "1"));
    }
}
