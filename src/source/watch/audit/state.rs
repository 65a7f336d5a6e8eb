//! [`Audit`]: the state machine for the audits of one watch. An audit checks whether the watch has missed changes.
//!
//! One audit is a *round*. A round first requests the number of objects. If the number is wrong, or if the watch does
//! not reach the version of the response in time, there is a *suspicion*. The round then lists the metadata of all
//! objects and compares it with the rows of the store. If two comparisons find the same *difference*, the watch lists
//! all objects again. The module `audit` has more details.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::{Instant, sleep_until};

use super::super::failure::Failure;
use super::comparison::{Comparison, Difference, Listed};
use super::lister::{Lister, Probe};
use super::received::ReceivedObjects;
use super::rotation::{Member, Rotation};
use super::skips::Skips;
use super::task::Task;
use crate::scope::ObjectFilter;
use crate::store::FeederRows;

/// The state machine for the audits of one watch.
///
/// The task of the watch calls the methods of this type, so that a comparison happens between two events of the watch.
pub(in crate::source::watch) struct Audit {
    interval: Duration,
    member: Member,
    stage: Stage,
    /// The time at which the next round begins.
    due: Instant,
    rounds: usize,
    /// Whether the watch was too late in this round: it did not reach the version of a response in time.
    is_late: bool,
    /// The suspicion that caused this round to list the metadata. `None` if no suspicion caused such a list.
    suspicion: Option<Suspicion>,
    /// The differences that the first comparison found. The second comparison must confirm them.
    suspects: Option<HashMap<u64, Difference>>,
    /// Whether an audit has caused a list of all objects, and the next comparison must check whether this list has
    /// removed the differences.
    is_verifying: bool,
    /// The objects whose differences caused the last list of all objects, as hashes of their keys.
    healed: HashSet<u64>,
    /// Whether the last list of all objects was the second in a row: a comparison had found differences after the first
    /// list, too.
    is_second_list: bool,
    count_skips: Skips,
    late_skips: Skips,
    /// The number of consecutive rounds that have failed.
    failed_rounds: u32,
    /// The next rounds, which must not list all objects: earlier lists did not remove the differences.
    list_skips: Skips,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    /// The number of objects in the response differs from the number of received objects.
    Count,
    /// The watch did not reach the version of the response in time.
    Late,
}

enum Stage {
    /// The audit does nothing until this time.
    Resting {
        until: Instant,
    },
    /// The audit has requested the number of objects.
    Probing(Task<Result<Probe, Failure>>),
    /// The response with the number of objects has arrived. The audit waits until the watch has reached the version of
    /// the response, at most until this time.
    Probed {
        probe: Probe,
        until: Instant,
    },
    /// The audit has requested the metadata of all objects.
    Listing(Task<Result<Listed, Failure>>),
    /// The list has arrived. The audit waits until the watch has reached the version of the list, at most until this
    /// time.
    Listed {
        listed: Listed,
        until: Instant,
    },
    Comparing(Task<Comparison>),
    /// The second comparison begins at this time.
    Confirming {
        until: Instant,
    },
    /// A placeholder during a change of the stage.
    Between,
}

/// What the watch must do next for its audit.
pub(in crate::source::watch) enum Step {
    /// Wait for [`Audit::changed`] or for the next event.
    Wait,
    /// Request the number of objects.
    Probe,
    /// List the metadata of the objects. If `confirms` is true, the list is for the second comparison, and the
    /// recording of changes continues.
    List { confirms: bool },
    /// Compare a list with the rows of the store.
    Compare(Listed),
    /// A comparison has ended, and has confirmed no difference. `without_row` stands for existing objects that have no
    /// row for a known reason: it contains the hashes of their keys.
    Compared { without_row: HashSet<u64> },
    /// The round has ended without a difference. `compared` is true if the objects were compared, and not only their
    /// number.
    Agreed { compared: bool },
    /// The round has ended without a result, for example because a request failed.
    Unknown(Option<Failure>),
    /// Two comparisons have found the same differences.
    Differs(Finding),
}

