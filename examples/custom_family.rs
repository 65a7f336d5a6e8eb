//! Defines families for built-in kinds. The generator of the family for pods is a type. The generator of the family for
//! nodes is a closure. Run the example with `cargo run --example custom_family`. The example needs no cluster, because
//! the program contains the objects.

use std::io::Write;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::family::Samples;
use kube_state_metrics::{BuiltIn, Collector, Family, FamilyGenerator, StateMetrics};
use serde_json::json;

/// A generator that counts the containers of a pod by the registry of their image.
///
/// Use a type instead of a closure if the generator has settings, or if you want to test the generator separately.
struct ImagesFrom {
    registries: Vec<String>,
}

impl FamilyGenerator<Pod> for ImagesFrom {
    fn generate(&self, pod: &Pod, samples: &mut Samples<'_>) {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let images: Vec<_> = containers
            .filter_map(|container| container.image.as_deref())
            .collect();
        for registry in &self.registries {
            let from = images
                .iter()
                .filter(|image| image.starts_with(registry.as_str()));
            samples.label("registry", registry).value(from.count());
        }
    }
}

/// Returns a family for pods. The library adds this family to the store of the built-in families of pods.
pub(crate) fn pods(registries: impl IntoIterator<Item = String>) -> Collector<Pod> {
    let registries = registries.into_iter().collect();
    Collector::new().family(
        Family::gauge(
            "acme_pod_images",
            "Images of the pod, by the registry they are from.",
        )
        .labels(["registry"])
        .reads(["spec.containers.image"]) // the decoder skips all other fields
        .generator(ImagesFrom { registries }),
    )
}

/// Returns families for nodes. These families have other base labels than the built-in families of nodes.
pub(crate) fn nodes() -> Collector<Node> {
    Collector::<Node>::new()
        .no_base_labels()
        .name_label("node")
        .base_label("zone", |node| {
            let labels = node.metadata.labels.as_ref();
            let zone = labels.and_then(|labels| labels.get("topology.kubernetes.io/zone"));
            zone.map(String::as_str).unwrap_or_default().into()
        })
        .family(
            Family::gauge(
                "acme_node_memory_bytes",
                "Memory that pods may use, in bytes.",
            )
            .generate(|node: &Node, s| {
                let status = node.status.as_ref();
                let allocatable = status.and_then(|status| status.allocatable.as_ref());
                s.maybe_value(allocatable.and_then(|all| all.get("memory")));
            }),
        )
}

/// Builds a [`StateMetrics`], passes two objects to it, and returns the metrics as text.
pub(crate) fn report() -> Result<String, Box<dyn std::error::Error>> {
    let metrics = StateMetrics::builder()
        .built_in([BuiltIn::Pods])
        .collector(pods(["registry.acme.dev/".into(), "docker.io/".into()]))
        .collector(nodes())
        .allow_metrics(["^acme_", "^kube_pod_status_phase$"])
        .all_fed_by_host() // there is no cluster
        .build()?;
    let pod = json!({
        "metadata": { "name": "cart", "namespace": "shop" },
        "spec": { "containers": [
            { "name": "app", "image": "registry.acme.dev/cart:7" },
            { "name": "proxy", "image": "registry.acme.dev/proxy:2" }
        ] },
        "status": { "phase": "Running" }
    });
    let node = json!({
        "metadata": { "name": "worker-1", "labels": { "topology.kubernetes.io/zone": "b" } },
        "status": { "allocatable": { "memory": "16Gi" } }
    });
    metrics
        .feed::<Pod>()?
        .apply_object(&serde_json::from_value(pod)?);
    metrics
        .feed::<Node>()?
        .apply_object(&serde_json::from_value(node)?);
    Ok(metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::io::stdout().write_all(report()?.as_bytes())?;
    Ok(())
}
