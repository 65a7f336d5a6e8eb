//! Tests the web configuration file: TLS, client certificates, users, headers and the rate limit.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use rustls::version::{TLS12, TLS13};

use super::authority::{Authority, Identity};
use super::client::{Client, Stream, ask};
use super::support::{CLUSTER, Directory, Exporter, eventually, get, run};

/// A directory with the server certificates of an authority, and with a web configuration file.
struct Place {
    directory: Directory,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: Directory::new("tls"),
            authority: Authority::new("servers"),
        };
        place.install(&place.authority.issue("exporter"));
        place
    }

    fn install(&self, pair: &Identity) {
        self.directory.write("server.key", &pair.key);
        self.directory.write("server.crt", &pair.certificate);
    }

    /// Starts an exporter. `more` contains further lines for the TLS section. `rest` contains the lines after this
    /// section.
    fn exporter(&self, more: &[&str], rest: &str) -> Exporter {
        self.start(more, rest, &[])
    }

    fn start(&self, more: &[&str], rest: &str, args: &[&str]) -> Exporter {
        // Paths in the web configuration file are relative to the directory of the file.
        let mut text =
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n".to_owned();
        for line in more {
            text.push_str(&format!("  {line}\n"));
        }
        let path = self.directory.write("web.yaml", &(text + rest));
        Exporter::start(&[&["--resources=pods", "--tls-config", &path], args].concat())
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(&format!("{user}:{password}")))
}

fn base64(text: &str) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(digits[bits as usize & 63]);
    let mut encoded = String::new();
    for bytes in text.as_bytes().chunks(3) {
        let bits = bytes
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        for at in 0..4 {
            let pad = at > bytes.len();
            encoded.push(if pad {
                '='
            } else {
                digit(bits >> (18 - 6 * at))
            });
        }
    }
    encoded
}

#[test]
fn both_ports_speak_tls_and_tell_who_does_not() {
    let place = Place::new();
    let exporter = place.exporter(&[], "");
    assert!(
        exporter.line.contains(" on https://localhost:"),
        "{}",
        exporter.line
    );
    for address in [&exporter.main, &exporter.telemetry] {
        let client = Client::new(&place.authority);
        let answer = client.get(address, "/livez", &[]).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
        let plain = get(address, "/metrics", &[]);
        let told = "Client sent an HTTP request to an HTTPS server.\n";
        assert_eq!((plain.status, plain.text().as_str()), (400, told));
        let doubtful = Client::new(&Authority::new("others"));
        let refused = doubtful.get(address, "/livez", &[]).unwrap_err();
        assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    }
    assert_eq!(exporter.log(), "", "invalid requests are not logged");
}

#[test]
fn versions_of_tls_are_as_the_file_says() {
    let place = Place::new();
    let speaks = |exporter: &Exporter, version| {
        let client = Client::with(&place.authority, None, &[version]);
        client.get(&exporter.main, "/livez", &[]).is_ok()
    };
    let both = place.exporter(&[], "");
    assert!(speaks(&both, &TLS12) && speaks(&both, &TLS13));
    let new = place.exporter(&["min_version: TLS13"], "");
    assert!(!speaks(&new, &TLS12) && speaks(&new, &TLS13));
    let old = place.exporter(&["max_version: TLS12"], "");
    assert!(speaks(&old, &TLS12) && !speaks(&old, &TLS13));
}

#[test]
fn http2_is_agreed_on_unless_the_file_says_no() {
    let place = Place::new();
    let agreed = |exporter: &Exporter| {
        let mut client = Client::new(&place.authority);
        client.config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = client.connect(&exporter.main).unwrap();
        stream.conn.alpn_protocol().unwrap().to_vec()
    };
    assert_eq!(agreed(&place.exporter(&[], "")), b"h2");
    let without = "http_server_config: {http2: false}\n";
    assert_eq!(agreed(&place.exporter(&[], without)), b"http/1.1");
}

