//! [`Turn`]: which client may run its plugin.

use tokio::sync::{Mutex, MutexGuard};

/// Lets the clients of an API server run their plugins one after the other.
///
/// The plugins of different API servers run at the same time. So a plugin for a new server does not delay the renewal
/// of the credentials for the server in use.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    lock: Mutex<()>,
    /// The name of the plugin that is running.
    running: parking_lot::Mutex<Option<String>>,
}

/// The right to run a plugin. When this value is dropped, another client may run its plugin.
pub(super) struct Running<'a> {
    turn: &'a Turn,
    _lock: MutexGuard<'a, ()>,
}

// === impl Turn ===

impl Turn {
    /// Waits until no other plugin is running. `name` is the name of the plugin that runs next.
    pub(super) async fn take(&self, name: String) -> Running<'_> {
        let lock = self.lock.lock().await;
        *self.running.lock() = Some(name);
        Running {
            turn: self,
            _lock: lock,
        }
    }

    /// The name of the plugin that is running; `None` if no plugin is running.
    pub(crate) fn running(&self) -> Option<String> {
        self.running.lock().clone()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.turn.running.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_plugin_that_is_running_is_named_while_another_one_waits() {
        let turn = Turn::default();
        let first = turn.take("first".to_owned()).await;
        let waits = timeout(Duration::from_secs(9), turn.take("second".to_owned())).await;
        assert!(waits.is_err(), "both run");
        assert_eq!(turn.running().as_deref(), Some("first"));
        drop(first);
        assert_eq!(turn.running(), None);
        let _second = turn.take("second".to_owned()).await;
        assert_eq!(turn.running().as_deref(), Some("second"));
    }
}
