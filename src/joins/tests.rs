//! Tests joined labels with a complete registry. Some tests scrape while a writer changes objects.

mod snapshots;
mod text_limit;
#[cfg(feature = "protobuf")]
mod updates;

use serde_json::{Value, json};

use super::*;
use crate::exposition::{ExpositionFilter, Format};
use crate::registry::{BuildProblem, Builder, Shard};
use crate::store::ObjectWriter;
use crate::{BuiltIn, StateMetrics};

/// The writer of a resource that the host feeds.
fn writer(metrics: &StateMetrics, resource: BuiltIn) -> Box<dyn ObjectWriter> {
    metrics.feeds_of(resource).unwrap().remove(0)
}

fn apply(writer: &mut Box<dyn ObjectWriter>, object: &Value) {
    writer.apply_json(object.to_string().as_bytes()).unwrap();
}

fn object(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "uid": name, "labels": labels } })
}

fn apply_namespace(namespaces: &mut Box<dyn ObjectWriter>, name: &str, labels: &Value) {
    apply(namespaces, &object("", name, labels));
}

/// As for the objects of stores, only a watch requires names.
#[test]
fn the_host_may_feed_an_object_without_a_name() {
    let metrics = builder().build().unwrap();
    let mut namespaces = writer(&metrics, BuiltIn::Namespaces);
    let unnamed = json!({ "metadata": { "labels": { "team": "a" } } });
    assert!(
        namespaces
            .apply_json(unnamed.to_string().as_bytes())
            .is_ok()
    );
    assert!(
        namespaces
            .delete_json(unnamed.to_string().as_bytes())
            .is_ok()
    );
}

/// The watches of a host may request only the metadata, as the watches of this crate do.
#[test]
fn the_host_may_feed_only_the_metadata_of_an_object_that_only_provides_labels() {
    let metrics = builder().build().unwrap();
    let mut namespaces = writer(&metrics, BuiltIn::Namespaces);
    let mut partial = object("", "shop", &json!({ "team": "a" }));
    partial["kind"] = json!("PartialObjectMetadata");
    partial["apiVersion"] = json!("meta.k8s.io/v1");
    let fed = namespaces.apply_json(partial.to_string().as_bytes());
    assert!(fed.is_ok(), "{fed:?}");
    let mut pods = writer(&metrics, BuiltIn::Pods);
    apply(&mut pods, &created(pod("shop", "cart", "n")));
    let samples = lines(&metrics).concat();
    assert!(samples.contains("team=\"a\""), "{samples}");
}

fn owned(mut object: Value, api_version: &str, kind: &str, name: &str) -> Value {
    object["metadata"]["ownerReferences"] = json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "" },
        { "apiVersion": api_version, "kind": kind, "name": name, "uid": "", "controller": true },
    ]);
    object
}

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    let mut pod = object(namespace, name, &json!({ "tier": "web" }));
    pod["spec"] = json!({ "nodeName": node });
    pod
}

/// Creates a builder with the resource `pods` and eight joined labels. Of each pod, only the creation time and the
/// labels are exported.
fn builder() -> Builder {
    let joins = "pods=[namespace/team,node/topology.kubernetes.io/zone=zone,workload/app,self/tier,\
                 namespace@acme.dev/cost=cost,workload:name=workload,workload:kind=kind,node:name=on]";
    StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["^kube_pod_created$", "_labels$"])
        .join_labels(joins.parse().unwrap())
        .all_fed_by_host()
}

/// The lines of an exposition without the headers. The function also checks the numbers of samples and bytes that the
/// exposition reports.
fn lines(metrics: &StateMetrics) -> Vec<String> {
    let exposition = metrics.exposition(Format::OpenMetrics, ExpositionFilter::default());
    let text = exposition.to_string();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    let samples: Vec<_> = exposition
        .samples()
        .map(|sample| sample.to_string())
        .collect();
    assert_eq!(samples, lines);
    let bytes: u64 = metrics.family_sizes().iter().map(|own| own.bytes).sum();
    assert_eq!(
        bytes,
        lines.iter().map(|line| line.len() as u64 + 1).sum::<u64>()
    );
    for sample in exposition.samples() {
        let line = sample.to_string();
        assert_eq!(sample.line_len(), line.len() + 1);
        let labels = sample.labels().map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        });
        let labels: Vec<_> = labels.collect();
        assert!(line.contains(&labels.join(",")), "{line} has {labels:?}");
    }
    lines
}

