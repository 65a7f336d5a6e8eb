//! The catalogue of all built-in families: as data, as a table, as Markdown, or as JSON.
//!
//! Each entry of the catalogue describes one family.
//!
//! ```
//! use kube_state_metrics::families::catalogue;
//!
//! let mut secrets = catalogue::catalogue();
//! secrets.retain(|family| family.resource.name() == "secrets");
//! let page = catalogue::markdown(&secrets);
//! assert!(page.starts_with("# secrets\n"));
//! assert!(page.contains("\n## kube_secret_type\n"));
//! ```

use std::fmt::Write as _;

use serde::Serialize;

use super::{BuiltIn, CollectorVisitor};
use crate::family::Collector;
use crate::family::FamilyDescriptor;
use crate::resource::{CollectedResource, ResourceInfo, Scope};

/// Maximum length of a line in the Markdown pages, in characters.
const LINE_LENGTH: usize = 120;

/// One entry of the catalogue. It describes one family of a built-in resource.
///
/// ```
/// use kube_state_metrics::families::catalogue::catalogue;
///
/// let families = catalogue();
/// let entry = families.iter().find(|entry| entry.descriptor.name() == "kube_node_info").unwrap();
/// assert_eq!(entry.info.api_version(), "v1");
/// assert_eq!(entry.base_labels, ["node"]);
/// assert!(entry.joined_labels.is_empty());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// The resource to which the family belongs.
    pub resource: BuiltIn,
    /// The names and the scope of the resource.
    pub info: ResourceInfo,
    /// The names of the base labels. Every sample has these labels.
    pub base_labels: Vec<String>,
    /// The names of the [joined labels](crate::registry::Join). Every sample has these labels. The catalogue leaves
    /// this list empty; a caller can fill it.
    pub joined_labels: Vec<String>,
    /// The name, the help, the type and the labels of the family.
    pub descriptor: FamilyDescriptor,
}

/// Returns all built-in families, sorted by resource, and then in the order of the exposition.
///
/// ```
/// let families = kube_state_metrics::families::catalogue::catalogue();
/// assert!(families.iter().any(|entry| entry.descriptor.name() == "kube_pod_info"));
/// ```
#[must_use]
pub fn catalogue() -> Vec<CatalogueEntry> {
    struct List(BuiltIn);
    impl CollectorVisitor for List {
        type Output = Vec<CatalogueEntry>;
        fn visit<K: CollectedResource>(self, collector: Collector<K>) -> Vec<CatalogueEntry> {
            let base_labels: Vec<_> = collector.base_label_names().map(String::from).collect();
            let entries = collector.iter().map(|family| CatalogueEntry {
                resource: self.0,
                info: collector.resource().clone(),
                base_labels: base_labels.clone(),
                joined_labels: Vec::new(),
                descriptor: family.descriptor().clone(),
            });
            entries.collect()
        }
    }
    let all = BuiltIn::ALL.iter().copied();
    all.flat_map(|resource| resource.visit(List(resource)))
        .collect()
}

/// Returns a table with one line for each family. The columns are: resource, name, type, stability, `opt-in` and help
/// text.
///
/// ```
/// use kube_state_metrics::families::catalogue::{catalogue, table};
///
/// let mut families = catalogue();
/// families.retain(|entry| entry.descriptor.name() == "kube_configmap_created");
/// let table = table(&families);
/// assert!(table.starts_with("configmaps  kube_configmap_created  gauge     STABLE"));
/// ```
#[must_use]
pub fn table(entries: &[CatalogueEntry]) -> String {
    let width = |of: fn(&CatalogueEntry) -> &str| {
        let widths = entries.iter().map(|entry| of(entry).len());
        widths.max().unwrap_or(0)
    };
    let resources = width(|entry| entry.resource.name());
    let names = width(|entry| entry.descriptor.name());
    let mut text = String::new();
    for entry in entries {
        let family = &entry.descriptor;
        let _ = writeln!(
            text,
            "{:resources$}  {:names$}  {:8}  {:9}  {:6}  {}",
            entry.resource.name(),
            family.name(),
            family.metric_type().as_str(),
            family.stability().as_str(),
            if family.opt_in() { "opt-in" } else { "" },
            family.help(),
        );
    }
    text
}