/// The differences that the second comparison has confirmed.
#[derive(Debug)]
pub(in crate::source::watch) struct Finding {
    /// How each of the objects differs.
    pub(in crate::source::watch) differences: Vec<Difference>,
    /// The names of some of the objects in alphabetical order, and how they differ.
    pub(in crate::source::watch) examples: Vec<(String, Difference)>,
    /// Whether the watch did not reach the version of the list in time. The reason may be that the API server sends no
    /// changes to this watch, so the log shows this value.
    pub(in crate::source::watch) is_mute: bool,
    /// Whether to list all objects now. After a list that did not remove the differences, the next rounds do not list
    /// the objects.
    pub(in crate::source::watch) heals: bool,
}

/// The time within which a watch must reach the version of a response. API servers send a bookmark about once a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// Replaces [`PATIENCE`] if the watch has already failed to reach the version of a response in this round.
const LATE_PATIENCE: Duration = Duration::from_secs(10);
/// The number of consecutive failed rounds after which the log has a warning.
pub(in crate::source::watch) const MANY_FAILED: u32 = 3;
/// Maximum number of objects that a log message names.
const MAX_NAMED: usize = 5;
/// How long an audit waits before a second comparison, and before a comparison after a list of all objects.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);

// === impl Audit ===

impl Audit {
    /// Creates the state machine. The first round begins between half an interval and one interval later.
    pub(in crate::source::watch) fn new(interval: Duration, rotation: &Arc<Rotation>) -> Self {
        let due = Instant::now() + interval.mul_f64(0.5 + fastrand::f64() / 2.0);
        Self {
            interval,
            member: Arc::clone(rotation).join(),
            stage: Stage::Resting { until: due },
            due,
            rounds: 0,
            is_late: false,
            suspicion: None,
            suspects: None,
            is_verifying: false,
            healed: HashSet::new(),
            is_second_list: false,
            count_skips: Skips::default(),
            late_skips: Skips::default(),
            failed_rounds: 0,
            list_skips: Skips::default(),
        }
    }

    /// Waits until the audit has a next step. Then call [`next`](Self::next). If `audit` is `None`, the future never
    /// resolves.
    pub(in crate::source::watch) async fn changed(audit: Option<&mut Self>) {
        let Some(audit) = audit else {
            return std::future::pending().await;
        };
        match &mut audit.stage {
            Stage::Probing(task) => task.finished().await,
            Stage::Listing(task) => task.finished().await,
            Stage::Comparing(task) => task.finished().await,
            Stage::Resting { until }
            | Stage::Probed { until, .. }
            | Stage::Listed { until, .. }
            | Stage::Confirming { until } => sleep_until(*until).await,
            Stage::Between => {}
        }
    }

