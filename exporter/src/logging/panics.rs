//! Adds messages about panics to the log queue. Without this module, the standard library would write these messages
//! directly, and block if no process reads standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::queue::LineQueue;

/// The hint that the standard library writes after the first message.
const HINT: &str =
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

/// Sets a panic hook that adds a message to `queue`. The message has the same text as the message of the standard
/// library.
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
