//! [`KindSelector`]: the kinds that an entry of a configuration selects.

use super::kinds::KnownKind;

/// A selector of kinds, from an entry of a configuration. [`Config::selectors`](super::Config::selectors) returns the
/// selectors.
///
/// ```
/// use kube_state_metrics::custom_resources::{Config, KnownKind};
/// use kube_state_metrics::resource::Scope;
///
/// let config = Config::parse("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, version: v1, kind: '*' }
///     metrics:
///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
/// ")?;
/// let selectors = config.selectors();
/// assert_eq!((selectors[0].group, selectors[0].version, selectors[0].kind), ("acme.dev", Some("v1"), None));
/// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
/// assert!(selectors[0].matches(&widgets));
/// # Ok::<(), kube_state_metrics::custom_resources::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct KindSelector<'a> {
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The API version; `None` selects all versions.
    pub version: Option<&'a str>,
    /// The kind; `None` selects all kinds.
    pub kind: Option<&'a str>,
}

// === impl KindSelector ===

impl KindSelector<'_> {
    /// Whether the selector names one kind, without a wildcard.
    pub(super) fn is_exact(&self) -> bool {
        self.version.is_some() && self.kind.is_some()
    }

    /// Whether the selector matches this group, version and name of a kind.
    pub(crate) fn includes(&self, group: &str, version: &str, kind: &str) -> bool {
        let all = |own: Option<&str>, other: &str| own.is_none_or(|own| own == other);
        self.group == group && all(self.version, version) && all(self.kind, kind)
    }

    /// Whether the selector matches a kind. A selector without a version or without a kind matches only custom
    /// resources.
    #[must_use]
    pub fn matches(&self, kind: &KnownKind) -> bool {
        let resource = kind.resource();
        let (group, version, name) = (resource.group(), resource.version(), resource.kind());
        self.includes(group, version, name)
            // A wildcard matches only custom resources. A built-in kind matches if the selector names its version and
            // kind.
            && (self.is_exact() || !group.is_empty() && !KnownKind::is_built_in(group, version, name))
    }
}
