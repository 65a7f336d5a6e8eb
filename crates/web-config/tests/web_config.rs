//! Tests the public interface: the content of the file, reloads, the layer and connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use prometheus_web_config::{
    AcceptError, Rejection, ReloadObserver, WebConfig, WebConfigError, WebConfigFile,
    WebConfigLayer,
};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt, service_fn};

/// A directory. When this value is dropped, the directory is removed.
struct Directory(PathBuf);

/// Records the reload events of a file as texts.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

// === impl Directory ===

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("web-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Replaces a file by a rename, as Kubernetes does in a mounted volume.
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join("new"));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// Writes a certificate for `localhost` and its key, and returns the certificate.
    fn write_pair(&self) -> CertificateDer<'static> {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.write("server.crt", &pair.cert.pem());
        self.write("server.key", &pair.signing_key.serialize_pem());
        pair.cert.der().clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// === impl Recorder ===

impl Recorder {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn push(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }
}

impl ReloadObserver for Recorder {
    fn reloaded(&self, _: &Path, _: &WebConfig) {
        self.push("reloaded".into());
    }

    fn reload_failed(&self, error: &WebConfigError) {
        self.push(error.to_string());
    }

    fn tls_section_is_empty(&self, _: &Path) {
        self.push("empty".into());
    }

    fn file_is_empty(&self, _: &Path) {
        self.push("empty file".into());
    }

    fn users_are_empty(&self, _: &Path) {
        self.push("empty users".into());
    }
}

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

#[test]
fn a_changed_file_is_read_again_and_a_wrong_one_leaves_the_previous_in_use() {
    let directory = Directory::new();
    let path = directory.write("web.yaml", "");
    let events = Recorder::default();
    let file = WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
    let first = file.current();
    assert!(!first.is_tls() && first.http2() && !first.requires_password());
    assert!(Arc::ptr_eq(&first, &file.current()));
    assert_eq!(events.take(), ["empty file"]);

    directory.write("web.yaml", "http_server_config: {http2: false}\n");
    assert!(!file.current().http2());
    assert_eq!(events.take(), ["reloaded"]);
    // The expected bytes are the first bytes of the MD5 sums of the two contents. The previous configuration still
    // returns its own sum.
    assert_eq!(file.in_use().md5()[..3], [0x3a, 0xb2, 0x33]);
    assert_eq!(first.md5()[..3], [0xd4, 0x1d, 0x8c]);

    directory.write("web.yaml", "http_server_config: {http3: true}\n");
    for _ in 0..2 {
        assert!(!file.current().http2());
    }
    let [error] = &events.take()[..] else {
        panic!("a failure is reported once");
    };
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    assert!(error.contains("http3"), "{error}");

    directory.write("web.yaml", "tls_server_config: {cert_file: ''}\n");
    assert!(!file.current().is_tls());
    assert_eq!(events.take(), ["empty", "reloaded"]);
}

/// An example is `cp -p` of a file with the same length and the same modification time.
#[cfg(unix)]
#[test]
fn a_file_that_is_written_in_place_is_read_again_even_if_its_length_and_its_time_stay_the_same() {
    let directory = Directory::new();
    let path = directory.0.join("web.yaml");
    let write = |http2: &str| {
        fs::write(&path, format!("http_server_config: {{http2: {http2}}}\n")).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    write("true ");
    let file = WebConfigFile::open(&path).unwrap();
    assert!(file.current().http2());
    // The clock of the file system may have a resolution of some milliseconds.
    std::thread::sleep(Duration::from_millis(50));
    write("false");
    assert!(!file.current().http2());
}

/// As in the exporter-toolkit, an empty map of users means that requests need no password.
#[test]
fn a_map_without_users_is_reported() {
    let directory = Directory::new();
    directory.write_pair();
    for users in ["basic_auth_users: {}\n", "basic_auth_users:\n"] {
        for (text, expected) in [
            (users.to_owned(), &["empty users"][..]),
            (format!("{TLS}{users}"), &["empty users"]),
            (
                format!("tls_server_config: {{}}\n{users}"),
                &["empty", "empty users"],
            ),
        ] {
            let path = directory.write("web.yaml", &text);
            let events = Recorder::default();
            let file = WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
            assert!(!file.in_use().requires_password());
            assert_eq!(events.take(), expected, "{text}");
        }
    }
    let path = directory.write("web.yaml", TLS);
    let events = Recorder::default();
    let file = WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
    directory.write("web.yaml", &format!("{TLS}basic_auth_users: {{}}\n"));
    file.current();
    assert_eq!(events.take(), ["empty users", "reloaded"]);
}

/// An observer that delays a check of the file, like a file system that does not respond.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicU32>);

impl ReloadObserver for Slow {
    fn reloaded(&self, _: &Path, _: &WebConfig) {
        std::thread::sleep(Duration::from_millis(self.0.load(Ordering::SeqCst).into()));
    }
}

const HEADER: &str = "http_server_config: {headers: {X-Frame-Options: deny}}\n";

/// Writes a web configuration file. Returns a function that sends a request to a service that uses this file.
fn served(directory: &Directory, slow: &Slow) -> impl AsyncFn() -> Response<String> + use<> {
    let path = directory.write("web.yaml", HEADER);
    let file = Arc::new(WebConfigFile::open_with_observer(&path, slow.clone()).unwrap());
    async move || {
        let file = Arc::clone(&file);
        let inner = service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(Response::new("metrics".to_owned()))
        });
        let service = WebConfigLayer::new(move || Arc::clone(&file).latest()).layer(inner);
        service.oneshot(Request::new(())).await.unwrap()
    }
}

