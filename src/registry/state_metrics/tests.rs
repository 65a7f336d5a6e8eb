//! Tests of panics. If a generator panics, only the samples of this generator are lost. If the decoder of a type
//! panics, only the samples of this object are lost.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::*;
use crate::store::StoreStats;
use crate::{BuiltIn, Collector, Family};

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "namespace": "n", "name": name } })).unwrap()
}

fn samples(metrics: &StateMetrics) -> Vec<String> {
    let text = metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(str::to_owned).collect()
}

fn stats(metrics: &StateMetrics) -> StoreStats {
    metrics.stores()[0].stats()
}

#[test]
fn a_generator_that_panics_costs_its_object_one_family() {
    let broken = Family::gauge("broken", "Panics for `bad`.").generate(|map: &ConfigMap, s| {
        s.label("half", "written").value(1);
        let _unfinished = s.label("a", "b");
        assert_ne!(map.metadata.name.as_deref(), Some("bad"), "on purpose");
    });
    let after = Family::gauge("after", "Comes after it.").generate(|_: &ConfigMap, s| s.value(2));
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(Collector::new().family(broken).family(after))
        .allow_metrics(["_info$", "broken", "after"])
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    for name in ["bad", "good"] {
        writer.apply_object(&config_map(name));
    }
    let expected = [
        "kube_configmap_info{namespace=\"n\",configmap=\"bad\"} 1",
        "kube_configmap_info{namespace=\"n\",configmap=\"good\"} 1",
        "broken{namespace=\"n\",configmap=\"good\",half=\"written\"} 1",
        "after{namespace=\"n\",configmap=\"bad\"} 2",
        "after{namespace=\"n\",configmap=\"good\"} 2",
    ];
    assert_eq!(samples(&metrics), expected);
    assert_eq!(stats(&metrics).panics, 1);

    // The writer still works after the panic, also with a list.
    writer.begin_list();
    writer.apply_object(&config_map("bad"));
    writer.apply_object(&config_map("other"));
    writer.end_list();
    assert_eq!((stats(&metrics).panics, stats(&metrics).objects), (2, 2));
    assert_eq!(
        samples(&metrics)
            .iter()
            .filter(|line| line.starts_with("broken{"))
            .count(),
        1
    );
}

#[test]
fn a_base_label_that_panics_is_empty() {
    let seen = || Family::gauge("seen", "Always 1.").generate(|_: &ConfigMap, s| s.value(1));
    let collector = Collector::<ConfigMap>::new()
        .base_label("data", |map| {
            let data = map.data.as_ref().expect("on purpose");
            data.keys().cloned().collect::<String>().into()
        })
        .family(seen());
    let metrics = StateMetrics::builder()
        .collector(collector)
        .all_fed_by_host()
        .build()
        .unwrap();
    metrics.feed().unwrap().apply_object(&config_map("a"));
    assert_eq!(
        samples(&metrics),
        ["seen{namespace=\"n\",configmap=\"a\",data=\"\"} 1"]
    );
    assert_eq!(stats(&metrics).panics, 1);
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "acme.dev", version = "v1", kind = "Fragile", namespaced)]
struct FragileSpec {
    #[serde(deserialize_with = "fragile")]
    size: i64,
}

fn fragile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let size = i64::deserialize(deserializer)?;
    assert!(size > 0, "on purpose");
    Ok(size)
}

#[test]
fn a_type_whose_decoder_panics_costs_the_object() {
    let size = Family::gauge("size", "Size.").generate(|own: &Fragile, s| s.value(own.spec.size));
    let metrics = StateMetrics::builder()
        .collector(Collector::new().family(size))
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<Fragile>().unwrap();
    let json = |name: &str, size: i64| {
        let object =
            json!({ "metadata": { "namespace": "n", "name": name }, "spec": { "size": size } });
        object.to_string()
    };
    writer.apply_json(json("a", 1).as_bytes()).unwrap();
    writer.apply_json(json("b", 2).as_bytes()).unwrap();
    let error = writer.apply_json(json("a", -1).as_bytes()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot decode Fragile n/a: the type's decoder panicked")
    );
    assert_eq!(samples(&metrics), ["size{namespace=\"n\",fragile=\"b\"} 2"]);
    assert_eq!(stats(&metrics).decode_field_errors, 1);
}
