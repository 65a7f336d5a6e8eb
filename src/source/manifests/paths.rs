//! Finds the manifest files of a path.

use std::collections::{BTreeSet, HashSet};
use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::progress::ReadingProgress;
use super::read;
use super::report::ManifestProblem;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// A search for manifest files in a directory, and in the directories to which links lead.
struct Search<'a> {
    /// The real paths of the directories that were listed. A real path contains no links.
    listed: HashSet<PathBuf>,
    /// The links to directories that the search has not followed yet. The order determines the path of a directory to
    /// which several links lead.
    links: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    problems: &'a mut Vec<ManifestProblem>,
}

/// Returns the manifest files of a path. If the path is a directory, these are all manifest files below it, sorted by
/// name. Otherwise, it is the path itself.
///
/// The function follows links, because the files of a mounted ConfigMap are links. The number of paths to a directory
/// can be exponential in the number of links, so the function lists each directory once. If no path without links leads
/// to the directory, its files have the first path with links.
pub(super) fn files(
    path: &Path,
    progress: &ReadingProgress,
    problems: &mut Vec<ManifestProblem>,
) -> Vec<PathBuf> {
    progress.begin(path);
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    progress.begin_directory(path);
    let mut search = Search {
        listed: HashSet::new(),
        links: BTreeSet::new(),
        files: Vec::new(),
        problems,
    };
    search.follow(path.to_owned());
    while let Some(link) = search.links.pop_first() {
        search.follow(link);
    }
    search.files.sort();
    search.files
}

// === impl Search ===

impl Search<'_> {
    /// Lists the directory at `path` and all directories below it, but follows no links in them.
    fn follow(&mut self, path: PathBuf) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(source) => return self.unreadable(path, source),
        };
        let mut directories = vec![(path, real)];
        while let Some((path, real)) = directories.pop() {
            if self.listed.contains(&real) {
                continue;
            }
            match std::fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries {
                        match entry {
                            Ok(entry) if self.is_directory(&entry) => {
                                directories.push((entry.path(), real.join(entry.file_name())));
                            }
                            Ok(_) => {}
                            Err(source) => self.unreadable(path.clone(), source),
                        }
                    }
                }
                Err(source) => self.unreadable(path, source),
            }
            self.listed.insert(real);
        }
    }

    fn unreadable(&mut self, path: PathBuf, source: io::Error) {
        self.problems.push(ManifestProblem::Read { path, source });
    }

    /// Records a file or a link. Returns whether the entry is a directory that the search must list.
    fn is_directory(&mut self, entry: &DirEntry) -> bool {
        if is_hidden(entry) {
            return false;
        }
        let path = entry.path();
        let (kind, is_link) = match type_of(entry) {
            Ok(found) => found,
            Err(source) => {
                self.unreadable(path, source);
                return false;
            }
        };
        if kind.is_dir() {
            if is_link {
                self.links.insert(path);
            }
            return !is_link;
        }
        if is_manifest(&path) {
            match kind.is_file() {
                true => self.files.push(path),
                // Do not read named pipes, because reading would block until another program writes to the pipe.
                false => self.unreadable(path, read::not_regular()),
            }
        }
        false
    }
}

/// Returns the type of an entry, and whether the entry is a link. The type of a link is that of its target.
fn type_of(entry: &DirEntry) -> io::Result<(FileType, bool)> {
    let kind = entry.file_type()?;
    match kind.is_symlink() {
        true => Ok((std::fs::metadata(entry.path())?.file_type(), true)),
        false => Ok((kind, false)),
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json" | "jsonl"))
}

/// Whether an entry has a name such as `..data`. In a mounted ConfigMap, such a directory contains every file a second
/// time. Links such as `below -> ..data/below` can lead to the directories in it.
fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b"..")
}
