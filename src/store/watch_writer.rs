//! [`WatchWriter`]: a writer whose rows an audit can compare with the objects of the API server.
//!
//! A [`ListHelper`] helps the writer: it applies objects of the same list on another thread.

use super::feeder_rows::FeederRows;
use super::join_writer::JoinWriter;
use super::object_applier::ObjectApplier;
use super::object_writer::ObjectWriter;
use super::writer::Writer;
use crate::decode::{DecodeError, Encoded};
use crate::resource::CollectedResource;

/// A writer with which a watch feeds a store.
pub(crate) trait WatchWriter: ObjectWriter {
    /// The rows of the writer, for an audit. `None` if the writer stores no rows.
    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        None
    }

    /// Returns a helper that applies objects of the list in progress on another thread. Returns `None` if only one
    /// thread may apply objects.
    fn list_helper(&self) -> Option<Box<dyn ListHelper>> {
        None
    }

    /// Ends the page to which the writer adds rows, so that a helper can add the next page.
    fn end_page(&self) {}
}

/// Helps a writer with the list in progress: both apply objects of this list at the same time.
pub(crate) trait ListHelper: WrittenRows + Send + Sync {
    /// Decodes an object, and adds or replaces its row.
    ///
    /// # Errors
    ///
    /// Returns an error if the object does not decode.
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError>;

    /// Returns the `metadata.resourceVersion` of the object that was applied last.
    ///
    /// The result is empty if the object has no version.
    fn last_version(&self) -> &str;

    /// Adds the rows that the helper has collected to the table of the writer.
    fn flush(&mut self);
}

/// The rows that a writer has stored, for an audit.
pub(crate) trait WrittenRows {
    /// The key of the object that the writer received last, `namespace/name` or `name`.
    fn last_key(&self) -> &str;

    /// Whether the last object that was applied has a row.
    fn last_has_row(&self) -> bool;

    /// The rows that readers see. `None` if the writer is closed.
    fn published(&self) -> Option<FeederRows>;
}

// === impl WatchWriter ===

impl<K: CollectedResource> WatchWriter for Writer<K> {
    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        Some(self.applier())
    }

    fn list_helper(&self) -> Option<Box<dyn ListHelper>> {
        // A store with a filter has rows for only some of the objects. Such a store gets no helper, because the pages
        // of the helper would be small.
        let has_all = self.store().filter().is_everything();
        has_all.then(|| Box::new(self.applier().for_another_thread()) as Box<dyn ListHelper>)
    }

    fn end_page(&self) {
        self.applier().end_page();
    }
}

/// A [`JoinWriter`] stores no rows.
impl WatchWriter for JoinWriter {}

// === impl ListHelper ===

impl<K: CollectedResource> ListHelper for ObjectApplier<K> {
    fn apply(&mut self, object: Encoded<'_>) -> Result<(), DecodeError> {
        ObjectApplier::apply(self, object)
    }

    fn last_version(&self) -> &str {
        &self.feeder.version
    }

    fn flush(&mut self) {
        ObjectApplier::flush(self);
    }
}

// === impl WrittenRows ===

impl<K: CollectedResource> WrittenRows for ObjectApplier<K> {
    fn last_key(&self) -> &str {
        &self.feeder.key
    }

    fn last_has_row(&self) -> bool {
        self.feeder.has_row
    }

