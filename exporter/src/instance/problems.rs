//! [`Problem`]: the reasons why resources are not up to date. There is one message for each reason.

use std::collections::HashSet;
use std::time::Duration;

use kube_state_metrics::source::health::{ReadinessPolicy, ResourceHealth, ResourceState};
use serde::Serialize;

use crate::grouping::groups;
use crate::humanize::span;

/// A reason why resources are not up to date, and all resources that it affects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// The state of the resources, such as `unreachable`, `forbidden` or `listing`.
    pub(crate) state: String,
    /// Whether the resources will probably become up to date without an action of the user. Examples: the first list is
    /// in progress and has not failed, or a watch is silent and the exporter will resume it.
    pub(crate) is_normal: bool,
    /// Whether the instance is not ready because of this problem.
    pub(crate) is_blocking: bool,
    pub(crate) resources: Vec<String>,
    /// The last error of a resource.
    pub(crate) error: Option<String>,
    /// Seconds until the stored objects of a resource are removed, because the API server forbids the resource.
    pub(crate) removal_seconds: Option<f64>,
}

/// Maximum number of problems for the resources in one state. Each different error becomes a separate problem. If there
/// are more errors, one problem represents all these resources, and has only the first error. Such errors usually
/// differ only in the name of the resource.
const MOST_ERRORS: usize = 3;
/// The maximum number of resources in one state that a message names.
pub(crate) const MOST_NAMES: usize = 3;

// === impl Problem ===

impl Problem {
    /// The names of the resources that the problem affects. If the problem affects more than [`MOST_NAMES`] resources,
    /// the text contains the first names, the number of further resources, and `total`, the number of all resources.
    pub(crate) fn affected(&self, total: usize) -> String {
        let names: Vec<_> = self.resources.iter().map(String::as_str).collect();
        match names.len() > MOST_NAMES {
            true => format!("{} of {total} resources", first_names(&names)),
            false => names.join(", "),
        }
    }
}

/// Returns the problems of the resources in `behind`, which are not up to date.
///
/// The order of the problems:
///
/// 1. Problems of resources in `blocking`, because these resources are the reason why the instance is not ready.
/// 2. Problems that are not normal (`is_normal`).
/// 3. Problems that affect more resources.
pub(super) fn problems<'a>(
    behind: impl Iterator<Item = &'a ResourceHealth>,
    blocking: &[ResourceHealth],
) -> Vec<Problem> {
    let blocking: HashSet<_> = blocking.iter().map(|own| &own.resource).collect();
    let is_blocking = |own: &ResourceHealth| blocking.contains(&own.resource);
    let by_state = groups(behind, |own| (own.state, is_blocking(own))).into_iter();
    let problems = by_state
        .flat_map(|((state, is_blocking), resources)| of_state(state, is_blocking, &resources));
    let mut problems: Vec<_> = problems.collect();
    problems.sort_by_key(|problem| {
        (
            !problem.is_blocking,
            problem.is_normal,
            std::cmp::Reverse(problem.resources.len()),
        )
    });
    problems
}

/// Returns why an instance is not ready. The text names the resources that the instance waits for, with their states.
/// If the readiness policy is not the default, the text also names the policy.
pub(super) fn not_ready(
    blocking: &[ResourceHealth],
    has_shard: bool,
    policy: ReadinessPolicy,
) -> String {
    let by_state = groups(blocking.iter(), |own| own.state);
    let mut causes: Vec<_> = by_state.into_iter().map(named).collect();
    if !has_shard {
        causes.push("the shard is not known".to_owned());
    }
    if causes.is_empty() {
        return "not ready".to_owned();
    }
    let with_policy = match policy {
        ReadinessPolicy::Default => String::new(),
        policy => format!(" with --readiness={policy}"),
    };
    format!("not ready{with_policy}: {}", causes.join(", "))
}

