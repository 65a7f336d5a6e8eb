//! Limits how many HTTP/2 control frames a client may send.
//!
//! The *budget* of a connection is the number of control frames that its client may still send. Each frame reduces the
//! budget by its *cost*, which is usually 1. Time, responses and sent bytes increase the budget.
//!
//! [`FrameBudget`] reads the 9-byte header of each frame when its bytes arrive, and counts the frame. If the first
//! bytes are not those of HTTP/2, the connection uses HTTP/1 and has no frames.
//!
//! The budget also finds the end of each header block, which contains the header fields of a request. To decode a block
//! takes much more time and memory than its bytes suggest. So the connection must pause after each block.
//!
//! In addition, the budget reads the frames that change the flow control windows of streams (see [`WindowChange`]).

use std::time::Duration;

use tokio::time::Instant;

/// The bytes with which a client begins HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;

/// Number of control frames that a client may send at once. A normal client sends fewer than ten control frames when it
/// connects.
const BURST: u64 = 1_000;
/// Number of control frames that a client may send per second on average while no response makes progress.
const PER_SECOND: u64 = 100;
/// Number of control frames that each new response allows the client to send.
const PER_RESPONSE: u64 = 4;
/// Number of response bytes that the server must send before the client may send one more frame. A usual client sends
/// at most two `WINDOW_UPDATE` frames for each 4 KiB of a response: one for the stream, and one for the connection.
/// With this number, a client may send four times as many frames.
const BYTES_PER_FRAME: u64 = 512;
/// Maximum number of sent bytes that count later, because the budget is full when they are sent.
///
/// A client that decompresses slowly may read a large part of a response only after the server has sent the whole
/// response. The window updates of such a client arrive late, so the budget must still count these bytes.
const UNREAD: u64 = 64 << 20;

/// Cost of a frame that resets a request. This cost is higher than [`PER_RESPONSE`]. So if a client resets each of its
/// requests immediately, its budget is soon empty.
const RESET_COST: u64 = 8;
/// Number of payload bytes that increase the cost of a frame by 1.
const PAYLOAD_PER_COST: u64 = 256;

/// The bytes from the client that the budget has counted.
#[derive(Debug, PartialEq)]
pub(crate) struct Counted {
    /// The number of these bytes.
    pub(crate) bytes: usize,
    /// The stream of the header block that the last of these bytes ends. `None` if they end no header block.
    pub(crate) header_block: Option<u32>,
    /// The changes of windows in these bytes.
    pub(crate) windows: Vec<WindowChange>,
}

/// A frame of the client has changed how many bytes the server may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowChange {
    /// A stream has a larger window. Stream 0 stands for the whole connection.
    Widened { stream: u32, by: u32 },
    /// The window that each stream has at first. The windows of the open streams change by the same difference.
    Initial(u32),
}

/// The client has sent more frames than its budget allows.
#[derive(Debug)]
pub(crate) struct BudgetExceeded;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The size of one setting in a `SETTINGS` frame.
const SETTING: usize = 6;
/// The setting with the window that each stream has at first.
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// The budget of one connection, and the data to increase it.
pub(crate) struct FrameBudget {
    position: Position,
    left: u64,
    refilled: Instant,
    /// Sent bytes for which the budget has not been increased yet, at most [`UNREAD`].
    sent: u64,
    /// The number of responses for which the budget has already been increased.
    responses: u64,
}

/// The position of the next byte from the client: the preface, or the header or the payload of a frame.
enum Position {
    /// The preface. The field is the number of bytes of the preface that have arrived.
    Preface(usize),
    /// The header of a frame. The fields are the header and the number of its bytes that have arrived.
    Header([u8; FRAME_HEADER], usize),
    Payload(Payload),
    /// The connection does not use HTTP/2.
    NotHttp2,
}

/// The payload of a frame.
struct Payload {
    /// The type of the frame.
    kind: u8,
    stream: u32,
    /// The number of bytes of the payload that have not arrived yet.
    missing: usize,
    /// The start of the next entry: a setting, or the payload of `WINDOW_UPDATE`. The number counts its bytes.
    entry: ([u8; SETTING], usize),
}

/// What [`FrameBudget`] finds in the bytes from a client.
enum Event {
    /// The header of a frame is complete.
    Frame {
        cost: u64,
    },
    /// A frame that contains header fields of this stream is complete.
    EndOfHeaderBlock(u32),
    Window(WindowChange),
}

// === impl FrameBudget ===

impl FrameBudget {
    /// Returns the budget of a new connection.
    pub(crate) fn new() -> Self {
        Self {
            position: Position::Preface(0),
            left: BURST,
            refilled: Instant::now(),
            sent: 0,
            responses: 0,
        }
    }

    /// Records that bytes were sent to the client.
    pub(crate) fn record_sent(&mut self, bytes: usize) {
        if !matches!(self.position, Position::NotHttp2) {
            self.sent = (self.sent + bytes as u64).min(UNREAD);
        }
    }

    /// Counts the frames in bytes from the client, up to the end of the first header block. If no header block ends in
    /// the bytes, counts all of them. `responses` is the number of responses that have begun so far.
    ///
    /// The function subtracts the cost of each frame separately, because one read can contain more frames than
    /// [`BURST`].
    pub(crate) fn record_received(
        &mut self,
        bytes: &[u8],
        responses: u64,
    ) -> Result<Counted, BudgetExceeded> {
        let (mut rest, mut windows) = (bytes, Vec::new());
        let header_block = loop {
            match self.next_event(&mut rest) {
                Some(Event::Frame { cost }) if !self.pay(cost, responses) => {
                    return Err(BudgetExceeded);
                }
                Some(Event::Frame { .. }) => {}
                Some(Event::Window(change)) => windows.push(change),
                Some(Event::EndOfHeaderBlock(stream)) => break Some(stream),
                None => break None,
            }
        };
        Ok(Counted {
            bytes: bytes.len() - rest.len(),
            header_block,
            windows,
        })
    }

