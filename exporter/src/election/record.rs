//! [`LeaseRecord`]: the fields of a Lease that the election uses.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use crate::options::LONGEST_LEASE;

/// A version of each resource, or of each resource in a namespace. A resource whose versions cannot be compared has
/// `None`.
pub(crate) type Versions = BTreeMap<String, Option<u64>>;

/// What a complete replica exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// The versions of the newest objects.
    pub(crate) newest: Versions,
    /// The versions up to which the replica has received all changes.
    pub(crate) received: Versions,
}

/// The fields of a Lease that the election uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseRecord {
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    /// The identity of the leader; empty if there is none.
    pub(super) holder: String,
    /// The duration of the Lease; [`RELEASED`] if the leader has released the Lease. The value is at most
    /// [`LONGEST_LEASE`], because no replica writes a longer duration. Without this maximum, an edited duration could
    /// prevent all replicas from leading for years.
    pub(super) duration: Duration,
    /// When the leader last renewed the Lease, by the leader's clock. Other replicas use this time only to see that
    /// there was another renewal.
    pub(super) renewed: Option<Timestamp>,
    /// How often the leader has changed.
    pub(super) transitions: i32,
    /// The versions of the newest objects of the leader, if the leader offers the Lease. A standby that has received
    /// these versions may accept the offer.
    pub(super) offer: Option<Versions>,
    /// The standby that has accepted the offer.
    pub(super) successor: Option<String>,
}

/// The duration of a Lease that its leader has released, as in client-go.
pub(super) const RELEASED: Duration = Duration::from_secs(1);
/// Maximum length of an offer, in bytes. The API server limits all annotations of an object together to 256 KiB.
const MAX_OFFER: usize = 128 << 10;
/// The annotation with [`LeaseRecord::offer`], as JSON.
const OFFER: &str = "kube-state-metrics/hand-over";
/// The annotation with [`LeaseRecord::successor`].
const SUCCESSOR: &str = "kube-state-metrics/successor";

// === impl LeaseRecord ===

impl LeaseRecord {
    /// Whether the Lease has a leader.
    pub(super) fn is_held(&self) -> bool {
        !self.holder.is_empty()
    }

    /// Whether the last leader has stopped serving and has released the Lease.
    pub(super) fn is_released(&self) -> bool {
        // An edited Lease without a duration is not released, because its leader may still serve.
        !self.is_held() && self.duration == RELEASED
    }

    /// Whether the Lease has no leader, although no leader has released it: somebody has deleted or edited the Lease.
    pub(super) fn is_vacant(&self) -> bool {
        !self.is_held() && !self.is_released()
    }

    /// Whether no leader has written the Lease since it had the state `before`. Edits of labels and annotations, and
    /// acceptances of offers, do not change the result. If somebody writes an older state back, the result may be
    /// wrong.
    pub(super) fn has_term_of(&self, before: &Self) -> bool {
        // A Lease without a renewal looks the same each time that somebody removes its fields, so its states cannot be
        // compared.
        let is_renewed = self.renewed.is_some();
        let term = |own: &Self| (own.renewed, own.transitions, own.duration);
        self.version == before.version
            || is_renewed && self.holder == before.holder && term(self) == term(before)
    }

    /// Whether a write of this record renews a Lease whose leader is `holder`. A standby that accepts an offer does not
    /// renew the Lease.
    pub(super) fn renews(&self, holder: Option<&str>) -> bool {
        self.successor.is_none() || holder != Some(&self.holder)
    }

    pub(super) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let annotations = lease.metadata.annotations.as_ref();
        let annotation = |key| annotations.and_then(|all| all.get(key));
        Self {
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            holder: spec.holder_identity.unwrap_or_default(),
            duration: Duration::from_secs(duration_seconds(lease)).min(LONGEST_LEASE),
            renewed: spec.renew_time.map(|own| own.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
            // No standby accepts an offer that cannot be parsed. The leader then releases the Lease when its time ends.
            offer: annotation(OFFER).and_then(|json| serde_json::from_str(json).ok()),
            successor: annotation(SUCCESSOR).cloned(),
        }
    }

