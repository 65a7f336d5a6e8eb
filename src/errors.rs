//! Code that the error types of the crate share.

use std::fmt::Display;

/// Implements `Debug` as `Display` for error types.
///
/// Rust prints the `Debug` text when `main` returns an error or when a test unwraps it. With this
/// implementation, that text is the message that names the mistake and its cure.
macro_rules! debug_is_display {
    ($($error:ty),+ $(,)?) => {
        $(impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        })+
    };
}

pub(crate) use debug_is_display;

/// Maximum size of a message, in bytes. Messages of the API server and names of objects can have any length, and
/// appear in logs and in health reports.
pub(crate) const MAX_MESSAGE: usize = 1 << 10;

/// Truncates a message to about [`MAX_MESSAGE`] bytes. A truncated message ends with the number of its bytes.
pub(crate) fn shortened(mut message: String) -> String {
    let all = message.len();
    if all > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or_default());
        message = format!("{message}... ({all} bytes)");
    }
    message
}

/// Joins the problems of an error to its message, one line each.
pub(crate) fn one_per_line(problems: &[impl Display]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
