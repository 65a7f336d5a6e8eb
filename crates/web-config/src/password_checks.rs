//! Checks passwords one at a time, in fair order, and remembers correct passwords.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fair_queue::{FairQueue, QueueFull};
use crate::fingerprint::{Fingerprint, FingerprintKey};

/// One check at a time, so that wrong passwords cannot use all processors.
const CHECKS: usize = 1;
/// Maximum number of requests that wait for a check. At bcrypt's usual cost of 10, the checks of a full queue take
/// about two seconds.
const WAITING: usize = 32;

/// Checks passwords with bcrypt. After a reload, the new configuration uses the same `PasswordChecks`, so that users
/// with an unchanged hash stay remembered.
pub(crate) struct PasswordChecks {
    key: FingerprintKey,
    /// The last correct password of each user, with the hash with which the password was compared.
    correct: Mutex<HashMap<String, Correct>>,
    turns: FairQueue<Option<IpAddr>>,
}

struct Correct {
    hash: String,
    pair: Fingerprint,
}

// === impl PasswordChecks ===

impl PasswordChecks {
    /// Whether this password of a known user was correct before, with the same hash.
    pub(crate) fn remembers(&self, user: &str, password: &str, hash: &str) -> bool {
        let correct = self.correct.lock();
        correct.get(user).is_some_and(|correct| {
            correct.hash == hash && correct.pair == self.key.fingerprint(&(user, password))
        })
    }

    /// Compares a password with a hash on a blocking thread, when the client has its turn. `known` states whether the
    /// user exists. If the user exists, a correct password is remembered. If the user does not exist, the result is
    /// `false`.
    ///
    /// A check that has begun is completed, even if the client disconnects and the future is dropped. A correct
    /// password is then remembered, so that a client whose timeout is shorter than one check succeeds with its next
    /// request.
    ///
    /// # Errors
    ///
    /// If too many requests wait.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        (user, password): (String, String),
        hash: String,
        known: bool,
    ) -> Result<bool, QueueFull> {
        let turn = self.turns.turn(client).await?;
        // While this request waited for its turn, a check may have accepted the same password.
        if known && self.remembers(&user, &password, &hash) {
            return Ok(true);
        }
        let checks = Arc::clone(self);
        let verified = tokio::task::spawn_blocking(move || {
            let correct = bcrypt::verify(&password, &hash).unwrap_or(false) && known;
            if correct {
                checks.remember(user, &password, hash);
            }
            // The turn ends with the check, even if the client has disconnected.
            drop(turn);
            correct
        });
        Ok(verified.await.unwrap_or(false))
    }

    fn remember(&self, user: String, password: &str, hash: String) {
        let pair = self.key.fingerprint(&(&user[..], password));
        self.correct.lock().insert(user, Correct { hash, pair });
    }

    /// Forgets the password of each user who has another hash, or no hash, in `users`.
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
