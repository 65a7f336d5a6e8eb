//! Keyed hashes of secrets, for caches of credentials that must not hold the credentials.
//!
//! ```
//! use prometheus_web_config::fingerprint::FingerprintKey;
//!
//! let key = FingerprintKey::default();
//! assert_eq!(key.fingerprint("secret"), key.fingerprint("secret"));
//! assert_ne!(key.fingerprint("secret"), key.fingerprint("other"));
//! ```

use std::hash::{BuildHasher, Hash, RandomState};

/// Random keys that only this value has, so that its fingerprints cannot be computed elsewhere.
#[derive(Debug, Default)]
pub struct FingerprintKey(RandomState, RandomState);

/// The keyed hash of a secret, 128 bits.
pub type Fingerprint = (u64, u64);

// === impl FingerprintKey ===

impl FingerprintKey {
    /// Returns the fingerprint of a secret. Equal secrets have equal fingerprints.
    pub fn fingerprint(&self, secret: &(impl Hash + ?Sized)) -> Fingerprint {
        (self.0.hash_one(secret), self.1.hash_one(secret))
    }
}
