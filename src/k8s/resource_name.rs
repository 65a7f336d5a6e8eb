//! Classes of the names of compute resources, such as `cpu` or `nvidia.com/gpu`. The class determines the label `unit`
//! of a sample. In this file, a resource is a compute resource of a container or a node.
//!
//! The [Kubernetes resource model] defines the classes. If a name belongs to no class, there is no sample.
//!
//! [Kubernetes resource model]: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/

use std::{array, iter};

/// The unit of the quantities of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Processor cores.
    Core,
    /// Bytes of memory or storage. Attachable volumes also have this unit, although their values are numbers of
    /// volumes.
    Byte,
    /// A number, such as the number of pods or devices.
    Integer,
}

/// The units of one resource name. Each unit results in one sample, in this order.
pub(crate) type Units = iter::Flatten<array::IntoIter<Option<Unit>, 2>>;

/// Maximum length of a DNS subdomain, which is the prefix of a qualified name.
const MAX_SUBDOMAIN: usize = 253;
/// Maximum length of the name after the slash of a qualified name.
const MAX_NAME: usize = 63;
/// The prefix that ResourceQuotas put before a resource name. An extended resource name must also be valid with this
/// prefix.
const QUOTA_PREFIX: &str = "requests.";

impl Unit {
    /// The value of the label `unit`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Byte => "byte",
            Self::Integer => "integer",
        }
    }
}

/// The units of a resource in the requests or limits of a container. The result is empty if the resource has no sample.
pub(crate) fn container_units(name: &str) -> Units {
    match name {
        "cpu" => one(Unit::Core),
        "memory" | "storage" | "ephemeral-storage" => one(Unit::Byte),
        _ => prefixed_or_extended(name),
    }
}

/// The units of a resource in the capacity of a node. The result is empty if the resource has no sample.
pub(crate) fn node_units(name: &str) -> Units {
    if name == "pods" {
        one(Unit::Integer)
    } else {
        container_units(name)
    }
}

fn one(unit: Unit) -> Units {
    [Some(unit), None].into_iter().flatten()
}

/// Returns one unit for each test that the name passes: bytes for a known prefix, and integers for an extended
/// resource. The two tests are independent: `hugepages-x.example.com/y` passes both tests and has two samples.
fn prefixed_or_extended(name: &str) -> Units {
    let is_byte = name.starts_with("hugepages-") || name.starts_with("attachable-volumes-");
    [
        is_byte.then_some(Unit::Byte),
        is_extended(name).then_some(Unit::Integer),
    ]
    .into_iter()
    .flatten()
}

/// Returns whether `name` is the name of an extended resource. Such a name is outside of the domain `kubernetes.io`,
/// and does not start with `requests.`. If a ResourceQuota puts the prefix `requests.` before the name, the result must
/// be a valid qualified name.
fn is_extended(name: &str) -> bool {
    let Some((domain, device)) = name.split_once('/') else {
        return false;
    };
    !name.contains("kubernetes.io/")
        && !name.starts_with(QUOTA_PREFIX)
        && QUOTA_PREFIX.len() + domain.len() <= MAX_SUBDOMAIN
        && domain.split('.').all(is_dns_label)
        && is_qualified_name_part(device)
}

fn is_dns_label(label: &str) -> bool {
    let is_end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    is_end(label.bytes().next())
        && is_end(label.bytes().next_back())
        && label
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_qualified_name_part(name: &str) -> bool {
    let is_end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    name.len() <= MAX_NAME
        && is_end(name.bytes().next())
        && is_end(name.bytes().next_back())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(units: Units) -> Vec<&'static str> {
        units.map(Unit::as_str).collect()
    }

    #[test]
    fn names_fall_into_the_documented_classes() {
        let domain_244 = format!("{}.{}", "a".repeat(63), "b".repeat(180));
        let domain_245 = format!("{}.{}", "a".repeat(63), "b".repeat(181));
        for (name, want) in [
            ("cpu", &["core"][..]),
            ("memory", &["byte"]),
            ("storage", &["byte"]),
            ("ephemeral-storage", &["byte"]),
            ("hugepages-2Mi", &["byte"]),
            ("hugepages-", &["byte"]),
            ("attachable-volumes-aws-ebs", &["byte"]),
            ("nvidia.com/gpu", &["integer"]),
            ("example.com/kubernetes.io", &["integer"]),
            ("kubernetes.iox/foo", &["integer"]),
            ("kubernetes.iox/z", &["integer"]),
            ("a/b", &["integer"]),
            ("hugepages-foo/bar", &["byte", "integer"]),
            ("hugepages-custom.example.com/x", &["byte", "integer"]),
            ("attachable-volumes-csi/ebs", &["byte", "integer"]),
            ("attachable-volumes-x/y", &["byte", "integer"]),
            ("hugepages-2Mi.example.com/x", &["byte"]),
            ("example.com/A-b_c.9", &["integer"]),
            (&format!("example.com/{}", "x".repeat(63)), &["integer"]),
            (&format!("{domain_244}/x"), &["integer"]),
            (&format!("{domain_245}/x"), &[]),
            (&format!("example.com/{}", "x".repeat(64)), &[]),
            ("", &[]),
            ("CPU", &[]),
            ("gpu", &[]),
            ("hugepages", &[]),
            ("requests.cpu", &[]),
            ("requests.nvidia.com/gpu", &[]),
            ("koord.kubernetes.io/x", &[]),
            ("xkubernetes.io/y", &[]),
            ("alpha.kubernetes.io/nvidia-gpu", &[]),
            ("Example.com/gpu", &[]),
            ("a/b/c", &[]),
            ("/gpu", &[]),
            ("example.com/", &[]),
            ("example.com/-gpu", &[]),
            ("example.com/gpu-", &[]),
            ("ex_ample.com/gpu", &[]),
            ("-example.com/gpu", &[]),
            ("example-.com/gpu", &[]),
            ("example..com/gpu", &[]),
            ("example.com./gpu", &[]),
            ("exämple.com/gpu", &[]),
        ] {
            assert_eq!(words(container_units(name)), want, "{name}");
            assert_eq!(words(node_units(name)), want, "{name}");
        }
    }

    #[test]
    fn pods_are_counted_on_nodes_only() {
        assert_eq!(words(node_units("pods")), ["integer"]);
        assert!(words(container_units("pods")).is_empty());
    }

    proptest! {
        #[test]
        fn any_name_has_at_most_two_units(name in "(hugepages-)?[a-z./-]{0,9}|\\PC*") {
            prop_assert!(node_units(&name).count() <= 2);
            prop_assert!(container_units(&name).count() <= 2);
        }
    }
}
