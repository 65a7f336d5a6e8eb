//! [`ListProgress`]: detects a paged list that does not end.
//!
//! A page contains a token (`metadata.continue`) for the request of the next page. A token contains the key of the next
//! object, so all pages of a correct list have different tokens and objects. If a page occurs twice, the list does not
//! end. The limits in this module are far above the needs of the largest clusters. These have about a million objects
//! of a resource.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::failure::Failure;
use crate::source::health::FailureReason;

/// The progress of one paged list.
pub(super) struct ListProgress {
    /// The time when the list began. The time in which the reflector applies objects, or waits until other feeds
    /// release memory, moves this time forward, so that it does not count.
    began: Instant,
    /// Number of received objects, including objects that are not stored.
    objects: u64,
    pages: u64,
    pages_without_objects: u64,
    page_has_objects: bool,
    /// Hashes of the tokens and of the first object of each page.
    seen: HashSet<u64>,
    hasher: RandomState,
    is_reported: bool,
}

/// Maximum number of pages.
const MAX_PAGES: u64 = 100_000;
/// Maximum number of consecutive pages without objects. Servers may send such pages if a selector excludes objects.
const MAX_EMPTY_PAGES: u64 = 1_000;
/// A list is logged if it takes at least this time, or has at least [`MANY_PAGES`] pages.
const LONG: Duration = Duration::from_secs(300);
const MANY_PAGES: u64 = 5_000;

// === impl ListProgress ===

impl ListProgress {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            objects: 0,
            pages: 0,
            pages_without_objects: 0,
            page_has_objects: false,
            seen: HashSet::new(),
            hasher: RandomState::default(),
            is_reported: false,
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Excludes `time` from the duration of the list. In this time, the reflector applied objects, or waited until
    /// other feeds released memory, so the server is not slow.
    pub(super) fn exclude_work(&mut self, time: Duration) {
        self.began += time;
    }

    pub(super) fn objects(&self) -> u64 {
        self.objects
    }

    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// Counts an object of a list that may have at most `most` objects. `bytes` is the object, or `None` if the object
    /// was not buffered. The bytes of the first object of a page identify the page.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has already sent this page, or if there are too many objects.
    pub(super) fn object(
        &mut self,
        most: Option<u64>,
        bytes: Option<&[u8]>,
    ) -> Result<(), Failure> {
        count_object(&mut self.objects, most)?;
        let is_first = !std::mem::replace(&mut self.page_has_objects, true);
        match bytes {
            Some(bytes) if is_first && !self.is_new(bytes) => {
                Err(endless("the server repeats a page of the list"))
            }
            _ => Ok(()),
        }
    }

    /// Counts a page. `token` is the token for the next page.
    ///
    /// # Errors
    ///
    /// Returns an error if the server has already sent this token, or if there are too many pages.
    pub(super) fn page(&mut self, token: &str) -> Result<(), Failure> {
        self.pages += 1;
        let is_empty = !std::mem::take(&mut self.page_has_objects);
        self.pages_without_objects = if is_empty {
            self.pages_without_objects + 1
        } else {
            0
        };
        if self.pages_without_objects > MAX_EMPTY_PAGES {
            let message =
                format!("more than {MAX_EMPTY_PAGES} consecutive pages of the list are empty");
            return Err(endless(message));
        }
        if self.pages > MAX_PAGES {
            return Err(endless(format!("the list has more than {MAX_PAGES} pages")));
        }
        if !self.is_new(token.as_bytes()) {
            return Err(endless("the server repeats a page of the list"));
        }
        Ok(())
    }

    /// Whether the list is unusually long. Returns true only once.
    pub(super) fn becomes_long(&mut self) -> bool {
        let is_long = self.pages >= MANY_PAGES || self.began.elapsed() >= LONG;
        is_long && !std::mem::replace(&mut self.is_reported, true)
    }

    fn is_new(&mut self, bytes: &[u8]) -> bool {
        self.seen.insert(self.hasher.hash_one(bytes))
    }
}

/// The failure for a list that does not end.
fn endless(message: impl Into<String>) -> Failure {
    Failure::new(FailureReason::DecodeError, message)
}

/// Counts an object of a list that may have at most `most` objects.
///
/// # Errors
///
/// Returns an error if there are too many objects.
pub(super) fn count_object(objects: &mut u64, most: Option<u64>) -> Result<(), Failure> {
    *objects += 1;
    match most {
        Some(most) if *objects > most => {
            Err(endless(format!("the list has more than {most} objects")))
        }
        _ => Ok(()),
    }
}

pub(super) fn took_too_long(limit: Duration) -> Failure {
    endless(format!("the list did not end within {limit:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pages of two objects and returns the first failure. `pages` contains the token and the first object of
    /// each page.
    fn failure(pages: impl IntoIterator<Item = (String, String)>) -> Option<String> {
        let mut progress = ListProgress::new();
        pages.into_iter().find_map(|(token, first)| {
            let objects = [first.as_str(), "other"].into_iter();
            let mut objects = objects.map(|own| progress.object(None, Some(own.as_bytes())));
            let failed = objects.find_map(Result::err);
            let failed = failed.or_else(|| progress.page(&token).err());
            failed.map(|failure| failure.message)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn pages_that_repeat_in_any_cycle_are_recognized() {
        let repeats = Some(String::from("the server repeats a page of the list"));
        for cycle in [1, 2, 3, 1_000] {
            let token = |at: u64| (at % cycle).to_string();
            let tokens = (0..2 * cycle).map(|at| (token(at), at.to_string()));
            assert_eq!(failure(tokens), repeats, "tokens, cycle of {cycle}");
            let objects = (0..2 * cycle).map(|at| (at.to_string(), format!("first{}", token(at))));
            assert_eq!(failure(objects), repeats, "objects, cycle of {cycle}");
        }
        let honest = (0..10_000).map(|at| (format!("token{at}"), format!("object{at}")));
        assert_eq!(failure(honest), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_without_an_end_are_recognized() {
        let endless = (0..2 * MAX_PAGES).map(|at| (format!("token{at}"), format!("object{at}")));
        let message = failure(endless);
        assert_eq!(
            message.as_deref(),
            Some("the list has more than 100000 pages")
        );

        let mut progress = ListProgress::new();
        let failed = (0..=MAX_EMPTY_PAGES).find_map(|at| progress.page(&at.to_string()).err());
        let message = failed.map(|failure| failure.message);
        let empty = "more than 1000 consecutive pages of the list are empty";
        assert_eq!(message.as_deref(), Some(empty));

        let mut progress = ListProgress::new();
        let failed = (0..5).find_map(|_| progress.object(Some(3), None).err());
        let message = failed.map(|failure| failure.message);
        assert_eq!(message.as_deref(), Some("the list has more than 3 objects"));
        assert_eq!(progress.objects(), 4);
    }
}
