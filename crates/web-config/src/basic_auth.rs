//! HTTP basic authentication with passwords stored as bcrypt hashes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::alphabet;
use base64::engine::{Engine, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::fair_queue::QueueFull;
use crate::password_checks::PasswordChecks;

/// As in Go, padding is required and the unused bits of the last digit are ignored.
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
    checks: Arc<PasswordChecks>,
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
    /// Reads the bcrypt hash of each user's password.
    pub(crate) fn new(
        users: BTreeMap<String, String>,
        checks: Arc<PasswordChecks>,
    ) -> Result<Self, BasicAuthError> {
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
            checks,
        })
    }

    /// Forgets the correct passwords of users who have another hash in this configuration.
    pub(crate) fn forget_others(&self) {
        self.checks.retain(&self.users);
    }

    /// Whether a request has the name and password of a user.
    ///
    /// # Errors
    ///
    /// If too many requests wait for a check.
    pub(crate) async fn allows(
        &self,
        client: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<bool, QueueFull> {
        let Some((user, password)) = credentials(headers) else {
            return Ok(false);
        };
        let known = self.users.get(&user);
        if known.is_some_and(|hash| self.checks.remembers(&user, &password, hash)) {
            return Ok(true);
        }
        let hash = known.unwrap_or(&self.most_expensive).clone();
        let is_known = known.is_some();
        let checks = &self.checks;
        checks
            .verify(client, (user, password), hash, is_known)
            .await
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
            // The unused bits of the last digit are ignored.
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

    fn users(hash: &str, checks: &Arc<PasswordChecks>) -> BasicAuth {
        let users = [("ann".to_owned(), hash.to_owned())].into();
        BasicAuth::new(users, Arc::clone(checks)).unwrap()
    }

    const RIGHT: &str = "Basic YW5uOm9wZW4=";

    #[tokio::test]
    async fn only_the_correct_password_of_a_known_user_passes() {
        let users = users(&bcrypt::hash("open", 4).unwrap(), &Arc::default());
        // The first request checks the password. The second request finds the remembered password.
        for _ in 0..2 {
            let allowed = users.allows(None, &authorization(RIGHT)).await;
            assert_eq!(allowed, Ok(true));
        }
        for wrong in [
            "Basic YW5uOnNodXQ=",
            "Basic Ym9iOm9wZW4=",
            "Bearer YW5uOm9wZW4=",
            "Basic x",
        ] {
            let allowed = users.allows(None, &authorization(wrong)).await;
            assert_eq!(allowed, Ok(false), "{wrong}");
        }
        assert_eq!(users.allows(None, &HeaderMap::new()).await, Ok(false));
        let wrong = [("ann".to_owned(), "open".to_owned())].into();
        let error = BasicAuth::new(wrong, Arc::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`ann` is not a bcrypt hash"), "{error}");
    }

    #[tokio::test]
    async fn a_correct_password_is_remembered_for_as_long_as_its_hash() {
        let checks = Arc::new(PasswordChecks::default());
        let hash = bcrypt::hash("open", 4).unwrap();
        let first = users(&hash, &checks);
        assert_eq!(first.allows(None, &authorization(RIGHT)).await, Ok(true));
        drop(first);
        assert!(checks.remembers("ann", "open", &hash));
        let same = users(&hash, &checks);
        assert!(checks.remembers("ann", "open", &hash));
        assert!(!checks.remembers("ann", "shut", &hash));
        drop(same);
        let other = users(&bcrypt::hash("other", 4).unwrap(), &checks);
        assert_eq!(other.allows(None, &authorization(RIGHT)).await, Ok(false));
        let remembered = checks.remembers("ann", "open", &hash);
        assert!(remembered, "the other configuration may be refused");
        other.forget_others();
        assert!(!checks.remembers("ann", "open", &hash), "it is forgotten");
    }
}
