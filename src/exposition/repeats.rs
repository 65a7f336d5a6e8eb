//! Finds repeated series. If the base labels do not identify an object, its row can have the series of another row.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::BytesMut;

use super::family_column::FamilyColumn;
use super::family_rows::FamilyRows;
use crate::store::StoreSnapshot;

/// The numbers of the samples that repeat the series of an earlier row.
///
/// The numbers count, from 0, the samples of all `columns`, in the order in which the samples are written.
pub(super) fn repeated_samples<'a>(
    columns: impl Iterator<Item = &'a FamilyColumn>,
    snapshots: &[StoreSnapshot],
) -> Vec<usize> {
    let hasher = RandomState::new();
    let mut seen: HashMap<u64, Vec<Box<[u8]>>> = HashMap::new();
    let mut repeated = Vec::new();
    let mut text = BytesMut::new();
    let mut number = 0;
    for rows in columns.flat_map(|column| FamilyRows::all(column, snapshots)) {
        for row in 0..rows.len() {
            text.clear();
            rows.write_lines(row, rows.tails(row), &mut text);
            let lines = <[u8]>::split(&text, |&byte| byte == b'\n');
            for line in lines.filter(|line| !line.is_empty()) {
                let end = memchr::memrchr(b' ', line).unwrap_or(line.len());
                let series = line.get(..end).unwrap_or(line);
                let same_hash = seen.entry(hasher.hash_one(series)).or_default();
                if same_hash.iter().any(|other| **other == *series) {
                    repeated.push(number);
                } else {
                    same_hash.push(series.into());
                }
                number += 1;
            }
        }
    }
    repeated
}
