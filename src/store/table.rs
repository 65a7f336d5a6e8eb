//! Tables: the pages of one feeder in key order. During a list, a table marks the rows that the list contains. The
//! *tail* of a table collects the rows that the list adds after the last page, until they become a page.

use std::sync::Arc;

use super::column::MAX_ROWS;
use super::marks::Marks;
use super::page::{Identity, Page, PageLayout, RowPlace};
use super::page_builder::PageBuilder;
use super::row_cells::RowCells;
use super::updated_cells::UpdatedCells;
use crate::decode::Fingerprints;

/// The rows of one feeder, in key order. A clone shares all pages.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pages: Vec<PageSlot>,
    /// The rows that a list has added after the last page. `None` if no list is in progress, or if its objects did not
    /// arrive in the order of their keys. Usually they arrive in this order, so most rows are added at the end of the
    /// table.
    tail: Option<Box<PageBuilder>>,
    layout: PageLayout,
}

#[derive(Clone, Debug)]
struct PageSlot {
    page: Arc<Page>,
    /// A copy of the first key of the page, so that a search does not read the memory of each page.
    first_key: Box<str>,
    /// The rows that the list in progress contains.
    listed: Marks,
}

/// The result of applying an object to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Inserted,
    /// Some cells of the row changed, or a different object now has the key.
    Updated,
    /// All cells of the row are the same as before.
    Unchanged,
    /// The version of the object is lower than the stored version, so nothing changed.
    Stale,
}

