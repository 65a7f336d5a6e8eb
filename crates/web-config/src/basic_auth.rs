//! HTTP basic authentication with passwords stored as bcrypt hashes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use base64::alphabet;
use base64::engine::{Engine, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::fingerprint::{Fingerprint, FingerprintKey};

/// Correct pairs of user and password that are remembered. Checking one takes tens of milliseconds.
const REMEMBERED: usize = 64;

/// Padding is required; the unused bits of the last digit are ignored, as Go does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The users that may send requests.
pub(crate) struct BasicAuth {
    /// The hash of each user's password.
    users: BTreeMap<String, String>,
    /// Unknown users are checked against the most expensive hash, so response times reveal nothing.
    most_expensive: String,
    correct: Mutex<HashSet<Fingerprint>>,
    key: FingerprintKey,
    /// One check at a time, so that wrong passwords cannot take all processors.
    checks: Arc<Semaphore>,
}

/// A user whose password is not stored as a hash.
#[derive(Debug, thiserror::Error)]
#[error(
    "basic_auth_users: the password of `{user}` is not a bcrypt hash; make one with \
     `htpasswd -nBC 10 {user}`"
)]
pub(crate) struct BasicAuthError {
    user: String,
}

// === impl BasicAuth ===

impl BasicAuth {
    /// Takes the bcrypt hash of each user's password.
    pub(crate) fn new(users: BTreeMap<String, String>) -> Result<Self, BasicAuthError> {
        let mut most_expensive = (0, String::new());
        for (user, hash) in &users {
            let parts = hash.parse::<bcrypt::HashParts>();
            let parts = parts.map_err(|_| BasicAuthError { user: user.clone() })?;
            if parts.get_cost() > most_expensive.0 {
                most_expensive = (parts.get_cost(), hash.clone());
            }
        }
        Ok(Self {
            users,
            most_expensive: most_expensive.1,
            correct: Mutex::default(),
            key: FingerprintKey::default(),
            checks: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether a request has the name and password of a user.
    pub(crate) async fn allows(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else {
            return false;
        };
        let pair = self.key.fingerprint(&(&user, &password));
        if self.correct.lock().contains(&pair) {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.checks).acquire_owned().await else {
            return false;
        };
        let known = self.users.get(&user);
        let hash = known.unwrap_or(&self.most_expensive).clone();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(permit);
            verified
        });
        let correct = verified.await.unwrap_or(false) && known.is_some();
        if correct {
            let mut remembered = self.correct.lock();
            if remembered.len() < REMEMBERED {
                remembered.insert(pair);
            }
        }
        correct
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.users.keys()).finish()
    }
}

/// The user and password of a request.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = credentials.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn base64_is_decoded_with_its_padding() {
        let cases = [
            ("Og==", Some(("", ""))),
            ("YTpi", Some(("a", "b"))),
            ("YTpiYw==", Some(("a", "bc"))),
            // The unused bits of the last digit.
            ("YTpiYx==", Some(("a", "bc"))),
            ("YTpiY2Q=", Some(("a", "bcd"))),
            ("YTpiYw", None),
            ("YT*i", None),
            ("====", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = credentials(&authorization(&format!("Basic {text}")));
            let found = found.as_ref().map(|(user, word)| (&user[..], &word[..]));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn only_the_correct_password_of_a_known_user_passes() {
        let hash = bcrypt::hash("open", 4).unwrap();
        let users = BasicAuth::new([("ann".to_owned(), hash)].into()).unwrap();
        // Twice: checked, then remembered.
        for _ in 0..2 {
            assert!(users.allows(&authorization("Basic YW5uOm9wZW4=")).await);
        }
        for wrong in [
            "Basic YW5uOnNodXQ=",
            "Basic Ym9iOm9wZW4=",
            "Bearer YW5uOm9wZW4=",
            "Basic x",
        ] {
            assert!(!users.allows(&authorization(wrong)).await, "{wrong}");
        }
        assert!(!users.allows(&HeaderMap::new()).await);
        let error = BasicAuth::new([("ann".to_owned(), "open".to_owned())].into()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`ann` is not a bcrypt hash"), "{error}");
    }
}
