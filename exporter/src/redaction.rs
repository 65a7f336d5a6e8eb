//! Hides credentials in messages of servers, in every notation in which a message may repeat them.
//!
//! A server that repeats a credential may encode it: as JSON string with escapes, as Base64, in a URL or in HTML. A
//! person or a program can read these notations. So the text is searched as it is, and again after each step of
//! decoding.

use std::collections::HashSet;
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use memchr::memmem;

use crate::humanize::visible_line;

/// Credentials that no message may show.
#[derive(Default)]
pub(crate) struct Secrets {
    /// The texts that are hidden as a whole.
    texts: HashSet<Vec<u8>>,
    /// The parts of tokens. Each part of a token is secret, too.
    parts: HashSet<Vec<u8>>,
    /// The lengths of the parts.
    lengths: HashSet<usize>,
}

/// A text after some steps of decoding.
struct View {
    bytes: Vec<u8>,
    /// For each byte, the position and the end of its notation in the original text.
    spans: Vec<(usize, usize)>,
}

/// A character that was decoded, and the length of its notation.
type Decoded = (Option<char>, usize);

/// The text that replaces a secret.
pub(crate) const HIDDEN: &str = "[hidden]";
/// A shorter secret is hidden only if it is a separate word. Otherwise a password such as `test` would change words
/// such as `latest`.
const WORD: usize = 8;
/// Shorter texts are not hidden, because they would occur in most messages.
pub(crate) const SHORTEST: usize = 3;
/// The number of decoding steps. A JSON string that contains JSON needs two.
const STEPS: usize = 4;

// === impl Secrets ===

impl Secrets {
    /// The secrets that hide a token and each part of it that has `part` bytes. A token that is shorter than `part` is
    /// hidden everywhere.
    pub(crate) fn of_token(token: &str, part: usize) -> Self {
        let mut secrets = Self::default();
        secrets.add_parts(token.as_bytes(), part.min(token.len()));
        for form in base64_forms(token.as_bytes()) {
            secrets.add_parts(&form, part.min(form.len()));
        }
        secrets
    }

    /// Adds a text that is hidden as a whole, such as a password.
    pub(crate) fn add(&mut self, text: &str) {
        if text.len() >= SHORTEST {
            self.texts.insert(text.as_bytes().to_vec());
            self.texts.extend(base64_forms(text.as_bytes()));
        }
    }

    /// Adds a token, which is hidden as a whole, and each part of it that has `part` bytes.
    pub(crate) fn add_token(&mut self, token: &str, part: usize) {
        self.add(token);
        for form in base64_forms(token.as_bytes()) {
            self.add_parts(&form, part);
        }
        self.add_parts(token.as_bytes(), part);
    }

    fn add_parts(&mut self, text: &[u8], part: usize) {
        if part > 0 && text.len() >= part {
            self.parts.extend(text.windows(part).map(<[u8]>::to_vec));
            self.lengths.insert(part);
        }
    }

    /// Returns a message of a server as one line of visible text without the secrets.
    pub(crate) fn message(&self, text: &str) -> String {
        let mut out = Vec::new();
        let mut shown = 0;
        for range in self.ranges(text.as_bytes()) {
            out.extend_from_slice(text.as_bytes().get(shown..range.start).unwrap_or_default());
            out.extend_from_slice(HIDDEN.as_bytes());
            shown = range.end;
        }
        out.extend_from_slice(text.as_bytes().get(shown..).unwrap_or_default());
        visible_line(String::from_utf8_lossy(&out).into_owned())
    }

    /// Replaces the secrets by a text of the same length. So messages in protobuf stay valid.
    pub(crate) fn overwrite(&self, bytes: &mut [u8]) {
        for range in self.ranges(bytes) {
            overwrite(bytes, range);
        }
    }

