//! Tests the limit on the text of an object. The joined labels are part of this text.

use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::Collector;
use crate::family::Family;
use crate::limits::{Limit, Limits};
use crate::store::StoreStats;

const LIMIT: usize = 60_000;

/// A registry in which a pod has one sample for each volume, and one sample for the phase.
fn metrics(joins: &str) -> StateMetrics {
    let volumes = Family::gauge("pod_volumes", "Names the volumes.").reads(["spec.volumes"]);
    let volumes = volumes.generate(|pod: &Pod, s| {
        let spec = pod.spec.iter();
        for volume in spec.flat_map(|spec| spec.volumes.iter().flatten()) {
            s.label("volume", &volume.name).value(1);
        }
    });
    let phase = Family::gauge("pod_phase", "Names the phase.").reads(["status.phase"]);
    let phase = phase.generate(|pod: &Pod, s| {
        let phase = pod.status.as_ref().and_then(|own| own.phase.clone());
        s.label("phase", phase).value(1);
    });
    StateMetrics::builder()
        .collector(Collector::new().family(volumes).family(phase))
        .join_labels(joins.parse().unwrap())
        .limits(Limits::default().text_per_object(LIMIT))
        .all_fed_by_host()
        .build()
        .unwrap()
}

fn pod(name: &str, version: usize, volumes: usize, note: &str) -> Value {
    let mut pod = super::pod("shop", name, "n1");
    pod["metadata"]["annotations"] = json!({ "note": note });
    pod["metadata"]["resourceVersion"] = json!(version.to_string());
    let volumes = (0..volumes).map(|number| json!({ "name": format!("v{number}") }));
    pod["spec"]["volumes"] = volumes.collect();
    pod
}

fn apply_namespace(metrics: &StateMetrics, note: &str) {
    let namespace = json!({ "metadata": { "name": "shop", "annotations": { "note": note } } });
    apply(&mut writer(metrics, BuiltIn::Namespaces), &namespace);
}

fn stats(metrics: &StateMetrics) -> StoreStats {
    metrics.stores()[0].stats()
}

/// Checks which samples of a pod have the joined labels. If the text with the labels is within the limit, all samples
/// must have the labels. Otherwise, no sample may have them. Returns whether the samples have the joined labels.
fn check(metrics: &StateMetrics, name: &str, joined: &str) -> bool {
    let of_pod = format!("pod=\"{name}\"");
    let mut lines = lines(metrics);
    lines.retain(|line| line.contains(&of_pod));
    let with = lines.iter().filter(|line| line.contains(joined)).count();
    assert!(
        with == 0 || with == lines.len(),
        "{with} of {}",
        lines.len()
    );
    let text = lines.iter().map(|line| {
        let (_, labels) = line.split_once('{').unwrap();
        labels.len() + 1
    });
    let without = text.sum::<usize>() - with * joined.len();
    let is_within = without + lines.len() * joined.len() <= LIMIT;
    assert_eq!(with > 0, is_within, "{} samples", lines.len());
    is_within
}

#[test]
fn joined_labels_that_exceed_the_limit_on_the_text_are_left_out() {
    let metrics = metrics("pods=[self@note,namespace@note=team]");
    let mut pods = writer(&metrics, BuiltIn::Pods);
    let mut version = 0;
    let mut left_out = 0;
    for team in ["blue", &"b".repeat(1000)] {
        apply_namespace(&metrics, team);
        // After some of these changes, the store generates only some of the pod's families again.
        for volumes in [1, 2, 9, 10, 12, 20, 50, 300, 9, 8] {
            for note in ["x", &"n".repeat(1000)] {
                version += 1;
                apply(&mut pods, &pod("large", version, volumes, note));
                apply(&mut pods, &pod("small", version, 1, note));
                let joined = format!(",note=\"{note}\",team=\"{team}\"");
                assert!(check(&metrics, "small", &joined));
                left_out += u64::from(!check(&metrics, "large", &joined));
                assert_eq!(stats(&metrics).over_text_limit, left_out);
            }
        }
    }
    assert!((4..30).contains(&left_out), "{left_out}");
    let exceeded = metrics.stores()[0].exceeded_limits();
    assert_eq!(exceeded[0].limit, Limit::TextPerObject);
    assert_eq!(exceeded[0].first_object, "shop/large");
}

#[test]
fn a_change_of_the_namespace_adds_and_removes_joined_labels() {
    let metrics = metrics("pods=[namespace@note=team]");
    let pod = pod("large", 1, 100, "");
    apply(&mut writer(&metrics, BuiltIn::Pods), &pod);
    for (length, is_within) in [(1, true), (1000, false), (10, true)] {
        let team = "t".repeat(length);
        apply_namespace(&metrics, &team);
        let joined = format!(",team=\"{team}\"");
        assert_eq!(check(&metrics, "large", &joined), is_within);
    }
    assert_eq!(stats(&metrics).over_text_limit, 1);
}

#[test]
fn the_limit_on_a_value_applies_to_its_escaped_text() {
    let metrics = metrics("pods=[self@note]");
    for (quotes, labels) in [(512, 2), (513, 0)] {
        let pod = pod("p", quotes, 1, &"\"".repeat(quotes));
        apply(&mut writer(&metrics, BuiltIn::Pods), &pod);
        let lines = lines(&metrics);
        let with = lines.iter().filter(|line| line.contains("note="));
        assert_eq!(with.count(), labels, "{quotes} quotes");
    }
}
