//! Tests of the limits on a client: when the server closes the connection, and for which reason.

use std::time::Duration;

use super::*;

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
    connection.record_write();
    assert_eq!(
        closed_after(&connection).await,
        (10, CloseReason::NoProgress)
    );
    // The response body has ended, but the server cannot send its last bytes.
    connection.set_blocked(true);
    drop(response);
    connection.record_write();
    connection.set_blocked(true);
    assert_eq!(
        closed_after(&connection).await,
        (10, CloseReason::NoProgress)
    );
    connection.set_blocked(false);
    assert_eq!(busy.get(), 0);
}
