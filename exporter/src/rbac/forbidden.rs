//! Finds out which rules the roles of the exporter lack. The health of the watches shows which resources are forbidden.

use kube_state_metrics::source::health::{FailureReason, ResourceHealth, ResourceState};

use super::permission::{Permission, Permissions};

/// Returns a line for each role that lacks rules. The line contains the missing rules as YAML. If the API server
/// forbids no resource, there are no lines.
pub(crate) fn missing_rules<'a>(
    resources: impl IntoIterator<Item = &'a ResourceHealth>,
) -> Vec<String> {
    let forbidden = resources.into_iter().flat_map(forbidden_permissions);
    let permissions: Permissions = forbidden.collect();
    let lines = permissions.lines().into_iter();
    let lines = lines.map(|(namespace, rules)| match namespace {
        Some(namespace) => format!("missing in a Role of namespace {namespace}: {rules}"),
        None => format!("missing in a ClusterRole: {rules}"),
    });
    lines.collect()
}

fn forbidden_permissions(health: &ResourceHealth) -> impl Iterator<Item = Permission> {
    let plural = health.resource.split('.').next().unwrap_or_default();
    let group = health.api_version.rsplit_once('/');
    let group = group.map_or("", |(group, _)| group);
    let forbidden = ResourceState::Failing(FailureReason::Forbidden);
    let feeds = health
        .feeds
        .iter()
        .filter(move |feed| feed.state == forbidden);
    feeds.map(move |feed| Permission::watch(feed.namespace.as_deref(), group, plural))
}
