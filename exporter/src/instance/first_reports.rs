//! Logs only the first of several similar problems.

use std::collections::HashSet;
use std::hash::Hash;

use super::task::every_second;

/// Calls `current` once a second, and logs the first problem with each key. Later problems with the same key are not
/// logged.
pub(super) async fn log_first<P, K: Eq + Hash>(
    current: impl Fn() -> Vec<P>,
    key: impl Fn(&P) -> K,
    log: impl Fn(&P),
) {
    let mut logged = HashSet::new();
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        for problem in current() {
            if logged.insert(key(&problem)) {
                log(&problem);
            }
        }
    }
}
