//! What is known of one watch, as its reflector goes along.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::{Contact, Failure, FailureReason};
use super::health::{FeedHealth, ResourceState};
use super::outage::Outage;
use crate::resource::ResourceInfo;

/// What is known of one watch, kept up to date by its reflector.
pub(super) struct FeedState {
    resource: String,
    namespace: Option<String>,
    known: Mutex<Known>,
    /// Of all watches of the server.
    outage: Arc<Outage>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    state: ResourceState,
    complete: bool,
    was_refused: bool,
    /// What the log has said of it last, where that was no good news.
    told: Option<FailureReason>,
    failures: u64,
    last_sign: Option<Instant>,
    last_error: Option<String>,
}

// === impl FeedState ===

impl FeedState {
    pub(super) fn new(
        resource: &ResourceInfo,
        namespace: Option<String>,
        outage: Arc<Outage>,
        changed: watch::Sender<()>,
    ) -> Self {
        Self {
            resource: resource.label(),
            namespace,
            known: Mutex::default(),
            outage,
            changed,
        }
    }

    pub(super) fn health(&self) -> FeedHealth {
        let known = self.known.lock();
        FeedHealth {
            namespace: self.namespace.clone(),
            state: known.state,
            complete: known.complete,
            was_refused: known.was_refused,
            failures: known.failures,
            silent_seconds: known.last_sign.map(|at| at.elapsed().as_secs_f64()),
            last_error: known.last_error.clone(),
        }
    }

    /// A first list begins; later ones leave the state alone, since what is known is served.
    pub(super) fn listing(&self) {
        let mut known = self.known.lock();
        known.last_sign.get_or_insert_with(Instant::now);
        if known.state == ResourceState::NotStarted {
            self.enter(&mut known, ResourceState::Listing, None);
        }
    }

    /// A list is complete.
    pub(super) fn complete(&self) {
        let mut known = self.known.lock();
        known.complete = true;
        known.failures = 0;
        known.last_sign = Some(Instant::now());
        self.enter(&mut known, ResourceState::Synced, None);
        // Families that came later may have had their first list only now.
        self.changed.send_replace(());
    }

    /// A watch goes on from what is known.
    pub(super) fn following(&self) {
        let mut known = self.known.lock();
        known.failures = 0;
        if known.complete {
            self.enter(&mut known, ResourceState::Synced, None);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.known.lock().complete
    }

    /// An event, a bookmark or the beginning of an answer.
    pub(super) fn sign_of_life(&self) {
        self.known.lock().last_sign = Some(Instant::now());
    }

    pub(super) fn failed(&self, failure: &Failure) {
        let mut known = self.known.lock();
        known.failures += 1;
        known.was_refused |= failure.reason.is_refusal();
        known.last_error = Some(failure.to_string());
        let state = ResourceState::Failing(failure.reason);
        self.enter(&mut known, state, Some(failure));
    }

    /// Nobody follows the resource any more.
    pub(super) fn stopped(&self) {
        self.enter(&mut self.known.lock(), ResourceState::Stopped, None);
    }

    /// Enters a state and logs what is new: of the resource, or of the server as a whole.
    fn enter(&self, known: &mut Known, state: ResourceState, failure: Option<&Failure>) {
        let resource = &*self.resource;
        let namespace = self.namespace.as_deref().unwrap_or("*");
        match (state, failure) {
            (ResourceState::Failing(_), Some(failure)) if failure.contact == Contact::None => {
                self.outage.no_answer(|| {
                    tracing::warn!(
                        error = %failure.message,
                        "the API server does not answer; what is known is served, and retries go on"
                    );
                });
            }
            (ResourceState::Failing(reason), Some(failure)) => {
                if failure.contact == Contact::Answer {
                    self.server_answers();
                }
                if known.told.replace(reason) != Some(reason) {
                    tracing::warn!(
                        resource,
                        namespace,
                        reason = reason.as_str(),
                        error = %failure.message,
                        "cannot follow the resource; what is known is served, and retries go on"
                    );
                }
            }
            // Who starts is told of everything together; one that failed was told of alone.
            (ResourceState::Synced, _) => {
                self.server_answers();
                if known.told.take().is_some() {
                    tracing::info!(resource, namespace, "synced again");
                }
            }
            _ => {}
        }
        if known.state != state {
            tracing::debug!(resource, namespace, ?state, "state");
            known.state = state;
            self.changed.send_replace(());
        }
    }

    fn server_answers(&self) {
        self.outage.answer(|time| {
            let seconds = time.as_secs();
            tracing::info!(seconds, "the API server answers again");
        });
    }
}
