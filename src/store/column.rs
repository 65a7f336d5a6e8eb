//! One column of a page. For each row of the page, a column has a *cell*, which is a piece of text. Equal cells are
//! stored once: the column has one *entry* for all of them.

use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::FixedState;

use crate::decode;
use crate::family::referenced_labels::REFERENCE_MARK;

pub(super) use builder::ColumnBuilder;

mod builder;

/// Maximum number of rows of a page. A column stores the number of a cell for each row, in one byte. Number 0 is the
/// empty cell, so 255 numbers remain for other cells.
pub(crate) const MAX_ROWS: usize = 255;

/// The cells of all rows of a page for one family, or for one set of base labels.
///
/// A store clones a column to change it while a snapshot shares it. From then on, only snapshots hold the cloned column
/// (see [`replaced_bytes`]).
#[derive(Debug)]
pub(crate) struct Column {
    /// A number that changes whenever the column changes. No other column in the process has this number.
    version: u64,
    /// The text of the distinct cells, one after another. The text of removed cells stays until new text overwrites it,
    /// or until the used text is copied to new memory.
    text: Vec<u8>,
    /// The positions of the distinct cells in `text`. The first cell is always the empty cell.
    entries: Vec<Entry>,
    index: Index,
    /// Whether any cell has a code, or had one before. A code is a byte that refers to a value in the dictionary of the
    /// row.
    coded: bool,
    /// Bytes of `text` that no row uses.
    unused: u32,
    /// The total length of the cells of all rows, in bytes. If several rows have the same cell, this cell counts
    /// several times.
    bytes: u64,
    /// The total number of lines of the cells of all rows. If several rows have the same cell, this cell counts several
    /// times.
    lines: u64,
    /// The number of bytes by which this column increases [`REPLACED`].
    replaced: AtomicUsize,
}

/// The memory of all columns in the process that only snapshots hold, in bytes.
static REPLACED: AtomicUsize = AtomicUsize::new(0);

/// For each row, the index of its cell in `entries`.
#[derive(Clone, Debug)]
enum Index {
    /// All rows have the same entry.
    Uniform(u8),
    Each(Vec<u8>),
}

/// Returns how much memory the snapshots in the process hold that the stores do not need any more, in bytes.
///
/// A response in progress holds the rows as they were when the response began. If the rows change during a slow
/// response, they are in memory twice. The result does not include rows that were deleted with their whole page, and
/// rows that a list has replaced.
///
/// ```
/// assert_eq!(kube_state_metrics::store::replaced_bytes(), 0, "no response is in progress");
/// ```
#[must_use]
pub fn replaced_bytes() -> usize {
    REPLACED.load(Ordering::Relaxed)
}

/// Computes the hashes of cells, with a random key. The search for a cell compares the text of all cells with the same
/// hash. With a known key, an attacker could create many cells with the same hash, so that the search becomes slow.
static HASHER: LazyLock<FixedState> = LazyLock::new(|| FixedState::with_seed(decode::random()));

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
    hash: u32,
    rows: u16,
}