#[test]
fn certificates_that_go_accepts_are_served_and_accepted_from_scrapers() {
    let place = Place::new();
    let old = place.authority.issue_version_1("old");
    let required = [
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: clients.crt",
    ];
    let clients = Authority::with_p521("clients");
    place.directory.write("clients.crt", &clients.pem());
    place.install(&old);
    let exporter = place.exporter(&required, "");
    let asks = |pair: &Identity| {
        [&TLS12, &TLS13].map(|version| {
            // The certificate of the server is an X.509 version 1 certificate. Such a certificate has no alternative
            // names, so the client does not verify the certificate.
            let client = Client::unchecked(Some(pair), &[version]);
            let answer = client.get(&exporter.main, "/livez", &[]);
            let shown = client.connect(&exporter.main).ok();
            let shown = shown.and_then(|own| own.conn.peer_certificates().map(<[_]>::to_vec));
            (answer.is_ok(), shown.is_none_or(|all| *all[0] == *old.der))
        })
    };
    let accepted = [(true, true); 2];
    assert_eq!(asks(&clients.issue("new")), accepted);
    assert_eq!(asks(&clients.issue_version_1("old")), accepted);
    let stranger = Authority::new("clients").issue_version_1("stranger");
    assert_eq!(asks(&stranger), [(false, true); 2]);
    // The list of authorities contains only a leaf certificate. The server accepts this certificate, but no other
    // certificate with the same name.
    let single = place.authority.issue("single");
    place.directory.write("clients.crt", &single.certificate);
    let exporter = place.exporter(&required, "");
    for (pair, accepted) in [(&single, true), (&place.authority.issue("single"), false)] {
        let client = Client::unchecked(Some(pair), &[&TLS13]);
        let answer = client.get(&exporter.main, "/livez", &[]);
        assert_eq!(answer.is_ok(), accepted);
    }
}

#[test]
fn clients_need_a_certificate_that_their_authority_signed_for_an_allowed_name() {
    let place = Place::new();
    let clients = Authority::new("clients");
    place.directory.write("clients.crt", &clients.pem());
    let required = [
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: clients.crt",
    ];
    let passes = |exporter: &Exporter, pair: Option<&Identity>| {
        [&TLS12, &TLS13].map(|version| {
            let client = Client::with(&place.authority, pair, &[version]);
            let answers = [&exporter.main, &exporter.telemetry]
                .map(|address| client.get(address, "/readyz", &[]));
            match answers {
                [Ok(_), Ok(_)] => true,
                [Err(_), Err(_)] => false,
                other => panic!("the ports differ: {other:?}"),
            }
        })
    };
    let prometheus = clients.issue_to("prometheus", &["prometheus"]);
    let exporter = place.exporter(&required, "");
    assert_eq!(passes(&exporter, Some(&prometheus)), [true; 2]);
    assert_eq!(passes(&exporter, None), [false; 2]);
    let forged = Authority::new("clients").issue_to("prometheus", &["prometheus"]);
    assert_eq!(passes(&exporter, Some(&forged)), [false; 2]);

    let names = [
        &required[..],
        &["client_allowed_sans: [prometheus, 'spiffe://a/b', 127.0.0.9]"],
    ]
    .concat();
    let exporter = place.exporter(&names, "");
    for (name, allowed) in [
        ("prometheus", true),
        ("spiffe://a/b", true),
        ("127.0.0.9", true),
        ("prometheus2", false),
        ("spiffe://a/c", false),
        ("127.0.0.8", false),
    ] {
        let pair = clients.issue_to("prometheus", &[name]);
        assert_eq!(passes(&exporter, Some(&pair)), [allowed; 2], "{name}");
    }
    let optional = [
        "client_auth_type: VerifyClientCertIfGiven",
        "client_ca_file: clients.crt",
    ];
    let exporter = place.exporter(&optional, "");
    assert_eq!(passes(&exporter, None), [true; 2]);
    assert_eq!(passes(&exporter, Some(&forged)), [false; 2]);
}

