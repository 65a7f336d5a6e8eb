//! The lists of metric families.

use std::fmt;

/// One of the three lists of a [`MetricFilter`](super::MetricFilter).
///
/// ```
/// use kube_state_metrics::filter::{FilterError, MetricFilter, MetricList};
///
/// let errors = MetricFilter::new(&[], &["(".to_string()], &[]).unwrap_err();
/// assert!(matches!(errors[0], FilterError::Pattern { list: MetricList::Deny, .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricList {
    /// The list of the families to keep.
    Allow,
    /// The list of the families to drop.
    Deny,
    /// The list of the opt-in families to enable.
    OptIn,
}

// === impl MetricList ===

impl fmt::Display for MetricList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allowlist",
            Self::Deny => "denylist",
            Self::OptIn => "opt-in list",
        })
    }
}
