//! [`PostponedObjects`]: the large and expensive objects of a watch that are applied later.
//!
//! An object is *large* if it has many bytes. An object is *expensive* if its families need too much computing time for
//! a worker thread of the runtime. While such an object is applied on another thread, the watch cannot apply other
//! objects. So events could arrive faster than the watch applies them, for example if a few large objects change very
//! often. Three rules prevent this:
//!
//! - The watch postpones a large or expensive object, and first handles the other events that have arrived. Then the
//!   watch applies one postponed object, and so on. If a postponed object has waited for a second, the watch reads no
//!   more events before it applies a postponed object.
//! - If a postponed object changes again, the new version replaces the postponed version. So the watch applies only the
//!   newest version.
//! - If too many objects are postponed, the watch applies the next large or expensive object immediately.
//!
//! Only events that follow a list are postponed. A complete list contains the newest version of all objects, so its end
//! discards the postponed objects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::buffer_budget::{BufferBudget, BufferShare};
use crate::decode::{Encoding, Peeked, peek};
use crate::k8s::resource_version;

/// The postponed objects. The objects of each [`Work`] are in the order in which they are applied.
#[derive(Debug)]
pub(super) struct PostponedObjects {
    objects: VecDeque<PostponedObject>,
    /// The number of bytes of all events in `objects`.
    bytes: usize,
    share: BufferShare,
}

/// An object that was received but not applied.
#[derive(Debug)]
pub(super) struct PostponedObject {
    namespace: String,
    name: String,
    version: Option<u64>,
    /// Whether no version of the object was applied.
    is_new: bool,
    pub(super) work: Work,
    pub(super) encoding: Encoding,
    pub(super) object: Bytes,
    /// The time at which the first version that was not applied arrived.
    pub(super) arrived: Instant,
}

/// Why an object is applied on a thread for blocking work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The object has many bytes. It may also be expensive.
    Large,
    /// The object needs too many units of work.
    Expensive,
}

/// Maximum number of postponed objects of a watch.
const MAX_OBJECTS: usize = 64;
/// Maximum number of bytes of the postponed objects of a watch. A single object may be larger. By default, the postponed
/// objects of all watches together have at most 1.5 times this size, because the [`BufferBudget`] leaves half of its
/// memory for smaller buffers.
const MAX_BYTES: usize = 16 << 20;

// === impl PostponedObjects ===

impl PostponedObjects {
    pub(super) fn new(budget: &Arc<BufferBudget>) -> Self {
        Self {
            objects: VecDeque::new(),
            bytes: 0,
            share: BufferShare::new(budget, None),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Postpones an object. If an earlier version of the object is postponed, the new version takes its place. Returns
    /// false if the object cannot be postponed, because too many objects are postponed. Then no version of the object
    /// is postponed.
    pub(super) fn insert(&mut self, mut object: PostponedObject) -> bool {
        let at = self.position(&object.namespace, &object.name);
        let replaced = at.and_then(|at| self.objects.get(at));
        let bytes = self.bytes - replaced.map_or(0, |own| own.object.len()) + object.object.len();
        let others = self.objects.len() - usize::from(replaced.is_some());
        let fits = others == 0 || others < MAX_OBJECTS && bytes <= MAX_BYTES;
        if !fits || !self.share.try_common(0, bytes) {
            self.remove(&object.namespace, &object.name);
            return false;
        }
        self.bytes = bytes;
        match at.and_then(|at| self.objects.get_mut(at)) {
            Some(own) => {
                (object.arrived, object.is_new) = (own.arrived, own.is_new);
                // An object that was expensive probably still is. So it keeps its place among the expensive objects.
                if own.work == Work::Expensive {
                    object.work = Work::Expensive;
                }
                *own = object;
            }
            None => self.objects.push_back(object),
        }
        true
    }

    /// Whether a version of this object is postponed.
    pub(super) fn contains(&self, namespace: &str, name: &str) -> bool {
        self.position(namespace, name).is_some()
    }

    /// Removes the object with this namespace and name.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(at) = self.position(namespace, name)
            && let Some(removed) = self.objects.remove(at)
        {
            self.bytes -= removed.object.len();
            self.release();
        }
    }

    /// Removes and returns the object with this work that is applied next. Its memory stays in use until
    /// [`release`](Self::release).
    pub(super) fn next(&mut self, work: Work) -> Option<PostponedObject> {
        let at = self.objects.iter().position(|own| own.work == work)?;
        let next = self.objects.remove(at)?;
        self.bytes -= next.object.len();
        Some(next)
    }

    /// Whether an object with this work is postponed.
    pub(super) fn has(&self, work: Work) -> bool {
        self.objects.iter().any(|own| own.work == work)
    }

    /// Postpones an object again that [`next`](Self::next) has returned, because it is expensive. Its memory is still in
    /// use.
    pub(super) fn return_expensive(&mut self, object: PostponedObject) {
        self.bytes += object.object.len();
        self.objects.push_back(PostponedObject {
            work: Work::Expensive,
            ..object
        });
    }

    /// The postponed objects, each with its namespace, name and version.
    pub(super) fn iter(&self) -> impl Iterator<Item = ((&str, &str), Option<u64>)> {
        let objects = self.objects.iter();
        objects.map(|own| ((&*own.namespace, &*own.name), own.version))
    }

    /// The number of postponed objects of which no version was applied.
    pub(super) fn new_objects(&self) -> usize {
        self.objects.iter().filter(|own| own.is_new).count()
    }

    /// The time since which at least one object has been waiting. `None` if no object is postponed.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.objects.iter().map(|own| own.arrived).min()
    }

