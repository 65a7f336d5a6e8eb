//! Finds the key near an error in a YAML text, so that the error message can name this key. Messages show only keys
//! that the caller expects, because other text may be secret.

/// Maximum length of a key in a message, in bytes.
const LONGEST: usize = 40;

/// Returns the key that belongs to a position in the text, if this key is one of `known`. `line` and `column` are
/// counted from 1.
///
/// The result is the known key that is nearest to the left of the column. If there is no such key, the result is the
/// first known key of the line. If the line has no known key, the result is the first known key of an earlier line with
/// less indentation.
pub(crate) fn key_at<'a>(text: &str, line: u64, column: u64, known: &[&'a str]) -> Option<&'a str> {
    let above = usize::try_from(line).ok()?.checked_sub(1)?;
    let lines: Vec<&str> = text.lines().take(above + 1).collect();
    let last = lines.get(above)?;
    let column = usize::try_from(column).ok()?;
    // Columns count characters, not bytes. If the error is at the key itself, there is no key before the column, so the
    // next step searches the whole line.
    let end = last.char_indices().nth(column.saturating_sub(1));
    let before = end.map_or(*last, |(end, _)| &last[..end]);
    if let Some(key) = keys_of(before, known).last() {
        return Some(key);
    }
    if let Some(key) = keys_of(last, known).next() {
        return Some(key);
    }
    let mut indentation = indentation_of(last);
    for line in lines[..above].iter().rev() {
        let own = indentation_of(line);
        if line.trim().is_empty() || own >= indentation {
            continue;
        }
        if let Some(key) = keys_of(line, known).next() {
            return Some(key);
        }
        indentation = own;
    }
    None
}

/// Returns `true` if a key resembles one of `known`. The parser can mistake a secret for a key, and an error message
/// must not show a secret. So the message shows only keys for which this function returns `true`.
pub(crate) fn resembles(key: &str, known: &[&str]) -> bool {
    key.len() <= LONGEST
        && known.iter().any(|known| {
            let allowed = 1 + known.len() / 8;
            strsim::damerau_levenshtein(key, known) <= allowed
        })
}

/// The known keys of a line, in order.
fn keys_of<'a>(line: &str, known: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let ends = line.match_indices(':').map(|(at, _)| at);
    ends.filter_map(|end| {
        let key = line[..end].trim_end().trim_end_matches(['"', '\'']);
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let start = key.rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
        // With `get`, the code does not panic if the slice starts inside a multi-byte character. Such a character
        // cannot be part of a known key.
        let key = key.get(start..)?.trim_start_matches('-');
        known.iter().copied().find(|known| *known == key)
    })
}

/// Returns the length of the indentation of a line: the blanks at its start, the dash of a list item, and the blanks
/// after the dash.
fn indentation_of(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-', '\t']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["key_file", "name", "token", "user", "users"];

    #[test]
    fn the_key_of_a_value_is_the_last_one_before_it() {
        for (text, line, column, key) in [
            ("key_file: x", 1, 11, Some("key_file")),
            (
                "users: [{name: u, user: {token: [x]}}]",
                1,
                33,
                Some("token"),
            ),
            ("users: [{'name': [x]}]", 1, 18, Some("name")),
            (
                "users:\n- name: u\n  user:\n    other: 1\n",
                4,
                5,
                Some("user"),
            ),
            ("users:\n- name: u\n- [x]\n", 3, 3, Some("users")),
            ("secret: x", 1, 9, None),
            ("\u{fc}users: x", 1, 9, None),
            ("users: x", 7, 1, None),
            ("", 1, 1, None),
        ] {
            assert_eq!(key_at(text, line, column, KNOWN), key, "{text}");
        }
    }

    #[test]
    fn a_key_is_shown_only_if_it_resembles_a_known_one() {
        for shown in ["key-file", "keyfile", "tokn", "user", "names"] {
            assert!(resembles(shown, KNOWN), "{shown}");
        }
        for hidden in ["", "hunter2", "s3cr3t", "$2y$10$abc", "key_file_of_mine"] {
            assert!(!resembles(hidden, KNOWN), "{hidden}");
        }
    }
}