    /// The positions of the secrets, in order. The ranges neither overlap nor touch.
    fn ranges(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut view = View::of(text);
        for _ in 0..=STEPS {
            let own = self.found(&view.bytes).into_iter();
            found.extend(own.filter_map(|range| view.original(range)));
            match view.decoded() {
                Some(next) => view = next,
                None => break,
            }
        }
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    fn found(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for own in &self.texts {
            let ranges = memmem::find_iter(text, own).map(|at| at..at + own.len());
            found.extend(ranges.filter(|range| own.len() >= WORD || is_word(text, range)));
        }
        for length in &self.lengths {
            let windows = text.windows(*length).enumerate();
            let parts = windows.filter(|(_, window)| self.parts.contains(*window));
            found.extend(parts.map(|(at, _)| at..at + length));
        }
        found
    }
}

/// Replaces a part of a text by `[hidden]` and asterisks. The length stays the same.
pub(crate) fn overwrite(bytes: &mut [u8], range: Range<usize>) {
    let hidden = bytes.get_mut(range).unwrap_or_default().iter_mut();
    let text = HIDDEN.bytes().chain(std::iter::repeat(b'*'));
    hidden.zip(text).for_each(|(byte, hidden)| *byte = hidden);
}

fn is_word(text: &[u8], range: &Range<usize>) -> bool {
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    let mut around = before.into_iter().chain(text.get(range.end));
    !around.any(u8::is_ascii_alphanumeric)
}

/// The Base64 texts that contain a text, without the first and the last characters, which depend on the text around it.
/// The characters also depend on the position of the text, modulo 3, in the encoded bytes.
fn base64_forms(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let of_shift = move |shift: usize| {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(text);
        let start = if shift == 0 { 0 } else { shift + 1 };
        let end = shifted.len() * 8 / 6;
        let forms = [
            BASE64_STANDARD_NO_PAD.encode(&shifted),
            BASE64_URL_SAFE_NO_PAD.encode(&shifted),
        ];
        forms.map(|form| form.get(start..end).unwrap_or_default().as_bytes().to_vec())
    };
    (0..3).flat_map(of_shift).filter(|form| form.len() >= WORD)
}

// === impl View ===

impl View {
    fn of(text: &[u8]) -> Self {
        Self {
            bytes: text.to_vec(),
            spans: (0..text.len()).map(|at| (at, at + 1)).collect(),
        }
    }

    /// The range of the original text that this range of the view comes from.
    fn original(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (start, _) = self.spans.get(range.start)?;
        let (_, end) = self.spans.get(range.end.checked_sub(1)?)?;
        Some(*start..*end)
    }

    /// The view after the next step; `None` if there is nothing to decode.
    fn decoded(&self) -> Option<Self> {
        let mut next = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            spans: Vec::with_capacity(self.bytes.len()),
        };
        let mut at = 0;
        let mut is_changed = false;
        while let Some(rest @ [byte, ..]) = self.bytes.get(at..) {
            let decoded = decode(rest);
            is_changed |= decoded.is_some();
            let (bytes, length) = match decoded {
                Some((bytes, length)) => (bytes, length),
                None => (vec![*byte], 1),
            };
            let span = self.original(at..at + length)?;
            next.spans
                .extend(bytes.iter().map(|_| (span.start, span.end)));
            next.bytes.extend(bytes);
            at += length;
        }
        is_changed.then_some(next)
    }
}

/// Decodes the notation at the start of a text, and returns its length. `None` if the first byte stands for itself.
/// Spaces and control characters are left out, because a server may break a long line, or use two bytes for each
/// character.
fn decode(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let of_char = |(character, length): Decoded| {
        let character = character.filter(|own| !own.is_control());
        let text = character.map(String::from).unwrap_or_default();
        (text.into_bytes(), length)
    };
    match text.first()? {
        b'\\' => json_escape(text).or_else(|| hex_escape(text)).map(of_char),
        b'%' => {
            let byte = hex(text.get(1..3)?)?;
            Some((vec![u8::try_from(byte).ok()?], 3))
        }
        b'&' => entity(text).map(of_char),
        byte if byte.is_ascii_control() || *byte == b' ' => Some((Vec::new(), 1)),
        _ => None,
    }
}

/// Decodes the escape at the start of a JSON string.
pub(crate) fn json_escape(text: &[u8]) -> Option<Decoded> {
    let character = match text.get(1)? {
        b'u' => return unicode_escape(text),
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    };
    Some((Some(character), 2))
}

/// Decodes `\u` with four digits, or two such escapes that stand for one character.
fn unicode_escape(text: &[u8]) -> Option<Decoded> {
    let unit = |at: usize| {
        let is_escape = text.get(at..at + 2) == Some(b"\\u");
        is_escape.then(|| hex(text.get(at + 2..at + 6)?)).flatten()
    };
    let first = unit(0)?;
    let pair = [Some(first), unit(6)].into_iter().flatten();
    let pair = pair.filter_map(|unit| u16::try_from(unit).ok());
    match char::decode_utf16(pair).next()? {
        Ok(character) => Some((
            Some(character),
            if character.len_utf16() == 2 { 12 } else { 6 },
        )),
        Err(_) => Some((None, 6)),
    }
}

/// Decodes `\x` with two digits.
fn hex_escape(text: &[u8]) -> Option<Decoded> {
    let digits = text.strip_prefix(b"\\x")?.get(..2)?;
    Some((char::from_u32(hex(digits)?), 4))
}

