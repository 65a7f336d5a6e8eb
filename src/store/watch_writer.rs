//! [`WatchWriter`]: a writer whose rows an audit can compare with the objects of the API server.

use super::feeder_rows::FeederRows;
use super::join_writer::JoinWriter;
use super::object_writer::ObjectWriter;
use super::writer::Writer;
use crate::resource::CollectedResource;

/// The writer through which a watch feeds a store.
pub(crate) trait WatchWriter: ObjectWriter {
    /// The rows of the writer, for an audit. `None` if the writer stores no rows.
    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        None
    }
}

/// The rows that a writer has stored, for an audit.
pub(crate) trait WrittenRows {
    /// The key of the last object, `namespace/name` or `name`.
    fn last_key(&self) -> &str;

    /// Whether the last object that was applied has a row.
    fn last_has_row(&self) -> bool;

    /// The rows that readers see. `None` if the writer is closed.
    fn published(&self) -> Option<FeederRows>;
}

// === impl WatchWriter ===

impl<K: CollectedResource> WatchWriter for Writer<K> {
    fn written_rows(&self) -> Option<&dyn WrittenRows> {
        Some(self)
    }
}

/// A [`JoinWriter`] stores no rows.
impl WatchWriter for JoinWriter {}

// === impl WrittenRows ===

impl<K: CollectedResource> WrittenRows for Writer<K> {
    fn last_key(&self) -> &str {
        &self.feeder().key
    }

    fn last_has_row(&self) -> bool {
        self.feeder().has_row
    }

    fn published(&self) -> Option<FeederRows> {
        self.store().rows_of(self.feeder().id)
    }
}

#[cfg(test)]
mod tests {
    use crate::families;
    use crate::scope::{ObjectFilter, Shard};
    use crate::store::{AnyStore, MetricsStore};

    const OWN: &str = "e41b66d4-13c6-4bdc-a996-431cfcb2185a";
    const FOREIGN: &str = "f6674cdf-4c09-4967-8fee-3c11732a4852";

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
