//! [`BuildError`]: the problems that a builder finds.

use crate::errors::{debug_is_display, one_per_line};
use crate::exposition::PlanProblem;
use crate::families::UnknownResource;
use crate::filter::FilterError;

/// The error of [`Builder::build`](super::Builder::build), with all problems.
///
/// ```
/// use kube_state_metrics::StateMetrics;
///
/// let builder = StateMetrics::builder().constant_label("0", "x");
/// let error = builder.deny_metrics(["("]).build().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// assert!(error.to_string().contains("`0` of the constant labels is not a label name"));
/// // `main` and `unwrap` print the same text.
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(thiserror::Error)]
#[error("{}", one_per_line(problems))]
pub struct BuildError {
    problems: Vec<BuildProblem>,
}

/// One problem that [`Builder::build`](super::Builder::build) has found.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::registry::BuildProblem;
/// use kube_state_metrics::{Collector, Family, StateMetrics};
///
/// let family = Family::gauge("pod-priority", "Priority.").generate(|_: &Pod, s| s.value(1));
/// let builder = StateMetrics::builder().collector(Collector::new().family(family));
/// let problems = builder.build().unwrap_err().problems().to_vec();
/// assert!(matches!(&problems[..], [BuildProblem::MetricName { name, .. }] if name == "pod-priority"));
/// ```
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// There is no built-in resource with this name.
    #[error(transparent)]
    UnknownResource(#[from] UnknownResource),
    /// An error in a metric list or in an allowlist.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The name of a family is not a valid metric name.
    #[error(
        "`{name}` of {resource} is not a metric name; use letters, digits, `_` and `:`; the first \
         character must not be a digit"
    )]
    MetricName {
        /// The name.
        name: String,
        /// The resource that has the family.
        resource: String,
    },
    /// The name of a label is not valid.
    #[error(
        "`{label}` of {subject} is not a label name; use letters, digits and `_`; the first character \
         must not be a digit"
    )]
    LabelName {
        /// The name.
        label: String,
        /// The family, the resource or the builder call that has the label.
        subject: String,
    },
    /// Two labels of the same samples have the same name.
    #[error("the label `{label}` of {subject} exists already; rename one of the two labels")]
    RepeatedLabel {
        /// The name.
        label: String,
        /// The family or the resource that has the label.
        subject: String,
    },
    /// A family has no help text.
    #[error("`{name}` of {resource} has no help text; describe what the metric measures")]
    MissingHelp {
        /// The family.
        name: String,
        /// The resource that has the family.
        resource: String,
    },
    /// Two collectors of a resource have a family with the same name.
    #[error(
        "`{family}` of {resource} is in {first} and in {second}, so that each of its series would \
         exist twice; remove it from one of the two, or use `replace_built_in` to replace a \
         built-in collector"
    )]
    RepeatedFamily {
        /// The family.
        family: String,
        /// The resource.
        resource: String,
        /// The first collector that has the family.
        first: String,
        /// The second collector that has the family.
        second: String,
    },
    /// The collector that was passed to `replace_built_in` does not read the resource of the built-in collector.
    #[error(
        "`replace_built_in` got a collector of {given} for {built_in}; give it a collector of \
         {built_in}, or add the collector by `collector`"
    )]
    WrongReplacement {
        /// The resource that the collector reads.
        given: String,
        /// The built-in resource.
        built_in: String,
    },
    /// The resource of a joined label does not exist.
    #[error(
        "joined labels are for `{resource}`, which is not a known resource; use the plural name of a resource, or `*` \
         for all"
    )]
    UnknownJoinResource {
        /// The name given.
        resource: String,
    },
    /// A resource has too many joined labels.
    #[error(
        "{resource} has {count} joined labels, including those of `*`, but the limit is {limit}; join fewer labels"
    )]
    TooManyJoinedLabels {
        /// The name of the resource in the configuration.
        resource: String,
        /// The number of joined labels.
        count: usize,
        /// The maximum number.
        limit: usize,
    },
    /// A joined label has the same name as another label of the same samples.
    #[error(
        "the joined label `{join}` has the name `{label}`, which is also a label of {subject}; give the joined label \
         another name with `=NAME`"
    )]
    JoinedLabel {
        /// The joined label in its text form.
        join: String,
        /// The name.
        label: String,
        /// The owner of the other label: a family, the base labels of a resource, or the constant labels.
        subject: String,
    },
    /// A resource that was passed to `fed_by_host` is not registered.
    #[error(
        "`fed_by_host` names `{resource}`, which is not registered; the registered resources are: {registered}"
    )]
    UnknownHostFed {
        /// The name given.
        resource: String,
        /// The registered resources, joined by `, `.
        registered: String,
    },
    /// Two families have the same name, but a different type or help text.
    #[error(
        "two families have the name `{family}`, one of {first} and one of {second}, but a different {what}; rename one \
         of the families"
    )]
    FamilyConflict {
        /// The name of the family.
        family: String,
        /// The first resource that has the family.
        first: String,
        /// The second resource that has the family.
        second: String,
        /// The property that differs: `type` or `help`.
        what: &'static str,
    },
}
// === impl BuildError ===

impl BuildError {
    pub(crate) fn new(problems: Vec<BuildProblem>) -> Self {
        Self { problems }
    }

    /// The problems, in the order in which they were found.
    #[must_use]
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl From<PlanProblem> for BuildProblem {
    fn from(problem: PlanProblem) -> Self {
        Self::FamilyConflict {
            family: problem.family,
            first: problem.first,
            second: problem.second,
            what: problem.what,
        }
    }
}

debug_is_display!(BuildError, BuildProblem);
