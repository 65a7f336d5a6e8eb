//! Tests the exporter while no process reads its standard error, for example because the container runtime no longer
//! reads logs.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::support::{Directory, Exporter, PATIENCE, config_map, eventually, run};

/// The maximum time between SIGTERM and the end of the exporter.
const END: Duration = Duration::from_secs(5);
const DROPPED: &str = "kube_state_metrics_dropped_log_lines_total";

/// Returns a pipe that stays full until the test reads it.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // The thread ends when the test has read these bytes, or has dropped the reader.
    std::thread::spawn(move || filler.write_all(&vec![b'\n'; 1 << 20]));
    (reader, writer)
}

/// Opens connections, and sends an invalid request on each connection. With `-v=5`, the exporter logs a line for each
/// of these connections.
fn fail_connections(address: &str, count: usize) {
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(b"no request\r\n\r\n");
    }
}

/// Returns the number of dropped lines that a log line reports.
fn reported_lines(line: &str) -> Option<f64> {
    let (start, _) = line.split_once(" log lines were dropped, because standard error")?;
    let (_, count) = start.rsplit_once(' ')?;
    count.parse().ok()
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (reader, writer) = full_pipe();
    let directory = Directory::new("blocked-log");
    directory.write("first.yaml", &config_map("a", "first"));
    let mut exporter = Exporter::with_stderr(&["--manifests", directory.str(), "-v=5"], writer);
    // The exporter logs a line for each reload of the manifests.
    for name in ["second", "third", "fourth"] {
        directory.write(&format!("{name}.yaml"), &config_map("a", name));
        let series = format!("configmap=\"{name}\"");
        eventually("the object has metrics", || {
            exporter.metrics("").contains(&series).then_some(())
        });
    }
    fail_connections(&exporter.main, 100);
    for path in ["/livez", "/readyz", "/"] {
        assert_eq!(exporter.get(path).status, 200, "{path}");
    }
    assert_eq!(exporter.own(DROPPED), Some(0.0));
    exporter.signal("TERM");
    let signaled = Instant::now();
    assert!(exporter.wait().success());
    let took = signaled.elapsed();
    assert!(took < END, "{took:?}");
    drop(reader);
}

#[test]
fn dropped_lines_are_counted_and_reported_when_the_log_is_read_again() {
    let (reader, writer) = full_pipe();
    let directory = Directory::new("dropped-lines");
    directory.write("first.yaml", &config_map("a", "first"));
    let exporter = Exporter::with_stderr(&["--manifests", directory.str(), "-v=5"], writer);
    eventually("lines are dropped", || {
        fail_connections(&exporter.main, 500);
        exporter.own(DROPPED).filter(|&lines| lines > 0.0)
    });
    assert_eq!(exporter.get("/livez").status, 200);
    let (reported, report) = channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        reported.send(lines.find_map(|line| reported_lines(&line)))
    });
    let report = report.recv_timeout(PATIENCE).unwrap().unwrap();
    let counted = exporter.own(DROPPED).unwrap();
    assert!(report > 0.0 && report <= counted, "{report} of {counted}");
}

#[test]
fn an_error_at_the_start_comes_after_all_log_lines() {
    let output = run(&["--port=0", "--manifests=/nonexistent/ä", "-v=5"], "");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("Error: "), "{output:?}");
}
