//! [`Cache`]: verdicts of the API server, for as long as they hold.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The maximum number of cached results.
pub(super) const REMEMBERED: usize = 1024;

/// Answers of the API server.
pub(super) struct Cache<K, V> {
    answers: Mutex<HashMap<K, Remembered<V>>>,
    /// How long after an answer it holds if the API server cannot be asked again.
    grace: Duration,
}

struct Remembered<V> {
    value: V,
    since: Instant,
    /// The API server is asked again from then on.
    until: Instant,
}

// === impl Cache ===

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            answers: Mutex::default(),
            grace,
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let answers = self.answers.lock();
        let answer = answers.get(key)?;
        (answer.until > Instant::now()).then(|| answer.value.clone())
    }

    /// The last answer, for an API server that cannot be asked.
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
        if answers.len() >= REMEMBERED {
            answers.retain(|_, answer| answer.until > now || answer.since + self.grace > now);
        }
        if answers.len() >= REMEMBERED {
            answers.clear();
        }
        let answer = Remembered {
            value,
            since: now,
            until: now + holds,
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

    #[test]
    fn answers_are_forgotten_in_time_and_before_there_are_too_many() {
        let cache = Cache::new(Duration::ZERO);
        cache.insert(0, 'a', Duration::from_secs(9));
        cache.insert(1, 'b', Duration::ZERO);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some('a'), None));
        for key in 0..3 * REMEMBERED {
            cache.insert(key, 'c', Duration::from_secs(9));
        }
        assert!(cache.answers.lock().len() <= REMEMBERED);
    }
}
