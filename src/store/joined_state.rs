//! [`JoinedState`]: the joined labels of a page, and their version.
//!
//! Joined labels are labels that an exposition adds to the samples of an object, such as labels of its namespace or
//! node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::joins::JoinedText;

/// The last known state of the joined labels of a page. A clone of the page has the same state.
#[derive(Debug, Default)]
pub(super) struct JoinedState(Mutex<Option<KnownState>>);

#[derive(Clone, Debug)]
struct KnownState {
    inputs: JoinInputs,
    fingerprint: u64,
    /// A number that changes whenever the joined labels of the page change. No two pages with different joined labels
    /// have the same number.
    version: u64,
    /// The joined labels; `None` if no exposition has needed them since they changed.
    text: Option<Arc<JoinedText>>,
}

/// The inputs that determine the joined labels of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JoinInputs {
    /// The version of the column with the references to the objects that provide joined labels.
    pub(super) links: u64,
    /// Identifies the state of the objects whose labels may be joined to the rows.
    pub(super) generation: u64,
}

// === impl JoinedState ===

impl JoinedState {
    /// The version of the joined labels. Calls `fingerprint` only if `inputs` have changed since the last call. The
    /// fingerprint shows whether the joined labels have changed.
    pub(super) fn version(&self, inputs: JoinInputs, fingerprint: impl FnOnce() -> u64) -> u64 {
        let mut known = self.0.lock();
        KnownState::update(&mut known, inputs, fingerprint).version
    }

    /// Returns the joined labels. Calls `text` if the joined labels have changed since the last call.
    pub(super) fn text(
        &self,
        inputs: JoinInputs,
        fingerprint: impl FnOnce() -> u64,
        text: impl FnOnce() -> JoinedText,
    ) -> Arc<JoinedText> {
        let mut known = self.0.lock();
        let known = KnownState::update(&mut known, inputs, fingerprint);
        Arc::clone(known.text.get_or_insert_with(|| Arc::new(text())))
    }

    /// Returns the memory of the joined labels, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let known = self.0.lock();
        let text = known.as_ref().and_then(|known| known.text.as_deref());
        text.map_or(0, JoinedText::heap_bytes)
    }
}

// === impl KnownState ===

impl KnownState {
    /// Replaces the last known state of a page by the state for `inputs`.
    fn update(
        known: &mut Option<Self>,
        inputs: JoinInputs,
        fingerprint: impl FnOnce() -> u64,
    ) -> &mut Self {
        let state = match known.take() {
            Some(same) if same.inputs == inputs => same,
            before => {
                let fingerprint = fingerprint();
                let same = before.filter(|before| {
                    before.inputs.links == inputs.links && before.fingerprint == fingerprint
                });
                match same {
                    Some(same) => Self { inputs, ..same },
                    None => Self {
                        inputs,
                        fingerprint,
                        version: next_version(),
                        text: None,
                    },
                }
            }
        };
        known.insert(state)
    }
}

impl Clone for JoinedState {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.0.lock().clone()))
    }
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