/// Decodes the entity at the start of HTML.
fn entity(text: &[u8]) -> Option<Decoded> {
    let end = memchr::memchr(b';', text.get(..10).unwrap_or(text))?;
    let name = text.get(1..end)?;
    let character = match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => {
            let digits = std::str::from_utf8(name.strip_prefix(b"#")?).ok()?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => hex(digits.as_bytes())?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((Some(character), end + 1))
}

fn hex(digits: &[u8]) -> Option<u32> {
    // The parser would also accept a sign.
    let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| are_digits)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const TOKEN: &str = "eyJhbGciOi.eyJzdWIi/iJ4In0.c2lnbmF0dXJl==";

    fn escaped(text: &str, write: impl Fn(u8) -> String) -> String {
        text.bytes().map(write).collect()
    }

    #[test]
    fn a_token_is_hidden_in_every_notation() {
        let secrets = Secrets::of_token(TOKEN, 8);
        let utf16: Vec<u8> = TOKEN.bytes().flat_map(|byte| [byte, 0]).collect();
        for text in [
            TOKEN.to_owned(),
            TOKEN.replace('/', "\\/"),
            TOKEN.replace('=', "\\u003d"),
            escaped(TOKEN, |byte| format!("\\u{byte:04x}")),
            escaped(TOKEN, |byte| format!("\\\\u{byte:04X}")),
            escaped(TOKEN, |byte| format!("\\x{byte:02x}")),
            escaped(TOKEN, |byte| format!("%{byte:02X}")),
            escaped(TOKEN, |byte| format!("%25{byte:02x}")),
            escaped(TOKEN, |byte| format!("&#{byte};")),
            escaped(TOKEN, |byte| format!("\\u0026#x{byte:x};")),
            TOKEN.replace('.', ".\r\n"),
            TOKEN.replace('J', " J "),
            String::from_utf8(utf16).unwrap(),
        ] {
            let shown = secrets.message(&format!("no: {text}!"));
            assert!(shown.starts_with("no: [hidden]"), "{text}: {shown}");
            assert!(shown.len() < 20, "{text}: {shown}");
        }
        // The characters of Base64 at the edges also depend on the text around the token.
        for before in ["", "Bearer ", "a ", "ab "] {
            let text = format!("{before}{TOKEN} is wrong");
            for shown in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
                let hidden = secrets.message(&shown);
                let rest = hidden.replace(HIDDEN, "");
                assert!(
                    rest.len() <= shown.len() - TOKEN.len() * 4 / 3 + 3,
                    "{hidden}"
                );
            }
        }
    }

    #[test]
    fn a_password_is_hidden_in_every_notation_and_words_stay() {
        let mut secrets = Secrets::default();
        secrets.add("pa<ss&\"wörd");
        secrets.add("test");
        for text in [
            "pa<ss&\"wörd",
            "pa\\u003css\\u0026\\\"w\\u00f6rd",
            "pa&lt;ss&amp;&quot;w&#246;rd",
            "pa\\u0026lt;ss\\u0026amp;\\u0026#34;w\\u00f6rd",
            "pa%3Css%26%22w%C3%B6rd",
        ] {
            assert_eq!(secrets.message(&format!("no: {text}.")), "no: [hidden].");
        }
        assert_eq!(secrets.message("a test, latest"), "a [hidden], latest");
        assert_eq!(
            secrets.message("100% & \\ \\u12 %zz &x;"),
            "100% & \\ \\u12 %zz &x;"
        );
    }

    #[test]
    fn a_message_is_visible_and_bytes_keep_their_length() {
        let secrets = Secrets::of_token("abc", 8);
        assert_eq!(
            secrets.message("say abc\n\u{1b}[2J"),
            "say [hidden]\\n\\u{1b}[2J"
        );
        let none = Secrets::of_token("", 8);
        assert_eq!(none.message("abc"), "abc");
        let secrets = Secrets::of_token(TOKEN, 8);
        let mut bytes = format!("k8s\0{TOKEN}\u{1}").into_bytes();
        let length = bytes.len();
        secrets.overwrite(&mut bytes);
        assert_eq!(bytes.len(), length);
        assert!(bytes.starts_with(b"k8s\0[hidden]***") && bytes.ends_with(b"**\x01"));
        // Any bytes are accepted.
        for text in [
            "\\",
            "\\u",
            "\\ud83d",
            "\\ud83d\\u0041",
            "%",
            "%f",
            "&",
            "&#;",
            "&#x;",
            "\\x",
        ] {
            secrets.message(text);
        }
    }
}
