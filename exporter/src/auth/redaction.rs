//! Prepares text from an API server for the log: one short line without the token under review.

use std::collections::HashSet;

/// The maximum length of a message, in characters.
const LONGEST: usize = 512;
/// A part of a token is hidden if it has at least this number of characters. Shorter parts stay visible.
const PART: usize = 8;
const HIDDEN: &str = "[hidden]";

/// Hides the token and its parts, escapes characters that do not print, and truncates text that is too long.
///
/// An API server may repeat the token, or a part of it, in its message.
pub(super) fn for_log(text: &str, token: &str) -> String {
    let text = without_token(text, token);
    let mut escaped = String::new();
    for character in text.chars().take(LONGEST) {
        match character {
            '"' | '\'' => escaped.push(character),
            other => escaped.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        escaped.push_str("...");
    }
    escaped
}

/// Replaces each part of the token that the text contains, if the part is long enough to be secret.
///
/// The function compares bytes. A comparison of bytes is correct because a token is ASCII: the function `bearer`
/// refuses all other tokens.
fn without_token(text: &str, token: &str) -> String {
    let part = PART.min(token.len());
    if part == 0 {
        return text.to_owned();
    }
    let parts: HashSet<&[u8]> = token.as_bytes().windows(part).collect();
    let mut out = String::new();
    let (mut hidden_until, mut was_hidden) = (0, false);
    for (at, character) in text.char_indices() {
        let window = text.as_bytes().get(at..at + part);
        if window.is_some_and(|window| parts.contains(window)) {
            hidden_until = at + part;
        }
        let is_hidden = at < hidden_until;
        if !is_hidden {
            out.push(character);
        } else if !was_hidden {
            out.push_str(HIDDEN);
        }
        was_hidden = is_hidden;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOi.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";

    #[test]
    fn no_part_of_the_token_stays() {
        for (text, expected) in [
            ("no token here", "no token here".to_owned()),
            (&format!("bad {TOKEN}!"), "bad [hidden]!".to_owned()),
            (
                &format!("{TOKEN}{TOKEN} and {TOKEN}"),
                "[hidden] and [hidden]".to_owned(),
            ),
            ("cut: eyJzdWIiOiJ4", "cut: [hidden]".to_owned()),
            (
                "\u{fc}c2lnbmF0dXJl\u{fc}",
                "\u{fc}[hidden]\u{fc}".to_owned(),
            ),
            // This text and the token have only seven characters in common, fewer than the minimum of eight.
            ("eyJhbGc", "eyJhbGc".to_owned()),
        ] {
            assert_eq!(without_token(text, TOKEN), expected, "{text}");
        }
        assert_eq!(without_token("say abc", "abc"), "say [hidden]");
        assert_eq!(without_token("abc", ""), "abc");
    }

    #[test]
    fn a_message_is_one_short_line() {
        let text = "User \"a\" can't\n\u{1b}[31mred\0";
        assert_eq!(for_log(text, ""), "User \"a\" can't\\n\\u{1b}[31mred\\0");
        let long = "x".repeat(100_000);
        assert_eq!(for_log(&long, "t").len(), LONGEST + 3);
    }
}
