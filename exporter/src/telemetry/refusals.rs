//! The reasons why the exporter does not use the current content of configuration files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::humanize::span;

/// The configurations that the exporter has refused, one for each variant of `Changed`. A clone is another handle to
/// the same data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<BTreeMap<Changed, Refusal>>>);

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
        let since = Instant::now();
        let refusal = Refusal { error, since };
        self.0.lock().insert(changed, refusal);
    }

    /// Records that the current content of these files is in use.
    pub(crate) fn used(&self, changed: Changed) {
        self.0.lock().remove(&changed);
    }

    /// Returns a line for each configuration that the exporter has refused.
    pub(crate) fn lines(&self) -> Vec<String> {
        let refusals = self.0.lock();
        let lines = refusals.values().map(|refusal| {
            let since = span(refusal.since.elapsed().as_secs_f64());
            format!(
                "the changed configuration is not used (refused {since} ago): {}",
                refusal.error
            )
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        refusals.used(Changed::Options);
        assert!(refusals.lines()[0].contains("w.yaml"));
        refusals.used(Changed::Web);
        assert!(refusals.lines().is_empty());
    }
}
