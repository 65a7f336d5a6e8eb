//! The last lines of the help texts: examples, and the URL of the documentation.

/// Returns the examples with an indentation of two spaces, and then the URL of the documentation.
macro_rules! examples {
    ($($line:literal)*) => {
        concat!(
            "Examples:\n",
            $("  ", $line, "\n",)*
            "\nDocumentation: ",
            env!("CARGO_PKG_REPOSITORY")
        )
    };
}

/// Examples of command lines without a subcommand.
pub(crate) const EXPORTER: &str = examples!(
    "kube-state-metrics                                 # the cluster of the pod, or of kubectl"
    "kube-state-metrics --kubeconfig ~/.kube/config --resources=pods,nodes"
    "kube-state-metrics --manifests examples/cluster    # metrics of files, without a cluster"
    "kubectl get pods -A -o yaml | kube-state-metrics render -"
);

/// Examples of `render`.
pub(super) const RENDER: &str = examples!(
    "kube-state-metrics render manifests/ --resources=pods,deployments"
    "kubectl get pods -A -o yaml | kube-state-metrics render -"
    "kube-state-metrics render --format promtool objects.yaml >> alerts.test.yaml"
);

/// Examples of `check`.
pub(super) const CHECK: &str = examples!(
    "kube-state-metrics check metrics.yaml"
    "kubectl get widgets -A -o yaml | kube-state-metrics check metrics.yaml --objects -"
);

/// Examples of `probe`.
pub(super) const PROBE: &str = examples!(
    "kube-state-metrics probe http://localhost:8080/readyz http://localhost:8080/metrics"
    "kube-state-metrics probe --timeout=2s http://localhost:8080/livez    # a health check of a container"
);

/// Examples of `rbac`.
pub(super) const RBAC: &str = examples!(
    "kube-state-metrics rbac --resources=pods,nodes | kubectl apply -f -"
    "kube-state-metrics rbac --namespaces=shop --service-account=monitoring/kube-state-metrics"
    "kube-state-metrics rbac --check            # in the pod of the exporter, with its flags"
);

/// Examples of `top`.
pub(super) const TOP: &str = examples!(
    "kube-state-metrics top localhost:8081            # after kubectl port-forward"
    "curl -s localhost:8080/metrics | kube-state-metrics top - --by series --limit 20"
    "kube-state-metrics top manifests/ --json"
);