    /// Writes the record into a Lease. Other fields, other annotations and the labels stay.
    pub(super) fn write(&self, lease: &mut Lease, now: Timestamp) {
        let metadata = &mut lease.metadata;
        metadata.resource_version = Some(self.version.clone()).filter(|own| !own.is_empty());
        let annotations = metadata.annotations.get_or_insert_default();
        let offer = self.offer.as_ref();
        // A map with text keys always has a JSON form.
        let offer = offer.and_then(|versions| serde_json::to_string(versions).ok());
        // An offer that is too long is replaced by an offer without versions, which every complete standby may accept.
        let offer = offer.map(|json| match json.len() <= MAX_OFFER {
            true => json,
            false => "{}".to_owned(),
        });
        for (key, value) in [(OFFER, offer), (SUCCESSOR, self.successor.clone())] {
            match value {
                Some(value) => drop(annotations.insert(key.to_owned(), value)),
                None => drop(annotations.remove(key)),
            }
        }
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        let renews = self.renews(spec.holder_identity.as_deref());
        if spec.holder_identity.as_ref() != Some(&self.holder) {
            spec.acquire_time = Some(MicroTime(now));
        }
        if renews {
            let before = spec.renew_time.as_ref();
            spec.renew_time = Some(MicroTime(other_time(now, before.map(|own| own.0))));
        }
        spec.holder_identity = Some(self.holder.clone());
        // The API server refuses 0.
        let seconds = self.duration.as_millis().div_ceil(1000).max(1);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        spec.lease_transitions = Some(self.transitions);
    }
}

/// The duration of a Lease in seconds, also if it is longer than [`LONGEST_LEASE`]; 0 if it has none.
pub(super) fn duration_seconds(lease: &Lease) -> u64 {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    u64::try_from(seconds.unwrap_or_default()).unwrap_or_default()
}

/// `now`, or a time one microsecond later if the Lease has this time already. Standbys recognize a renewal by its time,
/// so each renewal must have another time, even if the clock stands still.
fn other_time(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let micros = now.as_microsecond();
    let is_equal = before.is_some_and(|own| own.as_microsecond() == micros);
    Timestamp::from_microsecond(micros + i64::from(is_equal)).unwrap_or(now)
}

