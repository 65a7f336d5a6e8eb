use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::AuthError;
use serde_json::json;

use super::cache::REMEMBERED;
use super::*;

#[test]
fn health_and_a_bare_landing_page_are_open() {
    for open in ["/", "/livez", "/readyz?verbose", "/healthz"] {
        assert!(is_open(&open.parse().unwrap()), "{open}");
    }
    for closed in [
        "/metrics",
        "/?q=pod",
        "/debug/resources",
        "/livez/x",
        "/healthz/",
    ] {
        assert!(!is_open(&closed.parse().unwrap()), "{closed}");
    }
}

#[test]
fn a_token_comes_after_one_blank() {
    let token = |value: &str| {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
    assert_eq!(token("bEARER abc").as_deref(), Some("abc"));
    for none in ["Bearer", "Bearer ", "Bearer  abc", "Basic abc", "abc"] {
        assert_eq!(token(none), None, "{none}");
    }
}

/// A filter whose API server accepts one token, and the number of token reviews.
fn filter() -> (AuthFilter, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let count = Arc::clone(&count);
        async move {
            let is_review = request.uri().path().ends_with("tokenreviews");
            let body = request.into_body().collect_bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let status = if is_review {
                count.fetch_add(1, Ordering::Relaxed);
                json!({ "authenticated": body["spec"]["token"] == "right", "user": { "username": "u" } })
            } else {
                json!({ "allowed": true })
            };
            let answer = json!({ "spec": {}, "status": status }).to_string();
            let answer = http::Response::new(http_body_util::Full::from(answer));
            Ok::<_, kube::Error>(answer)
        }
    });
    let limits = AuthLimits::default();
    (
        AuthFilter::new(Client::new(server, "default"), limits),
        asked,
    )
}

async fn check(filter: &AuthFilter, token: &str) -> Result<(), Refusal> {
    let value = format!("Bearer {token}").parse().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let path = Uri::from_static("/metrics");
    filter.check(&Method::GET, &path, &headers).await
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_does_not_make_us_forget_the_right_one() {
    let (filter, asked) = filter();
    assert_eq!(check(&filter, "right").await, Ok(()));
    for number in 0..2 * REMEMBERED {
        let refused = check(&filter, &number.to_string()).await;
        assert_eq!(refused, Err(Refusal::Unauthorized));
    }
    let before = asked.load(Ordering::Relaxed);
    assert_eq!(before, 1 + 2 * REMEMBERED);
    assert_eq!(check(&filter, "right").await, Ok(()));
    // The path of a permission is sent as well, unless it is too long.
    for (path, more) in [("/a".to_owned(), 1), (format!("/{}", "a".repeat(9999)), 0)] {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer right".parse().unwrap())]);
        let before = filter.decisions.len();
        let path: Uri = path.parse().unwrap();
        let checked = filter.check(&Method::GET, &path, &headers).await;
        assert_eq!(checked, Ok(()));
        let now = filter.decisions.len();
        assert_eq!(now - before, more);
    }
    // The last invalid token is cached, too.
    let last = (2 * REMEMBERED - 1).to_string();
    assert_eq!(check(&filter, &last).await, Err(Refusal::Unauthorized));
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

/// A filter whose API server accepts every token, refuses it, or does not answer.
fn filter_with(server: Arc<Mutex<Option<bool>>>, grace: Option<Duration>) -> AuthFilter {
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let verdict = *server.lock();
        async move {
            let Some(verdict) = verdict else {
                return std::future::pending().await;
            };
            drop(request);
            let status = json!({ "authenticated": verdict, "allowed": verdict, "user": { "username": "u" } });
            let answer = json!({ "spec": {}, "status": status }).to_string();
            Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
        }
    });
    let review = Some(Duration::from_secs(2));
    let limits = AuthLimits { review, grace };
    AuthFilter::new(Client::new(server, "default"), limits)
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_costs_the_review_timeout() {
    let server = Arc::new(Mutex::new(Some(true)));
    let filter = filter_with(Arc::clone(&server), None);
    assert_eq!(check(&filter, "right").await, Ok(()));
    *server.lock() = None;
    tokio::time::advance(TOKEN_VALID).await;
    let start = Instant::now();
    assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[test]
fn a_verdict_holds_for_the_grace_while_the_api_server_does_not_answer() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Arc::new(Mutex::new(Some(true)));
        let filter = filter_with(Arc::clone(&server), Some(Duration::from_secs(600)));
        assert_eq!(check(&filter, "right").await, Ok(()));
        *server.lock() = None;
        tokio::time::advance(ALLOWED + TOKEN_VALID).await;
        assert_eq!(check(&filter, "right").await, Ok(()));
        let unknown = check(&filter, "unknown").await;
        assert_eq!(unknown, Err(Refusal::Unavailable));
        tokio::time::advance(Duration::from_secs(240)).await;
        assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));

        // A negative result ends the grace.
        *server.lock() = Some(true);
        assert_eq!(check(&filter, "right").await, Ok(()));
        tokio::time::advance(TOKEN_VALID).await;
        *server.lock() = Some(false);
        assert_eq!(check(&filter, "right").await, Err(Refusal::Unauthorized));
        *server.lock() = None;
        tokio::time::advance(TOKEN_INVALID).await;
        assert_eq!(check(&filter, "right").await, Err(Refusal::Unavailable));
    });
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_reviews_does_not_let_a_revoked_token_in() {
    let server = Arc::new(Mutex::new(Some(true)));
    let filter = filter_with(Arc::clone(&server), Some(Duration::from_secs(600)));
    assert_eq!(check(&filter, "right").await, Ok(()));
    *server.lock() = Some(false);
    tokio::time::advance(TOKEN_VALID).await;
    let permits = u32::try_from(QUESTIONS).unwrap();
    let flood = filter.questions.acquire_many(permits).await.unwrap();
    assert_eq!(check(&filter, "right").await, Err(Refusal::Busy));
    let status = Refusal::Busy.into_response().status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    drop(flood);
    assert_eq!(check(&filter, "right").await, Err(Refusal::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_for_a_server_that_is_away_only() {
    let answer = Arc::new(Mutex::new((200, "")));
    let server = Arc::clone(&answer);
    let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        let (code, text) = *server.lock();
        async move {
            if code == 0 {
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                return Err(refused.into());
            }
            if code == 1 {
                return Err(AuthError::ExecPluginFailed.into());
            }
            let status =
                json!({ "authenticated": true, "allowed": true, "user": { "username": "u" } });
            let right = json!({ "spec": {}, "status": status }).to_string();
            let text = if code == 200 && text.is_empty() {
                right
            } else {
                text.to_owned()
            };
            let mut answer = http::Response::new(http_body_util::Full::from(text));
            *answer.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
        }
    });
    let limits = AuthLimits {
        review: Some(Duration::from_secs(2)),
        grace: Some(Duration::from_secs(600)),
    };
    let filter = AuthFilter::new(Client::new(server, "default"), limits);
    assert_eq!(check(&filter, "right").await, Ok(()));
    tokio::time::advance(TOKEN_VALID).await;
    for (code, text, is_away) in [
        (0, "", true),
        (500, r#"{"code": 500}"#, true),
        (503, "", true),
        (1, "", false),
        (429, r#"{"code": 429}"#, false),
        (403, r#"{"code": 403}"#, false),
        (200, "<html>", false),
    ] {
        *answer.lock() = (code, text);
        let expected = if is_away {
            Ok(())
        } else {
            Err(Refusal::Unavailable)
        };
        assert_eq!(check(&filter, "right").await, expected, "{code} {text}");
    }
}
