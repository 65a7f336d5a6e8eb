//! [`Rows`]: the rows of a table in a report, with a lookup by name.

use std::collections::HashMap;

/// The rows of a table, in the order in which the rows were added.
#[derive(Default)]
pub(super) struct Rows<R> {
    pub(super) all: Vec<R>,
    numbers: HashMap<String, usize>,
}

// === impl Rows ===

impl<R> Rows<R> {
    /// The index of the row with this name. If there is no such row, adds the row that `new` returns.
    pub(super) fn number(&mut self, name: &str, new: impl FnOnce() -> R) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.all.len();
        self.all.push(new());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}