/// Returns one Markdown page for each resource. Each family has a section with its help text, type, stability and
/// labels, and with the fields that it reads.
///
/// ```
/// use kube_state_metrics::families::catalogue::{catalogue, markdown};
///
/// let mut families = catalogue();
/// families.retain(|entry| entry.descriptor.name() == "kube_configmap_created");
/// let page = markdown(&families);
/// assert!(page.starts_with("# configmaps\n") && page.contains("## kube_configmap_created\n"));
/// ```
#[must_use]
pub fn markdown(entries: &[CatalogueEntry]) -> String {
    let mut text = String::new();
    for entries in entries.chunk_by(|a, b| a.resource == b.resource) {
        if let Some(first) = entries.first() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(gap);
            head(&mut text, first);
        }
        for entry in entries {
            section(&mut text, entry);
        }
    }
    text
}

/// Returns a JSON array with one object for each family. The object contains everything that the catalogue states about
/// the family.
///
/// ```
/// use kube_state_metrics::families::catalogue::{catalogue, json};
///
/// let families: Vec<serde_json::Value> = serde_json::from_str(&json(&catalogue()))?;
/// assert_eq!(families[0]["apiVersion"], "certificates.k8s.io/v1");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn json(entries: &[CatalogueEntry]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        name: &'a str,
        r#type: &'static str,
        stability: &'static str,
        opt_in: bool,
        deprecated_since: Option<&'a str>,
        help: &'a str,
        resource: &'static str,
        default: bool,
        api_version: String,
        kind: &'a str,
        base_labels: &'a [String],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        joined_labels: &'a [String],
        labels: Vec<&'a str>,
        reads: Option<Vec<&'a str>>,
        search_words: Vec<&'a str>,
    }
    let entries = entries.iter().map(|entry| {
        let family = &entry.descriptor;
        Entry {
            name: family.name(),
            r#type: family.metric_type().as_str(),
            stability: family.stability().as_str(),
            opt_in: family.opt_in(),
            deprecated_since: family.deprecated_since(),
            help: family.help(),
            resource: entry.resource.name(),
            default: entry.resource.is_default(),
            api_version: entry.info.api_version().into_owned(),
            kind: entry.info.kind(),
            base_labels: &entry.base_labels,
            joined_labels: &entry.joined_labels,
            labels: family.labels().collect(),
            reads: family.reads().map(Iterator::collect),
            search_words: family.search_words().collect(),
        }
    });
    let entries: Vec<_> = entries.collect();
    // The entries contain only strings, booleans and lists of strings, so the serialization cannot fail.
    let mut text = serde_json::to_string_pretty(&entries).unwrap_or_default();
    text.push('\n');
    text
}

fn head(text: &mut String, entry: &CatalogueEntry) {
    let scope = match entry.info.scope() {
        Scope::Namespaced => "namespaced",
        Scope::Cluster => "cluster-scoped",
    };
    let default = if entry.resource.is_default() {
        "enabled"
    } else {
        "disabled"
    };
    let first_labels = match labels_of_all(entry).count() {
        1 => "The first label of every sample is",
        _ => "The first labels of every sample are",
    };
    let _ = write!(
        text,
        "# {}\n\n\
         These are the families of {} in `{}`.\n\
         The resource is {scope}, and {default} by default.\n\
         {first_labels} {}.\n",
        entry.resource,
        entry.info.kind(),
        entry.info.api_version(),
        code(labels_of_all(entry)),
    );
}

fn section(text: &mut String, entry: &CatalogueEntry) {
    let family = &entry.descriptor;
    let _ = write!(text, "\n## {}\n\n", family.name());
    paragraph(text, family.help(), "");
    text.push('\n');
    let _ = write!(
        text,
        "- type {}, stability {}",
        family.metric_type().as_str(),
        family.stability().as_str()
    );
    if family.opt_in() {
        text.push_str(", exported only if the opt-in list matches its name");
    }
    if let Some(version) = family.deprecated_since() {
        let _ = write!(text, ", deprecated since {version}");
    }
    let labels = labels_of_all(entry).chain(family.labels());
    let labels = format!("- labels {}", code(labels));
    text.push('\n');
    paragraph(text, &labels, "  ");
    let Some(reads) = family.reads() else {
        return;
    };
    if reads.len() == 0 {
        text.push_str("- reads only the name, namespace and UID of the object\n");
    } else {
        paragraph(text, &format!("- reads {}", code(reads)), "  ");
    }
}

