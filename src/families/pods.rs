//! The resource `pods`. Each file in the folder `pods` contains the families that read one part of the object of a pod,
//! such as its containers.

mod access;
mod claims;
mod container_samples;
mod containers;
mod identity;
mod init_containers;
mod metadata;
mod order;
mod scheduling;
mod spec;
mod status;

use k8s_openapi::api::core::v1::Pod;

use crate::Collector;

/// The families of pods.
///
/// ```
/// use kube_state_metrics::families::pods;
///
/// assert!(pods().iter().any(|family| family.descriptor().name() == "kube_pod_status_phase"));
/// ```
#[must_use]
pub fn pods() -> Collector<Pod> {
    let mut families = [
        metadata::families(),
        identity::families(),
        spec::families(),
        scheduling::families(),
        claims::families(),
        status::families(),
        containers::families(),
        init_containers::families(),
    ]
    .concat();
    order::sort(&mut families);
    Collector::new().uid_label("uid").families(families)
}

#[cfg(test)]
mod tests;
