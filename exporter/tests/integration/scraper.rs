//! A scraper for tests. It scrapes all replicas at the same time, again and again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::support::Exporter;

/// Scrapes replicas in a thread, until the test ends the scraper.
pub struct Scraper {
    replicas: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: thread::JoinHandle<Report>,
}

/// The results of a scraper.
pub struct Report {
    pub scrapes: u32,
    pub problems: Vec<String>,
}

/// The time between two scrapes.
const INTERVAL: Duration = Duration::from_millis(200);

impl Scraper {
    /// Starts a scraper that has no replicas yet. After each scrape, `check` gets the responses of all replicas. If
    /// `check` finds a problem, it returns the problem.
    pub fn start(check: impl Fn(&[String]) -> Option<String> + Send + 'static) -> Self {
        let replicas = Arc::<Mutex<Vec<String>>>::default();
        let ends = Arc::<AtomicBool>::default();
        let (own, end) = (Arc::clone(&replicas), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            let (mut scrapes, mut problems) = (0, Vec::new());
            let start = Instant::now();
            while !end.load(Ordering::Relaxed) {
                let next = start + INTERVAL * (scrapes + 1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                scrapes += 1;
                let replicas = own.lock().unwrap().clone();
                if replicas.is_empty() {
                    continue;
                }
                if let Some(problem) = check(&scrape(&replicas)) {
                    problems.push(format!("{:?}: {problem}", start.elapsed()));
                }
            }
            Report { scrapes, problems }
        });
        Self {
            replicas,
            ends,
            thread,
        }
    }

    pub fn add(&self, replica: &Exporter) {
        self.replicas.lock().unwrap().push(replica.main.clone());
    }

    pub fn remove(&self, replica: &Exporter) {
        let mut replicas = self.replicas.lock().unwrap();
        replicas.retain(|own| *own != replica.main);
    }

    pub fn end(self) -> Report {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Returns the responses of all replicas. The function sends all requests before it reads the first response. A replica
/// that is stopping may have an empty response.
fn scrape(replicas: &[String]) -> Vec<String> {
    let streams: Vec<_> = replicas.iter().map(TcpStream::connect).collect();
    let request = b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let sent: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let mut stream = stream.ok()?;
            stream.write_all(request).ok()?;
            Some(stream)
        })
        .collect();
    let read = sent.into_iter().map(|stream| {
        let mut text = String::new();
        let _ = stream.map(|mut stream| stream.read_to_string(&mut text));
        text
    });
    read.collect()
}
