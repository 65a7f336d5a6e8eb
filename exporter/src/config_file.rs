//! The options file (`--config`): what the flags say, under YAML keys.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Declares the file with its keys, and the list of the keys.
macro_rules! config_file {
    ($($key:literal $field:ident: $type:ty,)*) => {
        /// The content of an options file. What is absent leaves the flag's value.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default)]
        pub(crate) struct ConfigFile {
            $(#[serde(rename = $key)] pub(crate) $field: $type,)*
            #[serde(skip)]
            pub(crate) unknown: Vec<String>,
        }

        /// All keys.
        pub(crate) const KEYS: &[&str] = &[$($key),*];
    };
}

config_file! {
    "annotations_allow_list" annotations: Option<BTreeMap<String, Vec<String>>>,
    "apiserver" apiserver: Scalar,
    "auth_filter" auth_filter: Scalar,
    "auto-gomemlimit" auto_gomemlimit: Scalar,
    "auto-gomemlimit-ratio" auto_gomemlimit_ratio: Scalar,
    "continue_without_config" continue_without_config: Scalar,
    "continue_without_custom_resource_state_config_file" continue_without_custom_resource_file: Scalar,
    "custom_resource_config" custom_resource_config: Scalar,
    "custom_resource_config_file" custom_resource_file_old: Scalar,
    "custom_resource_state_config_file" custom_resource_file: Scalar,
    "custom_resources_only" custom_resources_only: Scalar,
    "enable_gzip_encoding" enable_gzip_encoding: Scalar,
    "host" host: Scalar,
    "kubeconfig" kubeconfig: Scalar,
    "labels_allow_list" labels: Option<BTreeMap<String, Vec<String>>>,
    "manifests" manifests: Option<Vec<String>>,
    "max_answers" max_answers: Scalar,
    "max_connections" max_connections: Scalar,
    "metric_allowlist" metric_allowlist: Option<Keys>,
    "metric_denylist" metric_denylist: Option<Keys>,
    "metric_opt_in_list" metric_opt_in_list: Option<Keys>,
    "namespace" pod_namespace: Scalar,
    "namespaces" namespaces: Option<Vec<String>>,
    "namespaces_denylist" namespaces_denylist: Option<Vec<String>>,
    "no_watchlist" no_watchlist: Scalar,
    "node" node: Scalar,
    "object_limit" object_limit: Scalar,
    "pod" pod: Scalar,
    "port" port: Scalar,
    "readiness" readiness: Scalar,
    "resources" resources: Option<Keys>,
    "server_idle_timeout" server_idle_timeout: Scalar,
    "server_progress_timeout" server_progress_timeout: Scalar,
    "server_read_header_timeout" server_read_header_timeout: Scalar,
    "server_read_timeout" server_read_timeout: Scalar,
    "server_side_sharding" server_side_sharding: Scalar,
    "server_write_timeout" server_write_timeout: Scalar,
    "shard" shard: Scalar,
    "shard_handover" shard_handover: Scalar,
    "telemetry_host" telemetry_host: Scalar,
    "telemetry_port" telemetry_port: Scalar,
    "tls_config" tls_config: Scalar,
    "total_shards" total_shards: Scalar,
    "track_unscheduled_pods" track_unscheduled_pods: Scalar,
    "use_api_server_cache" use_apiserver_cache: Scalar,
}

/// The keys of a map whose values say nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Keys(pub(crate) Vec<String>);

/// A single value as text, whatever type YAML gives it; checked together with the flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scalar(pub(crate) Option<String>);

/// An options file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    #[error("cannot read the options file {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the options file {} is not valid: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads the content of an options file.
    ///
    /// # Errors
    ///
    /// Where it is not what an options file must be; the message has the place.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigFileError> {
        let syntax = |error: serde_saphyr::Error| ConfigFileError::Syntax {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        // An empty file, or one with comments only, is an empty mapping.
        let keys: Option<BTreeMap<String, IgnoredAny>> =
            serde_saphyr::from_str(text).map_err(syntax)?;
        let mut file: Option<Self> = serde_saphyr::from_str(text).map_err(syntax)?;
        let mut file = file.take().unwrap_or_default();
        file.unknown = keys.unwrap_or_default().into_keys().collect();
        file.unknown.retain(|key| !KEYS.contains(&key.as_str()));
        Ok(file)
    }
}

// === impl Keys ===

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            // A list is what one would write, and was never allowed.
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map such as `{pods: {}, nodes: {}}`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Keys, A::Error> {
                let entries = MapAccessDeserializer::new(map);
                let entries = BTreeMap::<String, IgnoredAny>::deserialize(entries)?;
                Ok(Keys(entries.into_keys().collect()))
            }

            fn visit_unit<E>(self) -> Result<Keys, E> {
                Ok(Keys::default())
            }
        }

        deserializer.deserialize_any(KeysVisitor)
    }
}

// === impl Scalar ===

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("o.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_value_is_read() {
        let file = parse(
            "resources: {pods: {}, nodes: }\nmetric_allowlist:\n  a:\n  b: {}\nport: 80\n\
             host: '::'\nnode:\nauth_filter: true\nserver_read_timeout: 5s\n\
             labels_allow_list: {pods: [a, 'b*']}\nnamespaces: [x]\nauto-gomemlimit-ratio: 0.5\n",
        )
        .unwrap();
        assert_eq!(file.resources.unwrap().0, ["nodes", "pods"]);
        assert_eq!(file.metric_allowlist.unwrap().0.len(), 2);
        assert_eq!(file.port.0.as_deref(), Some("80"));
        assert_eq!(file.host.0.as_deref(), Some("::"));
        assert_eq!(file.node.0, None);
        assert_eq!(file.auth_filter.0.as_deref(), Some("true"));
        assert_eq!(file.auto_gomemlimit_ratio.0.as_deref(), Some("0.5"));
        assert_eq!(file.labels.unwrap().get("pods").unwrap(), &["a", "b*"]);
        assert_eq!(file.namespaces.unwrap(), ["x"]);
    }

    #[test]
    fn a_list_in_place_of_a_map_is_told_what_to_write() {
        let error = parse("port: 1\nresources: [pods]").unwrap_err();
        assert!(
            error.contains("a map such as `{pods: {}, nodes: {}}`"),
            "{error}"
        );
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn unknown_keys_are_named_and_wrong_types_refused() {
        assert_eq!(parse("port: 1\nportt: 2\n").unwrap().unknown, ["portt"]);
        assert!(parse("").unwrap().unknown.is_empty());
        assert!(parse("# nothing\n").unwrap().port.0.is_none());
        for text in [
            "resources: [pods]",
            "namespaces: a,b",
            "port: [1]",
            "port: {",
            "- a",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.starts_with("the options file o.yaml is not valid: "),
                "{text}: {error}"
            );
        }
    }
}
