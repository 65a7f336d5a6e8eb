//! Counts the computing effort of generators on the current thread in *units of work*. With this count, a source can
//! detect an expensive object and move it to another thread.
//!
//! The effort for an object is not known in advance. For example, an expression may have nested loops, and a family may
//! have a sample for each pair of items of two lists. Therefore, a source first applies an object with a limit on the
//! units of work. If the limit is reached, the generators stop early, and the store discards their samples. The source
//! then applies the object again on a thread for blocking work, without a limit.
//!
//! One unit of work takes at most about 0.1 µs. The limit
//! [`Limits::expression_cost`](crate::registry::Limits::expression_cost) has the same unit.

use std::cell::Cell;

thread_local! {
    /// The remaining units of work on this thread; 0 if generators must stop early, and `u64::MAX` if there is no
    /// limit.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The units of work that a sample costs, without its text.
const SAMPLE: u64 = 2;
/// The number of bytes of text that cost one unit of work.
const TEXT: u64 = 100;

/// The result of [`limited`].
#[cfg(feature = "watch")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worked<T> {
    pub(crate) value: T,
    /// The remaining units of work. If the number is 0, the limit was reached, and at least one store has not applied
    /// the object.
    pub(crate) left: u64,
}

/// Restores the previous limit of the thread when this guard is dropped, also by a panic.
#[cfg(feature = "watch")]
struct Restore(u64);

/// Calls `work` with a limit: after `limit` units of work, the generators that `work` calls must stop early.
#[cfg(feature = "watch")]
pub(crate) fn limited<T>(limit: u64, work: impl FnOnce() -> T) -> Worked<T> {
    let _restore = Restore(LEFT.replace(limit));
    let value = work();
    let left = LEFT.get();
    Worked { value, left }
}

/// The remaining units of work on this thread.
pub(crate) fn left() -> u64 {
    LEFT.get()
}

/// Subtracts `units` from the remaining units of work on this thread.
pub(crate) fn spend(units: u64) {
    LEFT.set(LEFT.get().saturating_sub(units));
}

/// Whether the limit is reached. Generators must then stop early, because their samples are discarded.
pub(crate) fn is_interrupted() -> bool {
    LEFT.get() == 0
}

/// The units of work that `samples` samples with a total text of `bytes` bytes cost.
pub(crate) fn of_samples(samples: usize, bytes: usize) -> u64 {
    SAMPLE * samples as u64 + bytes as u64 / TEXT
}

/// Converts a limit on the units of work to a limit on the number of samples and a limit on the bytes of text.
///
/// A family that reaches one of these limits has used at least `work` units.
pub(super) fn room(work: u64) -> (usize, usize) {
    let size = |units: u64| usize::try_from(units).unwrap_or(usize::MAX);
    (size(work.div_ceil(SAMPLE)), size(work.saturating_mul(TEXT)))
}

// === impl Restore ===

#[cfg(feature = "watch")]
impl Drop for Restore {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

#[cfg(all(test, feature = "watch"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_limited_only_while_it_is_asked_for() {
        let worked = limited(10, || {
            spend(of_samples(2, 250));
            assert_eq!((left(), is_interrupted()), (4, false));
            let inner = limited(3, || spend(3));
            assert!(inner.left == 0 && !is_interrupted());
            left()
        });
        assert_eq!((worked.value, worked.left), (4, 4));
        let panicked = std::panic::catch_unwind(|| limited(1, || panic!("as a closure of a host")));
        assert!(panicked.is_err());
        assert_eq!(left(), u64::MAX);
    }

    #[test]
    fn the_room_of_a_limit_spends_it() {
        for work in [0, 1, 2, 3, 30_000] {
            let (samples, bytes) = room(work);
            assert!(of_samples(samples, 0) >= work && of_samples(0, bytes) >= work);
        }
        assert_eq!(room(u64::MAX).1, usize::MAX);
    }
}
