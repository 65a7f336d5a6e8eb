//! The kinds of the objects in the manifests, and the kinds that CustomResourceDefinitions in the manifests define.
//!
//! These kinds and the built-in kinds are the *known kinds*. A configuration of custom resources selects the known
//! kinds that get stores.

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

/// The kinds that were found when the manifests were last read.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// The CustomResourceDefinitions: the name of each definition, and a hash of its content.
    definitions: BTreeMap<String, u64>,
    /// The [`heads`] of the objects from standard input. They are kept because standard input can be read only once.
    stdin: Vec<Value>,
    /// Whether the known kinds have been set at least once.
    is_set: bool,
}

// === impl Kinds ===

impl Kinds {
    /// Reads all manifests to set the known kinds of `metrics`. Returns the changes of the definitions, and whether
    /// some files could not be read for a temporary reason.
    ///
    /// If a file cannot be read for a temporary reason, the previous kinds stay. This method does not report files that
    /// cannot be read for another reason, because they are reported when the objects are loaded.
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
        // Ignore the result: conflicts between families are found when the configuration is set, so this call cannot
        // fail.
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

/// Returns the fields that identify the kind, for each object in a text. For a CustomResourceDefinition, also returns
/// the name, the specification and the conditions.
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