#[tokio::test]
async fn other_tasks_run_while_the_file_is_read() {
    let (directory, slow) = (Directory::new(), Slow::default());
    let ask = served(&directory, &slow);
    assert!(ask().await.headers().contains_key("x-frame-options"));
    slow.0.store(600, Ordering::SeqCst);
    directory.write("web.yaml", "http_server_config: {http2: false}\n");
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let mut asked = pin!(async { tokio::join!(ask(), ask(), ask()) });
    let responses = loop {
        tokio::select! {
            responses = &mut asked => break responses,
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    };
    // This test has only one thread. If the check of the file blocked this thread, an iteration of the loop would take
    // longer.
    longest = longest.max(last.elapsed());
    assert!(longest < Duration::from_millis(300), "held for {longest:?}");
    // The new content adds no headers, so each response is without the header.
    let responses = <[_; 3]>::from(responses);
    assert!(
        responses
            .iter()
            .all(|response| response.headers().is_empty())
    );
}

#[tokio::test]
async fn requests_do_not_wait_for_a_file_system_that_does_not_respond() {
    let (directory, slow) = (Directory::new(), Slow::default());
    let ask = served(&directory, &slow);
    slow.0.store(3_000, Ordering::SeqCst);
    directory.write("web.yaml", "http_server_config: {http2: false}\n");
    let began = Instant::now();
    ask().await;
    for _ in 0..10 {
        ask().await;
    }
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    // When the file system responds again, the service detects changes of the file again.
    slow.0.store(0, Ordering::SeqCst);
    directory.write("web.yaml", HEADER);
    while !ask().await.headers().contains_key("x-frame-options") {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn an_empty_file_does_not_take_the_place_of_settings() {
    let directory = Directory::new();
    let path = directory.write("web.yaml", "rate_limit: {interval: 1s, burst: 1}\n");
    let events = Recorder::default();
    let file = WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
    for nothing in ["", "# nothing\n", "null\n", "basic_auth_users: {}\n"] {
        let before = file.current();
        directory.write("web.yaml", nothing);
        assert!(Arc::ptr_eq(&before, &file.current()), "{nothing}");
        let [error] = &events.take()[..] else {
            panic!("a failure is reported once");
        };
        assert!(error.contains("the file is empty now"), "{error}");
        assert!(file.reopen(&path, events.clone()).is_err(), "{nothing}");
        // The service does not use the refused content, so it must not warn about this content.
        assert_eq!(events.take(), Vec::<String>::new(), "{nothing}");
    }
    directory.write("web.yaml", "http_server_config: {http2: false}\n");
    assert!(!file.current().http2());
    assert_eq!(events.take(), ["reloaded"]);
}

#[test]
fn a_file_with_a_rate_limit_that_limits_nothing_is_not_empty() {
    let directory = Directory::new();
    for interval in ["0", "0.0000000001s"] {
        let text = format!("rate_limit: {{burst: 1, interval: {interval}}}\n");
        let path = directory.write("web.yaml", &text);
        let events = Recorder::default();
        WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
        assert_eq!(events.take(), Vec::<String>::new(), "{interval}");
    }
}

#[test]
fn a_change_does_not_turn_protections_off() {
    let directory = Directory::new();
    directory.write_pair();
    let users =
        "basic_auth_users: {ann: $2y$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n";
    let tls = |more: &str| {
        format!("tls_server_config: {{cert_file: server.crt, key_file: server.key{more}}}\n")
    };
    let required = ", client_ca_file: server.crt, client_auth_type: RequireAndVerifyClientCert";
    let named = format!("{required}, client_allowed_sans: [a]");
    let optional = ", client_ca_file: server.crt, client_auth_type: VerifyClientCertIfGiven";
    let limit = "rate_limit: {interval: 1s, burst: 1}\n";
    for (before, after, lost) in [
        (
            format!("{limit}{users}"),
            limit.to_owned(),
            "passwords (basic_auth_users)",
        ),
        (
            format!("{limit}{users}"),
            format!("{limit}basic_auth_users: {{}}\n"),
            "passwords (basic_auth_users)",
        ),
        (tls("") + users, users.to_owned(), "TLS (tls_server_config)"),
        (
            tls("") + users,
            "tls_server_config: {}\n".to_owned(),
            "TLS (tls_server_config), passwords (basic_auth_users)",
        ),
        (
            tls(required),
            tls(optional),
            "certificates of clients (client_auth_type)",
        ),
        (
            tls(&named),
            tls(required),
            "names of clients (client_allowed_sans)",
        ),
    ] {
        let path = directory.write("web.yaml", &before);
        let events = Recorder::default();
        let file = WebConfigFile::open_with_observer(&path, events.clone()).unwrap();
        let first = file.current();
        directory.write("web.yaml", &after);
        assert!(Arc::ptr_eq(&first, &file.current()), "{after}");
        let [error] = &events.take()[..] else {
            panic!("a failure is reported once, and nothing else");
        };
        let says = format!("the new content would disable {lost}; restore these settings");
        assert!(error.contains(&says), "{after}: {error}");
        let reopened = file.reopen(&path, events.clone());
        let error = reopened.unwrap_err().to_string();
        assert!(error.contains(&says), "{after}: {error}");
        assert_eq!(events.take(), Vec::<String>::new(), "{after}");
        // New content comes into use if it has more protections, or if it has the same protections and other settings.
        directory.write(
            "web.yaml",
            &format!("{before}\nhttp_server_config: {{http2: false}}\n"),
        );
        assert!(!file.current().http2());
        assert_eq!(events.take(), ["reloaded"]);
        // After a restart, the program uses the file although the file lacks a protection.
        directory.write("web.yaml", &after);
        assert!(WebConfigFile::open_with_observer(&path, ()).is_ok());
    }
}

#[tokio::test]
async fn connections_are_outdated_by_other_requirements_but_not_by_a_new_certificate() {
    let directory = Directory::new();
    directory.write_pair();
    let authority = || rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    directory.write("ca.crt", &authority().cert.pem());
    let tls = |more: &str| {
        format!("tls_server_config: {{cert_file: server.crt, key_file: server.key{more}}}\n")
    };
    let required = ", client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert";
    let path = directory.write("web.yaml", "rate_limit: {burst: 9, interval: 1s}\n");
    let file = WebConfigFile::open(&path).unwrap();
    let is_outdated = async |accepted: &WebConfig| {
        file.current();
        let outdated = file.outdates(accepted);
        tokio::time::timeout(Duration::ZERO, outdated).await.is_ok()
    };
    let mut accepted = file.current();
    for content in [
        tls(""),
        tls(", client_ca_file: ca.crt, client_auth_type: VerifyClientCertIfGiven"),
        tls(required),
        tls(&format!("{required}, client_allowed_sans: [a]")),
        tls(&format!(
            "{required}, client_allowed_sans: [b], min_version: TLS13"
        )),
    ] {
        assert!(!is_outdated(&accepted).await, "{content}");
        directory.write("web.yaml", &content);
        assert!(is_outdated(&accepted).await, "{content}");
        accepted = file.in_use();
    }
    // Open connections are not outdated after a change of the server's certificate, of the users or of the headers.
    directory.write_pair();
    assert!(!is_outdated(&accepted).await);
    directory.write("ca.crt", &authority().cert.pem());
    assert!(is_outdated(&accepted).await);
}

#[test]
fn a_changed_certificate_is_read_again() {
    let directory = Directory::new();
    directory.write_pair();
    let events = Recorder::default();
    let path = directory.write("web.yaml", TLS);
    let file = WebConfigFile::open_with_observer(path, events.clone()).unwrap();
    let first = file.current();
    assert!(first.is_tls());

    directory.write("server.crt", "");
    assert!(Arc::ptr_eq(&first, &file.current()));
    let [error] = &events.take()[..] else {
        panic!("a failure is reported once");
    };
    let problem = "server.crt: no certificate found; a PEM certificate is required";
    assert!(error.ends_with(problem), "{error}");

    directory.write_pair();
    assert!(!Arc::ptr_eq(&first, &file.current()));
    assert_eq!(events.take(), ["reloaded"]);
}

#[test]
fn an_error_names_the_file_the_key_and_the_cure() {
    let directory = Directory::new();
    directory.write_pair();
    for (text, problem) in [
        (
            "tls_server_config: {client_allowed_sans: [ann]}",
            "tls_server_config has no certificate; add cert_file",
        ),
        (
            "tls_server_config: {key_file: server.key}",
            "tls_server_config has no certificate; add cert_file",
        ),
        (
            "tls_server_config: {cert_file: server.crt}",
            "tls_server_config has no key; add key_file",
        ),
        (
            "tls_server_config: {cert_file: server.crt, cert: x}",
            "there are both cert and cert_file; keep one of them",
        ),
        (
            "tls_server_config: {PAIR, client_auth_type: RequireAnyClientCert}",
            "client_auth_type: `RequireAnyClientCert` accepts certificates that no authority signed; use \
             RequireAndVerifyClientCert",
        ),
        (
            "tls_server_config: {PAIR, curve_preferences: [CurveP521]}",
            "curve_preferences: there is no `CurveP521`; available: X25519, CurveP256 and CurveP384",
        ),
        (
            "rate_limit: {burst: 1, interval: 5}",
            "rate_limit: interval: the value is not a duration; give a number with a unit, such as \
             `300ms`, `5s` or `1m30s`",
        ),
        (
            "rate_limit: {burst: 1, interval: -5s}",
            "rate_limit: interval must not be negative; `0` disables the limit",
        ),
        (
            "rate_limit: {burst: 0, interval: 1s}",
            "rate_limit: burst must be at least 1, because every request would be refused with 0; to disable the limit, \
             set interval to `0`",
        ),
        (
            "basic_auth_users: {'ann:b': $2y$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            "basic_auth_users: line 1: the name of the user contains a colon, so no request can have this name, because a \
             colon ends the name in a request; rename the user",
        ),
        (
            "basic_auth_users: {ann: open}",
            "basic_auth_users: line 1: the password of the user is not a bcrypt hash; make one with \
             `htpasswd -nBC 10 USER`",
        ),
        (
            "basic_auth_users: {ann: $2y$31$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            "basic_auth_users: the hash of `ann` has the cost 31; the cost must be from 4 to 16; make a \
             hash with `htpasswd -nBC 10 ann`",
        ),
    ] {
        let pair = "cert_file: server.crt, key_file: server.key";
        let path = directory.write("web.yaml", &text.replace("PAIR", pair));
        let error = WebConfigFile::open(&path).unwrap_err();
        assert_eq!(error.path(), path);
        assert_eq!(error.to_string(), format!("{}: {problem}", path.display()));
    }
    let error = WebConfigFile::open("/no/such/file").unwrap_err();
    assert!(error.to_string().starts_with("/no/such/file: No such file"));
}

/// Sends a request to a service that uses `config`, and returns the response.
async fn ask(config: &Arc<WebConfig>, authorization: &str) -> Response<String> {
    let config = Arc::clone(config);
    let inner = service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(Response::new("metrics".to_owned()))
    });
    let service = WebConfigLayer::new(move || std::future::ready(Arc::clone(&config))).layer(inner);
    let request = Request::builder().header("authorization", authorization);
    service.oneshot(request.body(()).unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_layer_limits_the_rate_asks_for_a_password_and_adds_headers() {
    let directory = Directory::new();
    let hash = bcrypt::hash("open", 4).unwrap();
    let text = format!(
        "basic_auth_users: {{ann: {hash}}}\nrate_limit: {{burst: 2, interval: 1m}}\n\
         http_server_config: {{headers: {{X-Content-Type-Options: nosniff}}}}\n"
    );
    let path = directory.write("web.yaml", &text);
    let config = WebConfigFile::open(path).unwrap().current();
    assert!(config.requires_password());

    let allowed = ask(&config, "Basic YW5uOm9wZW4=").await;
    assert_eq!(
        (allowed.status(), &allowed.body()[..]),
        (StatusCode::OK, "metrics")
    );
    let wrong = ask(&config, "Basic YW5uOnNodXQ=").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.headers()["www-authenticate"], "Basic");
    assert_eq!(wrong.body(), "Unauthorized\n");
    let limited = ask(&config, "Basic YW5uOm9wZW4=").await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        limited.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    for response in [&allowed, &wrong, &limited] {
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    let checked = config.check(None, &http::HeaderMap::new()).await;
    assert_eq!(checked, Err(Rejection::TooManyRequests));
}

#[tokio::test]
async fn the_interval_0_disables_the_limit_of_the_rate() {
    let directory = Directory::new();
    for limit in ["{burst: 1, interval: 0}", "{burst: 0, interval: 0s}"] {
        let text = format!("rate_limit: {limit}\nhttp_server_config: {{http2: false}}\n");
        let path = directory.write("web.yaml", &text);
        let config = WebConfigFile::open(path).unwrap().current();
        for _ in 0..3 {
            assert_eq!(ask(&config, "").await.status(), StatusCode::OK, "{limit}");
        }
    }
}

#[test]
fn empty_documents_at_the_end_are_ignored_and_others_refused() {
    let directory = Directory::new();
    let path = directory.write(
        "web.yaml",
        "http_server_config: {http2: false}\n---\n# nothing\n",
    );
    assert!(!WebConfigFile::open(&path).unwrap().in_use().http2());
    directory.write(
        "web.yaml",
        "http_server_config: {http2: false}\n---\nbasic_auth_users: {}\n",
    );
    let error = WebConfigFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("there is more than one document"), "{error}");
}

#[test]
fn a_text_in_place_of_a_section_is_an_error() {
    let directory = Directory::new();
    for section in [
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "rate_limit",
    ] {
        for text in ["''", "\"\"", "x", "[]", "false"] {
            let path = directory.write("web.yaml", &format!("{section}: {text}\n"));
            let error = WebConfigFile::open(path).map(|_| format!("{section}: {text}"));
            assert!(error.unwrap_err().to_string().contains(section), "{text}");
        }
    }
    for text in ["''", "[]", "x"] {
        let path = directory.write("web.yaml", text);
        assert!(WebConfigFile::open(path).is_err(), "{text}");
    }
}

#[tokio::test]
async fn an_empty_file_leaves_requests_as_they_are() {
    let config = Arc::new(WebConfig::default());
    let response = ask(&config, "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().is_empty());
}

/// Connects a client to a server that uses `config`.
async fn accept(
    config: Arc<WebConfig>,
) -> (
    TcpStream,
    tokio::task::JoinHandle<Result<prometheus_web_config::WebStream, AcceptError>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    let accepting = tokio::spawn(async move { config.accept(server).await });
    (client.unwrap(), accepting)
}

#[tokio::test]
async fn connections_are_encrypted_and_plain_http_is_told_so() {
    let directory = Directory::new();
    let certificate = directory.write_pair();
    let path = directory.write("web.yaml", TLS);
    let config = WebConfigFile::open(path).unwrap().current();

    let (client, accepting) = accept(Arc::clone(&config)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = connector.connect(name, client).await.unwrap();
    let mut server = accepting.await.unwrap().unwrap();
    assert!(server.is_tls());
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut received = [0; 4];
    server.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"ping");

    let (mut client, accepting) = accept(config).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.0 400 "), "{response}");
    assert!(response.ends_with("Client sent an HTTP request to an HTTPS server.\n"));
    drop(client);
    let refused = accepting.await.unwrap();
    assert!(matches!(refused, Err(AcceptError::PlainHttp)));
}

#[tokio::test]
async fn without_a_certificate_connections_stay_plain() {
    let (mut client, accepting) = accept(Arc::default()).await;
    let mut server = accepting.await.unwrap().unwrap();
    assert!(!server.is_tls());
    server.write_all(b"pong").await.unwrap();
    let mut received = [0; 4];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");
}
