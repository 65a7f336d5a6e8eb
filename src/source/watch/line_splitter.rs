//! [`LineSplitter`]: splits a watch into lines while its bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;

use super::buffer_budget::BufferBudget;
use super::oversized::Part;
use super::part_buffer::PartBuffer;

/// Splits a watch into lines.
#[derive(Debug)]
pub(super) struct LineSplitter {
    /// The incomplete line.
    line: PartBuffer,
}

// === impl LineSplitter ===

impl LineSplitter {
    pub(super) fn new(budget: &Arc<BufferBudget>) -> Self {
        let line = PartBuffer::of_lines(budget);
        Self { line }
    }

    /// Whether the last line is incomplete.
    pub(super) fn is_in_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Waits until there is memory for `more` bytes. Returns how long the feed waited for other feeds.
    pub(super) async fn make_room(&mut self, more: usize) -> Duration {
        self.line.make_room(more).await
    }

    /// Accepts the next bytes, and calls `each` with every line that they complete, until an error.
    ///
    /// Skips empty lines. A last line without a line break is incomplete, because the stream was truncated.
    pub(super) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            self.line.end(line, |part| match part {
                Part::Whole(line) if line.trim_ascii().is_empty() => Ok(()),
                part => each(part),
            })?;
        }
        self.line.append(bytes);
        Ok(())
    }

    /// Releases the memory of handled lines. A line that is handled later needs memory until then.
    pub(super) fn settle(&mut self) {
        self.line.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer_budget::ENVELOPE;
    use super::super::object_buffer::ObjectBuffer;
    use super::super::oversized::OversizedObject;
    use super::*;
    use std::convert::Infallible;

    fn lines(text: &str, size: usize, limit: Option<usize>) -> Vec<String> {
        let budget = Arc::new(BufferBudget::new(None, None));
        let line = ObjectBuffer::new(&budget, limit);
        let line = PartBuffer::new(line, OversizedObject::of_line);
        let mut splitter = LineSplitter { line };
        let mut lines = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            let fed = splitter.feed(chunk, |part| {
                lines.push(match part {
                    Part::Whole(line) => String::from_utf8_lossy(line).trim().to_owned(),
                    Part::Oversized(object) => format!("oversized {object}"),
                });
                Ok::<_, Infallible>(())
            });
            fed.unwrap();
            let limit = limit.unwrap_or(usize::MAX);
            assert!(splitter.line.bytes().len() <= limit);
        }
        assert_eq!(splitter.is_in_line(), !text.ends_with('\n'));
        drop(splitter);
        assert_eq!(budget.figures().bytes, 0);
        lines
    }

    #[test]
    fn lines_are_cut_the_same_however_their_bytes_arrive() {
        let text = "{\"a\":1}\n\n{\"b\":2}\r\n{\"cut";
        for size in 1..=text.len() {
            let lines = lines(text, size, None);
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
        }
    }

    #[test]
    fn a_line_above_the_limit_is_skipped_however_its_bytes_arrive() {
        let long = "x".repeat(200);
        let named = r#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"b"},"#;
        let text = format!("{{\"a\":1}}\n{named}\"d\":\"{long}\"}}}}\n{{\"b\":2}}\n{long}\n");
        for size in 1..=text.len() {
            let lines = lines(&text, size, Some(150));
            let expected = [
                "{\"a\":1}",
                "oversized b/a",
                "{\"b\":2}",
                "oversized <unnamed>",
            ];
            assert_eq!(lines, expected, "chunks of {size}");
        }
    }

    #[test]
    fn an_oversized_line_is_named_if_its_name_is_within_the_limit() {
        let start = r#"{"type":"ADDED","object":{"metadata":{"name":"abcdefgh","namespace":"b""#;
        let text = format!("{start},\"d\":\"{}\"}}}}\n", "x".repeat(200));
        for size in 1..=text.len() {
            let lines = lines(&text, size, Some(start.len()));
            assert_eq!(lines, ["oversized b/abcdefgh"], "chunks of {size}");
        }
    }

    #[test]
    fn a_line_may_be_larger_than_its_object() {
        for (limit, line) in [(1, 64 << 10), (1 << 20, (1 << 20) + ENVELOPE)] {
            let budget = Arc::new(BufferBudget::new(None, Some(limit)));
            for (size, is_whole) in [(line, true), (line + 1, false)] {
                let mut text = vec![b'x'; size];
                text.push(b'\n');
                let fed = LineSplitter::new(&budget).feed(&text, |part| {
                    assert_eq!(matches!(part, Part::Whole(_)), is_whole, "{size}");
                    Err(())
                });
                assert_eq!(fed, Err(()), "there was a line");
            }
        }
    }
}
