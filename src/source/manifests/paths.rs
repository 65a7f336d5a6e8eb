//! Finds the manifest files of a path.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::changing::file_number;
use super::progress::ReadingProgress;
use super::read;
use super::report::ManifestProblem;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Returns the manifest files of a path. If the path is a directory, these are all manifest files below it, sorted by
/// name. Otherwise, it is the path itself.
///
/// Links can lead to the same directory on many paths. Only the first path to a directory is used, because the number
/// of paths can be exponential in the number of directories.
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
    let (mut files, mut seen) = (Vec::new(), HashSet::new());
    // Follow symbolic links, because the files of a mounted ConfigMap are symbolic links.
    let walk = walkdir::WalkDir::new(path).follow_links(true);
    let mut entries = walk.sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                // A hidden directory does not count as seen, because a link such as `below -> ..data/below` can lead
                // to a directory in it.
                if is_hidden(entry.path()) || !is_first(&entry, &mut seen) {
                    entries.skip_current_dir();
                }
            }
            Ok(entry) if !is_manifest(entry.path()) => {}
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            // Do not read named pipes, because reading would block until another program writes to the pipe.
            Ok(entry) => problems.push(ManifestProblem::Read {
                path: entry.into_path(),
                source: read::not_regular(),
            }),
            Err(error) => {
                let path = error.path().unwrap_or(path).to_owned();
                let message = error.to_string();
                // If links form a loop, there is no `io::Error`. In this case, create one from the message.
                let source = error.into_io_error();
                let source = source.unwrap_or_else(|| io::Error::other(message));
                problems.push(ManifestProblem::Read { path, source });
            }
        }
    }
    files
}

/// Whether this is the first path to a directory. `seen` contains the directories of earlier calls, by device and inode.
fn is_first(directory: &walkdir::DirEntry, seen: &mut HashSet<(u64, u64)>) -> bool {
    let metadata = directory.metadata().ok();
    let number = metadata.as_ref().and_then(file_number);
    number.is_none_or(|number| seen.insert(number))
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json" | "jsonl")) && !is_hidden(path)
}

/// Whether a path leads through a name such as `..data`. In a mounted ConfigMap, such a directory contains every file a
/// second time.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| {
        part.as_os_str().as_encoded_bytes().starts_with(b"..") && part.as_os_str() != ".."
    })
}
