//! Tests that the credentials of a request are hidden in its response.

use http_body_util::{BodyExt, StreamBody};

use super::*;

const TOKEN: &str = "eyJhbGciOi.eyJzdWIiOiJvd24ifQ.c2lnbmF0dXJl";

fn secrets(authorization: &str, proxy: &str) -> OwnSecrets {
    let value = |text: &str| text.parse::<HeaderValue>().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value(authorization))]);
    OwnSecrets::of(&headers, Some(&value(proxy)))
}

/// Returns the text of a response that arrives in pieces of `size` bytes.
async fn received(text: &str, size: usize, is_error: bool, secrets: OwnSecrets) -> String {
    let pieces: Vec<_> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
    let frames = pieces
        .into_iter()
        .map(|piece| Ok(Frame::data(piece.into())));
    let body = StreamBody::new(futures::stream::iter(frames));
    let body: HidingBody<_> = HidingBody::new(body, secrets, is_error);
    let read: Result<_, std::io::Error> = body.collect().await;
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

#[test]
fn content_is_held_only_if_a_secret_may_begin_at_its_end() {
    let secrets = secrets(&format!("Bearer {TOKEN}"), "");
    let mut hider = ContentHider::new(secrets);
    for (bytes, passed) in [
        ("{}\n", "{}\n"),
        ("eyJ", "eyJ"),
        ("x eyJhbG", "x "),
        ("c\n", "eyJhbGc\n"),
    ] {
        assert_eq!(hider.hide(bytes.into(), false), passed);
    }
}
