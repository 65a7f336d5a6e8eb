//! Tests the token filter: cached verdicts, the grace period, queues during a flood of tokens, and failures of the API
//! server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::AuthError;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::cache::{LARGEST_CACHE, REMEMBERED};
use super::review::LARGEST_ANSWER;
use super::reviewer::{LARGEST_USER, OTHERS, RATE, STRANGERS};
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

/// Returns a filter and a counter. The API server of the filter accepts one token. The counter counts the reviews of
/// tokens.
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
                let token = body["spec"]["token"].as_str();
                let number = match token {
                    Some("of-many-groups") => 4_000,
                    Some("of-too-many-groups") => 8_000,
                    _ => 0,
                };
                let groups: Vec<_> = (0..number)
                    .map(|number| format!("group-{number:0>40}"))
                    .collect();
                let known = ["right", "of-many-groups", "of-too-many-groups"];
                let is_known = token.is_some_and(|token| known.contains(&token));
                json!({ "authenticated": is_known, "user": { "username": "u", "groups": groups } })
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
    filter.check(None, &Method::GET, &path, &headers).await
}

#[tokio::test(start_paused = true)]
async fn a_user_of_thousands_of_groups_is_accepted() {
    let (filter, _) = filter();
    assert_eq!(check(&filter, "of-many-groups").await, Ok(()));
    let refused = check(&filter, "of-too-many-groups").await;
    assert_eq!(refused, Err(Refusal::NotReviewed));
}

/// Returns a filter whose API server accepts every token. Each token belongs to a user with long groups.
fn filter_of_large_users() -> AuthFilter {
    let server = tower::service_fn(
        move |request: http::Request<kube::client::Body>| async move {
            drop(request);
            let group = "g".repeat(LARGEST_USER / 2);
            let user = json!({ "username": "u", "groups": [group] });
            let status = json!({ "authenticated": true, "allowed": true, "user": user });
            let answer = json!({ "spec": {}, "status": status }).to_string();
            Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
        },
    );
    AuthFilter::new(Client::new(server, "default"), AuthLimits::default())
}

#[tokio::test(start_paused = true)]
async fn large_users_need_limited_memory_and_are_freed_in_time() {
    let filter = filter_of_large_users();
    let most = LARGEST_CACHE / (LARGEST_USER / 2);
    for number in 0..2 * most {
        assert_eq!(check(&filter, &number.to_string()).await, Ok(()));
    }
    let size = filter.0.users.size();
    assert!(size <= LARGEST_CACHE && size > LARGEST_CACHE / 2, "{size}");
    tokio::time::sleep(TOKEN_VALID + FREE_INTERVAL + Duration::from_secs(1)).await;
    assert_eq!(filter.0.users.size(), 0);
    tokio::time::sleep(TOKEN_KNOWN).await;
    assert_eq!((filter.0.users.len(), filter.0.decisions.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_tokens_does_not_make_us_forget_the_right_one() {
    const WRONG: usize = REMEMBERED + 100;
    let (filter, asked) = filter();
    assert_eq!(check(&filter, "right").await, Ok(()));
    for number in 0..WRONG {
        let refused = check(&filter, &number.to_string()).await;
        assert_eq!(refused, Err(Refusal::Unauthorized));
    }
    let before = asked.load(Ordering::Relaxed);
    assert_eq!(before, 1 + WRONG);
    assert_eq!(check(&filter, "right").await, Ok(()));
    // The filter caches the permission for a short path, but not for a path that is too long.
    for (path, more) in [("/a".to_owned(), 1), (format!("/{}", "a".repeat(9999)), 0)] {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, "Bearer right".parse().unwrap())]);
        let before = filter.0.decisions.len();
        let path: Uri = path.parse().unwrap();
        let checked = filter.check(None, &Method::GET, &path, &headers).await;
        assert_eq!(checked, Ok(()));
        let now = filter.0.decisions.len();
        assert_eq!(now - before, more);
    }
    // The filter has cached the last invalid token, so the filter sends no further request.
    let last = (WRONG - 1).to_string();
    assert_eq!(check(&filter, &last).await, Err(Refusal::Unauthorized));
    assert_eq!(asked.load(Ordering::Relaxed), before);
}

