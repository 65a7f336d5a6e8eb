//! Reads and checks golden files. A golden file contains expected output of the crate, so that reviewers see how a
//! change affects the output.

use std::fs;
use std::path::PathBuf;

/// Reads the file at `path`, relative to the root of the package.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(absolute(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a text with the file at `path`, relative to the root of the package. If the environment variable
/// `UPDATE_GOLDEN` is set, writes the text to the file instead.
pub(crate) fn check(path: &str, actual: &str) {
    let file = absolute(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, actual).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    if kept == actual {
        return;
    }
    let mut lines = (1..).zip(kept.split('\n').zip(actual.split('\n')));
    let difference = lines.find(|(_, (kept, actual))| kept != actual);
    let (line, (kept, actual)) = difference.unwrap_or((0, ("one text", "the start of the other")));
    panic!(
        "{path} is out of date from line {line}; where that is intended, run\n  \
         UPDATE_GOLDEN=1 cargo test --all-features --test integration\n- {kept}\n+ {actual}"
    );
}

fn absolute(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