    fn published(&self) -> Option<FeederRows> {
        self.store.rows_of(self.feeder.id)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;

    use super::{ListHelper, WatchWriter};
    use crate::decode::{DecodeError, Encoding};
    use crate::families;
    use crate::resource::CollectedResource;
    use crate::scope::{ObjectFilter, Shard};
    use crate::store::{AnyStore, CacheStore, MetricsStore, PAGE_ROWS};

    const OWN: &str = "e41b66d4-13c6-4bdc-a996-431cfcb2185a";
    const FOREIGN: &str = "f6674cdf-4c09-4967-8fee-3c11732a4852";

    fn node(name: usize, version: usize) -> String {
        let metadata = format!(r#""name": "{name:04}", "resourceVersion": "{version}""#);
        format!(r#"{{ "metadata": {{ {metadata} }} }}"#)
    }

    /// Begins a list, which the writer and the helper apply.
    fn begin_list<K: CollectedResource>(
        store: &MetricsStore<K>,
    ) -> (Box<dyn WatchWriter>, Box<dyn ListHelper>) {
        let mut writer = store.watch_writer();
        writer.begin_list();
        let helper = writer.list_helper().unwrap();
        (writer, helper)
    }

    fn apply(helper: &mut Box<dyn ListHelper>, json: &str) -> Result<(), DecodeError> {
        helper.apply(Encoding::Json.object(json.as_bytes()))
    }

    /// Lists objects twice. The writer and its helper alternately apply `count` objects.
    fn list_in_turn(order: &[usize], count: usize) -> MetricsStore<Node> {
        let store = MetricsStore::new(families::nodes());
        let mut writer = store.watch_writer();
        for version in [1, 2] {
            writer.begin_list();
            let mut helper = writer.list_helper().unwrap();
            let mut pending = Vec::new();
            for (turn, names) in order.chunks(count).enumerate() {
                if turn % 2 == 0 {
                    for &name in names {
                        writer.apply_json(node(name, version).as_bytes()).unwrap();
                    }
                    continue;
                }
                writer.end_page();
                // The writer has already applied objects that come later in the list than the objects of the helper.
                for json in pending.drain(..) {
                    let json: String = json;
                    apply(&mut helper, &json).unwrap();
                }
                helper.flush();
                pending.extend(names.iter().map(|&name| node(name, version)));
            }
            for json in pending {
                apply(&mut helper, &json).unwrap();
            }
            helper.flush();
            writer.end_list();
        }
        store
    }

    #[test]
    fn a_helper_adds_its_pages_between_the_pages_of_the_writer() {
        let sorted: Vec<_> = (0..2000).collect();
        let mut shuffled = sorted.clone();
        shuffled.sort_by_key(|name| name * 7 % 2000);
        let keys: Vec<_> = sorted.iter().map(|name| format!("{name:04}")).collect();
        for (order, count) in [
            (&sorted, PAGE_ROWS),
            (&sorted, 100),
            (&shuffled, PAGE_ROWS),
            (&shuffled, 7),
        ] {
            let store = list_in_turn(order, count);
            assert_eq!(store.list_keys(), keys);
            let stored = store.get("0700").unwrap();
            assert_eq!(stored.resource_version, Some(2));
            if order == &sorted {
                let pages = store.snapshot().pages().count();
                assert_eq!(pages, 2000_usize.div_ceil(count));
            }
        }
    }

    #[test]
    fn of_an_object_that_a_list_contains_twice_the_higher_version_stays() {
        for helper_is_last in [false, true] {
            for [first, second] in [[1, 2], [2, 1]] {
                let store = MetricsStore::new(families::nodes());
                let (mut writer, mut helper) = begin_list(&store);
                let of_writer = node(7, if helper_is_last { first } else { second });
                let of_helper = node(7, if helper_is_last { second } else { first });
                apply(&mut helper, &of_helper).unwrap();
                if !helper_is_last {
                    helper.flush();
                }
                writer.apply_json(of_writer.as_bytes()).unwrap();
                helper.flush();
                writer.end_list();
                assert_eq!(store.get("0007").unwrap().resource_version, Some(2));
            }
        }
    }

    #[test]
    fn the_rows_of_a_helper_are_discarded_with_the_list() {
        let store = MetricsStore::new(families::nodes());
        let (mut writer, mut helper) = begin_list(&store);
        apply(&mut helper, &node(1, 1)).unwrap();
        writer.abandon_list();
        helper.flush();
        assert_eq!(store.stats().objects, 0);
    }

    #[test]
    fn the_rows_of_a_helper_follow_a_filter_that_changes() {
        let store = MetricsStore::new(families::pods());
        let (mut writer, mut helper) = begin_list(&store);
        for namespace in ["a", "b"] {
            let pod = format!(r#"{{ "metadata": {{ "name": "p", "namespace": "{namespace}" }} }}"#);
            apply(&mut helper, &pod).unwrap();
        }
        store.set_filter(ObjectFilter {
            denied: ["a".to_owned()].into(),
            ..ObjectFilter::default()
        });
        helper.flush();
        writer.end_list();
        assert_eq!(store.list_keys(), ["b/p"]);
        writer.begin_list();
        assert!(writer.list_helper().is_none(), "the store has a filter");
    }

    #[test]
    fn an_object_that_a_helper_cannot_decode_loses_its_collected_row() {
        let store = MetricsStore::new(families::nodes());
        let (mut writer, mut helper) = begin_list(&store);
        apply(&mut helper, &node(1, 1)).unwrap();
        let broken = r#"{ "metadata": { "name": "0001" }, "spec": { "unschedulable": 7 } }"#;
        apply(&mut helper, broken).unwrap_err();
        apply(&mut helper, &node(2, 1)).unwrap();
        helper.flush();
        writer.end_list();
        assert_eq!(store.list_keys(), ["0002"]);
    }

    #[test]
    fn a_writer_knows_whether_its_last_object_has_a_row() {
        let store = MetricsStore::new(families::nodes());
        store.set_filter(ObjectFilter {
            shard: Shard::new(0, 2).unwrap(),
            ..ObjectFilter::default()
        });
        let mut writer = store.watch_writer();
        let node = |uid: &str, spec: &str| {
            format!(
                r#"{{ "metadata": {{ "name": "a", "uid": "{uid}", "resourceVersion": "7" }}, "spec": {spec} }}"#
            )
        };
        for (node, has_row) in [
            (node(OWN, "{}"), true),
            (node(OWN, "{}"), true),
            (node(FOREIGN, "{}"), false),
            (node(OWN, r#"{ "unschedulable": true }"#), true),
            (node(OWN, r#"{ "unschedulable": 7 }"#), false),
        ] {
            let applied = writer.apply_json(node.as_bytes());
            assert_eq!(applied.is_err(), node.contains(": 7"), "{node}");
            let written = writer.written_rows().unwrap();
            let rows = written.published().unwrap();
            assert_eq!(
                (written.last_key(), written.last_has_row()),
                ("a", has_row),
                "{node}"
            );
            assert_eq!(rows.len() == 1, has_row, "{node}");
        }
    }
}
