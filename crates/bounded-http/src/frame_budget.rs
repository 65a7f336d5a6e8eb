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
    /// Whether the last of these bytes ends a header block.
    pub(crate) ends_header_block: bool,
}

/// The client has sent more frames than its budget allows.
#[derive(Debug)]
pub(crate) struct BudgetExceeded;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

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
    /// The payload of a frame. The fields are the type of the frame, and the number of bytes of the payload that have
    /// not arrived yet.
    Payload(u8, usize),
    /// The connection does not use HTTP/2.
    NotHttp2,
}

/// What [`FrameBudget`] finds in the bytes from a client.
enum Event {
    /// The header of a frame is complete.
    Frame { cost: u64 },
    /// A frame that contains header fields is complete.
    EndOfHeaderBlock,
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
        let mut rest = bytes;
        loop {
            let event = self.next_event(&mut rest);
            match event {
                Some(Event::Frame { cost }) if !self.pay(cost, responses) => {
                    return Err(BudgetExceeded);
                }
                Some(Event::Frame { .. }) => {}
                Some(Event::EndOfHeaderBlock) | None => {
                    return Ok(Counted {
                        bytes: bytes.len() - rest.len(),
                        ends_header_block: event.is_some(),
                    });
                }
            }
        }
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
                        let [a, b, c, kind, ..] = *header;
                        let length = u32::from_be_bytes([0, a, b, c]) as usize;
                        self.position = match length {
                            0 => Position::FRAME,
                            length => Position::Payload(kind, length),
                        };
                        let cost = frame_cost(kind, length as u64);
                        return Some(Event::Frame { cost });
                    }
                }
                Position::Payload(kind, missing) => {
                    let count = (*missing).min(bytes.len());
                    *bytes = &bytes[count..];
                    *missing -= count;
                    if *missing == 0 {
                        // A block may continue in further frames. The end of each of these frames counts as an end.
                        let ends_block = matches!(*kind, HEADERS | CONTINUATION);
                        self.position = Position::FRAME;
                        if ends_block {
                            return Some(Event::EndOfHeaderBlock);
                        }
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
