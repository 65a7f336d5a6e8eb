//! Tests that the credentials of a request are hidden in its response.

use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::redaction::HIDDEN;

const TOKEN: &str = "eyJhbGciOi.eyJzdWIiOiJvd24ifQ.c2lnbmF0dXJl";

fn secrets(authorization: &str, proxy: &str) -> Arc<OwnSecrets> {
    let value = |text: &str| text.parse::<HeaderValue>().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value(authorization))]);
    RecentSecrets::new().with(&Arc::default(), &headers, Some(&value(proxy)))
}

/// Returns the text of a response that arrives in pieces of `size` bytes.
async fn received(text: &str, size: usize, is_error: bool, secrets: Arc<OwnSecrets>) -> String {
    let pieces: Vec<_> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
    let frames = pieces
        .into_iter()
        .map(|piece| Ok::<_, BoxError>(Frame::data(piece.into())));
    let body = StreamBody::new(futures::stream::iter(frames));
    let read = HidingBody::new(body, secrets, is_error).collect().await;
    String::from_utf8(read.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn an_error_does_not_repeat_the_credentials() {
    let bearer = format!("Bearer {TOKEN}");
    let pair = BASE64_STANDARD.encode("agent:pa<ss\"word");
    let short = BASE64_STANDARD.encode("me:test");
    for (authorization, proxy, text, expected) in [
        (&*bearer, "", "no token here", "no token here"),
        (
            &bearer,
            "",
            &*format!("got 'bearer {TOKEN}' and {TOKEN}{TOKEN}!"),
            "got 'bearer [hidden]' and [hidden]!",
        ),
        (&bearer, "", "cut: eyJzdWIiOiJvd24i", "cut: [hidden]"),
        (
            "Bearer x",
            &format!("Basic {pair}"),
            &format!("{pair} is agent:pa<ss\"word, or pa<ss\"word, or pa\\u003css\\\"word; agent"),
            "[hidden] is [hidden], or [hidden], or [hidden]; agent",
        ),
        // This password is short, so it is hidden only where it is a separate word.
        (
            &format!("basic {short}"),
            "",
            "me:test, test and latest tests",
            "[hidden], [hidden] and latest tests",
        ),
    ] {
        for size in [1, 7, 1000] {
            let text = received(text, size, true, secrets(authorization, proxy)).await;
            assert_eq!(text, expected, "{size}");
        }
    }
}

#[tokio::test]
async fn content_keeps_its_length_and_loses_long_credentials_only() {
    let proxy = format!("Basic {}", BASE64_STANDARD.encode("me:pods"));
    let text = format!("pods {TOKEN}{TOKEN} eyJ. pods {TOKEN}");
    let hidden = format!("[hidden]{}", "*".repeat(TOKEN.len() - HIDDEN.len()));
    for size in [1, 3, 4, 7, 1000] {
        let secrets = secrets(&format!("Bearer {TOKEN}"), &proxy);
        let received = received(&text, size, false, secrets).await;
        let expected = text.replace(TOKEN, &hidden);
        assert_eq!(received.len(), expected.len(), "{size}");
        // The first bytes of a secret may be at the end of one piece, and the other bytes in the next piece.
        let is_same = |(own, other): (char, char)| own == other || "eyJ".contains(own);
        let differs = received
            .chars()
            .zip(expected.chars())
            .find(|pair| !is_same(*pair));
        assert_eq!(differs, None, "{size}: {received}");
        assert_eq!(received == expected, size == 1000, "{size}: {received}");
    }
}

/// Replaces some characters by their escapes in JSON: those at the positions for which `is_escaped` returns true.
fn escaped(text: &str, is_escaped: impl Fn(usize) -> bool) -> String {
    let characters = text
        .char_indices()
        .map(|(at, character)| match is_escaped(at) {
            true if character == '/' => "\\/".to_owned(),
            true => format!("\\u{:04x}", u32::from(character)),
            false => character.to_string(),
        });
    characters.collect()
}

const NOTATIONS: [fn(usize) -> bool; 5] = [
    |_| true,
    |at| at == 0,
    |at| at == TOKEN.len() - 1,
    |at| at % 7 == 5,
    |at| at > 3,
];

#[tokio::test]
async fn an_error_with_escapes_does_not_repeat_the_credentials() {
    let pair = BASE64_STANDARD.encode("agent:pa/ss<word");
    for is_escaped in NOTATIONS {
        let token = escaped(TOKEN, is_escaped);
        let password = escaped("pa/ss<word", is_escaped);
        let body = format!(
            "{{\n \"message\": \"got '{token}', {password} \\u001b[2J\\u202e\", \"code\": 500, \"{token}\": [null]}}"
        );
        for size in [1, 7, 1000] {
            let secrets = secrets(&format!("Bearer {TOKEN}"), &format!("Basic {pair}"));
            let received = received(&body, size, true, secrets).await;
            let received: Value = serde_json::from_str(&received).unwrap();
            let expected = serde_json::json!({
                "message": "got '[hidden]', [hidden] \\u{1b}[2J\\u{202e}", "code": 500, "[hidden]": [null],
            });
            assert_eq!(received, expected, "{body}");
        }
    }
}

#[tokio::test]
async fn an_error_in_protobuf_keeps_its_length_and_a_large_error_is_dropped() {
    let text = format!("k8s\0\u{1}{TOKEN}\u{2}");
    let bearer = format!("Bearer {TOKEN}");
    let stars = "*".repeat(TOKEN.len() - 8);
    let hidden = received(&text, 7, true, secrets(&bearer, "")).await;
    assert_eq!(hidden, format!("k8s\0\u{1}[hidden]{stars}\u{2}"));
    let large = "x".repeat(LARGEST_ERROR + 1);
    assert_eq!(received(&large, 1000, true, secrets(&bearer, "")).await, "");
}

#[tokio::test]
async fn content_with_escapes_stays_valid_and_loses_long_credentials() {
    let bearer = format!("Bearer {TOKEN}");
    for is_escaped in NOTATIONS {
        let token = escaped(TOKEN, is_escaped);
        let body = format!(
            r#"{{"a":"x\"\n{token}\u0022\\","b":"{token}{token}","c":"\u0065yJ","d":"eyJhb\u0047c"}}"#
        );
        for size in [1, 2, 3, 5, 8, 1000] {
            let received = received(&body, size, false, secrets(&bearer, "")).await;
            assert_eq!(received.len(), body.len(), "{size}: {received}");
            let read: Value = serde_json::from_str(&received).unwrap();
            for key in ["a", "b"] {
                let text = read[key].as_str().unwrap();
                // The first three bytes of a secret may stay visible if a part of the response ends with them.
                assert!(!text.contains(&TOKEN[3..]), "{size}: {text}");
                assert!(text.contains("en]**"), "{size}: {text}");
            }
            assert_eq!((&read["c"], &read["d"]), (&"eyJ".into(), &"eyJhbGc".into()));
        }
    }
}

#[test]
fn content_is_held_only_if_a_secret_may_begin_at_its_end() {
    let secrets = secrets(&format!("Bearer {TOKEN}"), "");
    let mut hider = ContentHider::new(secrets);
    for (bytes, passed) in [
        ("{\"a\\n\"}\n", "{\"a\\n\"}\n"),
        ("{}\n", "{}\n"),
        ("eyJ", "eyJ"),
        ("x eyJhbG", "x "),
        ("c\n", "eyJhbGc\n"),
        ("x \\u00", "x "),
        ("6", ""),
        ("5yJ", ""),
        ("\"}\n", "\\u0065yJ\"}\n"),
    ] {
        assert_eq!(hider.hide(bytes.into(), false), passed);
    }
}

/// An error with a source.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect")]
struct Outer(#[source] std::io::Error);

#[tokio::test]
async fn an_error_of_a_connection_does_not_show_credentials_and_keeps_its_type_otherwise() {
    let secrets = secrets(&format!("Bearer {TOKEN}"), "");
    let error = |text: &str| BoxError::from(Outer(std::io::Error::other(text)));
    let escaped = escaped(TOKEN, |at| at % 2 == 0);
    for (text, expected) in [
        (format!("CN={TOKEN}: unknown"), "CN=[hidden]: unknown"),
        (
            format!("said \"{escaped}\"\u{1b}[2J"),
            "said \"[hidden]\"\\u{1b}[2J",
        ),
        ("a\u{1b}b".to_owned(), "a\\u{1b}b"),
    ] {
        let expected = format!("cannot connect: {expected}");
        let shown = secrets.hide_in_error(error(&text));
        assert!(shown.source().is_none(), "{shown:?}");
        assert_eq!(shown.to_string(), expected);
        // The same applies to a body that ends with an error.
        let frames = futures::stream::iter([Err::<Frame<Bytes>, _>(error(&text))]);
        let body = HidingBody::new(StreamBody::new(frames), Arc::clone(&secrets), false);
        let shown = body.collect().await.err().unwrap();
        assert_eq!(
            format!("{shown} {:?}", shown.source()),
            format!("{expected} None")
        );
    }
    let same = secrets.hide_in_error(error("connection refused"));
    let outer = same.downcast_ref::<Outer>().unwrap();
    assert_eq!(outer.0.to_string(), "connection refused");
}

#[test]
fn the_newest_credentials_are_hidden_in_later_requests() {
    let recent = RecentSecrets::new();
    let with = |token: &str| {
        let value = format!("Bearer {token}").parse::<HeaderValue>().unwrap();
        // A client that is dropped after its request.
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        recent.with(&Arc::default(), &headers, None)
    };
    let first = with("token-number-0");
    assert!(Arc::ptr_eq(&first, &with("token-number-0")));
    for number in 1..=RECENT {
        let secrets = with(&format!("token-number-{number}"));
        for earlier in 0..=number {
            let shown = secrets
                .in_messages()
                .message(&format!("token-number-{earlier}"));
            // There is no space for the first token when the last one arrives.
            let is_forgotten = number == RECENT && earlier == 0;
            assert_eq!(shown != HIDDEN, is_forgotten, "{number}: {shown}");
        }
    }
}

#[test]
fn the_credentials_of_a_client_in_use_stay_hidden() {
    let recent = RecentSecrets::new();
    let with = |client: &Arc<InUse>, token: &str| {
        let value = format!("Bearer {token}").parse::<HeaderValue>().unwrap();
        recent.with(
            client,
            &HeaderMap::from_iter([(AUTHORIZATION, value)]),
            None,
        )
    };
    let is_hidden = |secrets: &OwnSecrets, token| secrets.in_messages().message(token) == HIDDEN;
    let (used, other) = (Arc::default(), Arc::default());
    let (first, second) = ("token-of-the-client", "token-of-the-client-renewed");
    with(&used, first);
    for number in 0..3 * RECENT {
        assert!(is_hidden(
            &with(&other, &format!("other-token-{number}")),
            first
        ));
    }
    with(&used, second);
    for number in 0..3 * RECENT {
        assert!(is_hidden(
            &with(&other, &format!("later-token-{number}")),
            second
        ));
    }
    drop(used);
    for number in 0..=RECENT {
        with(&other, &format!("last-token-{number}"));
    }
    assert!(!is_hidden(&with(&other, "last"), second));
    assert!(recent.0.lock().as_ref().unwrap().headers.len() <= RECENT + 1);
}

#[tokio::test]
async fn only_an_error_creates_the_notations_of_the_credentials() {
    let secrets = secrets(&format!("Bearer {TOKEN}"), "");
    let hidden = received(&format!("a {TOKEN}"), 1000, false, Arc::clone(&secrets)).await;
    assert!(hidden.starts_with("a [hidden]*"), "{hidden}");
    assert!(secrets.in_messages.get().is_none());
    received("no", 1000, true, Arc::clone(&secrets)).await;
    assert!(secrets.in_messages.get().is_some());
}
