//! [`ListedExpensive`]: the expensive objects of a paged list that are applied after the last page (see the module
//! `expensive_list`).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::buffer_budget::{BufferBudget, BufferShare};
use crate::decode::{Encoding, Peeked};

/// The expensive objects of a paged list that are applied after the last page.
#[derive(Debug)]
pub(super) struct ListedExpensive {
    objects: VecDeque<(Peeked, Encoding, Bytes)>,
    /// The number of bytes of all objects.
    bytes: usize,
    share: BufferShare,
}

/// Maximum number of bytes of the expensive objects of a list that are applied after the last page.
const MAX_BYTES: usize = 16 << 20;

// === impl ListedExpensive ===

impl ListedExpensive {
    pub(super) fn new(budget: &Arc<BufferBudget>) -> Self {
        Self {
            objects: VecDeque::new(),
            bytes: 0,
            share: BufferShare::new(budget, None),
        }
    }

    /// Discards all objects, and releases their memory in the budget.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.bytes = 0;
        self.share.keep(0, false);
    }

    /// Whether there is memory for a further object of this size.
    pub(super) fn has_room(&mut self, size: usize) -> bool {
        let bytes = self.bytes + size;
        bytes <= MAX_BYTES && self.share.try_common(0, bytes)
    }

    pub(super) fn push(&mut self, identity: Peeked, encoding: Encoding, object: Bytes) {
        self.bytes += object.len();
        self.objects.push_back((identity, encoding, object));
    }

    /// The identities of all objects.
    pub(super) fn identities(&self) -> impl Iterator<Item = &Peeked> {
        self.objects.iter().map(|(identity, ..)| identity)
    }

    /// Removes and returns the next object, and releases its memory in the budget.
    pub(super) fn next(&mut self) -> Option<(Encoding, Bytes)> {
        let (_, encoding, object) = self.objects.pop_front()?;
        self.bytes -= object.len();
        self.share.keep(self.bytes, false);
        Some((encoding, object))
    }
}
