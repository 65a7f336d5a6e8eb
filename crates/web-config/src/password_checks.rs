//! Checks passwords one at a time, in a fair order, and remembers correct passwords.
//!
//! A *turn* is the right to run one check. Each request waits in a [`FairQueue`] for its turn.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fair_queue::{FairQueue, QueueFull};
use crate::fingerprint::{Fingerprint, FingerprintKey};

/// Number of concurrent checks. This number is 1, so that clients with wrong passwords cannot use all CPUs.
const CHECKS: usize = 1;
/// Maximum number of requests that wait for a check. With the usual bcrypt cost of 10, the checks of a full queue take
/// about two seconds.
const WAITING: usize = 32;

/// Checks passwords with bcrypt. After a reload, the new configuration uses the same `PasswordChecks`. So the passwords
/// of users with an unchanged hash stay remembered.
pub(crate) struct PasswordChecks {
    key: FingerprintKey,
    /// For each user, the last correct password, and the hash with which the password was compared.
    correct: Mutex<HashMap<String, Correct>>,
    turns: FairQueue<Option<IpAddr>>,
}

struct Correct {
    hash: String,
    pair: Fingerprint,
}

// === impl PasswordChecks ===

impl PasswordChecks {
    /// Returns `true` if an earlier check of this user, password and hash was successful.
    pub(crate) fn remembers(&self, user: &str, password: &str, hash: &str) -> bool {
        let correct = self.correct.lock();
        correct.get(user).is_some_and(|correct| {
            correct.hash == hash && correct.pair == self.key.fingerprint(&(user, password))
        })
    }

    /// Waits for the turn of the client, and then compares a password with a hash on a blocking thread.
    ///
    /// `known` is `true` if the user exists. If the user exists and the password is correct, the method remembers the
    /// password. If the user does not exist, the method returns `false`.
    ///
    /// If the client disconnects, the future is dropped, but a check that has begun continues. If the password is
    /// correct, it is still remembered. So even if a client has a timeout that is shorter than a check, its next
    /// request succeeds.
    ///
    /// # Errors
    ///
    /// Returns an error if too many requests wait.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        (user, password): (String, String),
        hash: String,
        known: bool,
    ) -> Result<bool, QueueFull> {
        let turn = self.turns.turn(client).await?;
        // While this request waited for its turn, another request with the same password may have been successful.
        if known && self.remembers(&user, &password, &hash) {
            return Ok(true);
        }
        let checks = Arc::clone(self);
        let verified = tokio::task::spawn_blocking(move || {
            let correct = bcrypt::verify(&password, &hash).unwrap_or(false) && known;
            if correct {
                checks.remember(user, &password, hash);
            }
            // The turn ends when the check ends, even if the client has already disconnected.
            drop(turn);
            correct
        });
        Ok(verified.await.unwrap_or(false))
    }

    fn remember(&self, user: String, password: &str, hash: String) {
        let pair = self.key.fingerprint(&(&user[..], password));
        self.correct.lock().insert(user, Correct { hash, pair });
    }

    /// Forgets the remembered password of each user who is not in `users`, or who has another hash in `users`.
    pub(crate) fn retain(&self, users: &BTreeMap<String, String>) {
        let mut correct = self.correct.lock();
        correct.retain(|user, correct| users.get(user) == Some(&correct.hash));
    }
}

impl Default for PasswordChecks {
    fn default() -> Self {
        Self {
            key: FingerprintKey::default(),
            correct: Mutex::default(),
            turns: FairQueue::new(CHECKS, WAITING),
        }
    }
}

impl fmt::Debug for PasswordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChecks").finish_non_exhaustive()
    }
}
