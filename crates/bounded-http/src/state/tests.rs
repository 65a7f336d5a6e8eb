//! Tests of the limits on a client: when the server closes the connection, and for which reason.

use std::time::Duration;

use super::*;
use crate::frame_budget::WindowChange;

fn connection() -> (Arc<ConnectionState>, Arc<BusyCount>) {
    let busy = Arc::new(BusyCount::new(Arc::new(())));
    let peer = Peer::new(([127, 0, 0, 1], 1).into());
    let connection = Arc::new(ConnectionState::new(0, peer, Arc::clone(&busy)));
    (connection, busy)
}

async fn closed_after(connection: &ConnectionState) -> (u64, CloseReason) {
    let start = Instant::now();
    let reason = connection.closed(&Limits::default()).await;
    (start.elapsed().as_secs(), reason)
}

#[tokio::test(start_paused = true)]
async fn a_request_has_five_seconds_and_a_quiet_connection_five_minutes() {
    let (connection, _) = connection();
    assert_eq!(
        closed_after(&connection).await,
        (5, CloseReason::SlowRequest)
    );

    drop(connection.begin_request(false));
    assert_eq!(closed_after(&connection).await, (300, CloseReason::Idle));
    // The time limit of five seconds for the next request starts with the first byte of this request.
    connection.record_read();
    assert_eq!(
        closed_after(&connection).await,
        (5, CloseReason::SlowRequest)
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_between_requests_do_not_start_a_request_in_http2() {
    let (connection, _) = connection();
    drop(connection.begin_request(true));
    connection.record_read();
    assert_eq!(closed_after(&connection).await, (300, CloseReason::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_response_may_take_a_minute_but_must_progress_within_ten_seconds() {
    let (connection, busy) = connection();
    let response = connection.begin_request(false);
    // The service has not begun the response, so the client cannot read. In this state, only the timeout of the
    // response applies.
    assert_eq!(
        closed_after(&connection).await,
        (60, CloseReason::SlowResponse)
    );
    drop(response);

    let response = connection.begin_request(false);
    response.record_progress();
    tokio::time::advance(Duration::from_secs(8)).await;
    connection.record_write(1);
    assert_eq!(
        closed_after(&connection).await,
        (10, CloseReason::NoProgress)
    );
    // The response body has ended, but the server cannot send its last bytes.
    connection.set_blocked(true);
    drop(response);
    connection.record_write(1);
    connection.set_blocked(true);
    assert_eq!(
        closed_after(&connection).await,
        (10, CloseReason::NoProgress)
    );
    connection.set_blocked(false);
    assert_eq!(busy.get(), 0);
}

/// Starts a response of HTTP/2 with bytes that wait for a window.
fn stream(connection: &Arc<ConnectionState>) -> ResponseGuard {
    let response = connection.begin_request(true);
    response.set_stream(StreamHandle::default());
    response.record_progress();
    response.record_sent(65_535);
    response.set_unsent(true);
    response
}

/// Sends `bytes` of a response every second. Returns the number of seconds until the connection has only one response.
async fn one_stream_left_after(
    connection: &ConnectionState,
    sends: &ResponseGuard,
    bytes: usize,
    is_slow: bool,
) -> u64 {
    let start = Instant::now();
    let limits = Limits::default();
    let closed = connection.closed(&limits);
    let sending = async {
        while connection.answering() > 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection.record_write(bytes);
            sends.record_progress();
            connection.set_blocked(is_slow);
        }
    };
    tokio::select! {
        // Both branches can be due at the same time. Then the bytes are written first.
        biased;
        () = sending => start.elapsed().as_secs(),
        reason = closed => panic!("the connection is closed: {reason}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_does_not_hide_behind_others() {
    // The client of a fast connection takes many bytes of the other stream, so its socket may be blocked at any time.
    for (bytes, is_blocked) in [(100, false), (1 << 20, true), (1 << 20, false)] {
        let (connection, busy) = connection();
        let (_stalled, sends) = (stream(&connection), stream(&connection));
        let seconds = one_stream_left_after(&connection, &sends, bytes, is_blocked).await;
        assert!((10..=12).contains(&seconds), "{seconds}");
        assert_eq!(busy.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_slow_connection_waits_for_its_turn() {
    let (connection, _) = connection();
    let _waits = stream(&connection);
    tokio::time::advance(Duration::from_secs(5)).await;
    let sends = stream(&connection);
    let seconds = one_stream_left_after(&connection, &sends, 10_000, true).await;
    // Only the limit of a minute on the whole response applies.
    assert!((55..=56).contains(&seconds), "{seconds}");
}

/// Several streams share the window of the connection. The first stream has got no part of it for a long time.
#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_the_window_of_the_connection_is_as_late_as_the_connection() {
    let (connection, busy) = connection();
    let limits = Limits::default();
    let header_block = |stream, windows| Counted {
        bytes: 0,
        header_block: Some(stream),
        windows,
    };
    connection.record_frames(&header_block(1, Vec::new()));
    let _waits = stream(&connection);
    // The change of all windows gives the stream a window.
    let widened = [WindowChange::Initial(65_535), WindowChange::Initial(70_000)];
    connection.record_frames(&header_block(3, widened.to_vec()));
    let sends = stream(&connection);
    let all = [1, 3].map(|stream| WindowChange::Widened {
        stream,
        by: 1 << 20,
    });
    connection.record_frames(&header_block(3, all.to_vec()));
    let sending = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection.record_write(1 << 20);
            sends.record_sent(100);
        }
        assert_eq!(busy.get(), 2);
        // Other frames than DATA are no progress.
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection.record_write(17);
        }
    };
    tokio::select! {
        // Both branches can be due at the same time. Then the bytes are written first.
        biased;
        () = sending => {}
        reason = connection.closed(&limits) => panic!("the connection is closed: {reason}"),
    }
    assert_eq!(busy.get(), 0);
}

/// A client may reduce the windows of all streams.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_the_client_has_reduced_does_not_hide_behind_others() {
    let (connection, _) = connection();
    let (stalled, sends) = (stream(&connection), stream(&connection));
    let windows = vec![WindowChange::Initial(131_070), WindowChange::Initial(0)];
    connection.record_frames(&Counted {
        bytes: 0,
        header_block: None,
        windows,
    });
    let seconds = one_stream_left_after(&connection, &sends, 100, false).await;
    assert!((10..=12).contains(&seconds), "{seconds}");
    drop(stalled);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_does_not_close_a_connection_with_a_new_request() {
    let (connection, busy) = connection();
    let _stalled = stream(&connection);
    tokio::time::advance(Duration::from_secs(9)).await;
    let _waits = connection.begin_request(true);
    assert_eq!(
        closed_after(&connection).await,
        (60, CloseReason::SlowResponse)
    );
    assert_eq!(busy.get(), 0, "the stalled stream is reset before");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_does_not_close_a_connection_between_two_requests() {
    let (connection, busy) = connection();
    let limits = Limits::default();
    let _stalled = stream(&connection);
    let requests = async {
        for _ in 0..110 {
            // The connection has no other response when the limit of the stalled stream is exceeded.
            let short = connection.begin_request(true);
            short.record_progress();
            connection.record_write(100);
            drop(short);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        reason = connection.closed(&limits) => panic!("the connection is closed: {reason}"),
        () = requests => {}
    }
    assert_eq!(busy.get(), 0);
}
