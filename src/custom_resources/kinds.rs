//! [`KnownKind`]: a kind that exists, so that a configuration can select it. Known kinds come from
//! CustomResourceDefinitions, from objects, or from the caller.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

use crate::errors::shortened;
use crate::families::BuiltIn;
use crate::resource::{ResourceInfo, Scope};

/// A kind that exists. The entries of a configuration can select it.
///
/// ```
/// use kube_state_metrics::custom_resources::KnownKind;
/// use serde_json::json;
///
/// let definition = json!({ "spec": {
///     "group": "acme.dev", "scope": "Namespaced",
///     "names": { "kind": "Widget", "plural": "widgets" },
///     "versions": [{ "name": "v1", "served": true }, { "name": "v1beta1", "served": false }],
/// }});
/// let kinds = KnownKind::of_definition(&definition);
/// assert_eq!(kinds.len(), 1);
/// assert_eq!(kinds[0].resource().to_string(), "widgets.acme.dev");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownKind {
    resource: ResourceInfo,
    /// `metadata.creationTimestamp` of the kind's definition; `None` if the time is unknown. The alphabetical order of
    /// such times is their order in time.
    created: Option<String>,
    /// Whether the API server has established the kind's definition; `None` if the kind does not come from a
    /// definition.
    established: Option<bool>,
}

/// The kinds of all built-in resources. They are cached, because each access to the names of a built-in resource
/// creates a collector with all its families.
static BUILT_IN: LazyLock<Vec<KnownKind>> = LazyLock::new(|| {
    let infos = BuiltIn::ALL.iter().map(|resource| resource.info());
    let kinds = infos.map(|info| {
        let (group, version) = (info.group(), info.version());
        KnownKind::new(group, version, info.kind(), info.plural(), info.scope())
    });
    kinds.collect()
});

