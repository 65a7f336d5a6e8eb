//! Generates `src/tables.rs` and `src/tables` from the Go types that Kubernetes publishes.
//!
//! A table lists the fields of a protobuf message.
//!
//! ```console
//! $ cargo run -p kube-protobuf --example generate_tables -- \
//!       "$(go mod download -json k8s.io/api@v0.37.2 | jq -r .Dir)" \
//!       "$(go mod download -json k8s.io/apimachinery@v0.37.2 | jq -r .Dir)"
//! $ cargo fmt -p kube-protobuf
//! ```
//!
//! The generator reads Go source, because the `.proto` files next to this source lack some information. They do not
//! contain the JSON names of the fields. They also do not state which fields are pointers, which fields JSON omits if
//! they are empty, and which structs are inlined. The declarations in Go contain this information. The generator stops
//! with an error at the first type that it does not support.

mod go_source;
mod resolve;
mod write;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use resolve::Resolver;

/// The kinds that have tables. Each row has the Go package below `k8s.io/api`, the API version, and the kinds.
const KINDS: &[(&str, &str, &[&str])] = &[
    (
        "admissionregistration/v1",
        "admissionregistration.k8s.io/v1",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    (
        "apps/v1",
        "apps/v1",
        &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
    ),
    (
        "autoscaling/v2",
        "autoscaling/v2",
        &["HorizontalPodAutoscaler"],
    ),
    ("batch/v1", "batch/v1", &["CronJob", "Job"]),
    (
        "certificates/v1",
        "certificates.k8s.io/v1",
        &["CertificateSigningRequest"],
    ),
    ("coordination/v1", "coordination.k8s.io/v1", &["Lease"]),
    (
        "core/v1",
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    ("discovery/v1", "discovery.k8s.io/v1", &["EndpointSlice"]),
    (
        "networking/v1",
        "networking.k8s.io/v1",
        &["Ingress", "IngressClass", "NetworkPolicy"],
    ),
    ("policy/v1", "policy/v1", &["PodDisruptionBudget"]),
    (
        "rbac/v1",
        "rbac.authorization.k8s.io/v1",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    (
        "storage/v1",
        "storage.k8s.io/v1",
        &["StorageClass", "VolumeAttachment"],
    ),
];

/// The messages that are not kinds, but need tables because every API uses them.
const META: &[&str] = &["ListMeta", "ObjectMeta", "Status"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(api), Some(machinery)) = (arguments.next(), arguments.next()) else {
        return Err(
            "usage: generate_tables API APIMACHINERY (directories of the two Go modules)".into(),
        );
    };
    let version = version_of(&api)?;
    if version_of(&machinery)? != version {
        return Err("the two modules have different versions".into());
    }
    let mut resolver = Resolver::new(&api, &machinery);
    let mut kinds = Vec::new();
    for (package, api_version, names) in KINDS {
        for name in *names {
            let message = resolver.message(&format!("k8s.io/api/{package}"), name)?;
            kinds.push((*api_version, *name, message));
        }
    }
    for name in META {
        resolver.message(resolve::META, name)?;
    }
    kinds.sort_unstable();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in write::files(&version, &kinds, resolver.messages()) {
        let path = source.join(path);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Returns the version of a Go module from the name of its directory, for example `v0.37.2` for `api@v0.37.2`.
fn version_of(module: &Path) -> Result<String, String> {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    let (_, version) = name.split_once("@v").ok_or_else(|| {
        format!(
            "{}: the directory of a module must have a name that ends with the version, such as api@v0.37.2",
            module.display()
        )
    })?;
    Ok(version.to_owned())
}
