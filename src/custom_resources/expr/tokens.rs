//! Splits the text of an expression into tokens before the parser reads the text.
//!
//! The lexer of the crate `cel` reports each text that is not a token as an error, and the memory for these errors
//! grows with the square of their number. So an expression with such a text never reaches the parser. The rules are
//! those of the grammar `CEL.g4` in the crate `cel`.

/// Returns the number of tokens of an expression. Comments and spaces are not tokens. The function stops at the first
/// token above `limit`, and then returns `limit + 1`.
///
/// # Errors
///
/// Returns an error for the first character that does not belong to a token, and for a string literal without an end.
pub(super) fn count(source: &str, limit: usize) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let (mut at, mut tokens) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b'\t' | b' ' | b'\r' | b'\n' | 0x0c => {
                at += 1;
                continue;
            }
            b'/' if rest.starts_with(b"//") => {
                at += rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
                continue;
            }
            _ => token(rest).map_err(|problem| problem.describe(source, at))?,
        };
        tokens += 1;
        if tokens > limit {
            break;
        }
        at += length;
    }
    Ok(tokens)
}

/// The reason why a text does not start with a token.
enum NoToken {
    /// The text starts with this character.
    Character,
    /// The text starts with a string literal that has no end.
    Endless,
    /// The string literal at the start of the text has an invalid escape at this offset.
    Escape(usize),
}

/// Returns the length of the first token of `rest`, in bytes.
fn token(rest: &[u8]) -> Result<usize, NoToken> {
    match rest {
        [b'=', b'=', ..]
        | [b'!', b'=', ..]
        | [b'<', b'=', ..]
        | [b'>', b'=', ..]
        | [b'&', b'&', ..]
        | [b'|', b'|', ..] => Ok(2),
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => Ok(number(rest)),
        [
            b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'(' | b')' | b'.' | b',' | b'-' | b'!'
            | b'?' | b':' | b'+' | b'*' | b'/' | b'%',
            ..,
        ] => Ok(1),
        [b'`', ..] => quoted_name(rest),
        [b'"' | b'\'', ..] => string(rest, 0, false),
        [b'r' | b'R', b'"' | b'\'', ..] => string(rest, 1, true),
        [b'b' | b'B', b'"' | b'\'', ..] => string(rest, 1, false),
        [b'b' | b'B', b'r' | b'R', b'"' | b'\'', ..] => string(rest, 2, true),
        [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => Ok(run(rest, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'_'
        })),
        _ => Err(NoToken::Character),
    }
}

/// Returns the number of bytes at the start of `text` that fulfill the condition.
fn run(text: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is_part(*byte));
    end.unwrap_or(text.len())
}

fn digits(text: &[u8]) -> usize {
    run(text, |byte| byte.is_ascii_digit())
}

/// Returns the length of the longest number at the start of `text`.
fn number(text: &[u8]) -> usize {
    let suffix = |end: usize| usize::from(matches!(text.get(end), Some(b'u' | b'U')));
    if let Some(hex) = text.strip_prefix(b"0x") {
        let length = run(hex, |byte| byte.is_ascii_hexdigit());
        if length > 0 {
            return 2 + length + suffix(2 + length);
        }
    }
    let whole = digits(text);
    let fraction = match text.get(whole) {
        Some(b'.') => digits(&text[whole + 1..]),
        _ => 0,
    };
    let end = if fraction > 0 {
        whole + 1 + fraction
    } else {
        whole
    };
    let exponent = match &text[end..] {
        [b'e' | b'E', rest @ ..] => {
            let sign = usize::from(matches!(rest, [b'+' | b'-', ..]));
            match digits(&rest[sign..]) {
                0 => 0,
                length => 1 + sign + length,
            }
        }
        _ => 0,
    };
    match exponent {
        0 if fraction == 0 => whole + suffix(whole),
        _ => end + exponent,
    }
}

/// Returns the length of the name in backquotes at the start of `text`.
fn quoted_name(text: &[u8]) -> Result<usize, NoToken> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/ ".contains(&byte);
    let name = run(&text[1..], is_part);
    match text.get(1 + name) {
        Some(b'`') if name > 0 => Ok(name + 2),
        _ => Err(NoToken::Character),
    }
}

