//! The clock of feeds.

/// With watches, the clock of tokio, so that tests can pause it.
#[cfg(feature = "watch")]
pub(super) type Instant = tokio::time::Instant;

#[cfg(not(feature = "watch"))]
pub(super) type Instant = std::time::Instant;
