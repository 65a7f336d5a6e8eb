//! Labels by reference: if several samples of an object have the same label value, a dictionary stores the value once
//! per object.
//!
//! For example, the samples of all requests and limits of a pod have the node as a label. A *cell* is the stored text
//! of one object in one family. In a cell, two bytes replace such a value: [`REFERENCE_MARK`] and a code. The byte
//! [`REFERENCE_MARK`] occurs in no UTF-8 text. The dictionary of the object contains the value itself. Therefore, pods
//! on different nodes can have equal cells, and equal cells are stored once. To store further values in this way, add a
//! [`DictionaryColumn`].

use crate::k8s::write_label_value;

/// The byte before each code in a cell, and after each value in the list of a dictionary column.
pub(crate) const REFERENCE_MARK: u8 = 0xff;

/// The number of [`DictionaryColumn`]s.
pub(crate) const DICTIONARY_COLUMNS: usize = 3;

/// The maximum number of values with codes in one column, for one object. Further values have no code: cells contain
/// their text.
const MAX_VALUES: usize = 32;

/// A column of a dictionary, which contains values that several samples of an object repeat.
///
/// Values belong to one column if they change together and if many objects share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DictionaryColumn {
    /// The node that runs the object: its name and address.
    Node,
    /// The container images of the object.
    Image,
    /// The controller that created the object.
    Owner,
}

/// The maximum length of a value that has a code, in bytes. Cells contain longer values directly.
const MAX_VALUE_LEN: usize = 1 << 10;

/// The values that several samples of one object repeat, with one list per column.
#[derive(Debug, Default)]
pub(crate) struct ObjectDictionary {
    lists: [ValueList; DICTIONARY_COLUMNS],
    /// Whether a value was added to a list after [`Self::load`].
    is_extended: bool,
}

/// The values of a column.
#[derive(Debug, Default)]
struct ValueList {
    /// The values, each followed by [`REFERENCE_MARK`].
    text: Vec<u8>,
    /// The range of each value in the text, so that a lookup does not search the text.
    ranges: Vec<(usize, usize)>,
}

// === impl ObjectDictionary ===

impl ObjectDictionary {
    pub(crate) fn clear(&mut self) {
        for list in &mut self.lists {
            list.text.clear();
            list.ranges.clear();
        }
        self.is_extended = false;
    }

    /// Loads the lists that are stored for an object, so that its values keep their codes.
    pub(crate) fn load<'l>(&mut self, lists: impl Iterator<Item = &'l [u8]>) {
        self.clear();
        for (list, stored) in self.lists.iter_mut().zip(lists) {
            list.load(stored);
        }
    }

    /// Whether a value was added to a list after [`Self::load`].
    pub(crate) fn is_extended(&self) -> bool {
        self.is_extended
    }

    /// The lists, in the order of [`DictionaryColumn`].
    pub(crate) fn lists(&self) -> impl Iterator<Item = &[u8]> {
        self.lists.iter().map(|list| list.text.as_slice())
    }

    /// Appends a value to `out`, or a reference if the value can have a code.
    pub(crate) fn write(&mut self, column: DictionaryColumn, value: &str, out: &mut Vec<u8>) {
        let Some(list) = self.lists.get_mut(column as usize) else {
            return;
        };
        // A reference has two bytes, so it saves no memory for a value of up to two bytes.
        if value.len() <= 2 || value.len() > MAX_VALUE_LEN {
            return write_label_value(out, value);
        }
        let known = list.ranges.len();
        let index = list.index_of(value);
        self.is_extended |= list.ranges.len() > known;
        match index {
            Some(index) => out.extend_from_slice(&[REFERENCE_MARK, code(column, index)]),
            None => write_label_value(out, value),
        }
    }
}

// === impl ValueList ===

impl ValueList {
    /// Replaces the values with the values of a stored list.
    fn load(&mut self, stored: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(stored);
        self.ranges.clear();
        let mut start = 0;
        for end in memchr::memchr_iter(REFERENCE_MARK, stored) {
            self.ranges.push((start, end));
            start = end + 1;
        }
    }