impl KnownKind {
    /// Creates a kind with these names and this scope.
    ///
    /// ```
    /// use kube_state_metrics::resource::Scope;
    /// use kube_state_metrics::custom_resources::KnownKind;
    ///
    /// let widgets = KnownKind::new("acme.dev", "v1", "Widget", "widgets", Scope::Namespaced);
    /// assert_eq!(widgets.resource().api_version(), "acme.dev/v1");
    /// ```
    #[must_use]
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        kind: impl Into<String>,
        plural: impl Into<String>,
        scope: Scope,
    ) -> Self {
        let (group, version, kind) = (group.into(), version.into(), kind.into());
        Self {
            resource: ResourceInfo::configured(group, version, kind, plural.into(), scope),
            created: None,
            established: None,
        }
    }

    /// The kinds that a CustomResourceDefinition (`apiextensions.k8s.io/v1`) serves.
    ///
    /// If a definition lacks its group, kind, plural or versions, or if a name is invalid, the result is empty. The
    /// result is also empty if the API server has rejected the definition: the condition `NamesAccepted` is `False`,
    /// and the condition `Established` is not `True`. The result does not include versions that are not served, or that
    /// have an invalid name.
    #[must_use]
    pub fn of_definition(definition: &Value) -> Vec<Self> {
        Self::served(definition).unwrap_or_default()
    }

    /// Explains why [`of_definition`](Self::of_definition) finds no kind in a CustomResourceDefinition. `None` if the
    /// definition serves kinds.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::KnownKind;
    /// use serde_json::json;
    ///
    /// let definition = json!({ "spec": {
    ///     "group": "acme.dev", "names": { "kind": "Widget", "plural": "*" }, "versions": [{ "name": "v1" }],
    /// } });
    /// let problem = KnownKind::definition_problem(&definition);
    /// assert!(problem.is_some_and(|problem| problem.starts_with("the plural `*` is not valid")));
    /// ```
    #[must_use]
    pub fn definition_problem(definition: &Value) -> Option<String> {
        match Self::served(definition) {
            Ok(kinds) if kinds.is_empty() => Some(String::from(
                "it serves no version with a valid name; set `served: true` for a version",
            )),
            Ok(_) => None,
            Err(problem) => Some(problem),
        }
    }

    /// Returns the kinds that a definition serves.
    ///
    /// # Errors
    ///
    /// Explains why the definition cannot be used.
    fn served(definition: &Value) -> Result<Vec<Self>, String> {
        let spec = definition.get("spec");
        let field = |path: &[&str]| {
            let found = path.iter().try_fold(spec?, |value, key| value.get(key));
            found.and_then(Value::as_str)
        };
        let label = "has at most 63 letters, digits and `-`, and starts with a letter or a digit";
        let valid = |what: &str, path: &[&str], is_valid: fn(&str) -> bool| {
            let Some(name) = field(path) else {
                return Err(format!("it has no {what}; set `spec.{}`", path.join(".")));
            };
            is_valid(name).then_some(name).ok_or_else(|| {
                let shown = shortened(name.to_owned());
                let rule = match what {
                    "group" => {
                        format!("a group has at most 253 characters, and each of its parts between dots {label}")
                    }
                    _ => format!("a name {label}"),
                };
                format!("the {what} `{shown}` is not valid; {rule}")
            })
        };
        let group = valid("group", &["group"], is_group)?;
        let kind = valid("kind", &["names", "kind"], is_name)?;
        let plural = valid("plural", &["names", "plural"], is_name)?;
        let is = |condition: &str, status: &str| has_condition(definition, condition, status);
        let established = is("Established", "True");
        if !established && is("NamesAccepted", "False") {
            return Err(String::from(
                "the API server has not accepted its names (condition `NamesAccepted`)",
            ));
        }
        let created = definition.pointer("/metadata/creationTimestamp");
        let created = created.and_then(Value::as_str);
        let scope = match field(&["scope"]) {
            Some("Cluster") => Scope::Cluster,
            _ => Scope::Namespaced,
        };
        let versions = spec.and_then(|spec| spec.get("versions")?.as_array());
        let served = versions.into_iter().flatten().filter_map(|version| {
            let name = version.get("name")?.as_str().filter(|name| is_name(name))?;
            let served = version
                .get("served")
                .is_none_or(|served| *served == Value::Bool(true));
            served.then(|| Self {
                created: created.map(str::to_owned),
                established: Some(established),
                ..Self::new(group, name, kind, plural, scope)
            })
        });
        Ok(served.collect())
    }

    /// Derives the kind from an object, without a CustomResourceDefinition.
    ///
    /// If the kind is built-in, the plural and the scope are those of the built-in resource. For other kinds, the
    /// plural is the lower-case kind with `s`, `es` or `ies`, as in English. If the object has a namespace, the kind is
    /// namespaced. If the object lacks `apiVersion` or `kind`, the result is `None`.
    #[must_use]
    pub fn of_object(object: &Value) -> Option<Self> {
        let text = |name| object.get(name).and_then(Value::as_str);
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        if let Some(own) = BUILT_IN.iter().find(|own| own.is(group, version, kind)) {
            return Some(own.clone());
        }
        let namespace = object.get("metadata").and_then(|own| own.get("namespace"));
        let scope = match namespace.and_then(Value::as_str) {
            Some(namespace) if !namespace.is_empty() => Scope::Namespaced,
            _ => Scope::Cluster,
        };
        Some(Self::new(group, version, kind, plural(kind), scope))
    }

    /// The kinds of many objects, without duplicates. If an object is a CustomResourceDefinition, all kinds that it
    /// serves are included.
    ///
    /// ```
    /// use kube_state_metrics::custom_resources::KnownKind;
    /// use serde_json::json;
    ///
    /// let widget = json!({
    ///     "apiVersion": "acme.dev/v1", "kind": "Widget", "metadata": { "name": "a", "namespace": "b" }
    /// });
    /// let kinds = KnownKind::of_objects([&widget, &widget]);
    /// assert_eq!(kinds, KnownKind::of_object(&widget).into_iter().collect::<Vec<_>>());
    /// assert_eq!(kinds[0].resource().to_string(), "widgets.acme.dev");
    /// ```
    #[must_use]
    pub fn of_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<Self> {
        let mut kinds: BTreeMap<(String, String), Self> = BTreeMap::new();
        let mut defined = Vec::new();
        for object in objects {
            if object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition") {
                defined.extend(Self::of_definition(object));
            }
            let Some(own) = Self::of_object(object) else {
                continue;
            };
            let known = kinds.entry(own.identity()).or_insert_with(|| own.clone());
            if own.resource.scope() == Scope::Namespaced {
                *known = own;
            }
        }
        // If several definitions define the same kind, the first definition is used. A kind from a definition takes
        // precedence over the same kind from an object.
        let defined = Self::without_displaced(&defined).rev();
        kinds.extend(defined.map(|own| (own.identity(), own.clone())));
        kinds.into_values().collect()
    }

    /// Removes the kinds of a definition that is not established and conflicts with an established definition. Two
    /// definitions conflict if they have the same group and kind, but different plurals. The API server serves only the
    /// resource of the established definition.
    pub(super) fn without_displaced(kinds: &[Self]) -> impl DoubleEndedIterator<Item = &Self> {
        let established = kinds.iter().filter(|own| own.established == Some(true));
        let plurals: HashMap<_, _> = established
            .map(|own| (own.group_and_kind(), own.resource.plural()))
            .collect();
        kinds.iter().filter(move |own| {
            let plural = plurals.get(&own.group_and_kind());
            own.established != Some(false)
                || plural.is_none_or(|plural| *plural == own.resource.plural())
        })
    }

    /// The kinds of all built-in resources.
    ///
    /// With these known kinds, a configuration can add families to built-in resources.
    ///
    /// ```
    /// use kube_state_metrics::BuiltIn;
    /// use kube_state_metrics::custom_resources::KnownKind;
    ///
    /// assert_eq!(KnownKind::built_in().len(), BuiltIn::ALL.len());
    /// ```
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        BUILT_IN.clone()
    }

    /// Whether a built-in resource has this kind.
    pub(super) fn is_built_in(group: &str, version: &str, kind: &str) -> bool {
        BUILT_IN.iter().any(|own| own.is(group, version, kind))
    }

    /// Whether this kind has this group, version and name.
    pub(super) fn is(&self, group: &str, version: &str, kind: &str) -> bool {
        let own = &self.resource;
        own.group() == group && own.version() == version && own.kind() == kind
    }

    /// The names and the scope of the kind.
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    /// Returns the creation time of the definition; `None` if the time is unknown. The alphabetical order of such times
    /// is their order in time.
    pub(super) fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    fn group_and_kind(&self) -> (&str, &str) {
        (self.resource.group(), self.resource.kind())
    }

    /// Returns the `apiVersion` and the `kind` that objects of this kind have.
    fn identity(&self) -> (String, String) {
        let resource = &self.resource;
        (
            resource.api_version().into_owned(),
            resource.kind().to_owned(),
        )
    }
}