/// Returns a text with the names of up to [`MOST_NAMES`] resources, the number of further resources, and their state.
fn named((state, resources): (ResourceState, Vec<&ResourceHealth>)) -> String {
    let names: Vec<_> = resources.iter().map(|own| &*own.resource).collect();
    let state = match state {
        ResourceState::Listing => "the first list is not complete".to_owned(),
        state => state.to_string(),
    };
    format!("{} ({state})", first_names(&names))
}

/// Returns a text with the first [`MOST_NAMES`] names and the number of further names.
fn first_names(names: &[&str]) -> String {
    match names.split_at_checked(MOST_NAMES) {
        Some((first, more @ [_, ..])) => format!("{} and {} more", first.join(", "), more.len()),
        _ => names.join(", "),
    }
}

/// Returns one problem for all synced resources whose watches have been silent for longer than `silence`. Returns
/// `None` if `resources` is empty. `resources` contains the names of these resources, and the seconds since their last
/// events. The problem first names the resource that has been silent for the longest time.
pub(super) fn silent_watches(
    mut resources: Vec<(String, f64)>,
    silence: Duration,
) -> Option<Problem> {
    resources.sort_by(|a, b| b.1.total_cmp(&a.1));
    let longest = span(resources.first()?.1);
    let up_to = if resources.len() > 1 { "up to " } else { "" };
    Some(Problem {
        state: "silent".to_owned(),
        is_normal: true,
        is_blocking: false,
        resources: resources.into_iter().map(|(name, _)| name).collect(),
        error: Some(format!(
            "no event and no bookmark for {up_to}{longest}, although most API servers send a bookmark every minute; \
             metrics may be outdated; the exporter resumes the watch after each {silence:?} of silence, and lists the \
             objects again after 3 silent watches; each such list doubles this number, up to about an hour of silence; \
             if a list fails, the resource is shown as failing"
        )),
        removal_seconds: None,
    })
}

/// Returns the problems of resources in one state: one problem for each error, or a single problem if there are many
/// errors.
fn of_state(
    state: ResourceState,
    is_blocking: bool,
    resources: &[&ResourceHealth],
) -> Vec<Problem> {
    let by_error = groups(resources.iter().copied(), error);
    if by_error.len() > MOST_ERRORS {
        return vec![problem(state, is_blocking, resources)];
    }
    by_error
        .iter()
        .map(|(_, group)| problem(state, is_blocking, group))
        .collect()
}

fn problem(state: ResourceState, is_blocking: bool, resources: &[&ResourceHealth]) -> Problem {
    let removals = resources.iter().filter_map(|own| own.removal_seconds);
    let state_name = state.to_string();
    // Many errors begin with the state. The problem already contains the state, so the code removes the state from the
    // error.
    let prefix = format!("{state_name}: ");
    let error = resources.iter().find_map(|own| error(own));
    let error = error.map(|error| error.strip_prefix(&prefix).unwrap_or(error));
    Problem {
        state: state_name,
        is_normal: matches!(state, ResourceState::NotStarted | ResourceState::Listing),
        is_blocking,
        resources: resources.iter().map(|own| own.resource.clone()).collect(),
        error: error.map(str::to_owned),
        removal_seconds: removals.reduce(f64::min),
    }
}

