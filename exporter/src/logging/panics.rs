//! Adds messages about panics to the log queue. Without this module, the standard library would write these messages
//! directly, and block if no process reads standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::queue::LineQueue;

/// The hint that the standard library writes after the first message.
const HINT: &str =
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

/// The text of the panic of the runtime if the system creates no thread.
const NO_THREAD: &str = "OS can't spawn worker thread";

/// The message about this panic.
const NO_THREAD_ERROR: &str = "Error: the system creates no thread; raise the limits on processes and threads of the exporter\n";

/// Sets a panic hook that adds a message to `queue`. The message has the same text as the message of the standard
/// library. If the system creates no thread for the runtime, the hook ends the program. Before that, it waits up to
/// `flush` until the lines are written.
pub(super) fn add_to(queue: LineQueue, flush: Duration) {
    let has_hinted = AtomicBool::new(false);
    panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let end = if backtrace.status() == BacktraceStatus::Captured {
            format!("stack backtrace:\n{backtrace}")
        } else if has_hinted.swap(true, Ordering::Relaxed) {
            String::new()
        } else {
            HINT.to_owned()
        };
        let message = message(thread::current().name(), panic, &end);
        let is_without_thread = message.contains(NO_THREAD);
        queue.push(message.into_bytes());
        if is_without_thread {
            // During the start of the runtime, this panic would wait forever for the threads that have started.
            queue.push_last(NO_THREAD_ERROR.to_owned().into_bytes());
            queue.flush(Instant::now() + flush);
            std::process::exit(1);
        }
    }));
}

fn message(thread: Option<&str>, panic: impl Display, end: &str) -> String {
    let thread = thread.unwrap_or("<unnamed>");
    format!("\nthread '{thread}' {panic}\n{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_that_of_the_standard_library() {
        let panic = "panicked at src/a.rs:1:2:\nno value";
        let expected = "\nthread 'main' panicked at src/a.rs:1:2:\nno value\n";
        assert_eq!(message(Some("main"), panic, ""), expected);
        let hinted = message(None, panic, HINT);
        assert!(hinted.starts_with("\nthread '<unnamed>' panicked at "));
        assert!(hinted.ends_with(&format!("no value\n{HINT}")), "{hinted}");
    }
}
