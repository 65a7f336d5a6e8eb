//! The options that select the exported metrics, and the options that determine when the exporter is ready.

use kube_state_metrics::filter::AllowlistConfig;
use kube_state_metrics::registry::{JoinConfig, Shard};
use kube_state_metrics::source::health::ReadinessPolicy;

use crate::options::MetricsOptions;

/// An option that is in use, and its values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) flag: &'static str,
    pub(super) values: Vec<String>,
}

/// The options that are set.
pub(super) fn settings(
    options: &MetricsOptions,
    shard: Shard,
    readiness: ReadinessPolicy,
    leadership: Option<String>,
) -> Vec<Setting> {
    let readiness = (readiness != ReadinessPolicy::Default).then(|| readiness.to_string());
    let shard = (shard.total() > 1).then(|| format!("{shard} (numbered from 0)"));
    let all = [
        (
            "Shard",
            "--shard, --total-shards",
            shard.into_iter().collect(),
        ),
        ("Readiness", "--readiness", readiness.into_iter().collect()),
        ("Namespaces", "--namespaces", options.namespaces.clone()),
        (
            "Denied namespaces",
            "--namespaces-denylist",
            options.denied_namespaces.clone(),
        ),
        (
            "Allowed families",
            "--metric-allowlist",
            options.allow.clone(),
        ),
        ("Denied families", "--metric-denylist", options.deny.clone()),
        (
            "Opt-in families",
            "--metric-opt-in-list",
            options.opt_in.clone(),
        ),
        (
            "Allowed labels",
            "--metric-labels-allowlist",
            allowlists(&options.labels),
        ),
        (
            "Allowed annotations",
            "--metric-annotations-allowlist",
            allowlists(&options.annotations),
        ),
        ("Joined labels", "--join-labels", joins(&options.joins)),
        (
            "High availability",
            "--ha",
            leadership.into_iter().collect(),
        ),
    ];
    let set = all.into_iter().filter(|(_, _, values)| !values.is_empty());
    set.map(|(name, flag, values)| Setting { name, flag, values })
        .collect()
}

/// Returns one text for each resource, in the syntax of the flags for allowlists.
fn allowlists(allowlists: &AllowlistConfig) -> Vec<String> {
    let lists = allowlists.iter();
    lists
        .map(|(resource, list)| format!("{resource}=[{}]", list.patterns().join(",")))
        .collect()
}

/// Returns the joined labels in the syntax of `--join-labels`. If there are none, returns no text.
fn joins(joins: &JoinConfig) -> Vec<String> {
    let text = (!joins.is_empty()).then(|| joins.to_string());
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_options_that_are_set_are_shown() {
        let (shard, readiness) = (Shard::default(), ReadinessPolicy::Default);
        assert_eq!(
            settings(&MetricsOptions::default(), shard, readiness, None),
            []
        );
        let options = MetricsOptions {
            deny: vec!["kube_secret_.*".to_owned()],
            labels: AllowlistConfig::parse("pods=[team,app]").unwrap(),
            joins: "pods=[self/a,node/b=c],*=[self/d]".parse().unwrap(),
            ..MetricsOptions::default()
        };
        let settings = settings(
            &options,
            Shard::new(1, 3).unwrap(),
            ReadinessPolicy::Strict,
            None,
        );
        let lines: Vec<_> = settings
            .iter()
            .map(|own| format!("{}: {}", own.flag, own.values.join(" ")))
            .collect();
        assert_eq!(
            lines,
            [
                "--shard, --total-shards: 1 of 3 (numbered from 0)",
                "--readiness: strict",
                "--metric-denylist: kube_secret_.*",
                "--metric-labels-allowlist: pods=[team,app]",
                "--join-labels: pods=[self/a,node/b=c],*=[self/d]",
            ]
        );
    }
}
