//! Tests floods of connections, of responses and of HTTP/2 control frames. During a flood, other clients must still get
//! responses.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::limits::{closed, cut, large};
use super::support::{CLUSTER, Exporter, PATIENCE, PORTS, PROGRAM, connect_from, eventually};

/// The maximum time until a liveness probe gets a response. This time is long, because other tests run at the same
/// time.
const SOON: Duration = Duration::from_secs(10);

/// The size of a small receive buffer, which fills quickly.
const SMALL: Option<usize> = Some(4096);

/// Starts an exporter with a limit on open files. `limit` has the arguments of `ulimit`.
fn with_descriptors(limit: &str) -> Exporter {
    let command = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    let arguments = ["-c", &command, PROGRAM, "--manifests", CLUSTER];
    Exporter::of_command(shell.args(arguments).args(PORTS))
}

/// Runs `check` while several threads open connections from `ip` and send requests. Each thread keeps its last `keep`
/// connections open, and closes the older ones. Returns the number of connections that the threads have opened.
fn beside_flood(ip: [u8; 4], address: &str, path: &str, keep: usize, check: impl FnOnce()) -> u32 {
    let (stop, count) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut open = VecDeque::new();
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = connect_from(ip, address, SMALL) else {
                        continue;
                    };
                    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
                    let _ = stream.write_all(request.as_bytes());
                    count.fetch_add(1, Ordering::Relaxed);
                    open.push_back(stream);
                    if open.len() > keep {
                        open.pop_front();
                    }
                }
            });
        }
        eventually("the flood has begun", || {
            (count.load(Ordering::Relaxed) > 100).then_some(())
        });
        // Catch a panic of the check, so that the threads end before the test fails.
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
    count.into_inner()
}

/// Returns the longest time until `/livez` responds, on both ports.
fn slowest_livez(exporter: &Exporter) -> Duration {
    let times = (0..20).flat_map(|_| [&exporter.main, &exporter.telemetry]);
    let times = times.map(|address| {
        let start = Instant::now();
        // The exporter may close a connection to make room for another connection. So the test repeats the request, as
        // probes do.
        while !is_alive(address).unwrap_or(false) {
            assert!(start.elapsed() < PATIENCE, "/livez does not answer");
        }
        start.elapsed()
    });
    times.max().unwrap()
}

fn is_alive(address: &str) -> std::io::Result<bool> {
    let mut stream = connect_from([127, 0, 0, 1], address, SMALL)?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 OK\r\n"))
}

#[test]
fn the_soft_limit_on_open_files_is_raised_as_far_as_needed() {
    let exporter = with_descriptors("-S -n 128");
    let limits = fs::read_to_string(format!("/proc/{}/limits", exporter.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let fields: Vec<_> = line.unwrap().split_whitespace().collect();
    let hard = fields[4].parse().unwrap_or(u64::MAX);
    assert_eq!(fields[3], hard.min(16_384).to_string(), "{limits}");
}

#[test]
fn the_program_is_alive_beside_a_flood_with_64_descriptors() {
    let exporter = with_descriptors("-n 64");
    exporter.tells("the limit of 64 open files allows only 4 connections per port");
    let mut slowest = Duration::ZERO;
    let connections = beside_flood([127, 0, 0, 1], &exporter.main, "/livez", 100, || {
        slowest = slowest_livez(&exporter);
    });
    println!("slowest /livez beside {connections} connections: {slowest:?}");
    assert!(slowest < SOON, "{slowest:?}");
    assert_eq!(exporter.log().lines().count(), 1, "{}", exporter.log());
}

#[test]
fn a_connection_without_a_descriptor_takes_that_of_the_quietest_one() {
    let idle = with_descriptors("-n 1024");
    let base = idle.own("process_open_fds").unwrap() as u32;
    drop(idle);
    // With the limit `base`, two descriptors are free: `base` counts a connection and a directory that are no longer
    // open. Each port may have four connections, so two descriptors are not sufficient.
    let exporter = with_descriptors(&format!("-n {base}"));
    let mut slowest = Duration::ZERO;
    beside_flood([127, 0, 0, 1], &exporter.main, "/livez", 100, || {
        slowest = slowest_livez(&exporter);
    });
    let failures = "kube_state_metrics_http_accept_failures_total{server=\"metrics\"}";
    let failures = exporter.own(failures).unwrap();
    println!("slowest /livez {slowest:?}, {failures} failures to accept");
    assert!(failures > 0.0);
    assert!(slowest < SOON, "{slowest:?}");
    let log = exporter.log();
    let lines = log.matches("cannot accept a connection").count();
    // Each of the two servers logs this line at most once per minute.
    assert!((1..=2).contains(&lines), "{log}");
}

#[test]
fn idle_clients_lose_their_descriptors_to_new_ones() {
    let idle = with_descriptors("-n 1024");
    let base = idle.own("process_open_fds").unwrap() as u32;
    drop(idle);
    // With the limit `base`, two descriptors are free: `base` counts a connection and a directory that are no longer
    // open.
    let exporter = with_descriptors(&format!("-n {base}"));
    let mut clients = Vec::new();
    for number in 0..12 {
        let mut stream = connect_from([127, 0, 0, 3], &exporter.main, SMALL).unwrap();
        let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = [0; 1024];
        let count = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(
            answer.starts_with("HTTP/1.1 200 OK"),
            "client {number}: {answer}"
        );
        // The client keeps all its connections open.
        clients.push(stream);
    }
    let failures = "kube_state_metrics_http_accept_failures_total{server=\"metrics\"}";
    let failures = exporter.own(failures).unwrap();
    assert!(failures > 0.0 && failures < 20.0, "{failures} failures");
}

/// Returns whether a scrape from this address gets the complete response.
fn scrape_from(ip: [u8; 4], exporter: &Exporter) -> bool {
    let mut stream = connect_from(ip, &exporter.main, SMALL).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    read.is_ok() && answer.ends_with(b"\r\n0\r\n\r\n")
}

#[test]
fn a_flood_of_stalled_scrapes_fails_no_scrape_of_another_peer() {
    let (_directory, exporter) = large(&[]);
    let flood = beside_flood([127, 0, 0, 3], &exporter.main, "/metrics", 100, || {
        let whole = (0..8).filter(|_| scrape_from([127, 0, 0, 2], &exporter));
        assert_eq!(whole.count(), 8, "scrapes failed");
    });
    println!("8 scrapes beside {flood} stalled ones");
    assert!(cut(&exporter, "made_room") > 0.0);
}

/// Returns an HTTP/2 frame.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

#[test]
fn floods_of_control_frames_are_cut_and_logged_once() {
    let exporter = Exporter::start(&[]);
    let cpu = exporter.cpu();
    let floods = [
        ("SETTINGS", frame(4, &[])),
        ("PING", frame(6, &[0; 8])),
        ("WINDOW_UPDATE", frame(8, &[0, 0, 0, 1])),
        ("PRIORITY", {
            let mut priority = frame(2, &[0, 0, 0, 0, 1]);
            priority[8] = 3;
            priority
        }),
    ];
    for (name, flood) in &floods {
        let mut stream = connect_from([127, 0, 0, 1], &exporter.main, SMALL).unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, &[]));
        stream.write_all(&bytes).unwrap();
        let flood = flood.repeat(100);
        let start = Instant::now();
        while stream.write_all(&flood).is_ok() {
            assert!(start.elapsed() < PATIENCE, "{name}: the flood has no limit");
        }
        closed(&mut stream);
    }
    assert_eq!(cut(&exporter, "frame_flood"), floods.len() as f64);
    exporter.tells("too many control frames for its requests");
    assert_eq!(exporter.log().lines().count(), 1, "{}", exporter.log());
    let cpu = exporter.cpu() - cpu;
    println!("processor time of {} floods: {cpu:?}", floods.len());
    assert!(cpu < Duration::from_secs(2), "{cpu:?}");
}

