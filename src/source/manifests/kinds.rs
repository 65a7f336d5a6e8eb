//! The kinds that exist, as far as manifests tell.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::io;
use std::path::PathBuf;

use foldhash::fast::FixedState;
use serde_json::{Value, json};

use super::documents::{self, Document};
use super::{Definitions, LoadReport, files, is_stdin};
use crate::StateMetrics;
use crate::custom_resources::KnownKind;

/// What was known of kinds when the manifests were read last.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Definitions by name, each with a number that changes with it.
    definitions: BTreeMap<String, u64>,
    /// What standard input tells, which is read once.
    stdin: Vec<Value>,
}

// === impl Kinds ===

impl Kinds {
    /// Looks through all manifests and tells `metrics` which kinds there are.
    ///
    /// What cannot be read is told by whoever feeds the objects.
    pub(super) fn look(
        &mut self,
        paths: &[PathBuf],
        stdin: Option<&str>,
        metrics: &StateMetrics,
    ) -> Definitions {
        if let Some(text) = stdin {
            self.stdin.extend(heads(text));
        }
        let mut heads = self.stdin.clone();
        for path in paths.iter().filter(|path| !is_stdin(path)) {
            for file in files(path, &mut LoadReport::default()) {
                let text: io::Result<String> = std::fs::read_to_string(&file);
                heads.extend(text.iter().flat_map(|text| self::heads(text)));
            }
        }
        let kinds = KnownKind::of_objects(&heads);
        // Families were compared with all others when the configuration was put in force, so that
        // kinds alone cannot be refused.
        let kinds = KnownKind::built_in().into_iter().chain(kinds);
        let _ = metrics.custom_resources().set_known_kinds(kinds);
        self.note(&heads)
    }

    fn note(&mut self, heads: &[Value]) -> Definitions {
        let now: BTreeMap<_, _> = heads
            .iter()
            .filter(|head| is_definition(head))
            .map(|head| {
                let name = head["metadata"]["name"].as_str().unwrap_or_default();
                let number = FixedState::default().hash_one(head.to_string());
                (name.to_owned(), number)
            })
            .collect();
        let before = std::mem::replace(&mut self.definitions, now);
        let now = &self.definitions;
        let added = now.keys().filter(|name| !before.contains_key(*name));
        let updated = (now.iter())
            .filter(|(name, number)| before.get(*name).is_some_and(|old| old != *number));
        let deleted = before.keys().filter(|name| !now.contains_key(*name));
        Definitions {
            known: now.len(),
            added: added.count(),
            updated: updated.count(),
            deleted: deleted.count(),
        }
    }
}

fn is_definition(head: &Value) -> bool {
    head["kind"] == "CustomResourceDefinition"
}

/// What the objects of a text say of their kinds; definitions as a whole.
fn heads(text: &str) -> Vec<Value> {
    let mut heads = Vec::new();
    documents::each(text, &mut |document| {
        heads.extend(document.ok().as_ref().and_then(head));
    });
    heads
}

fn head(document: &Document<'_>) -> Option<Value> {
    let whole: Value = serde_json::from_str(document.json).ok()?;
    let mut head = json!({ "apiVersion": document.api_version?, "kind": document.kind? });
    if is_definition(&head) {
        head["metadata"] = json!({ "name": whole["metadata"]["name"] });
        head["spec"] = whole["spec"].clone();
    } else {
        head["metadata"] = json!({ "namespace": whole["metadata"]["namespace"] });
    }
    Some(head)
}
