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

/// Longer messages are cut: an API server chooses the length of its messages and of the names in objects, and
/// logs and health have them.
pub(crate) const MAX_MESSAGE: usize = 1 << 10;

/// A message of at most about [`MAX_MESSAGE`] bytes. One that is cut ends with the number of all its bytes.
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

/// The message of an error that consists of several problems: one line for each of them.
pub(crate) fn one_per_line(problems: &[impl Display]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
