//! Equal series of different rows: possible where base labels do not tell objects apart.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::BytesMut;

use super::plan::SourceColumn;
use crate::store::StoreSnapshot;

/// The lines of a family's sources that repeat an earlier row's series.
///
/// SampleBuffer are numbered over the whole family, in the order they are written.
pub(super) fn repeated_lines(sources: &[SourceColumn], snapshots: &[StoreSnapshot]) -> Vec<usize> {
    let hasher = RandomState::new();
    let mut seen: HashMap<u64, Vec<Box<[u8]>>> = HashMap::new();
    let mut repeated = Vec::new();
    let mut text = BytesMut::new();
    let mut number = 0;
    for source in sources {
        let Some(snapshot) = snapshots.get(source.store) else {
            continue;
        };
        for page in snapshot.pages() {
            let columns = page.columns();
            let (Some(base), Some(column)) = (columns.get(source.base), columns.get(source.column))
            else {
                continue;
            };
            for row in 0..page.len() {
                text.clear();
                source
                    .prefix
                    .write_row(&mut text, base.cell(row), column.cell(row), |code| {
                        page.shared_value(row, code)
                    });
                for line in text
                    .as_ref()
                    .split(|&byte: &u8| byte == b'\n')
                    .filter(|line: &&[u8]| !line.is_empty())
                {
                    let end = memchr::memrchr(b' ', line).unwrap_or(line.len());
                    let series = line.get(..end).unwrap_or(line);
                    let same = seen.entry(hasher.hash_one(series)).or_default();
                    if same.iter().any(|other| **other == *series) {
                        repeated.push(number);
                    } else {
                        same.push(series.into());
                    }
                    number += 1;
                }
            }
        }
    }
    repeated
}
