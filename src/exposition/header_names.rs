//! [`HeaderNames`]: the names that are in use in the headers of OpenMetrics.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::family::MetricType;

/// The names that families have in the headers of OpenMetrics.
///
/// In the header, a counter or an info has a short name: the name of the family without the suffix `_total` or `_info`.
/// No other family may have this short name as its name or as its short name.
///
/// If a counter has the short name `x`, no other family may have the name `x_created`. OpenMetrics reserves this name
/// for the creation time of the counter. The expositions of this crate contain no creation times, but the name stays
/// reserved.
#[derive(Debug)]
pub(super) struct HeaderNames<'a> {
    taken: HashSet<Cow<'a, str>>,
}

// === impl HeaderNames ===

impl<'a> HeaderNames<'a> {
    /// Creates the set with the full names of all families.
    pub(super) fn new(families: impl Iterator<Item = &'a str>) -> Self {
        Self {
            taken: families.map(Cow::Borrowed).collect(),
        }
    }

    /// Reserves the short name of a family and, for a counter, the name with `_created`. Returns false, and reserves
    /// nothing, if one of the names is already reserved, or if the name of the family lacks the suffix.
    pub(super) fn take(&mut self, name: &str, metric_type: MetricType) -> bool {
        let names = metric_type.header_names(name);
        let is_taken = |name: &String| self.taken.contains(name.as_str());
        if names.is_empty() || names.iter().any(is_taken) {
            return false;
        }
        self.taken.extend(names.into_iter().map(Cow::Owned));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_without_a_suffix_belongs_to_one_family() {
        let families = ["a", "a_info", "b_total", "b_info", "c_total", "c_created"];
        let mut names = HeaderNames::new(families.into_iter());
        assert!(
            !names.take("a_info", MetricType::Info),
            "a family has the name"
        );
        assert!(names.take("b_total", MetricType::Counter));
        assert!(
            !names.take("b_info", MetricType::Info),
            "the counter has it"
        );
        assert!(
            !names.take("c_total", MetricType::Counter),
            "`c_created` is its creation time"
        );
        assert!(names.take("c_info", MetricType::Info));
        assert!(
            !names.take("b_created_info", MetricType::Info),
            "the counter reserves it"
        );
        assert!(!names.take("d", MetricType::Info), "it has no suffix");
    }
}
