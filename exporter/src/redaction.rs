//! Hides credentials in messages of servers, in every notation in which a message may repeat them.
//!
//! A server that repeats a credential may encode the credential: as a JSON string with escapes, as Base64, in a URL, in
//! HTML or in the subject of a certificate. A person or a program can decode these notations. So the module searches
//! for the credentials in the original text, and again after each decoding step. A decoding step replaces each escape
//! of JSON, of URLs, of HTML and of subjects by the character that the escape stands for. For Base64 and hexadecimal
//! digits, the module searches for the encoded credentials.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use memchr::memmem;

use crate::humanize::visible_line;

/// Credentials that no message may show.
#[derive(Default)]
pub(crate) struct Secrets {
    /// The texts that are hidden only as a whole, such as passwords.
    texts: HashSet<Vec<u8>>,
    /// The hashes of the parts of tokens. Each of these parts is also hidden alone. A token has thousands of parts, and
    /// a hash needs less memory than a part. If another text has the same hash as a part by chance, this text is
    /// hidden.
    parts: HashSet<u64>,
    hasher: RandomState,
    /// The lengths of the parts, in bytes.
    lengths: HashSet<usize>,
}

/// A text after some decoding steps.
struct View {
    bytes: Vec<u8>,
    /// For each byte, the start and the end of its notation in the original text.
    spans: Vec<(usize, usize)>,
}

/// The result of decoding one escape: its character, and the length of the escape. `None` if the escape stands for no
/// valid character.
type Decoded = (Option<char>, usize);

/// The text that replaces a secret.
pub(crate) const HIDDEN: &str = "[hidden]";
/// A secret with fewer bytes than this is hidden only if it is a separate word. Otherwise a password such as `test`
/// would change words such as `latest`.
const WORD: usize = 8;
/// Texts with fewer bytes than this are not hidden, because most messages contain such texts by chance.
pub(crate) const SHORTEST: usize = 3;
/// The maximum number of decoding steps. For example, a JSON string that contains JSON needs two steps.
const STEPS: usize = 4;

// === impl Secrets ===

impl Secrets {
    /// Returns secrets that hide a token as a whole, and each part of it with at least `part` bytes. If the token is
    /// shorter than `part`, only the whole token is hidden, wherever it occurs.
    pub(crate) fn of_token(token: &str, part: usize) -> Self {
        let mut secrets = Self::default();
        secrets.add_parts(token.as_bytes(), part.min(token.len()));
        for form in base64_forms(token.as_bytes()) {
            secrets.add_parts(&form, part.min(form.len()));
        }
        for form in hex_forms(token.as_bytes()) {
            secrets.add_parts(&form, (2 * part).min(form.len()));
        }
        secrets
    }

    /// Adds a text that is hidden as a whole, such as a password.
    pub(crate) fn add(&mut self, text: &str) {
        if text.len() >= SHORTEST {
            self.texts.insert(text.as_bytes().to_vec());
            self.texts.extend(base64_forms(text.as_bytes()));
            self.texts.extend(hex_forms(text.as_bytes()));
        }
    }

    /// Adds a token. It is hidden as a whole, and each part of it with at least `part` bytes is hidden.
    pub(crate) fn add_token(&mut self, token: &str, part: usize) {
        self.add(token);
        for form in base64_forms(token.as_bytes()) {
            self.add_parts(&form, part);
        }
        for form in hex_forms(token.as_bytes()) {
            self.add_parts(&form, 2 * part);
        }
        self.add_parts(token.as_bytes(), part);
    }

    fn add_parts(&mut self, text: &[u8], part: usize) {
        if part > 0 && text.len() >= part {
            let windows = text.windows(part);
            let hashes = windows.map(|window| self.hasher.hash_one(window));
            self.parts.extend(hashes);
            self.lengths.insert(part);
        }
    }

    /// Returns a message of a server without the secrets, as one line. Escapes replace characters that are not visible.
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

    /// Replaces each secret by a text of the same length. So messages in protobuf stay valid.
    pub(crate) fn overwrite(&self, bytes: &mut [u8]) {
        for range in self.ranges(bytes) {
            overwrite(bytes, range);
        }
    }

