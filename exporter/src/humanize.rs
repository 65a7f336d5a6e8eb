//! Formats numbers, sizes and time spans for people, and escapes text from other programs.

/// Formats a number with thousands separators, such as `1,234`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with its noun, such as `1 object` and `1,234 objects`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{} {noun}", thousands(count))
}

/// Formats a size in bytes with the largest unit in which the number is at least 1, such as `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" || size >= 100.0 {
        format!("{size:.0} {unit}")
    } else {
        format!("{size:.1} {unit}")
    }
}

/// Formats a time span in its two largest units, such as `3m 20s`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Whether a message for people may contain the character without an escape. The result is false for control
/// characters, line separators, invisible characters, and characters that set the direction of text. Such characters
/// can change how a terminal or a browser shows the text around them.
pub(crate) fn is_visible(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{a0}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    !is_format && !character.is_control()
}

/// Replaces characters that are not visible by escapes, such as `\u{1b}`. Line breaks stay unchanged.
pub(crate) fn visible(text: String) -> String {
    let stays = |character| character == '\n' || is_visible(character);
    if text.chars().all(stays) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match stays(character) {
            true => escaped.push(character),
            false => escaped.extend(character.escape_unicode()),
        }
    }
    escaped
}

/// Replaces characters that are not visible by escapes. Also replaces line breaks, so that the result is one line.
pub(crate) fn visible_line(text: String) -> String {
    visible(text).replace('\n', "\\n")
}

/// Returns the start of a text: at most `most` bytes, without a part of a character at its end.
pub(crate) fn start_of(text: &str, most: usize) -> &str {
    let mut ends = (0..=most.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// A message without its digits. If two messages differ only in a number or a time, they have the same cause.
pub(crate) fn without_digits(message: &str) -> String {
    let mut message = message.to_owned();
    message.retain(|own| !own.is_ascii_digit());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
        let counts = [0, 1, 1234].map(|count| counted(count, "family", "families"));
        assert_eq!(counts, ["0 families", "1 family", "1,234 families"]);
        let sizes = [0, 1023, 1536, 200 << 20, 3 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "200 MiB", "3.0 GiB"]);
        let spans = [0.4, 59.9, 200.0, 7300.0, 100_000.0].map(span);
        assert_eq!(spans, ["0s", "59s", "3m 20s", "2h 1m", "1d 3h"]);
    }

    #[test]
    fn the_start_of_a_text_has_whole_characters() {
        for (most, start) in [
            (0, ""),
            (1, "a"),
            (2, "a"),
            (3, "aé"),
            (4, "aéb"),
            (9, "aéb"),
        ] {
            assert_eq!(start_of("aéb", most), start, "{most}");
        }
    }

    #[test]
    fn characters_that_change_other_text_are_escaped() {
        let text = "a\u{1b}[31m\u{9b}2J\0\r\t\u{202e}\u{2066}\u{2028}\u{200f}\u{feff}b\n";
        let expected = "a\\u{1b}[31m\\u{9b}2J\\u{0}\\u{d}\\u{9}\\u{202e}\\u{2066}\\u{2028}\\u{200f}\\u{feff}b\n";
        assert_eq!(visible(text.to_owned()), expected);
        let invisible =
            "\u{a0}\u{ad}\u{34f}\u{115f}\u{180e}\u{2003}\u{2800}\u{3164}\u{fe0f}\u{e0100}";
        assert!(!invisible.chars().any(is_visible));
        let line = expected.replace('\n', "\\n");
        assert_eq!(visible_line(text.to_owned()), line);
        for text in ["", "a\nb", "\"é\u{301}\" \\ …", "日本語 ไทย עברית"] {
            assert_eq!(visible(text.to_owned()), text);
        }
    }
}
