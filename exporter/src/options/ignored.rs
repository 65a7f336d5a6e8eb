//! Checks options of the Go program kube-state-metrics that have no effect in this exporter.

use super::reader::Reader;
use super::row::{Compat, DefaultValue, Row};
use super::table::{self, TABLE};

/// Checks the values of options without effect. Warns if a value differs from the default.
pub(super) fn check(reader: &mut Reader<'_>) {
    // As in the Go program, the exporter checks the ratio only if the memory limit is enabled.
    if reader.value(&table::AUTO_GOMEMLIMIT) {
        reader.value(&table::AUTO_GOMEMLIMIT_RATIO);
        warn(reader, &table::AUTO_GOMEMLIMIT.row, "");
    }
    if !reader.value(&table::ENABLE_GZIP_ENCODING) {
        warn(reader, &table::ENABLE_GZIP_ENCODING.row, "=false");
    }
    for row in TABLE.iter().filter(|row| row.key.is_none()) {
        let given = reader.on_command_line(row);
        let is_default =
            |text: &str| matches!(row.default, DefaultValue::Value(default) if default == text);
        if given.is_some_and(|text| !is_default(text)) {
            warn(reader, row, "");
        }
    }
}

/// Adds a warning if the table of options marks the option as without effect.
fn warn(reader: &mut Reader<'_>, row: &Row, value: &str) {
    if let Compat::NoEffect(reason) = row.compat {
        let warning = format!("{}{value} has no effect: {reason}", row.flag);
        reader.warnings.push(warning);
    }
}
