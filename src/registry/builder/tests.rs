//! Tests of the builder: its problems, selections of objects and families, and the declarations of who feeds a
//! resource.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use serde_json::json;

use super::*;
use crate::exposition::{ExpositionFilter, Format};
use crate::family::Family;

fn config_map(namespace: &str, name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "namespace": namespace, "name": name } })).unwrap()
}

fn text(metrics: &StateMetrics, format: Format) -> String {
    metrics
        .exposition(format, ExpositionFilter::default())
        .to_string()
}

#[test]
fn every_problem_is_reported_at_once_and_named() {
    let collector = Collector::<ConfigMap>::new()
        .family(Family::gauge("1st", "Help.").generate(|_: &ConfigMap, s| s.value(1)))
        .family(
            Family::gauge("repeats", " ")
                .labels(["a", "a", "namespace", "b-c"])
                .generate(|_: &ConfigMap, s| s.value(1)),
        )
        .family(
            Family::counter("kube_configmap_info", "Other.")
                .generate(|_: &ConfigMap, s| s.value(1)),
        );
    let other = Collector::<Namespace>::new().family(
        Family::gauge("kube_configmap_created", "Other.").generate(|_: &Namespace, s| s.value(1)),
    );
    let error = StateMetrics::builder()
        .resources(["configmaps", "podz"])
        .collector(collector)
        .collector(other)
        .constant_label("0", "x")
        .deny_metrics(["("])
        .allow_labels("nope", ["*"])
        .all_fed_by_host()
        .build()
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "`podz`",
        "`nope`",
        "`(`",
        "`0` of the constant labels is not a label name",
        "`1st` of configmaps is not a metric name",
        "`repeats` of configmaps has no help text",
        "`b-c` of repeats is not a label name",
        "the label `a` of repeats exists already",
        "the label `namespace` of repeats exists already",
        "`kube_configmap_info`, one of configmaps and one of configmaps, but a different type",
        "`kube_configmap_created`, one of configmaps and one of namespaces, but a different help",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_second_collector_adds_families_to_a_built_in_resource_and_its_store() {
    let extra = Collector::<ConfigMap>::new()
        .no_base_labels()
        .name_label("name")
        .family(
            Family::gauge("my_configmap", "Mine.")
                .generate(|_: &ConfigMap, s| s.label("a", "b").value(2)),
        );
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(extra)
        .allow_metrics(["_info$", "^my_"])
        .all_fed_by_host()
        .build()
        .unwrap();
    assert_eq!(metrics.stores().len(), 1);
    metrics
        .feed::<ConfigMap>()
        .unwrap()
        .apply_object(&config_map("n", "x"));
    let lines = text(&metrics, Format::Text);
    let samples: Vec<_> = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(
        samples,
        [
            "kube_configmap_info{namespace=\"n\",configmap=\"x\"} 1",
            "my_configmap{name=\"x\",a=\"b\"} 2"
        ]
    );
}

#[test]
fn a_name_that_two_resources_feed_is_one_family_without_repeated_series() {
    let family = |kind: &str| {
        let _ = kind;
        ("objects_seen", "Objects seen.")
    };
    let (name, help) = family("any");
    let maps = Collector::<ConfigMap>::new()
        .no_base_labels()
        .name_label("name")
        .family(Family::gauge(name, help).generate(|_: &ConfigMap, s| s.value(1)));
    let namespaces = Collector::<Namespace>::new()
        .no_base_labels()
        .name_label("name")
        .family(Family::gauge(name, help).generate(|_: &Namespace, s| s.value(2)));
    let metrics = StateMetrics::builder()
        .collector(maps)
        .collector(namespaces)
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    for (namespace, name) in [("n", "a"), ("n", "b"), ("o", "a")] {
        writer.apply_object(&config_map(namespace, name));
    }
    let namespace = json!({ "metadata": { "name": "b" } });
    metrics
        .feed::<Namespace>()
        .unwrap()
        .apply_object(&serde_json::from_value(namespace).unwrap());
    assert_eq!(
        text(&metrics, Format::Text),
        "# HELP objects_seen Objects seen.\n# TYPE objects_seen gauge\n\
         objects_seen{name=\"a\"} 1\nobjects_seen{name=\"b\"} 1\n"
    );
}

#[test]
fn constant_labels_come_first_in_every_sample() {
    let bare = Collector::<Namespace>::new()
        .no_base_labels()
        .family(Family::gauge("bare", "Bare.").generate(|_: &Namespace, s| s.value(1)));
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(bare)
        .constant_label("cluster", "a\"b")
        .allow_metrics(["_info$", "bare"])
        .all_fed_by_host()
        .build()
        .unwrap();
    metrics
        .feed::<ConfigMap>()
        .unwrap()
        .apply_object(&config_map("n", "x"));
    let namespace = json!({ "metadata": { "name": "b" } });
    metrics
        .feed::<Namespace>()
        .unwrap()
        .apply_object(&serde_json::from_value(namespace).unwrap());
    let text = text(&metrics, Format::OpenMetrics);
    assert!(
        text.contains(
            "\nkube_configmap_info{cluster=\"a\\\"b\",namespace=\"n\",configmap=\"x\"} 1\n"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("\nbare{cluster=\"a\\\"b\"} 1\n# EOF\n"),
        "{text}"
    );
}

#[test]
fn a_selection_leaves_out_resources_namespaces_and_families() {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces])
        .allow_metrics([
            "configmap_info",
            "configmap_created",
            "namespace_status_phase",
        ])
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    writer.apply_object(&config_map("n", "x"));
    writer.apply_object(&config_map("o", "y"));
    let namespace = json!({ "metadata": { "name": "n" } });
    metrics
        .feed::<Namespace>()
        .unwrap()
        .apply_object(&serde_json::from_value(namespace).unwrap());
    let names = |selection: ExpositionFilter| {
        let text = metrics.exposition(Format::Text, selection).to_string();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.split_once('}').unwrap().0.to_owned())
            .collect::<Vec<_>>()
    };
    let (x, y) = (
        "kube_configmap_info{namespace=\"n\",configmap=\"x\"",
        "kube_configmap_info{namespace=\"o\",configmap=\"y\"",
    );
    let phase = |phase| format!("kube_namespace_status_phase{{namespace=\"n\",phase=\"{phase}\"");
    let phases = [phase("Active"), phase("Terminating")];
    let all = ExpositionFilter::default;
    assert_eq!(names(all()).len(), 4);
    assert_eq!(names(all().resources(["configmaps"])), [x, y]);
    assert_eq!(names(all().resources([""; 0])), [""; 0]);
    assert_eq!(names(all().exclude_resources(["configmaps"])), phases);
    assert_eq!(names(all().namespaces(["n"])), [x]);
    assert_eq!(
        names(all().families(["kube_namespace_status_phase"])),
        phases
    );
}

