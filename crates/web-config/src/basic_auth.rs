//! HTTP basic authentication: checks the user and the password of each request.
//!
//! The web configuration file contains the passwords as bcrypt hashes. A check is expensive, so a correct password is
//! remembered (as a keyed hash) and not checked again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::alphabet;
use base64::engine::{Engine, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_saphyr::Spanned;

use crate::fair_queue::QueueFull;
use crate::password_checks::PasswordChecks;

/// The base64 decoder. As in Go, the decoder requires padding, and ignores the unused bits of the last digit.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The allowed costs of a bcrypt hash.
///
/// A check of a hash with the cost 16 takes a few seconds, 64 times as long as with the usual cost of 10. A check
/// cannot be interrupted. Until it ends, all requests whose password is not remembered must wait.
const COSTS: RangeInclusive<u32> = 4..=16;

/// The users that may send requests.
pub(crate) struct BasicAuth {
    /// The bcrypt hash of the password of each user.
    users: BTreeMap<String, String>,
    /// The hash in `users` with the highest cost. The password of an unknown user is compared with this hash.
    /// Therefore, if all hashes have the same cost, response times do not reveal which users exist.
    most_expensive: String,
    checks: Arc<PasswordChecks>,
}

/// The error if the hash of a user cannot be used. The message never contains the hash. Without a valid hash, the
/// message does not contain the name either, because a user may have written the password in the place of the name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BasicAuthError {
    #[error(
        "basic_auth_users: line {line}: the password of the user is not a bcrypt hash; make one with \
         `htpasswd -nBC 10 USER`"
    )]
    NoHash { line: u64 },
    #[error(
        "basic_auth_users: line {line}: the name of the user contains a colon, so no request can have this name, because \
         a colon ends the name in a request; rename the user"
    )]
    Colon { line: u64 },
    #[error(
        "basic_auth_users: the hash of `{user}` has the cost {cost}; the cost must be from {} to {}; \
         make a hash with `htpasswd -nBC 10 {user}`",
        COSTS.start(),
        COSTS.end()
    )]
    Cost { user: String, cost: u32 },
}

// === impl BasicAuth ===

impl BasicAuth {
    /// Checks and stores the bcrypt hash of the password of each user.
    pub(crate) fn new(
        users: BTreeMap<String, Spanned<String>>,
        checks: Arc<PasswordChecks>,
    ) -> Result<Self, BasicAuthError> {
        let mut most_expensive = (0, String::new());
        let mut hashes = BTreeMap::new();
        for (user, hash) in users {
            let line = hash.referenced.line();
            let hash = hash.value;
            if user.contains(':') {
                return Err(BasicAuthError::Colon { line });
            }
            let parts = hash.parse::<bcrypt::HashParts>();
            let parts = parts.map_err(|_| BasicAuthError::NoHash { line })?;
            let cost = parts.get_cost();
            if !COSTS.contains(&cost) {
                return Err(BasicAuthError::Cost { user, cost });
            }
            if cost > most_expensive.0 {
                most_expensive = (cost, hash.clone());
            }
            hashes.insert(user, hash);
        }
        Ok(Self {
            users: hashes,
            most_expensive: most_expensive.1,
            checks,
        })
    }

    /// Forgets the remembered password of a user if this configuration has another bcrypt hash for the user, or no
    /// hash.
    pub(crate) fn forget_others(&self) {
        self.checks.retain(&self.users);
    }

