//! The clock of feeds. With the feature `watch`, the clock is that of tokio, so that tests can pause the clock.
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

/// Never resolves, because only watches have a deadline.
#[cfg(not(feature = "watch"))]
pub(super) async fn sleep_until(_time: Option<Instant>) {
    std::future::pending().await
}