    /// Returns the ranges of the original text that contain secrets, in order. The ranges neither overlap nor touch.
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
            let is_part = |window: &[u8]| self.parts.contains(&self.hasher.hash_one(window));
            let parts = windows.filter(|(_, window)| is_part(window));
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

/// Returns the Base64 forms that `text` can have as a part of a longer text.
///
/// Base64 encodes groups of three bytes. `text` can begin at each of the three bytes of a group, so it has three forms.
/// The first and the last characters can also depend on the bytes around `text`. The forms lack these characters.
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

/// Returns the hexadecimal forms of `text`, with small and with capital letters.
fn hex_forms(text: &[u8]) -> [Vec<u8>; 2] {
    let digits = |digits: &[u8; 16]| {
        let of_byte = |byte: &u8| [byte >> 4, byte & 15].map(|digit| digits[usize::from(digit)]);
        text.iter().flat_map(of_byte).collect()
    };
    [b"0123456789abcdef", b"0123456789ABCDEF"].map(digits)
}

// === impl View ===

impl View {
    fn of(text: &[u8]) -> Self {
        Self {
            bytes: text.to_vec(),
            spans: (0..text.len()).map(|at| (at, at + 1)).collect(),
        }
    }

    /// Returns the range of the original text from which a range of this view was decoded.
    fn original(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (start, _) = self.spans.get(range.start)?;
        let (_, end) = self.spans.get(range.end.checked_sub(1)?)?;
        Some(*start..*end)
    }

    /// Returns the view after the next decoding step; `None` if the text contains no escapes.
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
            let (bytes, length) = match &decoded {
                Some((bytes, length)) => (&bytes[..], *length),
                None => (std::slice::from_ref(byte), 1),
            };
            let span = self.original(at..at + length)?;
            next.spans
                .extend(bytes.iter().map(|_| (span.start, span.end)));
            next.bytes.extend_from_slice(bytes);
            at += length;
        }
        is_changed.then_some(next)
    }
}

/// Decodes the escape at the start of a text, and returns the decoded bytes and the length of the escape. Returns
/// `None` if the first byte stands for itself.
///
/// The function drops spaces and control characters. So a credential is also found if a server breaks a long line, or
/// writes each character with two bytes.
fn decode(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let of_char = |(character, length): Decoded| {
        let character = character.filter(|own| !own.is_control());
        let text = character.map(String::from).unwrap_or_default();
        (text.into_bytes(), length)
    };
    match text.first()? {
        b'\\' => {
            let decoded = json_escape(text).or_else(|| hex_escape(text));
            decoded.or_else(|| subject_escape(text)).map(of_char)
        }
        b'#' => hex_value(text),
        b'%' => {
            let byte = hex(text.get(1..3)?)?;
            Some((vec![u8::try_from(byte).ok()?], 3))
        }
        b'&' => entity(text).map(of_char),
        byte if byte.is_ascii_control() || *byte == b' ' => Some((Vec::new(), 1)),
        _ => None,
    }
}

/// Decodes the JSON escape at the start of a text.
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

/// Decodes `\u` with four digits, or two such escapes that stand for one character (a surrogate pair).
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

/// Decodes an escape in the subject of a certificate: a backslash before a punctuation character, or before the two
/// digits of a control character.
fn subject_escape(text: &[u8]) -> Option<Decoded> {
    let character = *text.get(1)?;
    if character.is_ascii_punctuation() || character == b' ' {
        return Some((Some(character.into()), 2));
    }
    Some((char::from_u32(hex(text.get(1..3)?)?), 3))
}

/// Decodes a value in the subject of a certificate that is written as `#` and hexadecimal digits.
fn hex_value(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let digits = text.get(1..)?.chunks_exact(2);
    let bytes = digits.map_while(|digits| u8::try_from(hex(digits)?).ok());
    let bytes: Vec<u8> = bytes.collect();
    let length = 1 + 2 * bytes.len();
    (bytes.len() >= SHORTEST).then_some((bytes, length))
}

/// Decodes the HTML entity at the start of a text, such as `&amp;`.
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
    // Without this check, the function `from_str_radix` would also accept a plus sign.
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
            // The notations in the subject of a certificate.
            TOKEN.replace('=', "\\="),
            TOKEN.replace('.', ".\\1b\\7f"),
            format!("#0c2a{}", escaped(TOKEN, |byte| format!("{byte:02x}"))),
            format!("#1e54{}", escaped(TOKEN, |byte| format!("00{byte:02X}"))),
            escaped(TOKEN, |byte| format!("\\u0026#x{byte:x};")),
            escaped(TOKEN, |byte| format!("{byte:02x}")),
            escaped(TOKEN, |byte| format!("{byte:02X} ")),
            TOKEN.replace('.', ".\r\n"),
            TOKEN.replace('J', " J "),
            String::from_utf8(utf16).unwrap(),
        ] {
            let shown = secrets.message(&format!("no: {text}!"));
            assert!(shown.starts_with("no: [hidden]"), "{text}: {shown}");
            assert!(shown.len() < 20, "{text}: {shown}");
        }
        // The first and the last characters of the encoded token also depend on the text around the token, so they may
        // stay visible.
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
        // No text causes a panic.
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
