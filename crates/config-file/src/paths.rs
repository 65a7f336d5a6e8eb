//! Shows paths in messages, but no secret that a user wrote in the place of a path.

use std::borrow::Cow;
use std::path::Path;

/// The text that replaces a value that is not a path.
const HIDDEN: &str = "(hidden, because the value is not a path)";
/// The start of a PEM text.
const PEM: &str = "-----BEGIN";
/// The first characters of secrets: of a PEM text in Base64, of a token (a JWT), and of private keys in Base64 without
/// the lines of PEM.
const STARTS: [&str; 16] = [
    "LS0tLS1CRUdJTi",
    "eyJ",
    "MIIE",
    "MIGH",
    "MHcCAQ",
    "MC4CAQ",
    // The first characters of the tokens of clouds, of Kubernetes distributions, and of other programs.
    "k8s-aws-v1.",
    "sha256~",
    "ya29.",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "xoxb-",
    "xoxp-",
];
/// A name with at least this number of characters may be a token.
const TOKEN: usize = 20;
/// Maximum length of a file name on common file systems, in bytes.
const LONGEST_NAME: usize = 255;

/// Returns a path for a message, such as an error or a line of a log.
///
/// A user may write the content of a file in the place of its path: a private key, a token or a whole file. Such a
/// value may be secret, so the result is then a fixed text without the value. This applies to the following values:
///
/// - The value contains a line break or another control character.
/// - The value contains the start of a PEM text.
/// - A part of the value starts as a PEM text in Base64, a private key in Base64 or a JWT does. The value may be at the
///   end of a longer path, because programs add a directory to relative paths.
/// - A part of the value starts as the tokens of some well-known programs do, or with `Bearer`.
/// - The last name of the path is a bootstrap token, or it is a long name that looks random and has no usual extension.
/// - The value contains a name that is longer than 255 bytes.
///
/// Other secrets, such as short passwords, look like file names, so the function returns them.
#[must_use]
pub fn shown_path(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let mut parts = text.split(['\\', '/', ' ']);
    let is_hidden = text.contains(char::is_control)
        || text.contains(PEM)
        || parts.any(|part| {
            let part = part.trim_start_matches(['"', '\'']);
            part.len() > LONGEST_NAME || STARTS.iter().any(|start| part.starts_with(start))
        })
        || text.split('/').any(|name| name.starts_with("Bearer "))
        || text.rsplit('/').next().is_some_and(may_be_token);
    if is_hidden { HIDDEN.into() } else { text }
}

/// Whether the last name of a path may be a token: a bootstrap token, or a long name with upper-case letters,
/// lower-case letters and digits, or only hexadecimal digits, and without a usual extension.
fn may_be_token(name: &str) -> bool {
    if let Some((id, secret)) = name.split_once('.')
        && (id.len(), secret.len()) == (6, 16)
        && is_alphanumeric(id)
        && is_alphanumeric(secret)
    {
        return true;
    }
    if name.starts_with("kubeconfig-") && name.contains(':') {
        return true;
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    if name.len() < TOKEN || extension.is_some_and(|own| own.len() <= 5 && is_alphanumeric(own)) {
        return false;
    }
    let has = |is: fn(&u8) -> bool| name.as_bytes().iter().any(is);
    let is_mixed =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    is_mixed || name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_alphanumeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
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
            "abcdef.0123456789abcdef",
            "/etc/ksm/abcdef.0123456789abcdef",
            "k8s-aws-v1.aHR0cHM6Ly9zdHM",
            "sha256~Zm9vYmFyYmF6cXV1eA",
            "kubeconfig-user-abc:xyz",
            "Bearer abc",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "/run/Zm9vYmFyYmF6cXV1eHF1dXg1Mg==",
            "d41d8cd98f00b204e9800998ecf8427e",
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
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "/var/run/secrets/..2026_11_30_14_27_42.1234567890/ca.crt",
            "kube-state-metrics-config-2026.yaml",
            "/Users/Somebody1/Projects2026/ClusterProduction3.kubeconfig.yaml",
            "my-long-service-account-name-2",
            "/run/token-reader/kubeconfig-user-alice",
            "schl\u{fc}ssel.pem",
            &long,
        ] {
            assert_eq!(shown_path(Path::new(shown)), shown);
        }
    }
}