fn created(mut pod: Value) -> Value {
    pod["metadata"]["creationTimestamp"] = json!("1970-01-01T00:00:07Z");
    pod
}

#[test]
fn the_labels_follow_the_objects_that_they_come_from() {
    let metrics = builder().build().unwrap();
    let [
        mut pods,
        mut namespaces,
        mut nodes,
        mut sets,
        mut deployments,
    ] = [
        BuiltIn::Pods,
        BuiltIn::Namespaces,
        BuiltIn::Nodes,
        BuiltIn::ReplicaSets,
        BuiltIn::Deployments,
    ]
    .map(|resource| writer(&metrics, resource));
    let line = |labels: &str| {
        vec![format!(
            "kube_pod_created{{namespace=\"shop\",pod=\"web-1-a\",uid=\"web-1-a\"{labels}}} 7"
        )]
    };
    let web = owned(
        pod("shop", "web-1-a", "n1"),
        "apps/v1",
        "ReplicaSet",
        "web-1",
    );
    apply(&mut pods, &created(web));
    assert_eq!(lines(&metrics), line(",tier=\"web\",on=\"n1\""));

    let mut shop = object("", "shop", &json!({ "team": "blue \"1\"" }));
    shop["metadata"]["annotations"] = json!({ "acme.dev/cost": "7" });
    apply(&mut namespaces, &shop);
    let zone = json!({ "topology.kubernetes.io/zone": "a" });
    apply(&mut nodes, &object("", "n1", &zone));
    let joined = ",team=\"blue \\\"1\\\"\",zone=\"a\",tier=\"web\",cost=\"7\",on=\"n1\"";
    assert_eq!(lines(&metrics), line(joined));

    // If the ReplicaSet has no controller, the ReplicaSet is the workload.
    apply(
        &mut sets,
        &object("shop", "web-1", &json!({ "app": "set" })),
    );
    let joined = |app: &str, workload: &str, kind: &str| {
        let app = if app.is_empty() {
            String::new()
        } else {
            format!(",app=\"{app}\"")
        };
        line(&format!(
            ",team=\"blue \\\"1\\\"\",zone=\"a\"{app},tier=\"web\",cost=\"7\",\
             workload=\"{workload}\",kind=\"{kind}\",on=\"n1\""
        ))
    };
    assert_eq!(lines(&metrics), joined("set", "web-1", "ReplicaSet"));
    let set = |api_version, kind| {
        let set = object("shop", "web-1", &json!({ "app": "set" }));
        owned(set, api_version, kind, "web")
    };
    apply(&mut sets, &set("argoproj.io/v1alpha1", "Rollout"));
    assert_eq!(lines(&metrics), joined("set", "web", "Rollout"));
    apply(&mut sets, &set("apps/v1", "Deployment"));
    assert_eq!(lines(&metrics), joined("", "web", "Deployment"));
    apply(
        &mut deployments,
        &object("shop", "web", &json!({ "app": "shop" })),
    );
    apply(
        &mut deployments,
        &object("other", "web", &json!({ "app": "other" })),
    );
    assert_eq!(lines(&metrics), joined("shop", "web", "Deployment"));

    // The end of a list replaces all objects of its writer in one step.
    namespaces.begin_list();
    apply_namespace(&mut namespaces, "other", &json!({ "team": "red" }));
    assert_eq!(lines(&metrics), joined("shop", "web", "Deployment"));
    namespaces.end_list();
    nodes.delete_key("", "n1");
    let rest = ",app=\"shop\",tier=\"web\",workload=\"web\",kind=\"Deployment\",on=\"n1\"";
    assert_eq!(lines(&metrics), line(rest));
    deployments.close();
    sets.close();
    assert_eq!(lines(&metrics), line(",tier=\"web\",on=\"n1\""));
}

