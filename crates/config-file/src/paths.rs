//! Shows paths in messages, but no secret that a user wrote in the place of a path.

use std::borrow::Cow;
use std::path::Path;

/// The text that replaces a value that is not a path.
const HIDDEN: &str = "(hidden, because the value is not a path)";
/// The start of a PEM text.
const PEM: &str = "-----BEGIN";
/// The first characters of secrets: of a PEM text in Base64, of a token (a JWT), and of private keys in Base64 without
/// the lines of PEM.
const STARTS: [&str; 6] = ["LS0tLS1CRUdJTi", "eyJ", "MIIE", "MIGH", "MHcCAQ", "MC4CAQ"];
/// Maximum length of a file name on common file systems, in bytes.
const LONGEST_NAME: usize = 255;

/// Returns a path for a message, such as an error or a line of a log.
///
/// A user may write the content of a file in the place of its path: a private key, a token or a whole file. Such a
/// value may be secret, so the result is then a fixed text without the value. This applies to the following values:
///
/// - The value contains a line break or another control character.
/// - The value contains the start of a PEM text.
/// - A part of the value starts as a PEM text in Base64, a private key in Base64 or a JWT does. The value may be at the end of a longer path,
///   because programs add a directory to relative paths.
/// - The value contains a name that is longer than 255 bytes.
#[must_use]
pub fn shown_path(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let mut parts = text.split(['\\', '/', ' ']);
    let is_hidden = text.contains(char::is_control)
        || text.contains(PEM)
        || parts.any(|part| {
            let part = part.trim_start_matches(['"', '\'']);
            part.len() > LONGEST_NAME || STARTS.iter().any(|start| part.starts_with(start))
        });
    if is_hidden { HIDDEN.into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_a_path_is_hidden() {
        let long = "a".repeat(256);
        for hidden in [
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
            "/etc/-----BEGIN PRIVATE KEY----- MIIE",
            "users:\n- name: a",
            "a\u{1b}[2J",
            "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
            "/etc/web/LS0tLS1CRUdJTiBQUklWQVRF/S0tLS0t",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
            "./eyJhbGciOiJSUzI1NiJ9",
            "Bearer eyJhbGciOiJSUzI1NiJ9",
            "\"eyJhbGciOiJSUzI1NiJ9",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
            "/etc/MIGHAgEAMBMGByqGSM49AgEGCCqG/SM49",
            &long,
        ] {
            assert_eq!(shown_path(Path::new(hidden)), HIDDEN, "{hidden:?}");
        }
        let long = "a/".repeat(256);
        for shown in [
            "",
            "-",
            "/etc/web/server.key",
            "../my keys/eye.pem",
            "C:\\web\\server.key",
            "schl\u{fc}ssel.pem",
            &long,
        ] {
            assert_eq!(shown_path(Path::new(shown)), shown);
        }
    }
}
