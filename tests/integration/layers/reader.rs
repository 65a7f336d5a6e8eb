//! [`Reader`]: collects the items, imports and paths of one module.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, TraitItem, UseTree, Visibility};

use super::macros::{ITEM_KEYWORDS, Macros, each_pair};

/// One imported name of a `use` declaration.
#[derive(Clone, PartialEq)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// The name that the import defines. `None` for `*` and for `as _`.
    pub(super) name: Option<String>,
    pub(super) is_glob: bool,
    /// Whether the import has a visibility such as `pub`, so that other modules can name it.
    pub(super) is_reexport: bool,
}

/// Reads the items of one module.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    pub(super) mentions: BTreeSet<Vec<String>>,
    pub(super) modules: Vec<syn::ItemMod>,
    pub(super) macros: Macros,
}

// === impl Reader ===

impl Reader {
    fn define(&mut self, name: &syn::Ident) {
        self.items.insert(name.to_string());
    }

    fn add_use(&mut self, prefix: &[String], tree: &UseTree, is_reexport: bool) {
        let mut add = |path: Vec<String>, name: Option<String>, is_glob| {
            self.imports.push(Import {
                path,
                name,
                is_glob,
                is_reexport,
            });
        };
        let joined = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&joined(&path.ident), &path.tree, is_reexport),
            UseTree::Group(group) => {
                let trees = group.items.iter();
                trees.for_each(|tree| self.add_use(prefix, tree, is_reexport));
            }
            UseTree::Glob(_) => add(prefix.to_vec(), None, true),
            UseTree::Name(name) if name.ident == "self" => {
                add(prefix.to_vec(), prefix.last().cloned(), false);
            }
            UseTree::Name(name) => add(joined(&name.ident), Some(name.ident.to_string()), false),
            UseTree::Rename(rename) => {
                let path = match rename.ident == "self" {
                    true => prefix.to_vec(),
                    false => joined(&rename.ident),
                };
                let name = (rename.rename != "_").then(|| rename.rename.to_string());
                add(path, name, false);
            }
        }
    }

    /// Reads the tokens of a macro call. Parses the tokens as items, or as statements if they are not items. If both
    /// fail, finds only the paths in the tokens.
    fn read_macro(&mut self, tokens: &TokenStream) {
        if let Ok(file) = syn::parse2::<syn::File>(tokens.clone()) {
            file.items.iter().for_each(|item| self.visit_item(item));
        } else if let Ok(block) = syn::parse2::<Statements>(tokens.clone()) {
            block.0.iter().for_each(|stmt| self.visit_stmt(stmt));
        } else {
            self.read_tokens(tokens, &[]);
        }
    }

    /// Finds the paths in tokens that are not valid Rust. If the tokens are a group after `::`, `prefix` is the path
    /// before the group.
    fn read_tokens(&mut self, tokens: &TokenStream, prefix: &[String]) {
        let tokens: Vec<_> = tokens.clone().into_iter().collect();
        let punct = |at: usize| match tokens.get(at) {
            Some(TokenTree::Punct(punct)) => punct.as_char(),
            _ => ' ',
        };
        let is_colons = |at: usize| punct(at) == ':' && punct(at + 1) == ':';
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read_tokens(&group.stream(), &[]),
                TokenTree::Ident(first) => {
                    let before = |back: usize| at.checked_sub(back).map_or(' ', punct);
                    let is_field = before(1) == '.' && before(2) != '.';
                    let is_variable = before(1) == '$' && first != "crate";
                    let continues = before(1) == ':' && before(2) == ':';
                    let begins = !(is_field || is_variable || continues || before(1) == '\'');
                    let mut path = [prefix, &[first.to_string()]].concat();
                    while is_colons(at + 1) {
                        match tokens.get(at + 3) {
                            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
                            Some(TokenTree::Group(group))
                                if group.delimiter() == Delimiter::Brace =>
                            {
                                self.read_tokens(&group.stream(), &path);
                                at += 3;
                                break;
                            }
                            _ => break,
                        }
                        at += 3;
                    }
                    if begins {
                        self.mentions.insert(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// The statements of a block.
struct Statements(Vec<syn::Stmt>);

impl syn::parse::Parse for Statements {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Self> {
        syn::Block::parse_within(input).map(Self)
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(module) => return self.modules.push(module.clone()),
            Item::Use(item) => {
                if item.leading_colon.is_none() {
                    let is_reexport = !matches!(item.vis, Visibility::Inherited);
                    self.add_use(&[], &item.tree, is_reexport);
                }
                return;
            }
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Fn(item) => self.define(&item.sig.ident),
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::TraitAlias(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            Item::Union(item) => self.define(&item.ident),
            Item::Macro(item) => {
                let tokens = &item.mac.tokens;
                if let Some(name) = &item.ident {
                    self.define(name);
                    // An item in the macro belongs to the module of the macro, unless the name of the item is a
                    // parameter.
                    each_pair(tokens, &mut |keyword, name| {
                        if ITEM_KEYWORDS.contains(&keyword) && name != "$" {
                            self.items.insert(name.to_owned());
                        }
                    });
                    self.macros
                        .definitions
                        .insert(name.to_string(), tokens.clone());
                    return self.read_tokens(tokens, &[]);
                }
                if let Some(name) = item.mac.path.get_ident() {
                    self.macros.calls.push((name.to_string(), tokens.clone()));
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes: &[Attribute] = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|own| own.ident.to_string());
            self.mentions.insert(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.read_macro(&mac.tokens);
    }

    // Attributes such as `#[derive(..)]` and visibilities such as `pub(in ..)` are skipped, because their paths are not
    // imports.

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether one of the attributes excludes the item from builds without tests.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => needs_tests(&list.tokens),
        _ => false,
    })
}

/// Whether a condition is true only in tests: `test`, `doctest`, or an `all` that contains one of them.
fn needs_tests(condition: &TokenStream) -> bool {
    match syn::parse2::<Meta>(condition.clone()) {
        Ok(Meta::Path(path)) => path.is_ident("test") || path.is_ident("doctest"),
        Ok(Meta::List(list)) if list.path.is_ident("all") => {
            let mut parts = vec![TokenStream::new()];
            for token in list.tokens {
                match &token {
                    TokenTree::Punct(punct) if punct.as_char() == ',' => {
                        parts.push(TokenStream::new());
                    }
                    _ => parts.last_mut().unwrap().extend([token]),
                }
            }
            parts.iter().any(needs_tests)
        }
        _ => false,
    }
}