/// Whether a definition has a condition with this type and status.
fn has_condition(definition: &Value, condition: &str, status: &str) -> bool {
    let conditions = definition.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    conditions.any(|own| own["type"] == condition && own["status"] == status)
}

/// Whether an API server accepts the name of a group. The name consists of DNS labels. Other names are refused, because
/// names of kinds occur in logs, metrics and request paths.
fn is_group(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_name)
}

/// Whether an API server accepts the name of a version, a kind or a plural. Such a name is a DNS label, but may have
/// upper-case letters.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.len() <= 63
        && name.bytes().all(is_allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let vowel_before_y = kind.ends_with(['y'])
        && kind
            .trim_end_matches('y')
            .ends_with(['a', 'e', 'i', 'o', 'u']);
    if kind.ends_with(['s', 'x', 'z']) || kind.ends_with("ch") || kind.ends_with("sh") {
        return format!("{kind}es");
    }
    match kind.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reason_for_an_invalid_name_states_the_rule_of_this_name() {
        let problem = |group: &str, kind: &str| {
            let names = json!({ "kind": kind, "plural": "widgets" });
            let spec = json!({ "group": group, "names": names, "versions": [{ "name": "v1" }] });
            KnownKind::definition_problem(&json!({ "spec": spec })).unwrap_or_default()
        };
        assert_eq!(problem(&["g"; 127].join("."), "Widget"), "");
        let long = problem(&["g"; 128].join("."), "Widget");
        assert!(long.contains("at most 253 characters"), "{long}");
        let kind = problem("g", "W/");
        assert!(kind.ends_with(
            "a name has at most 63 letters, digits and `-`, and starts with a letter or a digit"
        ));
    }

    #[test]
    fn a_definition_yields_its_served_versions() {
        let definition = |spec: Value| KnownKind::of_definition(&json!({ "spec": spec }));
        let names = json!({ "kind": "Widget", "plural": "widgets" });
        let kinds = definition(json!({
            "group": "acme.dev", "scope": "Cluster", "names": names,
            "versions": [
                { "name": "v1" }, { "name": "v2", "served": true }, { "name": "v3", "served": false },
                { "name": "v4", "served": "true" }, { "name": "" }, {}, 7,
            ],
        }));
        let versions: Vec<_> = kinds.iter().map(|kind| kind.resource().version()).collect();
        assert_eq!(versions, ["v1", "v2"]);
        assert_eq!(kinds[0].resource().scope(), Scope::Cluster);
        for incomplete in [
            json!({ "names": names, "versions": [{ "name": "v1" }] }),
            json!({ "group": "g", "names": { "kind": "W" }, "versions": [{ "name": "v1" }] }),
            json!({ "group": "g", "names": names }),
            json!(null),
            json!({ "group": "g/../h", "names": names, "versions": [{ "name": "v1" }] }),
            json!({ "group": "g..h", "names": names, "versions": [{ "name": "v1" }] }),
            json!({ "group": "g", "names": names, "versions": [{ "name": "../v1" }] }),
            json!({ "group": "g", "names": { "kind": "W\n\u{1b}", "plural": "w" },
                "versions": [{ "name": "v1" }] }),
            json!({ "group": "g", "names": { "kind": "W", "plural": ".." },
                "versions": [{ "name": "v1" }] }),
            json!({ "group": "g", "names": { "kind": "W", "plural": "w".repeat(64) },
                "versions": [{ "name": "v1" }] }),
        ] {
            assert!(definition(incomplete.clone()).is_empty(), "{incomplete}");
        }
    }

    #[test]
    fn objects_tell_their_kinds() {
        let objects = [
            json!({ "apiVersion": "acme.dev/v1", "kind": "Policy", "metadata": {} }),
            json!({ "apiVersion": "acme.dev/v1", "kind": "Policy", "metadata": { "namespace": "n" } }),
            json!({ "apiVersion": "v1", "kind": "Pod" }),
            json!({ "kind": "Nothing" }),
        ];
        let kinds = KnownKind::of_objects(&objects);
        let names: Vec<_> = kinds.iter().map(|kind| kind.resource().name()).collect();
        assert_eq!(
            names,
            ["acme.dev/v1, Resource=policies", "/v1, Resource=pods"]
        );
        assert!(
            kinds
                .iter()
                .all(|kind| kind.resource().scope() == Scope::Namespaced)
        );
    }

    #[test]
    fn of_two_definitions_of_a_kind_the_first_counts() {
        let definition = |plural: &str| {
            json!({ "kind": "CustomResourceDefinition", "spec": { "group": "g",
                "names": { "kind": "W", "plural": plural }, "versions": [{ "name": "v1" }] } })
        };
        let object = json!({ "apiVersion": "g/v1", "kind": "W" });
        let objects = [object, definition("first"), definition("second")];
        let kinds = KnownKind::of_objects(&objects);
        assert_eq!(kinds.len(), 1);
        assert_eq!(kinds[0].resource().plural(), "first");
    }

    #[test]
    fn an_established_definition_displaces_a_definition_that_the_api_server_has_not_accepted() {
        let definition = |plural: &str, conditions: &[(&str, &str)]| {
            let conditions = conditions
                .iter()
                .map(|(own, status)| json!({ "type": own, "status": status }));
            json!({ "kind": "CustomResourceDefinition",
                "spec": { "group": "g", "names": { "kind": "W", "plural": plural }, "versions": [{ "name": "v1" }] },
                "status": { "conditions": conditions.collect::<Vec<_>>() } })
        };
        let established = [("NamesAccepted", "True"), ("Established", "True")];
        let rejected = [("NamesAccepted", "False"), ("Established", "False")];
        // The API server has rejected a change of the names in this definition, but still serves the old names.
        let renamed = [("NamesAccepted", "False"), ("Established", "True")];
        for (first, second, expected) in [
            (&rejected[..], &established[..], &["second"][..]),
            (&rejected[..1], &established, &["second"]),
            (&[], &established, &["second"]),
            (&[], &renamed, &["second"]),
            (&[], &rejected, &["first"]),
            (&established[..1], &[], &["first"]),
            (&[], &[], &["first"]),
            (&rejected, &[], &["second"]),
            (&rejected, &rejected, &[]),
        ] {
            let objects = [definition("first", first), definition("second", second)];
            let kinds = KnownKind::of_objects(&objects);
            let plurals = kinds.iter().map(|own| own.resource().plural());
            let plurals: Vec<_> = plurals
                .filter(|own| ["first", "second"].contains(own))
                .collect();
            assert_eq!(plurals, expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn plurals_are_those_english_would_form() {
        for (kind, expected) in [
            ("Widget", "widgets"),
            ("Ingress", "ingresses"),
            ("Policy", "policies"),
            ("Gateway", "gateways"),
            ("Mesh", "meshes"),
            ("Box", "boxes"),
        ] {
            assert_eq!(plural(kind), expected);
        }
    }
}
