//! Filters of the output. The metric allowlist, denylist and opt-in list select metric families. The allowlists of a
//! resource select Kubernetes labels and annotations, which the families `*_labels` and `*_annotations` export.
//!
//! | type | decides |
//! |---|---|
//! | [`MetricFilter`] | which families are enabled, by regular expressions on their names |
//! | [`LabelAllowlist`] | which label or annotation keys of one resource are exported, by globs |
//! | [`AllowlistConfig`] | the [`LabelAllowlist`] of every resource, with its command-line form |
//!
//! The program sets the filters once, at startup. A function that creates a filter reports errors as [`FilterError`]
//! and warnings as [`FilterWarning`].
//!
//! ```
//! use kube_state_metrics::filter::{AllowlistConfig, MetricFilter};
//!
//! let filter = MetricFilter::new(&[], &["^kube_pod_tolerations$".to_string()], &[]).unwrap();
//! assert!(!filter.allows("kube_pod_tolerations", false));
//!
//! let labels = AllowlistConfig::parse("pods=[team,app.kubernetes.io/*]").unwrap();
//! assert!(labels.for_resource("pods").matches("app.kubernetes.io/name"));
//! ```

mod allowlist;
mod config;
#[cfg(test)]
mod conformance;
mod errors;
mod metric;
mod metric_list;

pub use allowlist::LabelAllowlist;
pub use config::AllowlistConfig;
pub use errors::{FilterError, FilterWarning};
pub use metric::{ExhaustedPattern, MetricFilter};
pub use metric_list::MetricList;

/// Splits the value of an option that is a list of items with `,` between them.
///
/// White space around items, including newlines, is removed. Empty items are left out.
///
/// ```
/// use kube_state_metrics::filter::split_list;
///
/// let items: Vec<_> = split_list("pods, nodes,\n,").collect();
/// assert_eq!(items, ["pods", "nodes"]);
/// ```
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_at_commas_and_lose_blanks_and_empty_items() {
        for (value, expected) in [
            ("", &[][..]),
            (" \n", &[]),
            (",,", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (" a ,\tb\n", &["a", "b"]),
            ("a,\n  b,\r\n  c,\n", &["a", "b", "c"]),
            ("a b", &["a b"]),
            ("a,a", &["a", "a"]),
            ("kube_n{0,1}x", &["kube_n{0", "1}x"]),
        ] {
            assert_eq!(split_list(value).collect::<Vec<_>>(), expected, "{value:?}");
        }
    }
}
