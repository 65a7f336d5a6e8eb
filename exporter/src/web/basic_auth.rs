//! Users and passwords by HTTP basic authentication, the passwords as bcrypt hashes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::fingerprint::{Fingerprint, Fingerprints};

/// Right pairs that are remembered. Checking one by bcrypt takes tens of milliseconds.
const REMEMBERED: usize = 64;

/// The users that may ask.
pub(super) struct BasicAuth {
    users: BTreeMap<String, String>,
    /// Compared with where the user is unknown, so that the time taken does not tell: the hash that
    /// takes longest.
    nobody: String,
    right: Mutex<HashSet<Fingerprint>>,
    fingerprints: Fingerprints,
    /// Wrong passwords must not take all processors.
    one_at_a_time: Arc<Semaphore>,
}

// === impl BasicAuth ===

impl BasicAuth {
    /// Takes pairs of user and bcrypt hash.
    ///
    /// # Errors
    ///
    /// Names a user whose hash is none.
    pub(super) fn new(users: BTreeMap<String, String>) -> Result<Self, String> {
        let mut slowest = (0, String::new());
        for (user, hash) in &users {
            let parts = hash.parse::<bcrypt::HashParts>().map_err(|_| {
                format!(
                    "basic_auth_users: the password of `{user}` is not a bcrypt hash; make one with \
                     `htpasswd -nBC 10 {user}`"
                )
            })?;
            if parts.get_cost() > slowest.0 {
                slowest = (parts.get_cost(), hash.clone());
            }
        }
        Ok(Self {
            users,
            nobody: slowest.1,
            right: Mutex::default(),
            fingerprints: Fingerprints::default(),
            one_at_a_time: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether a request has the name and password of a user.
    pub(super) async fn allow(&self, headers: &HeaderMap) -> bool {
        let Some((user, password)) = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
            let credentials = scheme
                .eq_ignore_ascii_case("basic")
                .then_some(credentials)?;
            let credentials = String::from_utf8(decode_base64(credentials.trim())?).ok()?;
            let (user, password) = credentials.split_once(':')?;
            Some((user.to_owned(), password.to_owned()))
        }) else {
            return false;
        };
        let pair = self.fingerprints.of(&(&user, &password));
        if self.right.lock().contains(&pair) {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.one_at_a_time).acquire_owned().await else {
            return false;
        };
        let known = self.users.get(&user);
        let hash = known.unwrap_or(&self.nobody).clone();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(permit);
            verified
        });
        let right = verified.await.unwrap_or(false) && known.is_some();
        if right {
            let mut remembered = self.right.lock();
            if remembered.len() < REMEMBERED {
                remembered.insert(pair);
            }
        }
        right
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.users.keys()).finish()
    }
}

/// Decodes [base64](https://www.rfc-editor.org/rfc/rfc4648#section-4) with padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_with_its_padding() {
        let cases = [
            ("", Some("")),
            ("YTpi", Some("a:b")),
            ("YTpiYw==", Some("a:bc")),
            ("YTpiY2Q=", Some("a:bcd")),
            ("YTpiYw", None),
            ("YT*i", None),
            ("====", None),
        ];
        for (text, expected) in cases {
            let decoded = decode_base64(text).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(decoded.as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_passes() {
        let hash = bcrypt::hash("open", 4).unwrap();
        let users = BasicAuth::new([("ann".to_owned(), hash)].into()).unwrap();
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        // Twice: checked, then remembered.
        for _ in 0..2 {
            assert!(users.allow(&headers("Basic YW5uOm9wZW4=")).await);
        }
        for wrong in [
            "Basic YW5uOnNodXQ=",
            "Basic Ym9iOm9wZW4=",
            "Bearer YW5uOm9wZW4=",
            "Basic x",
        ] {
            assert!(!users.allow(&headers(wrong)).await, "{wrong}");
        }
        assert!(!users.allow(&HeaderMap::new()).await);
        let error = BasicAuth::new([("ann".to_owned(), "open".to_owned())].into()).unwrap_err();
        assert!(error.contains("`ann` is not a bcrypt hash"), "{error}");
    }
}