/// Returns the length of the string literal at the start of `text`. The literal has a prefix of `prefix` bytes. In a
/// raw string, a backslash has no special meaning.
fn string(text: &[u8], prefix: usize, is_raw: bool) -> Result<usize, NoToken> {
    let quote = text[prefix];
    let triple = [quote; 3];
    let is_triple = text[prefix..].starts_with(&triple);
    let mut at = prefix + if is_triple { 3 } else { 1 };
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if !is_raw => match escape(&text[at..]) {
                0 => return Err(NoToken::Escape(at)),
                length => at += length,
            },
            _ if is_triple && text[at..].starts_with(&triple) => return Ok(at + 3),
            b'\n' | b'\r' if !is_triple => break,
            byte if *byte == quote && !is_triple => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(NoToken::Endless)
}

/// Returns the length of the escape at the start of `text`, or 0 if the escape is invalid.
fn escape(text: &[u8]) -> usize {
    let hex = |length: usize| match text.get(2..2 + length) {
        Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => 2 + length,
        _ => 0,
    };
    match text {
        [_, b'x' | b'X', ..] => hex(2),
        [_, b'u', ..] => hex(4),
        [_, b'U', ..] => hex(8),
        [_, b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', ..] => 4,
        [_, own, ..] if b"abfnrtv\"'\\?`".contains(own) => 2,
        _ => 0,
    }
}

// === impl NoToken ===

impl NoToken {
    /// Describes the problem. The token would start at the offset `at`.
    fn describe(&self, source: &str, at: usize) -> String {
        match self {
            Self::Character => {
                let found = source[at..].chars().next().unwrap_or_default();
                format!(
                    "not an expression: `{}` at {} is not part of CEL; write text in quotation marks",
                    found.escape_debug(),
                    Position::of(source, at)
                )
            }
            Self::Endless => format!(
                "not an expression: the string that starts at {} has no end; add the quotation mark",
                Position::of(source, at)
            ),
            Self::Escape(offset) => format!(
                "not an expression: the string has an unknown escape at {}; write a backslash as `\\\\`",
                Position::of(source, at + offset)
            ),
        }
    }
}

/// A position in the text of an expression. The first line and the first character have the number 1.
struct Position {
    line: usize,
    character: usize,
}

// === impl Position ===

impl Position {
    fn of(source: &str, at: usize) -> Self {
        let before = &source[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            character: 1 + before[start..].chars().count(),
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            1 => write!(f, "character {}", self.character),
            line => write!(f, "line {line}, character {}", self.character),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::thread;

    use super::super::enabled::{LANGUAGE, PARSER_STACK};
    use super::*;

    /// Returns the errors of the parser.
    fn parse(source: &str) -> Result<(), String> {
        let parse = || LANGUAGE.compile(source).map(drop);
        thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(PARSER_STACK);
            let parsed = builder.spawn_scoped(scope, parse).unwrap().join().unwrap();
            parsed.map_err(|error| error.to_string())
        })
    }

    #[test]
    fn the_first_text_that_is_no_token_is_named_with_its_place() {
        for (source, part) in [
            ("@", "`@` at character 1 is not part of CEL"),
            ("'é' + é", "`é` at character 7"),
            ("1 # one", "`#` at character 3"),
            ("1 = 1", "`=` at character 3"),
            ("1 & 2", "`&` at character 3"),
            ("1 | 2", "`|` at character 3"),
            ("a.`b", "``` at character 3"),
            ("a // é\n + ;", "`;` at line 2, character 4"),
            ("1 + 'a", "the string that starts at character 5 has no end"),
            ("'a\nb'", "the string that starts at character 1"),
            ("r'a\\' + 'b", "the string that starts at character 9"),
            ("'''a\n'' ' ", "the string that starts at character 1"),
            ("'é\\d'", "an unknown escape at character 3"),
            ("'\\u12g4'", "an unknown escape at character 2"),
            ("'\\400'", "an unknown escape at character 2"),
            ("b'\\", "an unknown escape at character 3"),
            ("\u{1b}", "`\\u{1b}` at character 1"),
        ] {
            let error = count(source, 100).unwrap_err();
            assert!(error.contains(part), "{source}: {error}");
            assert!(parse(source).is_err(), "{source}");
        }
    }

    #[test]
    fn tokens_are_counted() {
        for (source, tokens) in [
            ("", 0),
            (" \t\r\n\u{c}// 'é", 0),
            ("1 // a\n+ 2", 3),
            ("a.b == 'c' && !d", 8),
            ("1in[1u, 0x1fu, .5, 1e-5, 1.5E+3, 2.]", 16),
            ("1u1u0xg1e", 4),
            (
                "'a\\'' + \"b'\" + '''c'\n''' + r'\\' + bR\"\"\"\\\"\"\" + B'd'",
                11,
            ),
            ("br'a' rb'a' r b", 5),
            ("a.?b[?0].`c-d/e.f g`", 10),
        ] {
            assert_eq!(count(source, 100), Ok(tokens), "{source}");
        }
        assert_eq!(count("1 1 1 @", 2), Ok(3));
    }

    /// Returns expressions from a grammar. Most of them are valid.
    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[a-z_][a-zA-Z0-9_]{0,3}",
            "0|[1-9][0-9]{0,3}u?|0x[0-9a-fA-F]{1,4}[uU]?",
            "[0-9]{0,2}\\.[0-9]{1,2}([eE][+-]?[0-9])?|[0-9]e[0-9]",
            "[bB]?'([a-zé@#/\" ]|\\\\['\"nrt\\\\?`]|\\\\x[0-9a-f]{2}|\\\\[0-3][0-7]{2}){0,6}'",
            "\"([a-zé@#/' ]|\\\\u00[4-7][0-9a-f]|\\\\U000000[4-7][0-9a-f]){0,6}\"",
            "[bB]?[rR]('[a-zé@\\\\\" ]{0,6}'|\"[a-zé@\\\\' ]{0,6}\")",
            "[rR]?(\"\"\"([a-z'\n]|\"[a-z]){0,6}\"\"\"|'''([a-z\"\n\r]|'[a-z]){0,6}''')",
            Just(String::from("true")),
            Just(String::from("null")),
        ];
        let space = || "([ \t\r\n\u{c}]|//[a-zé@'\" ]{0,5}\n){0,2}";
        leaf.prop_recursive(4, 24, 3, move |inner| {
            let operator = "[-+*/%<>]|<=|>=|==|!=|&&|\\|\\|| in ";
            prop_oneof![
                (inner.clone(), operator, space(), inner.clone())
                    .prop_map(|(a, operator, space, b)| format!("{a}{operator}{space}{b}")),
                (inner.clone(), space()).prop_map(|(a, space)| format!("({space}{a})")),
                (inner.clone(), inner.clone(), inner.clone())
                    .prop_map(|(a, b, c)| format!("{a}?{b}:{c}")),
                (inner.clone(), "[a-z]{1,3}").prop_map(|(a, name)| format!("{a}.{name}")),
                (inner.clone(), "[a-z]{1,3}").prop_map(|(a, name)| format!("{a}.?{name}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}:{b}}}")),
                ("[a-z]{1,3}", inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
                ("[!-]{1,2}", inner).prop_map(|(signs, a)| format!("{signs}{a}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_the_parser_accepts_has_only_tokens(source in expressions()) {
            if let Err(error) = count(&source, usize::MAX) {
                prop_assert!(parse(&source).is_err(), "{}: {}", source, error);
            }
        }

        #[test]
        fn texts_that_are_no_tokens_never_reach_the_parser(
            source in "([ab0-9x.eru'\"\\\\\n`/=&|!é@-]|'''|\"\"\"|//){0,12}"
        ) {
            let is_refused = count(&source, usize::MAX).is_err();
            match parse(&source) {
                Ok(_) => prop_assert!(!is_refused, "{}", source),
                Err(error) => prop_assert!(
                    is_refused || !error.contains("token recognition error"), "{}: {}", source, error
                ),
            }
        }
    }
}
