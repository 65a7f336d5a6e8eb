//! [`JoinedText`]: the text of the joined labels of the rows of a page. Joined labels are labels that samples get from
//! other objects, such as the namespace.

/// The joined labels of the rows of a page. A comma precedes each label. If several rows have the same labels, the text
/// of the labels is stored once.
#[derive(Debug, Default)]
pub(crate) struct JoinedText {
    text: Vec<u8>,
    /// For each different text of labels, the position at which it ends in `text`.
    ends: Vec<u32>,
    /// For each row, the index in `ends` of its text.
    rows: Vec<u16>,
}

// === impl JoinedText ===

impl JoinedText {
    /// Adds the next row. `labels` are its joined labels.
    pub(super) fn push(&mut self, labels: &[u8]) {
        // Adjacent rows often have the same labels, such as pods of one workload. So search from the end.
        let known = (0..self.ends.len()).rev();
        let mut equal = known.filter(|&number| self.distinct(number) == labels);
        let number = equal.next().unwrap_or_else(|| {
            self.text.extend_from_slice(labels);
            // A page has at most 255 rows with a few labels each, so the labels are far shorter than 4 GiB.
            let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            self.ends.push(end);
            self.ends.len() - 1
        });
        self.rows.push(u16::try_from(number).unwrap_or(u16::MAX));
    }

    /// Releases spare memory.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.rows.shrink_to_fit();
    }

    /// The joined labels of a row. A comma precedes each label.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let number = self.rows.get(row);
        number.map_or(&[], |&number| self.distinct(usize::from(number)))
    }

    /// Returns the memory that the labels need, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.rows.capacity() * size_of::<u16>()
    }

    /// The text with this number, which is its index in `ends`.
    fn distinct(&self, number: usize) -> &[u8] {
        let end_of = |number: usize| self.ends.get(number).map_or(0, |&end| end as usize);
        let start = number.checked_sub(1).map_or(0, end_of);
        self.text.get(start..end_of(number)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_equal_labels_share_them() {
        let mut joined = JoinedText::default();
        let rows = [&b",a=\"1\""[..], b"", b",a=\"2\"", b",a=\"1\"", b""];
        rows.iter().for_each(|labels| joined.push(labels));
        joined.shrink();
        for (row, labels) in rows.iter().enumerate() {
            assert_eq!(joined.row(row), *labels);
        }
        assert_eq!(joined.row(5), b"");
        assert_eq!(joined.text.len(), 12, "two labels");
        assert_eq!(joined.heap_bytes(), 12 + 3 * 4 + 5 * 2);
    }
}
