//! [`Join`]: one joined label, and its text form.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::errors::debug_is_display;
use crate::k8s::{is_valid_label_name, sanitize_label};

/// A label that all samples of an object get from another object, or from the metadata of the object itself.
///
/// The command line accepts the text form of a join, such as `node/KEY`. The text begins with the object that has the
/// value: `self`, `namespace`, `node` or `workload`. Then follows `/KEY` for a label, `@KEY` for an annotation, `:name`
/// for the name, or `:kind` for the kind. The text may end with `=NAME`, which sets the name of the joined label. By
/// default, this name is the sanitised key. For `:name` or `:kind`, the default is a name such as `node_name`.
///
/// ```
/// use kube_state_metrics::registry::Join;
///
/// for (join, text, name) in [
///     (Join::namespace_label("team"), "namespace/team", "team"),
///     (Join::node_label("topology.kubernetes.io/zone").named("zone"), "node/topology.kubernetes.io/zone=zone", "zone"),
///     (Join::namespace_annotation("acme.dev/cost"), "namespace@acme.dev/cost", "acme_dev_cost"),
///     (Join::workload_label("app"), "workload/app", "app"),
///     (Join::workload_name().named("workload"), "workload:name=workload", "workload"),
/// ] {
///     assert_eq!((text.parse::<Join>(), join.label_name()), (Ok(join.clone()), name));
///     assert_eq!(join.to_string(), text);
/// }
/// let error = "pod/team".parse::<Join>().unwrap_err();
/// assert!(error.to_string().contains("`pod/team` names the unknown object `pod`"));
/// ```
///
/// The other functions that create a join:
///
/// ```
/// use kube_state_metrics::registry::Join;
///
/// let joins = [
///     Join::self_label("tier"),
///     Join::self_annotation("acme.dev/tier"),
///     Join::node_annotation("acme.dev/rack"),
///     Join::node_name(),
///     Join::workload_annotation("acme.dev/owner"),
///     Join::workload_kind(),
/// ];
/// assert_eq!(joins[3].to_string(), "node:name");
/// assert_eq!(joins[5].label_name(), "workload_kind");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    pub(super) value: JoinedValue,
    name: String,
}

/// The origin of the value of a joined label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum JoinedValue {
    /// The value of a label or an annotation of an object.
    Key {
        object: JoinedObject,
        map: MetadataMap,
        key: String,
    },
    /// The name of the node that runs the object.
    NodeName,
    /// The name of the workload that the object belongs to.
    WorkloadName,
    /// The kind of the workload that the object belongs to.
    WorkloadKind,
}

/// The object that has the label or annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum JoinedObject {
    Itself,
    Namespace,
    Node,
    Workload,
}

/// A map in the metadata of an object: the labels or the annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MetadataMap {
    Labels,
    Annotations,
}

/// An error in the text form of a [`Join`] or a [`JoinConfig`](super::JoinConfig).
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The text begins with the name of an unknown object.
    #[error(
        "`{join}` names the unknown object `{object}`; use `self`, `namespace`, `node` or `workload`"
    )]
    UnknownObject {
        /// The name of the object.
        object: String,
        /// The whole text.
        join: String,
    },
    /// The word after `:` is not valid for the object.
    #[error(
        "`{join}` names the unknown value `{fact}`; use `node:name`, `workload:name` or `workload:kind`"
    )]
    UnknownFact {
        /// The object and the word, such as `node:zone`.
        fact: String,
        /// The whole text.
        join: String,
    },
    /// The text has no key.
    #[error(
        "`{join}` has no key; use `namespace/KEY` for a label, `namespace@KEY` for an annotation"
    )]
    MissingKey {
        /// The whole text.
        join: String,
    },
    /// The name after `=` is not a valid label name.
    #[error(
        "`{name}` in `{join}` is not a label name; use letters, digits and `_`; the first character must not be a digit"
    )]
    LabelName {
        /// The name.
        name: String,
        /// The whole text.
        join: String,
    },
    /// A list of joined labels does not have the form that the command line accepts.
    #[error(
        "`{text}` is not a list of joined labels; the form is `pods=[namespace/team,node/KEY=NAME],*=[self/tier]`"
    )]
    List {
        /// The part of the text that does not have this form.
        text: String,
    },
}

debug_is_display!(JoinError);

// === impl MetadataMap ===

impl MetadataMap {
    /// The path of the field that contains the map.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Labels => "metadata.labels",
            Self::Annotations => "metadata.annotations",
        }
    }
}

// === impl Join ===

