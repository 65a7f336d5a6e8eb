//! Checks that each file imports only from the same layer or from lower layers. Also checks that imports form no cycle
//! of files or folders. DESIGN.md lists the layers.
//!
//! The test parses the sources, and ignores test code. An import is a path that refers to an item of another file. The
//! path can be in a `use`, a type, an expression or a macro. If a path leads to a re-export, the test finds the file
//! that defines the item. A method call does not count as an import. But a file that calls a method of a type usually
//! also imports the type.

mod circles;
mod imports;
mod macros;
mod reader;
mod rules;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use rules::problems;
use tree::Files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folders of the packages. For the package at the root of the repository, the path is empty.
fn packages() -> Vec<PathBuf> {
    let mut packages = vec![PathBuf::new(), PathBuf::from("exporter")];
    let crates = fs::read_dir(root().join("crates")).into_iter().flatten();
    packages.extend(crates.map(|entry| Path::new("crates").join(entry.unwrap().file_name())));
    // If the test runs in the published package of the library, the other packages do not exist.
    packages.retain(|package| root().join(package).join("src").is_dir());
    packages
}

/// Returns the Rust files of a package. The keys are the paths from the root of the repository.
fn files(package: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![package.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(root().join(&path)).unwrap();
                files.insert(path, text);
            }
        }
    }
    files
}

/// Returns the layers of a package, with the lowest layer first. A code block of DESIGN.md lists the layers. The block
/// has the language `layers`. If the package is not at the root, the folder of the package follows.
fn layers(package: &Path) -> Option<Vec<String>> {
    let design = include_str!("../../DESIGN.md");
    let mark = format!("```layers {}", package.display());
    let mut lines = design.lines().skip_while(|line| *line != mark.trim_end());
    lines.next()?;
    let names = lines.take_while(|line| *line != "```");
    let names = names.filter_map(|line| line.split_whitespace().next());
    Some(names.map(str::to_owned).collect())
}

