//! Keyed hashes of secrets, for caches that must not contain the secrets themselves.
//!
//! ```
//! use prometheus_web_config::fingerprint::FingerprintKey;
//!
//! let key = FingerprintKey::default();
//! assert_eq!(key.fingerprint("secret"), key.fingerprint("secret"));
//! assert_ne!(key.fingerprint("secret"), key.fingerprint("other"));
//! ```

use std::hash::{BuildHasher, Hash, RandomState};

/// A random key. Only a program with this key can compute the fingerprints (keyed hashes).
#[derive(Debug, Default)]
pub struct FingerprintKey(RandomState, RandomState);

/// The keyed hash of a secret. It has 128 bits.
pub type Fingerprint = (u64, u64);

// === impl FingerprintKey ===

impl FingerprintKey {
    /// Returns the fingerprint of a secret. Equal secrets have equal fingerprints.
    pub fn fingerprint(&self, secret: &(impl Hash + ?Sized)) -> Fingerprint {
        (self.0.hash_one(secret), self.1.hash_one(secret))
    }
}