    /// Subtracts the cost of a frame. Returns `false` if the budget is too small.
    fn pay(&mut self, cost: u64, responses: u64) -> bool {
        if cost > self.left {
            self.refill(responses);
        }
        let suffices = cost <= self.left;
        self.left = self.left.saturating_sub(cost);
        suffices
    }

    /// Increases the budget for the time since the last call, and for the responses and the sent bytes since then.
    ///
    /// The budget never exceeds [`BURST`]. If the time and the responses allow more frames than that, the function
    /// ignores the excess. If sent bytes do not fit into the budget, later calls count these bytes.
    fn refill(&mut self, responses: u64) {
        let elapsed = self.refilled.elapsed();
        let by_time = elapsed.as_millis() as u64 * PER_SECOND / 1_000;
        if by_time > 0 {
            self.refilled += elapsed.min(Duration::from_millis(by_time * 1_000 / PER_SECOND));
        }
        let by_responses = (responses - self.responses) * PER_RESPONSE;
        self.responses = responses;
        self.left = (self.left + by_time + by_responses).min(BURST);
        let by_bytes = (self.sent / BYTES_PER_FRAME).min(BURST - self.left);
        self.sent -= by_bytes * BYTES_PER_FRAME;
        self.left += by_bytes;
    }

    /// Reads `bytes` up to the next event. `bytes` then begins after the last byte of this event. Returns `None` if the
    /// bytes contain no further event.
    fn next_event(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        while !bytes.is_empty() {
            match &mut self.position {
                Position::NotHttp2 => {
                    *bytes = &[];
                    break;
                }
                Position::Preface(arrived) => {
                    let missing = &PREFACE[*arrived..];
                    let count = missing.len().min(bytes.len());
                    if bytes[..count] != missing[..count] {
                        self.position = Position::NotHttp2;
                        continue;
                    }
                    *bytes = &bytes[count..];
                    *arrived += count;
                    if *arrived == PREFACE.len() {
                        self.position = Position::FRAME;
                    }
                }
                Position::Header(header, arrived) => {
                    let count = (FRAME_HEADER - *arrived).min(bytes.len());
                    header[*arrived..*arrived + count].copy_from_slice(&bytes[..count]);
                    *bytes = &bytes[count..];
                    *arrived += count;
                    if *arrived == FRAME_HEADER {
                        let [a, b, c, kind, _, stream @ ..] = *header;
                        let length = u32::from_be_bytes([0, a, b, c]) as usize;
                        self.position = match length {
                            0 => Position::FRAME,
                            missing => Position::Payload(Payload {
                                kind,
                                stream: without_reserved_bit(stream),
                                missing,
                                entry: ([0; SETTING], 0),
                            }),
                        };
                        let cost = frame_cost(kind, length as u64);
                        return Some(Event::Frame { cost });
                    }
                }
                Position::Payload(payload) => {
                    let event = payload.next_event(bytes);
                    if payload.missing == 0 {
                        self.position = Position::FRAME;
                    }
                    if event.is_some() {
                        return event;
                    }
                }
            }
        }
        None
    }
}

// === impl Position ===

impl Position {
    /// The start of a frame.
    const FRAME: Self = Self::Header([0; FRAME_HEADER], 0);
}

// === impl Payload ===

impl Payload {
    /// Reads `bytes` up to the next event, at most up to the end of the payload.
    fn next_event(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        let entry_size = match self.kind {
            SETTINGS => SETTING,
            WINDOW_UPDATE => 4,
            kind => {
                self.take(bytes, self.missing);
                // A block may continue in further frames. The end of each of these frames counts as an end.
                let is_end = self.missing == 0 && matches!(kind, HEADERS | CONTINUATION);
                return is_end.then_some(Event::EndOfHeaderBlock(self.stream));
            }
        };
        let filled = self.entry.1;
        let part = self.take(bytes, entry_size - filled);
        self.entry.0[filled..filled + part.len()].copy_from_slice(part);
        self.entry.1 += part.len();
        if self.entry.1 < entry_size {
            return None;
        }
        self.entry.1 = 0;
        let [a, b, c, d, e, f] = self.entry.0;
        let change = match self.kind {
            WINDOW_UPDATE => WindowChange::Widened {
                stream: self.stream,
                by: without_reserved_bit([a, b, c, d]),
            },
            _ if [a, b] == INITIAL_WINDOW_SIZE => {
                WindowChange::Initial(without_reserved_bit([c, d, e, f]))
            }
            _ => return None,
        };
        Some(Event::Window(change))
    }

    /// Takes at most `most` bytes of the payload.
    fn take<'a>(&mut self, bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
        let count = most.min(self.missing).min(bytes.len());
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        self.missing -= count;
        taken
    }
}

/// Streams and windows are numbers of 31 bits. The first bit has no meaning.
fn without_reserved_bit(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & (u32::MAX >> 1)
}

/// The cost of a frame. `length` is the length of the payload, which the header of the frame states.
fn frame_cost(kind: u8, length: u64) -> u64 {
    match kind {
        // Large DATA frames cost nothing, because the flow control of HTTP/2 already limits their number.
        DATA if length >= PAYLOAD_PER_COST => 0,
        DATA | HEADERS | CONTINUATION => 1,
        RST_STREAM => RESET_COST,
        _ => 1 + length / PAYLOAD_PER_COST,
    }
}

#[cfg(test)]
mod tests;
