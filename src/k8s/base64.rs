//! Base64 as the Kubernetes API accepts it.
//!
//! [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4) leaves it to the reader whether line
//! breaks are skipped and whether the bits after the last byte may be set. The API's own decoder
//! allows both; the one behind the typed objects allows neither.

use std::borrow::Cow;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Drops line breaks and the bits after the last byte, so that a strict decoder reads the text.
///
/// Borrows what is strict already. Any other mistake is left to the decoder.
pub(crate) fn normalize_base64(text: &str) -> Cow<'_, str> {
    let text = if text.contains(['\r', '\n']) {
        Cow::Owned(text.replace(['\r', '\n'], ""))
    } else {
        Cow::Borrowed(text)
    };
    let digits = text.trim_end_matches('=');
    let spare_bits = match text.len() - digits.len() {
        1 => 0b11,
        2 => 0b1111,
        _ => return text,
    };
    let last = digits.bytes().last();
    let value = last.and_then(|last| ALPHABET.iter().position(|&digit| digit == last));
    let Some(value) = value.filter(|value| value & spare_bits != 0) else {
        return text;
    };
    let cleared = ALPHABET
        .get(value & !spare_bits)
        .map_or('A', |&digit| char::from(digit));
    let padding = text.get(digits.len()..).unwrap_or_default();
    let front = digits.get(..digits.len() - 1).unwrap_or_default();
    Cow::Owned(format!("{front}{cleared}{padding}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_text_is_borrowed() {
        for text in ["", "YQ==", "YWI=", "YWJj", "/+8="] {
            assert!(matches!(normalize_base64(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn line_breaks_and_spare_bits_go() {
        assert_eq!(normalize_base64("YW\r\nJj\nYQ=\n=\n"), "YWJjYQ==");
        assert_eq!(normalize_base64("YR=="), "YQ==");
        assert_eq!(normalize_base64("Yf=="), "YQ==");
        assert_eq!(normalize_base64("YWL="), "YWI=");
    }

    #[test]
    fn other_mistakes_stay_for_the_decoder_to_find() {
        for text in [
            "=", "==", "===", "Y", "Y U=", "YQ", "YQ==YQ==", "é==", "YWJj====",
        ] {
            assert_eq!(normalize_base64(text), text);
        }
    }
}