#[test]
fn workloads_nodes_and_namespaces_join_their_own_labels() {
    let metrics = StateMetrics::builder()
        .resources(["namespaces", "nodes", "deployments", "jobs", "pods"])
        .allow_metrics([
            "^kube_(namespace|node|deployment|job)_created$",
            "^kube_pod_created$",
        ])
        .join_labels(
            "*=[namespace/team,node/zone,workload/app,workload:kind]"
                .parse()
                .unwrap(),
        )
        .all_fed_by_host()
        .build()
        .unwrap();
    for (resource, object) in [
        (
            BuiltIn::Namespaces,
            object("", "shop", &json!({ "team": "blue" })),
        ),
        (BuiltIn::Nodes, object("", "n1", &json!({ "zone": "a" }))),
        (
            BuiltIn::Deployments,
            object("shop", "web", &json!({ "app": "w" })),
        ),
        (
            BuiltIn::Jobs,
            object("shop", "once", &json!({ "app": "o" })),
        ),
        (
            BuiltIn::Pods,
            owned(pod("shop", "a", "n1"), "v1", "Node", "n1"),
        ),
    ] {
        apply(&mut writer(&metrics, resource), &created(object));
    }
    assert_eq!(
        lines(&metrics),
        [
            "kube_deployment_created{namespace=\"shop\",deployment=\"web\",team=\"blue\",app=\"w\",\
             workload_kind=\"Deployment\"} 7",
            "kube_job_created{namespace=\"shop\",job_name=\"once\",team=\"blue\",app=\"o\",\
             workload_kind=\"Job\"} 7",
            "kube_namespace_created{namespace=\"shop\",team=\"blue\"} 7",
            "kube_node_created{node=\"n1\",zone=\"a\"} 7",
            "kube_pod_created{namespace=\"shop\",pod=\"a\",uid=\"a\",team=\"blue\",zone=\"a\"} 7",
        ]
    );
}

#[test]
fn a_name_that_a_family_declares_is_refused() {
    let problems = |builder: Builder| builder.build().unwrap_err().problems().to_vec();
    let pods = || StateMetrics::builder().built_in([BuiltIn::Pods]);
    let named = |name: &str| Join::namespace_label("team").named(name);
    let found = problems(pods().join_label(BuiltIn::Pods, named("phase")));
    let [BuildProblem::JoinedLabel { join, subject, .. }] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (&**join, &**subject),
        ("namespace/team=phase", "`kube_pod_status_phase`")
    );
    assert!(
        pods()
            .deny_metrics(["phase"])
            .join_label("*", named("phase"))
            .build()
            .is_ok()
    );
    for (builder, text) in [
        (
            pods().join_label("*", named("pod")),
            "`pod`, which is also a label of the base labels of pods",
        ),
        (
            pods()
                .constant_label("c", "1")
                .join_label("pods", named("c")),
            "a label of the constant labels",
        ),
        (
            StateMetrics::builder()
                .constant_label("c", "1")
                .join_label("*", named("c")),
            "a label of the constant labels",
        ),
        (
            pods()
                .join_label("pods", named("a"))
                .join_label("pods", Join::node_name().named("a")),
            "the label `a` of the joined labels of pods exists already",
        ),
        (
            pods().join_label("pods", named("a-b")),
            "`a-b` of the joined label `namespace/team=a-b`",
        ),
        (
            pods().join_label("podz", named("a")),
            "joined labels are for `podz`",
        ),
    ] {
        let problems = problems(builder);
        assert!(problems[0].to_string().contains(text), "{problems:?}");
    }
}

#[test]
fn a_label_of_the_object_replaces_a_joined_label_and_is_counted() {
    let metrics = builder()
        .allow_labels(BuiltIn::Pods, ["*"])
        .join_label("pods", Join::namespace_label("team").named("label_team"))
        .build()
        .unwrap();
    let mut namespaces = writer(&metrics, BuiltIn::Namespaces);
    apply_namespace(&mut namespaces, "shop", &json!({ "team": "blue" }));
    let mut pods = writer(&metrics, BuiltIn::Pods);
    apply(&mut pods, &object("shop", "a", &json!({ "team": "red" })));
    apply(&mut pods, &object("shop", "b", &json!({})));
    assert_eq!(
        lines(&metrics),
        [
            "kube_pod_labels{namespace=\"shop\",pod=\"a\",uid=\"a\",team=\"blue\",label_team=\"red\"} 1",
            "kube_pod_labels{namespace=\"shop\",pod=\"b\",uid=\"b\",team=\"blue\",label_team=\"blue\"} 1",
        ]
    );
    assert_eq!(metrics.stores()[0].stats().joined_labels_replaced, 1);
}

