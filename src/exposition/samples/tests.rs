//! Compares single samples with the text of the same exposition.

use std::borrow::Cow;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use proptest::prelude::*;
use serde_json::json;

use crate::exposition::{Exposition, ExpositionFilter, Format};
use crate::{BuiltIn, Collector, Family, StateMetrics};

/// Creates a registry. It has a constant label, pods with dictionary values, and two Leases that have the same series.
fn metrics() -> StateMetrics {
    let leases = Collector::<Lease>::new()
        .no_base_labels()
        .family(Family::gauge("lease_seen", "Always 1.").generate(|_: &Lease, s| s.value(1)));
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .collector(leases)
        .constant_label("cluster", "the \"blue\" one")
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut pods = metrics.feed::<Pod>().unwrap();
    for (namespace, name) in [("a", "p"), ("a", "q"), ("b", "p")] {
        let containers = json!([{
            "name": "c", "image": "registry.acme.dev/shop:1",
            "resources": { "limits": { "cpu": "1500m", "memory": "1Gi" } },
        }]);
        let pod = json!({
            "metadata": {
                "namespace": namespace, "name": name, "uid": "u",
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner", "uid": "o",
                }],
            },
            "spec": { "nodeName": "worker-1", "containers": containers },
            "status": {
                "phase": "Running",
                "containerStatuses": [{
                    "name": "c", "image": "registry.acme.dev/shop:1", "imageID": "sha256:abc",
                    "ready": true, "restartCount": 3, "state": {},
                }],
            },
        });
        pods.apply_object(&serde_json::from_value(pod).unwrap());
    }
    let mut leases = metrics.feed::<Lease>().unwrap();
    for name in ["x", "y"] {
        let lease = json!({ "metadata": { "namespace": "a", "name": name } });
        leases.apply_object(&serde_json::from_value(lease).unwrap());
    }
    metrics
}

fn assert_same_as_text(exposition: &Exposition) {
    let mut text = String::new();
    for family in exposition.families() {
        text += family.header();
        for sample in family.samples() {
            let line = format!("{sample}\n");
            assert_eq!(sample.line_len(), line.len(), "{line}");
            text += &line;
        }
    }
    text += match exposition.format() {
        Format::OpenMetrics => "# EOF\n",
        _ => "",
    };
    assert_eq!(text, exposition.to_string());
}

#[test]
fn headers_and_samples_make_the_text_of_the_exposition() {
    let metrics = metrics();
    for filter in [
        ExpositionFilter::default(),
        ExpositionFilter::default().namespaces(["a"]),
        ExpositionFilter::default().namespaces(["b"]),
        ExpositionFilter::default().resources(["pods"]),
        ExpositionFilter::default().exclude_resources(["pods"]),
        ExpositionFilter::default().families(["lease_seen", "kube_pod_info"]),
        ExpositionFilter::default().families(["none"]),
    ] {
        for format in [Format::Text, Format::OpenMetrics] {
            assert_same_as_text(&metrics.exposition(format, filter.clone()));
        }
    }
}

#[test]
fn references_to_shared_values_read_as_the_values() {
    let filter = ExpositionFilter::default().families(["kube_pod_container_info"]);
    let exposition = metrics().exposition(Format::Text, filter);
    let sample = exposition.samples().next().unwrap();
    let labels: Vec<_> = sample.labels().collect();
    assert_eq!(labels[0], ("cluster", Cow::Borrowed("the \"blue\" one")));
    assert_eq!(labels[1], ("namespace", Cow::Borrowed("a")));
    let image = labels.iter().find(|(name, _)| *name == "image");
    assert_eq!(image.unwrap().1, "registry.acme.dev/shop:1");
}

/// Each sample of a configured family has the label `customresource_kind`, if no constant label and no setting of the
/// configuration replaces it.
#[cfg(feature = "custom-resources")]
#[test]
fn a_built_in_family_is_not_searched_for_series_of_a_configured_one() {
    use crate::custom_resources::{Config, KnownKind};
    use crate::resource::Scope;

    let config = Config::parse(
        "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metricNamePrefix: kube
    metrics:
    - { name: pod_info, each: { type: Info, info: { path: [spec] } } }
    - { name: clusterrole_created, each: { type: Gauge, gauge: {} } }
    - name: pod_created
      each: { type: Gauge, gauge: { labelsFromPath: { customresource_kind: [spec] } } }
    - name: pod_owner
      each: { type: Gauge, gauge: { labelsFromPath: { '*': [spec] } } }
    - name: pod_start_time
      commonLabels: { customresource_kind: '' }
      each: { type: Gauge, gauge: {} }
",
    );
    let config = config.unwrap();
    for (constant, family, expected) in [
        ("cluster", "kube_pod_info", [true, false]),
        ("customresource_kind", "kube_pod_info", [true, true]),
        ("cluster", "kube_clusterrole_created", [true, false]),
        ("cluster", "kube_pod_created", [true, true]),
        ("cluster", "kube_pod_owner", [true, true]),
        ("cluster", "kube_pod_start_time", [true, true]),
    ] {
        let metrics = StateMetrics::builder()
            .built_in([BuiltIn::Pods, BuiltIn::ClusterRoles])
            .constant_label(constant, "x")
            .custom_resources(&config)
            .known_kinds([KnownKind::new(
                "acme.dev",
                "v1",
                "Widget",
                "widgets",
                Scope::Namespaced,
            )])
            .build()
            .unwrap();
        let plan = metrics.plan();
        let shared = plan
            .families()
            .iter()
            .find(|shared| shared.metadata().name() == family);
        let columns = shared.unwrap().columns().iter();
        let searched: Vec<_> = columns.map(|column| column.may_repeat).collect();
        assert_eq!(searched, expected, "{constant} {family}");
    }
}

