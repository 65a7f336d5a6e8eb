//! Tests the kinds of a configuration, which definitions and objects in the files decide.

use super::*;
use crate::custom_resources::{Config, DefinitionChanges};

const CONFIG: &str = "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, kind: '*' }
    metricNamePrefix: acme
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - { name: size, each: { type: Gauge, gauge: { path: [spec, size] } } }
  - groupVersionKind: { group: '', version: v1, kind: ConfigMap }
    metricNamePrefix: map
    labelsFromPath: { name: [metadata, name] }
    metrics:
    - name: mode_info
      each: { type: Info, info: { path: [data], labelsFromPath: { mode: [mode] } } }
";

const MAP: &str = "\
kind: ConfigMap
apiVersion: v1
metadata: {name: a, namespace: ns}
data: {mode: fast}
";

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: policies.acme.dev}
spec:
  group: acme.dev
  scope: Cluster
  names: {kind: Policy, plural: policies}
  versions: [{name: v1, served: true}]
";

fn object(kind: &str, name: &str, size: u32) -> String {
    format!(
        "---\napiVersion: acme.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{size: {size}}}\n"
    )
}

fn metrics() -> StateMetrics {
    StateMetrics::builder()
        .built_in([BuiltIn::ConfigMaps])
        .allow_metrics(["kube_configmap_info", "^acme_", "^map_"])
        .custom_resources(&Config::parse(CONFIG).unwrap())
        .build()
        .unwrap()
}

fn sample(kind: &str, name: &str, size: u32) -> String {
    format!(
        "acme_size{{customresource_group=\"acme.dev\",customresource_kind=\"{kind}\",\
             customresource_version=\"v1\",name=\"{name}\"}} {size}"
    )
}

#[test]
fn kinds_are_those_of_definitions_and_of_objects_and_go_with_them() {
    let files = Files::new("kinds", &[("a.yaml", MAP)]);
    let write = |name: &str, text: String| std::fs::write(files.0.join(name), text).unwrap();
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    let report = feed.reload();
    assert_eq!((report.objects, report.problems.len()), (1, 0));
    assert_eq!(report.definitions, DefinitionChanges::default());
    let mode = "map_mode_info{customresource_group=\"\",customresource_kind=\"ConfigMap\",\
                    customresource_version=\"v1\",mode=\"fast\",name=\"a\"} 1";
    let maps = [mode.to_owned(), super::info("a")];
    assert_eq!(samples(&metrics), maps);

    // The plural name of a kind and its scope are known only from a definition.
    write("b.yaml", DEFINITION.to_owned() + &object("Policy", "p", 1));
    write("c.yaml", object("Widget", "w", 2));
    let report = feed.reload();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.objects, 3);
    let known = |known, added, updated, deleted| DefinitionChanges {
        known,
        added,
        updated,
        deleted,
    };
    assert_eq!(report.definitions, known(1, 1, 0, 0));
    let names: Vec<_> = metrics
        .stores()
        .iter()
        .map(|store| store.resource().name().into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "/v1, Resource=configmaps",
            "acme.dev/v1, Resource=policies",
            "acme.dev/v1, Resource=widgets",
            "configmaps"
        ]
    );
    let all = samples(&metrics);
    assert!(all.contains(&sample("Policy", "p", 1)) && all.contains(&sample("Widget", "w", 2)));
    assert_eq!(all.len(), 4);

    // The files have not changed, so no definition has changed.
    assert_eq!(feed.reload().definitions, known(1, 0, 0, 0));
    assert_eq!(samples(&metrics), all);
    write(
        "b.yaml",
        DEFINITION.replace("served: true", "served: true, storage: true")
            + &object("Policy", "q", 5),
    );
    std::fs::remove_file(files.0.join("c.yaml")).unwrap();
    assert_eq!(feed.reload().definitions, known(1, 0, 1, 0));
    let all = samples(&metrics);
    assert!(
        all.contains(&sample("Policy", "q", 5)) && all.len() == 3,
        "{all:?}"
    );
    std::fs::remove_file(files.0.join("b.yaml")).unwrap();
    assert_eq!(feed.reload().definitions, known(0, 0, 0, 1));
    assert_eq!(samples(&metrics), maps);
    assert_eq!(metrics.stores().len(), 2);
}