/// The result of deleting an object from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Removed,
    /// There is no object with this key and uid.
    Absent,
    /// The version of the object is lower than the stored version, so nothing changed.
    Stale,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(layout: PageLayout) -> Self {
        Self {
            pages: Vec::new(),
            tail: None,
            layout,
        }
    }

    pub(crate) fn pages(&self) -> impl DoubleEndedIterator<Item = &Arc<Page>> + ExactSizeIterator {
        self.pages.iter().map(|slot| &slot.page)
    }

    pub(crate) fn page(&self, at: usize) -> Option<&Page> {
        self.pages.get(at).map(|slot| &*slot.page)
    }

    pub(crate) fn len(&self) -> usize {
        self.pages().map(|page| page.len()).sum()
    }

    /// Whether there are no rows. A table without rows has no pages, because the table removes pages without rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(crate) fn first_key(&self) -> Option<&str> {
        let first = self.pages.first().map(|slot| slot.page.first_key());
        first.or_else(|| self.filled_tail().map(PageBuilder::first_key))
    }

    pub(crate) fn last_key(&self) -> Option<&str> {
        let last = self.filled_tail().map(PageBuilder::last_key);
        last.or_else(|| self.pages.last().map(|slot| slot.page.last_key()))
    }

    /// The tail, if it has rows.
    fn filled_tail(&self) -> Option<&PageBuilder> {
        self.tail.as_deref().filter(|tail| !tail.is_empty())
    }

    /// Whether there is a row with the key.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.find(key).is_some() || self.tail.as_ref().is_some_and(|tail| tail.contains(key))
    }

    /// The page and the index of the row with this key. Does not find the rows of a list in progress that are still in
    /// the tail.
    pub(crate) fn find(&self, key: &str) -> Option<(&Page, usize)> {
        self.place_of(key).and_then(|place| self.row_at(place))
    }

    /// The place of the row with this key: the index of its page, and its index in the page.
    pub(crate) fn place_of(&self, key: &str) -> Option<RowPlace> {
        let (page, row) = self.position(key).ok()?;
        Some(RowPlace { page, row })
    }

    /// The page and the index of the row at a place.
    pub(crate) fn row_at(&self, place: RowPlace) -> Option<(&Page, usize)> {
        Some((self.page(place.page)?, place.row))
    }

    /// Stores an object. `ordered` is false while a list is in progress.
    ///
    /// With `ordered`, ignores the object if the stored version of the same uid is higher. Without `ordered`, ignores
    /// the object only if the list in progress has already contained a higher version of it.
    pub(crate) fn apply(
        &mut self,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
        ordered: bool,
    ) -> Applied {
        if self.append(identity, cells, fingerprints) {
            return Applied::Inserted;
        }
        match self.position(identity.key) {
            Err((at, row)) => {
                self.insert(at, row, identity, cells, fingerprints);
                Applied::Inserted
            }
            Ok((at, row)) => {
                let Some(slot) = self.pages.get_mut(at) else {
                    return Applied::Unchanged;
                };
                let same = slot.page.uid(row).is_some_and(|uid| uid.is(identity.uid));
                let stored = slot.page.version(row);
                let keeps_newer = ordered && same || slot.was_listed_before(row, ordered);
                if keeps_newer && is_older(identity.version, stored) {
                    return Applied::Stale;
                }
                let changed = slot.update(row, identity, cells, fingerprints);
                if changed || !same {
                    Applied::Updated
                } else {
                    Applied::Unchanged
                }
            }
        }
    }

    /// Updates the row of an object. `updated` has only the cells of families that read a changed group of fields.
    ///
    /// Returns `None` and changes nothing if the row is missing, or if `updated` and the other cells of the row do not
    /// belong to the same state of the object.
    pub(crate) fn update(
        &mut self,
        identity: Identity<'_>,
        updated: UpdatedCells<'_>,
        ordered: bool,
    ) -> Option<Applied> {
        let is_there = |(page, row): (&Page, usize)| page.key(row) == identity.key;
        let place = match self.row_at(updated.place).is_some_and(is_there) {
            true => updated.place,
            false => self.place_of(identity.key)?,
        };
        let (slot, row) = (self.pages.get_mut(place.page)?, place.row);
        if !updated.fits(&slot.page, row, identity) {
            return None;
        }
        let keeps_newer = ordered || slot.was_listed_before(row, ordered);
        if keeps_newer && is_older(identity.version, slot.page.version(row)) {
            return Some(Applied::Stale);
        }
        let unknown = Fingerprints::default();
        let fingerprints = match updated.are_kept {
            true => updated.fingerprints,
            false => &unknown,
        };
        match slot.update(row, identity, updated.cells, fingerprints) {
            true => Some(Applied::Updated),
            false => Some(Applied::Unchanged),
        }
    }

    /// Removes an object. An empty uid matches any uid. The version 0 means an unknown version.
    pub(crate) fn delete(&mut self, identity: Identity<'_>, ordered: bool) -> Deleted {
        self.finish_tail();
        let Ok((at, row)) = self.position(identity.key) else {
            return Deleted::Absent;
        };
        let Some(slot) = self.pages.get(at) else {
            return Deleted::Absent;
        };
        let same = slot.page.uid(row).is_some_and(|uid| uid.is(identity.uid));
        if !same && !identity.uid.is_empty() {
            return Deleted::Absent;
        }
        if ordered && is_older(identity.version, slot.page.version(row)) {
            return Deleted::Stale;
        }
        self.remove(at, row);
        Deleted::Removed
    }

    /// Marks the row with this key as listed. Returns whether the table has the row.
    pub(crate) fn keep(&mut self, key: &str) -> bool {
        let Ok((at, row)) = self.position(key) else {
            return self.tail.as_ref().is_some_and(|tail| tail.contains(key));
        };
        let Some(slot) = self.pages.get_mut(at) else {
            return false;
        };
        slot.listed.set(row);
        true
    }

    /// Starts a list: no row is marked as listed.
    pub(crate) fn begin_list(&mut self) {
        for slot in &mut self.pages {
            slot.listed = Marks::default();
        }
        self.tail = Some(Box::new(PageBuilder::new(self.layout)));
    }

    /// Ends a list: removes the rows that are not marked as listed, and returns their number.
    pub(crate) fn end_list(&mut self) -> usize {
        self.remove_all(|slot, row| !slot.listed.get(row))
    }

    /// Removes the rows for which `keep` returns `false`, and returns their number.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &Page, usize) -> bool) -> usize {
        self.remove_all(|slot, row| !keep(slot.page.key(row), &slot.page, row))
    }

    fn remove_all(&mut self, unwanted: impl Fn(&PageSlot, usize) -> bool) -> usize {
        self.finish_tail();
        let mut removed = 0;
        for slot in &mut self.pages {
            let rows = (0..slot.page.len())
                .rev()
                .filter(|&row| unwanted(slot, row));
            let rows: Vec<_> = rows.collect();
            removed += rows.len();
            if rows.len() == slot.page.len() {
                *slot = PageSlot::new(Page::new(self.layout));
                continue;
            }
            for row in rows {
                slot.remove(row);
            }
        }
        self.pages.retain(|slot| slot.page.len() > 0);
        removed
    }

    /// Releases spare memory.
    pub(crate) fn compact(&mut self) {
        for slot in &mut self.pages {
            if slot.page.is_loose() {
                Arc::make_mut(&mut slot.page).compact();
            }
        }
        self.pages.shrink_to_fit();
    }

    /// Adds a row of the list in progress after all other rows. Returns false if the key is not greater than all other
    /// keys, or if no list is in progress.
    fn append(
        &mut self,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) -> bool {
        if self.tail.is_some() && self.last_key().is_some_and(|last| identity.key <= last) {
            // The list is not in key order, or repeats objects. Therefore, later rows of the list probably do not
            // belong at the end of the table either.
            self.finish_tail();
        }
        let Some(tail) = &mut self.tail else {
            return false;
        };
        tail.push(identity, cells, fingerprints);
        if tail.is_full() {
            self.end_page();
        }
        true
    }

    /// Moves the rows of the tail to a page, and removes the tail.
    fn finish_tail(&mut self) {
        self.end_page();
        self.tail = None;
    }

    /// Moves the rows of the tail to a page. Later rows of the list are added to another page.
    pub(crate) fn end_page(&mut self) {
        if let Some(tail) = &mut self.tail
            && !tail.is_empty()
        {
            self.pages.push(PageSlot::listed(tail.build()));
        }
    }

    /// Inserts a page of the list in progress. Returns the page and inserts nothing if the range of its keys overlaps
    /// the range of another page or of the tail.
    pub(crate) fn insert_page(&mut self, page: Page) -> Option<Page> {
        let (first, last) = (page.first_key(), page.last_key());
        if self
            .filled_tail()
            .is_some_and(|tail| tail.last_key() < first)
        {
            self.end_page();
        }
        let at = self.pages.partition_point(|slot| &*slot.first_key <= first);
        let before = at.checked_sub(1).and_then(|before| self.pages.get(before));
        let after = match self.pages.get(at) {
            Some(slot) => Some(slot.page.first_key()),
            None => self.filled_tail().map(PageBuilder::first_key),
        };
        if before.is_some_and(|slot| slot.page.last_key() >= first)
            || after.is_some_and(|after| after <= last)
        {
            return Some(page);
        }
        self.pages.insert(at, PageSlot::listed(page));
        None
    }

    fn position(&self, key: &str) -> Result<(usize, usize), (usize, usize)> {
        // The last page whose first key is not greater than the key.
        let after = self.pages.partition_point(|slot| &*slot.first_key <= key);
        let Some(at) = after.checked_sub(1) else {
            return Err((0, 0));
        };
        match self
            .pages
            .get(at)
            .map_or(Err(0), |slot| slot.page.find(key))
        {
            Ok(row) => Ok((at, row)),
            Err(row) => Err((at, row)),
        }
    }

    fn insert(
        &mut self,
        mut at: usize,
        mut row: usize,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) {
        let layout = self.layout;
        if self.pages.is_empty() {
            self.pages.push(PageSlot::new(Page::new(layout)));
        }
        let full = self.pages.get(at).is_some_and(|slot| slot.page.is_full());
        if full && row == MAX_ROWS {
            // The objects of a list usually arrive in key order, so more rows are expected at the end. Therefore, a new
            // page begins, and the full page is not split.
            if let Some(slot) = self.pages.get_mut(at) {
                Arc::make_mut(&mut slot.page).compact();
            }
            at += 1;
            row = 0;
            self.pages.insert(at, PageSlot::new(Page::new(layout)));
        } else if full {
            let half = MAX_ROWS / 2;
            if let Some(slot) = self.pages.get_mut(at) {
                let upper = slot.split(half);
                self.pages.insert(at + 1, upper);
            }
            if row > half {
                at += 1;
                row -= half;
            }
        }
        if let Some(slot) = self.pages.get_mut(at) {
            slot.insert(row, identity, cells, fingerprints);
        }
    }

    fn remove(&mut self, at: usize, row: usize) {
        let Some(slot) = self.pages.get_mut(at) else {
            return;
        };
        slot.remove(row);
        let len = slot.page.len();
        if len == 0 {
            self.pages.remove(at);
            return;
        }
        // Each time that half of the rows are removed, the page releases their memory.
        if len.is_power_of_two() && slot.page.is_loose() {
            Arc::make_mut(&mut slot.page).compact();
        }
        if len < MAX_ROWS / 4
            && !self.join(at)
            && let Some(before) = at.checked_sub(1)
        {
            // The previous page may have few rows, too. It was not joined before, because this page had more rows.
            self.join(before);
        }
    }

    /// Joins a page with the next page, if both pages together fill at most half of a page. Returns whether the pages
    /// were joined.
    fn join(&mut self, at: usize) -> bool {
        let Some([left, right]) = self.pages.get(at..at + 2) else {
            return false;
        };
        if left.page.len() + right.page.len() > MAX_ROWS / 2 {
            return false;
        }
        let (mut joined, listed) = (left.clone(), right.listed);
        let (page, right) = (Arc::make_mut(&mut joined.page), Arc::clone(&right.page));
        let rows = page.len();
        right.for_each_row(|identity, cells, fingerprints| {
            page.insert(page.len(), identity, cells, fingerprints);
        });
        for row in 0..right.len() {
            joined.listed.put(rows + row, listed.get(row));
        }
        self.pages.remove(at + 1);
        if let Some(slot) = self.pages.get_mut(at) {
            *slot = joined;
        }
        true
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let slots = self.pages.iter().map(|slot| {
            let first_key = slot.first_key.len().next_multiple_of(16) + 16;
            slot.page.heap_bytes() + size_of::<Page>() + size_of::<PageSlot>() + first_key
        });
        slots.sum()
    }
}