    /// The longest time for which an object has been waiting.
    pub(super) fn longest_wait(&self) -> Duration {
        let since = self.waiting_since();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Discards all postponed objects.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.bytes = 0;
        self.release();
    }

    /// Releases the memory of removed objects.
    pub(super) fn release(&mut self) {
        self.share.keep(self.bytes, false);
    }

    fn position(&self, namespace: &str, name: &str) -> Option<usize> {
        let is_own = |own: &PostponedObject| own.name == name && own.namespace == namespace;
        self.objects.iter().position(is_own)
    }
}

// === impl PostponedObject ===

impl PostponedObject {
    /// `is_new` states whether the event says that the object was created.
    pub(super) fn new(
        identity: &Peeked,
        is_new: bool,
        work: Work,
        encoding: Encoding,
        object: Bytes,
        arrived: Instant,
    ) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
            version: resource_version::as_u64(&identity.resource_version),
            is_new,
            work,
            encoding,
            object,
            arrived,
        }
    }
}

/// Reads the identity of an object. The identity of a large object is read on a thread for blocking work.
pub(super) async fn identity_of(encoding: Encoding, object: &Bytes) -> Option<Peeked> {
    if object.len() < encoding.large_object() {
        return peek(encoding.object(object));
    }
    let object = object.clone();
    let peeked = spawn_blocking(move || peek(encoding.object(&object)));
    peeked.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, text: &str, arrived: Instant) -> PostponedObject {
        let identity = Peeked {
            name: name.to_owned(),
            ..Peeked::default()
        };
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let work = Work::Expensive;
        PostponedObject::new(&identity, false, work, Encoding::Json, bytes, arrived)
    }

    #[test]
    fn a_new_version_takes_the_place_of_the_postponed_one() {
        let budget = Arc::new(BufferBudget::new(None, None));
        let mut postponed = PostponedObjects::new(&budget);
        let first = Instant::now();
        let later = first + Duration::from_secs(1);
        assert!(postponed.insert(object("a", "old", first)));
        assert!(postponed.insert(object("b", "only", later)));
        assert!(postponed.insert(object("c", "deleted", later)));
        assert!(postponed.insert(object("a", "new", later)));
        postponed.remove("", "c");
        let next = postponed.next(Work::Expensive).unwrap();
        assert_eq!((&*next.object, next.arrived), (&b"new"[..], first));
        assert_eq!(postponed.next(Work::Expensive).unwrap().object, "only");
        assert!(postponed.next(Work::Expensive).is_none() && postponed.bytes == 0);
    }

    #[test]
    fn the_number_and_the_size_of_postponed_objects_are_limited() {
        let budget = Arc::new(BufferBudget::new(Some(64 << 20), Some(16 << 20)));
        let mut postponed = PostponedObjects::new(&budget);
        let now = Instant::now();
        for number in 0..MAX_OBJECTS {
            assert!(postponed.insert(object(&number.to_string(), "text", now)));
        }
        assert!(!postponed.insert(object("one more", "text", now)));
        assert!(postponed.insert(object("0", "a new version", now)));
        // A version that is too large removes the postponed version, because the caller applies the new version now.
        let large = "x".repeat(MAX_BYTES);
        assert!(!postponed.insert(object("1", &large, now)));
        assert!(!postponed.contains("", "1") && postponed.contains("", "0"));
        postponed.clear();
        // A single object may be larger than the limit.
        let larger = "x".repeat(MAX_BYTES + 1);
        assert!(postponed.insert(object("1", &larger, now)));
        assert_eq!(budget.figures().bytes, larger.len());
        assert!(!postponed.insert(object("2", "text", now)));
        postponed.next(Work::Expensive).unwrap();
        postponed.release();
        assert_eq!(budget.figures().bytes, 0);
    }

    #[test]
    fn large_and_expensive_objects_have_their_own_order() {
        let budget = Arc::new(BufferBudget::new(None, None));
        let mut postponed = PostponedObjects::new(&budget);
        let first = Instant::now();
        for (name, work) in [
            ("a", Work::Expensive),
            ("b", Work::Large),
            ("c", Work::Large),
        ] {
            let own = object(name, name, first);
            assert!(postponed.insert(PostponedObject { work, ..own }));
        }
        let large = postponed.next(Work::Large).unwrap();
        assert_eq!(large.object, "b");
        // The object is also expensive, so it waits for the earlier expensive object.
        postponed.return_expensive(large);
        assert_eq!((postponed.len(), postponed.bytes), (3, 3));
        assert_eq!(postponed.next(Work::Expensive).unwrap().object, "a");
        assert_eq!(postponed.next(Work::Expensive).unwrap().object, "b");
        assert!(!postponed.has(Work::Expensive) && postponed.has(Work::Large));
        assert_eq!(postponed.waiting_since(), Some(first));
    }
}