#[test]
fn imports_run_down_the_layers_and_close_no_circle() {
    let mut found = Vec::new();
    for package in packages() {
        let files = files(&package);
        let roots = ["src/lib.rs", "src/main.rs"].map(|file| package.join(file));
        let root = roots.iter().find(|root| files.contains_key(*root)).unwrap();
        found.extend(problems(&files, root, layers(&package).as_deref()));
    }
    assert!(
        found.is_empty(),
        "the layers are not kept:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_layers_of_the_packages_are_in_the_design() {
    assert!(
        layers(Path::new(""))
            .unwrap()
            .contains(&String::from("store"))
    );
    assert!(
        layers(Path::new("exporter"))
            .unwrap()
            .contains(&String::from("options"))
    );
    assert_eq!(layers(Path::new("crates/unknown")), None);
}

/// Returns the problems that the check finds in a small crate. `text` contains the files of the crate. Each line that
/// starts with `--` begins a file. The first file is the root.
fn planted(layers: &[&str], text: &str) -> Vec<String> {
    let parts = text
        .split("--")
        .skip(1)
        .map(|part| part.split_once('\n').unwrap());
    let files: Files = parts
        .map(|(name, text)| (name.trim().into(), text.into()))
        .collect();
    let layers: Vec<_> = layers.iter().map(|name| String::from(*name)).collect();
    let layers = (!layers.is_empty()).then_some(layers.as_slice());
    problems(&files, Path::new("lib.rs"), layers)
}

#[test]
fn an_import_up_the_layers_is_found_however_it_is_written() {
    for import in [
        "use crate::roof::Tile;",
        "use crate::{roof::{self, Tile as _}};",
        "use super::roof; fn f() -> roof::Tile { todo!() }",
        "use crate::roof as top; struct S(Vec<top::Tile>);",
        "use crate::roof::*; impl Clone for Tile {}",
        "use crate::*; fn f(tile: &roof::Tile) {}",
        "fn f() { use crate::roof::Tile; }",
        "fn f() -> usize { self::super::roof::Tile::new().size }",
        "fn f() { println!(\"{}\", crate::roof::Tile::SIZE) }",
        "fn f() { select! { tile = crate::roof::Tile::next() => done } }",
        "macro_rules! tile { () => { $crate::roof::Tile } }",
        "macro_rules! tiles { () => { use $crate::{roof::{Tile}}; } }",
        "pin_project! { struct Pinned { #[pin] tile: crate::roof::Tile } }",
        "fn f<T: crate::roof::Tile>() {}",
        "const N: usize = <u8 as crate::roof::Tile>::SIZE;",
        "mod inner { use super::super::roof::Tile; }",
        // In these cases, the parent or the root re-exports the name.
        "use crate::Tile;",
        "use crate::roof::slate::Tile;",
        "pub(crate) use crate::roof::Tile;",
    ] {
        let text = format!(
            "--lib.rs\nmod ground;\nmod roof;\npub use roof::Tile;
             --ground.rs\n{import}
             --roof.rs\nmod slate;\npub use self::slate::Tile;
             --roof/slate.rs\npub struct Tile;"
        );
        let found = planted(&["ground", "roof"], &text);
        let expected = "imports up the layers: ground.rs -> roof/slate.rs (Tile)";
        assert_eq!(found, [expected], "{import}");
        assert_eq!(planted(&["roof", "ground"], &text), [""; 0], "{import}");
    }
}

#[test]
fn tests_other_crates_and_local_names_are_no_imports() {
    for harmless in [
        "#[cfg(test)] mod tests { use crate::roof::Tile; }",
        "#[cfg(test)]\nuse crate::roof::Tile;",
        "#[cfg(all(test, unix))] fn f(tile: crate::roof::Tile) {}",
        "#[test] fn f() { crate::roof::Tile::new(); }",
        "struct S; impl S { #[cfg(test)] fn f(tile: crate::roof::Tile) {} }",
        "/// See [`crate::roof::Tile`].\nstruct S;",
        "pub(in crate::roof) struct S;",
        "use roof::Tile;",
        "use ::roof::Tile; fn f(tile: ::roof::Tile) {}",
        "struct Tile; fn f(tile: Tile) { tile.roof.Tile }",
        "use other::Tile; use crate::*; fn f(tile: Tile) {}",
        "use crate::roof;",
    ] {
        let text = format!(
            "--lib.rs\nmod ground;\nmod roof;
             --ground.rs\n{harmless}
             --roof.rs\npub struct Tile;"
        );
        assert_eq!(planted(&["ground", "roof"], &text), [""; 0], "{harmless}");
    }
}

#[test]
fn a_circle_of_files_is_found_and_an_index_of_re_exports_is_none() {
    let text = "
        --lib.rs\nmod a;
        --a.rs\nmod b; mod c; pub use b::B; use c::C;
        --a/b.rs\npub struct B(super::C);
        --a/c.rs\npub struct C;";
    assert_eq!(planted(&[], text), [""; 0]);
    let text = text.replace("struct C", "struct C(super::B)");
    assert_eq!(
        planted(&[], &text),
        ["circle of files: a/b.rs -> a/c.rs (C), a/c.rs -> a/b.rs (B)"]
    );
    // A child module that uses a type of its parent imports this type.
    let text = "
        --lib.rs\nmod a;
        --a.rs\nmod b; use b::B; struct A(B); enum Kind { One }
        --a/b.rs\nuse super::Kind::One; pub struct B;";
    assert_eq!(
        planted(&[], text),
        ["circle of files: a.rs -> a/b.rs (B), a/b.rs -> a.rs (Kind)"]
    );
}

#[test]
fn a_circle_of_folders_is_found_though_no_files_form_one() {
    let text = "
        --lib.rs\nmod a; mod b;
        --a.rs\nmod one; mod two;
        --a/one.rs\nuse crate::b::B;
        --a/two.rs\npub struct Two;
        --b.rs\nmod three; pub struct B;
        --b/three.rs\nuse crate::a::two::Two;";
    assert_eq!(
        planted(&[], text),
        ["circle of folders: a/one.rs -> b.rs (B), b/three.rs -> a/two.rs (Two)"]
    );
}

#[test]
fn modules_and_items_that_a_macro_declares_are_read() {
    let text = "
        --lib.rs\nmod kinds; mod roof;
        --kinds.rs
        macro_rules! kinds {
            ($($name:ident $module:ident,)*) => {
                $(mod $module;)* $(pub use $module::$module;)* pub enum Kind { $($name),* }
                $(pub const $name: Kind = Kind::$name;)*
            };
        }
        kinds! { Pods pods, Nodes nodes, }
        --kinds/pods.rs\npub fn pods() {}
        --kinds/nodes.rs\npub fn nodes(roof: crate::roof::Roof) {}
        --roof.rs\nuse crate::kinds::{Kind, Nodes, pods}; pub struct Roof;";
    assert_eq!(
        planted(&["kinds", "roof"], text),
        [
            "circle of folders: kinds/nodes.rs -> roof.rs (Roof), roof.rs -> kinds.rs (Kind, Nodes)",
            "imports up the layers: kinds/nodes.rs -> roof.rs (Roof)",
        ]
    );
}

#[test]
fn what_cannot_be_resolved_is_named() {
    let found = |layers: &[&str], text: &str| planted(layers, text).join("\n");
    let lost = found(
        &[],
        "--lib.rs\nmod a;\n--a.rs\nuse crate::b::B; fn f() { super::c() }",
    );
    assert_eq!(
        lost,
        "a.rs: super::c leads nowhere\na.rs: crate::b::B leads nowhere"
    );
    assert_eq!(
        found(&[], "--lib.rs\nmod a;"),
        "lib.rs: there is no file for `a`"
    );
    assert!(found(&[], "--lib.rs\nmod 1;").starts_with("lib.rs: expected identifier"));
    let layers = found(&["b", "b"], "--lib.rs\nmod a;\n--a.rs\n");
    assert_eq!(
        layers,
        "the module `a` has no layer; add it to the list in DESIGN.md\n\
         the layer `b` of DESIGN.md is not a top-level module\n\
         the layer `b` of DESIGN.md is not a top-level module\n\
         the layer `b` occurs twice in DESIGN.md"
    );
}
