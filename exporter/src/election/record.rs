//! [`LeaseRecord`]: the fields of a Lease that the election uses.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

use crate::options::LONGEST_LEASE;

/// The resource version of each resource, or of each resource in a namespace. If the versions of a resource cannot be
/// compared, its entry is `None`.
pub(crate) type Versions = BTreeMap<String, Option<u64>>;

/// The versions of the objects that a replica exports. A replica has these versions when it meets the readiness policy.
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
    /// there was another renewal. The time is a text: `jiff` does not support all times that the API server accepts,
    /// such as the end of the year 9999.
    pub(super) renewed: Option<String>,
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
/// The fields of the specification of a Lease.
const HOLDER: &str = "holderIdentity";
const DURATION: &str = "leaseDurationSeconds";
const ACQUIRED: &str = "acquireTime";
const RENEWED: &str = "renewTime";
const TRANSITIONS: &str = "leaseTransitions";

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
    /// acceptances of offers, do not change the result. If somebody restores an older state of the Lease, the result
    /// may be wrong.
    pub(super) fn has_term_of(&self, before: &Self) -> bool {
        // If somebody removes the fields of a Lease twice, both states of the Lease are equal, although a leader may
        // have renewed the Lease between them. So states without a renewal cannot be compared.
        let is_renewed = self.renewed.is_some();
        let is_same_term = self.renewed == before.renewed
            && self.transitions == before.transitions
            && self.duration == before.duration;
        self.version == before.version || is_renewed && self.holder == before.holder && is_same_term
    }

    /// Whether a write of this record renews a Lease whose leader is `holder`. A standby that accepts an offer does not
    /// renew the Lease.
    pub(super) fn renews(&self, holder: Option<&str>) -> bool {
        self.successor.is_none() || holder != Some(&self.holder)
    }

    pub(super) fn of(lease: &DynamicObject) -> Self {
        let spec = &lease.data["spec"];
        let text = |key: &str| spec[key].as_str().map(str::to_owned);
        let annotations = lease.metadata.annotations.as_ref();
        let annotation = |key| annotations.and_then(|all| all.get(key));
        Self {
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            holder: text(HOLDER).unwrap_or_default(),
            duration: Duration::from_secs(duration_seconds(lease)).min(LONGEST_LEASE),
            renewed: text(RENEWED),
            transitions: spec[TRANSITIONS]
                .as_i64()
                .and_then(|own| i32::try_from(own).ok())
                .unwrap_or_default(),
            // No standby accepts an offer that cannot be parsed. The leader then releases the Lease when its time ends.
            offer: annotation(OFFER).and_then(|json| serde_json::from_str(json).ok()),
            successor: annotation(SUCCESSOR).cloned(),
        }
    }

    /// Writes the record into a Lease. The function keeps other fields, other annotations and the labels.
    pub(super) fn write(&self, lease: &mut DynamicObject, now: Timestamp) {
        let metadata = &mut lease.metadata;
        metadata.resource_version = Some(self.version.clone()).filter(|own| !own.is_empty());
        let annotations = metadata.annotations.get_or_insert_default();
        let offer = self.offer.as_ref();
        // A map with text keys always has a JSON form.
        let offer = offer.and_then(|versions| serde_json::to_string(versions).ok());
        // An offer that is too long is replaced by an offer without versions. Every standby that meets the readiness
        // policy may accept such an offer.
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
        let mut spec = match lease.data.get_mut("spec").map(Value::take) {
            Some(Value::Object(spec)) => spec,
            _ => Map::new(),
        };
        let text = |key| spec.get(key).and_then(Value::as_str);
        let (holder, renewed) = (text(HOLDER), text(RENEWED));
        let renewal = self
            .renews(holder)
            .then(|| time_text(now, renewed.unwrap_or_default()));
        let acquired = (holder != Some(&self.holder)).then(|| time_text(now, ""));
        // The API server refuses 0.
        let seconds = self.duration.as_millis().div_ceil(1000).max(1);
        let fields = [
            (ACQUIRED, acquired.map(Value::from)),
            (RENEWED, renewal.map(Value::from)),
            (HOLDER, Some(json!(self.holder))),
            (
                DURATION,
                Some(json!(i32::try_from(seconds).unwrap_or(i32::MAX))),
            ),
            (TRANSITIONS, Some(json!(self.transitions))),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                spec.insert(key.to_owned(), value);
            }
        }
        match &mut lease.data {
            Value::Object(data) => drop(data.insert("spec".to_owned(), Value::Object(spec))),
            data => *data = json!({ "spec": spec }),
        }
    }
}

/// The API of Leases.
pub(super) fn lease_resource() -> ApiResource {
    ApiResource::erase::<Lease>(&())
}

/// A Lease without a specification.
pub(super) fn new_lease(name: &str) -> DynamicObject {
    DynamicObject::new(name, &lease_resource()).data(json!({}))
}

/// The duration of a Lease in seconds, also if it is longer than [`LONGEST_LEASE`]; 0 if it has none.
pub(super) fn duration_seconds(lease: &DynamicObject) -> u64 {
    let seconds = &lease.data["spec"][DURATION];
    seconds.as_u64().unwrap_or_default()
}

