//! [`LineSplitter`]: splits a watch into lines while its bytes arrive.

use memchr::memchr;

use super::object_buffer::{append, recycle};
use super::split_error::SplitError;

/// Splits a watch into lines.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// The bytes of the incomplete line.
    line: Vec<u8>,
}

// === impl LineSplitter ===

impl LineSplitter {
    /// Takes the next bytes and calls `each` with every line that they complete, up to an error.
    ///
    /// Skips empty lines. A last line without a line break is incomplete, since the stream was cut.
    pub(super) fn feed<E: From<SplitError>>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                if !line.trim_ascii().is_empty() {
                    each(line)?;
                }
                continue;
            }
            append(&mut self.line, line)?;
            let blank = self.line.trim_ascii().is_empty();
            let result = if blank { Ok(()) } else { each(&self.line) };
            recycle(&mut self.line);
            result?;
        }
        Ok(append(&mut self.line, bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_the_same_however_their_bytes_arrive() {
        let text = "{\"a\":1}\n\n{\"b\":2}\r\n{\"cut";
        for size in 1..=text.len() {
            let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                let fed = splitter.feed(chunk, |line| {
                    lines.push(String::from_utf8_lossy(line).trim().to_owned());
                    Ok::<_, SplitError>(())
                });
                fed.unwrap();
            }
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
        }
    }
}
