//! A queue of lines that a separate thread writes. If no process reads the output, only this thread blocks.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

/// The maximum size of a queue. The line that the thread is writing counts, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) lines: usize,
    /// The maximum sum of the lengths of the lines. If the queue is empty, a single line may be longer.
    pub(super) bytes: usize,
}

/// A queue of lines. The method `push` adds a line and never blocks. If the queue is full, further lines are dropped
/// and counted.
#[derive(Clone, Debug)]
pub(super) struct LineQueue {
    shared: Arc<Shared>,
    limits: Limits,
    /// The counter of dropped lines. Several queues may share this counter.
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a line is added, and when the thread has written a line.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The queued lines. The oldest line comes first.
    lines: VecDeque<Vec<u8>>,
    /// The size of the queued lines and of the line that the thread is writing.
    bytes: usize,
    /// Whether the thread is writing a line or reporting dropped lines.
    is_writing: bool,
    /// The number of dropped lines that are not reported yet.
    unreported: u64,
}

/// What the thread of a queue does next.
enum Step {
    Write(Vec<u8>),
    /// The thread reports this number of dropped lines.
    Report(u64),
}

// === impl LineQueue ===

impl LineQueue {
    /// Creates a queue and starts the thread that writes its lines to an output. The thread ignores errors of the
    /// output. If lines were dropped, the thread calls `report` with their number after it has written all queued
    /// lines.
    ///
    /// # Errors
    ///
    /// The function fails if the system cannot create the thread.
    pub(super) fn start(
        name: &str,
        output: impl Write + Send + 'static,
        limits: Limits,
        dropped: IntCounter,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let queue = Self {
            shared: Arc::clone(&shared),
            limits,
            dropped,
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.write_lines(output, report))?;
        Ok(queue)
    }

    /// Adds a line. If the queue is full, drops the line and counts it.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.shared.state.lock();
        if state.has_space(line.len(), self.limits) {
            self.shared.add(&mut state, line);
        } else {
            state.unreported += 1;
            self.dropped.inc();
        }
    }

    /// Adds the last line of the program, even if the queue is full.
    pub(super) fn push_last(&self, line: Vec<u8>) {
        self.shared.add(&mut self.shared.state.lock(), line);
    }

    /// Waits until all lines are written and all dropped lines are reported, or until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        let mut state = self.shared.state.lock();
        self.shared
            .changed
            .wait_while_until(&mut state, |state| !state.is_idle(), deadline);
    }
}

impl Write for LineQueue {
    /// Adds a line to the queue. The caller must write a whole line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn add(&self, state: &mut State, line: Vec<u8>) {
        state.bytes += line.len();
        state.lines.push_back(line);
        self.changed.notify_all();
    }

    /// Runs the thread of the queue: writes lines until the process ends.
    fn write_lines(&self, mut output: impl Write, report: impl Fn(u64)) {
        loop {
            let written = match self.next() {
                Step::Write(line) => {
                    // The result is ignored, because a closed output is not a problem.
                    let _ = output.write_all(&line).and_then(|()| output.flush());
                    line.len()
                }
                Step::Report(lines) => {
                    report(lines);
                    0
                }
            };
            let mut state = self.state.lock();
            state.bytes -= written;
            state.is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for the next step of the thread. The thread reports dropped lines only when the queue is empty, so that a
    /// slow output causes few reports.
    fn next(&self) -> Step {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.is_idle());
        state.is_writing = true;
        match state.lines.pop_front() {
            Some(line) => Step::Write(line),
            None => Step::Report(std::mem::take(&mut state.unreported)),
        }
    }
}

// === impl State ===

impl State {
    fn has_space(&self, length: usize, limits: Limits) -> bool {
        let lines = self.lines.len() + usize::from(self.is_writing);
        lines < limits.lines && (self.bytes == 0 || self.bytes + length <= limits.bytes)
    }

    fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.is_writing && self.unreported == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// The maximum time for which a test waits for a line.
    const PATIENCE: Duration = Duration::from_secs(60);
    const MANY: Limits = Limits {
        lines: 10_000,
        bytes: 1 << 20,
    };

    /// An output that waits for a permit before each write. If the sender of permits is dropped, the output no longer
    /// waits.
    struct Gate {
        permits: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.permits.recv();
            let _ = self.written.send(String::from_utf8(line.to_vec()).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns a queue, a sender and a receiver. The output of the queue is blocked until the sender is dropped. The
    /// receiver receives the written lines and the reports.
    fn blocked(limits: Limits) -> (LineQueue, Sender<()>, Receiver<String>) {
        let (open, permits) = channel();
        let (written, lines) = channel();
        let reports = written.clone();
        let dropped = IntCounter::new("dropped_total", "Dropped lines.").unwrap();
        let report = move |count| {
            let _ = reports.send(format!("{count} dropped"));
        };
        let gate = Gate { permits, written };
        let queue = LineQueue::start("log", gate, limits, dropped, report).unwrap();
        (queue, open, lines)
    }

    fn push(queue: &LineQueue, lines: &[&str]) {
        for line in lines {
            queue.push(line.as_bytes().to_vec());
        }
    }

    #[test]
    fn a_flush_waits_until_all_lines_are_written_in_order() {
        let (queue, open, lines) = blocked(MANY);
        let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        for line in &expected {
            push(&queue, &[line]);
        }
        drop(open);
        queue.flush(Instant::now() + PATIENCE);
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), expected);
        assert_eq!(queue.dropped.get(), 0);
    }

    #[test]
    fn a_full_queue_drops_and_counts_lines_and_reports_them_once() {
        let two = Limits { lines: 2, ..MANY };
        let (queue, open, lines) = blocked(two);
        push(&queue, &["a", "b", "c", "d", "e"]);
        assert_eq!(queue.dropped.get(), 3);
        queue.push_last(b"last".to_vec());
        drop(open);
        queue.flush(Instant::now() + PATIENCE);
        let written: Vec<_> = lines.try_iter().collect();
        assert_eq!(written, ["a", "b", "last", "3 dropped"]);
        push(&queue, &["f"]);
        queue.flush(Instant::now() + PATIENCE);
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["f"]);
        assert_eq!(queue.dropped.get(), 3);
    }

    #[test]
    fn bytes_are_limited_but_a_single_line_may_be_longer() {
        let four = Limits { bytes: 4, ..MANY };
        let (queue, open, lines) = blocked(four);
        push(&queue, &["longer", "a"]);
        assert_eq!(queue.dropped.get(), 1);
        open.send(()).unwrap();
        queue.flush(Instant::now() + PATIENCE);
        push(&queue, &["ab", "cd", "e"]);
        assert_eq!(queue.dropped.get(), 2);
        drop(open);
        queue.flush(Instant::now() + PATIENCE);
        let written: Vec<_> = lines.try_iter().collect();
        assert_eq!(written, ["longer", "1 dropped", "ab", "cd", "1 dropped"]);
    }

    #[test]
    fn a_flush_ends_at_its_deadline_if_the_output_is_blocked() {
        let (queue, open, lines) = blocked(MANY);
        push(&queue, &["a"]);
        let deadline = Instant::now() + Duration::from_millis(50);
        queue.flush(deadline);
        assert!(Instant::now() >= deadline);
        assert!(lines.try_recv().is_err());
        drop(open);
    }
}