#[test]
fn a_connection_from_before_certificates_were_required_is_closed_and_not_authenticated() {
    let place = Place::new();
    let clients = Authority::new("clients");
    place.directory.write("clients.crt", &clients.pem());
    let settings = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    let web = place.directory.write("web.yaml", settings);
    let ports = [
        "--port=0",
        "--telemetry-port=0",
        "--telemetry-host=127.0.0.1",
    ];
    let source = [
        "--manifests",
        CLUSTER,
        "--resources=pods",
        "--tls-config",
        &web,
    ];
    let exporter = Exporter::spawn(&[&ports[..], &source[..]].concat());
    let stranger = Client::new(&place.authority);
    let asked = |stream: &mut Stream| ask(stream, "/debug/memory", &[]);
    let status = |stream: &mut Stream| asked(stream).unwrap().status;
    let mut old = stranger.connect(&exporter.telemetry).unwrap();
    assert_eq!(status(&mut old), 403);
    let required =
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n";
    place
        .directory
        .write("web.yaml", &format!("{settings}{required}"));
    eventually("certificates are required", || {
        let refused = stranger.get(&exporter.telemetry, "/livez", &[]).is_err();
        refused.then_some(())
    });
    eventually("the old connection is closed", || {
        let answer = asked(&mut old).map(|answer| answer.status);
        assert!(answer.as_ref().is_ok_and(|status| *status == 403) || answer.is_err());
        answer.is_err().then_some(())
    });
    let pair = clients.issue("prometheus");
    let known = Client::with(&place.authority, Some(&pair), rustls::ALL_VERSIONS);
    let mut known = known.connect(&exporter.telemetry).unwrap();
    assert_eq!(status(&mut known), 200);
}

#[test]
fn certificates_are_read_again_while_it_runs() {
    let place = Place::new();
    let exporter = place.exporter(&[], "");
    let client = Client::new(&place.authority);
    let mut old = client.connect(&exporter.main).unwrap();
    let shown = |stream: &Stream| stream.conn.peer_certificates().unwrap()[0].to_vec();
    let first = shown(&old);
    assert_eq!(
        shown(&client.connect(&exporter.main).unwrap()),
        first,
        "the certificate stays the same until its file changes"
    );

    place.install(&place.authority.issue("exporter"));
    let second = eventually("the new certificate is shown", || {
        // The test changes the two files one after the other. Between the two changes, the key does not match the
        // certificate, so the previous pair stays in use.
        let now = shown(&client.connect(&exporter.main).unwrap());
        (now != first).then_some(now)
    });
    assert_eq!(ask(&mut old, "/livez", &[]).unwrap().status, 200);

    place.directory.write("server.crt", "no certificate");
    assert_eq!(shown(&client.connect(&exporter.main).unwrap()), second);
    exporter.tells("server.crt: no certificate found");
    place.install(&place.authority.issue("exporter"));
    eventually("the repair shows", || {
        (shown(&client.connect(&exporter.main).unwrap()) != second).then_some(())
    });
}

#[test]
fn a_handshake_must_come_in_time() {
    let place = Place::new();
    let exporter = place.start(&[], "", &["--server-read-header-timeout=2s"]);
    let plain = "kube_state_metrics_http_connections_cut_total{reason=\"slow_request\"";
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(&exporter.main).unwrap();
        stream
            .set_read_timeout(Some(super::support::PATIENCE))
            .unwrap();
        stream.write_all(begun).unwrap();
        let closed = stream.read(&mut [0; 64]);
        assert!(
            closed.as_ref().map_or_else(
                |error| error.kind() == ErrorKind::ConnectionReset,
                |count| *count == 0
            ),
            "{closed:?}"
        );
    }
    let client = Client::new(&place.authority);
    let mut stream = client.connect(&exporter.telemetry).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let count = text
        .lines()
        .find(|line| line.starts_with(plain) && line.contains("server=\"metrics\""));
    assert!(count.unwrap().ends_with(" 2"), "{text}");
}

