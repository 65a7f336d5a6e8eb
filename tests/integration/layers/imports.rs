//! Finds the imports of modules. If a path names an item of another module, the search finds the module that defines
//! the item. The path may lead to a re-export of the item.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Import;
use super::tree::Tree;

/// The target of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(usize),
    /// An item that this module defines.
    Item(usize),
}

/// The imported names, by the indexes of two modules: first the importing module, then the imported module.
pub(super) type Imports = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Finds all imports between modules.
///
/// A path that ends at a module is not an import. A path that ends at an item is an import of the module that defines
/// the item. A module does not import the items that it re-exports from its children.
///
/// # Errors
///
/// Returns an error if a path that begins in this crate does not resolve.
pub(super) fn imports(tree: &Tree) -> Result<Imports, String> {
    let mut imports = Imports::new();
    let mut lost = Vec::new();
    for (from, module) in tree.modules.iter().enumerate() {
        let mut add = |path: &[String], is_reexport: bool| {
            let (targets, length) = resolve_path(tree, from, path, &mut BTreeSet::new());
            if targets.is_empty() && begins_here(tree, from, path) {
                let file = module.file.display();
                lost.push(format!("{file}: {} leads nowhere", path.join("::")));
            }
            for target in targets {
                let Target::Item(to) = target else { continue };
                if from != to && !(is_reexport && tree.is_within(to, from)) {
                    let names = imports.entry((from, to)).or_default();
                    names.insert(path[length - 1].clone());
                }
            }
        };
        module.mentions.iter().for_each(|path| add(path, false));
        for import in module.imports.iter().filter(|own| !own.is_glob) {
            add(&import.path, import.is_reexport);
        }
    }
    match lost.is_empty() {
        true => Ok(imports),
        false => Err(lost.join("\n")),
    }
}

/// Whether a path begins at a module of this crate. Such a path must resolve.
fn begins_here(tree: &Tree, from: usize, path: &[String]) -> bool {
    let first = path.first().map_or("", String::as_str);
    let is_keyword = ["crate", "self", "super"].contains(&first);
    // A path with one name is not an import. For example, the path `self` is a value.
    path.len() > 1 && (is_keyword || tree.modules[from].children.contains_key(first))
}

/// Returns the target of a path, and the number of names in the path that lead to the target. Any further names in the
/// path belong to the item, for example the name of a variant.
///
/// `seen` contains the names that are being resolved, so that the search ends if glob imports form a cycle.
fn resolve_path(
    tree: &Tree,
    from: usize,
    path: &[String],
    seen: &mut BTreeSet<(usize, String)>,
) -> (Vec<Target>, usize) {
    let Some((first, mut rest)) = path.split_first() else {
        return (Vec::new(), 0);
    };
    let mut targets = match first.as_str() {
        "crate" => vec![Target::Module(0)],
        "self" => vec![Target::Module(from)],
        "super" => parent(tree, from),
        name => resolve_name(tree, from, name, seen),
    };
    while let Some((name, further)) = rest.split_first() {
        let modules = targets.iter().filter_map(|target| match target {
            Target::Module(at) => Some(*at),
            Target::Item(_) => None,
        });
        let modules: Vec<_> = modules.collect();
        if modules.is_empty() {
            break;
        }
        let next = modules.into_iter().flat_map(|module| match name.as_str() {
            "super" => parent(tree, module),
            name => resolve_name(tree, module, name, seen),
        });
        targets = next.collect();
        rest = further;
    }
    targets.sort_unstable();
    targets.dedup();
    (targets, path.len() - rest.len())
}

fn parent(tree: &Tree, module: usize) -> Vec<Target> {
    let parent = tree.modules[module].parent;
    parent.map(Target::Module).into_iter().collect()
}

/// Returns the items with a name in a module.
///
/// Several items can have the same name, for example a type and a function, or two items for different features.
fn resolve_name(
    tree: &Tree,
    module: usize,
    name: &str,
    seen: &mut BTreeSet<(usize, String)>,
) -> Vec<Target> {
    let own = &tree.modules[module];
    let mut targets = Vec::new();
    if own.items.contains(name) {
        targets.push(Target::Item(module));
    }
    targets.extend(own.children.get(name).copied().map(Target::Module));
    if !seen.insert((module, name.to_owned())) {
        return targets;
    }
    let follow = |import: &Import, seen: &mut _| resolve_path(tree, module, &import.path, seen).0;
    let mut is_named = !targets.is_empty();
    for import in own
        .imports
        .iter()
        .filter(|own| own.name.as_deref() == Some(name))
    {
        // The import may be from another crate. Therefore, the name counts as defined even if the search finds no
        // target.
        is_named = true;
        targets.extend(follow(import, seen));
    }
    for import in own.imports.iter().filter(|own| own.is_glob && !is_named) {
        for target in follow(import, seen) {
            if let Target::Module(at) = target {
                targets.extend(resolve_name(tree, at, name, seen));
            }
        }
    }
    seen.remove(&(module, name.to_owned()));
    if targets.is_empty() && own.arguments.contains(name) {
        targets.push(Target::Item(module));
    }
    targets
}
