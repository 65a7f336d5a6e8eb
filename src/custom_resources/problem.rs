//! Problems in a configuration, each with its line and its path in the document.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::errors::{debug_is_display, one_per_line};

/// An error or a warning about a configuration document.
///
/// ```
/// use kube_state_metrics::custom_resources::Config;
///
/// let error = Config::parse("spec: { resources: 1 }").unwrap_err();
/// assert_eq!(error.problems()[0].path, "spec.resources");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The number of the line, starting at 1; 0 if the problem has no position.
    pub line: usize,
    /// The path of the problem in the document, such as `spec.resources[0].metrics[2].each.gauge.path[1]`.
    pub path: String,
    /// The group, version and kind of the entry. Names that cannot be read are replaced by `*`.
    pub resource: Option<String>,
    /// The name of the metric if the problem concerns one metric.
    pub metric: Option<String>,
    /// A text that describes the problem and its solution.
    pub message: String,
    /// The number of problems that this value represents.
    pub(super) count: usize,
}

/// The first problems of a document, in the order in which they were found, and the number of further problems.
///
/// An invalid document of 16 MiB can have millions of problems. All of them together would need much more memory than
/// the document.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) first: Vec<ConfigProblem>,
    pub(super) more: usize,
}

/// The maximum number of problems of a document that are described.
pub(super) const MAX_DESCRIBED: usize = 1000;

/// All errors in a configuration document. If a configuration has errors, no part of it is used.
///
/// ```
/// use kube_state_metrics::custom_resources::Config;
///
/// let error = Config::parse("spec: { resources: 1 }").unwrap_err();
/// assert_eq!(error.problems().len(), 1);
/// assert!(error.to_string().starts_with("line 1: spec.resources: "));
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_per_line(problems))]
pub struct ConfigError {
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

/// The maximum size of a key or name of the document in a path or in a message, in bytes. One long name can occur in
/// many problems, so without this limit, the problems could need much more memory than the document.
const MAX_SHOWN: usize = 256;

/// Returns a key or name of the document for messages. A text above the limit is truncated, and ends with its length.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_SHOWN {
        return Cow::Borrowed(text);
    }
    let start = (0..=MAX_SHOWN).rev().find_map(|end| text.get(..end));
    Cow::Owned(format!(
        "{}... ({} bytes)",
        start.unwrap_or_default(),
        text.len()
    ))
}

impl ConfigError {
    /// The errors, in the order of the document. If there are more than 1,000 errors, the last value represents all
    /// further ones ([`ConfigProblem::count`]).
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// The warnings, in the order of the document. Often, a warning helps to understand an error.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let error = Config::parse("spec: { resources: 1, resource: [] }").unwrap_err();
    /// assert_eq!(error.warnings()[0].path, "spec.resource");
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[ConfigProblem] {
        &self.warnings
    }
}

impl ConfigProblem {
    /// Creates a problem that concerns the whole configuration, so it has no position.
    pub(crate) fn of_all(message: String) -> Self {
        Self {
            line: 0,
            path: String::new(),
            resource: None,
            metric: None,
            message,
            count: 1,
        }
    }

    /// The number of problems that this value represents. The number is 1, except for the last problem of a document
    /// with more than 1,000 problems: this last problem represents all further ones.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::Config;
    ///
    /// let text = format!("spec: {{ resources: [{}] }}", "1,".repeat(5_000));
    /// let error = Config::parse(&text).unwrap_err();
    /// assert_eq!(error.problems().len(), 1_001);
    /// assert!(error.problems()[1_000].count() >= 4_000);
    /// ```
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

// === impl Problems ===

impl Problems {
    /// Adds the problem that `describe` returns. If there are already many problems, only counts it.
    pub(super) fn add(&mut self, describe: impl FnOnce() -> ConfigProblem) {
        if self.first.len() < MAX_DESCRIBED {
            self.first.push(describe());
        } else {
            self.more += 1;
        }
    }

    /// Returns the described problems in the order of their lines, without duplicates, and a last problem that
    /// represents all further ones.
    pub(super) fn in_order(self) -> Vec<ConfigProblem> {
        let Self {
            first: mut problems,
            more,
        } = self;
        let mut seen = HashSet::new();
        problems.retain(|problem| {
            let ConfigProblem {
                line,
                path,
                resource,
                message,
                ..
            } = problem;
            seen.insert((*line, path.clone(), resource.clone(), message.clone()))
        });
        problems.sort_by_key(|problem| problem.line);
        if more > 0 {
            let message = format!(
                "there are {more} more problems, which are not described; correct the problems above first"
            );
            problems.push(ConfigProblem {
                count: more,
                ..ConfigProblem::of_all(message)
            });
        }
        problems
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match (&self.resource, &self.metric) {
            (Some(resource), Some(metric)) => write!(f, " (metric {metric} of {resource})"),
            (Some(resource), None) => write!(f, " (resource {resource})"),
            _ => Ok(()),
        }
    }
}

debug_is_display!(ConfigError);
