//! Prepares text from an API server for the log: one short line without the token under review.

use crate::humanize::start_of;
use crate::redaction::Secrets;

/// The maximum length of a message, in characters.
const LONGEST: usize = 512;
/// The maximum length of the text that is searched for the token, in bytes. Each failed review needs this search, so it
/// must be cheap. The length leaves space for a long token with escapes before the rest of the message.
const SEARCHED: usize = 8 << 10;
/// A part of a token is hidden if it has at least this number of characters. Shorter parts stay visible.
const PART: usize = 8;

/// Hides the token and its parts, escapes characters that do not print, and truncates text that is too long.
///
/// An API server may repeat the token, or a part of it, in its message. If the text that is searched ends within the
/// token, the message shows fewer than [`PART`] characters of the token.
pub(super) fn for_log(text: &str, token: &str) -> String {
    let is_cut = text.len() > SEARCHED;
    let searched = start_of(text, SEARCHED);
    let text = Secrets::of_token(token, PART).message(searched);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None if is_cut => text + "...",
        None => text,
    }
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
            ("see %65%79JhbGciOi", "see [hidden]".to_owned()),
            // This text and the token have only seven characters in common, fewer than the minimum of eight.
            ("eyJhbGc", "eyJhbGc".to_owned()),
        ] {
            assert_eq!(for_log(text, TOKEN), expected, "{text}");
        }
        assert_eq!(for_log("say abc", "abc"), "say [hidden]");
        assert_eq!(for_log("abc", ""), "abc");
    }

    #[test]
    fn a_long_text_is_cut_before_it_is_searched_and_shows_no_half_of_the_token() {
        let escaped: String = TOKEN.bytes().map(|byte| format!("%25{byte:x}")).collect();
        for token in [TOKEN, &escaped] {
            for length in 0..token.len() {
                let start = "x".repeat(length) + ": ";
                let shown = for_log(&(start.clone() + &token.repeat(10_000)), TOKEN);
                let rest = shown.strip_prefix(&format!("{start}[hidden]"));
                let rest = rest.and_then(|rest| rest.strip_suffix("...")).unwrap();
                let most = (PART - 1) * (token.len() / TOKEN.len()) + 4;
                assert!(rest.len() <= most, "{length}: {shown}");
            }
        }
    }

    #[test]
    fn a_message_is_one_short_line() {
        let text = "User \"a\" can't\n\u{1b}[31mred\0";
        assert_eq!(for_log(text, ""), "User \"a\" can't\\n\\u{1b}[31mred\\u{0}");
        let long = "x".repeat(100_000);
        assert_eq!(for_log(&long, "t").len(), LONGEST + 3);
    }
}
