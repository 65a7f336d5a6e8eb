//! Tests that clients can log in for the first time while other clients send a flood of wrong credentials.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::api::Api;
use super::support::{Answer, Directory, Exporter, PATIENCE, connect_from, exchange};

/// The address of the clients with wrong credentials, and the address of the client with correct credentials.
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));
const SCRAPER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));

fn ask(from: IpAddr, to: &str, authorization: &str) -> Answer {
    let headers = [("authorization", authorization)];
    exchange(
        connect_from(from, to, None).unwrap(),
        "GET",
        "/metrics",
        &headers,
        "",
    )
}

fn basic(user: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

/// Returns the entries of four users for `basic_auth_users`.
fn users() -> String {
    // A test build checks passwords more slowly than a release build. With the bcrypt cost 5, two checks in a test
    // build take as long as one check with the usual cost in a release build.
    let hash = |user| bcrypt::hash(format!("right{user}"), 5).unwrap();
    (0..4)
        .map(|user| format!("  user{user}: {}\n", hash(user)))
        .collect()
}

/// Clients that send different credentials without a pause.
struct Flood {
    ended: Arc<AtomicBool>,
    tries: Arc<AtomicUsize>,
    /// The number of responses with the status 429 and the header `Retry-After`.
    put_off: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Starts a flood of clients that have the same address. `credentials` returns different credentials for each
    /// number.
    fn start(address: &str, credentials: fn(usize) -> String) -> Self {
        Self::start_from(&[ATTACKER], address, credentials)
    }

    /// Starts a flood of 48 clients. The clients use the addresses in `sources` in turn.
    fn start_from(sources: &[IpAddr], address: &str, credentials: fn(usize) -> String) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let tries = Arc::new(AtomicUsize::new(0));
        let put_off = Arc::new(AtomicUsize::new(0));
        let clients = sources.iter().copied().cycle().take(48).map(|source| {
            let (ended, tries) = (Arc::clone(&ended), Arc::clone(&tries));
            let (put_off, address) = (Arc::clone(&put_off), address.to_owned());
            spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let credentials = credentials(tries.fetch_add(1, Ordering::Relaxed));
                    let Ok(mut stream) = connect_from(source, &address, None) else {
                        continue;
                    };
                    let head = format!(
                        "GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: {credentials}\r\n\
                         connection: close\r\n\r\n"
                    );
                    let _ = stream.write_all(head.as_bytes());
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    let answer = String::from_utf8_lossy(&answer);
                    if answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 1\r\n")
                    {
                        put_off.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let clients = clients.collect();
        let flood = Self {
            ended,
            tries,
            put_off,
            clients,
        };
        let start = Instant::now();
        while flood.put_off.load(Ordering::Relaxed) < 20 {
            assert!(start.elapsed() < PATIENCE, "no request gets the status 429");
            sleep(Duration::from_millis(10));
        }
        flood
    }

    /// Ends the flood, and returns the number of attempts.
    fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        self.tries.load(Ordering::Relaxed)
    }
}

#[test]
fn first_logins_succeed_beside_a_flood_of_wrong_passwords() {
    let directory = Directory::new("passwords");
    let users = users();
    let web = directory.write("web.yaml", &format!("basic_auth_users:\n{users}"));
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let flood = Flood::start(&exporter.main, |number| {
        basic("user0", &format!("wrong{number}"))
    });
    for user in 0..4 {
        let start = Instant::now();
        let login = basic(&format!("user{user}"), &format!("right{user}"));
        let answer = ask(SCRAPER, &exporter.main, &login);
        assert_eq!(answer.status, 200, "user{user}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        println!("first login of user{user}: {:?}", start.elapsed());
    }
    // If a user has logged in before, the exporter need not check the password again, even after a change of the file.
    let more = bcrypt::hash("x", 4).unwrap();
    directory.write(
        "web.yaml",
        &format!("basic_auth_users:\n{users}  more: {more}\n"),
    );
    for _ in 0..20 {
        assert_eq!(
            ask(ATTACKER, &exporter.main, &basic("user1", "right1")).status,
            200
        );
    }
    exporter.tells("web.yaml: the changed file is in use");
    let cut =
        "kube_state_metrics_http_connections_cut_total{reason=\"made_room\",server=\"metrics\"}";
    let login = basic("user1", "right1");
    let own = ask(SCRAPER, &exporter.telemetry, &login).text();
    let cut = own.lines().find_map(|line| line.strip_prefix(cut));
    assert_eq!(
        cut.map_or(0.0, |count| count.trim().parse().unwrap()),
        0.0,
        "no connection was closed"
    );
    println!("tries: {}", flood.end());
}

#[test]
fn first_logins_succeed_beside_wrong_passwords_from_many_addresses() {
    let directory = Directory::new("addresses");
    let web = directory.write("web.yaml", &format!("basic_auth_users:\n{}", users()));
    let exporter = Exporter::start(&["--resources=pods", "--tls-config", &web]);
    let sources: Vec<_> = (0..48)
        .map(|number| Ipv4Addr::new(127, 0, 66, number + 1).into())
        .collect();
    let flood = Flood::start_from(&sources, &exporter.main, |number| {
        basic("user0", &format!("wrong{number}"))
    });
    for user in 0..4 {
        let scraper = Ipv4Addr::new(127, 0, 7, user + 1).into();
        let login = basic(&format!("user{user}"), &format!("right{user}"));
        // Credentials wait for their check in a queue of limited length. The exporter prefers an address whose
        // credentials it has not checked before. At first, this is also true for the addresses of the flood. Then the
        // request of the user finds space in the queue only by chance, so the test repeats the request.
        let tries = (1..=10).find(|_| ask(scraper, &exporter.main, &login).status == 200);
        assert!(tries.is_some(), "user{user}");
        println!("first login of user{user}: tries: {tries:?}");
    }
    println!("tries: {}", flood.end());
}

#[test]
fn fresh_tokens_pass_beside_a_flood_of_wrong_ones_and_the_api_server_is_spared() {
    let api = Api::start(&[]);
    let directory = Directory::new("flood");
    let kubeconfig = directory.write("kubeconfig", &api.kubeconfig());
    let args = [
        "--auth-filter",
        "--kubeconfig",
        &kubeconfig,
        "--resources=pods",
    ];
    let exporter = Exporter::start(&args);
    let begin = Instant::now();
    let flood = Flood::start(&exporter.main, |number| format!("Bearer wrong{number}"));
    for (token, status) in [("reader", 200), ("stranger", 403)] {
        let start = Instant::now();
        let answer = ask(SCRAPER, &exporter.main, &format!("Bearer {token}"));
        assert_eq!(answer.status, status, "{token}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        println!("first request with {token}: {:?}", start.elapsed());
    }
    sleep(Duration::from_secs(3));
    // A token that the exporter knows is accepted from every address.
    assert_eq!(ask(ATTACKER, &exporter.main, "Bearer reader").status, 200);
    let tries = flood.end();
    let seconds = begin.elapsed().as_secs_f64();
    let reviews = api.count("tokenreviews");
    println!("{tries} tries in {seconds:.1} s: {reviews} reviews");
    assert!(
        (reviews as f64) < 50.0 * (seconds + 2.0),
        "{reviews} in {seconds} s"
    );
    assert!(tries > 2 * reviews, "{tries} tries, {reviews} reviews");
}
