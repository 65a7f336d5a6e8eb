//! Secrets that are recognised without being kept.

use std::hash::{BuildHasher, Hash, RandomState};

/// Makes fingerprints of secrets, with keys that only this process knows.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    keys: (RandomState, RandomState),
}

/// The keyed hash of a secret, 128 bits.
pub(crate) type Fingerprint = (u64, u64);

impl Fingerprints {
    /// The fingerprint of a secret.
    pub(crate) fn of(&self, secret: &impl Hash) -> Fingerprint {
        (self.keys.0.hash_one(secret), self.keys.1.hash_one(secret))
    }
}
