//! Finds the manifest files of a path.

use std::io;
use std::path::{Path, PathBuf};

use super::read;
use super::report::ManifestProblem;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Returns the manifest files of a path. If the path is a directory, these are all manifest files below it, sorted by
/// name. Otherwise, it is the path itself.
pub(super) fn files(path: &Path, problems: &mut Vec<ManifestProblem>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    // Follow symbolic links, because the files of a mounted ConfigMap are symbolic links.
    for entry in walkdir::WalkDir::new(path)
        .follow_links(true)
        .sort_by_file_name()
    {
        match entry {
            Ok(entry) if entry.file_type().is_dir() || !is_manifest(entry.path()) => {}
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

fn is_manifest(path: &Path) -> bool {
    // Skip `..data` in a mounted ConfigMap, because it contains every file a second time.
    let is_hidden = path.components().any(|part| {
        part.as_os_str().as_encoded_bytes().starts_with(b"..") && part.as_os_str() != ".."
    });
    let extension = path.extension().and_then(|extension| extension.to_str());
    !is_hidden && matches!(extension, Some("yaml" | "yml" | "json" | "jsonl"))
}
