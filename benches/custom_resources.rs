//! Compares configured families (families of a Custom Resource State configuration) with the same families in Rust.
//! Both measured times include the time to decode the objects.
//!
//! Run the benchmark with `cargo bench --bench custom_resources --features cel`. The results are in
//! docs/reference/custom-resources.md.

#![allow(clippy::expect_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::resource::Scope;
use kube_state_metrics::store::ObjectWriter;
use kube_state_metrics::{Collector, Family, StateMetrics};
use serde::Deserialize;
use serde_json::json;

const APPLICATIONS: usize = 10_000;

/// The fields of an Argo CD application that the families read. A user of the crate would declare these fields in the
/// same way.
#[derive(Clone, Debug, Deserialize)]
struct Application {
    metadata: ObjectMeta,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Deserialize)]
struct Spec {
    project: String,
    source: Source,
    destination: Destination,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(rename = "repoURL")]
    repo_url: String,
    target_revision: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Destination {
    namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    sync: State,
    #[serde(default)]
    health: State,
    reconciled_at: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    resources: Vec<Part>,
    operation_state: Option<Operation>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct State {
    #[serde(default)]
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Part {
    kind: String,
    name: String,
    #[serde(default)]
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    phase: String,
    retry_count: Option<i64>,
}

/// This impl replaces the code that `#[derive(CustomResource)]` would generate.
impl kube::Resource for Application {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        "Application".into()
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        "argoproj.io".into()
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        "applications".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

const SYNC: [&str; 3] = ["Synced", "OutOfSync", "Unknown"];
const HEALTH: [&str; 6] = [
    "Healthy",
    "Progressing",
    "Degraded",
    "Suspended",
    "Missing",
    "Unknown",
];
const PHASES: [&str; 5] = ["Running", "Succeeded", "Failed", "Error", "Terminating"];

fn typed() -> Collector<Application> {
    Collector::new()
        .families([
            Family::info("argocd_app_info", "Info.").generate(|a: &Application, s| {
                s.label("destination", &a.spec.destination.namespace)
                    .label("project", &a.spec.project)
                    .label("repository", &a.spec.source.repo_url)
                    .label("revision", &a.spec.source.target_revision)
                    .value(1);
            }),
            Family::state_set("argocd_app_sync", "Sync.")
                .generate(|a: &Application, s| s.state_set("status", &SYNC, &a.status.sync.status)),
            Family::state_set("argocd_app_health", "Health.").generate(|a: &Application, s| {
                s.state_set("status", &HEALTH, &a.status.health.status);
            }),
            Family::gauge("argocd_app_reconciled", "Reconciled.").generate(|a: &Application, s| {
                s.maybe_value(
                    a.status
                        .reconciled_at
                        .as_ref()
                        .map(|time| time.0.as_second()),
                );
            }),
            Family::info("argocd_app_condition_info", "Conditions.").generate(
                |a: &Application, s| {
                    for condition in &a.status.conditions {
                        s.label("type", &condition.kind).value(1);
                    }
                },
            ),
        ])
        .families([
            Family::info("argocd_app_resource_info", "Resources.").generate(
                |a: &Application, s| {
                    for part in &a.status.resources {
                        s.label("kind", &part.kind)
                            .label("resource", &part.name)
                            .label("status", &part.status)
                            .value(1);
                    }
                },
            ),
            Family::state_set("argocd_app_operation", "Operation.").generate(
                |a: &Application, s| {
                    if let Some(own) = &a.status.operation_state {
                        s.state_set("phase", &PHASES, &own.phase);
                    }
                },
            ),
            Family::gauge("argocd_app_retries", "Retries.").generate(|a: &Application, s| {
                s.maybe_value(
                    a.status
                        .operation_state
                        .as_ref()
                        .and_then(|own| own.retry_count),
                );
            }),
        ])
}

const PATHS: &str = "
spec:
  resources:
  - groupVersionKind: { group: argoproj.io, version: v1alpha1, kind: Application }
    metricNamePrefix: argocd_app
    labelsFromPath: { namespace: [metadata, namespace], application: [metadata, name] }
    metrics:
    - name: info
      each:
        type: Info
        info:
          path: [spec]
          labelsFromPath:
            destination: [destination, namespace]
            project: [project]
            repository: [source, repoURL]
            revision: [source, targetRevision]
    - name: sync
      each:
        type: StateSet
        stateSet: { path: [status, sync, status], labelName: status, list: [Synced, OutOfSync, Unknown] }
    - name: health
      each:
        type: StateSet
        stateSet:
          path: [status, health, status]
          labelName: status
          list: [Healthy, Progressing, Degraded, Suspended, Missing, Unknown]
    - { name: reconciled, each: { type: Gauge, gauge: { path: [status, reconciledAt] } } }
    - name: condition_info
      each: { type: Info, info: { path: [status, conditions], labelsFromPath: { type: [type] } } }
    - name: resource_info
      each:
        type: Info
        info:
          path: [status, resources]
          labelsFromPath: { kind: [kind], resource: [name], status: [status] }
    - name: operation
      each:
        type: StateSet
        stateSet:
          path: [status, operationState, phase]
          labelName: phase
          list: [Running, Succeeded, Failed, Error, Terminating]
    - { name: retries, each: { type: Gauge, gauge: { path: [status, operationState, retryCount] } } }
";

/// Pairs of texts. The first text is a part of the configuration that reads a value by a path. The second text replaces
/// the first one, and reads the same value by a CEL expression.
const EXPRESSIONS: &[(&str, &str)] = &[
    (
        "path: [status, sync, status],",
        "expr: object.status.sync.status,",
    ),
    (
        "path: [status, health, status]\n",
        "expr: object.status.health.status\n",
    ),
    (
        "path: [status, reconciledAt]",
        "expr: timestamp(object.status.reconciledAt)",
    ),
    (
        "path: [status, conditions],",
        "forEach: object.status.conditions,",
    ),
    (
        "path: [status, resources]\n",
        "forEach: object.status.resources\n",
    ),
    (
        "path: [status, operationState, phase]\n",
        "expr: object.status.operationState.phase\n",
    ),
    (
        "path: [status, operationState, retryCount]",
        "expr: object.status.operationState.retryCount",
    ),
];

fn configured(config: &str) -> Box<dyn ObjectWriter> {
    let config = Config::parse(config).expect("the configuration is valid");
    let kind = KnownKind::new(
        "argoproj.io",
        "v1alpha1",
        "Application",
        "applications",
        Scope::Namespaced,
    );
    let builder = StateMetrics::builder()
        .custom_resources(&config)
        .known_kinds([kind])
        .all_fed_by_host();
    writer(&builder.build().expect("the families are valid"))
}

fn writer(metrics: &StateMetrics) -> Box<dyn ObjectWriter> {
    metrics.feeds().pop().expect("one resource is registered")
}

/// Returns an application of about 4 KB. The families read only few fields of the application.
fn application(at: usize) -> Vec<u8> {
    let resource = |n: usize| {
        json!({
            "group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop",
            "name": format!("part-{n}"), "status": if n == 3 { "OutOfSync" } else { "Synced" },
            "health": { "status": "Healthy" },
        })
    };
    let history = |n: usize| {
        json!({
            "id": n, "revision": "0123456789abcdef0123456789abcdef01234567",
            "deployedAt": "2024-04-01T10:00:00Z", "deployStartedAt": "2024-04-01T09:59:00Z",
            "source": { "repoURL": "https://example.com/org/repository.git", "path": "deploy" },
        })
    };
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": format!("application-{at:05}"), "namespace": "argocd",
            "uid": format!("e41b66d4-13c6-4bdc-a996-{at:012}"), "resourceVersion": at.to_string(),
            "labels": { "app.kubernetes.io/part-of": "shop", "team": "payments" },
            "annotations": { "note": "x".repeat(200) },
        },
        "spec": {
            "project": "default",
            "source": { "repoURL": "https://example.com/org/repository.git", "targetRevision": "HEAD", "path": "deploy" },
            "destination": { "server": "https://kubernetes.default.svc", "namespace": "shop" },
            "syncPolicy": { "automated": { "prune": true, "selfHeal": true } },
        },
        "status": {
            "sync": { "status": "Synced", "revision": "0123456789abcdef0123456789abcdef01234567" },
            "health": { "status": "Healthy" },
            "reconciledAt": "2024-05-01T10:00:00Z",
            "conditions": [{ "type": "SyncError", "message": "m".repeat(120), "lastTransitionTime": "2024-05-01T10:00:00Z" }],
            "resources": (0..6).map(resource).collect::<Vec<_>>(),
            "history": (0..8).map(history).collect::<Vec<_>>(),
            "operationState": {
                "phase": "Succeeded", "retryCount": 2, "message": "successfully synced",
                "startedAt": "2024-05-01T09:59:00Z", "finishedAt": "2024-05-01T10:00:00Z",
            },
        },
    });
    object.to_string().into_bytes()
}

fn custom_resources(criterion: &mut Criterion) {
    let objects: Vec<_> = (0..APPLICATIONS).map(application).collect();
    let expressions = EXPRESSIONS
        .iter()
        .fold(PATHS.to_owned(), |config, (path, expression)| {
            assert!(config.contains(path), "{path}");
            config.replace(path, expression)
        });
    let typed = StateMetrics::builder()
        .collector(typed().fed_by_host())
        .build();
    let mut group = criterion.benchmark_group("apply 10,000 applications");
    group.throughput(Throughput::Elements(APPLICATIONS as u64));
    group.sample_size(10);
    for (name, mut writer) in [
        ("typed", writer(&typed.expect("the families are valid"))),
        ("paths", configured(PATHS)),
        ("expressions", configured(&expressions)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                writer.begin_list();
                for object in &objects {
                    writer
                        .apply_json(black_box(object))
                        .expect("objects decode");
                }
                writer.end_list();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, custom_resources);
criterion_main!(benches);
