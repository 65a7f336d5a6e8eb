//! The causes why resources are not up to date, with one message for each cause.

use std::time::Duration;

use kube_state_metrics::source::health::{ResourceHealth, ResourceState};
use serde::Serialize;

use crate::grouping::groups;

/// A cause, and all resources that it affects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// The state of the resources, such as `unreachable`, `forbidden` or `listing`.
    pub(crate) state: String,
    /// Whether the exporter expects that the resources become up to date: first lists in progress without a failure,
    /// and silent watches that are resumed.
    pub(crate) is_normal: bool,
    pub(crate) resources: Vec<String>,
    /// The last error of a resource.
    pub(crate) error: Option<String>,
    /// Seconds until the stored objects of a resource are removed, because the API server forbids the resource.
    pub(crate) removal_seconds: Option<f64>,
}

/// The maximum number of problems for one state. If resources in one state have more than this number of different
/// errors, there is one problem with the first error, because such errors usually differ only in the name of the
/// resource.
const MOST_ERRORS: usize = 3;

/// The problems of resources that are not up to date. The problem that most resources have comes first.
pub(super) fn problems<'a>(resources: impl Iterator<Item = &'a ResourceHealth>) -> Vec<Problem> {
    let by_state = groups(resources, |own| own.state);
    let mut problems: Vec<_> = by_state.into_iter().flat_map(of_state).collect();
    problems.sort_by_key(|problem| {
        (
            problem.is_normal,
            std::cmp::Reverse(problem.resources.len()),
        )
    });
    problems
}

/// The problem of synced resources whose watches have been silent for more than `silence`. Without such resources,
/// there is no problem.
pub(super) fn silent_watches(resources: Vec<String>, silence: Duration) -> Option<Problem> {
    (!resources.is_empty()).then(|| Problem {
        state: "silent".to_owned(),
        is_normal: true,
        resources,
        error: Some(format!(
            "no event and no bookmark for more than {silence:?}, although the API server sends a bookmark every minute; \
             metrics may be outdated; the exporter resumes the watch, and reports a failure if the API server does not \
             respond"
        )),
        removal_seconds: None,
    })
}

/// The problems of resources in one state: one for each error, or a single problem if there are many errors.
fn of_state((state, resources): (ResourceState, Vec<&ResourceHealth>)) -> Vec<Problem> {
    let by_error = groups(resources.iter().copied(), error);
    if by_error.len() > MOST_ERRORS {
        return vec![problem(state, &resources)];
    }
    by_error
        .iter()
        .map(|(_, group)| problem(state, group))
        .collect()
}

fn problem(state: ResourceState, resources: &[&ResourceHealth]) -> Problem {
    let removals = resources.iter().filter_map(|own| own.removal_seconds);
    let state_name = state.to_string();
    // Many errors begin with the state.
    let prefix = format!("{state_name}: ");
    let error = resources.iter().find_map(|own| error(own));
    let error = error.map(|error| error.strip_prefix(&prefix).unwrap_or(error));
    Problem {
        state: state_name,
        is_normal: matches!(state, ResourceState::NotStarted | ResourceState::Listing),
        resources: resources.iter().map(|own| own.resource.clone()).collect(),
        error: error.map(str::to_owned),
        removal_seconds: removals.reduce(f64::min),
    }
}

/// The last error, unless a list has begun since.
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
        let problems = problems(resources.iter());
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
    fn silent_watches_are_one_problem() {
        let silence = Duration::from_secs(90);
        assert_eq!(silent_watches(Vec::new(), silence), None);
        let resources = ["services", "secrets"].map(str::to_owned);
        let problem = silent_watches(resources.to_vec(), silence).unwrap();
        assert_eq!(problem.resources, resources);
        let error = problem.error.unwrap();
        assert!(
            problem.is_normal && error.contains("more than 90s"),
            "{error}"
        );
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
