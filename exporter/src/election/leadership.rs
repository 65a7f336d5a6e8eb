//! [`Leadership`]: whether this replica serves the metrics of objects.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube_state_metrics::exposition::HostMetrics;
use parking_lot::Mutex;
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntGauge, Opts, TextEncoder};
use tokio::sync::watch;
use tokio::time::timeout;

use super::clock::uptime;
use super::machine::{Term, Uptime};
use crate::humanize::visible_line;

/// Whether this replica serves the metrics of objects. All clones share one state.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lease: String,
    /// The times that decide whether this replica serves. The driver, which sends the requests of the election, sets
    /// these times. Every response compares them with the clock. So the replica stops serving in time even if the
    /// driver hangs.
    term: watch::Sender<Term>,
    state: Mutex<State>,
    /// When the last request for the metrics of objects arrived.
    scraped_at: Mutex<Uptime>,
    has_joined: AtomicBool,
    metrics: Metrics,
}

/// The state of the election that the landing page, the log and metrics show.
#[derive(Debug, Default)]
struct State {
    holder: Option<String>,
    problem: Option<String>,
    /// Whether this replica was the leader at the last call of [`Leadership::count`].
    is_leader: bool,
}

/// The maximum length of the identity of the leader in messages and on pages, in characters.
const LONGEST_HOLDER: usize = 256;

#[derive(Debug)]
struct Metrics {
    leader: IntGauge,
    transitions: IntCounter,
    renewal_age: Gauge,
    unconfirmed: IntCounter,
}

// === impl Leadership ===

impl Leadership {
    /// Creates the leadership of a replica that is not the leader yet. `lease` is the namespace and the name of the
    /// Lease.
    ///
    /// # Errors
    ///
    /// The function fails if the metrics cannot be created.
    pub(super) fn new(lease: &str, identity: &str) -> Result<Self, prometheus::Error> {
        Ok(Self(Arc::new(Inner {
            lease: lease.to_owned(),
            term: watch::Sender::default(),
            state: Mutex::default(),
            scraped_at: Mutex::default(),
            has_joined: AtomicBool::new(false),
            metrics: Metrics::new(lease, identity)?,
        })))
    }

    /// Whether this replica serves the metrics of objects now.
    pub(crate) fn is_leader(&self) -> bool {
        uptime() < self.0.term.borrow().serves_until
    }

    /// Decides whether the response to a request that arrives now contains the metrics of objects. If a hand-over to
    /// this replica is in progress, waits for the result of the hand-over: usually about a second, and at most two
    /// seconds.
    pub(crate) async fn decide(&self) -> bool {
        let arrived_at = uptime();
        *self.0.scraped_at.lock() = arrived_at;
        let mut term = self.0.term.subscribe();
        loop {
            let left = term.borrow_and_update().hold_left(arrived_at, uptime());
            if left.is_zero() || !matches!(timeout(left, term.changed()).await, Ok(Ok(()))) {
                break;
            }
        }
        let (now, term) = (uptime(), *self.0.term.borrow());
        let serves = arrived_at >= term.serves_from && now < term.serves_until;
        if serves && now >= term.renewed_until {
            self.0.metrics.unconfirmed.inc();
        }
        serves
    }

    /// Whether this replica has read or written the Lease since its start. Until then, the replica is not ready. A
    /// replica without permissions on the Lease can never become the leader. It never gets ready, so a rollout stops at
    /// this replica.
    pub(crate) fn has_joined(&self) -> bool {
        self.0.has_joined.load(Ordering::Relaxed)
    }