    /// Returns `true` if a request has the name and the password of a user.
    ///
    /// # Errors
    ///
    /// Returns an error if too many requests wait for a check.
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

/// Returns the user and the password in the headers of a request.
///
/// The function refuses a password with a zero byte. The reason: bcrypt appends a zero byte to the password, and
/// repeats the result. So a password with a zero byte can have the same hash as a shorter password. bcrypt uses only
/// the first 72 bytes of a password. The function accepts longer passwords, because other exporters accept them.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = credentials.split_once(':')?;
    (!password.contains('\0')).then(|| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

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
            // The decoder ignores the unused bits of the last digit.
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

    fn new(yaml: &str, checks: &Arc<PasswordChecks>) -> Result<BasicAuth, BasicAuthError> {
        let users = serde_saphyr::from_str(yaml).unwrap();
        BasicAuth::new(users, Arc::clone(checks))
    }

    fn users(hash: &str, checks: &Arc<PasswordChecks>) -> BasicAuth {
        new(&format!("ann: {hash}"), checks).unwrap()
    }

    const RIGHT: &str = "Basic YW5uOm9wZW4=";

    #[tokio::test]
    async fn only_the_correct_password_of_a_known_user_passes() {
        let users = users(&bcrypt::hash("open", 4).unwrap(), &Arc::default());
        // The first request checks the password. The second request uses the remembered password.
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
    }

    #[test]
    fn without_a_valid_name_and_hash_the_error_shows_only_the_line() {
        let hash = bcrypt::hash("open", 4).unwrap();
        for (wrong, says) in [
            ("hunter2: ann", "line 2: the password of the user is not a"),
            (
                &*format!("'ann:hunter2': {hash}"),
                "line 2: the name of the user contains a colon",
            ),
        ] {
            let error = new(&format!("bob: {hash}\n{wrong}\n"), &Arc::default());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_hash_whose_cost_is_too_low_or_too_high_is_refused() {
        let hash = bcrypt::hash("open", 4).unwrap();
        let with_cost = |cost: &str| {
            let hash = hash.replacen("$04$", &format!("${cost}$"), 1);
            new(&format!("ann: {hash}"), &Arc::default())
        };
        for cost in ["04", "10", "16"] {
            assert!(with_cost(cost).is_ok(), "{cost}");
        }
        for cost in ["00", "03", "17", "31", "99"] {
            let error = with_cost(cost).unwrap_err().to_string();
            let number = cost.trim_start_matches('0');
            let number = if number.is_empty() { "0" } else { number };
            let says = format!("the hash of `ann` has the cost {number}; ");
            assert!(error.contains(&says), "{error}");
            assert!(!error.contains(&hash[7..]), "{error}");
        }
    }

    #[tokio::test]
    async fn a_password_has_no_zero_byte_and_bcrypt_reads_72_bytes() {
        let allows = async |hash: &str, password: &str| {
            let value = format!("Basic {}", BASE64.encode(format!("ann:{password}")));
            let users = users(hash, &Arc::default());
            users.allows(None, &authorization(&value)).await
        };
        let hash = bcrypt::hash("open", 4).unwrap();
        assert_eq!(allows(&hash, "open").await, Ok(true));
        // bcrypt appends a zero byte to the password and repeats the result, so these passwords could match the hash of
        // `open`.
        for wrong in ["open\0open", "open\0", "\0open"] {
            assert_eq!(allows(&hash, wrong).await, Ok(false), "{wrong:?}");
        }
        // As in the exporter-toolkit, bcrypt uses only the first 72 bytes.
        let long = "x".repeat(72);
        let hash = bcrypt::hash(&long, 4).unwrap();
        assert_eq!(allows(&hash, &format!("{long}y")).await, Ok(true));
        assert_eq!(allows(&hash, &long[1..]).await, Ok(false));
    }

    #[tokio::test]
    async fn a_check_is_completed_and_remembered_after_its_client_has_left() {
        let checks = Arc::new(PasswordChecks::default());
        let hash = bcrypt::hash("open", 8).unwrap();
        let users = users(&hash, &checks);
        for (header, password) in [("Basic YW5uOnNodXQ=", "shut"), (RIGHT, "open")] {
            let headers = authorization(header);
            let mut request = Box::pin(users.allows(None, &headers));
            // No other check is in progress, so the first poll begins the check.
            let polled = request
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            drop(request);
            // This check begins when the check of the disconnected client is complete.
            let next = authorization("Basic Ym9iOm9wZW4=");
            assert_eq!(users.allows(None, &next).await, Ok(false));
            let remembered = checks.remembers("ann", password, &hash);
            assert_eq!(remembered, password == "open", "{password}");
        }
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
