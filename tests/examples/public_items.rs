//! Every public item has an example that runs.
//!
//! `pub` means public in this crate: the lint `unreachable_pub` is on. The sources are read line by
//! line, and a doc comment counts where it has a block that `cargo test` runs, not only compiles.
//!
//! * A module, a free function and a trait have one of their own.
//! * A type has one, or one of its methods has: they are on one page.
//! * A method or function of a type is called in an example on the page of its type.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A public item and what is written about it.
#[derive(Debug)]
struct Item {
    /// `struct`, `fn`, ...
    kind: String,
    name: String,
    /// The type it belongs to; empty for free items.
    owner: String,
    /// The code of its examples that run.
    examples: String,
    place: String,
}

#[test]
fn every_public_item_has_an_example_that_runs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut items = Vec::new();
    for file in &files {
        read(file, &mut items);
    }
    for file in &files {
        // The page of a module is written at the top of its file.
        let own = items
            .iter_mut()
            .filter(|item| item.kind == "mod" && is_file_of(file, &item.name));
        own.for_each(|item| item.examples.push_str(&module_examples(file)));
    }
    assert!(items.len() > 250, "only {} items were found", items.len());

    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for item in &items {
        let page = match item.owner.as_str() {
            "" => item.name.as_str(),
            owner => owner,
        };
        pages
            .entry(page.to_owned())
            .or_default()
            .push_str(&item.examples);
    }
    let mut missing = Vec::new();
    for item in &items {
        let shown = match (item.kind.as_str(), item.owner.as_str()) {
            ("struct" | "enum", "") => !pages[&item.name].is_empty(),
            ("fn", owner) if !owner.is_empty() => {
                let name = &item.name;
                let calls = [
                    format!(".{name}("),
                    format!("::{name}("),
                    format!("{name}::<"),
                ];
                !item.examples.is_empty() || calls.iter().any(|call| pages[owner].contains(call))
            }
            ("const", owner) if !owner.is_empty() => pages[owner].contains(&item.name),
            _ => !item.examples.is_empty(),
        };
        if !shown {
            let Item {
                kind,
                name,
                owner,
                place,
                ..
            } = item;
            let path = if owner.is_empty() {
                name.clone()
            } else {
                format!("{owner}::{name}")
            };
            missing.push(format!("{place}: {kind} {path}"));
        }
    }
    assert!(
        missing.is_empty(),
        "{} public items without an example that runs:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
}

/// Finds the public items of a file.
fn read(file: &Path, items: &mut Vec<Item>) {
    let text = fs::read_to_string(file).unwrap();
    let shown = file
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .display();
    let mut docs: Vec<&str> = Vec::new();
    // The block an item is in: its indentation, and the type where it is an `impl` or a trait.
    let mut within: Vec<(usize, String)> = Vec::new();
    let mut in_attribute = false;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if trimmed == "#[cfg(test)]" && indent == 0 {
            break;
        }
        if let Some(doc) = trimmed.strip_prefix("///") {
            docs.push(doc.strip_prefix(' ').unwrap_or(doc));
            continue;
        }
        if in_attribute || trimmed.starts_with("#[") {
            in_attribute = !trimmed.ends_with(']');
            continue;
        }
        if trimmed.starts_with("//") || trimmed.is_empty() {
            continue;
        }
        if trimmed.starts_with('}') {
            within.retain(|(own, _)| *own < indent);
        }
        let words: Vec<_> = trimmed
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .filter(|word| !word.is_empty())
            .collect();
        let is_block =
            words.first() == Some(&"impl") || words.iter().take(4).any(|word| *word == "mod");
        if let Some((kind, name)) = public(trimmed, &words) {
            let owner = within
                .last()
                .map(|(_, owner)| owner.clone())
                .unwrap_or_default();
            if owner != "sealed" && !name.starts_with('$') {
                items.push(Item {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    owner,
                    examples: running(&docs),
                    place: format!("{shown}:{}", at + 1),
                });
            }
        }
        if is_block && !trimmed.ends_with(';') && !trimmed.ends_with('}') {
            within.push((indent, block(trimmed)));
        }
        docs.clear();
    }
}

/// The examples at the top of a file.
fn module_examples(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let docs = text.lines().filter_map(|line| line.strip_prefix("//!"));
    let docs: Vec<_> = docs
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    running(&docs)
}

/// Kind and name of an item that a line declares public.
fn public<'l>(line: &str, words: &[&'l str]) -> Option<(&'l str, &'l str)> {
    if !line.starts_with("pub ") {
        return None;
    }
    let mut rest = words
        .iter()
        .skip(1)
        .skip_while(|word| matches!(**word, "async" | "unsafe"));
    let (kind, name) = (*rest.next()?, *rest.next()?);
    match kind {
        "const" if name == "fn" => Some(("fn", *rest.next()?)),
        "struct" | "enum" | "trait" | "fn" | "mod" | "const" | "type" => Some((kind, name)),
        // Fields of structs and `pub use` are on the page of something else.
        _ => None,
    }
}

/// The type an `impl` is for, or the name of a module.
fn block(line: &str) -> String {
    if let Some((_, module)) = line
        .split_once("mod ")
        .filter(|_| !line.starts_with("impl"))
    {
        return module.trim_end_matches(" {").to_owned();
    }
    let mut line = line.trim_start_matches("impl");
    if line.starts_with('<') {
        // The generics of the `impl`, which may be nested.
        let mut depth = 0;
        let end = line.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        });
        line = &line[end.unwrap_or(0) + 1..];
    }
    let line = line.split(" for ").last().unwrap_or_default().trim();
    let end = line.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let path = &line[..end.unwrap_or(line.len())];
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

/// Whether a file is that of a module.
fn is_file_of(file: &Path, module: &str) -> bool {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let parent = file
        .parent()
        .and_then(Path::file_name)
        .unwrap()
        .to_str()
        .unwrap();
    stem == module || stem == "mod" && parent == module
}

/// The code of the blocks that `cargo test` runs.
fn running(docs: &[&str]) -> String {
    let mut code = String::new();
    let mut block: Option<bool> = None;
    for line in docs {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(info), None) => {
                let words: Vec<_> = info.split(',').map(str::trim).collect();
                let runs = words
                    .iter()
                    .all(|word| matches!(*word, "" | "rust" | "should_panic"));
                block = Some(runs);
            }
            (Some(_), Some(_)) => block = None,
            (None, Some(true)) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, _) => {}
        }
    }
    code
}
