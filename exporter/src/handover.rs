//! From one instance to the next: what the new one has to have before it takes the place of the old.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::instance::Instance;

/// How long the new instance may take for what the old one does not serve either.
const GRACE: Duration = Duration::from_secs(10);
/// A handover that takes longer is told in the log.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look at what is missing.
const LOOK: Duration = Duration::from_millis(250);

/// Objects of a resource, in one namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) resource: String,
    /// None where all namespaces are meant.
    pub(crate) namespace: Option<String>,
}

/// A part that is not complete, and why.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) part: Part,
    pub(crate) reason: String,
}

/// Waits until a new instance can take the place of an old one without a gap: it has whatever the old
/// one has, or a definite refusal of it. What else it is to have may take some seconds, no more.
pub(crate) async fn wait(old: &Instance, new: &Instance) {
    let owed = || owed(&old.held(), new.missing());
    wait_for(new.settled(), owed, |owed| {
        let owed = shown(owed);
        tracing::warn!(
            "the changed configuration is not used yet, since there would be a gap without {owed}; \
             what was in use before stays in use until then"
        );
    })
    .await;
    let missing = new.missing();
    if !missing.is_empty() {
        let missing = shown(&missing);
        tracing::warn!("the changed configuration is used, though not complete: {missing}");
    }
}

/// Waits until everything is settled, or nothing is owed any more and the rest has had its time.
async fn wait_for(
    settled: impl Future<Output = ()>,
    owed: impl Fn() -> Vec<Missing>,
    tell: impl FnOnce(&[Missing]),
) {
    let begun = Instant::now();
    let mut settled = pin!(settled);
    let mut tell = Some(tell);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut settled => return,
            _ = looks.tick() => {}
        }
        if begun.elapsed() < GRACE {
            continue;
        }
        let owed = owed();
        if owed.is_empty() {
            return;
        }
        if begun.elapsed() >= PATIENCE
            && let Some(tell) = tell.take()
        {
            tell(&owed);
        }
    }
}

/// What is missing of that which is there now.
fn owed(held: &[Part], missing: Vec<Missing>) -> Vec<Missing> {
    let is_held = |part: &Part| held.iter().any(|held| held.overlaps(part));
    let mut owed = missing;
    owed.retain(|missing| is_held(&missing.part));
    owed
}

fn shown(missing: &[Missing]) -> String {
    let all: Vec<_> = missing.iter().map(ToString::to_string).collect();
    all.join(", ")
}

// === impl Part ===

impl Part {
    fn overlaps(&self, other: &Self) -> bool {
        let all = self.namespace.is_none() || other.namespace.is_none();
        self.resource == other.resource && (all || self.namespace == other.namespace)
    }
}

// === impl Missing ===

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.part.resource)?;
        if let Some(namespace) = &self.part.namespace {
            write!(f, " of namespace {namespace}")?;
        }
        write!(f, " ({})", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{sleep, timeout};

    use super::*;

    fn part(resource: &str, namespace: &str) -> Part {
        Part {
            resource: resource.into(),
            namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
        }
    }

    fn missing(resource: &str, namespace: &str) -> Missing {
        Missing {
            part: part(resource, namespace),
            reason: "listing".into(),
        }
    }

    #[test]
    fn only_what_is_served_now_is_owed() {
        let cases = [
            ("pods", "", "pods", "", true),
            ("pods", "", "nodes", "", false),
            ("pods", "", "pods", "a", true),
            ("pods", "a", "pods", "", true),
            ("pods", "a", "pods", "a", true),
            ("pods", "a", "pods", "b", false),
        ];
        for (held, of, wanted, within, expected) in cases {
            let owed = owed(&[part(held, of)], vec![missing(wanted, within)]);
            assert_eq!(
                !owed.is_empty(),
                expected,
                "{held} of {of:?}, {wanted} of {within:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_is_used_at_once_and_what_is_new_has_some_seconds() {
        let begun = Instant::now();
        let settled = sleep(Duration::from_secs(2));
        wait_for(settled, || vec![missing("pods", "")], |_| panic!("told")).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));

        let begun = Instant::now();
        wait_for(pending(), Vec::new, |_| panic!("told")).await;
        assert_eq!(begun.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_for_what_is_owed_is_told_once() {
        let begun = Instant::now();
        let told = Cell::new(None);
        let owed = || match begun.elapsed().as_secs() {
            ..90 => vec![missing("pods", "a"), missing("nodes", "")],
            _ => Vec::new(),
        };
        let tell = |owed: &[Missing]| told.set(Some((begun.elapsed(), shown(owed))));
        let waited = timeout(Duration::from_secs(60), wait_for(pending(), owed, tell)).await;
        assert!(waited.is_err(), "there would be a gap");
        let said = "pods of namespace a (listing), nodes (listing)".to_owned();
        assert_eq!(told.take(), Some((PATIENCE, said)));

        wait_for(pending(), owed, |_| {}).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(90));
    }
}
