//! Waits for files that the last refused configuration requires, but that did not exist.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

/// The time between two checks whether a missing file of a refused configuration exists.
const APPEARANCE_CHECK: Duration = Duration::from_secs(5);
/// How long a check whether files exist waits for the file system.
const EXISTENCE_CHECK: Duration = Duration::from_secs(3);

/// Returns the files that do not exist; `None` if the file system does not respond.
pub(super) async fn missing_files(mut files: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
    let check = tokio::task::spawn_blocking(move || {
        files.retain(|file| matches!(file.try_exists(), Ok(false)));
        files
    });
    timeout(EXISTENCE_CHECK, check).await.ok()?.ok()
}

/// Waits until at least one of these files exists. If there are no files, the future never resolves.
pub(super) async fn any_appears(files: &[PathBuf]) {
    if files.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        let missing = missing_files(files.to_vec()).await;
        if missing.is_some_and(|missing| missing.len() < files.len()) {
            return;
        }
        tokio::time::sleep(APPEARANCE_CHECK).await;
    }
}
