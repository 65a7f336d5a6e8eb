//! Clients that are slow, many or broken: each limit has its effect, and nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::support::{Directory, Exporter, PATIENCE, config_map, eventually, get};

/// An exporter whose answer is larger than all buffers on the way.
fn large(args: &[&str]) -> (Directory, Exporter) {
    let directory = Directory::new("large");
    let objects: String = (0..6_000)
        .map(|number| config_map("a-namespace", &format!("a-config-map-{number}")))
        .collect();
    directory.write("a.yaml", &objects);
    let exporter = Exporter::serving(&[&["--manifests", directory.str()], args].concat());
    (directory, exporter)
}

/// A connection that takes in little before it is read.
fn connect(address: &str) -> TcpStream {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks for all metrics and does not read them.
fn stalled(exporter: &Exporter) -> TcpStream {
    let mut stream = connect(&exporter.main);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    stream
}

/// Waits until the other side has closed a connection; gives the time it took.
fn closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert_ne!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock,
                    "it is still open"
                );
                break;
            }
        }
    }
    start.elapsed()
}

fn cut(exporter: &Exporter, reason: &str) -> f64 {
    let labels = format!("{{reason=\"{reason}\",server=\"metrics\"}}");
    exporter
        .own(&format!(
            "kube_state_metrics_http_connections_cut_total{labels}"
        ))
        .unwrap_or(0.0)
}

const SHORT: Duration = Duration::from_secs(4);

#[test]
fn a_request_must_come_in_time() {
    let limits = [
        [
            "--server-read-header-timeout=300ms",
            "--server-read-timeout=30s",
        ],
        [
            "--server-read-header-timeout=30s",
            "--server-read-timeout=300ms",
        ],
    ];
    for args in limits {
        let exporter = Exporter::start(&args);
        for begun in [
            "",
            "GET /metrics HTTP/1.1\r\nhost:",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut stream = connect(&exporter.main);
            stream.write_all(begun.as_bytes()).unwrap();
            assert!(closed(&mut stream) < SHORT, "{args:?} {begun:?}");
        }
        assert_eq!(cut(&exporter, "slow_request"), 3.0);
    }
}

#[test]
fn an_answer_that_stands_still_is_cut() {
    let (_directory, exporter) = large(&["--server-progress-timeout=300ms"]);
    let mut stream = stalled(&exporter);
    eventually("the answer is cut", || {
        (cut(&exporter, "no_progress") == 1.0).then_some(())
    });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "a cut answer does not look whole"
    );
}

#[test]
fn an_answer_must_be_written_in_time_however_steadily_it_is_read() {
    let (_directory, exporter) = large(&[
        "--server-write-timeout=700ms",
        "--server-progress-timeout=30s",
    ]);
    let mut stream = stalled(&exporter);
    let start = Instant::now();
    let mut piece = [0; 2048];
    while matches!(stream.read(&mut piece), Ok(count) if count > 0) {
        assert!(start.elapsed() < PATIENCE, "it goes on for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    eventually("the answer is cut", || {
        (cut(&exporter, "slow_answer") == 1.0).then_some(())
    });
    // Who reads quickly gets everything.
    assert!(exporter.metrics("").contains("a-config-map-5999"));
}

#[test]
fn garbage_does_no_harm() {
    let exporter = Exporter::start(&[]);
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let garbage = [
        "\0\x01\x02\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\0\x01",
        &huge,
        &many,
    ];
    let before = exporter.memory();
    for round in 0..200 {
        let mut stream = connect(&exporter.main);
        // It may be refused before all of it is sent.
        let _ = stream.write_all(garbage[round % garbage.len()].as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(exporter.get("/livez").status, 200);
    assert!(exporter.memory() < before + (16 << 20));
    assert_eq!(exporter.log(), "", "strangers do not fill the log");
}

/// Time to answer a scrape; the worst of some, but for the worst percent.
fn p99(exporter: &Exporter, scrapes: usize) -> Duration {
    let scrape = |_| {
        let start = Instant::now();
        assert_eq!(get(&exporter.main, "/metrics", &[]).status, 200);
        start.elapsed()
    };
    let mut times: Vec<_> = (0..scrapes).map(scrape).collect();
    times.sort();
    times[scrapes - 1 - scrapes / 100]
}

fn slow_clients_harm_nobody(clients: usize, scrapes: usize, slower: f64) {
    let (_directory, exporter) = large(&["--server-progress-timeout=5s"]);
    p99(&exporter, scrapes / 2);
    let alone = p99(&exporter, scrapes);
    let memory = exporter.memory();
    let _streams: Vec<_> = (0..clients).map(|_| stalled(&exporter)).collect();
    let beside = p99(&exporter, scrapes);
    let grown = exporter.memory().saturating_sub(memory);
    println!("p99 alone {alone:?}, beside {clients} slow clients {beside:?}, {grown} bytes more");
    assert!(
        beside < alone.mul_f64(slower),
        "{beside:?} instead of {alone:?}"
    );
    assert!(grown < 64 << 20, "{grown} bytes more");
    eventually("they are cut", || {
        let open = "kube_state_metrics_http_answering{server=\"metrics\"}";
        (exporter.own(open) == Some(0.0)).then_some(())
    });
}

#[test]
fn clients_that_do_not_read_harm_nobody() {
    // Other tests run at the same time, so this is about orders of magnitude.
    slow_clients_harm_nobody(100, 50, 20.0);
}

#[test]
#[ignore = "measures times: run it alone, in a release build"]
fn a_thousand_clients_that_do_not_read_cost_others_a_tenth_at_most() {
    slow_clients_harm_nobody(1000, 1000, 1.1);
}
