//! Base64 as the Kubernetes API accepts it.
//!
//! [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4) leaves two decisions to a decoder. It may skip line
//! breaks, or refuse them. It may ignore the unused bits after the last byte, or require that they are 0. The API
//! server skips line breaks and ignores these bits. The decoder of the typed objects reports an error in both cases.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};

/// A decoder that requires padding, and ignores unused bits after the last byte.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, PAD.with_decode_allow_trailing_bits(true));

/// The number of base64 digits that together encode three bytes.
const GROUP: usize = 4;

/// Decodes padded base64. Skips whitespace, and ignores unused bits after the last byte.
#[cfg(any(feature = "custom-resources", feature = "manifests"))]
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    LENIENT.decode(digits).ok()
}

/// Removes line breaks and sets unused bits to 0, so that the decoder of the typed objects accepts the text.
///
/// If that decoder already accepts the text, the result borrows the text. All other mistakes stay in the text, so that
/// the decoder reports them.
pub(crate) fn normalize_base64(text: &str) -> Cow<'_, str> {
    let text = if text.contains(['\r', '\n']) {
        Cow::Owned(text.replace(['\r', '\n'], ""))
    } else {
        Cow::Borrowed(text)
    };
    // Only the last four digits can contain unused bits.
    let start = text.len().saturating_sub(GROUP);
    let Some((head, last)) = text.split_at_checked(start) else {
        return text;
    };
    match LENIENT.decode(last).map(|bytes| STANDARD.encode(bytes)) {
        Ok(strict) if strict != last => Cow::Owned(format!("{head}{strict}")),
        _ => text,
    }
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
    fn line_breaks_are_removed_and_unused_bits_are_cleared() {
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

    #[cfg(feature = "custom-resources")]
    #[test]
    fn decoding_skips_whitespace_and_requires_padding() {
        let text = |text| decode_base64(text).map(|bytes| String::from_utf8(bytes).unwrap());
        for (encoded, decoded) in [
            ("", ""),
            ("aGk=", "hi"),
            (" aG\n k=\r\n", "hi"),
            ("aGl=", "hi"),
            ("YWJj", "abc"),
        ] {
            assert_eq!(text(encoded).as_deref(), Some(decoded), "{encoded:?}");
        }
        for encoded in ["aGk", "aGk==", "====", "a===", "aGk-", "YQ==YQ=="] {
            assert_eq!(text(encoded), None, "{encoded:?}");
        }
    }
}
