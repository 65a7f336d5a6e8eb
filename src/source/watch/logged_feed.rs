//! [`LoggedFeed`]: reports the state of one watch to the health, and logs what is new.

use std::sync::Arc;

use super::failure::{Contact, Failure};
use super::outage::Outage;
use crate::resource::ResourceInfo;
use crate::source::health::{FailureReason, FeedReporter, FeedState};

/// Reports and logs the state of one watch.
pub(super) struct LoggedFeed {
    reporter: FeedReporter,
    resource: String,
    namespace: Option<String>,
    /// The failure that was logged last and is not resolved yet.
    logged: Option<FailureReason>,
    /// Shared by all watches of the server.
    outage: Arc<Outage>,
}

// === impl LoggedFeed ===

impl LoggedFeed {
    pub(super) fn new(
        reporter: FeedReporter,
        resource: &ResourceInfo,
        namespace: Option<String>,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            reporter,
            resource: resource.label(),
            namespace,
            logged: None,
            outage,
        }
    }

    pub(super) fn reporter(&self) -> &FeedReporter {
        &self.reporter
    }

    pub(super) fn state(&self) -> Arc<FeedState> {
        Arc::clone(self.reporter.state())
    }

    /// The first list begins.
    pub(super) fn listing(&self) {
        self.log_transition(|reporter| reporter.listing());
    }

    /// A list is complete.
    pub(super) fn complete(&mut self) {
        self.log_synced();
        self.log_transition(|reporter| reporter.complete());
    }

    /// A watch continues from the stored version.
    pub(super) fn following(&mut self) {
        if self.reporter.is_complete() {
            self.log_synced();
        }
        self.log_transition(|reporter| reporter.following());
    }

    /// A request failed, or a watch ended with an error.
    pub(super) fn failed(&mut self, failure: &Failure) {
        match failure.contact {
            Contact::None => self.outage.no_answer(|| {
                tracing::warn!(
                    error = %failure.message,
                    "the API server does not answer; stored samples are served while requests are retried"
                );
            }),
            Contact::Some => self.log_failure(failure),
            Contact::Answer => {
                self.log_end_of_outage();
                self.log_failure(failure);
            }
        }
        self.log_transition(|reporter| reporter.failed(failure.reason, &failure.message));
    }

    fn log_failure(&mut self, failure: &Failure) {
        if self.logged.replace(failure.reason) != Some(failure.reason) {
            tracing::warn!(
                resource = self.resource,
                namespace = self.namespace(),
                reason = failure.reason.as_str(),
                error = %failure.message,
                "cannot list or watch the resource; stored samples are served while requests are retried"
            );
        }
    }

    /// Logs a recovery. A first list is not logged for each resource.
    fn log_synced(&mut self) {
        self.log_end_of_outage();
        if self.logged.take().is_some() {
            let (resource, namespace) = (&*self.resource, self.namespace());
            tracing::info!(resource, namespace, "synced again");
        }
    }

    fn log_end_of_outage(&self) {
        self.outage.answer(|time| {
            let seconds = time.as_secs();
            tracing::info!(seconds, "the API server answers again");
        });
    }

    fn log_transition(&self, report: impl FnOnce(&FeedReporter)) {
        let before = self.reporter.resource_state();
        report(&self.reporter);
        let state = self.reporter.resource_state();
        if state != before {
            let (resource, namespace) = (&*self.resource, self.namespace());
            tracing::debug!(resource, namespace, ?state, "state");
        }
    }

    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("*")
    }
}
