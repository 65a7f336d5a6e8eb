//! The control plane in tests of rollouts. It writes the objects by which Prometheus discovers the replicas of the
//! exporter.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::api::Api;
use crate::continuity::{CREATED, api};

/// The namespaces, the node and the address that a control plane uses.
pub(super) struct Place {
    /// The namespace of the replicas.
    pub(super) namespace: &'static str,
    /// The namespace that contains the Service `web` and the pod `web-1` with the container `app`.
    pub(super) objects: &'static str,
    /// The name of a node in the cluster.
    pub(super) node: &'static str,
    /// The address on which the replicas listen.
    pub(super) host: String,
}

/// Writes the objects that a kubelet and the controllers would write for the replicas. The replicas are local
/// processes, so no kubelet does this.
pub(super) trait ControlPlane {
    fn place(&self) -> &Place;

    /// Returns the flags with which the exporter finds the API server.
    fn flags(&self) -> Vec<String>;

    /// Returns the lines that follow the line `role` in `kubernetes_sd_configs`.
    fn discovery(&self) -> Vec<String>;

    /// Creates or changes an object. `plural` is the plural name of the object's resource.
    fn put(&self, plural: &str, object: Value);

    /// Marks a pod as terminating. Prometheus still discovers such a pod.
    fn end(&self, pod: Value);

    fn delete(&self, plural: &str, name: &str);
}

/// Creates some running pods. The replicas of the exporter are running pods, too. Without the pods of this function,
/// one more replica could double the number of running pods. The test would then report that the result of a rule has
/// doubled.
pub(super) fn put_running(plane: &dyn ControlPlane) {
    for name in ["web-2", "web-3", "web-4"] {
        plane.put(
            "pods",
            json!({
                "metadata": { "name": name, "namespace": plane.place().objects },
                "spec": { "containers": [{ "name": "app", "image": "i" }] },
                "status": { "phase": "Running" },
            }),
        );
    }
}

/// A simulated API server in the test process.
pub(super) struct Simulated {
    api: Api,
    place: Place,
    /// The resource version of the EndpointSlice that was written last.
    version: Cell<u32>,
}

// === impl Simulated ===

impl Simulated {
    pub(super) fn start() -> Self {
        let plane = Self {
            api: api(),
            place: Place {
                namespace: "monitoring",
                objects: "shop",
                node: "n",
                host: "127.0.0.1".to_owned(),
            },
            version: Cell::new(100),
        };
        let own = json!({ "name": "kube-state-metrics", "namespace": "monitoring" });
        let service = json!({ "metadata": own, "spec": { "clusterIP": "None" } });
        plane.put("services", service);
        put_running(&plane);
        plane
    }
}

impl ControlPlane for Simulated {
    fn place(&self) -> &Place {
        &self.place
    }

    fn flags(&self) -> Vec<String> {
        let resources = "--resources=namespaces,nodes,pods,services";
        let url = format!("--apiserver={}", self.api.url);
        vec![url, resources.into(), "--ha-lease-duration=3s".into()]
    }

    fn discovery(&self) -> Vec<String> {
        vec![format!("api_server: {}", self.api.url)]
    }

    fn put(&self, plural: &str, mut object: Value) {
        let metadata = &mut object["metadata"];
        metadata["uid"] = metadata["name"].clone();
        metadata["creationTimestamp"] = json!(CREATED);
        metadata["resourceVersion"] = json!("3");
        if plural == "endpointslices" {
            self.version.set(self.version.get() + 1);
            metadata["resourceVersion"] = json!(self.version.get().to_string());
        }
        if plural == "pods" {
            object["spec"]["nodeName"] = json!(self.place.node);
        }
        self.api.put(plural, object);
    }

    fn end(&self, mut pod: Value) {
        pod["metadata"]["deletionTimestamp"] = json!(CREATED);
        self.put("pods", pod);
    }

    fn delete(&self, plural: &str, name: &str) {
        self.api.delete(plural, name);
    }
}