/// Returns a filter whose API server accepts every token, refuses every token, or does not answer.
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

        // If the API server refuses a token, the grace period of the token ends.
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
    let mut flood = Vec::new();
    for _ in 0..OTHERS {
        flood.push(filter.0.reviewer.turn(Kind::KnownToken, None).await);
    }
    assert_eq!(check(&filter, "right").await, Err(Refusal::Busy));
    let response = Refusal::Busy.into_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "1");
    drop(flood);
    assert_eq!(check(&filter, "right").await, Err(Refusal::Unauthorized));
}

/// What an API server does with every review.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// There is no connection.
    Refuses,
    /// The exporter has no credentials for the API server.
    LacksCredentials,
    /// The response has a status and a body. If the status is a success and the body is empty, the API server accepts
    /// the review.
    Answers(u16, &'static str),
}

use Does::{Answers, LacksCredentials, Refuses};

const RIGHT: &str = r#"{ "spec": {}, "status": { "authenticated": true, "allowed": true, "user": { "username": "u" } } }"#;

/// Returns a filter and a counter. The API server of the filter handles all reviews in the same way. The counter counts
/// the requests to this API server.
fn filter_of(does: Arc<Mutex<Does>>) -> (AuthFilter, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        let does = *does.lock();
        async move {
            let (code, text) = match does {
                Refuses => {
                    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                    return Err(refused.into());
                }
                LacksCredentials => return Err(AuthError::ExecPluginFailed.into()),
                Answers(code, text) => (code, text),
            };
            let is_right = (200..300).contains(&code) && text.is_empty();
            let text = if is_right { RIGHT } else { text };
            let mut answer = http::Response::new(http_body_util::Full::from(text));
            *answer.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer)
        }
    });
    let limits = AuthLimits {
        review: Some(Duration::from_secs(2)),
        grace: Some(Duration::from_secs(600)),
    };
    (
        AuthFilter::new(Client::new(server, "default"), limits),
        requests,
    )
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_for_a_server_that_is_away_only() {
    let does = Arc::new(Mutex::new(Answers(201, "")));
    let (filter, _) = filter_of(Arc::clone(&does));
    assert_eq!(check(&filter, "right").await, Ok(()));
    tokio::time::advance(TOKEN_VALID).await;
    for (now, is_away) in [
        (Refuses, true),
        (Answers(500, r#"{"code": 500}"#), true),
        (Answers(503, ""), true),
        (LacksCredentials, false),
        (Answers(429, r#"{"code": 429}"#), false),
        (Answers(403, r#"{"code": 403}"#), false),
        (Answers(200, "<html>"), false),
        (Answers(302, RIGHT), false),
    ] {
        *does.lock() = now;
        let expected = if is_away {
            Ok(())
        } else {
            Err(Refusal::NotReviewed)
        };
        assert_eq!(check(&filter, "right").await, expected, "{now:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_an_answer_of_success_is_a_verdict() {
    for code in [200, 201, 202] {
        let (filter, _) = filter_of(Arc::new(Mutex::new(Answers(code, ""))));
        assert_eq!(check(&filter, "right").await, Ok(()), "{code}");
    }
    for code in [
        203, 204, 206, 226, 300, 301, 302, 303, 304, 307, 308, 400, 404, 500, 599,
    ] {
        let (filter, _) = filter_of(Arc::new(Mutex::new(Answers(code, RIGHT))));
        let checked = check(&filter, "right").await;
        let refusal = match code {
            500.. => Refusal::Unavailable,
            _ => Refusal::NotReviewed,
        };
        assert_eq!(checked, Err(refusal), "{code}");
    }
}

#[tokio::test]
async fn the_response_says_whether_the_api_server_is_away_or_its_review_is_invalid() {
    for (refusal, text) in [
        (
            Refusal::Unavailable,
            "the API server does not answer or fails, ",
        ),
        (
            Refusal::NotReviewed,
            "the API server did not accept the request to review the token, or its response is invalid; ",
        ),
    ] {
        let response = refusal.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 1_000).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert!(body.starts_with(text), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_that_fails_is_tried_again_and_once() {
    for (does, expected) in [
        (Refuses, 2),
        (LacksCredentials, 1),
        (Answers(302, RIGHT), 1),
        (Answers(429, ""), 1),
        (Answers(500, ""), 1),
        (Answers(503, ""), 1),
        (Answers(200, "<html>"), 1),
    ] {
        let (filter, requests) = filter_of(Arc::new(Mutex::new(does)));
        let start = Instant::now();
        let checked = check(&filter, "right").await;
        let refusals = [Err(Refusal::Unavailable), Err(Refusal::NotReviewed)];
        assert!(refusals.contains(&checked), "{does:?}: {checked:?}");
        assert_eq!(requests.load(Ordering::Relaxed), expected, "{does:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{does:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_may_succeed() {
    let does = Arc::new(Mutex::new(Refuses));
    let (filter, _) = filter_of(Arc::clone(&does));
    let checked = tokio::spawn(async move { check(&filter, "right").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    *does.lock() = Answers(201, "");
    assert_eq!(checked.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_as_far_as_its_limit() {
    const CHUNK: usize = 16 << 10;
    let read = Arc::new(AtomicUsize::new(0));
    for code in [201, 403] {
        let count = Arc::clone(&read);
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let count = Arc::clone(&count);
            let chunks = (0..1_000).map(move |_| {
                count.fetch_add(CHUNK, Ordering::Relaxed);
                let chunk = bytes::Bytes::from(vec![b' '; CHUNK]);
                Ok::<_, std::io::Error>(http_body::Frame::data(chunk))
            });
            let body = http_body_util::StreamBody::new(futures::stream::iter(chunks));
            let answer = http::Response::builder().status(code).body(body);
            async move { Ok::<_, kube::Error>(answer.unwrap()) }
        });
        let filter = AuthFilter::new(Client::new(server, "default"), AuthLimits::default());
        assert_eq!(check(&filter, "right").await, Err(Refusal::NotReviewed));
        let read = read.swap(0, Ordering::Relaxed);
        assert!(read <= LARGEST_ANSWER + 2 * CHUNK, "{code}: {read}");
    }
}

/// An API server with slow reviews (50 ms). It accepts the tokens that start with `right`.
struct SlowServer {
    /// When each review of a token began.
    reviews: Mutex<Vec<Instant>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

fn slow_filter() -> (AuthFilter, Arc<SlowServer>) {
    let state = Arc::new(SlowServer {
        reviews: Mutex::default(),
        running: AtomicUsize::new(0),
        most_running: AtomicUsize::new(0),
    });
    let seen = Arc::clone(&state);
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let state = Arc::clone(&seen);
        async move {
            let is_token = request.uri().path().ends_with("tokenreviews");
            let body = request.into_body().collect_bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            state.reviews.lock().push(Instant::now());
            let running = state.running.fetch_add(1, Ordering::SeqCst) + 1;
            state.most_running.fetch_max(running, Ordering::SeqCst);
            // The review runs in a separate task, because an API server continues a review after its client has
            // disconnected.
            let ended = Arc::clone(&state);
            let work = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                ended.running.fetch_sub(1, Ordering::SeqCst);
            });
            let _ = work.await;
            let token = body["spec"]["token"].as_str().unwrap_or_default();
            let status = match is_token {
                true => {
                    json!({ "authenticated": token.starts_with("right"), "user": { "username": "u" } })
                }
                false => json!({ "allowed": true }),
            };
            let answer = json!({ "spec": {}, "status": status }).to_string();
            Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
        }
    });
    let limits = AuthLimits {
        review: Some(Duration::from_secs(2)),
        grace: None,
    };
    (
        AuthFilter::new(Client::new(server, "default"), limits),
        state,
    )
}

async fn check_from(filter: &AuthFilter, peer: &str, token: &str) -> Result<(), Refusal> {
    let value = format!("Bearer {token}").parse().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let path = Uri::from_static("/metrics");
    let peer = Some(peer.parse().unwrap());
    filter.check(peer, &Method::GET, &path, &headers).await
}

/// Starts clients at one address. Each client sends requests until `seconds` have passed. Each request has a different
/// invalid token.
fn flood(filter: &AuthFilter, seconds: u64) -> Vec<tokio::task::JoinHandle<usize>> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients = (0..100).map(|client| {
        let filter = filter.clone();
        tokio::spawn(async move {
            let mut refused = 0;
            while Instant::now() < end {
                let token = format!("wrong-{client}-{refused}");
                let checked = check_from(&filter, "192.0.2.1", &token).await;
                assert!(matches!(
                    checked,
                    Err(Refusal::Unauthorized | Refusal::Busy)
                ));
                refused += 1;
                // The pause simulates the time that a client needs to connect for the next request.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            refused
        })
    });
    clients.collect()
}

#[tokio::test(start_paused = true)]
async fn beside_a_flood_fresh_tokens_pass_and_the_api_server_sees_a_bounded_rate() {
    let (filter, server) = slow_filter();
    let clients = flood(&filter, 10);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..5 {
        let start = Instant::now();
        let token = format!("right-{number}");
        let checked = check_from(&filter, "192.0.2.2", &token).await;
        assert_eq!(checked, Ok(()), "{number}");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{number}: {:?}",
            start.elapsed()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut tries = 0;
    for client in clients {
        tries += client.await.unwrap();
    }
    assert!(tries > 20_000, "{tries}");
    let reviews = server.reviews.lock();
    let rate = RATE as usize;
    let seconds = reviews.first().unwrap().elapsed().as_secs() as usize;
    let most = (seconds + 2) * rate;
    assert!(reviews.len() <= most, "{} in {seconds} s", reviews.len());
    for (at, begin) in reviews.iter().enumerate().skip(4 * rate) {
        let second = reviews[at - rate].elapsed() - begin.elapsed();
        assert!(second >= Duration::from_millis(950), "{second:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_passes_beside_wrong_ones_from_more_addresses_than_places() {
    let (filter, _) = slow_filter();
    let end = Instant::now() + Duration::from_secs(20);
    let clients = (0..48).map(|client| {
        let filter = filter.clone();
        tokio::spawn(async move {
            let peer = format!("198.51.100.{client}");
            let mut tries = 0;
            while Instant::now() < end {
                let _ = check_from(&filter, &peer, &format!("wrong-{client}-{tries}")).await;
                tries += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..10 {
        let (peer, token) = (format!("192.0.2.{number}"), format!("right-{number}"));
        let start = Instant::now();
        assert_eq!(check_from(&filter, &peer, &token).await, Ok(()), "{number}");
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(1), "{number}: {waited:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for client in clients {
        client.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_review_holds_its_turn_after_its_client_has_left() {
    let (filter, server) = slow_filter();
    for number in 0..200 {
        let filter = filter.clone();
        let token = format!("wrong-{number}");
        let client = tokio::spawn(async move { check_from(&filter, "192.0.2.1", &token).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.abort();
    }
    let most = server.most_running.load(Ordering::SeqCst);
    assert!(most <= STRANGERS, "{most}");
    // The client of this token dropped its request, but the filter has cached the verdict on the token.
    let before = server.reviews.lock().len();
    let checked = check_from(&filter, "192.0.2.1", "wrong-0").await;
    assert_eq!(checked, Err(Refusal::Unauthorized));
    assert_eq!(server.reviews.lock().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_known_token_is_renewed_early_and_before_unknown_ones() {
    let (filter, server) = slow_filter();
    assert_eq!(check_from(&filter, "192.0.2.1", "right").await, Ok(()));
    tokio::time::sleep(TOKEN_VALID / 2).await;
    let before = server.reviews.lock().len();
    let start = Instant::now();
    assert_eq!(check_from(&filter, "192.0.2.1", "right").await, Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO, "the request does not wait");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.reviews.lock().len(), before + 1);
    tokio::time::sleep(TOKEN_VALID / 2 + Duration::from_secs(5)).await;
    let start = Instant::now();
    assert_eq!(check_from(&filter, "192.0.2.1", "right").await, Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO, "the verdict was renewed");

    // The verdict on the known token has expired. The review of the known token does not wait for the many unknown
    // tokens from the same address.
    tokio::time::sleep(TOKEN_VALID).await;
    let clients = flood(&filter, 5);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let start = Instant::now();
    assert_eq!(check_from(&filter, "192.0.2.1", "right").await, Ok(()));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    for client in clients {
        client.abort();
    }
}

/// Sends a request of a client, and repeats the request every second while the queue is full. Returns the time until
/// the filter accepts the client.
async fn accepted_after(filter: &AuthFilter, peer: &str) -> Duration {
    let start = Instant::now();
    loop {
        // Each client has its own token, because the verdict on a token is cached.
        match check_from(filter, peer, &format!("right-{peer}")).await {
            Err(Refusal::Busy) => tokio::time::sleep(Duration::from_secs(1)).await,
            checked => {
                assert_eq!(checked, Ok(()));
                return start.elapsed();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_token_passes_in_seconds_beside_slow_reviews_from_200_addresses() {
    let server = tower::service_fn(|request: http::Request<kube::client::Body>| async move {
        let body = request.into_body().collect_bytes().await?;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let token = body["spec"]["token"].as_str().unwrap_or_default();
        let is_right = !token.starts_with("wrong");
        // Each review takes almost as long as the default timeout.
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        let status =
            json!({ "authenticated": is_right, "allowed": true, "user": { "username": "u" } });
        let answer = json!({ "spec": {}, "status": status }).to_string();
        Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
    });
    let limits = AuthLimits {
        review: Some(Duration::from_secs(2)),
        grace: None,
    };
    let filter = AuthFilter::new(Client::new(server, "default"), limits);
    let attackers = (0..200).map(|client| {
        let filter = filter.clone();
        tokio::spawn(async move {
            let peer = format!("198.51.100.{client}");
            let mut tries = 0_u32;
            loop {
                let _ = check_from(&filter, &peer, &format!("wrong-{client}-{tries}")).await;
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    });
    let attackers: Vec<_> = attackers.collect();
    // The two reviews, of the token and of the permission, take 3.8 s together.
    let early = accepted_after(&filter, "192.0.2.1").await;
    assert!(early < Duration::from_secs(16), "{early:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    for number in 2..6 {
        let waited = accepted_after(&filter, &format!("192.0.2.{number}")).await;
        assert!(waited < Duration::from_secs(8), "{number}: {waited:?}");
    }
    for attacker in attackers {
        attacker.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_does_not_outlive_a_change_of_the_user_or_of_the_groups() {
    let user = Arc::new(Mutex::new(json!({ "username": "u", "groups": ["a"] })));
    let reviewed = Arc::clone(&user);
    let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let user = reviewed.lock().clone();
        async move {
            let is_token = request.uri().path().ends_with("tokenreviews");
            let body = request.into_body().collect_bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let may = body["spec"]["groups"][0] == "a" && body["spec"]["user"] == "u";
            let may = may && body["spec"]["extra"].is_null();
            let status = match is_token {
                true => json!({ "authenticated": true, "user": user }),
                false => json!({ "allowed": may }),
            };
            let answer = json!({ "spec": {}, "status": status }).to_string();
            Ok::<_, kube::Error>(http::Response::new(http_body_util::Full::from(answer)))
        }
    });
    let filter = AuthFilter::new(Client::new(server, "default"), AuthLimits::default());
    let right = user.lock().clone();
    for other in [
        json!({ "username": "v", "groups": ["a"] }),
        json!({ "username": "u", "groups": ["b"] }),
        json!({ "username": "u", "groups": ["a"], "extra": { "x": ["y"] } }),
    ] {
        *user.lock() = right.clone();
        tokio::time::advance(TOKEN_VALID).await;
        assert_eq!(check(&filter, "right").await, Ok(()));
        *user.lock() = other.clone();
        tokio::time::advance(TOKEN_VALID).await;
        let checked = check(&filter, "right").await;
        assert!(
            matches!(checked, Err(Refusal::Denied(_))),
            "{other}: {checked:?}"
        );
    }
}
