//! The reasons why the exporter does not use the current content of configuration files: the exporter has refused the
//! content, or the new configuration still lacks objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::humanize::{span, start_of};

/// Maximum size of a reason on the landing page and in `/readyz`, in bytes. The log has the complete reason.
const MAX_REASON: usize = 16 << 10;

/// The configurations that the exporter has refused, one for each variant of `Changed`, and the configuration that
/// waits until it is complete. A clone is another handle to the same data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<Unused>>);

#[derive(Debug, Default)]
struct Unused {
    refused: BTreeMap<Changed, Refusal>,
    pending: Option<Pending>,
}

/// A configuration that replaces the running configuration when its metrics are complete.
#[derive(Debug)]
struct Pending {
    since: Instant,
    /// The resources and namespaces whose metrics are not complete, and the reasons.
    scopes: String,
}

/// A changed configuration that waits until it is complete. When this value is dropped, the wait has ended.
#[derive(Debug)]
pub(crate) struct PendingChange {
    refusals: Refusals,
    since: Instant,
}

/// The configuration files that the exporter reloads together. The options file names the file of custom resources, so
/// these two files are reloaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changed {
    /// The options file and the file of custom resources.
    Options,
    /// The web configuration file.
    Web,
}

#[derive(Debug)]
struct Refusal {
    error: String,
    since: Instant,
}

// === impl Refusals ===

impl Refusals {
    /// Records the reason why the exporter does not use the changed files. Errors about files do not quote the content
    /// of the files.
    pub(crate) fn refused(&self, changed: Changed, error: String) {
        let (since, error) = (Instant::now(), truncated(error));
        let refusal = Refusal { error, since };
        self.0.lock().refused.insert(changed, refusal);
    }

    /// Records that the exporter has tried the refused files again, and has refused them again. The time of the refusal
    /// stays the same.
    pub(crate) fn refused_again(&self, changed: Changed, error: String) {
        let error = truncated(error);
        let mut unused = self.0.lock();
        match unused.refused.get_mut(&changed) {
            Some(refusal) => refusal.error = error,
            None => {
                let since = Instant::now();
                unused.refused.insert(changed, Refusal { error, since });
            }
        }
    }

    /// Records that the current content of these files is in use.
    pub(crate) fn used(&self, changed: Changed) {
        self.0.lock().refused.remove(&changed);
    }

    /// Records that a changed configuration waits from now on. The lines show the wait after the first call of
    /// [`PendingChange::waits_for`].
    pub(crate) fn pending(&self) -> PendingChange {
        PendingChange {
            refusals: self.clone(),
            since: Instant::now(),
        }
    }

    /// Returns a line for each configuration that the exporter has refused, and for the configuration that waits.
    pub(crate) fn lines(&self) -> Vec<String> {
        let unused = self.0.lock();
        let refused = unused.refused.values().map(|refusal| {
            let since = span(refusal.since.elapsed().as_secs_f64());
            format!(
                "the changed configuration is not used (refused {since} ago): {}",
                refusal.error
            )
        });
        let pending = unused.pending.iter().map(|pending| {
            let since = span(pending.since.elapsed().as_secs_f64());
            format!(
                "the changed configuration is not used yet (waiting for {since}), because metrics would be missing for {}",
                pending.scopes
            )
        });
        refused.chain(pending).collect()
    }
}

// === impl PendingChange ===

impl PendingChange {
    /// Records the resources and namespaces for which the configuration waits now.
    pub(crate) fn waits_for(&self, scopes: String) {
        let (since, scopes) = (self.since, truncated(scopes));
        self.refusals.0.lock().pending = Some(Pending { since, scopes });
    }
}

impl Drop for PendingChange {
    fn drop(&mut self) {
        self.refusals.0.lock().pending = None;
    }
}

/// Truncates a reason to [`MAX_REASON`]. A truncated reason ends with its length.
fn truncated(reason: String) -> String {
    let all = reason.len();
    if all <= MAX_REASON {
        return reason;
    }
    let start = start_of(&reason, MAX_REASON);
    format!("{start}... ({all} bytes; the log of the exporter has all of them)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_truncated() {
        let refusals = Refusals::default();
        refusals.refused(Changed::Options, "é".repeat(1 << 20));
        let pending = refusals.pending();
        pending.waits_for("é".repeat(1 << 20));
        let lines = refusals.lines();
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert!(line.len() < MAX_REASON + 300, "{}", line.len());
            assert!(
                line.ends_with("é... (2097152 bytes; the log of the exporter has all of them)")
            );
        }
    }

    #[test]
    fn the_reason_stays_until_the_content_is_in_use() {
        let refusals = Refusals::default();
        refusals.refused(Changed::Web, "w.yaml: line 2".to_owned());
        refusals.refused(Changed::Options, "a.yaml: line 1".to_owned());
        refusals.refused(Changed::Options, "o.yaml: line 3".to_owned());
        let lines = refusals.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let (start, end) = (
            "the changed configuration is not used (refused ",
            " ago): o.yaml: line 3",
        );
        assert!(
            lines[0].starts_with(start) && lines[0].ends_with(end),
            "{lines:?}"
        );
        refusals.refused_again(Changed::Options, "o.yaml: line 4".to_owned());
        assert!(refusals.lines()[0].ends_with(" ago): o.yaml: line 4"));
        refusals.used(Changed::Options);
        assert!(refusals.lines()[0].contains("w.yaml"));
        refusals.used(Changed::Web);
        assert!(refusals.lines().is_empty());
    }

    #[test]
    fn a_configuration_that_waits_is_shown_until_the_wait_ends() {
        let refusals = Refusals::default();
        let pending = refusals.pending();
        assert!(refusals.lines().is_empty());
        pending.waits_for("pods (listing)".to_owned());
        pending.waits_for("nodes (server error: no)".to_owned());
        let lines = refusals.lines();
        let start = "the changed configuration is not used yet (waiting for ";
        assert!(lines[0].starts_with(start), "{lines:?}");
        assert!(
            lines[0].ends_with(" missing for nodes (server error: no)"),
            "{lines:?}"
        );
        drop(pending);
        assert!(refusals.lines().is_empty());
    }
}
