//! Further words with which people search for a family. The search also uses the name, the type and the help text of
//! the family.

use super::costs::LabelExamples;

/// The short names that kubectl accepts for resources.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("certificatesigningrequests", "csr"),
    ("configmaps", "cm"),
    ("cronjobs", "cj"),
    ("daemonsets", "ds"),
    ("deployments", "deploy"),
    ("endpoints", "ep"),
    ("horizontalpodautoscalers", "hpa"),
    ("ingresses", "ing"),
    ("limitranges", "limits"),
    ("namespaces", "ns"),
    ("networkpolicies", "netpol"),
    ("nodes", "no"),
    ("persistentvolumeclaims", "pvc"),
    ("persistentvolumes", "pv"),
    ("poddisruptionbudgets", "pdb"),
    ("pods", "po"),
    ("replicasets", "rs"),
    ("replicationcontrollers", "rc"),
    ("resourcequotas", "quota"),
    ("serviceaccounts", "sa"),
    ("services", "svc"),
    ("statefulsets", "sts"),
    ("storageclasses", "sc"),
];

/// Returns the words with which a search finds a family. The words are the name and the short name of its resource, its
/// synonyms in the catalogue of families, and the values of its labels. Labels with many values, and labels that
/// identify the object, do not add their values.
pub(super) fn search_words<'a>(
    resource: Option<&'a str>,
    synonyms: impl Iterator<Item = &'a str>,
    labels: &'a [LabelExamples],
    base_labels: &[String],
) -> String {
    let short = SHORT_NAMES
        .iter()
        .filter(|(name, _)| Some(*name) == resource);
    let states = labels
        .iter()
        .filter(|label| !label.has_more && !base_labels.contains(&label.name));
    let values = states.flat_map(|label| label.values.iter().map(String::as_str));
    let words = resource.into_iter().chain(short.map(|(_, short)| *short));
    let words: Vec<_> = words.chain(synonyms).chain(values).collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_with_few_values_are_words() {
        let label = |name: &str, value: &str, has_more| LabelExamples {
            name: name.to_owned(),
            values: vec![value.to_owned()],
            has_more,
        };
        let labels = [
            label("pod", "cart", false),
            label("reason", "NodeLost", false),
            label("node", "worker", true),
        ];
        let base_labels = ["pod".to_owned()];
        let words = search_words(Some("pods"), ["gone"].into_iter(), &labels, &base_labels);
        assert_eq!(words, "pods po gone nodelost");
    }
}
