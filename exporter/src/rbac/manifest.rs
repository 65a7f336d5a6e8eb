//! Roles and their bindings as YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::permission::{Permission, Permissions, Verbs};

/// The names of the roles and of the service account in the manifests.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The name of the roles and of their bindings.
    pub(crate) role: String,
    /// The service account that the roles are bound to.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A rule of a role: verbs on some resources of one group.
struct Rule<'a> {
    group: &'a str,
    /// The plural names, sorted.
    resources: Vec<&'a str>,
    name: Option<&'a str>,
    verbs: Verbs,
}

/// The maximum length of a list of resources in one line. In a longer list, each resource has a line.
const MAX_LINE: usize = 100;

// === impl Account ===

impl Account {
    /// A ClusterRole, or a Role for each namespace, each with its binding. The same permissions and names always yield
    /// the same text.
    pub(crate) fn manifests(&self, permissions: &Permissions) -> String {
        let mut text = String::new();
        for (namespace, rules) in permissions.rules_by_namespace() {
            if !text.is_empty() {
                text.push_str("---\n");
            }
            let kind = if namespace.is_some() {
                "Role"
            } else {
                "ClusterRole"
            };
            self.write_head(&mut text, kind, namespace);
            text.push_str("rules:\n");
            for rule in rules {
                rule.write_block(&mut text);
            }
            text.push_str("---\n");
            self.write_head(&mut text, &format!("{kind}Binding"), namespace);
            let _ = write!(
                text,
                "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {role}\n\
                 subjects:\n  - kind: ServiceAccount\n    name: {name}\n    namespace: {account}\n",
                role = scalar(&self.role),
                name = scalar(&self.name),
                account = scalar(&self.namespace),
            );
        }
        text
    }

    fn write_head(&self, text: &mut String, kind: &str, namespace: Option<&str>) {
        let role = scalar(&self.role);
        let _ = write!(
            text,
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {role}\n"
        );
        if let Some(namespace) = namespace {
            let _ = writeln!(text, "  namespace: {}", scalar(namespace));
        }
        text.push_str(
            "  labels:\n    app.kubernetes.io/name: kube-state-metrics\n    \
             app.kubernetes.io/component: exporter\n",
        );
    }
}

// === impl Permissions ===

impl Permissions {
    /// The rules by namespace. The rules of the ClusterRole have the namespace `None`.
    fn rules_by_namespace(&self) -> impl Iterator<Item = (Option<&str>, Vec<Rule<'_>>)> {
        let sets = self.by_namespace();
        sets.map(|(namespace, permissions)| (namespace, rules(permissions)))
    }

    /// For each role, its namespace and its rules on one line: `rules: [...]`.
    pub(super) fn lines(&self) -> Vec<(Option<&str>, String)> {
        let lines = self.rules_by_namespace().map(|(namespace, rules)| {
            let rules: Vec<_> = rules.iter().map(Rule::flow).collect();
            (namespace, format!("rules: [{}]", rules.join(", ")))
        });
        lines.collect()
    }
}

/// Combines permissions that differ only in the resource into one rule.
fn rules(permissions: &BTreeSet<Permission>) -> Vec<Rule<'_>> {
    let mut rules: BTreeMap<(&str, Option<&str>, Verbs), Vec<&str>> = BTreeMap::new();
    for own in permissions {
        let key = (own.group.as_str(), own.name.as_deref(), own.verbs);
        rules.entry(key).or_default().push(&own.resource);
    }
    let rules = rules.into_iter();
    let rules = rules.map(|((group, name, verbs), resources)| Rule {
        group,
        resources,
        name,
        verbs,
    });
    rules.collect()
}

// === impl Rule ===

impl Rule<'_> {
    fn write_block(&self, text: &mut String) {
        let _ = writeln!(text, "  - apiGroups: {}", list([self.group]));
        let line = format!(
            "    resources: {}",
            list(self.resources.iter().map(|own| &**own))
        );
        if line.len() <= MAX_LINE {
            let _ = writeln!(text, "{line}");
        } else {
            text.push_str("    resources:\n");
            for resource in &self.resources {
                let _ = writeln!(text, "      - {}", scalar(resource));
            }
        }
        if let Some(name) = self.name {
            let _ = writeln!(text, "    resourceNames: {}", list([name]));
        }
        let _ = writeln!(text, "    verbs: {}", list(self.verbs.iter().copied()));
    }

    fn flow(&self) -> String {
        let names = self
            .name
            .map(|name| format!("resourceNames: {}, ", list([name])));
        format!(
            "{{apiGroups: {}, resources: {}, {}verbs: {}}}",
            list([self.group]),
            list(self.resources.iter().copied()),
            names.unwrap_or_default(),
            list(self.verbs.iter().copied()),
        )
    }
}

/// A list of YAML on one line.
fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.into_iter().map(scalar).collect();
    format!("[{}]", items.join(", "))
}

/// A YAML string. The text is quoted unless it certainly needs no quotes.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_plain) && !is_word
    {
        return text.to_owned();
    }
    // Every JSON string is also a YAML string.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_yaml_would_read_as_something_else_are_quoted() {
        for (text, yaml) in [
            ("pods", "pods"),
            ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io"),
            ("", "\"\""),
            ("*", "\"*\""),
            ("1e3", "\"1e3\""),
            ("no", "\"no\""),
            ("$(POD_NAMESPACE)", "\"$(POD_NAMESPACE)\""),
            ("a: b", "\"a: b\""),
        ] {
            assert_eq!(scalar(text), yaml);
        }
    }
}
