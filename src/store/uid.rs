//! [`Uid`]: the uid of an object, in a compact form.

use std::fmt;

/// A `metadata.uid`. A lower-case UUID needs 16 bytes; API servers create such UUIDs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Uid {
    Uuid([u8; 16]),
    Other(Box<str>),
}

/// The positions of the hyphens of a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uid {
    pub(crate) fn new(text: &str) -> Self {
        Self::uuid(text).map_or_else(|| Self::Other(text.into()), Self::Uuid)
    }

    fn uuid(text: &str) -> Option<[u8; 16]> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 || HYPHENS.iter().any(|&at| bytes.get(at) != Some(&b'-')) {
            return None;
        }
        let mut digits = (bytes.iter().enumerate())
            .filter(|(at, _)| !HYPHENS.contains(at))
            .map(|(_, &byte)| match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            });
        let mut uuid = [0; 16];
        for byte in &mut uuid {
            *byte = digits.next()?? << 4 | digits.next()??;
        }
        Some(uuid)
    }

    /// Compares the uid with `text`, without an allocation.
    pub(crate) fn is(&self, text: &str) -> bool {
        match self {
            Self::Uuid(uuid) => Self::uuid(text).as_ref() == Some(uuid),
            Self::Other(other) => &**other == text,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Uuid(_) => 0,
            Self::Other(text) => text.len(),
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => {
                for (at, byte) in uuid.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_only_lower_case_uuids_are_packed() {
        let uuid = "e41b66d4-13c6-4bdc-a996-431cfcb2185a";
        for (text, packed) in [
            (uuid, true),
            ("E41B66D4-13C6-4BDC-A996-431CFCB2185A", false),
            ("e41b66d4+13c6-4bdc-a996-431cfcb2185a", false),
            ("e41b66d4-13c6-4bdc-a996-431cfcb2185-", false),
            ("", false),
            ("abc", false),
        ] {
            let uid = Uid::new(text);
            assert_eq!(uid.to_string(), text);
            assert_eq!(matches!(uid, Uid::Uuid(_)), packed, "{text}");
            assert!(uid.is(text));
            assert!(!uid.is("another"));
        }
        assert_eq!(size_of::<Uid>(), 24);
    }
}
