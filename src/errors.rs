//! Functions that several error types of the crate use.

use std::fmt::Display;

/// Implements `Debug` for an error type. The text is the same as the `Display` text.
///
/// If `main` returns an error, or a test unwraps an error, Rust prints the `Debug` text. With this implementation, Rust
/// prints the message of the error, which names the mistake and its solution.
macro_rules! debug_is_display {
    ($($error:ty),+ $(,)?) => {
        $(impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        })+
    };
}

pub(crate) use debug_is_display;

/// Maximum size of a message, in bytes. A limit is necessary, because messages of the API server and names of objects
/// can have any length. They appear in logs and in health reports.
pub(crate) const MAX_MESSAGE: usize = 1 << 10;

/// Truncates a message to about [`MAX_MESSAGE`] bytes, and puts it on one line. After a truncation, the message ends
/// with the length of the original message.
///
/// Characters that move the cursor of a terminal, end the line or reorder the text are replaced by escapes.
pub(crate) fn shortened(mut message: String) -> String {
    let all = message.len();
    if all > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or_default());
        message = format!("{message}... ({all} bytes)");
    }
    if message.contains(is_invisible) {
        let escape = |c: char| match is_invisible(c) {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        message = message.chars().map(escape).collect();
    }
    message
}

/// Whether a character is invisible, and changes how a terminal shows other characters. Such characters are control
/// characters, line separators, and format characters (for example, for the direction of text).
fn is_invisible(c: char) -> bool {
    let is_format = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    c.is_control() || is_format
}

/// Joins the problems of an error to one message. Each problem is on its own line.
pub(crate) fn one_per_line(problems: &[impl Display]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Returns a text in parentheses that suggests a known name, or an empty string. The function [`similar`] finds the
/// known name.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let similar = similar(name, known);
    similar.map_or_else(String::new, |known| format!(" (did you mean `{known}`?)"))
}

/// Returns the known name that is like `name`: it is the plural of `name`, or only its upper and lower case differ.
pub(crate) fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let is_similar = |known: &&str| {
        let ending = known.strip_prefix(name.as_str());
        let stem = name
            .strip_suffix('y')
            .and_then(|stem| known.strip_prefix(stem));
        !name.is_empty() && (matches!(ending, Some("" | "s" | "es")) || stem == Some("ies"))
    };
    known.into_iter().find(is_similar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_from_outside_are_one_short_line_of_visible_text() {
        let message = shortened(String::from("pods \"a\" é\r\n\u{1b}[31m\u{202e}\u{2028}\0"));
        assert_eq!(message, r#"pods "a" é\r\n\u{1b}[31m\u{202e}\u{2028}\u{0}"#);
        let long = shortened("é".repeat(100_000));
        assert!(long.len() < MAX_MESSAGE + 100 && long.ends_with("é... (200000 bytes)"));
        let controls = shortened("\u{1b}".repeat(100_000));
        assert!(controls.len() < 7 * MAX_MESSAGE);
    }

    #[test]
    fn a_singular_or_another_case_suggests_the_known_name() {
        let known = || {
            [
                "ingresses",
                "networkpolicies",
                "poddisruptionbudgets",
                "pods",
            ]
        };
        for (name, expected) in [
            ("pod", " (did you mean `pods`?)"),
            ("Pods", " (did you mean `pods`?)"),
            ("Ingress", " (did you mean `ingresses`?)"),
            ("networkpolicy", " (did you mean `networkpolicies`?)"),
            ("po", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(name, known()), expected, "{name}");
        }
    }
}
