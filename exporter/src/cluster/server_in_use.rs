//! [`ServerInUse`]: the API server to which the exporter sends requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::identity::{ServerChange, ServerIdentity};
use super::plugin::Turn;

/// The API server to which the exporter sends requests. All clients and the reloads share this value.
///
/// A kubeconfig can change in several steps, for example from an old authority to both authorities, and then to the new
/// authority. A client and a reload read the kubeconfig at different times, so one of them may miss a step. With a
/// shared value, they come to the same decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerInUse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    identity: Mutex<Option<ServerIdentity>>,
    /// Whether this server is to replace another one.
    is_replacement: bool,
    turn: Turn,
    problems: Mutex<Problems>,
}

/// Why clients cannot renew their credentials, by the number of the client.
#[derive(Debug, Default)]
struct Problems {
    next: u64,
    of_clients: BTreeMap<u64, String>,
}

/// Reports why a client cannot renew its credentials. When this value is dropped, the report ends.
#[derive(Debug)]
pub(super) struct RenewalReport {
    server: ServerInUse,
    client: u64,
}

// === impl ServerInUse ===

impl ServerInUse {
    /// Creates the value for a server that is to replace the server in use.
    pub(crate) fn replacement() -> Self {
        Self(Arc::new(Shared {
            is_replacement: true,
            ..Shared::default()
        }))
    }

    /// The span of the watches, which adds the URL to their log lines. Without a change of the server, the lines can be
    /// about one server only, and have no URL.
    pub(crate) fn span(&self) -> tracing::Span {
        match self.0.is_replacement {
            true => tracing::error_span!("api_server", url = self.url()),
            false => tracing::Span::none(),
        }
    }

    /// Records the settings in `named`, which a kubeconfig contains now. If these settings lead to another server,
    /// records nothing, and returns the first such setting. The first call records any server.
    pub(crate) fn follow(&self, named: &ServerIdentity) -> Option<ServerChange> {
        let mut server = self.0.identity.lock();
        let change = server.as_ref().and_then(|server| server.change_to(named));
        if change.is_none() {
            *server = Some(named.clone());
        }
        change
    }

    /// The URL of the server; empty before the first call of [`follow`](Self::follow).
    pub(super) fn url(&self) -> String {
        let server = self.0.identity.lock();
        server
            .as_ref()
            .map(|server| server.url().to_owned())
            .unwrap_or_default()
    }

    /// The turn in which the clients of this server run their plugins.
    pub(super) fn turn(&self) -> &Turn {
        &self.0.turn
    }

    /// Returns a report for a new client.
    pub(super) fn report(&self) -> RenewalReport {
        let mut problems = self.0.problems.lock();
        problems.next += 1;
        RenewalReport {
            server: self.clone(),
            client: problems.next,
        }
    }

    /// Returns a line for each reason why clients cannot renew their credentials from the current files.
    pub(crate) fn renewal_problems(&self) -> Vec<String> {
        let problems = self.0.problems.lock();
        // Usually, all clients have the same problem.
        let lines: BTreeSet<_> = problems.of_clients.values().collect();
        lines.into_iter().cloned().collect()
    }
}

// === impl RenewalReport ===

impl RenewalReport {
    /// Sets the problem of the client; `None` if the client can renew its credentials.
    pub(super) fn set(&self, problem: Option<String>) {
        let mut problems = self.server.0.problems.lock();
        match problem {
            Some(problem) => problems.of_clients.insert(self.client, problem),
            None => problems.of_clients.remove(&self.client),
        };
    }
}

impl Drop for RenewalReport {
    fn drop(&mut self) {
        self.set(None);
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

    #[test]
    fn a_problem_of_several_clients_is_shown_once_until_all_are_gone() {
        let server = ServerInUse::default();
        let reports = [server.report(), server.report()];
        for report in &reports {
            report.set(Some("no file".to_owned()));
        }
        assert_eq!(server.renewal_problems(), ["no file"]);
        let [first, second] = reports;
        drop(first);
        assert_eq!(server.renewal_problems(), ["no file"]);
        second.set(None);
        assert!(server.renewal_problems().is_empty());
    }
}
