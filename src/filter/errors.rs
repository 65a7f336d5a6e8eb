//! Errors and warnings about the configuration of a filter.

use std::fmt;

use super::metric_list::MetricList;
use crate::errors::{debug_is_display, did_you_mean};

/// Maximum size of all patterns of a filter together, in bytes. The size of a pattern is estimated: it is the product
/// of the limits with which the compilation succeeds.
pub(super) const MEMORY_LIMIT: usize = 64 << 20;

/// The number of invalid patterns after which the other patterns of a filter are not compiled. The compilation of an
/// invalid pattern can take a tenth of a second.
pub(super) const MOST_INVALID: usize = 20;

/// An error in the configuration of a filter.
///
/// The message names the invalid item and how to correct it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// An item of a metric list is not a regular expression.
    #[error(
        "the metric {list} has an item that is not a regular expression, `{pattern}`: {reason}; \
         write `.*` for any text and put `\\` before special characters"
    )]
    Pattern {
        /// The list that contains the item.
        list: MetricList,
        /// The item. A text longer than 1 KiB is truncated.
        pattern: String,
        /// The message of the regular expression engine.
        reason: String,
    },

    /// The compiled patterns of all metric lists together need too much memory.
    #[error(
        "the patterns of the metric lists need more than {} MiB of memory together, up to the item `{pattern}` of the \
         metric {list}; remove patterns, or write simpler patterns: a repetition such as `{{100}}` and classes such as \
         `\\w` need much memory",
        MEMORY_LIMIT >> 20
    )]
    Memory {
        /// The list that contains the item.
        list: MetricList,
        /// The first item that exceeds the limit. A text longer than 1 KiB is truncated.
        pattern: String,
    },

    /// Many items of the metric lists are not regular expressions, so the other items are not checked.
    #[error(
        "{MOST_INVALID} items of the metric lists are not regular expressions, so the other items are not checked; \
         correct these items"
    )]
    ManyInvalid {
        /// The list in which the check ends.
        list: MetricList,
    },

    /// The configuration has both an allowlist and a denylist of metrics.
    #[error(
        "both a metric allowlist (`{allow}`) and a metric denylist (`{deny}`) are set; keep only one \
         of them"
    )]
    AllowAndDeny {
        /// The allowlist, its items joined by `,`. A text longer than 1 KiB is truncated.
        allow: String,
        /// The denylist, its items joined by `,`. A text longer than 1 KiB is truncated.
        deny: String,
    },

    /// The command-line form of an [`AllowlistConfig`](super::AllowlistConfig) breaks a rule of its grammar.
    #[error(
        "misplaced `{found}` at character {}: {rule}; the form is `pods=[key,prefix*],nodes=[*]`",
        .offset + 1
    )]
    Grammar {
        /// The offset of the character from the start of the text, in bytes.
        offset: usize,
        /// The character that breaks the rule.
        found: char,
        /// The rule.
        rule: &'static str,
    },

    /// The command-line form of an [`AllowlistConfig`](super::AllowlistConfig) has a character outside ASCII.
    #[error(
        "`{found}` at byte {} is not ASCII; names of resources and keys of labels and annotations \
         are ASCII; write `*` in place of `{found}`",
        .offset + 1
    )]
    NotAscii {
        /// The offset of the character from the start of the text, in bytes.
        offset: usize,
        /// The character.
        found: char,
    },

    /// An [`AllowlistConfig`](super::AllowlistConfig) names a resource that does not exist.
    #[error(
        "unknown resource `{resource}`{}; use `*` for all resources{}",
        did_you_mean(resource, known.split(", ")),
        one_of(known)
    )]
    UnknownResource {
        /// The name of the resource in the configuration; empty if there is an item before the first `resource=[`.
        resource: String,
        /// The existing resources, joined by `, `. Of many errors, only the first 20 have this text.
        known: String,
    },
}

debug_is_display!(FilterError);

/// Names the resources that a configuration can use.
fn one_of(known: &str) -> String {
    match known {
        "" => String::new(),
        known => format!(" or one of: {known}"),
    }
}

/// A configuration of a filter that is valid, but probably contains a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterWarning {
    /// A list has a `*`, which allows every key, and other patterns.
    ///
    /// kube-state-metrics ignores a `*` that is not the first pattern. So if a configuration has such a list, this
    /// crate may export more keys than kube-state-metrics.
    StarInList {
        /// The resource, if the list is part of an [`AllowlistConfig`](super::AllowlistConfig).
        resource: Option<String>,
        /// The patterns that have no effect.
        covered: Vec<String>,
    },
    /// An [`AllowlistConfig`](super::AllowlistConfig) has an entry for the resource `*`, so all other entries have no
    /// effect.
    StarResource {
        /// The resources whose lists have no effect.
        covered: Vec<String>,
    },
    /// In the command-line form of an [`AllowlistConfig`](super::AllowlistConfig), the last list has no `]`, so the
    /// text at the end has no effect.
    Unclosed {
        /// The text that was dropped.
        text: String,
    },
}

// === impl FilterWarning ===

impl fmt::Display for FilterWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StarInList { resource, covered } => {
                if let Some(resource) = resource {
                    write!(f, "resource `{resource}`: ")?;
                }
                let covered = covered.join("`, `");
                write!(
                    f,
                    "`*` allows every key, so `{covered}` in the same list has no effect"
                )?;
                write!(f, "; remove `*`, or remove `{covered}`")
            }
            Self::StarResource { covered } => {
                let covered = covered.join("`, `");
                write!(
                    f,
                    "resource `*` replaces the lists of `{covered}`; remove `*`, or remove `{covered}`"
                )
            }
            Self::Unclosed { text } => {
                write!(
                    f,
                    "`{text}` at the end has no effect, because no `]` closes it"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_thing_and_the_cure() {
        let pattern = FilterError::Pattern {
            list: MetricList::OptIn,
            pattern: "*_x".into(),
            reason: "nothing to repeat".into(),
        };
        assert_eq!(
            pattern.to_string(),
            "the metric opt-in list has an item that is not a regular expression, `*_x`: nothing \
             to repeat; write `.*` for any text and put `\\` before special characters"
        );
        let unknown = FilterError::UnknownResource {
            resource: "pod".into(),
            known: "nodes, pods".into(),
        };
        assert_eq!(
            unknown.to_string(),
            "unknown resource `pod` (did you mean `pods`?); use `*` for all resources or one of: nodes, pods"
        );
    }

    #[test]
    fn warnings_name_what_has_no_effect() {
        let mut warning = FilterWarning::StarInList {
            resource: None,
            covered: vec!["a".into(), "b*".into()],
        };
        assert_eq!(
            warning.to_string(),
            "`*` allows every key, so `a`, `b*` in the same list has no effect; remove `*`, or remove `a`, `b*`"
        );
        if let FilterWarning::StarInList { resource, .. } = &mut warning {
            *resource = Some("pods".into());
        }
        assert!(
            warning
                .to_string()
                .starts_with("resource `pods`: `*` allows every key")
        );
        assert_eq!(
            FilterWarning::StarResource {
                covered: vec!["pods".into()]
            }
            .to_string(),
            "resource `*` replaces the lists of `pods`; remove `*`, or remove `pods`"
        );
        assert_eq!(
            FilterWarning::Unclosed { text: "[a".into() }.to_string(),
            "`[a` at the end has no effect, because no `]` closes it"
        );
    }
}