#[test]
fn an_exposition_is_the_state_of_one_moment() {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    writer.apply_object(&config_map("n", "x"));
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    let before = exposition.to_string();
    writer.apply_object(&config_map("n", "y"));
    assert_eq!(exposition.to_string(), before);
    assert!(!before.contains("\"y\""));
}

#[test]
fn an_unregistered_kind_has_no_writer() {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Namespaces])
        .all_fed_by_host()
        .build()
        .unwrap();
    let error = metrics.feed::<ConfigMap>().unwrap_err();
    assert!(
        error.to_string().contains("ConfigMap is registered"),
        "{error}"
    );
}

#[test]
fn large_expositions_come_in_pieces_and_nothing_is_lost() {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut writer = metrics.feed::<ConfigMap>().unwrap();
    for at in 0..3000 {
        writer.apply_object(&config_map(
            "n",
            &format!("config-map-with-a-long-name-{at:05}"),
        ));
    }
    let chunks: Vec<_> = metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .chunks()
        .collect();
    assert!(chunks.len() > 2);
    assert!(chunks.iter().all(|chunk| chunk.len() < 192 * 1024));
    let all = chunks.concat();
    let text = String::from_utf8(all).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("kube_configmap_info{"))
            .count(),
        3000
    );
    let mut out = Vec::new();
    metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .write_to(&mut out)
        .unwrap();
    assert_eq!(out, text.as_bytes());
}

