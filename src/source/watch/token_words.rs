//! [`without_tokens`]: hides words that may be tokens in texts of other programs.

/// The text that replaces a word.
const HIDDEN: &str = "[hidden]";
/// A part of a word with at least this number of characters may be a part of a token.
const TOKEN_PART: usize = 16;

/// Returns a text in which `[hidden]` replaces each word that may be a token.
///
/// Use this function for a text whose secrets are unknown, such as the standard error of a credential plugin. A word
/// may be a token if it has at least 16 characters, and one of the following rules applies:
///
/// - The word starts with `eyJ`, as a JSON Web Token does.
/// - A part of the word between the characters `.` and `/` has at least 16 characters, among them letters and digits.
/// - The word has lower-case letters, upper-case letters and digits, and does not start as a path does.
///
/// `[hidden]` also replaces the user name and the password of each URL.
///
/// ```
/// use kube_state_metrics::source::watch::without_tokens;
///
/// let text = without_tokens("bad token ghp_0123456789abcdef in /home/user1/.kube/config");
/// assert_eq!(text, "bad token [hidden] in /home/user1/.kube/config");
/// ```
#[must_use]
pub fn without_tokens(text: &str) -> String {
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || "-_+=~./".contains(c);
    let text = without_user_info(text);
    let (mut out, mut rest) = (String::new(), &*text);
    while let Some(start) = rest.find(is_in_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_in_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        out.push_str(before);
        out.push_str(if is_token(word) { HIDDEN } else { word });
        rest = after;
    }
    out + rest
}

/// Replaces the user name and the password of each URL by `[hidden]`.
fn without_user_info(text: &str) -> String {
    const AUTHORITY: &str = "://";
    let ends = |c: char| c.is_whitespace() || "/\"'<>\\".contains(c);
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(AUTHORITY) {
        let (before, after) = rest.split_at(start + AUTHORITY.len());
        out.push_str(before);
        rest = after;
        let (authority, _) = after.split_at(after.find(ends).unwrap_or(after.len()));
        if let Some(at) = authority.rfind('@') {
            out.push_str(HIDDEN);
            rest = after.split_at(at).1;
        }
    }
    out + rest
}

fn is_token(word: &str) -> bool {
    let has = |text: &str, is_of_kind: fn(&u8) -> bool| text.bytes().any(|byte| is_of_kind(&byte));
    let is_long = |text: &str| text.len() >= TOKEN_PART && has(text, u8::is_ascii_digit);
    let is_token_part = |part: &str| is_long(part) && has(part, u8::is_ascii_alphabetic);
    let is_jwt = word.len() >= TOKEN_PART && word.starts_with("eyJ");
    // Standard Base64 uses `/`, so the parts of a key can be short.
    let is_key = is_long(word)
        && !word.starts_with(['/', '.', '~'])
        && has(word, u8::is_ascii_lowercase)
        && has(word, u8::is_ascii_uppercase);
    is_jwt || is_key || word.split(['.', '/']).any(is_token_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_be_tokens_are_hidden() {
        for (text, shown) in [
            (
                "bad token 'eyJhbGciOi.eyJzdWIi/iJ4In0.c2lnbmF0dXJl=='!",
                "bad token '[hidden]'!",
            ),
            ("eyJhbGciOi.eyJzdWIi", "[hidden]"),
            ("token: ghp_0123456789abcdef", "token: [hidden]"),
            ("key=wJalrXUtn/K7MDENG/bPxRfiCY", "[hidden]"),
            ("0123456789abcdef, 1", "[hidden], 1"),
            (
                "cannot read /home/User1/.kube/config: 2 ExpiredTokenExceptions",
                "cannot read /home/User1/.kube/config: 2 ExpiredTokenExceptions",
            ),
            (
                "no client.authentication.k8s.io/v1beta1",
                "no client.authentication.k8s.io/v1beta1",
            ),
            (
                "no proxy \"http://u:c0rrect@127.0.0.1:1/p\" or https://a or s://u:a@b@c/@",
                "no proxy \"http://[hidden]@127.0.0.1:1/p\" or https://a or s://[hidden]@c/@",
            ),
            ("", ""),
        ] {
            assert_eq!(without_tokens(text), shown);
        }
    }
}