/// Whether a replica exports all offered resources, in the offered versions or newer ones. `own` are the versions up to
/// which the replica has received all changes.
pub(super) fn covers(own: &Versions, offered: &Versions) -> bool {
    let covers = |(resource, version): (&String, &Option<u64>)| {
        let own = own.get(resource);
        own.is_some_and(|own| {
            own.zip(*version)
                .is_none_or(|(own, version)| own >= version)
        })
    };
    offered.iter().all(covers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_lease_and_leaves_other_fields() {
        let mut lease = Lease::default();
        lease.metadata.labels = Some([("team".to_owned(), "x".to_owned())].into());
        lease.metadata.annotations = Some([("other".to_owned(), "y".to_owned())].into());
        let record = LeaseRecord {
            version: "7".into(),
            holder: "a".into(),
            duration: Duration::from_secs(15),
            renewed: Some(Timestamp::UNIX_EPOCH),
            transitions: 3,
            offer: Some([("pods".to_owned(), Some(5)), ("nodes".to_owned(), None)].into()),
            successor: None,
        };
        record.write(&mut lease, Timestamp::UNIX_EPOCH);
        assert_eq!(LeaseRecord::of(&lease), record);
        let spec = lease.spec.clone().unwrap();
        assert_eq!(spec.renew_time, spec.acquire_time);
        // The acceptance of a standby does not renew the Lease; the next leader removes both annotations.
        let accepted = LeaseRecord {
            successor: Some("b".into()),
            ..record.clone()
        };
        let later = Timestamp::from_second(60).unwrap();
        accepted.write(&mut lease, later);
        assert_eq!(LeaseRecord::of(&lease), accepted);
        assert_eq!(lease.spec.clone().unwrap().renew_time, spec.renew_time);
        assert!(accepted.has_term_of(&record));
        let handed_over = LeaseRecord {
            holder: "b".into(),
            offer: None,
            ..record
        };
        handed_over.write(&mut lease, later);
        let annotations = lease.metadata.annotations.clone().unwrap();
        assert_eq!(annotations.len(), 1, "{annotations:?}");
        assert_ne!(lease.spec.unwrap().acquire_time, spec.acquire_time);
        assert!(lease.metadata.labels.is_some());
    }

    #[test]
    fn each_renewal_has_another_time_although_the_clock_stands_still() {
        let mut lease = Lease::default();
        let record = LeaseRecord {
            holder: "a".into(),
            ..LeaseRecord::default()
        };
        let mut version = 0;
        let mut renew = || {
            record.write(&mut lease, Timestamp::UNIX_EPOCH);
            version += 1;
            lease.metadata.resource_version = Some(version.to_string());
            LeaseRecord::of(&lease)
        };
        let (first, second, third) = (renew(), renew(), renew());
        assert!(!second.has_term_of(&first) && !third.has_term_of(&second));
        // Labels, annotations and the version are not part of the term.
        let edited = LeaseRecord {
            version: "9".into(),
            ..third.clone()
        };
        assert!(edited.has_term_of(&third));
        // A leader may have repaired the Lease before its fields were removed again.
        let removed = |version: &str| LeaseRecord {
            version: version.into(),
            ..LeaseRecord::default()
        };
        assert!(!removed("11").has_term_of(&removed("10")));
    }

    #[test]
    fn an_edited_duration_counts_up_to_the_longest_that_a_replica_can_have() {
        let mut lease = Lease::default();
        for (seconds, expected) in [(20, 20), (i32::MAX, 300), (-1, 0)] {
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            spec.lease_duration_seconds = Some(seconds);
            assert_eq!(
                LeaseRecord::of(&lease).duration,
                Duration::from_secs(expected)
            );
        }
    }

    #[test]
    fn a_lease_without_a_leader_is_released_only_by_its_leader() {
        let mut released = Lease::default();
        let record = LeaseRecord {
            duration: RELEASED,
            ..LeaseRecord::default()
        };
        record.write(&mut released, Timestamp::UNIX_EPOCH);
        assert!(LeaseRecord::of(&released).is_released());
        for spec in [None, Some(LeaseSpec::default())] {
            let edited = Lease {
                spec,
                ..released.clone()
            };
            assert!(LeaseRecord::of(&edited).is_vacant());
        }
    }

    #[test]
    fn an_offer_of_too_many_versions_names_none() {
        let versions = (0..MAX_OFFER).map(|at| (at.to_string(), None)).collect();
        let mut record = LeaseRecord {
            offer: Some(versions),
            ..LeaseRecord::default()
        };
        let mut lease = Lease::default();
        record.write(&mut lease, Timestamp::UNIX_EPOCH);
        assert_eq!(LeaseRecord::of(&lease).offer, Some(Versions::new()));
        record.offer = Some([("pods".to_owned(), Some(5))].into());
        record.write(&mut lease, Timestamp::UNIX_EPOCH);
        assert_eq!(LeaseRecord::of(&lease).offer, record.offer);
    }

    #[test]
    fn a_replica_covers_an_offer_if_it_has_all_resources_at_least_as_new() {
        let versions = |all: &[(&str, Option<u64>)]| -> Versions {
            let all = all.iter();
            all.map(|(name, version)| ((*name).to_owned(), *version))
                .collect()
        };
        let offered = versions(&[("pods", Some(5)), ("nodes", None)]);
        for (own, expected) in [
            (versions(&[("pods", Some(5)), ("nodes", Some(1))]), true),
            (
                versions(&[("pods", Some(9)), ("nodes", None), ("jobs", None)]),
                true,
            ),
            (versions(&[("pods", None), ("nodes", None)]), true),
            (versions(&[("pods", Some(4)), ("nodes", None)]), false),
            (versions(&[("pods", Some(5))]), false),
        ] {
            assert_eq!(covers(&own, &offered), expected, "{own:?}");
        }
        assert!(covers(&versions(&[]), &versions(&[])));
    }
}