/// Returns the names of the labels that every sample of the resource has.
fn labels_of_all(entry: &CatalogueEntry) -> impl Iterator<Item = &str> {
    let joined = entry.joined_labels.iter();
    entry.base_labels.iter().chain(joined).map(String::as_str)
}

/// Appends words, with line breaks so that no line has more than [`LINE_LENGTH`] characters. Each line after the first
/// line starts with `indent`.
fn paragraph(text: &mut String, words: &str, indent: &str) {
    let mut length = 0;
    for word in words.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > LINE_LENGTH {
            text.push('\n');
            text.push_str(indent);
            length = indent.len();
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += word_length;
    }
    text.push('\n');
}

/// Returns names as Markdown code, separated by commas.
fn code<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<CatalogueEntry> {
        let mut entries = catalogue();
        entries.retain(|entry| names.contains(&entry.descriptor.name()));
        entries
    }

    #[test]
    fn the_table_aligns_its_columns() {
        assert_eq!(
            table(&entries(&["kube_secret_info", "kube_pod_nodeselectors"])),
            "pods     kube_pod_nodeselectors  gauge     ALPHA      opt-in  Always 1 for each pod; \
             `nodeselector_*` are the node labels that its node selector requires.\n\
             secrets  kube_secret_info        gauge     STABLE             Always 1 for each \
             secret.\n"
        );
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_page_says_all_that_is_known_of_a_family() {
        let names = [
            "kube_pod_nodeselectors",
            "kube_endpoint_ports",
            "kube_clusterrole_info",
        ];
        assert_eq!(
            markdown(&entries(&names)),
            "# clusterroles\n\n\
             These are the families of ClusterRole in `rbac.authorization.k8s.io/v1`.\n\
             The resource is cluster-scoped, and disabled by default.\n\
             The first label of every sample is `clusterrole`.\n\n\
             ## kube_clusterrole_info\n\n\
             Always 1 for each ClusterRole.\n\n\
             - type gauge, stability ALPHA\n\
             - labels `clusterrole`\n\
             - reads only the name, namespace and UID of the object\n\n\
             # endpoints\n\n\
             These are the families of Endpoints in `v1`.\n\
             The resource is namespaced, and disabled by default.\n\
             The first labels of every sample are `namespace`, `endpoint`.\n\n\
             ## kube_endpoint_ports\n\n\
             Always 1 for each port of an Endpoints object, with or without addresses.\n\n\
             - type gauge, stability STABLE, deprecated since v2.14.0\n\
             - labels `namespace`, `endpoint`, `port_name`, `port_protocol`, `port_number`\n\
             - reads `subsets.ports.name`, `subsets.ports.protocol`, `subsets.ports.port`\n\n\
             # pods\n\n\
             These are the families of Pod in `v1`.\n\
             The resource is namespaced, and enabled by default.\n\
             The first labels of every sample are `namespace`, `pod`, `uid`.\n\n\
             ## kube_pod_nodeselectors\n\n\
             Always 1 for each pod; `nodeselector_*` are the node labels that its node selector \
             requires.\n\n\
             - type gauge, stability ALPHA, exported only if the opt-in list matches its name\n\
             - labels `namespace`, `pod`, `uid`, `nodeselector_*`\n\
             - reads `spec.nodeSelector`\n"
        );
    }

    #[test]
    fn long_lines_of_a_page_are_wrapped() {
        let mut text = String::new();
        let words = format!("- {} {} end", "a".repeat(117), "ä".repeat(118));
        paragraph(&mut text, &words, "  ");
        let (first, second) = ("a".repeat(117), "ä".repeat(118));
        assert_eq!(text, format!("- {first}\n  {second}\n  end\n"));
    }

    #[test]
    fn json_says_all_of_it_too() {
        let text = json(&entries(&["kube_pod_container_status_restarts_total"]));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!([{
                "name": "kube_pod_container_status_restarts_total",
                "type": "counter",
                "stability": "STABLE",
                "optIn": false,
                "deprecatedSince": null,
                "help": "Number of restarts of the container; the number rises in a CrashLoopBackOff. Absent until the container has a status.",
                "resource": "pods",
                "default": true,
                "apiVersion": "v1",
                "kind": "Pod",
                "baseLabels": ["namespace", "pod", "uid"],
                "labels": ["container"],
                "reads": ["status.containerStatuses.name", "status.containerStatuses.restartCount"],
                "searchWords": ["crash loop", "crashing"],
            }])
        );
    }
}
