//! Tests how objects reach the stores, and what is reported about the other objects.

use super::*;

#[test]
fn unknown_kinds_and_undecodable_objects_are_reported_and_unregistered_ones_counted() {
    let (samples, problems) = load(
        "unknown",
        &[(
            "a.yaml",
            &format!(
                "kind: Widget\napiVersion: acme.dev/v1\n---\napiVersion: v1\nkind: Secret\n---\n\
                 metadata: {{}}\n---\n\
                 apiVersion: v1\nkind: Namespace\nmetadata: {{name: odd}}\nstatus: {{phase: 7}}\n---\n{GOOD}"
            ),
        )],
    );
    assert_eq!(samples, [info("good")]);
    assert_eq!(
        problems,
        [
            "a.yaml:1: no metrics for acme.dev/v1 Widget; the object is skipped",
            "a.yaml:7: not a Kubernetes object: apiVersion is missing; the document is skipped",
            "a.yaml:9: cannot decode Namespace odd: expected a string at status.phase; the object \
             yields no metrics until it is corrected",
        ]
    );
}

#[test]
fn an_object_that_one_collector_cannot_read_keeps_the_samples_of_the_others() {
    let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let seen = Family::gauge("configmap_seen", "Always 1.").reads(["metadata.name"]);
    let seen = seen.generate(|_: &DynamicObject, s| s.value(1));
    let seen = Collector::dynamic(&ApiResource::from_gvk(&gvk), Scope::Namespaced).family(seen);
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .collector(seen)
        .build()
        .unwrap();
    let files = Files::new(
        "collectors",
        &[(
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, creationTimestamp: soon}\n",
        )],
    );
    let report = ManifestSource::new([&files.0]).open(&metrics).reload();
    let problem = &report.problems[0];
    assert!(
        matches!(problem, ManifestProblem::Decode { .. }),
        "{problem}"
    );
    let samples = samples(&metrics);
    let [sample] = &samples[..] else {
        panic!("{samples:?}");
    };
    assert!(sample.starts_with("configmap_seen"), "{sample}");
}

#[test]
fn resources_are_complete_once_the_manifests_have_been_read() {
    let files = Files::new("health", &[("a.yaml", "kind: Broken")]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    let health = feed.health();
    let readiness = health.readiness(ReadinessPolicy::Default);
    assert_eq!(
        readiness.to_string(),
        "not ready: 0 of 2 resources complete\n\
         waiting for: configmaps, namespaces (not started)\n"
    );
    assert_eq!(feed.reload().problems.len(), 1);
    let readiness = health.readiness(ReadinessPolicy::Strict);
    assert_eq!(readiness.to_string(), "ready: 2 of 2 resources complete\n");
    for resource in health.resources() {
        assert_eq!(resource.source, FeedOrigin::Manifests);
        assert_eq!(resource.state, ResourceState::Synced);
    }
    drop(feed);
    assert_eq!(health.resources()[0].state, ResourceState::Stopped);
}

/// A new feed does not use the text of a file whose objects stay in the feed that it replaces.
#[test]
fn a_feed_that_replaces_another_feed_names_the_files_whose_objects_stay() {
    let objects = |names: &[&str]| -> String {
        let objects = names.iter().map(|name| GOOD.replace("good", name));
        objects.collect::<Vec<_>>().join("---\n")
    };
    let whole = objects(&["a", "b", "c"]);
    let files = Files::new("replaced", &[("a.yaml", &whole), ("b.yaml", GOOD)]);
    let path = files.0.join("a.yaml");
    let opened = |path: &Path, last: Option<LastReading>| {
        let metrics = metrics();
        let feed = ManifestSource::new([path]).open(&metrics);
        let feed = feed.hold_changes(HOUR, HOUR);
        (feed.continue_after(&last.unwrap_or_default()), metrics)
    };
    let (mut old, _metrics) = opened(&files.0, None);
    assert!(old.reload().incomplete.is_empty());
    old = old.hold_changes(Duration::ZERO, HOUR);
    let paths: [(&str, &dyn Fn()); 4] = [
        ("empty", &|| std::fs::write(&path, "").unwrap()),
        ("cut", &|| {
            std::fs::write(&path, objects(&["a", "b"])).unwrap()
        }),
        ("broken", &|| std::fs::write(&path, "kind: Conf").unwrap()),
        ("renamed", &|| {
            let other = files.0.join("other");
            std::fs::write(&other, "kind: Conf").unwrap();
            std::fs::rename(&other, &path).unwrap();
        }),
    ];
    for (what, change) in paths {
        change();
        let (mut new, metrics) = opened(&files.0, Some(old.last_reading()));
        let report = new.reload();
        assert_eq!(report.incomplete, [path.as_path()], "{what}");
        assert_eq!(samples(&metrics), [info("good")], "{what}");
        // The file does not concern a feed of other files, also if the feed follows the new one.
        let (mut other, _metrics) = opened(&files.0.join("b.yaml"), Some(new.last_reading()));
        assert!(other.reload().incomplete.is_empty(), "{what}");
        let repaired = files.0.join("repaired");
        std::fs::write(&repaired, &whole).unwrap();
        std::fs::rename(&repaired, &path).unwrap();
        assert!(new.reload().incomplete.is_empty(), "{what}");
        assert_eq!(samples(&metrics).len(), 4, "{what}");
        // The file may have the inode of its predecessor. Then only the second reading uses it.
        old.reload();
        assert!(old.reload().incomplete.is_empty(), "{what}");
    }
    std::fs::remove_file(&path).unwrap();
    let (mut new, _metrics) = opened(&files.0, Some(old.last_reading()));
    assert!(new.reload().incomplete.is_empty(), "deleted");
    // The path itself is missing.
    let (mut new, _metrics) = opened(&path, Some(old.last_reading()));
    assert_eq!(new.reload().incomplete, [path.as_path()]);
}
