//! Messages about panics, as lines of the log queue. The standard library writes its message directly, and would wait
//! if no process reads standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::queue::LineQueue;

/// The hint of the standard library, after the first message.
const HINT: &str =
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

/// Adds the message of each panic to a queue, with the text of the standard library.
pub(super) fn add_to(queue: LineQueue) {
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
        queue.push(message(thread::current().name(), panic, &end).into_bytes());
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
