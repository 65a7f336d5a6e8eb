//! Code that several test modules share: a simulated API server, a parser of expositions, golden files, and functions
//! that wait.

#![cfg_attr(
    not(all(feature = "gzip", feature = "manifests", feature = "watch")),
    allow(dead_code, reason = "without a feature, its tests are left out")
)]

#[cfg(feature = "watch")]
mod apiserver;
pub(crate) mod exposition;
pub(crate) mod golden;
pub(crate) mod reference;
pub(crate) mod tools;

#[cfg(feature = "watch")]
pub(crate) use apiserver::{
    ApiRequest, ApiServer, ByteStream, Fault, NOT_UTF8, On, Wire, json_bytes,
};

use std::future::Future;
use std::time::Duration;

/// Waits until a condition is true. Panics after ten minutes on the paused clock of the test.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, Duration::from_secs(600), &mut holds).await;
}

/// Waits until a condition is true. Panics after the time limit.
pub(crate) async fn within(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + time;
    let mut pause = Duration::from_millis(5);
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.1).min(Duration::from_secs(2));
    }
}

/// Advances the clock of the test.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Runs a future in the background until the guard is dropped.
pub(crate) fn background(future: impl Future<Output = ()> + Send + 'static) -> Background {
    Background(tokio::spawn(future))
}

/// A task that ends when this value is dropped.
pub(crate) struct Background(tokio::task::JoinHandle<()>);

impl Background {
    /// Whether the task still runs.
    pub(crate) fn is_running(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}