#[test]
fn samples_without_base_labels_have_joined_labels() {
    use k8s_openapi::api::core::v1::Pod;

    use crate::{Collector, Family};

    let plain = Family::gauge("plain", "Help.").generate(|_: &Pod, s| s.value(1));
    let labelled = Family::gauge("labelled", "Help.").labels(["a"]);
    let labelled = labelled.generate(|_: &Pod, s| s.label("a", "1").value(2));
    let collector = Collector::new()
        .no_base_labels()
        .families([plain, labelled]);
    let metrics = StateMetrics::builder()
        .collector(collector)
        .join_label("pods", Join::namespace_label("team"))
        .join_label("pods", Join::node_name())
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut pods = writer(&metrics, BuiltIn::Pods);
    apply(&mut pods, &pod("shop", "a", ""));
    assert_eq!(lines(&metrics), ["plain 1", "labelled{a=\"1\"} 2"]);
    apply(&mut pods, &pod("shop", "a", "n1"));
    assert_eq!(
        lines(&metrics),
        [
            "plain{node_name=\"n1\"} 1",
            "labelled{node_name=\"n1\",a=\"1\"} 2"
        ]
    );
}

#[test]
fn labels_come_from_the_objects_of_all_shards() {
    let shards = [0, 1].map(|shard| {
        let builder = builder().built_in([BuiltIn::Namespaces]);
        let builder = builder.shard(Shard::new(shard, 2).unwrap());
        builder.build().unwrap()
    });
    let mut found = 0;
    for metrics in &shards {
        let mut namespaces = writer(metrics, BuiltIn::Namespaces);
        let mut pods = writer(metrics, BuiltIn::Pods);
        for name in ["a", "b", "c", "d", "e"] {
            apply(&mut namespaces, &object("", name, &json!({ "team": name })));
            let mut pod = created(pod(name, "p", ""));
            pod["metadata"]["uid"] = json!(name);
            apply(&mut pods, &pod);
        }
        for name in ["a", "b"] {
            let own = object("", name, &json!({})).to_string();
            namespaces.delete_json(own.as_bytes()).unwrap();
        }
        for line in lines(metrics) {
            let has_team = line.contains("team=");
            assert_eq!(
                has_team,
                !line.contains("=\"a\"") && !line.contains("=\"b\""),
                "{line}"
            );
            found += 1;
        }
        assert!(
            metrics.stores()[0].stats().objects < 5,
            "a shard has some namespaces"
        );
    }
    assert_eq!(found, 5);
}

#[test]
#[cfg(feature = "custom-resources")]
fn configured_families_have_joined_labels_unless_they_have_their_own() {
    use crate::custom_resources::{Config, KnownKind};
    use crate::resource::Scope;

    let config = Config::parse(
        "
spec:
  resources:
  - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
    metrics:
    - name: size
      help: Size.
      each:
        type: Gauge
        gauge: { path: [spec], valueFrom: [size], labelsFromPath: { tier: [tier] } }
",
    )
    .unwrap();
    let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    let metrics = StateMetrics::builder()
        .custom_resources(&config)
        .known_kinds([widgets])
        .join_labels(
            "widgets=[namespace/team,self/tier,node:name,workload:name]"
                .parse()
                .unwrap(),
        )
        .all_fed_by_host()
        .build()
        .unwrap();
    let mut namespaces = writer(&metrics, BuiltIn::Namespaces);
    apply_namespace(&mut namespaces, "shop", &json!({ "team": "blue" }));
    let mut widgets = metrics.feeds_of("widgets").unwrap().remove(0);
    let mut widget = object("shop", "a", &json!({ "tier": "web" }));
    widget["spec"] = json!({ "size": 3, "nodeName": "n1" });
    apply(
        &mut widgets,
        &owned(widget.clone(), "acme.dev/v1", "Gadget", "g"),
    );
    let kind = "customresource_group=\"acme.dev\",customresource_kind=\"Widget\",customresource_version=\"v1\"";
    assert_eq!(
        lines(&metrics),
        [format!(
            "kube_customresource_size{{team=\"blue\",tier=\"web\",node_name=\"n1\",workload_name=\"g\",{kind}}} 3"
        )]
    );
    widget["spec"]["tier"] = json!("own");
    apply(&mut widgets, &widget);
    assert_eq!(
        lines(&metrics),
        [format!(
            "kube_customresource_size{{team=\"blue\",node_name=\"n1\",{kind},tier=\"own\"}} 3"
        )]
    );
    assert_eq!(metrics.stores()[0].stats().joined_labels_replaced, 1);
    // A joined label comes before the other labels, but a label of the sample comes after them.
    widget["spec"] = json!([
        { "size": 1 },
        { "size": 2, "tier": "web" },
        { "size": 3, "tier": "" },
        { "size": 4, "tier": "own" },
    ]);
    apply(&mut widgets, &widget);
    // `lines` compares the sizes of families, which include repeated samples.
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    let samples = exposition.samples().map(|sample| sample.to_string());
    assert_eq!(
        samples.collect::<Vec<_>>(),
        [
            format!("kube_customresource_size{{team=\"blue\",tier=\"web\",{kind}}} 1"),
            format!("kube_customresource_size{{team=\"blue\",{kind},tier=\"\"}} 3"),
            format!("kube_customresource_size{{team=\"blue\",{kind},tier=\"own\"}} 4"),
        ]
    );
}