    /// The metrics of the election.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.count();
        let metrics = &self.0.metrics;
        let mut families = metrics.leader.collect();
        families.extend(metrics.transitions.collect());
        families.extend(metrics.unconfirmed.collect());
        let renewed_at = self.0.term.borrow().renewed_at;
        if let Some(renewed_at) = renewed_at {
            let age = uptime().saturating_sub(renewed_at);
            metrics.renewal_age.set(age.as_secs_f64());
            families.extend(metrics.renewal_age.collect());
        }
        families
    }

    /// The metric that shows whether this replica leads. The exporter appends this metric to responses with the metrics
    /// of objects.
    pub(crate) fn host_metrics(&self) -> HostMetrics {
        self.count();
        let text = TextEncoder::new().encode_to_string(&self.0.metrics.leader.collect());
        // The default is never used, because a write into memory does not fail.
        HostMetrics::text(text.unwrap_or_default())
    }

    // === for the driver ===

    pub(super) fn set_term(&self, term: Term) {
        self.0.term.send_if_modified(|own| {
            let is_changed = *own != term;
            *own = term;
            is_changed
        });
        self.count();
    }

    /// Sets the identity of the leader, which is used only in messages and on pages. Another program may have written
    /// any text into the Lease. So the identity is shortened, and escapes replace its invisible characters.
    pub(super) fn set_holder(&self, holder: Option<&str>) {
        let shown = |holder: &str| visible_line(holder.chars().take(LONGEST_HOLDER).collect());
        self.0.state.lock().holder = holder.map(shown);
    }

    /// Sets the problem of the last request for the Lease (`None` if it succeeded), and returns the previous problem.
    pub(super) fn set_problem(&self, problem: Option<String>) -> Option<String> {
        mem::replace(&mut self.0.state.lock().problem, problem)
    }

    /// Records that this replica has read or written the Lease.
    pub(super) fn set_joined(&self) {
        // `Relaxed` is enough, because readers of this flag read no other data that depends on it.
        self.0.has_joined.store(true, Ordering::Relaxed);
    }

    pub(super) fn scraped_at(&self) -> Uptime {
        *self.0.scraped_at.lock()
    }

    /// Counts and logs a change of the leadership.
    fn count(&self) {
        let mut state = self.0.state.lock();
        let is_leader = self.is_leader();
        if state.is_leader != is_leader {
            state.is_leader = is_leader;
            self.0.metrics.transitions.inc();
            self.0.metrics.leader.set(i64::from(is_leader));
            let lease = &self.0.lease;
            if is_leader {
                tracing::info!(
                    "this replica is the leader (lease {lease}) and serves the metrics of objects"
                );
            } else {
                tracing::info!(
                    "this replica is a standby (lease {lease}) and serves no metrics of objects"
                );
            }
        }
    }
}

/// Writes the state of the election as one line for people.
impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        let lease = &self.0.lease;
        match (self.is_leader(), &state.holder) {
            (true, _) => write!(f, "leader of lease {lease}")?,
            (false, Some(holder)) => {
                write!(f, "standby for lease {lease}, which {holder} holds")?;
            }
            (false, None) => write!(f, "standby for lease {lease}, which nobody holds")?,
        }
        match &state.problem {
            Some(problem) => write!(f, "; {problem}"),
            None => Ok(()),
        }
    }
}

// === impl Metrics ===

impl Metrics {
    fn new(lease: &str, identity: &str) -> Result<Self, prometheus::Error> {
        let own = |name: &str, help: &str| {
            Opts::new(format!("kube_state_metrics_{name}"), help)
                .const_label("lease", lease)
                .const_label("identity", identity)
        };
        Ok(Self {
            leader: IntGauge::with_opts(own(
                "leader",
                "1 if this replica leads and serves the metrics of objects, 0 if it is a standby (--ha).",
            ))?,
            transitions: IntCounter::with_opts(own(
                "leader_transitions_total",
                "How often this replica has become the leader, or has stopped being the leader \
                 (--ha).",
            ))?,
            renewal_age: Gauge::with_opts(own(
                "lease_renewal_age_seconds",
                "Time since the leader began its last successful renewal of the Lease, in seconds; absent on a standby.",
            ))?,
            unconfirmed: IntCounter::with_opts(own(
                "unconfirmed_scrapes_total",
                "Responses with the metrics of objects that this replica sent after its last \
                 renewal of the Lease had expired (--ha-on-outage=keep). The API server is then \
                 unreachable or refuses renewals, and another replica may serve the same \
                 metrics.",
            ))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_edited_lease_does_not_control_the_terminal_of_a_reader() {
        let leadership = Leadership::new("a/l", "me").unwrap();
        leadership.set_holder(Some(&format!("x\n\u{1b}[2J{}", "y".repeat(10_000))));
        let shown = leadership.to_string();
        let start = "standby for lease a/l, which x\\n\\u{1b}[2Jyyy";
        assert!(shown.starts_with(start) && shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_response_waits_at_most_two_seconds_although_hand_overs_are_repeated() {
        let seconds = Duration::from_secs;
        let left = |hold_until, now| {
            let term = Term {
                hold_until,
                ..Term::default()
            };
            let arrived_at = seconds(90);
            term.hold_left(arrived_at, now)
        };
        assert_eq!(left(seconds(91), seconds(90)), seconds(1));
        assert_eq!(left(seconds(100), seconds(90)), seconds(2));
        assert_eq!(left(seconds(100), seconds(92)), Duration::ZERO);
        assert_eq!(left(Duration::ZERO, seconds(90)), Duration::ZERO);
    }
}