#[test]
fn a_family_that_two_collectors_of_a_resource_have_is_an_error_that_names_both() {
    let seen = || {
        let family = Family::gauge("seen", "Always 1.").generate(|_: &ConfigMap, s| s.value(1));
        Collector::<ConfigMap>::new().family(family)
    };
    let problems = |builder: Builder| {
        let error = builder.build().unwrap_err();
        error
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let twice = problems(StateMetrics::builder().collector(seen()).collector(seen()));
    assert_eq!(
        twice,
        [
            "`seen` of configmaps is in collector 1 added by `collector` and in collector 2 added by \
             `collector`, so that each of its series would exist twice; remove it from one of the \
             two, or use `replace_built_in` to replace a built-in collector"
        ]
    );
    let built_in = || StateMetrics::builder().built_in([BuiltIn::ConfigMaps]);
    let config_maps = || crate::families::configmaps().base_label("extra", |_| "x".into());
    let beside = problems(built_in().collector(config_maps()));
    assert_eq!(beside.len(), config_maps().iter().len());
    assert!(
        beside[0].starts_with(
            "`kube_configmap_annotations` of configmaps is in the built-in collector and in \
             collector 1 added by `collector`"
        ),
        "{beside:?}"
    );

    // The replacement is the only collector of the resource, whether the built-in resource is enabled or not.
    for builder in [built_in(), StateMetrics::builder()] {
        let metrics = builder
            .replace_built_in(BuiltIn::ConfigMaps, config_maps())
            .all_fed_by_host()
            .build()
            .unwrap();
        let mut writer = metrics.feed::<ConfigMap>().unwrap();
        writer.apply_object(&config_map("n", "x"));
        let text = text(&metrics, Format::Text);
        let info = "kube_configmap_info{namespace=\"n\",configmap=\"x\",extra=\"x\"} 1\n";
        assert_eq!(text.matches("kube_configmap_info{").count(), 1, "{text}");
        assert!(text.contains(info), "{text}");
    }
    let wrong = StateMetrics::builder().replace_built_in(BuiltIn::Pods, config_maps());
    assert_eq!(
        problems(wrong),
        [
            "`replace_built_in` got a collector of configmaps for pods; give it a collector of pods, \
             or add the collector by `collector`"
        ]
    );
}

#[test]
fn the_declaration_alone_decides_who_feeds_a_resource() {
    let builder = || StateMetrics::builder().built_in([BuiltIn::ConfigMaps, BuiltIn::Namespaces]);
    let metrics = builder().fed_by_host("configmaps").build().unwrap();
    for _ in 0..2 {
        assert!(metrics.feed::<ConfigMap>().is_ok());
        let error = metrics.feed::<Namespace>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the sources of the crate, such as a watch, feed namespaces; if the host feeds it, \
             declare this with `.fed_by_host(\"namespaces\")` or `.all_fed_by_host()` on the builder"
        );
        assert_eq!(metrics.feeds_of(BuiltIn::Namespaces).unwrap_err(), error);
    }
    let fed = |metrics: &StateMetrics| {
        let stores = metrics.stores();
        let host_fed = stores.iter().filter(|store| store.is_fed_by_host());
        let names: Vec<_> = host_fed.map(|store| store.resource().to_string()).collect();
        assert_eq!(metrics.feeds().len(), names.len());
        names
    };
    assert_eq!(fed(&metrics), ["configmaps"]);
    assert_eq!(fed(&builder().build().unwrap()), [""; 0]);
    let all = builder().all_fed_by_host().build().unwrap();
    assert_eq!(fed(&all), ["configmaps", "namespaces"]);

    // If one collector declares that the host feeds the resource, the declaration applies to all collectors of the
    // resource.
    let seen = Family::gauge("seen", "Always 1.").generate(|_: &Namespace, s| s.value(1));
    let collector = Collector::<Namespace>::new().family(seen).fed_by_host();
    assert_eq!(
        fed(&builder().collector(collector).build().unwrap()),
        ["namespaces"]
    );

    let error = builder().fed_by_host("podz").build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`fed_by_host` names `podz`, which is not registered; the registered resources are: configmaps, namespaces"
    );
}

#[test]
fn allowlists_take_every_form_of_a_resources_name() {
    for name in ["configmaps", "configmaps.v1", "*"] {
        let metrics = StateMetrics::builder()
            .built_in([BuiltIn::ConfigMaps])
            .allow_labels(name, ["team"])
            .all_fed_by_host()
            .build()
            .unwrap();
        let object =
            json!({ "metadata": { "namespace": "n", "name": "x", "labels": { "team": "a" } } });
        for mut writer in metrics.feeds() {
            writer.apply_json(object.to_string().as_bytes()).unwrap();
        }
        let text = text(&metrics, Format::Text);
        assert!(text.contains("label_team=\"a\"} 1\n"), "{name}: {text}");
    }
}
