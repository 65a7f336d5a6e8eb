//! The encoding of objects in requests and responses.

use http::{HeaderMap, header};
use kube_protobuf::CONTENT_TYPE;

use crate::decode::Encoding;

// === impl Encoding ===

impl Encoding {
    /// Returns the encoding of a response. `self` is the preferred encoding of the request. The result is protobuf only
    /// if protobuf was preferred and the `Content-Type` of the response is protobuf.
    pub(super) fn of_response(self, headers: &HeaderMap) -> Self {
        let stated = headers.get(header::CONTENT_TYPE);
        let stated = stated.and_then(|value| value.to_str().ok()).unwrap_or("");
        let media_type = stated.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(CONTENT_TYPE) {
            self
        } else {
            Self::Json
        }
    }

    /// Objects of at least this size, in bytes, are applied on a thread for blocking work. For most smaller objects,
    /// moving the object to another thread would take longer than applying it.
    pub(super) fn large_object(self) -> usize {
        match self {
            Self::Json => 64 << 10,
            // In protobuf, an object has about half as many bytes as in JSON. For the fields that need the most time to
            // decode, this ratio is about a third.
            Self::Protobuf(_) => 24 << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use kube_protobuf::message_of;

    #[test]
    fn only_the_media_type_of_the_api_is_protobuf() {
        let protobuf = Encoding::Protobuf(message_of("v1", "Pod").unwrap());
        for (stated, is_protobuf) in [
            ("application/vnd.kubernetes.protobuf", true),
            ("Application/vnd.kubernetes.protobuf ; stream=watch", true),
            ("application/json", false),
            ("application/json;stream=watch", false),
            ("text/html", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(stated));
            let is = |encoding| matches!(encoding, Encoding::Protobuf(_));
            assert_eq!(is(protobuf.of_response(&headers)), is_protobuf, "{stated}");
            // If the request asked for JSON, the response is never read as protobuf.
            assert!(!is(Encoding::Json.of_response(&headers)), "{stated}");
        }
        let unstated = protobuf.of_response(&HeaderMap::new());
        assert!(matches!(unstated, Encoding::Json));
    }
}
