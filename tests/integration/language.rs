//! Checks the language of docs, comments, help texts and messages. A test fails if a file contains a refused phrase or
//! a long line of prose.
//!
//! CONTRIBUTING.md ("Language") has the rules. A phrase matches only whole words. Upper and lower case are equal, and a
//! line break may separate the words.

use std::fs;
use std::path::{Path, PathBuf};

/// Each refused phrase, with its replacement.
const REFUSED: &[(&str, &str)] = &[
    ("anew", "again; a list after the first one is a relist"),
    ("are said", "are reported, are logged"),
    ("are told", "receive, are notified"),
    ("be told", "receive, be notified"),
    ("by turns", "alternately"),
    ("complete or refused", "synced or forbidden"),
    ("for ever", "forever, or the condition that ends it"),
    ("for who", "for clients that, for users that"),
    ("for whoever", "for clients that, for users that"),
    ("in vain", "unnecessarily"),
    ("is said", "is reported, is logged"),
    ("is told", "receives, is notified"),
    ("it is to stay", "it is not deleted"),
    ("let go", "closed, released, removed"),
    ("of its own", "separate, dedicated, other"),
    ("of their own", "separate, dedicated, other"),
    ("one who", "the subject: a client, a declaration"),
    ("shall", "must, should, or the present tense"),
    ("told of", "informed about, logged for"),
    ("what is known", "the last state, the stored objects"),
    ("who asks", "the client, the user"),
    ("whoever", "the subject: the client, the host"),
];

/// Maximum length of a line of prose in a Markdown file, in characters.
const LINE_LENGTH: usize = 120;

/// Extensions of files that contain prose. The empty extension is for scripts without an extension.
const READ: &[&str] = &["", "css", "html", "js", "md", "rs", "sh", "toml", "yaml"];

/// Directories and files that are not checked. They contain no prose, or prose of other projects. This file is not
/// checked, because it contains the refused phrases.
const SKIPPED: &[&str] = &[
    ".git",
    "LICENSE",
    "target",
    "tests/conformance",
    "tests/golden",
    "tests/published",
    "tests/integration/language.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Finds the files below a directory, except skipped files.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        if SKIPPED.contains(&name) {
            continue;
        }
        let extension = path.extension().unwrap_or_default();
        if path.is_dir() {
            files(&path, found);
        } else if READ.iter().any(|read| extension == *read) {
            found.push(path);
        }
    }
}

/// Returns the words of a text in lower case, each with its line number.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_words = line.split(|c: char| !(c.is_alphanumeric() || "_'-".contains(c)));
        let line_words = line_words.filter(|word| word.contains(char::is_alphanumeric));
        words.extend(line_words.map(|word| (index + 1, word.to_lowercase())));
    }
    words
}

/// Returns the refused phrases in a text: the line, the phrase and its replacement.
fn refused(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for (phrase, instead) in REFUSED {
        let phrase_words: Vec<_> = phrase.split(' ').collect();
        for window in words.windows(phrase_words.len()) {
            if window.iter().map(|(_, word)| word).eq(&phrase_words) {
                found.push((window[0].0, *phrase, *instead));
            }
        }
    }
    found
}

/// Returns the lines of prose in a Markdown file that are too long, with the number and the length of each line.
/// Ignores code and tables. The length of a line does not include the targets of links.
fn long_lines(markdown: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (index, line) in markdown.lines().enumerate() {
        let text = line.trim_start();
        if text.starts_with("```") {
            is_code = !is_code;
        }
        let is_definition = text.starts_with('[') && text.contains("]: ");
        if is_code || is_definition || text.starts_with(['|', '!', '<']) {
            continue;
        }
        let targets = line.split("](").skip(1);
        let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0.chars().count()));
        let length = line.chars().count() - targets.sum::<usize>();
        if length > LINE_LENGTH {
            found.push((index + 1, length));
        }
    }
    found
}

#[test]
fn long_lines_are_prose_without_the_targets_of_links() {
    let (fits, long) = ("ä".repeat(120), "b".repeat(121));
    let link = format!("[{}](https://{long})", "c".repeat(116));
    let text =
        format!("{fits}\n{long}\n| {long} |\n{link}\n```\n{long}\n```\n- {fits}\n[a]: {long}\n");
    assert_eq!(long_lines(&text), [(2, 121), (8, 122)]);
}

#[test]
fn lines_of_prose_are_not_too_long() {
    let mut paths = Vec::new();
    files(root(), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(paths.len() > 60, "{} files", paths.len());
    let mut problems = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().display();
        for (line, length) in long_lines(&fs::read_to_string(&path).unwrap()) {
            problems.push(format!("{name}:{line}: {length} characters"));
        }
    }
    assert!(
        problems.is_empty(),
        "lines of more than {LINE_LENGTH} characters:\n{}",
        problems.join("\n")
    );
}

#[test]
fn phrases_match_whole_words_across_lines() {
    let text = "/// A table of its\n/// OWN.\nfn shallow() {}\n";
    let found = refused(text);
    assert_eq!(
        found,
        [(1, "of its own", "separate, dedicated, other")],
        "{text}"
    );
}

#[test]
fn no_text_has_a_phrase_that_readers_have_to_guess() {
    let mut paths = Vec::new();
    files(root(), &mut paths);
    assert!(paths.len() > 400, "{} files", paths.len());
    let mut problems = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (line, phrase, instead) in refused(&text) {
            let name = path.strip_prefix(root()).unwrap().display();
            problems.push(format!("{name}:{line}: `{phrase}`; write: {instead}"));
        }
    }
    assert!(
        problems.is_empty(),
        "CONTRIBUTING.md (\"Language\") has the rules:\n{}",
        problems.join("\n")
    );
}
