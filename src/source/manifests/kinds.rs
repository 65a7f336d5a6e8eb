//! The kinds of the objects in the manifests, and the kinds that CustomResourceDefinitions in the manifests define.
//!
//! These kinds and the built-in kinds are the *known kinds*. A configuration of custom resources selects the known
//! kinds that get stores.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::Instant;

use foldhash::fast::FixedState;
use serde_json::{Value, json};

use super::documents::{self, Document};
use super::progress::ReadingProgress;
use super::reading::{Content, FileSink, FileStates};
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
    /// The [`heads`] of each file.
    files: FileHeads,
}

/// For each file, its [`heads`].
type FileHeads = BTreeMap<PathBuf, Vec<Value>>;

/// Collects the heads of all files. `before` has the heads of the previous reading, and `now` has the heads of the
/// current reading.
struct Collector<'a> {
    before: &'a FileHeads,
    now: FileHeads,
}

// === impl Kinds ===

impl Kinds {
    /// Reads all manifests to set the known kinds of `metrics`. Returns the changes of the definitions, and the files
    /// whose earlier kinds stay.
    ///
    /// `files` contains the state of the files at the last reading, the paths to read, and the time of the reading. If
    /// the objects of a file stay from the last reading, the kinds of the file also stay. This method does not report
    /// files that cannot be read, because they are reported when the objects are loaded.
    pub(super) fn update(
        &mut self,
        files: (&FileStates, &[PathBuf], Instant),
        stdin: Option<&str>,
        metrics: &StateMetrics,
        progress: &ReadingProgress,
    ) -> (DefinitionChanges, Vec<PathBuf>) {
        if let Some(text) = stdin {
            self.stdin.extend(heads(text).0);
        }
        let mut collector = Collector {
            before: &self.files,
            now: FileHeads::new(),
        };
        let (states, paths, now) = files;
        // Do not use the new states that `read_all` returns. A later reading loads the objects, and must compare the
        // files with the old states.
        let reading = states.read_all(paths, now, progress, &mut collector);
        self.files = collector.now;
        let heads: Vec<_> = (self.stdin.iter())
            .chain(self.files.values().flatten())
            .cloned()
            .collect();
        let kinds = KnownKind::of_objects(&heads);
        // Ignore the result: conflicts between families are found when the configuration is set, so this call cannot
        // fail.
        let kinds = KnownKind::built_in().into_iter().chain(kinds);
        let _ = metrics.custom_resources().set_known_kinds(kinds);
        let incomplete = reading.incomplete.into_iter().collect();
        (self.replace_definitions(&heads), incomplete)
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

// === impl Collector ===

impl FileSink for Collector<'_> {
    fn text(&mut self, file: &Path, text: &str) -> Content {
        let (heads, content) = heads(text);
        self.now.insert(file.to_owned(), heads);
        content
    }

    fn keep(&mut self, file: &Path) -> usize {
        let Some(before) = self.before.get(file) else {
            return 0;
        };
        let now = self.now.entry(file.to_owned()).or_default();
        // A definition of the new text replaces an earlier definition with the same name.
        let identity = |head: &Value| match is_definition(head) {
            true => head["metadata"]["name"].to_string(),
            false => head.to_string(),
        };
        let new: HashSet<_> = now.iter().map(identity).collect();
        let missing = before.iter().filter(|head| !new.contains(&identity(head)));
        let missing: Vec<_> = missing.cloned().collect();
        let kept = missing.len();
        now.extend(missing);
        kept
    }

    fn problem(&mut self, _problem: ManifestProblem) {}
}

fn is_definition(head: &Value) -> bool {
    head["kind"] == "CustomResourceDefinition"
}

/// Returns the heads of the objects in a text, each different head once. Also counts the documents of the text. The
/// *head* of an object consists of the fields that identify its kind. The head of a CustomResourceDefinition also
/// contains the name, the specification and the conditions.
fn heads(text: &str) -> (Vec<Value>, Content) {
    let (mut heads, mut seen) = (Vec::new(), HashSet::new());
    let mut content = Content::default();
    documents::each(text, &mut |document| {
        let document = document.ok();
        content.count(document.as_ref().and_then(Document::key).as_deref());
        if let Some(head) = document.as_ref().and_then(head)
            && seen.insert(head.to_string())
        {
            heads.push(head);
        }
    });
    (heads, content)
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