#[test]
#[cfg(feature = "manifests")]
fn manifests_have_the_sources_of_labels() {
    use crate::source::manifests::ManifestSource;

    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .allow_metrics(["^kube_pod_created$"])
        .join_labels(
            "*=[namespace/team,node/kubernetes.io/arch=arch,workload:name=workload]"
                .parse()
                .unwrap(),
        )
        .build()
        .unwrap();
    let mut feed = ManifestSource::new(["examples/cluster"]).open(&metrics);
    assert!(feed.reload().problems.is_empty());
    let first = lines(&metrics);
    let has = |part: &str| first.iter().filter(|line| line.contains(part)).count();
    assert!(
        has("arch=\"amd64\"") > 5 && has("workload=") > 5,
        "{first:?}"
    );
    assert!(feed.reload().problems.is_empty());
    assert_eq!(lines(&metrics), first);
}

#[test]
fn the_time_to_join_labels_grows_linearly_with_their_number() {
    const LABELS: usize = 8_000;

    let joins: Vec<_> = (0..LABELS)
        .map(|number| match number % 2 {
            0 => Join::namespace_label(format!("a{number}")),
            _ => Join::self_label(format!("a{number}")),
        })
        .collect();
    let sources = JoinSources::new(&joins);
    let labels: serde_json::Map<_, _> = (0..LABELS)
        .map(|number| (format!("a{number}"), json!("v")))
        .collect();
    let namespace = json!({ "metadata": { "labels": labels } });
    let (feed, mut text) = (sources.feed(SourceKind::Namespace), Vec::new());
    feed.read_metadata(&serde_json::from_value(namespace).unwrap(), &mut text);
    feed.set(feed.next_feeder(), "shop", &text);
    let joins: Vec<_> = joins.iter().collect();
    let joins = RowJoins::new(&BuiltIn::Pods.info(), &joins, &sources).unwrap();
    let (table, mut links) = (sources.table(), vec![reference::FIELD_END]);
    links.extend([reference::FIELD_END, b'v'].repeat(LABELS / 2));
    let key = "shop/a";
    let rows = std::iter::repeat_n(RowKey { key, links: &links }, 10);
    let start = std::time::Instant::now();
    let text = joins.text(&table, rows);
    // If each label reads the values from the start, this takes more than ten seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(3));
    let row = String::from_utf8_lossy(text.row(9));
    let expected = (0..LABELS).map(|number| format!(",a{number}=\"v\""));
    assert_eq!(row, expected.collect::<String>());
}

#[test]
fn a_resource_has_at_most_100_joined_labels() {
    let joins = |resource: &str, numbers: std::ops::Range<usize>| {
        let joins: Vec<_> = numbers.map(|number| format!("self/a{number}")).collect();
        format!("{resource}=[{}]", joins.join(","))
    };
    for (config, expected) in [
        (joins("pods", 0..100), ""),
        (
            joins("pods", 0..101),
            "pods has 101 joined labels, including those of `*`, but the limit is 100; join fewer labels",
        ),
        // Labels with the same name count once.
        (joins("pods", 0..100) + "," + &joins("*", 40..100), ""),
        (
            joins("pods", 0..60) + "," + &joins("*", 40..140),
            "pods has 140 joined labels, including those of `*`, but the limit is 100; join fewer labels",
        ),
        (
            joins("pods", 0..100) + "," + &joins("*", 100..201),
            "* has 101 joined labels, including those of `*`, but the limit is 100; join fewer labels",
        ),
    ] {
        let built = StateMetrics::builder()
            .built_in([BuiltIn::Pods])
            .join_labels(config.parse().unwrap())
            .build();
        let error = built.map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(error, expected);
    }
}