/// Whether a version is lower than the stored version. `false` if one of the versions is unknown.
fn is_older(version: u64, stored: u64) -> bool {
    version != 0 && stored != 0 && version < stored
}

// === impl PageSlot ===

impl PageSlot {
    fn new(page: Page) -> Self {
        Self {
            first_key: page.first_key().into(),
            page: Arc::new(page),
            listed: Marks::default(),
        }
    }

    /// Whether the list in progress has already contained the object of a row. `ordered` is false during a list.
    ///
    /// Two threads may apply the objects of one list. If the list contains two versions of an object, the table keeps
    /// the higher version, whichever thread is first.
    fn was_listed_before(&self, row: usize, ordered: bool) -> bool {
        !ordered && self.listed.get(row)
    }

    /// Creates a slot for a page of the list in progress: all its rows are marked as listed.
    fn listed(page: Page) -> Self {
        let listed = Marks::first(page.len());
        Self {
            listed,
            ..Self::new(page)
        }
    }

    fn insert(
        &mut self,
        row: usize,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) {
        Arc::make_mut(&mut self.page).insert(row, identity, cells, fingerprints);
        self.listed.insert(row);
        if row == 0 {
            self.first_key = identity.key.into();
        }
    }

    fn remove(&mut self, row: usize) {
        Arc::make_mut(&mut self.page).remove(row);
        self.listed.remove(row);
        if row == 0 {
            self.first_key = self.page.first_key().into();
        }
    }

    /// Marks a row as listed, and replaces its cells, identity and fingerprints if they differ. Returns whether a cell
    /// differs.
    fn update(
        &mut self,
        row: usize,
        identity: Identity<'_>,
        cells: &RowCells,
        fingerprints: &Fingerprints,
    ) -> bool {
        self.listed.set(row);
        let page = &self.page;
        let first = page.first_difference(row, cells);
        // A change copies the page if a snapshot shares it. So the page is changed only if something differs.
        let differs = first.is_some()
            || page.version(row) != identity.version
            || page.uid(row).is_some_and(|uid| !uid.is(identity.uid))
            || page.has_other_fingerprints(row, fingerprints);
        if differs {
            Arc::make_mut(&mut self.page).update(row, identity, cells, first, fingerprints);
        }
        first.is_some()
    }

    /// Keeps the first `half` rows. Returns a new slot with the other rows.
    fn split(&mut self, half: usize) -> Self {
        let upper = Self {
            listed: self.listed.upper(half),
            ..Self::new(self.page.slice(half..self.page.len()))
        };
        self.page = Arc::new(self.page.truncated(half));
        upper
    }
}