#[test]
fn users_need_their_passwords_on_both_ports_and_for_every_path() {
    let directory = Directory::new("users");
    let users = |password: &str| {
        let hash = bcrypt::hash(password, 4).unwrap();
        directory.write("web.yaml", &format!("basic_auth_users:\n  ann: {hash}\n"))
    };
    let web = users("open");
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let status = |address: &str, path: &str, credentials: Option<&str>| {
        let headers = credentials.map(|credentials| ("authorization", credentials));
        get(address, path, headers.as_slice()).status
    };
    let right = basic("ann", "open");
    for address in [&exporter.main, &exporter.telemetry] {
        for path in ["/metrics", "/livez", "/", "/no/such/path"] {
            let refused = get(address, path, &[]);
            assert_eq!(refused.status, 401, "{path}");
            assert_eq!(refused.header("www-authenticate"), Some("Basic"));
            assert!(!refused.text().contains("kube_"));
            assert_ne!(status(address, path, Some(&right)), 401, "{path}");
        }
        for wrong in [
            basic("ann", "shut"),
            basic("ann", ""),
            basic("", ""),
            basic("bob", "open"),
            right.replace("Basic", "Bearer"),
            right.replace(' ', "  x"),
        ] {
            assert_eq!(status(address, "/metrics", Some(&wrong)), 401, "{wrong}");
        }
    }
    // After the change of a password, the exporter requires the new password immediately, also on open connections.
    let mut open = TcpStream::connect(&exporter.main).unwrap();
    let credentials = [("authorization", right.as_str())];
    assert_eq!(ask(&mut open, "/livez", &credentials).unwrap().status, 200);
    users("changed");
    assert_eq!(ask(&mut open, "/livez", &credentials).unwrap().status, 401);
    let changed = basic("ann", "changed");
    assert_eq!(status(&exporter.main, "/metrics", Some(&changed)), 200);
    assert!(!exporter.log().contains("open"), "{}", exporter.log());
}

#[test]
fn a_file_that_loses_its_users_does_not_open_the_exporter() {
    let directory = Directory::new("weakened");
    let hash = bcrypt::hash("open", 4).unwrap();
    let rest = "http_server_config: {http2: true}\nrate_limit: {burst: 1000, interval: 1ms}\n";
    let users = format!("{rest}basic_auth_users: {{ann: {hash}}}\n");
    let web = directory.write("web.yaml", &users);
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let right = basic("ann", "open");
    let right = [("authorization", right.as_str())];
    let own = |name: &str| {
        get(
            &exporter.telemetry,
            &format!("/metrics?name[]={name}"),
            &right,
        )
        .text()
    };
    let name = "kube_state_metrics_last_config_reload_successful";
    let series = format!("{name}{{filename=\"{web}\",type=\"webconfig\"}}");
    assert!(
        own(name).contains(&format!("{series} 1\n")),
        "{}",
        own(name)
    );
    for (failures, weaker, says) in [
        (1, rest.to_owned(), "disable passwords (basic_auth_users)"),
        (
            2,
            format!("{rest}basic_auth_users: {{}}\n"),
            "disable passwords (basic_auth_users)",
        ),
        (3, String::new(), "the file is empty now"),
    ] {
        directory.write("web.yaml", &weaker);
        assert_eq!(get(&exporter.main, "/metrics", &[]).status, 401);
        eventually("the change is refused", || {
            let log = exporter.log();
            let errors = log.matches("the previous content stays in use").count();
            (errors == failures).then_some(())
        });
        exporter.tells(says);
        assert!(
            own(name).contains(&format!("{series} 0\n")),
            "{}",
            own(name)
        );
        let ready = get(&exporter.main, "/readyz", &right);
        assert_eq!(ready.status, 200);
        let text = ready.text();
        assert!(
            text.contains("the changed configuration is not used (refused ")
                && text.contains(" ago): --tls-config "),
            "{text}"
        );
    }
    directory.write("web.yaml", &users);
    assert_eq!(get(&exporter.main, "/readyz", &right).text(), "OK");
    assert!(
        own(name).contains(&format!("{series} 1\n")),
        "{}",
        own(name)
    );
}

#[test]
fn wrong_passwords_hold_nobody_up_who_has_been_let_in() {
    let directory = Directory::new("passwords");
    // With the bcrypt cost 16, the check of a password would take longer than the rest of this test.
    let dear = "$2y$16$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    let cheap = bcrypt::hash("open", 4).unwrap();
    let users = format!("basic_auth_users:\n  ann: {cheap}\n  bob: {dear}\n");
    let web = directory.write("web.yaml", &users);
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let right = basic("ann", "open");
    let right = [("authorization", right.as_str())];
    assert_eq!(get(&exporter.main, "/livez", &right).status, 200);
    let wrong = basic("bob", "x");
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&exporter.main).unwrap();
            let head = format!("GET / HTTP/1.1\r\nhost: x\r\nauthorization: {wrong}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(&exporter.main, "/livez", &right).status, 200);
    }
    let last = waiting.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let read = last.read(&mut [0]).unwrap_err();
    assert_eq!(
        read.kind(),
        ErrorKind::WouldBlock,
        "the last request still waits"
    );
}

