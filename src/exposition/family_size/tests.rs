//! Compares the computed sizes of families with the text of the exposition.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::json;

use crate::exposition::{ExpositionFilter, Format};
use crate::{BuiltIn, Collector, Family, StateMetrics};

/// Creates a registry. It has a constant label, pods with dictionary values, and a family without base labels.
fn metrics() -> StateMetrics {
    let seen = Family::gauge("pod_seen", "Always 1.").generate(|pod: &Pod, s| {
        s.label("pod", pod.metadata.name.as_deref()).value(1);
    });
    StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .collector(Collector::<Pod>::new().no_base_labels().family(seen))
        .constant_label("cluster", "the \"blue\" one")
        .all_fed_by_host()
        .build()
        .unwrap()
}

/// Returns a pod whose node and images are dictionary values, that is values that several samples repeat. The name of
/// the node contains characters that need escapes.
fn pod(name: &str, node: u8, containers: u8) -> Pod {
    let containers = (0..containers).map(|number| {
        json!({
            "name": format!("c{number}"), "image": format!("registry.acme.dev/shop:{}", number % 2),
            "resources": { "limits": { "cpu": "1500m", "memory": "1Gi" } },
        })
    });
    let node = (node > 0).then(|| "worker\n".repeat(node.into()));
    let pod = json!({
        "metadata": {
            "namespace": "a", "name": name, "uid": name,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner", "uid": "o",
            }],
        },
        "spec": { "nodeName": node, "containers": containers.collect::<Vec<_>>() },
        "status": { "phase": "Running", "podIP": "10.0.0.1" },
    });
    serde_json::from_value(pod).unwrap()
}

/// Counts the series and the bytes of each family in the text of an exposition.
fn in_text(metrics: &StateMetrics) -> BTreeMap<String, (u64, u64)> {
    let text = metrics.exposition(Format::Text, ExpositionFilter::default());
    let mut sizes = BTreeMap::new();
    for line in text.to_string().split_inclusive('\n') {
        if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let (series, bytes) = sizes.entry(name.to_owned()).or_default();
            *series += 1;
            *bytes += line.len() as u64;
        }
    }
    sizes
}

fn counted(metrics: &StateMetrics) -> BTreeMap<String, (u64, u64)> {
    let sizes = metrics.family_sizes().into_iter();
    sizes
        .map(|own| (own.family, (own.series, own.bytes)))
        .collect()
}

#[test]
fn a_family_has_the_size_of_its_lines() {
    let metrics = metrics();
    assert_eq!(metrics.family_sizes(), []);
    let mut pods = metrics.feeds_of(BuiltIn::Pods).unwrap();
    for feed in &mut pods {
        let pod = br#"{ "metadata": { "namespace": "b", "name": "p" }, "status": { "phase": "Failed" } }"#;
        feed.apply_json(pod).unwrap();
    }
    let sizes = metrics.family_sizes();
    let of = |name| sizes.iter().find(|own| own.family == name).unwrap();
    let seen = of("pod_seen");
    let line = "pod_seen{cluster=\"the \\\"blue\\\" one\",pod=\"p\"} 1\n";
    assert_eq!((seen.series, seen.bytes), (1, line.len() as u64));
    assert_eq!(of("kube_pod_status_phase").series, 5);
    assert_eq!(seen.resource.plural(), "pods");
    assert_eq!(counted(&metrics), in_text(&metrics));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sizes_follow_random_updates(
        steps in prop::collection::vec((0..400_u32, 0..4_u8, 0..4_u8, 0..10_u8), 1..60)
    ) {
        let metrics = metrics();
        let mut pods = metrics.feed::<Pod>().unwrap();
        for (name, node, containers, what) in steps {
            let pod = pod(&format!("pod-{name}"), node, containers);
            match what {
                0..7 => pods.apply_object(&pod),
                7..9 => pods.delete_object(&pod),
                _ => {
                    pods.begin_list();
                    for number in 0..name {
                        pods.apply_object(&self::pod(&format!("pod-{number}"), node, containers));
                    }
                    if node > 0 {
                        pods.end_list();
                    } else {
                        pods.abandon_list();
                    }
                }
            }
        }
        prop_assert_eq!(counted(&metrics), in_text(&metrics));
    }
}
