//! [`Search`]: the search on the landing page. It finds families by their name, by a word for a symptom, by an
//! abbreviation or by a label value.

use super::families::FamilyReport;
use crate::humanize::is_visible;

/// A search. It finds the families whose texts contain all its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// The words as the client wrote them, but with spaces instead of characters that are not visible.
    pub(crate) text: String,
    words: Vec<String>,
}

/// Maximum number of words of a search. Further words are ignored, because the comparison of a word with all families
/// takes time.
const MOST_WORDS: usize = 16;

// === impl Search ===

impl Search {
    pub(crate) fn new(text: &str) -> Self {
        let shown = |character| {
            if is_visible(character) {
                character
            } else {
                ' '
            }
        };
        let text: String = text.chars().map(shown).collect();
        let words = text.split_whitespace().take(MOST_WORDS);
        let words = words.map(str::to_lowercase).collect();
        Self { text, words }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether the texts of a family contain each word. The texts of a family are its name, its type, its help text and
    /// its [search words](FamilyReport::search_words).
    pub(crate) fn matches(&self, family: &FamilyReport) -> bool {
        let FamilyReport {
            name,
            metric_type,
            help,
            search_words,
            ..
        } = family;
        if self.words.is_empty() {
            return true;
        }
        let text = format!("{name} {metric_type} {help}").to_lowercase();
        let mut words = self.words.iter();
        words.all(|word| text.contains(word) || search_words.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use kube_state_metrics::families::catalogue::catalogue;

    use super::super::costs::CostCounter;
    use super::super::families::Report;
    use super::*;

    /// Returns the built-in families, without samples.
    fn report() -> Report {
        let catalogue = catalogue();
        let families = catalogue.iter().map(|entry| FamilyReport {
            name: entry.descriptor.name().to_owned(),
            help: entry.descriptor.help().to_owned(),
            ..FamilyReport::default()
        });
        Report::of(families.collect(), CostCounter::default(), &catalogue)
    }

    #[test]
    fn families_are_found_by_what_people_call_them() {
        let report = report();
        for (text, family) in [
            ("oom", "kube_pod_container_status_last_terminated_reason"),
            ("OOMKilled", "kube_pod_container_status_terminated_reason"),
            (
                "out of memory",
                "kube_pod_container_status_last_terminated_reason",
            ),
            ("crashloop", "kube_pod_container_status_waiting_reason"),
            ("crash loop", "kube_pod_container_status_restarts_total"),
            ("cpu request", "kube_pod_container_resource_requests"),
            ("memory limit", "kube_pod_container_resource_limits"),
            ("evicted", "kube_pod_status_reason"),
            ("pod pending", "kube_pod_status_phase"),
            ("pvc pending", "kube_persistentvolumeclaim_status_phase"),
            ("not ready node", "kube_node_status_condition"),
            ("hpa", "kube_horizontalpodautoscaler_status_condition"),
            ("cordoned", "kube_node_spec_unschedulable"),
        ] {
            let search = Search::new(text);
            let mut found = report.families.iter().filter(|own| search.matches(own));
            assert!(found.any(|own| own.name == family), "{text}");
        }
        let nothing = Search::new("oom unicorn");
        assert!(!report.families.iter().any(|own| nothing.matches(own)));
    }
}
