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
