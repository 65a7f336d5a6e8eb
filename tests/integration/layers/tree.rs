//! The modules of a crate: the files of the modules, the names that a module defines, and the paths that a module
//! mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::Item;
use syn::visit::Visit;

use super::macros::ITEM_KEYWORDS;
use super::reader::{Import, Reader};

/// The source files of a package by their path, such as `src/lib.rs`.
pub(super) type Files = BTreeMap<PathBuf, String>;

/// The modules of a crate. The first module is the root.
pub(super) struct Tree {
    pub(super) modules: Vec<Module>,
}

/// A module, which is a file or an inline module.
#[derive(Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    /// The names from the root to this module. The path of the root is empty.
    pub(super) path: Vec<String>,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// Names that the module defines.
    pub(super) items: BTreeSet<String>,
    /// Arguments of macro calls that become names of items.
    pub(super) arguments: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths in types, expressions, patterns and macros.
    pub(super) mentions: BTreeSet<Vec<String>>,
}

// === impl Tree ===

impl Tree {
    /// Parses a crate from its root file. Skips modules and items for tests.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing or does not parse.
    pub(super) fn parse(files: &Files, root: &Path) -> Result<Self, String> {
        let mut tree = Self {
            modules: Vec::new(),
        };
        let module = Module {
            file: root.to_owned(),
            ..Module::default()
        };
        let directory = root.parent().unwrap_or(Path::new(""));
        tree.add_file(files, module, directory)?;
        Ok(tree)
    }

    /// Adds a module and the modules below it. `directory` is the directory with the files of the module's children.
    fn add_file(
        &mut self,
        files: &Files,
        module: Module,
        directory: &Path,
    ) -> Result<usize, String> {
        let name = module.file.display().to_string();
        let text = files
            .get(&module.file)
            .ok_or_else(|| format!("{name} does not exist"))?;
        let parsed = syn::parse_file(text).map_err(|error| format!("{name}: {error}"))?;
        self.add_items(files, module, directory, &parsed.items)
    }

    fn add_items(
        &mut self,
        files: &Files,
        module: Module,
        directory: &Path,
        items: &[Item],
    ) -> Result<usize, String> {
        let at = self.modules.len();
        self.modules.push(module);
        let mut reader = Reader::default();
        items.iter().for_each(|item| reader.visit_item(item));
        let Reader {
            items,
            mut imports,
            mut mentions,
            modules,
            macros,
        } = reader;
        let has_file = |name: &str| file_of(files, directory, name).is_some();
        let declared = macros.arguments_of_calls(&["mod"], has_file);
        let reexported = macros.arguments_of_calls(&["use"], has_file);
        let arguments = macros.arguments_of_calls(ITEM_KEYWORDS, |_| true);
        imports.extend(reexported.into_iter().map(|name| Import {
            path: vec![name.clone(), name.clone()],
            name: Some(name),
            is_glob: false,
            is_reexport: true,
        }));
        // The arguments of these macros are names of new items, not paths.
        mentions.retain(|path| path.len() > 1 || !declared.contains(&path[0]));
        let declared = declared.into_iter().map(|name| (name, None));
        let modules = modules
            .into_iter()
            .map(|own| (own.ident.to_string(), own.content));
        let module = &mut self.modules[at];
        (module.items, module.arguments) = (items, arguments);
        (module.imports, module.mentions) = (imports, mentions);
        let (file, path) = (module.file.clone(), module.path.clone());
        for (name, content) in modules.chain(declared) {
            let mut module = Module {
                file: file.clone(),
                path: [path.as_slice(), std::slice::from_ref(&name)].concat(),
                parent: Some(at),
                ..Module::default()
            };
            let below = directory.join(&name);
            let added = match content {
                Some((_, items)) => self.add_items(files, module, &below, &items)?,
                None => {
                    module.file = file_of(files, directory, &name).ok_or_else(|| {
                        format!("{}: there is no file for `{name}`", file.display())
                    })?;
                    self.add_file(files, module, &below)?
                }
            };
            self.modules[at].children.insert(name, added);
        }
        Ok(at)
    }

    /// Whether `module` is `ancestor`, or is below `ancestor`.
    pub(super) fn is_within(&self, module: usize, ancestor: usize) -> bool {
        let mut next = Some(module);
        while let Some(at) = next {
            if at == ancestor {
                return true;
            }
            next = self.modules[at].parent;
        }
        false
    }
}

/// Returns the file of a module that is declared as `mod name;`.
fn file_of(files: &Files, directory: &Path, name: &str) -> Option<PathBuf> {
    let mut places = [format!("{name}.rs"), format!("{name}/mod.rs")].into_iter();
    let place = places.find(|place| files.contains_key(&directory.join(place)))?;
    Some(directory.join(place))
}
