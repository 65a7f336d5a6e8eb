//! Values that the samples of one object repeat: each is kept once per object.
//!
//! A pod's node is a label of all its requests and limits, its image of its containers, three times
//! each. In a cell such a value is two bytes: [`REFERENCE_MARK`], which no UTF-8 text has, and a code. What the
//! code stands for is in a column of the value's kind. So the cells of pods on different nodes are
//! equal, and columns keep equal cells once.

use crate::k8s::write_label_value;

/// Stands in front of a code, and behind each value of a list.
pub(crate) const REFERENCE_MARK: u8 = 0xff;

/// How many kinds there are, and columns for them.
pub(crate) const KINDS: usize = 3;

/// The most values of a kind that an object has codes for; further ones are written out.
const MAX: usize = 32;

/// Kinds of values. Those of one kind change together, and often many objects have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Where it runs.
    Node,
    /// What it runs.
    Image,
    /// Who made it.
    Owner,
}

/// The values of one object so far, a list per kind.
#[derive(Debug, Default)]
pub(crate) struct SharedValues {
    lists: [Vec<u8>; KINDS],
}

// === impl SharedValues ===

impl SharedValues {
    pub(crate) fn clear(&mut self) {
        self.lists.iter_mut().for_each(Vec::clear);
    }

    /// The lists, in the order of their columns.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &[u8]> {
        self.lists.iter().map(Vec::as_slice)
    }

    /// Appends a value, or what stands for it, to `out`.
    pub(crate) fn write(&mut self, kind: Shared, value: &str, out: &mut Vec<u8>) {
        let Some(list) = self.lists.get_mut(kind as usize) else {
            return;
        };
        // As short as its code, or a list that could not be told apart.
        if value.len() <= 2 {
            return write_label_value(out, value);
        }
        let start = list.len();
        write_label_value(list, value);
        let (known, new) = list.split_at(start);
        let mut values = known.split(|&byte| byte == REFERENCE_MARK);
        let count = memchr::memchr_iter(REFERENCE_MARK, known).count();
        match values.position(|own| own == new) {
            Some(at) => {
                list.truncate(start);
                out.extend_from_slice(&[REFERENCE_MARK, code(kind, at)]);
            }
            None if count < MAX => {
                list.push(REFERENCE_MARK);
                out.extend_from_slice(&[REFERENCE_MARK, code(kind, count)]);
            }
            None => {
                out.extend_from_slice(new);
                list.truncate(start);
            }
        }
    }
}

/// The code of the value at a place of its list: above all of ASCII, so that it is no newline.
fn code(kind: Shared, at: usize) -> u8 {
    // Three kinds and 32 places fit seven bits.
    0x80 | (kind as u8) << 5 | u8::try_from(at % MAX).unwrap_or(0)
}

/// The kind of value that a code stands for.
pub(crate) fn kind_of(code: u8) -> usize {
    usize::from(code >> 5 & 3)
}

/// The value that a code stands for, in the list of its kind.
pub(crate) fn value_in(list: &[u8], code: u8) -> &[u8] {
    let mut values = list.split(|&byte| byte == REFERENCE_MARK);
    values.nth(usize::from(code) % MAX).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `written` says once codes are replaced.
    fn read(values: &SharedValues, written: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = written.iter();
        while let Some(&byte) = bytes.next() {
            if byte == REFERENCE_MARK {
                let code = *bytes.next().unwrap();
                let list = values.lists().nth(kind_of(code)).unwrap();
                out.extend_from_slice(value_in(list, code));
            } else {
                out.push(byte);
            }
        }
        out
    }

    #[test]
    fn a_value_that_comes_again_is_kept_once() {
        let (mut values, mut out) = (SharedValues::default(), Vec::new());
        for value in ["node-1", "node-2", "node-1", "n"] {
            values.write(Shared::Node, value, &mut out);
        }
        assert_eq!(values.lists[0], b"node-1\xffnode-2\xff");
        assert_eq!(out, b"\xff\x80\xff\x81\xff\x80n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(
            pairs in prop::collection::vec((0..3_usize, "[a-c\"\\\\\n]{0,5}"), 0..200)
        ) {
            let (mut values, mut out, mut plain) = (SharedValues::default(), Vec::new(), Vec::new());
            for (kind, value) in &pairs {
                values.write([Shared::Node, Shared::Image, Shared::Owner][*kind], value, &mut out);
                write_label_value(&mut plain, value);
            }
            prop_assert!(!out.contains(&b'\n'));
            prop_assert_eq!(read(&values, &out), plain);
        }
    }
}
