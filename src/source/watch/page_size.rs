//! [`PageSize`]: requests smaller pages of a resource whose objects are expensive.
//!
//! The reflector reads a page only as fast as it applies the objects. The API server ends each response after a minute.
//! So a page must not contain more objects than the reflector applies in this time.

use std::time::Duration;

/// The maximum number of objects in the next page.
#[derive(Debug, Default)]
pub(super) struct PageSize {
    /// `None` if the objects are not expensive.
    most: Option<u64>,
}

/// The objects of a page should be applied within this time.
const WORK_OF_PAGE: Duration = Duration::from_secs(20);

// === impl PageSize ===

impl PageSize {
    /// Returns the limit of the next page. `usual` is the limit if the objects are not expensive.
    pub(super) fn limit(&self, usual: u64) -> u64 {
        self.most.map_or(usual, |most| most.min(usual))
    }

    /// Records that `objects` of a page were applied in the time `worked`.
    pub(super) fn applied(&mut self, objects: u64, worked: Duration) {
        if objects == 0 {
            return;
        }
        let (worked, goal) = (worked.as_millis(), WORK_OF_PAGE.as_millis());
        if worked > goal {
            let most = u128::from(objects) * goal / worked;
            // The result is less than `objects`.
            self.most = Some(u64::try_from(most).unwrap_or(objects).max(1));
        } else if worked < goal / 4 {
            // The objects of this page were cheaper, so the pages may become larger again.
            self.most = self.most.map(|most| most.saturating_mul(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_expensive_objects_are_smaller_until_the_objects_are_cheap() {
        let mut size = PageSize::default();
        size.applied(500, Duration::from_secs(1));
        assert_eq!(size.limit(500), 500);
        size.applied(500, Duration::from_secs(400));
        assert_eq!(size.limit(500), 25);
        size.applied(25, Duration::from_secs(19));
        assert_eq!(size.limit(500), 25);
        size.applied(1, Duration::from_secs(3_000));
        size.applied(0, Duration::from_secs(3_000));
        assert_eq!(size.limit(500), 1);
        for limit in [2, 4, 8, 16] {
            size.applied(1, Duration::ZERO);
            assert_eq!(size.limit(500), limit);
        }
        assert_eq!(size.limit(10), 10);
    }
}
