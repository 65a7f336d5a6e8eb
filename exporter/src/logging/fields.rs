//! [`VisibleFields`]: formats the message and the fields of a log line in the text format. No value of a field can
//! control a terminal.

use std::fmt;
use std::mem;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::humanize::is_visible;

/// Formats fields like the default of `tracing_subscriber`, but with escapes in each value. The default escapes control
/// characters only in the message. In its output, nothing distinguishes its color codes from color codes in a value.
#[derive(Debug)]
pub(super) struct VisibleFields;

struct Visitor<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

// === impl VisibleFields ===

impl<'w> FormatFields<'w> for VisibleFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

// === impl Visitor ===

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_err() {
            return;
        }
        let value = escaped(&format!("{value:?}"));
        let separator = if mem::take(&mut self.is_first) {
            ""
        } else {
            " "
        };
        let name = field.name();
        let writer = &mut self.writer;
        self.result = if name == "message" {
            write!(writer, "{separator}{value}")
        } else if writer.has_ansi_escapes() {
            write!(
                writer,
                "{separator}\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"
            )
        } else {
            write!(writer, "{separator}{name}={value}")
        };
    }
}

/// Replaces characters that are not visible by escapes, such as `\u{1b}` or `\n`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_visible(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_default());
        }
    }
    escaped
}