/// The text of `now` in the format of the API server. If `before` is the same text, the result is one microsecond
/// later. Standbys recognize a renewal by its time, so each renewal must have a different time, even if the clock does
/// not advance.
fn time_text(now: Timestamp, before: &str) -> String {
    let text = format!("{now:.6}");
    if text != before {
        return text;
    }
    let later = Timestamp::from_microsecond(now.as_microsecond() + 1);
    format!("{:.6}", later.unwrap_or(now))
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
        let mut lease = new_lease("l");
        lease.metadata.labels = Some([("team".to_owned(), "x".to_owned())].into());
        lease.metadata.annotations = Some([("other".to_owned(), "y".to_owned())].into());
        let record = LeaseRecord {
            version: "7".into(),
            holder: "a".into(),
            duration: Duration::from_secs(15),
            renewed: Some("1970-01-01T00:00:00.000000Z".into()),
            transitions: 3,
            offer: Some([("pods".to_owned(), Some(5)), ("nodes".to_owned(), None)].into()),
            successor: None,
        };
        record.write(&mut lease, Timestamp::UNIX_EPOCH);
        assert_eq!(LeaseRecord::of(&lease), record);
        let spec = lease.data["spec"].clone();
        assert_eq!(spec[RENEWED], spec[ACQUIRED]);
        // The acceptance of a standby does not renew the Lease; the next leader removes both annotations.
        let accepted = LeaseRecord {
            successor: Some("b".into()),
            ..record.clone()
        };
        let later = Timestamp::from_second(60).unwrap();
        accepted.write(&mut lease, later);
        assert_eq!(LeaseRecord::of(&lease), accepted);
        assert_eq!(lease.data["spec"][RENEWED], spec[RENEWED]);
        assert!(accepted.has_term_of(&record));
        let handed_over = LeaseRecord {
            holder: "b".into(),
            offer: None,
            ..record
        };
        handed_over.write(&mut lease, later);
        let annotations = lease.metadata.annotations.clone().unwrap();
        assert_eq!(annotations.len(), 1, "{annotations:?}");
        assert_ne!(lease.data["spec"][ACQUIRED], spec[ACQUIRED]);
        assert!(lease.metadata.labels.is_some());
    }

    #[test]
    fn each_renewal_has_another_time_although_the_clock_stands_still() {
        let mut lease = new_lease("l");
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
        // A leader may have repaired the Lease before somebody removed the fields of the Lease again.
        let removed = |version: &str| LeaseRecord {
            version: version.into(),
            ..LeaseRecord::default()
        };
        assert!(!removed("11").has_term_of(&removed("10")));
    }

    #[test]
    fn a_time_that_no_clock_can_have_is_only_a_text() {
        let edited = json!({
            "metadata": { "name": "l", "resourceVersion": "7" },
            "spec": {
                "holderIdentity": "gone", "leaseDurationSeconds": 15,
                "acquireTime": "9999-12-31T00:00:00.000000Z", "renewTime": "9999-12-31T00:00:00.000000Z",
                "other": { "kept": true },
            },
        });
        let mut lease: DynamicObject = serde_json::from_value(edited).unwrap();
        let before = LeaseRecord::of(&lease);
        assert_eq!(
            before.renewed.as_deref(),
            Some("9999-12-31T00:00:00.000000Z")
        );
        let claimed = LeaseRecord {
            holder: "a".into(),
            ..before.clone()
        };
        claimed.write(&mut lease, Timestamp::UNIX_EPOCH);
        let spec = &lease.data["spec"];
        assert_eq!(spec[ACQUIRED], "1970-01-01T00:00:00.000000Z");
        assert_eq!(spec[RENEWED], spec[ACQUIRED]);
        assert_eq!(spec["other"]["kept"], true);
        assert!(!LeaseRecord::of(&lease).has_term_of(&LeaseRecord {
            version: "6".into(),
            ..before
        }));
        // The API server needs all fields of the object in a write.
        let written = serde_json::to_value(&lease).unwrap();
        assert_eq!(written["metadata"]["resourceVersion"], "7");
        assert_eq!(written["spec"]["holderIdentity"], "a");
        let new = serde_json::to_value(new_lease("l")).unwrap();
        assert_eq!(new["apiVersion"], "coordination.k8s.io/v1");
        assert_eq!(new["kind"], "Lease");
    }

    #[test]
    fn an_edited_duration_counts_up_to_the_longest_that_a_replica_can_have() {
        let mut lease = new_lease("l");
        for (seconds, expected) in [(20, 20), (i32::MAX, 300), (-1, 0)] {
            lease.data["spec"][DURATION] = json!(seconds);
            assert_eq!(
                LeaseRecord::of(&lease).duration,
                Duration::from_secs(expected)
            );
        }
    }

    #[test]
    fn a_lease_without_a_leader_is_released_only_by_its_leader() {
        let mut released = new_lease("l");
        let record = LeaseRecord {
            duration: RELEASED,
            ..LeaseRecord::default()
        };
        record.write(&mut released, Timestamp::UNIX_EPOCH);
        assert!(LeaseRecord::of(&released).is_released());
        for data in [json!({}), json!({ "spec": {} }), json!({ "spec": null })] {
            let edited = DynamicObject {
                data,
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
        let mut lease = new_lease("l");
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
