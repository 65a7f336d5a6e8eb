//! Functions that the tests of all families share. They return the samples of an object that a test passes as JSON.

use serde_json::Value;

use crate::family::Collector;
use crate::family::Family;
use crate::resource::CollectedResource;
use crate::store::{CacheStore, MetricsStore};

/// The sample lines of an object in all families, in the order of the exposition. Families that need an allowlist are
/// left out.
///
/// The object is decoded once for each family. Therefore, a test fails if a family reads a field without declaring it
/// with `reads`.
pub(super) fn samples<K: CollectedResource>(
    collector: Collector<K>,
    object: &Value,
) -> Vec<String> {
    lines(collector, object, |_| true)
}

/// The sample lines of an object in the family called `name`.
pub(super) fn family<K: CollectedResource>(
    collector: Collector<K>,
    name: &str,
    object: &Value,
) -> Vec<String> {
    let known = collector
        .iter()
        .any(|family| family.descriptor().name() == name);
    assert!(known, "there is no family {name}");
    lines(collector, object, |family| {
        family.descriptor().name() == name
    })
}

fn lines<K: CollectedResource>(
    collector: Collector<K>,
    object: &Value,
    wanted: impl Fn(&Family<K>) -> bool,
) -> Vec<String> {
    let json = object.to_string();
    let mut lines = Vec::new();
    for family in collector.iter().filter(|family| wanted(family)) {
        let store = MetricsStore::new(collector.with_only(family));
        store
            .writer()
            .apply_json(json.as_bytes())
            .expect("the object decodes");
        for entry in store.list_keys().iter().filter_map(|key| store.get(key)) {
            // `str::lines` would remove a carriage return, which can be part of a label value.
            lines.extend(entry.samples.split_terminator('\n').map(String::from));
        }
    }
    lines
}

mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn collector() -> Collector<ConfigMap> {
        let immutable =
            |map: &ConfigMap, s: &mut crate::family::Samples<'_>| s.maybe_value(map.immutable);
        Collector::new().families([
            Family::gauge("declared", "")
                .reads(["immutable"])
                .generate(immutable),
            Family::gauge("undeclared", "")
                .reads_identity_only()
                .generate(immutable),
        ])
    }

    #[test]
    fn a_family_sees_only_what_it_says_it_reads() {
        let object = json!({ "metadata": { "name": "a" }, "immutable": true });
        let line = r#"declared{namespace="",configmap="a"} 1"#;
        assert_eq!(samples(collector(), &object), [line]);
        assert_eq!(family(collector(), "declared", &object), [line]);
        assert!(family(collector(), "undeclared", &object).is_empty());
    }
}