impl Join {
    /// The value of a label of the object's namespace.
    #[must_use]
    pub fn namespace_label(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Namespace, MetadataMap::Labels, key.into())
    }

    /// The value of an annotation of the object's namespace.
    #[must_use]
    pub fn namespace_annotation(key: impl Into<String>) -> Self {
        Self::of_key(
            JoinedObject::Namespace,
            MetadataMap::Annotations,
            key.into(),
        )
    }

    /// The value of a label of the object's node.
    #[must_use]
    pub fn node_label(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Node, MetadataMap::Labels, key.into())
    }

    /// The value of an annotation of the object's node.
    #[must_use]
    pub fn node_annotation(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Node, MetadataMap::Annotations, key.into())
    }

    /// The name of the object's node.
    ///
    /// The default name of the label is `node_name`.
    #[must_use]
    pub fn node_name() -> Self {
        Self::of(JoinedValue::NodeName)
    }

    /// The value of a label of the object's workload.
    ///
    /// The workload of an object depends on the object and on its controller:
    ///
    /// * A Deployment, StatefulSet, DaemonSet or CronJob is its own workload. A ReplicaSet or a Job without a
    ///   controller is also its own workload.
    /// * For any other object that a ReplicaSet or a Job controls, the workload is the controller of this ReplicaSet or
    ///   Job, such as a Deployment or a CronJob. If the ReplicaSet or Job has no controller, it is the workload itself.
    /// * For any other object with a controller of another kind, this controller is the workload. A controller from the
    ///   core group counts only if it is a ReplicationController.
    ///
    /// The crate reads labels only from objects of the kinds in this list. If a ReplicaSet or a Job has a controller of
    /// another kind, such as a Rollout, the value comes from the label of the ReplicaSet or Job.
    #[must_use]
    pub fn workload_label(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Workload, MetadataMap::Labels, key.into())
    }

    /// The value of an annotation of the object's workload.
    ///
    /// [`workload_label`](Self::workload_label) defines the workload.
    #[must_use]
    pub fn workload_annotation(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Workload, MetadataMap::Annotations, key.into())
    }

    /// The name of the object's workload.
    ///
    /// The default name of the label is `workload_name`.
    #[must_use]
    pub fn workload_name() -> Self {
        Self::of(JoinedValue::WorkloadName)
    }

    /// The kind of the object's workload, such as `Deployment`.
    ///
    /// The default name of the label is `workload_kind`.
    #[must_use]
    pub fn workload_kind() -> Self {
        Self::of(JoinedValue::WorkloadKind)
    }

    /// The value of a label of the object itself.
    #[must_use]
    pub fn self_label(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Itself, MetadataMap::Labels, key.into())
    }

    /// The value of an annotation of the object itself.
    #[must_use]
    pub fn self_annotation(key: impl Into<String>) -> Self {
        Self::of_key(JoinedObject::Itself, MetadataMap::Annotations, key.into())
    }

    /// Sets the name of the joined label.
    ///
    /// For a label or an annotation, the default is the sanitised key.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The name of the label.
    #[must_use]
    pub fn label_name(&self) -> &str {
        &self.name
    }

    fn of_key(object: JoinedObject, map: MetadataMap, key: String) -> Self {
        Self::of(JoinedValue::Key { object, map, key })
    }

    fn of(value: JoinedValue) -> Self {
        Self {
            name: value.default_name().into_owned(),
            value,
        }
    }
}

impl FromStr for Join {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let join = || text.to_owned();
        let (source, name) = match text.rsplit_once('=') {
            Some((source, name)) => (source, Some(name)),
            None => (text, None),
        };
        let Some(at) = source.find(['/', '@', ':']) else {
            return Err(JoinError::MissingKey { join: join() });
        };
        let (object, rest) = source.split_at(at);
        let object = match object {
            "self" => JoinedObject::Itself,
            "namespace" => JoinedObject::Namespace,
            "node" => JoinedObject::Node,
            "workload" => JoinedObject::Workload,
            object => {
                return Err(JoinError::UnknownObject {
                    object: object.to_owned(),
                    join: join(),
                });
            }
        };
        let (sign, key) = rest.split_at(1);
        if key.is_empty() {
            return Err(JoinError::MissingKey { join: join() });
        }
        let found = match (sign, object, key) {
            ("/", ..) => Self::of_key(object, MetadataMap::Labels, key.to_owned()),
            ("@", ..) => Self::of_key(object, MetadataMap::Annotations, key.to_owned()),
            (_, JoinedObject::Node, "name") => Self::node_name(),
            (_, JoinedObject::Workload, "name") => Self::workload_name(),
            (_, JoinedObject::Workload, "kind") => Self::workload_kind(),
            _ => {
                return Err(JoinError::UnknownFact {
                    fact: source.to_owned(),
                    join: join(),
                });
            }
        };
        match name {
            Some(name) if !is_valid_label_name(name) => Err(JoinError::LabelName {
                name: name.to_owned(),
                join: join(),
            }),
            Some(name) => Ok(found.named(name)),
            None => Ok(found),
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            JoinedValue::Key { object, map, key } => {
                let sign = match map {
                    MetadataMap::Labels => '/',
                    MetadataMap::Annotations => '@',
                };
                write!(f, "{}{sign}{key}", object.as_str())?;
            }
            JoinedValue::NodeName => f.write_str("node:name")?,
            JoinedValue::WorkloadName => f.write_str("workload:name")?,
            JoinedValue::WorkloadKind => f.write_str("workload:kind")?,
        }
        if self.name != self.value.default_name() {
            write!(f, "={}", self.name)?;
        }
        Ok(())
    }
}

// === impl JoinedValue ===

impl JoinedValue {
    /// The default name of the joined label.
    fn default_name(&self) -> Cow<'_, str> {
        match self {
            Self::Key { key, .. } => sanitize_label(key),
            Self::NodeName => "node_name".into(),
            Self::WorkloadName => "workload_name".into(),
            Self::WorkloadKind => "workload_kind".into(),
        }
    }
}

// === impl JoinedObject ===

impl JoinedObject {
    fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::Namespace => "namespace",
            Self::Node => "node",
            Self::Workload => "workload",
        }
    }
}
