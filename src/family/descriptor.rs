//! Descriptors: the name, help, type, stability and labels of a family, and the fields of an object that the family
//! reads.

use std::borrow::Cow;

/// The type that a family declares in its `# TYPE` line.
///
/// Source: [OpenMetrics, metric types](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#metric-types).
///
/// ```
/// use kube_state_metrics::family::MetricType;
///
/// assert_eq!(MetricType::StateSet.as_str(), "stateset");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricType {
    /// A value that may go up and down.
    Gauge,
    /// A value that only increases. The name of a counter ends in `_total`. A sample whose value is negative or not a
    /// number is left out.
    Counter,
    /// A value that is always 1. The labels contain the information. In the text format, the declared type is `gauge`.
    Info,
    /// One sample per possible state: 1 for the current state, otherwise 0. In the text format, the declared type is
    /// `gauge`.
    StateSet,
    /// The common type of several families with the same name, if only some of them are counters. In the text format,
    /// the declared type is `untyped`. No single family has this type.
    Unknown,
}

impl MetricType {
    /// The name of the type in OpenMetrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// The name of a family in the `# TYPE` and `# HELP` lines of OpenMetrics: the name without the suffix that this
    /// type requires. Returns `None` if the type requires no suffix, or if the name does not have the suffix.
    pub(crate) fn short_name(self, name: &str) -> Option<&str> {
        let suffix = match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::StateSet | Self::Unknown => return None,
        };
        name.strip_suffix(suffix).filter(|short| !short.is_empty())
    }

    /// Returns the further names that OpenMetrics reserves for a family with this type and the name `name`. No other
    /// family may have these names. For the counter `x_total`, these are the [short name](Self::short_name) `x` and
    /// `x_created`, the name of the creation time. OpenMetrics reserves `x_created` even if the counter has no creation
    /// time. For an info family, only the short name is reserved.
    pub(crate) fn header_names(self, name: &str) -> Vec<String> {
        let Some(short_name) = self.short_name(name) else {
            return Vec::new();
        };
        let creation_time = (self == Self::Counter).then(|| format!("{short_name}_created"));
        let names = std::iter::once(short_name.to_owned()).chain(creation_time);
        names.collect()
    }

    /// The type to declare for two families with the same name: their common type, or a type that is valid for both.
    pub(crate) fn merged_with(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Counter | Self::Unknown, _) | (_, Self::Counter | Self::Unknown) => {
                Self::Unknown
            }
            _ => Self::Gauge,
        }
    }
}

/// The stability of a family's name and labels.
///
/// ```
/// use kube_state_metrics::family::Stability;
///
/// assert_eq!(Stability::Stable.as_str(), "STABLE");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stability {
    /// The name and the labels may change in any release.
    Alpha,
    /// The name and the labels do not change. The help text starts with `[STABLE]`.
    Stable,
}

impl Stability {
    /// The name in the catalogue: `ALPHA` or `STABLE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Stable => "STABLE",
        }
    }
}

/// Marks a family of Kubernetes labels or annotations, which has samples only if an allowlist selects keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Allowlisted {
    Labels,
    Annotations,
}

/// The properties of a family that do not depend on objects, such as its name, help text and type.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::family::{MetricType, Stability};
/// use kube_state_metrics::Family;
///
/// let family = Family::gauge("node_taints", "Taints of the node.")
///     .stable()
///     .opt_in()
///     .deprecated("2.0.0")
///     .labels(["effect"])
///     .reads(["spec.taints"])
///     .search_words(["tolerations"])
///     .generate(|_: &Node, s| s.label("effect", "NoSchedule").value(0));
/// let descriptor = family.descriptor();
/// assert_eq!(descriptor.name(), "node_taints");
/// assert_eq!(descriptor.help(), "Taints of the node.");
/// assert_eq!(descriptor.metric_type(), MetricType::Gauge);
/// assert_eq!(descriptor.stability(), Stability::Stable);
/// assert!(descriptor.opt_in());
/// assert_eq!(descriptor.deprecated_since(), Some("2.0.0"));
/// assert_eq!(descriptor.labels().collect::<Vec<_>>(), ["effect"]);
/// assert_eq!(descriptor.reads().unwrap().collect::<Vec<_>>(), ["spec.taints"]);
/// assert_eq!(descriptor.search_words().collect::<Vec<_>>(), ["tolerations"]);
/// ```
#[derive(Clone, Debug)]
pub struct FamilyDescriptor {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    metric_type: MetricType,
    pub(super) stability: Stability,
    pub(super) opt_in: bool,
    pub(super) deprecated_since: Option<Cow<'static, str>>,
    pub(super) labels: Vec<Cow<'static, str>>,
    pub(super) reads: Option<Vec<Cow<'static, str>>>,
    pub(super) search_words: Vec<Cow<'static, str>>,
    pub(super) allowlisted: Option<Allowlisted>,
    /// For a configured family: whether the configuration may replace the label `customresource_kind`, also by an
    /// empty value.
    pub(super) may_replace_kind_label: bool,
}

impl FamilyDescriptor {
    pub(super) fn new(
        name: Cow<'static, str>,
        help: Cow<'static, str>,
        metric_type: MetricType,
    ) -> Self {
        Self {
            name,
            help,
            metric_type,
            stability: Stability::Alpha,
            opt_in: false,
            deprecated_since: None,
            labels: Vec::new(),
            reads: None,
            search_words: Vec::new(),
            allowlisted: None,
            may_replace_kind_label: false,
        }
    }

    /// The name of the family.
    ///
    /// Every sample line starts with this name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The help text, without the prefixes that an exposition adds.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The declared type.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    /// The stability of the name and labels.
    #[must_use]
    pub fn stability(&self) -> Stability {
        self.stability
    }

    /// Whether the family is opt-in: such a family is exported only if its name matches the opt-in list.
    #[must_use]
    pub fn opt_in(&self) -> bool {
        self.opt_in
    }

    /// The version in which the family became deprecated, if it is deprecated.
    #[must_use]
    pub fn deprecated_since(&self) -> Option<&str> {
        self.deprecated_since.as_deref()
    }

    /// The declared names of the labels that follow the base labels.
    ///
    /// A name that ends in `*` stands for all names with this prefix. The object determines such names.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.labels.iter().map(AsRef::as_ref)
    }

    /// The paths of the fields that the generator reads; `None` if the generator may read the whole object.
    #[must_use]
    pub fn reads(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        self.reads
            .as_ref()
            .map(|paths| paths.iter().map(AsRef::as_ref))
    }

    /// Returns further words with which people can find the family in a search, such as `out of memory`.
    pub fn search_words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.search_words.iter().map(AsRef::as_ref)
    }

    pub(crate) fn allowlisted(&self) -> Option<Allowlisted> {
        self.allowlisted
    }

    /// For a configured family: whether the configuration may replace the label `customresource_kind`.
    pub(crate) fn may_replace_kind_label(&self) -> bool {
        self.may_replace_kind_label
    }
}
