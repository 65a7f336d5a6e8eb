//! Descriptors: the name, help, type, stability, labels and fields of a family.

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
    /// A value that only increases. The name of the family ends in `_total`. A sample whose value is negative or not a
    /// number is left out.
    Counter,
    /// A value that is always 1. The labels contain the information. In the text format, the declared type is `gauge`.
    Info,
    /// One sample per possible state: 1 for the current state, otherwise 0. In the text format, the declared type is
    /// `gauge`.
    StateSet,
    /// Families with the same name have different types, and one of these types is a counter. In the text format, the
    /// declared type is `untyped`. No family declares this type itself.
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

    /// The name of a family of this type in the headers of OpenMetrics: the name without the suffix that the type
    /// requires. `None` if the name lacks the suffix, or if the type requires no suffix.
    pub(crate) fn short_name(self, name: &str) -> Option<&str> {
        let suffix = match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::StateSet | Self::Unknown => return None,
        };
        name.strip_suffix(suffix).filter(|short| !short.is_empty())
    }

    /// Returns the names that a family of this type reserves in OpenMetrics, in addition to its full name. The counter
    /// `x_total` reserves its [short name](Self::short_name) `x` and the name of its creation time, `x_created`. An
    /// info family reserves its short name. OpenMetrics reserves `x_created` also for counters without a creation time,
    /// as in this crate.
    pub(crate) fn header_names(self, name: &str) -> Vec<String> {
        let Some(short_name) = self.short_name(name) else {
            return Vec::new();
        };
        let creation_time = (self == Self::Counter).then(|| format!("{short_name}_created"));
        let names = std::iter::once(short_name.to_owned()).chain(creation_time);
        names.collect()
    }

    /// The type that covers the samples of two families with the same name.
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
    /// The name and the labels stay the same; the help text starts with `[STABLE]`.
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

/// A family that has samples only if an allowlist selects keys of a string map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Allowlisted {
    Labels,
    Annotations,
}

/// The fixed properties of a family: everything except its samples.
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
        }
    }

    /// The name of the family, with which every sample starts.
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

    /// Whether the family is exported only if the opt-in list matches its name.
    #[must_use]
    pub fn opt_in(&self) -> bool {
        self.opt_in
    }

    /// The version since which the family is deprecated.
    #[must_use]
    pub fn deprecated_since(&self) -> Option<&str> {
        self.deprecated_since.as_deref()
    }

    /// The declared label names after the base labels. A name that ends in `*` stands for all names with this prefix,
    /// which come from data.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.labels.iter().map(AsRef::as_ref)
    }

    /// The field paths that the generator reads, or `None` if it may read the whole object.
    #[must_use]
    pub fn reads(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        self.reads
            .as_ref()
            .map(|paths| paths.iter().map(AsRef::as_ref))
    }

    /// Returns further words by which people search for the family, such as `out of memory`.
    pub fn search_words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.search_words.iter().map(AsRef::as_ref)
    }

    pub(crate) fn allowlisted(&self) -> Option<Allowlisted> {
        self.allowlisted
    }
}
