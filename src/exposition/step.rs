//! [`Step`]: a bounded amount of work on an exposition.

/// The result of a step. A step does a limited amount of work on an exposition.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Item(T),
    /// The next item is not complete yet. Before the next step, the caller may let other tasks run.
    Pause,
    /// No item follows.
    End,
}

// === impl Step ===

impl<T> Step<T> {
    /// Calls `step` until `step` returns an item. Returns `None` after the last item.
    pub(super) fn next_item(mut step: impl FnMut() -> Self) -> Option<T> {
        loop {
            match step() {
                Self::Item(item) => return Some(item),
                Self::Pause => {}
                Self::End => return None,
            }
        }
    }
}