#[test]
fn headers_are_added_and_the_rate_is_limited() {
    let directory = Directory::new("web");
    let text = "http_server_config:\n  headers: {X-Frame-Options: deny}\n\
                rate_limit: {burst: 2, interval: 1h}\n";
    let web = directory.write("web.yaml", text);
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let answers = [(); 3].map(|()| exporter.get("/livez"));
    assert_eq!(
        answers.each_ref().map(|answer| answer.status),
        [200, 200, 429]
    );
    for answer in answers {
        assert_eq!(answer.header("x-frame-options"), Some("deny"));
    }
}

#[test]
fn without_a_certificate_connections_are_plain_and_that_is_said() {
    let directory = Directory::new("plain");
    for tls in [
        "{}",
        "{cert_file: '', key_file: ''}",
        "{min_version: TLS13}",
    ] {
        let text = format!("tls_server_config: {tls}\n");
        let web = directory.write("web.yaml", &text);
        let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
        assert_eq!(exporter.get("/livez").status, 200, "{tls}");
        exporter.tells("names no certificate, so connections are not encrypted");
    }
}

#[test]
fn a_file_that_is_wrong_is_told_with_what_is_wrong() {
    let place = Place::new();
    let pair = "cert_file: server.crt, key_file: server.key";
    let other = Authority::new("other").issue("exporter");
    place.directory.write("other.key", &other.key);
    let cases = [
        ("a: {", "--tls-config "),
        ("tls_server_config: {certfile: x}", "certfile"),
        (
            "tls_server_config: {key_file: server.key}",
            "has no certificate; add cert_file",
        ),
        (
            "tls_server_config: {cert_file: none.crt, key_file: server.key}",
            "cert_file ",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: other.key}",
            "other.key: the key does not belong to the certificate CN=exporter; take the key",
        ),
        (
            "tls_server_config: {PAIR, min_version: TLS14}",
            "there is no `TLS14`",
        ),
        (
            "tls_server_config: {PAIR, min_version: TLS13, max_version: TLS12}",
            "max_version is below min_version",
        ),
        (
            "tls_server_config: {PAIR, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
            "there is no `TLS_RSA_WITH_RC4_128_SHA`; available: TLS_ECDHE",
        ),
        (
            "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert}",
            "add client_ca_file",
        ),
        (
            "tls_server_config: {PAIR, client_ca_file: server.crt}",
            "need client_auth_type: RequireAndVerifyClientCert",
        ),
        (
            "tls_server_config: {PAIR, client_auth_type: Maybe}",
            "there is no `Maybe`",
        ),
        (
            "basic_auth_users: {ann: open}",
            "line 1: the password of the user is not a bcrypt hash",
        ),
        (
            "rate_limit: {burst: 1, interval: 5}",
            "interval: the value is not a duration",
        ),
        (
            "http_server_config: {headers: {'a b': c}}",
            "`a b` cannot be added; available: Content-Security-Policy, Strict-Transport-Security, ",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: never}}",
            "`X-Frame-Options` must have the value deny or sameorigin",
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}",
            "has a value that HTTP does not allow",
        ),
    ];
    for (text, problem) in cases {
        let path = place
            .directory
            .write("wrong.yaml", &text.replace("PAIR", pair));
        let output = run(&["--manifests", CLUSTER, "--tls-config", &path], "");
        assert_eq!(output.status.code(), Some(1), "{text}");
        let start = format!("Error: --tls-config {path}: ");
        assert!(
            output.stderr.starts_with(&start) && output.stderr.contains(problem),
            "{text}: {}",
            output.stderr
        );
    }
    let missing = run(&["--manifests", CLUSTER, "--tls-config=/no/such/file"], "");
    missing.fails("/no/such/file: No such file");
}
