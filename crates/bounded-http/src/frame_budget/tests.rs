//! Tests of the budget: which floods of frames exceed it, and which usual clients do not.

use super::*;

const PING: u8 = 6;

fn frame(kind: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEADER + length];
    frame[1..3].copy_from_slice(&(length as u16).to_be_bytes());
    frame[3] = kind;
    frame
}

/// Counts the frames in `bytes`. Returns whether the budget suffices for all of them.
fn suffices(budget: &mut FrameBudget, mut bytes: &[u8], responses: u64) -> bool {
    while !bytes.is_empty() {
        match budget.record_received(bytes, responses) {
            Ok(counted) => bytes = &bytes[counted.bytes..],
            Err(BudgetExceeded) => return false,
        }
    }
    true
}

/// Returns the budget of a client that has sent the preface.
fn http2() -> FrameBudget {
    let mut budget = FrameBudget::new();
    assert!(suffices(&mut budget, PREFACE, 0));
    budget
}

/// Returns how many of the frames the client could send until it exceeded its budget.
fn frames_until_exceeded(budget: &mut FrameBudget, frame: &[u8], responses: u64) -> u64 {
    let mut count = 0;
    while suffices(budget, frame, responses) {
        count += 1;
        assert!(count < 1_000_000, "the flood has no limit");
    }
    count
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_flood_exceeds_the_budget() {
    // The numbers stand for DATA, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION, and an unknown
    // type.
    let kinds = [
        (DATA, 0, 1_000),
        (DATA, 1, 1_000),
        (2, 5, 1_000),
        (RST_STREAM, 4, 125),
        (4, 0, 1_000),
        (4, 6 * 400, 100),
        (PING, 8, 1_000),
        (WINDOW_UPDATE, 4, 1_000),
        (CONTINUATION, 0, 1_000),
        (99, 0, 1_000),
    ];
    for (kind, length, frames) in kinds {
        let count = frames_until_exceeded(&mut http2(), &frame(kind, length), 0);
        assert_eq!(count, frames, "kind {kind}, {length} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_are_counted_however_the_bytes_are_divided() {
    let flood: Vec<u8> = PREFACE
        .iter()
        .copied()
        .chain((0..1_001).flat_map(|_| frame(PING, 8)))
        .collect();
    for size in [1, 7, 17, 24, 1_000] {
        let mut budget = FrameBudget::new();
        let pieces: Vec<_> = flood.chunks(size).collect();
        let exceeded = pieces
            .iter()
            .position(|piece| !suffices(&mut budget, piece, 0));
        // The budget is exceeded when the header of the last frame is complete. After this header, the 8 bytes of the
        // frame's payload follow.
        assert_eq!(exceeded, Some((flood.len() - 9) / size), "pieces of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn time_bytes_and_responses_earn_frames() {
    let mut budget = http2();
    let ping = frame(PING, 8);
    frames_until_exceeded(&mut budget, &ping, 0);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(frames_until_exceeded(&mut budget, &ping, 0), 50);
    budget.record_sent(512 * 30 + 100);
    assert_eq!(frames_until_exceeded(&mut budget, &ping, 0), 30);
    assert_eq!(frames_until_exceeded(&mut budget, &ping, 5), 20);
    // However long a client waits, its budget never exceeds [`BURST`].
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(frames_until_exceeded(&mut budget, &ping, 5), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_large_download_may_extend_its_windows() {
    let mut budget = http2();
    let update = frame(WINDOW_UPDATE, 4);
    for _ in 0..100_000 {
        budget.record_sent(4_096);
        assert!(suffices(&mut budget, &update, 1) && suffices(&mut budget, &update, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_late_may_extend_its_windows_then() {
    // The window of a stream has 4 MiB in a Go client. The client sends two window updates per 4 KiB, one for the
    // stream and one for the connection.
    let updates = frame(WINDOW_UPDATE, 4).repeat(4_096);
    for size in [13, 8 << 10, updates.len()] {
        let mut budget = http2();
        budget.record_sent(64 << 20);
        let pieces = updates.chunks(size);
        let is_enough = pieces.map(|piece| suffices(&mut budget, piece, 1));
        assert!(is_enough.into_iter().all(|own| own), "reads of {size}");
    }
    // The bytes that the client receives raise its budget, but only up to a limit.
    let mut budget = http2();
    (0..1_000).for_each(|_| budget.record_sent(64 << 20));
    let update = frame(WINDOW_UPDATE, 4);
    assert_eq!(
        frames_until_exceeded(&mut budget, &update, 0),
        1_000 + (64 << 11)
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_reset_at_once_are_no_progress() {
    let mut budget = http2();
    let mut responses = 0;
    while suffices(&mut budget, &frame(HEADERS, 20), responses) {
        responses += 1;
        assert!(responses < 10_000, "the flood has no limit");
        if !suffices(&mut budget, &frame(RST_STREAM, 4), responses) {
            break;
        }
    }
    assert_eq!(responses, 200);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_answered_have_no_limit() {
    let mut budget = http2();
    for responses in 0..100_000 {
        assert!(suffices(&mut budget, &frame(HEADERS, 20), responses));
    }
}

#[tokio::test(start_paused = true)]
async fn http1_is_not_counted() {
    for start in ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n"] {
        let mut budget = FrameBudget::new();
        assert!(suffices(&mut budget, start.as_bytes(), 0));
        for _ in 0..10_000 {
            assert!(suffices(&mut budget, &frame(PING, 8), 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_each_header_block_is_found_however_the_bytes_are_divided() {
    let blocks = [
        [frame(PING, 8), frame(HEADERS, 30)].concat(),
        frame(CONTINUATION, 1),
        [frame(DATA, 300), frame(WINDOW_UPDATE, 4), frame(HEADERS, 5)].concat(),
    ];
    let mut expected = Vec::new();
    for block in &blocks {
        expected.push(expected.last().unwrap_or(&0) + block.len());
    }
    let bytes = [blocks.concat(), frame(PING, 8)].concat();
    for size in [1, 9, 10, 11, 50, 1_000] {
        let mut budget = http2();
        let (mut at, mut ends) = (0, Vec::new());
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() {
                let counted = budget.record_received(piece, 0).unwrap();
                at += counted.bytes;
                piece = &piece[counted.bytes..];
                if counted.header_block.is_some() {
                    ends.push(at);
                }
            }
        }
        assert_eq!(ends, expected, "pieces of {size}");
        assert_eq!(at, bytes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_windows_are_found_however_the_bytes_are_divided() {
    let with = |kind, stream: u32, payload: &[u8]| {
        let mut frame = frame(kind, payload.len());
        frame[5..9].copy_from_slice(&stream.to_be_bytes());
        frame[9..].copy_from_slice(payload);
        frame
    };
    let settings = [0, 3, 0, 0, 0, 9, 0, 4, 0, 1, 0, 2, 0, 4, 0, 0, 0, 7, 1];
    let bytes = [
        with(SETTINGS, 0, &settings),
        with(HEADERS, 0x8000_0003, &[1, 2]),
        with(WINDOW_UPDATE, 3, &[0x80, 1, 0, 5]),
        with(CONTINUATION, 5, &[1]),
        with(WINDOW_UPDATE, 0, &[0, 0, 0, 6]),
    ];
    for size in [1, 2, 5, 9, 1_000] {
        let mut budget = http2();
        let (mut windows, mut streams) = (Vec::new(), Vec::new());
        for mut piece in bytes.concat().chunks(size) {
            while !piece.is_empty() {
                let counted = budget.record_received(piece, 0).unwrap();
                piece = &piece[counted.bytes..];
                windows.extend(counted.windows);
                streams.extend(counted.header_block);
            }
        }
        let widened = |stream, by| WindowChange::Widened { stream, by };
        let expected = [
            WindowChange::Initial(0x1_0002),
            WindowChange::Initial(7),
            widened(3, 0x1_0005),
            widened(0, 6),
        ];
        assert_eq!(windows, expected, "pieces of {size}");
        assert_eq!(streams, [3, 5], "pieces of {size}");
    }
}
