//! [`Cache`]: stores verdicts of the API server for a limited time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The maximum number of verdicts in a cache.
pub(super) const REMEMBERED: usize = 1024;

/// A cache of verdicts of the API server.
pub(super) struct Cache<K, V> {
    answers: Mutex<HashMap<K, Remembered<V>>>,
    /// The maximum age of a verdict that the exporter uses if the API server does not answer. The age is the time since
    /// the review.
    grace: Duration,
    /// A key of this cache, such as a token, counts as known for this time after its last verdict. Reviews of known
    /// keys wait in a separate queue.
    known: Duration,
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

struct Remembered<V> {
    value: V,
    since: Instant,
    /// When the verdict expires.
    until: Instant,
    /// Whether a caller is renewing the verdict.
    is_renewed: bool,
}

// === impl Cache ===

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
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
        let Some(answer) = answers.get_mut(key) else {
            return Found::Nothing;
        };
        let now = Instant::now();
        if answer.until > now {
            let is_old = now - answer.since >= answer.until - now;
            let value = answer.value.clone();
            if is_old && !answer.is_renewed {
                answer.is_renewed = true;
                return Found::Renew(value);
            }
            Found::Valid(value)
        } else if now - answer.since < self.known {
            Found::Expired
        } else {
            Found::Nothing
        }
    }

    /// The verdict, if it is still valid.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.get(key)?;
        (answer.until > Instant::now()).then(|| answer.value.clone())
    }

    /// Records that a renewal has failed, so that another caller renews the verdict.
    pub(super) fn renewal_failed(&self, key: &K) {
        if let Some(answer) = self.answers.lock().get_mut(key) {
            answer.is_renewed = false;
        }
    }

    /// The last verdict; `None` after its grace period. The caller uses this verdict only if the API server does not
    /// answer.
    pub(super) fn get_within_grace(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.get(key)?;
        (answer.since.elapsed() < self.grace).then(|| answer.value.clone())
    }

    pub(super) fn remove(&self, key: &K) {
        self.answers.lock().remove(key);
    }

    pub(super) fn insert(&self, key: K, value: V, holds: Duration) {
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if answers.len() >= REMEMBERED && !answers.contains_key(&key) {
            let grace = self.grace.max(self.known);
            answers.retain(|_, answer| answer.until > now || answer.since + grace > now);
        }
        if answers.len() >= REMEMBERED && !answers.contains_key(&key) {
            let oldest = answers.iter().min_by_key(|(_, answer)| answer.since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                answers.remove(&oldest);
            }
        }
        let answer = Remembered {
            value,
            since: now,
            until: now + holds,
            is_renewed: false,
        };
        answers.insert(key, answer);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(60);

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
