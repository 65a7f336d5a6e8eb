//! [`FailureLog`]: logs failures and recoveries of resources: a resource recovers when it can be listed or watched
//! again. If the same happens to many resources, one log message is about all of them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::outage::Outage;
use crate::source::health::FailureReason;

/// Logs failures and recoveries for all watches of a server. If several resources fail for the same reason, one message
/// names all of them.
///
/// A message about a resource is delayed for a moment, so that other resources can be added to the same message.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    outage: Outage,
    credentials: Mutex<Credentials>,
    pending: Mutex<Pending>,
    changed: Notify,
}

/// A resource in one namespace or in all namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
}

/// What has happened to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The resource cannot be listed or watched.
    Failed(FailureReason),
    /// The resource can be listed or watched again.
    Synced,
    /// The objects of the resource were removed, because the server forbids the resource.
    Forgotten,
    /// The streaming list of the resource did not end in time.
    Unfinished,
}

/// Whether the server currently refuses the credentials.
#[derive(Debug, Default)]
struct Credentials {
    /// Number of watches whose credentials are refused.
    refused: usize,
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Pending {
    /// The messages that were not logged yet, in the order in which they were created.
    messages: Vec<Message>,
    /// The last message for each failure reason.
    logged: Vec<Logged>,
    /// The resources whose last message in the log is a failure, not a recovery.
    failing: HashSet<Subject>,
}

/// A message that waits before it is logged, so that more resources can be added.
#[derive(Debug)]
struct Message {
    event: Event,
    due: Instant,
    /// The number of resources that were ever added, including resources that were removed.
    added: usize,
    subjects: HashMap<Subject, Problem>,
}

/// The position of a resource in a message, and the error of the resource.
#[derive(Debug)]
struct Problem {
    /// The number of resources that had been added before this resource.
    position: usize,
    /// The error; empty if the message is not about failures.
    error: String,
}

#[derive(Debug)]
struct Logged {
    event: Event,
    at: Instant,
    /// The minimum time between this message and the next message for the same reason.
    gap: Duration,
}

/// How long a message is delayed, so that other resources can be added.
const GATHER: Duration = Duration::from_secs(3);
/// Minimum time between the first and the second message for the same reason. For each further message, the minimum
/// time doubles, so that resources that fail one after another do not fill the log.
const FIRST_GAP: Duration = Duration::from_secs(60);
const LAST_GAP: Duration = Duration::from_secs(480);
/// The maximum number of resources that a message names.
const MAX_NAMED: usize = 40;
/// The maximum number of different errors of a message.
const MAX_ERRORS: usize = 3;

// === impl FailureLog ===

impl FailureLog {
    /// Logs each message when its delay has passed. Never resolves.
    pub(super) async fn run(&self) {
        loop {
            let due = self.pending.lock().next_due();
            match due {
                None => self.changed.notified().await,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => self.pending.lock().log_due(),
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    /// Records that a request got no response, which may mean that the server is unreachable.
    pub(super) fn no_answer(&self, error: &str) {
        self.outage.no_answer(|| {
            tracing::warn!(
                %error,
                "the API server does not answer; stored samples are served while requests are retried"
            );
        });
    }

    /// Records that a request got a response.
    pub(super) fn answer(&self) {
        self.outage.answer(|time| {
            let seconds = time.as_secs();
            tracing::info!(seconds, "the API server answers again");
        });
    }

    /// Records that one more watch has no valid credentials: the server refuses them, or they cannot be obtained.
    pub(super) fn credentials_refused(&self, error: &str) {
        let mut credentials = self.credentials.lock();
        credentials.refused += 1;
        if credentials.since.is_none() {
            credentials.since = Some(Instant::now());
            tracing::warn!(
                %error,
                "the API server does not accept the credentials; stored samples are served while \
                 requests are retried"
            );
        }
    }

    /// Records that the server accepts the credentials of a watch again.
    pub(super) fn credentials_accepted(&self) {
        if let Some(since) = self.credentials.lock().settle_one() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, "the API server accepts the credentials again");
        }
    }

    /// Records that a watch with refused credentials has stopped.
    pub(super) fn credentials_unused(&self) {
        self.credentials.lock().settle_one();
    }

    /// Logs an event of a resource after a short delay. If other resources have the same event, one message names all
    /// of them.
    pub(super) fn log(&self, event: Event, subject: &Subject, error: &str) {
        self.pending.lock().add(event, subject, error);
        self.changed.notify_one();
    }
}

// === impl Credentials ===

impl Credentials {
    /// Decreases the number of watches with refused credentials by one. If no such watch remains, returns the time at
    /// which the refusals began.
    fn settle_one(&mut self) -> Option<Instant> {
        self.refused = self.refused.saturating_sub(1);
        if self.refused == 0 {
            self.since.take()
        } else {
            None
        }
    }
}

// === impl Pending ===

impl Pending {
    fn add(&mut self, event: Event, subject: &Subject, error: &str) {
        self.remove_opposite(event, subject);
        if event == Event::Synced && !self.failing.contains(subject) {
            // Do not log the recovery, because the failure was not logged.
            return;
        }
        let same = |message: &&mut Message| message.event == event;
        if let Some(message) = self.messages.iter_mut().find(same) {
            return message.add(subject, error);
        }
        let gathered = Instant::now() + GATHER;
        let due = match event {
            Event::Failed(_) => {
                let before = self.logged.iter().find(|logged| logged.event == event);
                before.map_or(gathered, |before| gathered.max(before.at + before.gap))
            }
            Event::Synced | Event::Forgotten | Event::Unfinished => gathered,
        };
        let mut message = Message {
            event,
            due,
            added: 0,
            subjects: HashMap::new(),
        };
        message.add(subject, error);
        self.messages.push(message);
    }

