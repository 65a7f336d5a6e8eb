//! [`LeaseRecord`]: the fields of a Lease that the election uses.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

use crate::options::LONGEST_LEASE;

/// A resource version for each watched resource. If the exporter watches a resource per namespace, the map has a
/// version for each namespace. A version is `None` if it is not a number, because such a version cannot be compared.
pub(crate) type Versions = BTreeMap<String, Option<u64>>;

/// The resource versions of the objects that a replica exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// For each resource, the version of the newest object.
    pub(crate) newest: Versions,
    /// For each resource, the version up to which the replica has received all changes.
    pub(crate) received: Versions,
}

/// The fields of a Lease that the election uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseRecord {
    /// The value of `metadata.resourceVersion`.
    pub(super) version: String,
    /// The identity of the leader; empty if there is none.
    pub(super) holder: String,
    /// The duration of the Lease; [`RELEASED`] if the leader has released the Lease. A longer duration than
    /// [`LONGEST_LEASE`] in the Lease counts as [`LONGEST_LEASE`]. Otherwise a wrong edit of the duration could prevent
    /// all replicas from becoming the leader for years.
    pub(super) duration: Duration,
    /// When the leader last renewed the Lease, by the leader's clock. Other replicas only check whether this text has
    /// changed, which means that the leader has renewed the Lease. The field is a text because `jiff` cannot parse all
    /// times that the API server accepts, such as the end of the year 9999.
    pub(super) renewed: Option<String>,
    /// How often the leader has changed.
    pub(super) transitions: i32,
    /// The offer of a leader that is leaving: the versions of its newest objects. A standby that has received these
    /// versions may accept the offer.
    pub(super) offer: Option<Versions>,
    /// The standby that has accepted the offer.
    pub(super) successor: Option<String>,
}

/// The duration that a leader writes when it releases the Lease. client-go uses the same value.
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

    /// Whether the previous leader has stopped serving and has released the Lease.
    pub(super) fn is_released(&self) -> bool {
        // If somebody edits the Lease and removes the duration, the Lease does not count as released, because the
        // leader may still serve.
        !self.is_held() && self.duration == RELEASED
    }

    /// Whether the Lease has no leader, although the last leader has not released it. Somebody has then deleted or
    /// edited the Lease.
    pub(super) fn is_vacant(&self) -> bool {
        !self.is_held() && !self.is_released()
    }

    /// Whether the Lease has not been renewed since the state `before`. Edits of labels and annotations, and standbys
    /// that accept an offer, do not change the result. If somebody restores an older state of the Lease, the result may
    /// be wrong.
    pub(super) fn has_term_of(&self, before: &Self) -> bool {
        // If the time of the renewal is missing, only the version can show that the Lease is unchanged. For example,
        // somebody may remove the fields of the Lease, the leader may renew the Lease, and somebody may remove the
        // fields again. Then the fields of both states are equal, although the leader has renewed the Lease.
        let is_renewed = self.renewed.is_some();
        let is_same_term = self.renewed == before.renewed
            && self.transitions == before.transitions
            && self.duration == before.duration;
        self.version == before.version || is_renewed && self.holder == before.holder && is_same_term
    }

    /// Whether this record is a renewal of a Lease whose leader is `holder`. The write of a standby that accepts an
    /// offer is not a renewal.
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
            // An offer that cannot be parsed counts as no offer, so no standby accepts it. If no standby accepts an
            // offer in time, the leader releases the Lease.
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
        // This conversion never fails, because a map with text keys always has a JSON form.
        let offer = offer.and_then(|versions| serde_json::to_string(versions).ok());
        // If the offer is too long for an annotation, the leader writes an offer without versions. Every standby that
        // meets the readiness policy may accept such an offer.
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
        // The API server refuses a duration of 0.
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

/// The group, version and kind of Leases.
pub(super) fn lease_resource() -> ApiResource {
    ApiResource::erase::<Lease>(&())
}

/// A Lease without a specification.
pub(super) fn new_lease(name: &str) -> DynamicObject {
    DynamicObject::new(name, &lease_resource()).data(json!({}))
}

/// The duration in a Lease, in seconds; 0 if the Lease has no duration. The result may exceed [`LONGEST_LEASE`].
pub(super) fn duration_seconds(lease: &DynamicObject) -> u64 {
    let seconds = &lease.data["spec"][DURATION];
    seconds.as_u64().unwrap_or_default()
}

/// Formats `now` like the API server. If the result would be equal to `before`, adds one microsecond. Standbys
/// recognize a renewal by its time, so each renewal must have a different time, even if the clock does not advance.
fn time_text(now: Timestamp, before: &str) -> String {
    let text = format!("{now:.6}");
    if text != before {
        return text;
    }
    let later = Timestamp::from_microsecond(now.as_microsecond() + 1);
    format!("{:.6}", later.unwrap_or(now))
}

/// Whether a replica exports each offered resource, at least in the offered version. `own` contains, for each resource,
/// the version up to which the replica has received all changes.
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
        // A standby that accepts the offer does not renew the Lease. The next leader removes both annotations.
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
        // Edits of labels and annotations, which also change the version, do not count as renewals.
        let edited = LeaseRecord {
            version: "9".into(),
            ..third.clone()
        };
        assert!(edited.has_term_of(&third));
        // Both states lack the fields, but a leader may have renewed the Lease between the two states.
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
        // A write replaces the whole object, so it must contain all fields.
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
