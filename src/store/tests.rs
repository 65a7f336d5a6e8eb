//! Tests a store: versions of objects, lists, several feeders, filters and shards.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::family::{Collector, Family};
use crate::scope::ObjectFilter;

fn collector() -> Collector<Pod> {
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Collector::new()
        .family(
            Family::gauge("node", "Node.").generate(move |pod: &Pod, s| {
                s.label("node", node(pod)).value(1);
            }),
        )
        .family(Family::gauge("seen", "Seen.").generate(|_: &Pod, s| s.value(1)))
}

fn pod(name: &str, uid: &str, version: u64, node: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "namespace": "n", "name": name, "uid": uid, "resourceVersion": version.to_string() },
        "spec": { "nodeName": node, "containers": [] },
    }))
    .unwrap()
}

fn node_of(store: &MetricsStore<Pod>, name: &str) -> Option<String> {
    let samples = store.get(&format!("n/{name}"))?.samples;
    let (_, rest) = samples.split_once(",node=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Checks that the pages of all feeders have consecutive indexes, and that no page is empty.
fn numbers_its_pages(snapshot: &StoreSnapshot) {
    let pages: Vec<_> = snapshot.pages().collect();
    for (at, page) in pages.iter().enumerate() {
        assert!(std::ptr::eq(snapshot.page(at).unwrap(), &***page));
        assert!(page.len() > 0);
    }
    assert!(snapshot.page(pages.len()).is_none());
}

#[test]
fn an_entry_tells_identity_version_and_samples() {
    let store = MetricsStore::new(collector());
    store.add(&pod("a", "u1", 7, "x"));
    assert_eq!(
        store.get("n/a"),
        Some(StoredObject {
            key: "n/a".into(),
            uid: "u1".into(),
            resource_version: Some(7),
            samples:
                "node{namespace=\"n\",pod=\"a\",node=\"x\"} 1\nseen{namespace=\"n\",pod=\"a\"} 1\n"
                    .into(),
        })
    );
    assert_eq!(store.get("n/b"), None);
    store.resync();
    store.delete(&pod("a", "u1", 8, ""));
    assert_eq!(store.list_keys(), [""; 0]);
}

#[test]
fn deleted_objects_release_their_memory_in_any_order() {
    const OBJECTS: usize = 255 * 12;
    let name = |number: usize| format!("{number:06}");
    let node = |number: usize| format!("{number:06}{}", "n".repeat(2_000));
    let memory_of = |survives: &dyn Fn(usize) -> bool, order: &[usize], is_rising: bool| {
        let store = MetricsStore::new(collector());
        for number in 0..OBJECTS {
            store.add(&pod(&name(number), "u", 1, &node(number)));
            // In a rising order, the store never has more than two pages of objects.
            let oldest = number.checked_sub(510).filter(|_| is_rising);
            if let Some(oldest) = oldest.filter(|oldest| !survives(*oldest)) {
                store.delete(&pod(&name(oldest), "u", 1, ""));
            }
        }
        for &number in order.iter().filter(|number| !survives(**number)) {
            store.delete(&pod(&name(number), "u", 1, ""));
        }
        let survivors = (0..OBJECTS).filter(|number| survives(*number)).count();
        let stats = store.stats();
        assert_eq!(stats.objects, survivors as u64);
        let fresh = MetricsStore::new(collector());
        for number in (0..OBJECTS).filter(|number| survives(*number)) {
            fresh.add(&pod(&name(number), "u", 1, &node(number)));
        }
        (stats.memory_bytes, fresh.stats().memory_bytes)
    };
    let forward: Vec<_> = (0..OBJECTS).collect();
    let backward: Vec<_> = forward.iter().copied().rev().collect();
    // 7919 and the number of objects have no common divisor, so each number occurs once.
    let mixed: Vec<_> = (0..OBJECTS).map(|at| at * 7919 % OBJECTS).collect();
    for one_in in [255, 100, 25, 5, 2] {
        let survives = move |number: usize| number % one_in == 7 % one_in;
        for (order, is_rising) in [
            (&forward, false),
            (&backward, false),
            (&mixed, false),
            (&forward, true),
        ] {
            let (memory, fresh) = memory_of(&survives, order, is_rising);
            assert!(
                memory < fresh * 3 + 20_000,
                "one in {one_in}: {memory} bytes, but {fresh} in a new store"
            );
        }
    }
    // A single large object, beside many small ones.
    let store = MetricsStore::new(collector());
    (0..200).for_each(|number| store.add(&pod(&name(number), "u", 1, "small")));
    let before = store.stats().memory_bytes;
    store.add(&pod(&name(7), "u", 2, &"n".repeat(1_000_000)));
    store.delete(&pod(&name(7), "u", 2, ""));
    let after = store.stats().memory_bytes;
    assert!(after < before * 2, "{after} bytes after {before}");
}

#[test]
fn older_versions_of_the_same_object_are_ignored_and_counted() {
    let store = MetricsStore::new(collector());
    store.add(&pod("a", "u1", 7, "new"));
    store.add(&pod("a", "u1", 6, "old"));
    store.delete(&pod("a", "u1", 6, "old"));
    assert_eq!(node_of(&store, "a").as_deref(), Some("new"));
    assert_eq!(store.stats().stale, 2);
}

#[test]
fn another_uid_replaces_whatever_its_version_and_a_foreign_delete_does_nothing() {
    let store = MetricsStore::new(collector());
    store.add(&pod("a", "u1", 7, "first"));
    store.add(&pod("a", "u2", 3, "second"));
    assert_eq!(node_of(&store, "a").as_deref(), Some("second"));
    store.delete(&pod("a", "u1", 9, ""));
    assert_eq!(node_of(&store, "a").as_deref(), Some("second"));
    assert_eq!(store.stats().objects, 1);
}

#[test]
fn inside_a_list_the_list_is_the_truth() {
    let store = MetricsStore::new(collector());
    store.add(&pod("a", "u1", 100, "before"));
    // After a restore of the cluster's database, new versions are lower than the stored versions.
    store.replace(&[pod("a", "u1", 5, "restored")]);
    assert_eq!(node_of(&store, "a").as_deref(), Some("restored"));
    assert_eq!(store.stats().stale, 0);
}

#[test]
fn readers_see_the_old_state_until_a_list_ends_and_an_abandoned_one_leaves_no_trace() {
    let store = MetricsStore::new(collector());
    let mut writer = store.writer();
    for name in ["a", "b"] {
        writer.apply_object(&pod(name, name, 1, "old"));
    }
    writer.begin_list();
    writer.apply_object(&pod("b", "b", 2, "new"));
    writer.apply_object(&pod("c", "c", 2, "new"));
    assert_eq!(store.list_keys(), ["n/a", "n/b"]);
    assert_eq!(node_of(&store, "b").as_deref(), Some("old"));
    writer.abandon_list();
    assert_eq!(node_of(&store, "b").as_deref(), Some("old"));

    writer.begin_list();
    writer.apply_object(&pod("b", "b", 2, "new"));
    writer.apply_object(&pod("c", "c", 2, "new"));
    writer.end_list();
    assert_eq!(store.list_keys(), ["n/b", "n/c"]);
    assert_eq!(node_of(&store, "b").as_deref(), Some("new"));
    assert_eq!(store.stats().swept, 1);
}

#[test]
fn a_list_in_any_order_stores_each_object_once() {
    let names: Vec<_> = (0..700).map(|at| format!("{at:03}")).collect();
    let sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut repeated = sorted.clone();
    repeated.splice(500..500, sorted[490..500].iter().copied());
    let mut shuffled = sorted.clone();
    shuffled.sort_by_key(|name| name.bytes().rev().collect::<Vec<_>>());
    let reversed = sorted.iter().rev().copied().collect();
    let keys: Vec<_> = names.iter().map(|name| format!("n/{name}")).collect();
    for (order, pages) in [(sorted, 3), (repeated, 3), (shuffled, 0), (reversed, 0)] {
        let store = MetricsStore::new(collector());
        let mut writer = store.writer();
        for version in [1, 2] {
            writer.begin_list();
            for name in &order {
                writer.apply_object(&pod(name, name, version, name));
            }
            writer.delete_key("n", order[3]);
            writer.apply_object(&pod(order[3], "other", version, "again"));
            writer.end_list();
            assert_eq!(store.list_keys(), keys);
            assert_eq!(node_of(&store, order[3]).as_deref(), Some("again"));
            assert_eq!(node_of(&store, order[699]).as_deref(), Some(order[699]));
            numbers_its_pages(&store.snapshot());
            if pages > 0 {
                assert_eq!(store.snapshot().pages().count(), pages, "pages are full");
            }
        }
    }
}

#[test]
fn a_list_replaces_only_what_its_writer_fed_and_hides_nothing_of_others() {
    let store = MetricsStore::new(collector());
    let (mut one, mut two) = (store.writer(), store.writer());
    one.apply_object(&pod("a", "a", 1, "one"));
    two.apply_object(&pod("b", "b", 1, "two"));
    one.begin_list();
    two.apply_object(&pod("c", "c", 1, "two"));
    assert_eq!(store.list_keys(), ["n/a", "n/b", "n/c"]);
    one.end_list();
    assert_eq!(store.list_keys(), ["n/b", "n/c"]);
    two.close();
    assert_eq!(store.list_keys(), [""; 0]);
}

#[test]
fn the_writer_that_feeds_a_key_last_has_it() {
    let store = MetricsStore::new(collector());
    let (mut one, mut two) = (store.writer(), store.writer());
    one.apply_object(&pod("a", "u1", 1, "one"));
    two.apply_object(&pod("a", "u2", 1, "two"));
    assert_eq!(store.list_keys(), ["n/a"]);
    assert_eq!(node_of(&store, "a").as_deref(), Some("two"));
    one.begin_list();
    one.apply_object(&pod("a", "u1", 1, "one"));
    one.end_list();
    assert_eq!(store.list_keys(), ["n/a"]);
    assert_eq!(node_of(&store, "a").as_deref(), Some("one"));
}

#[test]
fn a_dropped_writer_abandons_its_list_and_leaves_its_rows() {
    let store = MetricsStore::new(collector());
    let mut writer = store.writer();
    writer.apply_object(&pod("a", "a", 1, "x"));
    writer.begin_list();
    drop(writer);
    assert_eq!(store.list_keys(), ["n/a"]);
}

#[test]
fn an_object_that_does_not_decode_loses_its_samples_and_is_counted() {
    let store = MetricsStore::new(collector());
    let mut writer = store.writer();
    writer.apply_object(&pod("a", "a", 1, "x"));
    let broken = br#"{"metadata":{"namespace":"n","name":"a"},"spec":{"nodeName":7}}"#;
    assert!(writer.apply_json(broken).is_err());
    assert!(writer.apply_json(b"{").is_err());
    assert_eq!(store.list_keys(), [""; 0]);
    let stats = store.stats();
    assert_eq!(
        (stats.decode_field_errors, stats.decode_syntax_errors),
        (1, 1)
    );
}

#[test]
fn an_unchanged_object_shares_every_column_with_a_snapshot() {
    let store = MetricsStore::new(collector());
    for at in 0..600 {
        store.add(&pod(&format!("p{at:03}"), "u", 1, "x"));
    }
    let before = store.snapshot();
    for at in 0..600 {
        store.add(&pod(&format!("p{at:03}"), "u", 2, "x"));
    }
    let after = store.snapshot();
    assert_eq!(store.stats().unchanged, 600);
    for (old, new) in before.pages().zip(after.pages()) {
        for (old, new) in old.columns().iter().zip(new.columns()) {
            assert!(Arc::ptr_eq(old, new));
        }
    }
}

#[test]
fn objects_that_leave_the_filter_are_removed_and_not_taken() {
    let store = MetricsStore::new(collector());
    store.add(&pod("a", "a", 1, "x"));
    store.set_filter(ObjectFilter {
        denied: std::collections::BTreeSet::from(["n".into()]),
        ..ObjectFilter::default()
    });
    assert_eq!(store.list_keys(), [""; 0]);
    store.add(&pod("a", "a", 1, "x"));
    assert_eq!(store.list_keys(), [""; 0]);
}

#[test]
fn a_namespace_on_an_object_of_a_cluster_scoped_kind_is_not_part_of_its_key() {
    let seen = Family::gauge("seen", "Seen.").generate(|_: &Node, s| s.value(1));
    let store = MetricsStore::new(Collector::new().family(seen));
    let node = |metadata| serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    store.add(&node(json!({ "name": "a" })));
    store.add(&node(json!({ "name": "a", "namespace": "n" })));
    assert_eq!(store.list_keys(), ["a"]);
    store.delete(&node(json!({ "name": "a", "namespace": "m" })));
    assert_eq!(store.list_keys(), [""; 0]);
}

/// One operation of a feeder.
#[derive(Clone, Debug)]
enum Step {
    Apply {
        name: u16,
        uid: u8,
        version: u8,
        node: u8,
    },
    Delete {
        name: u16,
        uid: u8,
        version: u8,
    },
    Begin,
    End,
    Abandon,
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        60 => (0..700_u16, 0..2_u8, 1..9_u8, 0..4_u8)
            .prop_map(|(name, uid, version, node)| Step::Apply { name, uid, version, node }),
        20 => (0..700_u16, 0..2_u8, 1..9_u8)
            .prop_map(|(name, uid, version)| Step::Delete { name, uid, version }),
        1 => Just(Step::Begin),
        1 => Just(Step::End),
        1 => Just(Step::Abandon),
    ];
    prop::collection::vec((any::<bool>(), step), 0..1500)
}

type Rows = std::collections::BTreeMap<String, (u8, u8, u8)>;

/// A simple model of a store, with the same rules. The model has a map for each feeder, and a second map during a list.
#[derive(Default)]
struct Model {
    front: [Rows; 2],
    working: [Option<Rows>; 2],
}

impl Model {
    fn step(&mut self, who: usize, step: &Step) {
        let listing = self.working[who].is_some();
        match *step {
            Step::Apply {
                name,
                uid,
                version,
                node,
            } => {
                let key = format!("n/p{name:03}");
                let rows = self.working[who].as_mut().unwrap_or(&mut self.front[who]);
                if let Some(&(own, stored, _)) = rows.get(&key)
                    && (listing || own == uid)
                    && version < stored
                {
                    return;
                }
                let new = rows.insert(key.clone(), (uid, version, node)).is_none();
                if new && !listing {
                    self.forget(1 - who, &key);
                }
            }
            Step::Delete { name, uid, version } => {
                let key = format!("n/p{name:03}");
                let rows = self.working[who].as_mut().unwrap_or(&mut self.front[who]);
                if let Some(&(own, stored, _)) = rows.get(&key)
                    && own == uid
                    && (listing || version >= stored)
                {
                    rows.remove(&key);
                }
            }
            // In the model, a list starts without rows, so the end of the list removes all objects that the list does
            // not contain.
            Step::Begin => self.working[who] = Some(Rows::new()),
            Step::End => {
                if let Some(rows) = self.working[who].take() {
                    for key in rows.keys() {
                        self.forget(1 - who, key);
                    }
                    self.front[who] = rows;
                }
            }
            Step::Abandon => self.working[who] = None,
        }
    }

    fn forget(&mut self, who: usize, key: &str) {
        self.front[who].remove(key);
        if let Some(rows) = &mut self.working[who] {
            rows.remove(key);
        }
    }

    fn rows(&self) -> Rows {
        self.front
            .iter()
            .flatten()
            .map(|(key, row)| (key.clone(), *row))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_feeders_leave_the_store_as_the_plainest_model_says(steps in steps()) {
        let store = MetricsStore::new(collector());
        let mut writers = [store.writer(), store.writer()];
        let mut model = Model::default();
        let mut held = Vec::new();
        for (at, (second, step)) in steps.iter().enumerate() {
            let who = usize::from(*second);
            model.step(who, step);
            let writer = &mut writers[who];
            match step {
                Step::Apply { name, uid, version, node } => writer.apply_object(&pod(
                    &format!("p{name:03}"), &format!("u{uid}"), (*version).into(), &format!("node{node}"))),
                Step::Delete { name, uid, version } => writer.delete_object(&pod(
                    &format!("p{name:03}"), &format!("u{uid}"), (*version).into(), "")),
                Step::Begin => writer.begin_list(),
                Step::End => writer.end_list(),
                Step::Abandon => writer.abandon_list(),
            }
            if at % 100 == 0 {
                held.push((store.snapshot(), model.rows().len()));
            }
        }
        // A snapshot has the same content as before, although the store has changed.
        for (snapshot, rows) in &held {
            prop_assert_eq!(snapshot.objects(), *rows);
            numbers_its_pages(snapshot);
        }
        let expected = model.rows();
        prop_assert_eq!(store.list_keys(), expected.keys().cloned().collect::<Vec<_>>());
        for (key, (uid, version, node)) in &expected {
            let entry = store.get(key).unwrap();
            let label = format!("node=\"node{node}\"");
            prop_assert_eq!(entry.uid, format!("u{uid}"));
            prop_assert_eq!(entry.resource_version, Some(u64::from(*version)));
            prop_assert!(entry.samples.contains(&label));
        }
    }
}

#[test]
fn objects_of_other_shards_are_not_even_decoded() {
    let store = MetricsStore::new(collector());
    let shard = crate::scope::Shard::new(0, 2).unwrap();
    store.set_filter(ObjectFilter {
        shard,
        ..ObjectFilter::default()
    });
    let uids: Vec<_> = (0..20).map(|number| format!("u{number}")).collect();
    let own = uids.iter().find(|uid| shard.owns(uid)).unwrap();
    let foreign = uids.iter().find(|uid| !shard.owns(uid)).unwrap();
    let mut writer = store.writer();
    let json = |uid: &str, version: u64| {
        let metadata = json!({ "namespace": "n", "name": "a", "uid": uid, "resourceVersion": version.to_string() });
        json!({ "metadata": metadata, "spec": { "nodeName": 5 } }).to_string()
    };
    let good = serde_json::to_vec(&pod("a", own, 1, "x")).unwrap();
    writer.apply_json(&good).unwrap();
    assert_eq!((store.list_keys().len(), writer.last_version()), (1, "1"));
    // The object is invalid. The store returns no error, because it does not decode objects of other shards.
    writer.delete_json(json(foreign, 2).as_bytes()).unwrap();
    assert_eq!((store.list_keys().len(), writer.last_version()), (1, "2"));
    writer.apply_json(json(foreign, 3).as_bytes()).unwrap();
    assert_eq!((store.list_keys().len(), writer.last_version()), (0, "3"));
    assert!(writer.apply_json(json(own, 4).as_bytes()).is_err());
    assert_eq!(store.stats().decode_field_errors, 1);
}

#[cfg(feature = "watch")]
#[test]
fn an_object_without_a_name_is_an_error_in_a_watch_and_has_no_row() {
    let store = MetricsStore::new(collector());
    let sharded = MetricsStore::new(collector());
    sharded.set_filter(ObjectFilter {
        shard: crate::scope::Shard::new(0, 2).unwrap(),
        ..ObjectFilter::default()
    });
    for store in [store, sharded] {
        let mut writer = store.watch_writer();
        writer.begin_list();
        for metadata in [
            json!(null),
            json!({}),
            json!({ "namespace": "n" }),
            json!({ "name": "", "namespace": "n", "uid": "u" }),
            json!({ "name": null }),
        ] {
            for object in [json!({ "metadata": metadata }), json!({})] {
                let object = object.to_string();
                let error = writer.apply_json(object.as_bytes()).unwrap_err();
                assert_eq!((error.object(), error.identity()), ("<unnamed>", None));
                assert!(writer.delete_json(object.as_bytes()).is_err());
            }
        }
        writer.end_list();
        let stats = store.stats();
        assert_eq!((stats.objects, stats.decode_field_errors), (0, 20));
    }
}