#[test]
fn collectors_with_other_base_labels_can_have_the_same_series() {
    let maps = Family::gauge("seen", "Always 1.");
    let maps = maps.generate(|_: &ConfigMap, s| {
        let sample = s.label("pod", "p").label("x", "");
        sample.label("namespace", "a").value(1);
    });
    let leases = Family::gauge("seen", "Always 1.");
    let leases = leases.generate(|_: &Lease, s| s.label("pod", "p").value(2));
    let of_maps = Collector::<ConfigMap>::new().no_base_labels();
    let of_leases = Collector::<Lease>::new().no_base_labels();
    let metrics = StateMetrics::builder()
        .collector(of_maps.family(maps))
        .collector(of_leases.namespace_label("namespace").family(leases))
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut maps = metrics.feed::<ConfigMap>().unwrap();
    let mut leases = metrics.feed::<Lease>().unwrap();
    let object = json!({ "metadata": { "namespace": "a", "name": "o" } });
    maps.apply_object(&serde_json::from_value(object.clone()).unwrap());
    leases.apply_object(&serde_json::from_value(object).unwrap());
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    let values: Vec<_> = exposition.samples().map(|sample| sample.value()).collect();
    assert_eq!(values, [1.0]);
    assert_same_as_text(&exposition);
    assert_eq!(exposition.families().next().unwrap().repeated(), 1);
}

/// A label of a sample can replace a joined label that has the same value.
#[test]
fn a_label_that_replaces_a_joined_label_does_not_repeat_a_series() {
    let family = Family::gauge("seen", "Always 1.").labels(["label_*"]);
    let family = family.generate(|_: &ConfigMap, s| {
        s.value(1);
        s.label("label_team", "blue").value(2);
        s.label("label_team", "red").value(3);
    });
    let metrics = StateMetrics::builder()
        .collector(Collector::new().family(family))
        .join_labels("configmaps=[self/team=label_team]".parse().unwrap())
        .all_fed_by_host()
        .build()
        .unwrap();
    let map =
        json!({ "metadata": { "namespace": "a", "name": "m", "labels": { "team": "blue" } } });
    let mut maps = metrics.feed::<ConfigMap>().unwrap();
    maps.apply_object(&serde_json::from_value(map).unwrap());
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    let samples: Vec<_> = exposition
        .samples()
        .map(|sample| sample.to_string())
        .collect();
    let start = "seen{namespace=\"a\",configmap=\"m\",label_team=";
    let expected = [
        format!("{start}\"blue\"}} 1"),
        format!("{start}\"red\"}} 3"),
    ];
    assert_eq!(samples, expected);
}

proptest! {
    #[test]
    fn labels_and_values_read_back_as_they_were_written(
        values in prop::collection::vec("[a-c\"\\\\\n,={} ]{0,8}", 0..4),
        number in any::<f64>(),
    ) {
        let written = values.clone();
        let family = Family::gauge("written", "Written.").generate(move |_: &ConfigMap, s| {
            let mut sample = s.sample();
            for (at, value) in written.iter().enumerate() {
                sample = sample.label(&format!("l{at}"), value);
            }
            sample.value(number);
        });
        for with_base in [true, false] {
            let collector = Collector::new();
            let collector = if with_base { collector } else { collector.no_base_labels() };
            let metrics = StateMetrics::builder()
                .collector(collector.family(family.clone()).fed_by_host())
                .build()
                .unwrap();
            let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
            metrics.feed().unwrap().apply_object(&map);
            let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
            let sample = exposition.samples().next().unwrap();
            let labels = sample.labels().skip(if with_base { 2 } else { 0 });
            let labels: Vec<_> = labels.map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(&labels, &values);
            let value = sample.value();
            prop_assert!(value == number || value.is_nan() && number.is_nan(), "{value} {number}");
            assert_same_as_text(&exposition);
        }
    }
}
