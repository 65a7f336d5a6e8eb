//! The fields of an object that a configured metric reads.
//!
//! The decoder skips all other fields of the object.
//!
//! A sample is created from an *element*, that is a value which the metric's `path` finds in the object.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::compile::{Each, EachKind, Inherited, MetricPlan};
use super::expr::Expr;
use super::labels::LabelPaths;
use super::path::{Path, is_secret_name};
use crate::decode::ITEMS;

/// Maximum number of fields that the decoder gets from one metric. If the metric reads more fields, the decoder gets
/// their parent fields instead. Without this maximum, the memory of a configuration would grow with the number of
/// labels times the number of metrics.
const MOST_READS: usize = 64;
/// Maximum number of names in the path of such a parent field.
const DEPTH_AROUND: usize = 2;

impl Inherited {
    pub(super) fn new(paths: LabelPaths) -> Self {
        let reads = limited(paths.paths().map(Path::fields).collect());
        Self {
            paths: Arc::new(paths),
            reads: Arc::new(reads),
        }
    }
}

impl MetricPlan {
    /// Returns the fields of an object that the metric reads, as dotted paths. An empty path stands for the whole
    /// object.
    pub(super) fn reads(&self) -> BTreeSet<String> {
        let each = &self.each;
        let mut reads = BTreeSet::clone(&self.inherited.reads);
        reads.extend(self.base.paths().map(Path::fields));
        let expressions = each.for_each.iter().chain(&each.expr);
        let expressions = expressions.chain(each.expr_labels.iter());
        reads.extend(expressions.flat_map(Expr::reads));
        match &each.kind {
            // The elements come only from the expression `forEach`. The fields of this expression are already in
            // `reads`.
            _ if each.for_each.is_some() => {}
            // A state set does not visit the entries of a map, so it reads only the fields in its paths.
            EachKind::StateSet { value_from, .. }
                if each.expr.is_none() && each.expr_labels.is_empty() =>
            {
                let below = each.labels.paths().chain([value_from]);
                reads.extend(below.map(|path| each.path.fields_with(path)));
            }
            EachKind::Gauge { .. }
                if each.path.is_empty() && !each.names_item() && each.labels.is_empty() => {}
            _ => reads.extend(each.reads_below()),
        }
        limited(reads)
    }
}

impl Each {
    /// Returns the fields that the metric reads in the element, as paths from the root of the object. In a list, the
    /// metric reads only these fields of each item. In a map, it reads all entries.
    fn reads_below(&self) -> Vec<String> {
        let value_from = match &self.kind {
            EachKind::Gauge { value_from, .. } => Some(value_from),
            EachKind::StateSet { value_from, .. } => Some(value_from),
            EachKind::Info => None,
        };
        let below: Vec<_> = self
            .labels
            .paths()
            .chain(value_from)
            .map(Path::fields)
            .collect();
        let whole = self.path.fields();
        let reads_all = below.is_empty()
            || below.iter().any(String::is_empty)
            || self.expr.is_some()
            || !self.expr_labels.is_empty();
        if reads_all || !self.path.is_of_names() || self.path.is_empty() {
            return vec![whole];
        }
        let below = below.iter();
        below
            .map(|below| format!("{whole}{ITEMS}.{below}"))
            .collect()
    }

    /// Whether a field that the metric reads for its state may have a secret. The names of the fields decide.
    pub(super) fn reads_secret(&self) -> bool {
        let expressions = self.for_each.iter().chain(&self.expr);
        let mut fields = expressions.flat_map(Expr::reads);
        let value_from = match &self.kind {
            EachKind::Gauge { value_from, .. } | EachKind::StateSet { value_from, .. } => {
                value_from.may_be_secret()
            }
            EachKind::Info => false,
        };
        value_from || self.path.may_be_secret() || fields.any(|field| is_secret_name(&field))
    }

    /// Whether the metric reads the element itself, for the value of the sample or in the expression of a label.
    fn names_item(&self) -> bool {
        let value = self.expr.as_ref().is_none_or(Expr::names_item);
        value || self.expr_labels.iter().any(Expr::names_item)
    }
}

/// If there are too many fields, returns their parent fields instead.
fn limited(mut reads: BTreeSet<String>) -> BTreeSet<String> {
    for depth in (0..=DEPTH_AROUND).rev() {
        if reads.len() <= MOST_READS {
            break;
        }
        reads = reads.iter().map(|field| around(field, depth)).collect();
    }
    reads
}

/// Returns the first `depth` names of a dotted path. An empty result stands for the whole object.
fn around(field: &str, depth: usize) -> String {
    let mut names = field.split('.');
    let first: Vec<_> = names.by_ref().take(depth).collect();
    let first = first.join(".");
    match names.next() {
        Some(_) => first.trim_end_matches(ITEMS).to_owned(),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_fields_are_replaced_by_the_fields_around_them() {
        let fields = |paths: &mut dyn Iterator<Item = String>| -> Vec<String> {
            limited(paths.collect()).into_iter().collect()
        };
        let few = ["metadata.name".to_owned(), "spec.a.b".to_owned()];
        assert_eq!(fields(&mut few.clone().into_iter()), few);
        let below = |parent: &str| {
            let parent = parent.to_owned();
            (0..=MOST_READS).map(move |number| format!("{parent}.x{number}"))
        };
        let mut deep = below("spec.items[]").chain(few.clone());
        assert_eq!(fields(&mut deep), ["metadata.name", "spec.a", "spec.items"]);
        let mut shallow = below("spec").chain(few.clone());
        assert_eq!(fields(&mut shallow), ["metadata", "spec"]);
        let mut at_root = (0..=MOST_READS).map(|number| format!("x{number}"));
        assert_eq!(fields(&mut at_root), [""]);
    }
}
