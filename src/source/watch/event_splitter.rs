//! [`EventSplitter`]: splits the response of a watch, in JSON or protobuf, into events while its bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use kube_protobuf::FrameReader;
use memchr::memchr;

use super::buffer_budget::{BufferBudget, HeldTooLong};
use super::oversized::Part;
use super::part_buffer::PartBuffer;
use crate::decode::Encoding;

/// Splits the response of a watch into events while its bytes arrive.
#[derive(Debug)]
pub(super) struct EventSplitter {
    bounds: Bounds,
    /// The incomplete event.
    event: PartBuffer,
}

/// How events are separated from each other.
#[derive(Debug)]
enum Bounds {
    /// In JSON: by a line break after each event.
    Lines,
    /// In protobuf: by the length before each event.
    Frames(FrameReader),
}

// === impl EventSplitter ===

impl EventSplitter {
    pub(super) fn new(encoding: Encoding, budget: &Arc<BufferBudget>) -> Self {
        Self {
            bounds: match encoding {
                Encoding::Json => Bounds::Lines,
                Encoding::Protobuf(_) => Bounds::Frames(FrameReader::default()),
            },
            event: PartBuffer::of_events(encoding, budget),
        }
    }

    /// Whether a part of an event has arrived, but not its end.
    pub(super) fn is_in_event(&self) -> bool {
        match &self.bounds {
            Bounds::Lines => !self.event.is_empty(),
            Bounds::Frames(frames) => frames.is_in_frame(),
        }
    }

    /// Waits until there is memory for `more` bytes. Returns how long the feed waited for other feeds.
    pub(super) async fn make_room(&mut self, more: usize) -> Result<Duration, HeldTooLong> {
        self.event.make_room(more).await
    }

    /// Waits until the feed must fail: it has been reading this event for too long, and another feed has been waiting
    /// for memory for too long.
    pub(super) async fn read_too_long(&self) -> HeldTooLong {
        self.event.read_too_long().await
    }

    /// Accepts the next bytes, and calls `each` with every event that these bytes complete. Stops at the first error.
    pub(super) fn feed<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let event = &mut self.event;
        match &mut self.bounds {
            Bounds::Lines => feed_lines(bytes, event, each),
            Bounds::Frames(frames) => frames.feed(bytes, |piece| match piece.left {
                0 => event.end(piece.bytes, &mut each),
                _ => {
                    event.append(piece.bytes);
                    Ok(())
                }
            }),
        }
    }

    /// Releases the memory of the events that were passed to `each`. The bytes of an incomplete event are kept.
    pub(super) fn settle(&mut self) {
        self.event.settle();
    }
}

/// Calls `each` with every complete line that is not empty. An incomplete line stays in the buffer until its line break
/// arrives.
fn feed_lines<E>(
    mut bytes: &[u8],
    line: &mut PartBuffer,
    mut each: impl FnMut(Part<'_>) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(end) = memchr(b'\n', bytes) {
        let (last, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        bytes = rest.get(1..).unwrap_or_default();
        line.end(last, |part| match part {
            Part::Whole(line) if line.trim_ascii().is_empty() => Ok(()),
            part => each(part),
        })?;
    }
    line.append(bytes);
    Ok(())
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
        let mut splitter = EventSplitter {
            bounds: Bounds::Lines,
            event: PartBuffer::new(line, Encoding::Json, OversizedObject::of_event),
        };
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
            assert!(splitter.event.bytes().len() <= limit);
        }
        assert_eq!(splitter.is_in_event(), !text.ends_with('\n'));
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
                let fed = EventSplitter::new(Encoding::Json, &budget).feed(&text, |part| {
                    assert_eq!(matches!(part, Part::Whole(_)), is_whole, "{size}");
                    Err(())
                });
                assert_eq!(fed, Err(()), "there was a line");
            }
        }
    }

    fn frames(bytes: &[u8], size: usize, limit: usize) -> Vec<String> {
        let budget = Arc::new(BufferBudget::new(None, None));
        let frame = ObjectBuffer::new(&budget, Some(limit));
        let encoding = Encoding::Protobuf(kube_protobuf::message_of("v1", "Node").unwrap());
        let mut splitter = EventSplitter {
            bounds: Bounds::Frames(FrameReader::default()),
            event: PartBuffer::new(frame, encoding, OversizedObject::of_event),
        };
        let mut frames = Vec::new();
        for chunk in bytes.chunks(size) {
            let fed = splitter.feed(chunk, |part| {
                frames.push(match part {
                    Part::Whole(frame) => format!("{} bytes", frame.len()),
                    Part::Oversized(object) => format!("oversized {object} {:?}", object.event),
                });
                Ok::<_, Infallible>(())
            });
            fed.unwrap();
            assert!(splitter.event.bytes().len() <= limit);
        }
        assert!(!splitter.is_in_event());
        // A frame begins with its length. A large length alone reserves no memory; only the bytes that arrive need
        // memory.
        let fed = splitter.feed(b"\xff\xff\xff\xff\x0a", |_| Err(()));
        assert!(fed.is_ok() && splitter.is_in_event());
        splitter.settle();
        assert!(budget.figures().bytes <= 16 << 10);
        frames
    }

    #[test]
    fn a_frame_above_the_limit_is_skipped_however_its_bytes_arrive() {
        let node = |id: String| {
            let node = serde_json::json!({
                "apiVersion": "v1", "kind": "Node", "metadata": { "name": "a" },
                "spec": { "providerID": id },
            });
            kube_protobuf::encode::object(&node).unwrap().unwrap()
        };
        let event =
            |id: usize| kube_protobuf::encode::watch_event("MODIFIED", &node("x".repeat(id)));
        let (small, large) = (event(1), event(300));
        let bytes = [&small[..], &large, b"\0\0\0\0", &small].concat();
        let small = format!("{} bytes", small.len() - 4);
        for size in 1..=bytes.len() {
            let frames = frames(&bytes, size, 150);
            let expected = [&*small, "oversized a Some(Modified)", "0 bytes", &small];
            assert_eq!(frames, expected, "chunks of {size}");
        }
    }
}
