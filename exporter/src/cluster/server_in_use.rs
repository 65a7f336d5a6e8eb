//! [`ServerInUse`]: the API server to which the exporter sends requests.

use std::sync::Arc;

use parking_lot::Mutex;

use super::identity::{ServerChange, ServerIdentity};

/// The API server to which the exporter sends requests. All clients and the reloads share this value.
///
/// A kubeconfig can change in several steps, for example from an old authority to both authorities, and then to the new
/// authority. A client and a reload read the kubeconfig at different times, so one of them may miss a step. With a
/// shared value, they come to the same decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerInUse(Arc<Mutex<Option<ServerIdentity>>>);

// === impl ServerInUse ===

impl ServerInUse {
    /// Records the settings in `named`, which a kubeconfig contains now. If these settings lead to another server,
    /// records nothing, and returns the first such setting. The first call records any server.
    pub(crate) fn follow(&self, named: &ServerIdentity) -> Option<ServerChange> {
        let mut server = self.0.lock();
        let change = server.as_ref().and_then(|server| server.change_to(named));
        if change.is_none() {
            *server = Some(named.clone());
        }
        change
    }

    /// The URL of the server; empty before the first call of [`follow`](Self::follow).
    pub(super) fn url(&self) -> String {
        let server = self.0.lock();
        server
            .as_ref()
            .map(|server| server.url().to_owned())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_the_first_call_is_followed_and_others_are_refused() {
        let server = ServerInUse::default();
        let [first, second] =
            ["https://a", "https://b"].map(|url| ServerIdentity::of_url(url.into()));
        assert_eq!(server.follow(&first), None);
        let clone = server.clone();
        assert_eq!(clone.follow(&second), Some(ServerChange::Url));
        assert_eq!(clone.url(), "https://a");
        assert_eq!(server.follow(&first), None);
    }
}