    /// Removes a resource from the waiting messages that are no longer true. If the resource has recovered, these are
    /// the messages about failures. If the resource has failed again, these are the messages about recoveries.
    fn remove_opposite(&mut self, event: Event, subject: &Subject) {
        let is_opposite = |other: Event| match event {
            Event::Failed(_) => other == Event::Synced,
            Event::Synced => matches!(other, Event::Failed(_)),
            Event::Forgotten | Event::Unfinished => false,
        };
        for message in &mut self.messages {
            if is_opposite(message.event) {
                message.subjects.remove(subject);
            }
        }
        self.messages.retain(|message| !message.subjects.is_empty());
    }

    fn next_due(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.due).min()
    }

    fn log_due(&mut self) {
        let now = Instant::now();
        let is_due = |message: &mut Message| message.due <= now;
        let mut due: Vec<_> = self.messages.extract_if(.., is_due).collect();
        due.sort_by_key(|message| message.due);
        for message in due {
            message.log();
            self.note_logged(message.event, now);
            let subjects = message.subjects.into_keys();
            match message.event {
                Event::Failed(_) => self.failing.extend(subjects),
                Event::Synced => subjects.for_each(|own| {
                    self.failing.remove(&own);
                }),
                Event::Forgotten | Event::Unfinished => {}
            }
        }
    }

    fn note_logged(&mut self, event: Event, now: Instant) {
        let before = self.logged.iter().position(|logged| logged.event == event);
        let before = before.map(|at| self.logged.swap_remove(at));
        let gap = match before {
            Some(before) if now < before.at + before.gap + LAST_GAP => {
                (before.gap * 2).min(LAST_GAP)
            }
            _ => FIRST_GAP,
        };
        let at = now;
        self.logged.push(Logged { event, at, gap });
    }
}

// === impl Message ===

impl Message {
    /// Adds a resource. If the message already names the resource, does nothing.
    fn add(&mut self, subject: &Subject, error: &str) {
        if !self.subjects.contains_key(subject) {
            let problem = Problem {
                position: self.added,
                error: error.to_owned(),
            };
            self.added += 1;
            self.subjects.insert(subject.clone(), problem);
        }
    }

    /// The resources in the order in which they were added.
    fn in_order(&self) -> Vec<(&Subject, &Problem)> {
        let mut subjects: Vec<_> = self.subjects.iter().collect();
        subjects.sort_by_key(|(_, problem)| problem.position);
        subjects
    }

    /// Returns the different errors of the message. The error of a refusal (403 or 404) contains the name of the
    /// resource, so the errors of refusals always differ. For a message about refusals, returns only the first error.
    fn errors(&self) -> String {
        let is_refusal = matches!(self.event, Event::Failed(reason) if reason.is_refusal());
        let limit = if is_refusal { 1 } else { MAX_ERRORS };
        let mut errors: Vec<&str> = Vec::new();
        for (_, problem) in self.in_order() {
            if errors.len() == limit {
                break;
            }
            if !errors.contains(&&*problem.error) {
                errors.push(&problem.error);
            }
        }
        errors.join("; ")
    }

