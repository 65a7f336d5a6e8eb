//! [`Nesting`]: the position in a JSON text that arrives in chunks.

use memchr::memchr2;

/// The position in a JSON text: the depth of nesting, and whether the position is in a string.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    pub(super) depth: usize,
    pub(super) in_string: bool,
    /// Whether the next byte belongs to an escape sequence.
    escaped: bool,
}

// === impl Nesting ===

impl Nesting {
    /// Whether the position is at this depth and not in a string.
    pub(super) fn is_at(&self, depth: usize) -> bool {
        self.depth == depth && !self.in_string
    }

    /// Whether `byte` is allowed at this position of a response that is one JSON object.
    pub(super) fn is_in_value(&self, byte: u8) -> bool {
        self.depth > 0 || byte == b'{' || byte.is_ascii_whitespace()
    }

    /// Updates the position for the next byte of the text, `byte`.
    pub(super) fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Returns the offset of the first byte after the value that began at depth 0. Returns `None` if the value does not
    /// end in `bytes`.
    pub(super) fn end_of_value(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.in_string {
                let rest = bytes.get(at..)?;
                if self.escaped {
                    rest.first()?;
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let found = memchr2(b'"', b'\\', rest)?;
                at += found + 1;
                match rest.get(found) {
                    Some(b'"') => self.in_string = false,
                    _ => self.escaped = true,
                }
                continue;
            }
            let rest = bytes.get(at..)?;
            let found =
                (rest.iter()).position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
            self.step(rest.get(found).copied().unwrap_or_default());
            at += found + 1;
            if self.depth == 0 && !self.in_string {
                return Some(at);
            }
        }
    }
}
