//! The configuration files in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::humanize::counted;
use crate::options::IgnoredKey;

/// The maximum number of keys without effect that the landing page shows for one file.
const MOST_IGNORED: usize = 20;

/// A configuration file, with the content that the exporter uses at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileInUse {
    pub(crate) path: String,
    /// The value of the label `type` in metrics.
    pub(crate) kind: &'static str,
    /// The content that is in use; `None` if the exporter does not use the file.
    pub(crate) content: Option<UsedContent>,
    /// Whether the file still has the content that is in use.
    pub(crate) is_current: bool,
}

/// The content of a configuration file that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedContent {
    /// The first six bytes of the MD5 sum of the content.
    pub(crate) hash: [u8; 6],
    pub(crate) since: SystemTime,
    /// The keys of an options file that have no effect.
    pub(crate) ignored: Vec<IgnoredKey>,
}

/// The configuration files that the landing page shows. A clone is another handle to the same files.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilesInUse(Arc<Mutex<BTreeMap<(String, &'static str), FileInUse>>>);

// === impl FileInUse ===

impl FileInUse {
    /// Returns a text that states whether the current content of the file is in use.
    pub(crate) fn state(&self) -> String {
        let state = match (&self.content, self.is_current) {
            (Some(_), true) => "in use",
            (Some(_), false) => "an older content is in use",
            (None, _) => "not in use",
        };
        match self.ignored().len() as u64 {
            0 => state.to_owned(),
            count => format!("{state}, {} ignored", counted(count, "key", "keys")),
        }
    }

    /// Returns the keys that have no effect, from the content that is in use.
    pub(crate) fn ignored(&self) -> &[IgnoredKey] {
        let content = self.content.as_ref();
        content.map_or(&[], |content| &content.ignored)
    }

    /// Returns the first keys that have no effect, and the number of further keys. A broken file can have many keys.
    pub(crate) fn first_ignored(&self) -> (&[IgnoredKey], usize) {
        let ignored = self.ignored();
        let first = ignored.get(..MOST_IGNORED).unwrap_or(ignored);
        (first, ignored.len() - first.len())
    }

    /// Returns the value of the metric `config_hash`; `None` if the metric has no sample for this file.
    pub(crate) fn metric_value(&self) -> Option<u64> {
        let content = self.content.as_ref();
        let content = content.filter(|_| self.kind != "webconfig")?;
        Some(number(content.hash))
    }
}

// === impl UsedContent ===

impl UsedContent {
    /// Returns the hash in hexadecimal digits, as `md5sum` writes it.
    pub(crate) fn hash_text(&self) -> String {
        let bytes = self.hash.iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns a hash as a little-endian number.
pub(super) fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

// === impl FilesInUse ===

impl FilesInUse {
    /// Records that this content of a file is in use.
    pub(super) fn loaded(&self, path: &str, kind: &'static str, content: UsedContent) {
        self.update(path, kind, |file| {
            file.content = Some(content);
            file.is_current = true;
        });
    }

    /// Records that the current content of a file is not in use.
    pub(super) fn failed(&self, path: &str, kind: &'static str) {
        self.update(path, kind, |file| file.is_current = false);
    }

    /// Records that a file does not exist, or that no option names it.
    pub(super) fn absent(&self, path: &str, kind: &'static str) {
        self.0.lock().remove(&(path.to_owned(), kind));
    }

    /// Returns all files, sorted by path.
    pub(crate) fn all(&self) -> Vec<FileInUse> {
        self.0.lock().values().cloned().collect()
    }

    fn update(&self, path: &str, kind: &'static str, update: impl FnOnce(&mut FileInUse)) {
        let mut files = self.0.lock();
        let file = files.entry((path.to_owned(), kind));
        update(file.or_insert_with(|| FileInUse {
            path: path.to_owned(),
            kind,
            content: None,
            is_current: false,
        }));
    }
}
