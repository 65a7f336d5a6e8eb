//! The kinds that manifests define or contain.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::path::PathBuf;

use foldhash::fast::FixedState;
use serde_json::{Value, json};

use super::documents::{self, Document};
use super::paths::{files, is_stdin};
use super::progress::ReadingProgress;
use super::read;
use super::report::ManifestProblem;
use crate::custom_resources::{DefinitionChanges, KnownKind};
use crate::registry::StateMetrics;

/// The kinds that the last reading of the manifests found.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Definitions by name, each with its hash.
    definitions: BTreeMap<String, u64>,
    /// The [`heads`] of the objects from standard input. Standard input is read only once.
    stdin: Vec<Value>,
    /// Whether the kinds have been set at least once.
    is_set: bool,
}

// === impl Kinds ===

impl Kinds {
    /// Sets the known kinds of `metrics` from all manifests. Returns the changes of the definitions, and whether some
    /// files could not be read for a temporary reason.
    ///
    /// Files that cannot be read are reported when their objects are loaded. If the reason may be temporary, the
    /// previous kinds stay.
    pub(super) fn update(
        &mut self,
        paths: &[PathBuf],
        stdin: Option<&str>,
        metrics: &StateMetrics,
        progress: &ReadingProgress,
    ) -> (DefinitionChanges, bool) {
        if let Some(text) = stdin {
            self.stdin.extend(heads(text));
        }
        let mut heads = self.stdin.clone();
        let mut problems = Vec::new();
        for path in paths.iter().filter(|path| !is_stdin(path)) {
            progress.begin(path);
            for file in files(path, &mut problems) {
                progress.begin(&file);
                match read::file(&file) {
                    Ok(text) => heads.extend(self::heads(&text)),
                    Err(source) => problems.push(ManifestProblem::Read { path: file, source }),
                }
            }
        }
        let is_partial = problems.iter().any(ManifestProblem::is_temporary);
        if is_partial && self.is_set {
            let known = self.definitions.len();
            return (
                DefinitionChanges {
                    known,
                    ..DefinitionChanges::default()
                },
                is_partial,
            );
        }
        self.is_set = true;
        let kinds = KnownKind::of_objects(&heads);
        // Conflicts of families are found when the configuration is set, so setting kinds cannot fail.
        let kinds = KnownKind::built_in().into_iter().chain(kinds);
        let _ = metrics.custom_resources().set_known_kinds(kinds);
        (self.replace_definitions(&heads), is_partial)
    }

    fn replace_definitions(&mut self, heads: &[Value]) -> DefinitionChanges {
        let definitions = heads.iter().filter(|head| is_definition(head));
        let definitions: BTreeMap<_, _> = definitions
            .map(|head| {
                let name = head["metadata"]["name"].as_str().unwrap_or_default();
                let hash = FixedState::default().hash_one(head.to_string());
                (name.to_owned(), hash)
            })
            .collect();
        let before = std::mem::replace(&mut self.definitions, definitions);
        DefinitionChanges::between(&before, &self.definitions, |old, new| old != new)
    }
}

fn is_definition(head: &Value) -> bool {
    head["kind"] == "CustomResourceDefinition"
}

/// Returns the fields of each object in a text that identify its kind. For a definition, also returns the name, the
/// specification and the conditions.
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
        head["status"] = json!({ "conditions": whole["status"]["conditions"] });
    } else {
        head["metadata"] = json!({ "namespace": whole["metadata"]["namespace"] });
    }
    Some(head)
}
