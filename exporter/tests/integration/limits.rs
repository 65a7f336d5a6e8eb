//! Tests limits for clients: slow clients, many clients, and clients that send invalid data. Each limit must take
//! effect, but must not affect other clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::{Answer, Directory, Exporter, PATIENCE, connect_from, eventually};

/// Returns an exporter whose response does not fit into the buffers between client and server.
pub fn large(args: &[&str]) -> (Directory, Exporter) {
    let directory = Directory::new("large");
    // The manifests are JSON, because the exporter reads JSON faster than YAML.
    let objects: String = (0..6_000)
        .map(|number| {
            let metadata = format!("{{\"namespace\":\"a\",\"name\":\"a-config-map-{number}\"}}");
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{metadata}}}\n")
        })
        .collect();
    directory.write("a.jsonl", &objects);
    let exporter = Exporter::serving(&[&["--manifests", directory.str()], args].concat());
    (directory, exporter)
}

/// Returns a connection with a small receive buffer.
fn connect(address: &str) -> TcpStream {
    connect_from([127, 0, 0, 1], address, Some(4096)).unwrap()
}

/// Requests all metrics, but does not read the response.
fn stalled(exporter: &Exporter) -> TcpStream {
    let mut stream = connect(&exporter.main);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    stream
}

/// Waits until the server has closed the connection, and returns the duration of the wait.
pub fn closed(stream: &mut TcpStream) -> Duration {
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
                    "the connection is still open"
                );
                break;
            }
        }
    }
    start.elapsed()
}

pub fn cut(exporter: &Exporter, reason: &str) -> f64 {
    let labels = format!("{{reason=\"{reason}\",server=\"metrics\"}}");
    exporter
        .own(&format!(
            "kube_state_metrics_http_connections_cut_total{labels}"
        ))
        .unwrap_or(0.0)
}

/// A duration that is longer than the tested limit, but shorter than all other limits in the test.
const SHORT: Duration = Duration::from_secs(25);

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
    eventually("the response is aborted", || {
        (cut(&exporter, "no_progress") == 1.0).then_some(())
    });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "an aborted response does not look complete"
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
        assert!(start.elapsed() < PATIENCE, "the response does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    eventually("the response is aborted", || {
        (cut(&exporter, "slow_answer") == 1.0).then_some(())
    });
    // A client that reads fast must get the whole response.
    assert!(exporter.metrics("").contains("a-config-map-5999"));
}

/// Sends a request on a connection that stays open.
fn ask(stream: &mut TcpStream, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    Answer::read(stream).unwrap()
}

/// Whether the server has kept the connection open until now.
fn is_open(stream: &mut TcpStream) -> bool {
    ask(stream, "/livez").status == 200
}

#[test]
fn an_idle_connection_is_closed() {
    let exporter = Exporter::start(&["--server-idle-timeout=300ms"]);
    let mut stream = connect(&exporter.main);
    ask(&mut stream, "/livez");
    ask(&mut stream, "/livez");
    let waited = closed(&mut stream);
    assert!(
        waited > Duration::from_millis(250) && waited < PATIENCE,
        "{waited:?}"
    );
    assert_eq!(cut(&exporter, "idle"), 1.0);
}

#[test]
fn one_connection_too_many_closes_the_quietest() {
    let exporter = Exporter::start(&["--max-connections=2"]);
    let mut first = connect(&exporter.main);
    ask(&mut first, "/livez");
    let mut second = connect(&exporter.main);
    ask(&mut second, "/livez");
    // The first connection was in use more recently than the second connection, so the server closes the second
    // connection.
    ask(&mut first, "/livez");
    let mut third = connect(&exporter.main);
    ask(&mut third, "/livez");
    closed(&mut second);
    assert!(is_open(&mut first) && is_open(&mut third));
    assert_eq!(cut(&exporter, "made_room"), 1.0);
}

#[test]
fn one_answer_too_many_cuts_the_one_longest_without_progress() {
    let (_directory, exporter) = large(&["--max-answers=1", "--server-progress-timeout=30s"]);
    let mut stuck = stalled(&exporter);
    let answering = "kube_state_metrics_http_answering{server=\"metrics\"}";
    eventually("the response is in progress", || {
        (exporter.own(answering) == Some(1.0)).then_some(())
    });
    assert!(exporter.metrics("").contains("a-config-map-5999"));
    closed(&mut stuck);
    assert_eq!(cut(&exporter, "made_room"), 1.0);
}