    fn log(&self) {
        let error = self.errors();
        let in_order = self.in_order();
        if let [(subject, _)] = &in_order[..] {
            let resource = &*subject.resource;
            let namespace = subject.namespace.as_deref().unwrap_or("*");
            match self.event {
                Event::Failed(reason) => tracing::warn!(
                    resource,
                    namespace,
                    reason = reason.as_str(),
                    %error,
                    "cannot list or watch the resource; stored samples are served while requests are retried"
                ),
                Event::Synced => tracing::info!(resource, namespace, "synced again"),
                Event::Forgotten => tracing::warn!(
                    resource,
                    namespace,
                    "removed the objects of a resource that the API server has forbidden for too long; grant `list` and \
                     `watch` to export the resource again"
                ),
                Event::Unfinished => tracing::warn!(
                    resource,
                    namespace,
                    "a streaming list did not end in time; paged lists are requested for an hour"
                ),
            }
            return;
        }
        let (count, resources) = (in_order.len(), names(&in_order));
        match self.event {
            Event::Failed(reason) => tracing::warn!(
                count,
                resources,
                reason = reason.as_str(),
                %error,
                "cannot list or watch several resources; stored samples are served while requests are retried"
            ),
            Event::Synced => tracing::info!(count, resources, "synced again"),
            Event::Forgotten => tracing::warn!(
                count,
                resources,
                "removed the objects of resources that the API server has forbidden for too long; grant `list` and \
                 `watch` to export the resources again"
            ),
            Event::Unfinished => tracing::warn!(
                count,
                resources,
                "streaming lists did not end in time; paged lists are requested for an hour"
            ),
        }
    }
}

fn names(subjects: &[(&Subject, &Problem)]) -> String {
    let named = subjects.iter().take(MAX_NAMED);
    let named: Vec<_> = named.map(|(subject, _)| subject.to_string()).collect();
    let named = named.join(", ");
    match subjects.len().checked_sub(MAX_NAMED) {
        None | Some(0) => named,
        Some(more) => format!("{named} and {more} more"),
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        match &self.namespace {
            Some(namespace) => write!(f, " of namespace {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(resource: &str) -> Subject {
        Subject {
            resource: resource.to_owned(),
            namespace: None,
        }
    }

    /// Returns the messages that are not logged yet. Each item has the event, the number of resources, and the seconds
    /// until the message is logged.
    fn pending(log: &FailureLog) -> Vec<(Event, usize, u64)> {
        let pending = log.pending.lock();
        let now = Instant::now();
        let messages = pending.messages.iter();
        let messages = messages.map(|own| {
            let due = own.due.duration_since(now).as_secs();
            (own.event, own.subjects.len(), due)
        });
        messages.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn later_messages_about_a_reason_wait_longer_until_it_is_quiet() {
        let log = FailureLog::default();
        let forbidden = Event::Failed(FailureReason::Forbidden);
        for seconds in [3, 57, 117, 237, 477, 477] {
            log.log(forbidden, &subject("pods"), "no");
            log.log(forbidden, &subject("pods"), "no");
            log.log(forbidden, &subject("nodes"), "no");
            assert_eq!(pending(&log), [(forbidden, 2, seconds)]);
            tokio::time::advance(Duration::from_secs(seconds)).await;
            log.pending.lock().log_due();
            assert_eq!(pending(&log), []);
            tokio::time::advance(GATHER).await;
        }
        tokio::time::advance(2 * LAST_GAP).await;
        log.log(forbidden, &subject("pods"), "no");
        assert_eq!(pending(&log), [(forbidden, 1, 3)]);
    }

    /// Advances the time and logs the messages whose delay has passed.
    async fn wait(log: &FailureLog, time: Duration) {
        tokio::time::advance(time).await;
        log.pending.lock().log_due();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_ends_while_its_message_waits_is_not_logged() {
        let log = FailureLog::default();
        let failed = Event::Failed(FailureReason::ServerError);
        log.log(failed, &subject("pods"), "no");
        wait(&log, GATHER).await;
        log.log(failed, &subject("nodes"), "no");
        log.log(failed, &subject("secrets"), "no");
        log.log(Event::Synced, &subject("nodes"), "");
        assert_eq!(pending(&log), [(failed, 1, 60)]);
        log.log(Event::Synced, &subject("secrets"), "");
        assert_eq!(pending(&log), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_message_about_a_resource_is_its_state() {
        let log = FailureLog::default();
        let failed = Event::Failed(FailureReason::ServerError);
        log.log(failed, &subject("pods"), "no");
        wait(&log, GATHER).await;
        // The resource recovers, and fails again before the recovery is logged.
        log.log(Event::Synced, &subject("pods"), "");
        assert_eq!(pending(&log), [(Event::Synced, 1, 3)]);
        log.log(failed, &subject("pods"), "no");
        assert_eq!(pending(&log), [(failed, 1, 60)]);
        // The resource recovers before the second failure is logged. The first failure was logged.
        log.log(Event::Synced, &subject("pods"), "");
        assert_eq!(pending(&log), [(Event::Synced, 1, 3)]);
        wait(&log, GATHER).await;
        assert_eq!(pending(&log), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_recovery_does_not_join_a_message_before_its_failure() {
        let log = FailureLog::default();
        let failed = Event::Failed(FailureReason::ServerError);
        log.log(failed, &subject("pods"), "no");
        wait(&log, GATHER).await;
        log.log(failed, &subject("nodes"), "no");
        log.log(Event::Synced, &subject("pods"), "");
        log.log(Event::Synced, &subject("nodes"), "");
        assert_eq!(pending(&log), [(Event::Synced, 1, 3)]);
    }

    #[test]
    fn a_message_has_up_to_three_different_errors() {
        let message = |reason| {
            let mut message = Message {
                event: Event::Failed(reason),
                due: Instant::now(),
                added: 0,
                subjects: HashMap::new(),
            };
            for (at, error) in ["a", "a", "b", "c", "d"].into_iter().enumerate() {
                message.add(&subject(&format!("pods{at}")), error);
            }
            message
        };
        assert_eq!(message(FailureReason::ServerError).errors(), "a; b; c");
        assert_eq!(message(FailureReason::Forbidden).errors(), "a");
    }
}