/// The last error of a resource; `None` if a list is in progress, because the error is then older than this list.
fn error(own: &ResourceHealth) -> Option<&str> {
    let error = own.last_error.as_deref();
    error.filter(|_| own.state != ResourceState::Listing)
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::source::health::FailureReason;

    use super::*;

    fn resource(name: &str, state: ResourceState, error: &str) -> ResourceHealth {
        let mut health = ResourceHealth::default();
        health.resource = name.to_owned();
        health.state = state;
        health.last_error = Some(error.to_owned());
        health
    }

    fn summary(resources: &[ResourceHealth]) -> Vec<String> {
        let problems = problems(resources.iter(), &[]);
        let lines = problems.iter().map(|problem| {
            let error = problem.error.as_deref().unwrap_or("-");
            format!("{} {}: {error}", problem.resources.join(","), problem.state)
        });
        lines.collect()
    }

    #[test]
    fn an_outage_is_one_problem() {
        let unreachable = ResourceState::Failing(FailureReason::Unreachable);
        let forbidden = ResourceState::Failing(FailureReason::Forbidden);
        let mut outage: Vec<_> = (0..30)
            .map(|number| resource(&number.to_string(), unreachable, "unreachable: refused"))
            .collect();
        outage.push(resource("secrets", forbidden, "no rights"));
        outage.push(resource("pods", ResourceState::Listing, "an old error"));
        let problems = summary(&outage);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].ends_with(",29 unreachable: refused"),
            "{problems:?}"
        );
        assert_eq!(
            problems[1..],
            ["secrets forbidden: no rights", "pods listing: -"]
        );
    }

    #[test]
    fn what_delays_readiness_comes_first() {
        let unreachable = ResourceState::Failing(FailureReason::Unreachable);
        let forbidden = ResourceState::Failing(FailureReason::Forbidden);
        let secrets = resource("secrets", forbidden, "no rights");
        let behind = [
            resource("pods", unreachable, "refused"),
            resource("nodes", unreachable, "refused"),
            secrets.clone(),
        ];
        let problems = problems(behind.iter(), std::slice::from_ref(&secrets));
        let order: Vec<_> = problems
            .iter()
            .map(|own| (own.is_blocking, own.resources.join(",")))
            .collect();
        let expected = [(true, "secrets"), (false, "pods,nodes")];
        assert_eq!(
            order,
            expected.map(|(first, name)| (first, name.to_owned()))
        );

        let (default, strict) = (ReadinessPolicy::Default, ReadinessPolicy::Strict);
        let reason = |blocking: &[ResourceHealth], policy| not_ready(blocking, true, policy);
        assert_eq!(
            reason(&[secrets], strict),
            "not ready with --readiness=strict: secrets (forbidden)"
        );
        let lists = ["a", "b", "c", "d", "e"].map(|own| resource(own, ResourceState::Listing, ""));
        assert_eq!(
            reason(&lists, default),
            "not ready: a, b, c and 2 more (the first list is not complete)"
        );
        assert_eq!(
            reason(&lists[..3], default),
            "not ready: a, b, c (the first list is not complete)"
        );
        assert_eq!(reason(&[], default), "not ready");
        assert_eq!(
            not_ready(&[], false, default),
            "not ready: the shard is not known"
        );
    }

    #[test]
    fn silent_watches_are_one_problem() {
        let silence = Duration::from_secs(90);
        assert_eq!(silent_watches(Vec::new(), silence), None);
        let resources = [("services", 100.0), ("secrets", 564.0)];
        let resources = resources.map(|(name, age)| (name.to_owned(), age));
        let problem = silent_watches(resources.to_vec(), silence).unwrap();
        assert_eq!(problem.resources, ["secrets", "services"]);
        let error = problem.error.unwrap();
        let start = "no event and no bookmark for up to 9m 24s, ";
        assert!(problem.is_normal && error.starts_with(start), "{error}");
        let problem = silent_watches(resources[..1].to_vec(), silence).unwrap();
        assert!(problem.error.unwrap().contains("for 1m 40s, "));
    }

    #[test]
    fn different_errors_are_apart_unless_they_are_many() {
        let state = ResourceState::Failing(FailureReason::ServerError);
        let failing = |names: &[&str]| -> Vec<_> {
            names
                .iter()
                .map(|name| resource(name, state, &format!("error of {name}")))
                .collect()
        };
        assert_eq!(summary(&failing(&["a", "b", "c"])).len(), 3);
        assert_eq!(
            summary(&failing(&["a", "b", "c", "d"])),
            ["a,b,c,d server error: error of a"]
        );
    }
}