    /// Returns what the watch must do next. `version` is the resource version up to which the watch has received all
    /// changes.
    pub(in crate::source::watch) fn next(
        &mut self,
        version: u64,
        received: &ReceivedObjects,
    ) -> Step {
        let now = Instant::now();
        match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Resting { until } if until <= now => self.begin(now),
            Stage::Confirming { until } if until <= now => Step::List { confirms: true },
            Stage::Probing(mut task) => match task.take() {
                Some(Ok(probe)) => {
                    let until = now + PATIENCE;
                    self.probed(probe, until, version, received)
                }
                Some(Err(failure)) => self.unknown(Some(failure)),
                None => self.stay(Stage::Probing(task)),
            },
            Stage::Probed { probe, until } => self.probed(probe, until, version, received),
            Stage::Listing(mut task) => match task.take() {
                Some(Ok(listed)) => {
                    let patience = if self.is_late {
                        LATE_PATIENCE
                    } else {
                        PATIENCE
                    };
                    self.listed(listed, now + patience, version)
                }
                Some(Err(failure)) => self.unknown(Some(failure)),
                None => self.stay(Stage::Listing(task)),
            },
            Stage::Listed { listed, until } => self.listed(listed, until, version),
            Stage::Comparing(mut task) => match task.take() {
                Some(comparison) => self.compared(comparison, now),
                None => self.stay(Stage::Comparing(task)),
            },
            Stage::Between => self.unknown(None),
            stage => self.stay(stage),
        }
    }

    fn stay(&mut self, stage: Stage) -> Step {
        self.stage = stage;
        Step::Wait
    }

    /// Begins a round.
    fn begin(&mut self, now: Instant) -> Step {
        self.is_late = false;
        self.suspicion = None;
        self.suspects = None;
        if self.is_verifying {
            return Step::List { confirms: false };
        }
        self.due = self.next_due(now);
        self.rounds = self.rounds.wrapping_add(1);
        self.list_skips.skip();
        if self.member.has_turn(self.rounds) {
            Step::List { confirms: false }
        } else {
            Step::Probe
        }
    }

    /// Compares two numbers of objects at the same version: the number in the server, and the number that the watch has
    /// received.
    fn probed(
        &mut self,
        probe: Probe,
        until: Instant,
        version: u64,
        received: &ReceivedObjects,
    ) -> Step {
        let is_late = version < probe.version;
        if is_late && Instant::now() < until {
            return self.stay(Stage::Probed { probe, until });
        }
        let Some(window) = received.window() else {
            return self.unknown(received.too_many_changes());
        };
        let own = window.count_at(probe.version);
        let differs = probe.count.is_some_and(|count| count != own);
        self.is_late = is_late;
        let (suspicion, skips) = match (differs, is_late) {
            (true, _) => (Suspicion::Count, &mut self.count_skips),
            (false, true) => (Suspicion::Late, &mut self.late_skips),
            (false, false) => {
                self.late_skips.reset();
                if probe.count.is_none() {
                    return self.unknown(None);
                }
                self.count_skips.reset();
                return self.agreed(false);
            }
        };
        if skips.skip() {
            return self.unknown(None);
        }
        self.suspicion = Some(suspicion);
        Step::List { confirms: false }
    }

    /// Compares a list with the rows when the watch has reached the version of the list, or when the time `until` has
    /// passed.
    fn listed(&mut self, listed: Listed, until: Instant, version: u64) -> Step {
        let is_late = version < listed.version;
        if is_late && Instant::now() < until {
            return self.stay(Stage::Listed { listed, until });
        }
        self.is_late = is_late;
        Step::Compare(listed)
    }

    /// Decides what follows a comparison: a second comparison, a new list of all objects, or the end of the round.
    fn compared(&mut self, comparison: Comparison, now: Instant) -> Step {
        let Comparison {
            differences,
            names,
            without_row,
        } = comparison;
        let Some(suspects) = self.suspects.take() else {
            if differences.is_empty() {
                // The suspicion was wrong, if there was one. Ignore the same suspicion for some rounds, because some
                // servers cause it in each round: they send old bookmarks or inexact numbers.
                match self.suspicion {
                    Some(Suspicion::Count) => self.count_skips.grow(),
                    Some(Suspicion::Late) => self.late_skips.grow(),
                    None => {}
                }
                self.is_verifying = false;
                self.list_skips.reset();
            } else {
                self.suspects = Some(differences);
                self.stage = Stage::Confirming {
                    until: now + CONFIRM_AFTER,
                };
            }
            return Step::Compared { without_row };
        };
        let confirmed = differences.into_iter();
        let confirmed: HashMap<_, _> = confirmed
            .filter(|(key, how)| suspects.get(key) == Some(how))
            .collect();
        if confirmed.is_empty() {
            self.is_verifying = false;
            self.list_skips.reset();
            return Step::Compared { without_row };
        }
        let examples = names.into_sorted().take(MAX_NAMED);
        let examples = examples.filter_map(|(name, key)| Some((name, *confirmed.get(&key)?)));
        let examples = examples.collect();
        let (keys, differences): (HashSet<_>, Vec<_>) = confirmed.into_iter().unzip();
        let was_verifying = std::mem::take(&mut self.is_verifying);
        // After a list of all objects, other objects may differ, because the watch has missed further changes. Then
        // list all objects a second time immediately, but not a third time: a watch that always misses changes must not
        // cause one list after another.
        if was_verifying && (self.is_second_list || !keys.is_disjoint(&self.healed)) {
            self.list_skips.grow();
        }
        self.is_second_list = was_verifying;
        self.healed = keys;
        let heals = !self.list_skips.is_active();
        self.is_verifying = heals;
        self.failed_rounds = 0;
        self.rest();
        Step::Differs(Finding {
            differences,
            examples,
            is_mute: self.is_late,
            heals,
        })
    }

    /// Call this method after [`Step::Compared`]. The method returns [`Step::Wait`] if a second comparison follows.
    /// Otherwise, it ends the round.
    pub(in crate::source::watch) fn after_comparison(&mut self) -> Step {
        match self.stage {
            Stage::Confirming { .. } => Step::Wait,
            _ => self.agreed(true),
        }
    }

    fn agreed(&mut self, compared: bool) -> Step {
        self.failed_rounds = 0;
        self.rest();
        Step::Agreed { compared }
    }

    /// Ends the round without a result.
    pub(in crate::source::watch) fn unknown(&mut self, failure: Option<Failure>) -> Step {
        self.rest();
        Step::Unknown(failure)
    }

    /// Counts a round that has failed. Returns `true` if [`MANY_FAILED`] rounds in a row have failed. Until a round
    /// succeeds, the method returns `true` only once.
    pub(in crate::source::watch) fn fails_often(&mut self) -> bool {
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        self.failed_rounds == MANY_FAILED
    }

    /// Waits for the next round.
    fn rest(&mut self) {
        let now = Instant::now();
        if self.due <= now {
            self.due = self.next_due(now);
        }
        self.stage = Stage::Resting { until: self.due };
    }

    /// Returns the time at which the next round begins. The time until then varies, so that watches do not send their
    /// requests at the same time.
    fn next_due(&self, now: Instant) -> Instant {
        now + self.interval.mul_f64(0.9 + fastrand::f64() / 5.0)
    }

    /// Starts to request the number of objects.
    pub(in crate::source::watch) fn probe(&mut self, lister: Lister) {
        self.stage = Stage::Probing(Task::spawn(lister.probe()));
    }

    /// Starts to list the objects.
    pub(in crate::source::watch) fn list(
        &mut self,
        lister: Lister,
        filter: Arc<ObjectFilter>,
        hasher: RandomState,
    ) {
        let suspects = self.suspects.clone().unwrap_or_default();
        self.stage = Stage::Listing(Task::spawn(lister.objects(filter, hasher, suspects)));
    }

    /// Starts to compare a list with the rows of the store. Returns `None` if some of the changes during the audit were
    /// not recorded.
    pub(in crate::source::watch) fn compare(
        &mut self,
        listed: Listed,
        rows: FeederRows,
        received: &ReceivedObjects,
    ) -> Option<()> {
        let touched = received.window()?.touched();
        let without_row = received.without_row().clone();
        let compare = move || listed.compare(&rows, &touched, &without_row);
        self.stage = Stage::Comparing(Task::spawn_blocking(compare));
        Some(())
    }

    /// Ends the round, because the watch has listed all its objects again.
    pub(in crate::source::watch) fn relisted(&mut self) {
        self.suspects = None;
        self.rest();
        if self.is_verifying {
            self.stage = Stage::Resting {
                until: Instant::now() + CONFIRM_AFTER,
            };
        }
    }
}