#[test]
fn kinds_stay_while_their_file_is_cut_or_empty() {
    let text = DEFINITION.to_owned() + &object("Policy", "p", 1) + &object("Widget", "w", 2);
    let files = Files::new("cut-kinds", &[("a.yaml", &text), ("b.yaml", MAP)]);
    let write = |text: &str| std::fs::write(files.0.join("a.yaml"), text).unwrap();
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    let all = samples(&metrics);
    assert_eq!(all.len(), 4, "{all:?}");
    for cut in ["", "kind: ["] {
        write(cut);
        let report = feed.reload();
        assert_eq!(
            (report.definitions.known, report.definitions.deleted),
            (1, 0)
        );
        assert_eq!(report.kept, 2);
        assert_eq!(samples(&metrics), all);
        write(&text);
        assert_eq!(feed.reload().kept, 0);
        assert_eq!(samples(&metrics), all);
    }
    // The file `b.yaml` has an object of a built-in kind. This kind has two linked stores: one for its built-in
    // families, and one for its configured families.
    std::fs::write(files.0.join("b.yaml"), "kind: [").unwrap();
    assert_eq!(feed.reload().kept, 1);
    assert_eq!(samples(&metrics), all);
    write("");
    feed.reload();
    assert_eq!(feed.reload().definitions.deleted, 1);
    assert_eq!(samples(&metrics).len(), 2);
}

#[test]
fn kinds_stay_while_their_file_changes() {
    let text = DEFINITION.to_owned() + &object("Policy", "p", 1) + &object("Widget", "w", 2);
    let files = Files::new("changing-kinds", &[("a.yaml", &text), ("b.yaml", MAP)]);
    let write = |text: &str| std::fs::write(files.0.join("a.yaml"), text).unwrap();
    let metrics = metrics();
    let feed = ManifestSource::new([&files.0]).open(&metrics);
    let mut feed = feed.hold_changes(HOUR, HOUR);
    feed.reload();
    let all = samples(&metrics);
    for incomplete in ["", &object("Policy", "p", 1), DEFINITION] {
        write(incomplete);
        let report = feed.reload();
        let definitions = (report.definitions.known, report.definitions.deleted);
        assert_eq!((definitions, report.changing), ((1, 0), 1));
        assert_eq!(samples(&metrics), all);
    }
    write(&object("Widget", "w", 2));
    let mut feed = feed.hold_changes(Duration::ZERO, HOUR);
    feed.reload();
    let report = feed.reload();
    assert_eq!((report.definitions.known, report.changing), (0, 0));
    assert!(samples(&metrics).len() < all.len());
}

#[tokio::test]
async fn a_running_source_reads_again_for_resources_that_a_configuration_adds() {
    let files = Files::new("running", &[("a.yaml", &object("Widget", "w", 2))]);
    let metrics = metrics();
    let reloads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reloads);
    let feed = ManifestSource::new([&files.0]).open(&metrics);
    let feed = feed.on_reload(move |report| {
        assert_eq!(report.objects, 1);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let health = feed.health();
    let running = tokio::spawn(Box::new(feed).run());
    health.ready(ReadinessPolicy::Strict).await;
    assert_eq!(samples(&metrics), [sample("Widget", "w", 2)]);

    let other = Config::parse(&CONFIG.replace("name: size", "name: other")).unwrap();
    metrics.custom_resources().set_config(Some(&other)).unwrap();
    assert!(!health.readiness(ReadinessPolicy::Strict).ready);
    health.ready(ReadinessPolicy::Strict).await;
    let other = sample("Widget", "w", 2).replace("acme_size", "acme_other");
    assert_eq!(samples(&metrics), [other]);
    assert_eq!(reloads.load(Ordering::Relaxed), 2);
    running.abort();
}

#[test]
fn another_configuration_is_fed_by_the_next_reading() {
    let files = Files::new("configuration", &[("a.yaml", &object("Widget", "w", 2))]);
    let metrics = metrics();
    let mut feed = ManifestSource::new([&files.0]).open(&metrics);
    feed.reload();
    let other = Config::parse(&CONFIG.replace("name: size", "name: other")).unwrap();
    metrics.custom_resources().set_config(Some(&other)).unwrap();
    assert!(samples(&metrics).is_empty());
    feed.reload();
    assert_eq!(
        samples(&metrics),
        [sample("Widget", "w", 2).replace("acme_size", "acme_other")]
    );
}
