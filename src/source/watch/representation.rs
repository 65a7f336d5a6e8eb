//! [`Representation`]: which fields of each object a request to the API server asks for.
//!
//! Families of ConfigMaps and Secrets read only a few fields of an object, but the data of the object may be large and
//! secret. Therefore, the watch asks the API server only for the metadata, or for a table. A server that does not
//! support metadata-only requests or tables sends whole objects.
//!
//! Source: API concepts,
//! [metadata-only fetches](https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches) and
//! [tables](https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables).

use kube_protobuf::CONTENT_TYPE;

use crate::decode::Encoding;
use crate::resource::ResourceInfo;

/// Which fields of each object a request to the API server asks for. Each variant has all fields of the previous
/// variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Representation {
    /// Only the metadata.
    Metadata,
    /// The metadata and the columns that `kubectl get` prints. The columns of a secret include its type.
    Table,
    /// The whole object.
    #[default]
    Object,
}

const JSON: &str = "application/json";
/// The message if a response has only metadata, although the request asked for more fields.
pub(super) const ONLY_METADATA: &str = "the response has only the metadata of objects (PartialObjectMetadata), which \
    was not requested; check whether a proxy changes requests or responses of the API server";

// === impl Representation ===

impl Representation {
    /// The smallest representation with all fields that the families read. `reads_only` gets paths of fields, and
    /// returns true if the families read no field outside these paths.
    pub(super) fn smallest(resource: &ResourceInfo, reads_only: impl Fn(&[&str]) -> bool) -> Self {
        match (resource.group(), resource.plural()) {
            ("", "configmaps" | "secrets") if reads_only(&["metadata"]) => Self::Metadata,
            ("", "secrets") if reads_only(&["metadata", "type"]) => Self::Table,
            _ => Self::Object,
        }
    }

    /// The value of the parameter `includeObject`, which selects the fields of the objects in a table. `None` if tables
    /// are not requested.
    pub(super) fn included_object(self) -> Option<&'static str> {
        (self == Self::Table).then_some("Metadata")
    }

    /// Whether the API server has this representation in protobuf.
    pub(super) fn has_protobuf(self) -> bool {
        self != Self::Table
    }

    /// The `Accept` header of a list or a watch. The header always accepts whole objects in JSON, too, because some
    /// servers and proxies support nothing else.
    pub(super) fn accept(self, is_list: bool, encoding: Encoding) -> String {
        let kind = match self {
            Self::Object => None,
            Self::Metadata if is_list => Some("PartialObjectMetadataList"),
            Self::Metadata => Some("PartialObjectMetadata"),
            Self::Table => Some("Table"),
        };
        let partial = |media_type: &str, kind| format!("{media_type};as={kind};g=meta.k8s.io;v=v1");
        let accepted = match (encoding, kind) {
            (Encoding::Json, None) => return JSON.to_owned(),
            (Encoding::Json, Some(kind)) => vec![partial(JSON, kind)],
            (Encoding::Protobuf(_), None) => vec![CONTENT_TYPE.to_owned()],
            (Encoding::Protobuf(_), Some(kind)) => {
                vec![partial(CONTENT_TYPE, kind), partial(JSON, kind)]
            }
        };
        [accepted.join(","), JSON.to_owned()].join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
    use kube_protobuf::message_of;

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

    #[test]
    fn partial_objects_are_preferred_in_any_encoding_before_whole_ones() {
        let protobuf = Encoding::Protobuf(message_of("v1", "ConfigMap").unwrap());
        for (representation, encoding, accept) in [
            (Representation::Object, Encoding::Json, "application/json"),
            (
                Representation::Object,
                protobuf,
                "application/vnd.kubernetes.protobuf,application/json",
            ),
            (
                Representation::Metadata,
                protobuf,
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
                 application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            ),
            (
                Representation::Table,
                Encoding::Json,
                "application/json;as=Table;g=meta.k8s.io;v=v1,application/json",
            ),
        ] {
            assert_eq!(representation.accept(true, encoding), accept);
        }
    }
}
