//! The query of a request, as a [`ExpositionFilter`].

use std::borrow::Cow;

use crate::exposition::ExpositionFilter;

/// The part of the exposition that a query asks for; parameters without a meaning here are ignored.
///
/// Values are lists with `,`; items are trimmed, empty ones dropped. A pair that is not valid is
/// taken as absent, as Go's `net/url` does: one that has a `;` or a broken `%` escape.
pub(super) fn selection(query: &str) -> ExpositionFilter {
    let mut resources = None;
    let mut excluded = Vec::new();
    let mut namespaces = None;
    let mut families = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (unescape(name), unescape(value)) else {
            continue;
        };
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
    let mut selection = ExpositionFilter::default().exclude_resources(excluded);
    if let Some(resources) = resources {
        selection = selection.resources(resources);
    }
    if let Some(namespaces) = namespaces {
        selection = selection.namespaces(namespaces);
    }
    // As in the Prometheus client libraries, no name means no restriction.
    if !families.is_empty() {
        selection = selection.families(families);
    }
    selection
}

/// The text that a part of a query stands for; nothing where an escape is broken.
fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains(['%', '+']) {
        return Some(Cow::Borrowed(part));
    }
    let mut text = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
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
        assert_eq!(selection(query), expected);
        assert_eq!(
            selection("name%5B%5D=x"),
            ExpositionFilter::default().families(["x"])
        );
    }

    #[test]
    fn an_empty_list_selects_nothing_where_it_includes_and_everything_elsewhere() {
        let nothing: [&str; 0] = [];
        for query in ["resources", "resources=", "resources=,"] {
            assert_eq!(
                selection(query),
                ExpositionFilter::default().resources(nothing),
                "{query}"
            );
        }
        assert_eq!(
            selection("namespace="),
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
            assert!(selection(query).is_everything(), "{query}");
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
            assert!(selection(query).is_everything(), "{query}");
        }
        // Not UTF-8: no resource has such a name.
        assert!(!selection("resources=%ff").is_everything());
    }
}
