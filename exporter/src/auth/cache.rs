//! [`Cache`]: stores verdicts of the API server for a limited time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The maximum number of verdicts in a cache.
pub(super) const REMEMBERED: usize = 1024;
/// The maximum memory of the values in a cache, in bytes.
pub(super) const LARGEST_CACHE: usize = 16 << 20;

/// A cache of verdicts of the API server.
pub(super) struct Cache<K, V> {
    answers: Mutex<Answers<K, V>>,
    /// The maximum age of a verdict that the exporter uses if the API server does not answer. The age is the time since
    /// the review.
    grace: Duration,
    /// A key of this cache, such as a token, counts as known for this time after its last verdict. Reviews of known
    /// keys wait in a separate queue.
    known: Duration,
}

/// The size of a value in a cache.
pub(super) trait Size {
    /// The approximate memory outside of the value itself, in bytes.
    fn size(&self) -> usize;
}

/// The result of a lookup.
#[derive(Debug, PartialEq)]
pub(super) enum Found<V> {
    /// A verdict that is still valid.
    Valid(V),
    /// A verdict that is still valid, but must be renewed. The caller must renew the verdict, because no other caller
    /// receives this result.
    Renew(V),
    /// The verdict has expired, but the key still counts as known.
    Expired,
    Nothing,
}

struct Answers<K, V> {
    by_key: HashMap<K, Remembered<V>>,
    /// The total size of the values.
    size: usize,
}

struct Remembered<V> {
    /// The verdict; `None` if it is no longer used, but the key still counts as known.
    value: Option<V>,
    since: Instant,
    /// When the verdict expires.
    until: Instant,
    /// Whether a caller is renewing the verdict.
    is_renewed: bool,
}

// === impl Cache ===

impl<K: Eq + Hash + Clone, V: Clone + Size> Cache<K, V> {
    pub(super) fn new(grace: Duration, known: Duration) -> Self {
        Self {
            answers: Mutex::default(),
            grace,
            known,
        }
    }

    /// Looks up a key. In the second half of the lifetime of a verdict, one caller receives [`Found::Renew`] and must
    /// renew the verdict.
    pub(super) fn find(&self, key: &K) -> Found<V> {
        let mut answers = self.answers.lock();
        let Some(answer) = answers.by_key.get_mut(key) else {
            return Found::Nothing;
        };
        let now = Instant::now();
        match &answer.value {
            Some(value) if answer.until > now => {
                let is_old = now - answer.since >= answer.until - now;
                let value = value.clone();
                if is_old && !answer.is_renewed {
                    answer.is_renewed = true;
                    return Found::Renew(value);
                }
                Found::Valid(value)
            }
            _ if now - answer.since < self.known => Found::Expired,
            _ => Found::Nothing,
        }
    }

    /// The verdict, if it is still valid.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.by_key.get(key)?;
        let is_valid = answer.until > Instant::now();
        answer.value.clone().filter(|_| is_valid)
    }

    /// Records that a renewal has failed, so that another caller renews the verdict.
    pub(super) fn renewal_failed(&self, key: &K) {
        if let Some(answer) = self.answers.lock().by_key.get_mut(key) {
            answer.is_renewed = false;
        }
    }

    /// The last verdict; `None` after its grace period. The caller uses this verdict only if the API server does not
    /// answer.
    pub(super) fn get_within_grace(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.by_key.get(key)?;
        let is_within = answer.since.elapsed() < self.grace;
        answer.value.clone().filter(|_| is_within)
    }

    pub(super) fn remove(&self, key: &K) {
        self.answers.lock().remove(key);
    }

    /// Frees the verdicts that are no longer used, and forgets the keys that no longer count as known.
    pub(super) fn free_expired(&self) {
        self.answers.lock().free_expired(self.grace, self.known);
    }

    pub(super) fn insert(&self, key: K, value: V, holds: Duration) {
        let now = Instant::now();
        let size = value.size();
        let mut answers = self.answers.lock();
        answers.remove(&key);
        if answers.lacks_space(size) {
            answers.free_expired(self.grace, self.known);
        }
        while answers.lacks_space(size)
            && let Some(oldest) = answers.oldest()
        {
            answers.remove(&oldest);
        }
        let answer = Remembered {
            value: Some(value),
            since: now,
            until: now + holds,
            is_renewed: false,
        };
        answers.size += size;
        answers.by_key.insert(key, answer);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.lock().by_key.len()
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.answers.lock().size
    }
}

