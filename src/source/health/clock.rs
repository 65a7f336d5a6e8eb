//! The clock for the times that feeds report, such as the time of the last event. With the feature `watch`, this is the
//! clock of tokio, so that tests can pause the time.
#[cfg(feature = "watch")]
pub(super) type Instant = tokio::time::Instant;

#[cfg(not(feature = "watch"))]
pub(super) type Instant = std::time::Instant;

/// Sleeps until `time`; never resolves if `time` is `None`.
#[cfg(feature = "watch")]
pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Never resolves. Only watches have deadlines, and without the feature `watch`, there are no watches.
#[cfg(not(feature = "watch"))]
pub(super) async fn sleep_until(_time: Option<Instant>) {
    std::future::pending().await
}
