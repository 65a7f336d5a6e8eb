//! The resource `leases`: its families show the owners, the holder and the renew time of each lease.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::common;
use crate::family::Samples;
use crate::{Collector, Family};

/// The families of leases.
///
/// ```
/// use kube_state_metrics::families::leases;
///
/// assert!(leases().iter().any(|family| family.descriptor().name() == "kube_lease_owner"));
/// ```
#[must_use]
pub fn leases() -> Collector<Lease> {
    type F = Family<Lease>;
    // The namespace is not a base label here. Each family adds the label with the namespace at the same position as in
    // kube-state-metrics.
    Collector::new()
        .no_base_labels()
        .name_label("lease")
        .families([
            F::gauge(
                "kube_lease_owner",
                "Always 1 for each owner of the lease, or once with empty owner labels if it has \
                 no owner; `lease_holder` is the identity of the holder, such as an elected \
                 leader.",
            )
            .labels(["owner_kind", "owner_name", "namespace", "lease_holder"])
            .reads([
                "metadata.ownerReferences.kind",
                "metadata.ownerReferences.name",
                "spec.holderIdentity",
            ])
            .generate(|lease, s| {
                let owners = lease
                    .metadata
                    .owner_references
                    .as_deref()
                    .unwrap_or_default();
                for reference in owners {
                    owner(lease, &reference.kind, &reference.name, s);
                }
                if owners.is_empty() {
                    owner(lease, "", "", s);
                }
            }),
            F::gauge(
                "kube_lease_renew_time",
                "Unix time when the holder last renewed the lease, in whole seconds; absent if the \
             lease was never renewed.",
            )
            .labels(["namespace"])
            .reads(["spec.renewTime"])
            .generate(|lease, s| {
                let renewed = lease
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.renew_time.as_ref());
                if let Some(time) = common::unix(renewed.map(|time| Time(time.0)).as_ref()) {
                    s.label("namespace", lease.metadata.namespace.as_deref())
                        .value(time);
                }
            }),
        ])
}

fn owner(lease: &Lease, kind: &str, name: &str, s: &mut Samples<'_>) {
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref());
    s.label("owner_kind", kind)
        .label("owner_name", name)
        .label("namespace", lease.metadata.namespace.as_deref())
        .label("lease_holder", holder)
        .value(1);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::families::testing::{family, samples};

    fn renewed_at(time: &str) -> Vec<String> {
        let object = json!({ "spec": { "renewTime": time } });
        family(leases(), "kube_lease_renew_time", &object)
    }

    #[test]
    fn every_owner_shows_the_holder() {
        let node = json!({ "kind": "Node", "name": "a", "controller": true });
        let object = json!({
            "metadata": {
                "namespace": "kube-node-lease",
                "name": "a",
                "creationTimestamp": "2023-11-14T22:13:20Z",
                "ownerReferences": [node, { "kind": "Node", "name": "b" }, null, node],
            },
            "spec": { "holderIdentity": "me", "acquireTime": "2023-11-14T22:13:20.000000Z" },
        });
        assert_eq!(
            samples(leases(), &object),
            [
                r#"kube_lease_owner{lease="a",owner_kind="Node",owner_name="a",namespace="kube-node-lease",lease_holder="me"} 1"#,
                r#"kube_lease_owner{lease="a",owner_kind="Node",owner_name="b",namespace="kube-node-lease",lease_holder="me"} 1"#,
                r#"kube_lease_owner{lease="a",owner_kind="",owner_name="",namespace="kube-node-lease",lease_holder="me"} 1"#,
            ]
        );
    }

    #[test]
    fn a_renewal_is_rounded_down_to_the_second() {
        let seconds = |value| {
            [format!(
                r#"kube_lease_renew_time{{lease="",namespace=""}} {value}"#
            )]
        };
        assert_eq!(renewed_at("1970-01-01T00:00:00.000000Z"), seconds("0"));
        assert_eq!(renewed_at("1969-12-31T23:59:58.500000Z"), seconds("-2"));
        assert_eq!(renewed_at("1970-01-01T00:00:05,999999Z"), seconds("5"));
        assert_eq!(renewed_at("1970-01-01T00:00:05Z"), seconds("5"));
    }

    #[test]
    fn only_the_second_of_the_zero_time_stands_for_no_renewal() {
        assert!(renewed_at("0001-01-01T01:00:00.000000+01:00").is_empty());
        assert!(renewed_at("0001-01-01T00:00:00.000001Z").is_empty());
        assert_eq!(
            renewed_at("0001-01-01T00:00:01.000000Z"),
            [r#"kube_lease_renew_time{lease="",namespace=""} -6.2135596799e+10"#]
        );
    }
}
