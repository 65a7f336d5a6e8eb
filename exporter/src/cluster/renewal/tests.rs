use std::path::Path;

use serde_json::json;
use tokio::time::advance;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_a_minute_before_it_expires() {
    let mut schedule = Schedule::default();
    let start = Instant::now();
    assert_eq!(schedule.due(None), None, "the certificate does not expire");
    assert_eq!(schedule.due(Some(60 * MINUTE)), Some(start + 59 * MINUTE));
    assert_eq!(schedule.due(Some(MINUTE / 2)), Some(start));
    // Even if each new certificate expires soon, the minimum interval between renewals applies.
    schedule.record(true);
    advance(Duration::from_secs(1)).await;
    assert_eq!(schedule.due(Some(MINUTE / 2)), Some(start + RETRY_INTERVAL));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_followed_by_an_attempt_every_ten_seconds_until_one_succeeds() {
    let mut schedule = Schedule::default();
    for _ in 0..3 {
        schedule.record(false);
        let failed = Instant::now();
        for valid_for in [None, Some(Duration::ZERO), Some(60 * MINUTE)] {
            assert_eq!(schedule.due(valid_for), Some(failed + RETRY_INTERVAL));
        }
        advance(RETRY_INTERVAL).await;
    }
    schedule.record(true);
    assert_eq!(schedule.due(None), None);
    // If a file has changed, the minimum interval between attempts is shorter.
    let soon = Instant::now() + Duration::from_secs(1);
    assert_eq!(schedule.earliest(FILE_CHANGE_INTERVAL), soon);
}

/// Writes the output of a plugin: a certificate that expires after `seconds`.
fn write_answer(directory: &Path, seconds: u64) -> i64 {
    let certified = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expires = i64::try_from(now.as_secs() + seconds).unwrap();
    let timestamp = k8s_openapi::jiff::Timestamp::from_second(expires).unwrap();
    let answer = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "status": {
            "clientCertificateData": certified.cert.pem(),
            "clientKeyData": certified.signing_key.serialize_pem(),
            "expirationTimestamp": timestamp.to_string(),
        }
    });
    std::fs::write(directory.join("answer"), answer.to_string()).unwrap();
    expires
}

// This test does not pause the clock, because a paused clock does not wait for processes.
#[tokio::test]
async fn the_client_has_the_certificate_that_a_plugin_gives_before_the_old_one_expires() {
    let directory = std::env::temp_dir().join(format!("renewal-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = format!("cat {}/answer", directory.display());
    let kubeconfig = json!({
        "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        "users": [{ "name": "c", "user": { "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", script],
        } } }],
    });
    std::fs::write(directory.join("config"), kubeconfig.to_string()).unwrap();
    let first = write_answer(&directory, 62);
    let access = Access {
        kubeconfig: vec![directory.join("config")],
        apiserver: None,
    };
    let connection = access.connection().await.unwrap();
    let server = ServerInUse::default();
    let connected = connect(connection, None, server.turn()).await.unwrap();
    let (current, mut requests) = watch::channel(Current::of(connected.client));
    let (_refuse, refusals) = mpsc::channel(1);
    let file_watcher = FileWatcher::new(access.files());
    let renewal = Renewal {
        access,
        report: server.report(),
        server,
        has_warned: false,
        broken_authorities: None,
        current,
        accepted: connected.accepted,
        is_refused: false,
        schedule: Schedule::default(),
        logged: None,
    };
    let expiry = |current: &Current| {
        let client = current.client.as_ref().unwrap();
        client.valid_until().as_ref().map(|at| at.as_second())
    };
    assert_eq!(expiry(&requests.borrow()), Some(first));

    let second = write_answer(&directory, 7200);
    let running = tokio::spawn(renewal.run(file_watcher, None, refusals));
    let is_new = |current: &Current| expiry(current) != Some(first);
    let renewed = timeout(MINUTE, requests.wait_for(is_new)).await;
    assert_eq!(expiry(&renewed.unwrap().unwrap()), Some(second));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(
        i64::try_from(now.as_secs()).unwrap() >= first - 60,
        "too early"
    );
    running.abort();
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_valid_credentials_a_request_fails_soon_and_asks_for_new_ones() {
    let service =
        || service_fn(|_: Request<Body>| async { Err::<http::Response<Body>, _>("no server") });
    let at = |seconds| k8s_openapi::jiff::Timestamp::from_second(seconds).ok();
    let expired = Client::new(service(), "x").with_valid_until(at(1));
    let (current, requests) = watch::channel(Current {
        client: Some(expired),
        problem: Some("the plugin hangs".to_owned()),
    });
    let (refuse, mut refusals) = mpsc::channel(1);
    let start = Instant::now();
    let error = usable(&mut requests.clone(), &refuse).await.err().unwrap();
    assert_eq!(start.elapsed(), REQUEST_WAIT);
    assert!(error.to_string().ends_with("the plugin hangs"), "{error}");
    assert_eq!(refusals.try_recv(), Ok(()));

    let request = tokio::spawn(async move { usable(&mut requests.clone(), &refuse).await.is_ok() });
    tokio::task::yield_now().await;
    current.send_modify(|current| current.client = Some(Client::new(service(), "x")));
    assert!(request.await.unwrap());

    // New credentials are used even if they seem to have expired, because the clock may be wrong.
    let (refuse, _refusals) = mpsc::channel(1);
    let client = Client::new(service(), "x").with_valid_until(at(1));
    current.send_replace(Current::of(client));
    assert!(usable(&mut current.subscribe(), &refuse).await.is_ok());
}

/// A client whose server responds to each request with this status.
fn responding(status: StatusCode) -> Client {
    let service = service_fn(move |_: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Ok::<_, std::convert::Infallible>(response)
    });
    Client::new(service, "x")
}

#[tokio::test(start_paused = true)]
async fn a_refused_get_request_is_sent_again_with_renewed_credentials() {
    let refused = || Current::of(responding(StatusCode::UNAUTHORIZED));
    let (current, requests) = watch::channel(refused());
    let (refuse, mut refusals) = mpsc::channel(1);
    let ask = |method: Method| {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        let (requests, refuse) = (requests.clone(), refuse.clone());
        tokio::spawn(async move { send(request, requests, refuse).await.unwrap().status() })
    };
    // Without new credentials, the request fails soon.
    let start = Instant::now();
    let answer = ask(Method::GET).await.unwrap();
    assert_eq!(
        (answer, start.elapsed()),
        (StatusCode::UNAUTHORIZED, REQUEST_WAIT)
    );
    assert_eq!(refusals.recv().await, Some(()));
    // The problem of a failed renewal is no new credential.
    let get = ask(Method::GET);
    assert_eq!(refusals.recv().await, Some(()));
    current.send_modify(|current| current.problem = Some("the plugin fails".to_owned()));
    tokio::task::yield_now().await;
    current.send_replace(Current::of(responding(StatusCode::OK)));
    assert_eq!(get.await.unwrap(), StatusCode::OK);
    // Other requests may have effects, so they are not repeated.
    current.send_replace(refused());
    let start = Instant::now();
    let answer = ask(Method::POST).await.unwrap();
    assert_eq!(
        (answer, start.elapsed()),
        (StatusCode::UNAUTHORIZED, Duration::ZERO)
    );
}