#[test]
fn a_refused_answer_names_the_flag_and_fills_no_log() {
    let (_directory, exporter) = large(&["--max-answers=1"]);
    for _ in 0..3 {
        eventually("a response is refused", || {
            let _running = stalled(&exporter);
            let mut refused = connect_from([127, 0, 0, 2], &exporter.main, None).unwrap();
            let request = b"GET /metrics HTTP/1.0\r\n\r\n";
            refused.write_all(request).unwrap();
            let mut answer = String::new();
            refused.read_to_string(&mut answer).unwrap();
            answer.starts_with("HTTP/1.0 503 ").then(|| {
                let names_limit = answer.contains("(limit: 1)") && answer.contains("--max-answers");
                assert!(names_limit, "{answer}");
            })
        });
    }
    exporter.tells("metrics: ended or refused a response to 127.0.0.");
    let log = exporter.log();
    assert_eq!(log.matches("ended or refused").count(), 1, "{log}");
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
    let send = |garbage: &str| {
        let mut stream = connect(&exporter.main);
        // The server may refuse the request before the client has sent all of it.
        let _ = stream.write_all(garbage.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    };
    std::thread::scope(|scope| {
        let flood = [(); 4].map(|()| {
            scope.spawn(|| (0..200).for_each(|round| send(garbage[round % garbage.len()])))
        });
        // During the flood, other clients must still get responses.
        while !flood.iter().all(|thread| thread.is_finished()) {
            scrape(&exporter);
        }
    });
    assert_eq!(exporter.get("/livez").status, 200);
    assert!(exporter.memory() < before + (16 << 20));
    assert_eq!(exporter.log(), "", "invalid requests are not logged");
}

/// Returns the time from the connection attempt to the last byte of the response with all metrics.
fn scrape(exporter: &Exporter) -> Duration {
    let start = Instant::now();
    let mut stream = TcpStream::connect(&exporter.main).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let time = start.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"0\r\n\r\n"));
    time
}

/// Returns the 99th percentile of these times.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() - 1 - times.len() / 100]
}

/// Compares the scrape times of two exporters. One exporter also has clients that never read their responses.
///
/// The function scrapes the two exporters alternately, so that other load on the machine affects both in the same way.
fn slow_clients_harm_nobody(clients: usize, scrapes: usize, slower: f64) {
    // With these timeouts, the exporter does not close the slow connections during the measurement.
    let args = [
        "--server-progress-timeout=10m",
        "--server-write-timeout=10m",
    ];
    let [(_a, free), (_b, beset)] = [large(&args), large(&args)];
    for exporter in [&free, &beset] {
        for _ in 0..10 {
            scrape(exporter);
        }
    }
    let memory = beset.memory();
    let streams: Vec<_> = (0..clients).map(|_| stalled(&beset)).collect();
    eventually("each client is connected or evicted", || {
        let open = beset.own("kube_state_metrics_http_connections{server=\"metrics\"}");
        (open.unwrap() + cut(&beset, "made_room") >= clients as f64).then_some(())
    });
    let cpu = [&free, &beset].map(Exporter::cpu);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..scrapes {
        alone.push(scrape(&free));
        beside.push(scrape(&beset));
    }
    let [free_cpu, beset_cpu] = [&free, &beset].map(Exporter::cpu);
    let (free_cpu, beset_cpu) = (free_cpu - cpu[0], beset_cpu - cpu[1]);
    let grown = beset.memory().saturating_sub(memory);
    drop(streams);
    let (alone, beside) = (p99(alone), p99(beside));
    println!(
        "p99 alone {alone:?}, beside {clients} slow clients {beside:?}; processor {free_cpu:?} and \
         {beset_cpu:?}; {grown} bytes more"
    );
    assert!(
        beside < alone.mul_f64(slower),
        "{beside:?} instead of {alone:?}"
    );
    // A connected client that does not read must cost no CPU time. Then it does not affect other clients.
    assert!(
        beset_cpu < free_cpu.mul_f64(1.5) + Duration::from_millis(100),
        "{beset_cpu:?} instead of {free_cpu:?}"
    );
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn clients_that_do_not_read_harm_nobody() {
    // Other tests run at the same time, so this test allows a slowdown by a factor of 20.
    slow_clients_harm_nobody(100, 50, 20.0);
}

#[test]
#[ignore = "measures times: run it alone, see docs/explanation/testing.md"]
fn a_thousand_clients_that_do_not_read_cost_others_a_tenth_at_most() {
    slow_clients_harm_nobody(1000, 2000, 1.1);
}
