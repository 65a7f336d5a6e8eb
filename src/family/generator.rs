//! Generators: the code that computes the samples of a family from an object.

use kube::Resource;

use super::samples::Samples;

/// Appends the samples of one family for one object.
///
/// Closures and types can be generators. The samples must depend only on those fields of the object that the family
/// declares with [`reads`](crate::family::FamilyBuilder::reads). If an event does not change these fields, the store
/// may keep the samples and not call the generator.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::family::Samples;
/// use kube_state_metrics::{Family, FamilyGenerator};
///
/// /// Counts the volumes of one source, or all volumes.
/// struct Volumes {
///     only_claims: bool,
/// }
///
/// impl FamilyGenerator<Pod> for Volumes {
///     fn generate(&self, pod: &Pod, samples: &mut Samples<'_>) {
///         let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
///         let claim = |v: &&k8s_openapi::api::core::v1::Volume| v.persistent_volume_claim.is_some();
///         samples.value(volumes.filter(|v| !self.only_claims || claim(v)).count());
///     }
/// }
///
/// let family = Family::gauge("pod_claim_volumes", "Volumes of the pod that are backed by a claim.")
///     .generator(Volumes { only_claims: true });
/// assert_eq!(family.descriptor().name(), "pod_claim_volumes");
/// ```
pub trait FamilyGenerator<K: Resource>: Send + Sync {
    /// Appends the samples of this family for `object`. If the object has no data for the family, append no sample.
    fn generate(&self, object: &K, samples: &mut Samples<'_>);
}

impl<K, F> FamilyGenerator<K> for F
where
    K: Resource,
    F: Fn(&K, &mut Samples<'_>) + Send + Sync,
{
    fn generate(&self, object: &K, samples: &mut Samples<'_>) {
        self(object, samples);
    }
}