    /// Returns the index of a value. Adds the value if the list has room for it.
    fn index_of(&mut self, value: &str) -> Option<usize> {
        let start = self.text.len();
        write_label_value(&mut self.text, value);
        let (earlier, new) = self.text.split_at(start);
        let is_new =
            |&(a, b): &(usize, usize)| b - a == new.len() && earlier.get(a..b) == Some(new);
        let known = self.ranges.iter().position(is_new);
        if known.is_some() || self.ranges.len() >= MAX_VALUES {
            self.text.truncate(start);
            return known;
        }
        self.ranges.push((start, self.text.len()));
        self.text.push(REFERENCE_MARK);
        Some(self.ranges.len() - 1)
    }
}

/// The code that refers to the value at `index` in the list of `column`. A code is never an ASCII byte, so no code is a
/// newline.
fn code(column: DictionaryColumn, index: usize) -> u8 {
    // Three columns and 32 indices fit into seven bits.
    0x80 | (column as u8) << 5 | u8::try_from(index % MAX_VALUES).unwrap_or(0)
}

/// The index of the [`DictionaryColumn`] that a code refers to.
pub(crate) fn column_of(code: u8) -> usize {
    usize::from(code >> 5 & 3)
}

/// The index of the value that a code refers to, in the list of its column.
pub(crate) fn index_of(code: u8) -> usize {
    usize::from(code) % MAX_VALUES
}

pub(crate) fn values_of(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == REFERENCE_MARK)
}

/// The value that a code refers to, in the list of its column.
pub(crate) fn value_in(list: &[u8], code: u8) -> &[u8] {
    values_of(list).nth(index_of(code)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the text of `written`, with each reference replaced by its value.
    fn read(dictionary: &ObjectDictionary, written: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = written.iter();
        while let Some(&byte) = bytes.next() {
            if byte == REFERENCE_MARK {
                let code = *bytes.next().unwrap();
                let list = dictionary.lists().nth(column_of(code)).unwrap();
                out.extend_from_slice(value_in(list, code));
            } else {
                out.push(byte);
            }
        }
        out
    }

    #[test]
    fn a_repeated_value_is_stored_once() {
        let (mut dictionary, mut out) = (ObjectDictionary::default(), Vec::new());
        for value in ["node-1", "node-2", "node-1", "n"] {
            dictionary.write(DictionaryColumn::Node, value, &mut out);
        }
        assert_eq!(dictionary.lists[0].text, b"node-1\xffnode-2\xff");
        assert_eq!(out, b"\xff\x80\xff\x81\xff\x80n");
    }

    #[test]
    fn a_loaded_dictionary_continues_with_the_codes_of_the_row() {
        let (mut stored, mut loaded) = (ObjectDictionary::default(), ObjectDictionary::default());
        let mut out = Vec::new();
        for value in ["node-1", "node-2"] {
            stored.write(DictionaryColumn::Node, value, &mut out);
        }
        stored.write(DictionaryColumn::Owner, "owner", &mut out);
        loaded.load(stored.lists());
        out.clear();
        loaded.write(DictionaryColumn::Node, "node-2", &mut out);
        assert_eq!((&*out, loaded.is_extended()), (&b"\xff\x81"[..], false));
        assert!(loaded.lists().eq(stored.lists()));
        loaded.write(DictionaryColumn::Image, "image", &mut out);
        assert!(loaded.is_extended());
    }

    proptest! {
        #[test]
        fn written_values_read_back(
            pairs in prop::collection::vec((0..3_usize, "[a-c\"\\\\\n]{0,5}"), 0..200)
        ) {
            let (mut dictionary, mut out, mut plain) = (ObjectDictionary::default(), Vec::new(), Vec::new());
            let columns = [DictionaryColumn::Node, DictionaryColumn::Image, DictionaryColumn::Owner];
            for (column, value) in &pairs {
                dictionary.write(columns[*column], value, &mut out);
                write_label_value(&mut plain, value);
            }
            prop_assert!(!out.contains(&b'\n'));
            prop_assert_eq!(read(&dictionary, &out), plain);
        }
    }
}
