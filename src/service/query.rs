//! Converts the query of a request to an [`ExpositionFilter`].

use crate::exposition::ExpositionFilter;

/// Returns the filter for a query. Unknown parameters are ignored.
///
/// A value is a list of items with `,` between them. White space around an item is removed, and empty items are
/// ignored. As in Go's `net/url`, a parameter with a `;` or an invalid `%` escape is ignored.
pub(super) fn filter(query: &str) -> ExpositionFilter {
    let mut resources = None;
    let mut excluded = Vec::new();
    let mut namespaces = None;
    let mut families = Vec::new();
    let pairs = query.split('&').filter(|pair| is_valid(pair));
    for (name, value) in pairs.flat_map(|pair| form_urlencoded::parse(pair.as_bytes())) {
        let items = value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let items = items.map(str::to_owned);
        match &*name {
            "resources" => resources.get_or_insert_with(Vec::new).extend(items),
            "exclude_resources" => excluded.extend(items),
            "namespace" => namespaces.get_or_insert_with(Vec::new).extend(items),
            "name[]" => families.extend(items),
            _ => {}
        }
    }
    let mut filter = ExpositionFilter::default().exclude_resources(excluded);
    if let Some(resources) = resources {
        filter = filter.resources(resources);
    }
    if let Some(namespaces) = namespaces {
        filter = filter.namespaces(namespaces);
    }
    // As in the Prometheus client libraries, an empty list of names selects all families.
    if !families.is_empty() {
        filter = filter.families(families);
    }
    filter
}

/// Whether Go's `net/url` accepts a parameter with its value. This check is needed because the crate `form_urlencoded`
/// accepts more.
fn is_valid(pair: &str) -> bool {
    let is_escape = |text: &str| {
        let digits = text.as_bytes().get(..2).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    };
    !pair.contains(';') && pair.split('%').skip(1).all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_trimmed_and_joined_over_repetitions() {
        let expected = ExpositionFilter::default()
            .resources(["pods", "nodes", "jobs"])
            .exclude_resources(["jobs"])
            .namespaces(["a", "b"])
            .families(["kube_pod_info"]);
        let query = "resources=pods,%20nodes+,,&resources=jobs&exclude_resources=jobs\
                     &namespace=a,b&name[]=kube_pod_info&other=x";
        assert_eq!(filter(query), expected);
        assert_eq!(
            filter("name%5B%5D=x"),
            ExpositionFilter::default().families(["x"])
        );
    }

    #[test]
    fn an_empty_list_selects_nothing_where_it_includes_and_everything_elsewhere() {
        let nothing: [&str; 0] = [];
        for query in ["resources", "resources=", "resources=,"] {
            assert_eq!(
                filter(query),
                ExpositionFilter::default().resources(nothing),
                "{query}"
            );
        }
        assert_eq!(
            filter("namespace="),
            ExpositionFilter::default().namespaces(nothing)
        );
        for query in [
            "",
            "&",
            "exclude_resources=",
            "name[]=",
            "Resources=a",
            "resources[]=a",
        ] {
            assert!(filter(query).is_everything(), "{query}");
        }
    }

    #[test]
    fn broken_pairs_vanish() {
        for query in [
            "resources=%zz",
            "resources=%2",
            "resources=a;b",
            "%=a",
            "resources%=a",
        ] {
            assert!(filter(query).is_everything(), "{query}");
        }
        // The name in this query is not UTF-8. No resource has such a name, so the filter selects nothing.
        assert!(!filter("resources=%ff").is_everything());
    }
}
