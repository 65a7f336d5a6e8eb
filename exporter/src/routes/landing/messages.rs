//! The messages about problems, in the order in which the landing page shows them. HTML and text use the same messages.

use kube_state_metrics::source::health::FailureReason;

use super::page::Data;
use crate::humanize::{counted, span};
use crate::instance::{LimitProblem, Problem};

/// A message about one cause of problems.
pub(super) enum Message<'a> {
    /// The reason why the instance is not ready.
    NotReady(&'a str),
    Forbidden(Forbidden<'a>),
    /// A reason why resources are not up to date, other than [`Forbidden`](Self::Forbidden).
    Problem(&'a Problem),
    /// A changed configuration that is not in use.
    Refusal(&'a str),
    Note(&'a str),
    Limit(&'a LimitProblem),
}

/// All resources that the API server forbids, with the rules that the roles lack.
pub(super) struct Forbidden<'a> {
    pub(super) resources: Vec<&'a str>,
    /// The missing rules: one line for each role.
    pub(super) rules: &'a [String],
    /// Number of roles that lack rules, but that the page does not show.
    pub(super) more_roles: usize,
    /// The messages in the responses of the API server.
    pub(super) errors: Vec<&'a str>,
    /// Seconds until the exporter next removes the stored objects of a forbidden resource.
    pub(super) removal_seconds: Option<f64>,
    is_blocking: bool,
}

/// The advice that the page shows if roles lack rules.
pub(super) const ADD_RULES: &str =
    "Add the rules to the role of the exporter; `kube-state-metrics rbac` writes complete roles.";
/// Maximum number of roles whose missing rules the page shows. A cluster can have such a role in each namespace.
const MOST_ROLES: usize = 10;
/// Maximum number of resources in a message. If more resources are concerned, the message states only their number.
pub(super) const MOST_LISTED: usize = 8;

/// Returns all messages. Messages about causes that delay readiness come first.
pub(super) fn messages(data: &Data) -> Vec<Message<'_>> {
    let status = &data.status;
    let problems = status.problems.iter();
    let is_forbidden = |own: &&Problem| own.state == FailureReason::Forbidden.as_str();
    let (forbidden, problems): (Vec<_>, Vec<_>) = problems.partition(is_forbidden);
    let (blocking, other): (Vec<_>, Vec<_>) = problems.into_iter().partition(|own| own.is_blocking);
    let forbidden = Forbidden::new(&forbidden, &data.missing_rules);
    let (first, later) = match forbidden {
        Some(own) if own.is_blocking => (Some(own), None),
        own => (None, own),
    };
    let notes = status.notes.iter().chain(&status.kinds_left_out);
    let not_ready = status.not_ready.as_deref().map(Message::NotReady);
    let messages = (not_ready.into_iter())
        .chain(first.map(Message::Forbidden))
        .chain(blocking.into_iter().map(Message::Problem))
        .chain(data.refusals.iter().map(|line| Message::Refusal(line)))
        .chain(later.map(Message::Forbidden))
        .chain(other.into_iter().map(Message::Problem))
        .chain(notes.map(|note| Message::Note(note)))
        .chain(status.limits.iter().map(Message::Limit));
    messages.collect()
}

/// Returns a sentence that states when the exporter removes the stored objects of forbidden resources.
pub(super) fn removal(seconds: f64) -> String {
    let time = span(seconds);
    format!(
        "Stored objects are removed in {time} unless the API server permits the exporter to list them."
    )
}

/// Returns a sentence about the roles that the page does not show: where users find the missing rules of these roles.
pub(super) fn more_roles(count: usize) -> String {
    let roles = counted(count as u64, "more role lacks", "more roles lack");
    format!("{roles} rules; `/readyz?verbose` has all of them.")
}

// === impl Forbidden ===

impl<'a> Forbidden<'a> {
    fn new(problems: &[&'a Problem], rules: &'a [String]) -> Option<Self> {
        let resources = problems.iter().flat_map(|own| &own.resources);
        let resources: Vec<_> = resources.map(String::as_str).collect();
        let removals = problems.iter().filter_map(|own| own.removal_seconds);
        let errors = problems.iter().filter_map(|own| own.error.as_deref());
        let own = Self {
            rules: rules.get(..MOST_ROLES).unwrap_or(rules),
            more_roles: rules.len().saturating_sub(MOST_ROLES),
            errors: errors.collect(),
            removal_seconds: removals.reduce(f64::min),
            is_blocking: problems.iter().any(|own| own.is_blocking),
            resources,
        };
        (!own.resources.is_empty() || !rules.is_empty()).then_some(own)
    }

    /// Returns the first sentence of the message, with the names of the resources. If there are many resources, the
    /// sentence contains only their number.
    pub(super) fn title(&self) -> String {
        let what = match self.resources.len() {
            0 => String::new(),
            1..=MOST_LISTED => format!(": {}", self.resources.join(", ")),
            count => format!(": {count}"),
        };
        format!("The API server forbids resources{what}.")
    }
}