impl Column {
    /// Creates a column of `rows` empty cells.
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            version: next_version(),
            text: Vec::new(),
            entries: vec![Entry {
                rows: u16::try_from(rows).unwrap_or(u16::MAX),
                ..Entry::EMPTY
            }],
            index: Index::Uniform(0),
            coded: false,
            unused: 0,
            bytes: 0,
            lines: 0,
            replaced: AtomicUsize::new(0),
        }
    }

    /// Returns a number that changes whenever the column changes.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether cells may have codes. A code is a byte that refers to a value in the dictionary of the row.
    #[cfg(feature = "gzip")]
    pub(crate) fn is_coded(&self) -> bool {
        self.coded
    }

    /// The total length of the cells of all rows, in bytes. If several rows have the same cell, this cell counts
    /// several times.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The average length of a cell, in bytes.
    pub(crate) fn average(&self) -> usize {
        let rows: usize = self
            .entries
            .iter()
            .map(|entry| usize::from(entry.rows))
            .sum();
        usize::try_from(self.bytes).unwrap_or(usize::MAX) / rows.max(1)
    }

    /// The length of the longest cell, in bytes.
    pub(crate) fn longest(&self) -> usize {
        let used = self.entries.iter().filter(|entry| entry.rows > 0);
        used.map(|entry| entry.len as usize)
            .max()
            .unwrap_or_default()
    }

    /// The total number of lines of the cells of all rows. If several rows have the same cell, this cell counts several
    /// times.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The cell of `row`. The result is empty if the page has no such row.
    pub(crate) fn cell(&self, row: usize) -> &[u8] {
        let entry = self.entries.get(self.cell_number(row));
        entry.map_or(&[], |entry| self.text_of(entry))
    }

    /// The distinct cells, in the order of their numbers. The result may include cells that no row uses any more.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| self.text_of(entry))
    }

    /// The number of the cell of `row` in [`cells`](Self::cells).
    pub(crate) fn cell_number(&self, row: usize) -> usize {
        usize::from(self.entry_of(row))
    }

    /// Returns the memory of the column, in bytes, without the struct `Column` itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let index = match &self.index {
            Index::Uniform(_) => 0,
            Index::Each(rows) => rows.capacity(),
        };
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>() + index
    }

    /// Replaces the cell of `row` in a column with `rows` rows.
    pub(crate) fn set(&mut self, row: usize, rows: usize, cell: &[u8]) {
        let old = self.entry_of(row);
        self.uncount(old);
        self.release(old);
        let new = self.intern(cell);
        if let Index::Each(index) = &mut self.index {
            if let Some(slot) = index.get_mut(row) {
                *slot = new;
            }
        } else if old != new {
            let mut index = vec![old; rows];
            if let Some(slot) = index.get_mut(row) {
                *slot = new;
            }
            self.index = Index::Each(index);
        }
        self.count(cell);
        self.touch();
    }

    /// Inserts a cell before `row`, into a column that has `rows` rows.
    pub(crate) fn insert(&mut self, row: usize, rows: usize, cell: &[u8]) {
        let new = self.intern(cell);
        match &mut self.index {
            Index::Uniform(entry) if *entry == new => {}
            Index::Uniform(_) if rows == 0 => self.index = Index::Uniform(new),
            Index::Uniform(entry) => {
                let mut index = Vec::with_capacity(MAX_ROWS.min((rows + 1) * 2));
                index.resize(rows, *entry);
                index.insert(row.min(rows), new);
                self.index = Index::Each(index);
            }
            Index::Each(index) => index.insert(row.min(rows), new),
        }
        self.count(cell);
        self.touch();
    }

    /// Removes the cell of `row`.
    pub(crate) fn remove(&mut self, row: usize) {
        let old = self.entry_of(row);
        self.uncount(old);
        self.release(old);
        if let Index::Each(index) = &mut self.index
            && row < index.len()
        {
            index.remove(row);
        }
        if self.is_mostly_unused() {
            self.pack();
        }
        self.touch();
    }

    /// Returns a column with the cells of the rows in `range`, without unused text and without spare memory.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let mut column = Self::new(0);
        for (to, row) in range.enumerate() {
            column.insert(to, to, self.cell(row));
        }
        column.text.shrink_to_fit();
        column.entries.shrink_to_fit();
        if let Index::Each(index) = &mut column.index {
            index.shrink_to_fit();
        }
        column
    }

    /// Whether unused text and spare memory are a large part of the column's memory.
    pub(crate) fn is_loose(&self) -> bool {
        let spare = self.text.capacity() - self.text.len() + self.unused as usize;
        spare > 64 && spare * 4 > self.text.len() || self.has_spare_entries()
    }

    /// Whether less than a quarter of the memory of the entries is in use.
    fn has_spare_entries(&self) -> bool {
        let used = self.entries.iter().filter(|entry| entry.rows > 0);
        let capacity = self.entries.capacity();
        capacity > 16 && used.count() * 4 < capacity
    }

    /// Whether no row uses more than half of the text. The text is then copied, which takes less time than the changes
    /// that caused the unused text.
    fn is_mostly_unused(&self) -> bool {
        self.unused as usize > self.text.len() / 2 + 64
    }

    fn entry_of(&self, row: usize) -> u8 {
        match &self.index {
            Index::Uniform(entry) => *entry,
            Index::Each(index) => index.get(row).copied().unwrap_or(0),
        }
    }

    fn text_of(&self, entry: &Entry) -> &[u8] {
        entry.text_in(&self.text)
    }

    fn touch(&mut self) {
        self.version = next_version();
    }

    fn count(&mut self, cell: &[u8]) {
        self.bytes += cell.len() as u64;
        self.lines += count_lines(cell);
    }

    fn uncount(&mut self, entry: u8) {
        if let Some(entry) = self.entries.get(usize::from(entry)) {
            let cell = self.text_of(entry);
            let (bytes, lines) = (cell.len() as u64, count_lines(cell));
            self.bytes = self.bytes.saturating_sub(bytes);
            self.lines = self.lines.saturating_sub(lines);
        }
    }

    fn release(&mut self, entry: u8) {
        if let Some(entry) = self.entries.get_mut(usize::from(entry)) {
            entry.rows = entry.rows.saturating_sub(1);
            if entry.rows == 0 {
                self.unused += entry.len;
            }
        }
    }

    /// Returns the number of the entry for `cell`. Adds one to the number of rows that use this entry. Creates the
    /// entry if it is missing.
    fn intern(&mut self, cell: &[u8]) -> u8 {
        if cell.is_empty() {
            if let Some(empty) = self.entries.first_mut() {
                empty.rows += 1;
            }
            return 0;
        }
        // A cell of 4 GiB or more becomes an empty cell, because lengths have 32 bits. The objects that an API server
        // can store never cause such a cell.
        let Ok(len) = u32::try_from(cell.len()) else {
            return self.intern(&[]);
        };
        let hash = hash_of(cell);
        let (mut free, mut fitting) = (None, None);
        for number in 1..self.entries.len() {
            let Some(entry) = self.entries.get(number) else {
                break;
            };
            if entry.hash == hash && entry.len == len && self.text_of(entry) == cell {
                return self.reuse(number);
            }
            if entry.rows == 0 {
                free = free.or(Some(number));
                if entry.len == len {
                    fitting = Some(number);
                }
            }
        }
        // Often the new cell has the same length as the replaced cell, for example if only a time or a count has
        // changed. Then the new cell overwrites the memory of the replaced cell.
        if let Some(number) = fitting {
            return self.overwrite(number, hash, cell);
        }
        if self.is_mostly_unused() {
            self.pack();
        }
        let start = self.text.len();
        let Ok(start) = u32::try_from(start).and_then(|s| {
            s.checked_add(len)
                .map_or(u32::try_from(u64::MAX), |_| Ok(s))
        }) else {
            return self.intern(&[]);
        };
        // The memory grows by one eighth and does not double, because there are thousands of columns, each with spare
        // memory.
        if self.text.capacity() - self.text.len() < cell.len() {
            self.text.reserve_exact(cell.len().max(self.text.len() / 8));
        }
        self.text.extend_from_slice(cell);
        self.coded = self.coded || memchr::memchr(REFERENCE_MARK, cell).is_some();
        let entry = Entry {
            start,
            len,
            hash,
            rows: 1,
        };
        match free.and_then(|number| Some((number, self.entries.get_mut(number)?))) {
            Some((number, slot)) => {
                *slot = entry;
                number_of(number)
            }
            None => {
                self.entries.push(entry);
                number_of(self.entries.len() - 1)
            }
        }
    }

    /// Writes `cell` over the text of entry `number`. No row uses this entry, and its text is as long as `cell`.
    fn overwrite(&mut self, number: usize, hash: u32, cell: &[u8]) -> u8 {
        if let Some(entry) = self.entries.get_mut(number) {
            let start = entry.start as usize;
            if let Some(place) = self.text.get_mut(start..start + cell.len()) {
                place.copy_from_slice(cell);
            }
            (entry.hash, entry.rows) = (hash, 1);
            self.unused = self.unused.saturating_sub(entry.len);
            self.coded = self.coded || memchr::memchr(REFERENCE_MARK, cell).is_some();
        }
        number_of(number)
    }

    fn reuse(&mut self, number: usize) -> u8 {
        if let Some(entry) = self.entries.get_mut(number) {
            if entry.rows == 0 {
                self.unused = self.unused.saturating_sub(entry.len);
            }
            entry.rows += 1;
        }
        number_of(number)
    }

    /// Copies the text of the used cells to new memory.
    fn pack(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.unused as usize);
        for entry in &mut self.entries {
            let cell = match entry.rows {
                0 => &[],
                _ => entry.text_in(&self.text),
            };
            // The new text is not longer than the old text, so its length still fits into 32 bits.
            entry.start = u32::try_from(text.len()).unwrap_or(0);
            entry.len = u32::try_from(cell.len()).unwrap_or(0);
            text.extend_from_slice(cell);
        }
        self.text = text;
        self.unused = 0;
    }
}

