//! [`ManifestReadings`]: shows which files the last reading of the manifests could not read completely.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kube_state_metrics::source::manifests::LastReading;
use tokio::sync::watch;

/// The readings of the manifests of an instance.
#[derive(Debug, Default)]
pub(super) struct ManifestReadings {
    last: watch::Sender<Reading>,
}

/// A reading that has ended.
#[derive(Debug, Default)]
struct Reading {
    /// The files with objects of an earlier reading that stay, because a file is incomplete or may still change; `None`
    /// before the first reading.
    incomplete: Option<BTreeSet<PathBuf>>,
    last: LastReading,
}

// === impl ManifestReadings ===

impl ManifestReadings {
    /// Records the end of a reading.
    pub(super) fn end(&self, incomplete: &[PathBuf], last: LastReading) {
        let incomplete = Some(incomplete.iter().cloned().collect());
        self.last.send_replace(Reading { incomplete, last });
    }

    /// What the source knows about the files of its last reading.
    pub(super) fn last(&self) -> LastReading {
        self.last.borrow().last.clone()
    }

    /// The files that the last reading could not read completely.
    pub(super) fn incomplete(&self) -> BTreeSet<PathBuf> {
        self.last.borrow().incomplete.clone().unwrap_or_default()
    }

    /// Waits until a reading has found all objects.
    pub(super) async fn read_completely(&self) {
        let mut last = self.last.subscribe();
        let is_complete =
            |reading: &Reading| reading.incomplete.as_ref().is_some_and(BTreeSet::is_empty);
        // The wait cannot fail, because `self` has the sender.
        let _ = last.wait_for(is_complete).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_reading_with_all_objects_ends_the_wait() {
        let readings = ManifestReadings::default();
        let wait = Duration::from_secs(100);
        let mut complete = pin!(readings.read_completely());
        assert!(timeout(wait, &mut complete).await.is_err());
        let path = PathBuf::from("a.yaml");
        readings.end(&[path.clone(), path.clone()], LastReading::default());
        assert!(timeout(wait, &mut complete).await.is_err());
        assert!(readings.incomplete().into_iter().eq([path]));
        readings.end(&[], LastReading::default());
        assert!(timeout(wait, &mut complete).await.is_ok());
    }
}
