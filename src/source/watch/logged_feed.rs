//! [`LoggedFeed`]: reports the state of one watch for the health, and logs changes of the state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failure::{Contact, Failure};
use super::failure_log::{Event, FailureLog, Subject};
use crate::resource::ResourceInfo;
use crate::source::health::{FailureReason, FeedReporter, FeedState};

/// Reports the state of one watch for the health, and logs each change of this state.
pub(super) struct LoggedFeed {
    reporter: FeedReporter,
    subject: Subject,
    /// The reason of the last logged failure, until the watch works again.
    logged: Option<FailureReason>,
    /// Whether the log contains a message about objects that were received but not applied. The flag is false again when
    /// all received objects are applied.
    is_lag_logged: bool,
    /// Whether the server refuses the credentials of the watch.
    is_unauthorized: bool,
    /// The log that all watches of the server share.
    log: Arc<FailureLog>,
}

/// If a received object is not applied for this time, the log has a warning.
const LONG_LAG: Duration = Duration::from_secs(10);

// === impl LoggedFeed ===

impl LoggedFeed {
    pub(super) fn new(
        reporter: FeedReporter,
        resource: &ResourceInfo,
        namespace: Option<String>,
        log: Arc<FailureLog>,
    ) -> Self {
        Self {
            reporter,
            subject: Subject {
                resource: resource.label(),
                namespace,
            },
            logged: None,
            is_lag_logged: false,
            is_unauthorized: false,
            log,
        }
    }

    pub(super) fn reporter(&self) -> &FeedReporter {
        &self.reporter
    }

    pub(super) fn state(&self) -> Arc<FeedState> {
        Arc::clone(self.reporter.state())
    }

    /// Records that a list begins.
    pub(super) fn listing(&self) {
        self.log_transition(|reporter| reporter.listing());
    }

    /// Records that the server has begun to send a list.
    pub(super) fn list_opened(&self) {
        self.log_transition(|reporter| reporter.list_opened());
    }

    /// Records that a list is complete.
    pub(super) fn complete(&mut self) {
        self.log_synced();
        self.log_transition(|reporter| reporter.complete());
    }

    /// Records that a watch continues from the stored version.
    pub(super) fn following(&mut self) {
        if self.reporter.is_complete() {
            self.log_synced();
        }
        self.log_transition(|reporter| reporter.following());
    }

    /// Records the number of objects that were received but not applied, and the time at which the oldest of them
    /// arrived. Logs once if this time is long ago.
    pub(super) fn unapplied(&mut self, since: Option<Instant>, objects: usize) {
        self.reporter.unapplied(since, objects);
        let age = since.map(|since| since.elapsed());
        if age.is_none() {
            self.is_lag_logged = false;
        } else if let Some(age) = age.filter(|age| *age >= LONG_LAG && !self.is_lag_logged) {
            self.is_lag_logged = true;
            let (resource, seconds) = (&self.subject.resource, age.as_secs());
            tracing::warn!(
                resource,
                objects,
                seconds,
                "changed objects arrive faster than they are processed, so their metrics are old; give the process \
                 more CPU, or simplify the expressions of custom resources"
            );
        }
    }

    /// Records that a request failed, or that a watch ended with an error.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.contact == Contact::Answer {
            self.log.answer();
        }
        match failure.reason {
            FailureReason::Unauthorized => self.log_unauthorized(failure),
            _ if failure.contact == Contact::None => self.log.no_answer(&failure.message),
            reason => {
                if reason.is_refusal() {
                    // A refusal of a resource shows that the server has accepted the credentials.
                    self.settle_credentials();
                }
                self.log_failure(failure);
            }
        }
        self.log_transition(|reporter| reporter.failed(failure.reason, &failure.message));
    }

    /// Records that the objects of the resource were removed, because the server forbids the resource.
    pub(super) fn forgotten(&self) {
        self.reporter.forgotten();
        self.log.log(Event::Forgotten, &self.subject, "");
    }

    /// Records that a streaming list did not end in time.
    pub(super) fn unfinished(&self) {
        self.log.log(Event::Unfinished, &self.subject, "");
    }

    fn log_failure(&mut self, failure: &Failure) {
        let reason = failure.reason;
        if self.logged.replace(reason) != Some(reason) {
            let event = Event::Failed(reason);
            self.log.log(event, &self.subject, &failure.message);
        }
    }

    fn log_unauthorized(&mut self, failure: &Failure) {
        if !self.is_unauthorized {
            self.is_unauthorized = true;
            self.log.credentials_refused(&failure.message);
        }
    }

    /// Logs that the watch works again after a failure. The first list of a resource is not logged here.
    fn log_synced(&mut self) {
        self.log.answer();
        self.settle_credentials();
        if self.logged.take().is_some() {
            self.log.log(Event::Synced, &self.subject, "");
        }
    }

    fn settle_credentials(&mut self) {
        if std::mem::take(&mut self.is_unauthorized) {
            self.log.credentials_accepted();
        }
    }

    fn log_transition(&self, report: impl FnOnce(&FeedReporter)) {
        let before = self.reporter.resource_state();
        report(&self.reporter);
        let state = self.reporter.resource_state();
        if state != before {
            let Subject { resource, .. } = &self.subject;
            let namespace = self.subject.namespace.as_deref().unwrap_or("*");
            tracing::debug!(
                resource,
                namespace,
                ?state,
                "the state of the resource changed"
            );
        }
    }
}

impl Drop for LoggedFeed {
    fn drop(&mut self) {
        if self.is_unauthorized {
            self.log.credentials_unused();
        }
    }
}
