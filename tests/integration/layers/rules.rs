//! The rules of the layers in DESIGN.md: a module may import only from the same or a lower layer, and imports must not
//! form a cycle.

use std::collections::BTreeSet;
use std::path::Path;

use super::circles::{Graph, circles};
use super::imports::{Imports, imports};
use super::tree::{Files, Tree};

/// Returns a description of each problem in the imports of a crate.
///
/// `layers` contains the top-level modules of the crate, with the lowest layer first. If `layers` is `None`, the
/// function checks only for cycles.
pub(super) fn problems(files: &Files, root: &Path, layers: Option<&[String]>) -> Vec<String> {
    let found = Tree::parse(files, root).and_then(|tree| {
        let imports = imports(&tree)?;
        let mut problems = problems_of_circles(&tree, &imports);
        if let Some(layers) = layers {
            problems.extend(problems_of_layers(&tree, &imports, layers));
        }
        Ok(problems)
    });
    found.unwrap_or_else(|problem| vec![problem])
}

/// Returns the importing file and the imported file.
fn names(tree: &Tree, (from, to): (usize, usize)) -> (&str, &str) {
    let name = |at: usize| tree.modules[at].file.to_str().unwrap_or_default();
    (name(from), name(to))
}

fn problems_of_layers(tree: &Tree, imports: &Imports, layers: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let modules: BTreeSet<_> = tree.modules[0].children.keys().collect();
    for name in modules.iter().filter(|name| !layers.contains(**name)) {
        problems.push(format!(
            "the module `{name}` has no layer; add it to the list in DESIGN.md"
        ));
    }
    for (at, name) in layers.iter().enumerate() {
        if !modules.contains(name) {
            problems.push(format!(
                "the layer `{name}` of DESIGN.md is not a top-level module"
            ));
        }
        if layers[..at].contains(name) {
            problems.push(format!("the layer `{name}` occurs twice in DESIGN.md"));
        }
    }
    // The root is above all layers.
    let height = |module: usize| {
        let name = tree.modules[module].path.first();
        name.map_or(Some(layers.len()), |name| {
            layers.iter().position(|own| own == name)
        })
    };
    for ((from, to), used) in imports {
        if let (Some(own), Some(other)) = (height(*from), height(*to))
            && own < other
        {
            problems.push(format!(
                "imports up the layers: {}",
                shown(tree, (*from, *to), used)
            ));
        }
    }
    problems
}

fn problems_of_circles(tree: &Tree, imports: &Imports) -> Vec<String> {
    let mut files: Graph<&str> = Graph::new();
    for edge in imports.keys() {
        let (from, to) = names(tree, *edge);
        if from != to {
            files.entry(from).or_default().insert(to);
        }
    }
    let mut problems = Vec::new();
    for circle in circles(&files) {
        let edges = circle.iter().zip(circle.iter().cycle().skip(1));
        let edges = edges.map(|(from, to)| {
            let edge = imports
                .iter()
                .find(|(edge, _)| names(tree, **edge) == (*from, *to));
            edge.map_or_else(String::new, |(edge, used)| shown(tree, *edge, used))
        });
        let edges: Vec<_> = edges.collect();
        problems.push(format!("circle of files: {}", edges.join(", ")));
    }
    for folder in 0..tree.modules.len() {
        problems.extend(problems_of_folder(tree, imports, folder));
    }
    problems
}

/// Finds cycles between the direct children of a module. The imports of a child include the imports of all modules
/// below the child.
fn problems_of_folder(tree: &Tree, imports: &Imports, folder: usize) -> Vec<String> {
    let children = &tree.modules[folder].children;
    let child_of = |module: usize| {
        let mut children = children.values();
        children
            .find(|child| tree.is_within(module, **child))
            .copied()
    };
    let mut graph: Graph<usize> = Graph::new();
    let mut first = std::collections::BTreeMap::new();
    for (edge, used) in imports {
        if let (Some(from), Some(to)) = (child_of(edge.0), child_of(edge.1))
            && from != to
        {
            graph.entry(from).or_default().insert(to);
            first
                .entry((from, to))
                .or_insert_with(|| shown(tree, *edge, used));
        }
    }
    let has_folder = |circle: &[usize]| {
        circle
            .iter()
            .any(|module| !tree.modules[*module].children.is_empty())
    };
    let circles = circles(&graph)
        .into_iter()
        .filter(|circle| has_folder(circle));
    let problems = circles.map(|circle| {
        let edges = circle.iter().zip(circle.iter().cycle().skip(1));
        let edges: Vec<_> = edges
            .map(|(from, to)| first[&(*from, *to)].as_str())
            .collect();
        format!("circle of folders: {}", edges.join(", "))
    });
    problems.collect()
}

/// Returns an import as `from -> to (names)`.
fn shown(tree: &Tree, edge: (usize, usize), used: &BTreeSet<String>) -> String {
    let (from, to) = names(tree, edge);
    let used: Vec<_> = used.iter().map(String::as_str).collect();
    format!("{from} -> {to} ({})", used.join(", "))
}
