//! Writes the roles of the exporter, and the bindings of the roles to its service account, as YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::permission::{Permission, Permissions, Verbs};

/// The names of the roles and of the service account in the YAML.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The name of the roles and of their bindings.
    pub(crate) role: String,
    /// The namespace of the service account that gets the roles. The field `name` is the name of this service account.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A rule of a role: it allows some verbs on some resources of one API group.
struct Rule<'a> {
    group: &'a str,
    /// The plural names of the resources, sorted.
    resources: Vec<&'a str>,
    /// The names of the objects to which the rule applies; empty for all objects.
    names: Vec<&'a str>,
    verbs: Verbs,
}

/// The maximum length of a list of resources or names in one line. In a longer list, each item is on a separate line.
const MAX_LINE: usize = 100;

// === impl Account ===

impl Account {
    /// Returns YAML. A ClusterRole has the permissions that apply to all namespaces. If permissions apply only to one
    /// namespace, a Role in this namespace has these permissions. The binding of a role comes after the role. For the
    /// same permissions and names, the text is always the same.
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
    /// Returns the namespace and the rules of each role. The namespace of a ClusterRole is `None`.
    fn rules_by_namespace(&self) -> impl Iterator<Item = (Option<&str>, Vec<Rule<'_>>)> {
        let sets = self.by_namespace();
        sets.map(|(namespace, permissions)| (namespace, rules(permissions)))
    }

    /// Returns the namespace of each role, and the rules of the role on one line: `rules: [...]`.
    pub(super) fn lines(&self) -> Vec<(Option<&str>, String)> {
        let lines = self.rules_by_namespace().map(|(namespace, rules)| {
            let rules: Vec<_> = rules.iter().map(Rule::flow).collect();
            (namespace, format!("rules: [{}]", rules.join(", ")))
        });
        lines.collect()
    }
}

/// Combines permissions into rules. Permissions that differ only in the resource become one rule. Permissions that
/// differ only in the name of the object also become one rule.
fn rules(permissions: &BTreeSet<Permission>) -> Vec<Rule<'_>> {
    let mut by_name: BTreeMap<(&str, Option<&str>, Verbs), Vec<&str>> = BTreeMap::new();
    for own in permissions {
        let key = (own.group.as_str(), own.name.as_deref(), own.verbs);
        by_name.entry(key).or_default().push(&own.resource);
    }
    let mut rules = Vec::<Rule<'_>>::new();
    for ((group, name, verbs), resources) in by_name {
        let before = rules.last_mut().filter(|before| {
            (before.group, before.verbs) == (group, verbs)
                && before.resources == resources
                && !before.names.is_empty()
        });
        match before.zip(name) {
            Some((before, name)) => before.names.push(name),
            None => rules.push(Rule {
                group,
                resources,
                names: name.into_iter().collect(),
                verbs,
            }),
        }
    }
    rules
}

// === impl Rule ===

impl Rule<'_> {
    fn write_block(&self, text: &mut String) {
        let _ = writeln!(text, "  - apiGroups: {}", list([self.group]));
        write_list(text, "resources", &self.resources);
        if !self.names.is_empty() {
            write_list(text, "resourceNames", &self.names);
        }
        let _ = writeln!(text, "    verbs: {}", list(self.verbs.iter().copied()));
    }

    fn flow(&self) -> String {
        let names = match self.names.is_empty() {
            true => String::new(),
            false => format!("resourceNames: {}, ", list(self.names.iter().copied())),
        };
        format!(
            "{{apiGroups: {}, resources: {}, {}verbs: {}}}",
            list([self.group]),
            list(self.resources.iter().copied()),
            names,
            list(self.verbs.iter().copied()),
        )
    }
}

/// Writes a list of a rule, such as its verbs. A short list is on one line.
fn write_list(text: &mut String, key: &str, items: &[&str]) {
    let line = format!("    {key}: {}", list(items.iter().copied()));
    if line.len() <= MAX_LINE {
        let _ = writeln!(text, "{line}");
        return;
    }
    let _ = writeln!(text, "    {key}:");
    for item in items {
        let _ = writeln!(text, "      - {}", scalar(item));
    }
}

/// Returns a YAML list on one line.
fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.into_iter().map(scalar).collect();
    format!("[{}]", items.join(", "))
}

/// Returns a text as a YAML string, in quotes if the text may need them.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_plain) && !is_word
    {
        return text.to_owned();
    }
    // The result is valid YAML, because every JSON string is also a YAML string.
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
