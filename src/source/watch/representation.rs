//! [`Representation`]: the part of each object that a request to the API server asks for.
//!
//! Families of ConfigMaps and Secrets read little of an object, whose data may be large and secret. So the
//! watch asks the API server for the metadata, or for a table, which the API server computes. A server that cannot
//! compute these parts sends whole objects.
//!
//! Source: API concepts,
//! [metadata-only fetches](https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches) and
//! [tables](https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables).

use crate::resource::ResourceInfo;

/// The part of each object that a request to the API server asks for. A later variant has all fields of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Representation {
    /// Only the metadata.
    Metadata,
    /// The metadata and the columns that `kubectl get` prints. Those of a secret include its type.
    Table,
    /// The whole object.
    #[default]
    Object,
}

// === impl Representation ===

impl Representation {
    /// The smallest representation with all fields that the families read. `reads_only` returns whether the
    /// families read nothing outside some paths.
    pub(super) fn smallest(resource: &ResourceInfo, reads_only: impl Fn(&[&str]) -> bool) -> Self {
        match (resource.group(), resource.plural()) {
            ("", "configmaps" | "secrets") if reads_only(&["metadata"]) => Self::Metadata,
            ("", "secrets") if reads_only(&["metadata", "type"]) => Self::Table,
            _ => Self::Object,
        }
    }

    /// The part of each object that the rows of a table contain. `None` if tables are not requested.
    pub(super) fn included_object(self) -> Option<&'static str> {
        (self == Self::Table).then_some("Metadata")
    }

    /// The `Accept` header of a list or a watch.
    pub(super) fn accept(self, is_list: bool) -> &'static str {
        match self {
            Self::Object => "application/json",
            Self::Metadata if is_list => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
            }
            Self::Metadata => {
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
            }
            Self::Table => "application/json;as=Table;g=meta.k8s.io;v=v1,application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

    #[test]
    fn no_more_is_requested_than_families_read() {
        let smallest = |resource, fields: &[&str]| {
            let within = |paths: &[&str]| fields.iter().all(|field| paths.contains(field));
            Representation::smallest(&resource, within)
        };
        let (configmaps, secrets) = (ResourceInfo::of::<ConfigMap>, ResourceInfo::of::<Secret>);
        let (metadata, whole) = (["metadata"], ["metadata", "data"]);
        assert_eq!(smallest(configmaps(), &metadata), Representation::Metadata);
        assert_eq!(smallest(configmaps(), &whole), Representation::Object);
        assert_eq!(smallest(secrets(), &metadata), Representation::Metadata);
        let typed = ["metadata", "type"];
        assert_eq!(smallest(secrets(), &typed), Representation::Table);
        assert_eq!(smallest(secrets(), &whole), Representation::Object);
        let pods = ResourceInfo::of::<Pod>();
        assert_eq!(smallest(pods, &metadata), Representation::Object);
    }
}