// === impl Answers ===

impl<K: Eq + Hash + Clone, V: Size> Answers<K, V> {
    fn remove(&mut self, key: &K) {
        let removed = self.by_key.remove(key);
        let value = removed.and_then(|removed| removed.value);
        self.size -= value.map_or(0, |value| value.size());
    }

    fn free_expired(&mut self, grace: Duration, known: Duration) {
        let now = Instant::now();
        let Self { by_key, size } = self;
        by_key.retain(|_, answer| {
            if answer.until > now {
                return true;
            }
            if answer.since + grace <= now {
                *size -= answer.value.take().map_or(0, |value| value.size());
            }
            answer.since + grace.max(known) > now
        });
    }

    /// Whether the cache has no space for one more value of this size.
    fn lacks_space(&self, size: usize) -> bool {
        self.by_key.len() >= REMEMBERED || self.size + size > LARGEST_CACHE
    }

    fn oldest(&self) -> Option<K> {
        let oldest = self.by_key.iter().min_by_key(|(_, answer)| answer.since);
        oldest.map(|(key, _)| key.clone())
    }
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            size: 0,
        }
    }
}

// === impl Size ===

impl Size for () {
    fn size(&self) -> usize {
        0
    }
}

impl Size for bool {
    fn size(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(60);

    impl Size for char {
        fn size(&self) -> usize {
            0
        }
    }

    impl Size for usize {
        fn size(&self) -> usize {
            *self
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_are_forgotten_before_all_need_too_much_memory() {
        let cache = Cache::new(Duration::ZERO, HOLDS);
        for key in 0..100 {
            cache.insert(key, LARGEST_CACHE / 4, HOLDS);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!((cache.len(), cache.size()), (4, LARGEST_CACHE));
        assert_eq!(
            (cache.get(&95), cache.get(&96)),
            (None, Some(LARGEST_CACHE / 4))
        );
        cache.insert(96, 1, HOLDS);
        cache.remove(&97);
        assert_eq!((cache.len(), cache.size()), (3, LARGEST_CACHE / 2 + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn expired_answers_are_freed_while_their_keys_stay_known() {
        let cache = Cache::new(2 * HOLDS, 3 * HOLDS);
        cache.insert(0, 7_usize, HOLDS);
        for (age, size, found) in [
            (HOLDS, 7, Found::Expired),
            (2 * HOLDS, 0, Found::Expired),
            (3 * HOLDS, 0, Found::Nothing),
        ] {
            tokio::time::advance(HOLDS).await;
            cache.free_expired();
            assert_eq!((cache.size(), cache.find(&0)), (size, found), "{age:?}");
        }
        assert_eq!(cache.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_forgotten_in_time_and_the_oldest_before_there_are_too_many() {
        let cache = Cache::new(Duration::ZERO, Duration::ZERO);
        cache.insert(0, 'a', HOLDS);
        cache.insert(1, 'b', Duration::ZERO);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some('a'), None));
        tokio::time::advance(Duration::from_secs(1)).await;
        for key in 2..=REMEMBERED {
            cache.insert(key, 'c', HOLDS);
        }
        assert_eq!(cache.len(), REMEMBERED);
        assert_eq!((cache.get(&0), cache.get(&2)), (Some('a'), Some('c')));
        cache.insert(REMEMBERED + 1, 'd', HOLDS);
        assert_eq!((cache.get(&0), cache.get(&2)), (None, Some('c')));
        assert_eq!(cache.len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_renews_an_answer_in_the_second_half_of_its_time() {
        let cache = Cache::new(Duration::ZERO, 2 * HOLDS);
        assert_eq!(cache.find(&0), Found::Nothing);
        cache.insert(0, 'a', HOLDS);
        assert_eq!(cache.find(&0), Found::Valid('a'));
        tokio::time::advance(HOLDS / 2).await;
        assert_eq!(cache.find(&0), Found::Renew('a'));
        assert_eq!(cache.find(&0), Found::Valid('a'));
        cache.renewal_failed(&0);
        assert_eq!(cache.find(&0), Found::Renew('a'));
        tokio::time::advance(HOLDS / 2).await;
        assert_eq!(cache.find(&0), Found::Expired);
        tokio::time::advance(HOLDS).await;
        assert_eq!(cache.find(&0), Found::Nothing);
    }
}