/// Returns the preface of HTTP/2, and eight requests for `/livez` with `fields` header fields each. The requests are on
/// the streams 1 to 15.
fn requests_with_fields(fields: usize) -> Vec<u8> {
    let mut headers = vec![0x82, 0x86, 0x04, 6];
    headers.extend(b"/livez");
    headers.extend([0x41, 1, b'x']);
    for field in 0..fields {
        let name = format!("x{field}");
        headers.extend([0, name.len() as u8]);
        headers.extend(name.bytes());
        headers.extend([1, b'y']);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, &[]));
    for stream in (1..=15).step_by(2) {
        bytes.push(0);
        bytes.extend((headers.len() as u16).to_be_bytes());
        bytes.extend([1, 5, 0, 0, 0, stream]);
        bytes.extend(&headers);
    }
    bytes
}

#[test]
fn a_flood_of_header_fields_takes_little_memory() {
    let exporter = Exporter::start(&[]);
    // The memory of the connections is in the first figure only, because the second flood uses it again.
    let [few, many] = [4, 400].map(|fields| {
        let before = exporter.memory();
        let bytes = requests_with_fields(fields);
        let mut streams: Vec<_> = (0..400)
            .map(|_| connect_from([127, 0, 0, 1], &exporter.main, None).unwrap())
            .collect();
        for stream in &mut streams {
            stream.write_all(&bytes).unwrap();
        }
        let start = Instant::now();
        let mut peak = 0;
        while start.elapsed() < Duration::from_secs(2) {
            peak = peak.max(exporter.memory());
            std::thread::sleep(Duration::from_millis(10));
        }
        peak.saturating_sub(before) >> 20
    });
    println!("memory of requests with 4 and 400 fields: {few} and {many} MiB");
    assert!(few < 100 && many < 25, "{few} and {many} MiB");
}

#[test]
fn frames_that_answer_nothing_fill_no_log() {
    let exporter = Exporter::start(&[]);
    for _ in 0..3 {
        let mut stream = connect_from([127, 0, 0, 1], &exporter.main, SMALL).unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, &[]));
        // These frames are below the limit on control frames. Each frame acknowledges a PING that nobody has sent.
        let mut acknowledgement = frame(6, &[7; 8]);
        acknowledgement[4] = 1;
        bytes.extend(acknowledgement.repeat(500));
        // Streams that the client opens and resets at once.
        for stream in (1..60_u8).step_by(2) {
            let mut headers = frame(1, &[0x82, 0x86, 0x84, 0x41, 1, b'x']);
            let mut reset = frame(3, &[0, 0, 0, 8]);
            (headers[4], headers[8], reset[8]) = (5, stream, stream);
            bytes.extend(headers.into_iter().chain(reset));
        }
        stream.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(exporter.get("/livez").status == 200);
    assert_eq!(exporter.log(), "");
}

#[test]
fn a_request_of_http_1_1_names_one_valid_host() {
    let exporter = Exporter::start(&[]);
    for (fields, status) in [
        ("HTTP/1.1\r\nhost: x", "200"),
        ("HTTP/1.0\r\nx: y", "200"),
        ("HTTP/1.1\r\nx: y", "400"),
        ("HTTP/1.1\r\nhost: x\r\nhost: x", "400"),
        ("HTTP/1.1\r\nhost: x/y", "400"),
    ] {
        let mut stream = TcpStream::connect(&exporter.main).unwrap();
        write!(stream, "GET /livez {fields}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{fields}: {answer}");
    }
}
