//! Finds macros that define modules and items.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

/// Keywords before the name of an item.
pub(super) const ITEM_KEYWORDS: &[&str] = &[
    "const", "enum", "fn", "static", "struct", "trait", "type", "union",
];

/// The macro definitions of a module, and the macro calls that define items.
#[derive(Default)]
pub(super) struct Macros {
    pub(super) definitions: BTreeMap<String, TokenStream>,
    pub(super) calls: Vec<(String, TokenStream)>,
}

// === impl Macros ===

impl Macros {
    /// Returns those arguments of macro calls that become names of items.
    ///
    /// An argument becomes the name of an item if the definition of the macro has a keyword before the macro variable,
    /// as in `mod $name;`.
    pub(super) fn arguments_of_calls(
        &self,
        keywords: &[&str],
        is_one: impl Fn(&str) -> bool,
    ) -> BTreeSet<String> {
        let mut arguments = BTreeSet::new();
        for (name, tokens) in &self.calls {
            let mut has_keyword = false;
            if let Some(definition) = self.definitions.get(name) {
                each_pair(definition, &mut |first, second| {
                    has_keyword |= keywords.contains(&first) && second == "$";
                });
            }
            each_pair(tokens, &mut |argument, _| {
                if has_keyword && is_one(argument) {
                    arguments.insert(argument.to_owned());
                }
            });
        }
        arguments
    }
}

/// Calls `found` with each token and the token after it, including the tokens in groups.
pub(super) fn each_pair(tokens: &TokenStream, found: &mut dyn FnMut(&str, &str)) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => each_pair(&group.stream(), found),
            token => {
                let next = tokens.get(at + 1).map(ToString::to_string);
                found(&token.to_string(), &next.unwrap_or_default());
            }
        }
    }
}