// === impl Entry ===

impl Entry {
    /// The entry of the empty cell, before a row uses it.
    const EMPTY: Self = Self {
        start: 0,
        len: 0,
        hash: 0,
        rows: 0,
    };

    fn text_in(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize;
        (text.get(start..start + self.len as usize)).unwrap_or(&[])
    }
}

impl Clone for Column {
    fn clone(&self) -> Self {
        let bytes = self.heap_bytes();
        if self
            .replaced
            .compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            REPLACED.fetch_add(bytes, Ordering::Relaxed);
        }
        Self {
            version: self.version,
            text: self.text.clone(),
            entries: self.entries.clone(),
            index: self.index.clone(),
            coded: self.coded,
            unused: self.unused,
            bytes: self.bytes,
            lines: self.lines,
            replaced: AtomicUsize::new(0),
        }
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        REPLACED.fetch_sub(*self.replaced.get_mut(), Ordering::Relaxed);
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "half a hash is enough to distinguish cells"
)]
fn hash_of(cell: &[u8]) -> u32 {
    HASHER.hash_one(cell) as u32
}

/// Counts the lines of a cell. Every newline byte ends a sample, because label values escape newlines.
fn count_lines(cell: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', cell).count() as u64
}

/// Converts the number of an entry to a byte. No number is greater than [`MAX_ROWS`], because a free entry is reused
/// before a new entry is created.
fn number_of(entry: usize) -> u8 {
    u8::try_from(entry).unwrap_or(0)
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_cells_share_their_text() {
        let mut column = Column::new(0);
        for row in 0..100 {
            column.insert(row, row, if row % 2 == 0 { b"even\n" } else { b"odd\n" });
        }
        assert_eq!(column.text, b"even\nodd\n");
        assert_eq!((column.bytes(), column.lines()), (50 * 5 + 50 * 4, 100));
    }

    #[test]
    fn the_memory_of_a_replaced_column_counts_once() {
        let mut column = Column::new(0);
        for row in 0..100 {
            column.insert(row, row, format!("line {row}\n").as_bytes());
        }
        let replaced = |column: &Column| column.replaced.load(Ordering::Relaxed);
        assert_eq!(replaced(&column), 0);
        let copy = [column.clone(), column.clone()];
        assert_eq!(replaced(&column), column.heap_bytes());
        assert!(replaced_bytes() >= column.heap_bytes());
        assert!(copy.iter().all(|own| replaced(own) == 0));
    }

    #[test]
    fn a_uniform_column_has_no_index() {
        let mut column = Column::new(3);
        assert_eq!(
            column.heap_bytes() - column.entries.capacity() * size_of::<Entry>(),
            0
        );
        column.set(1, 3, b"x\n");
        assert_eq!(
            (column.cell(0), column.cell(1), column.cell(2)),
            (&b""[..], &b"x\n"[..], &b""[..])
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(usize, u8),
        Set(usize, u8),
        Remove(usize),
        Compact,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (any::<usize>(), any::<u8>()).prop_map(|(at, cell)| Step::Insert(at, cell)),
            3 => (any::<usize>(), any::<u8>()).prop_map(|(at, cell)| Step::Set(at, cell)),
            1 => any::<usize>().prop_map(Step::Remove),
            1 => Just(Step::Compact),
        ];
        prop::collection::vec(step, 0..1200)
    }

    fn text(cell: u8) -> Vec<u8> {
        vec![b'a' + cell % 7; usize::from(cell)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_column_behaves_like_a_list_of_cells(steps in steps()) {
            let mut column = Column::new(0);
            let mut model: Vec<Vec<u8>> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(at, cell) if model.len() < MAX_ROWS => {
                        let at = at % (model.len() + 1);
                        column.insert(at, model.len(), &text(cell));
                        model.insert(at, text(cell));
                    }
                    Step::Set(at, cell) if !model.is_empty() => {
                        let at = at % model.len();
                        column.set(at, model.len(), &text(cell));
                        model[at] = text(cell);
                    }
                    Step::Remove(at) if !model.is_empty() => {
                        let at = at % model.len();
                        column.remove(at);
                        model.remove(at);
                    }
                    Step::Compact => column = column.slice(0..model.len()),
                    _ => {}
                }
            }
            for (row, cell) in model.iter().enumerate() {
                prop_assert_eq!(column.cell(row), &cell[..]);
            }
            prop_assert_eq!(column.bytes(), model.iter().map(|c| c.len() as u64).sum::<u64>());
            prop_assert!(column.entries.len() <= MAX_ROWS + 1);
        }
    }
}
