//! The resources of the kinds that a configuration of custom resources selects.

use kube::Client;
use kube_state_metrics::custom_resources::{Config, KindSelector, KnownKind};
use kube_state_metrics::resource::{ResourceInfo, Scope};
use serde_json::json;

/// The resources of the kinds that a configuration selects.
///
/// A configuration of custom resources contains groups, versions and kinds. But a rule of a role contains plural names,
/// so the exporter must find the plural name of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomKinds {
    pub(crate) resources: Vec<ResourceInfo>,
    /// API groups in which a role must allow all resources, because their names are unknown. The configuration selects
    /// all kinds of such a group, but the exporter knows none of their CustomResourceDefinitions.
    pub(crate) whole_groups: Vec<String>,
    /// Messages about assumptions: the exporter does not know the plural name and the scope of every kind.
    pub(crate) assumptions: Vec<String>,
}

// === impl CustomKinds ===

impl CustomKinds {
    /// Returns the resources that the configuration selects. `defined` contains the kinds of known
    /// CustomResourceDefinitions, with their plural names. For other kinds, the function guesses the plural name, and
    /// assumes that the kind is namespaced.
    pub(crate) fn of(config: Option<&Config>, defined: &[KnownKind]) -> Self {
        let mut kinds = Self::default();
        let Some(config) = config else {
            return kinds;
        };
        let built_in = KnownKind::built_in();
        for selector in config.selectors() {
            let known = built_in.iter().chain(defined);
            let known = known.filter(|kind| selector.matches(kind));
            let before = kinds.resources.len();
            kinds
                .resources
                .extend(known.map(|kind| kind.resource().clone()));
            if kinds.resources.len() == before {
                kinds.assume(selector);
            }
        }
        kinds
    }

    fn assume(&mut self, selector: KindSelector<'_>) {
        let group = selector.group;
        let Some(kind) = selector.kind else {
            self.whole_groups.push(group.to_owned());
            self.assumptions.push(format!(
                "the configuration selects all kinds of the group {group}, so the role allows all resources of the \
                 group; to allow only existing resources, pass their definitions with --definitions"
            ));
            return;
        };
        let version = selector.version.unwrap_or("v1");
        let object = json!({
            "apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": { "namespace": "any" },
        });
        if let Some(known) = KnownKind::of_object(&object) {
            let plural = known.resource().plural();
            self.assumptions.push(format!(
                "the plural name of {kind} ({group}) is assumed to be {plural}; if this is wrong, pass \
                 the definition of the kind with --definitions"
            ));
            self.resources.push(known.resource().clone());
        }
    }
}

/// Asks an API server which kinds it serves in the API groups of a configuration.
///
/// # Errors
///
/// The function fails if the API server does not list its groups or their resources.
pub(crate) async fn served_kinds(
    client: &Client,
    config: &Config,
) -> Result<Vec<KnownKind>, kube::Error> {
    let mut kinds = Vec::new();
    for group in client.list_api_groups().await?.groups {
        if !config.groups().contains(&group.name.as_str()) {
            continue;
        }
        for version in &group.versions {
            let served = client
                .list_api_group_resources(&version.group_version)
                .await?;
            // This filter removes subresources. The names of subresources contain a slash, such as `widgets/status`.
            let resources = served
                .resources
                .iter()
                .filter(|own| !own.name.contains('/'));
            kinds.extend(resources.map(|own| {
                let scope = match own.namespaced {
                    true => Scope::Namespaced,
                    false => Scope::Cluster,
                };
                let (group, version) = (group.name.clone(), version.version.clone());
                KnownKind::new(group, version, own.kind.clone(), own.name.clone(), scope)
            }));
        }
    }
    Ok(kinds)
}
