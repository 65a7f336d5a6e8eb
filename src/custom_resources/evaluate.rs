//! The evaluation of one configured metric for one object. It creates the samples.
//!
//! Each sample is created from one value, its *element*. The metric's `path`, or its expression `forEach`, finds the
//! elements in the object.
//!
//! If a sample cannot be created, only this sample is missing. The error is counted.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::base::{Base, BaseLabel, Prepared};
use super::compile::{Each, EachKind, MetricPlan};
use super::errors::Counter;
use super::expr::{Meter, Variables};
use super::labels::{Label, LabelSet};
use super::number::to_number;
use super::path::Path;
use crate::dynamic::JsonObject;
use crate::family::{FamilyGenerator, Room, Samples, work};
use crate::limits::Limit;

/// If the path of the metric finds no value, `null` is the element of the sample. The labels of the sample are then
/// read from `null`.
static NULL: Value = Value::Null;

/// Generates the samples of one metric for the objects of one kind.
#[derive(Debug)]
pub(super) struct Generator {
    plan: Arc<MetricPlan>,
    base: Base,
    errors: Arc<Counter>,
}

/// A sample with all labels that come from its element, sorted by name. The base labels are added later.
struct Draft<'v> {
    labels: Vec<Label<'v>>,
    value: f64,
}

/// The reason why an element has no number.
enum Unread {
    /// The element exists, but `valueFrom` finds no value in it.
    Nothing,
    /// The value is not a number.
    NoNumber,
    /// The element itself is missing.
    Missing,
}

/// The state during the evaluation of one object.
struct Evaluation<'v> {
    each: &'v Each,
    object: &'v JsonObject,
    drafts: Vec<Draft<'v>>,
    errors: &'v Counter,
    meter: &'v Meter,
    /// How many samples and bytes the limits still allow.
    room: Room,
    /// The limit that has prevented a sample; `None` if no sample is missing.
    lost_samples: Option<Limit>,
    /// Whether the limit on labels has removed a label.
    lost_labels: bool,
    /// Whether an error has been counted.
    has_failed: Cell<bool>,
}

// === impl Generator ===

impl Generator {
    pub(super) fn new(plan: Arc<MetricPlan>, base: Base, errors: Arc<Counter>) -> Self {
        Self { plan, base, errors }
    }
}

impl FamilyGenerator<JsonObject> for Generator {
    fn generate(&self, object: &JsonObject, samples: &mut Samples<'_>) {
        // `elements` must live longer than `evaluation`, because the drafts in `evaluation` borrow from `elements`.
        let elements;
        let room = samples.room();
        let meter = Meter::new(room.expression_cost, work::left());
        let mut evaluation = Evaluation {
            each: &self.plan.each,
            object,
            drafts: Vec::new(),
            errors: &self.errors,
            meter: &meter,
            room,
            lost_samples: None,
            lost_labels: false,
            has_failed: Cell::new(false),
        };
        match &self.plan.each.for_each {
            None => evaluation.run(),
            Some(for_each) => match for_each.evaluate(&Variables::of(object.value(), &meter)) {
                Ok(value) => {
                    elements = value;
                    evaluation.elements(&elements, true);
                }
                Err(problem) => evaluation.error("forEach", &problem),
            },
        }
        let text = room.text - evaluation.room.text;
        work::spend(meter.spent() + work::of_samples(evaluation.drafts.len(), text));
        if work::is_interrupted() {
            return;
        }
        let lost_labels = evaluation.lost_labels.then_some(Limit::LabelsPerSample);
        let lost_cost = meter.is_exceeded().then_some(Limit::ExpressionCost);
        let lost = evaluation.lost_samples.into_iter();
        for limit in lost.chain(lost_labels).chain(lost_cost) {
            samples.count_exceeded(limit);
        }
        if evaluation.has_failed.get() {
            samples.count_events();
        }
        self.write(object, evaluation.drafts, samples);
    }
}

impl Generator {
    fn write(&self, object: &JsonObject, mut drafts: Vec<Draft<'_>>, samples: &mut Samples<'_>) {
        if drafts.is_empty() {
            return;
        }
        // All samples of an object have the same base labels, so the order depends only on the labels of the elements.
        // Therefore, the samples are sorted before the base labels are added.
        drafts.sort_by(|a, b| a.labels.cmp(&b.labels));
        let max_labels = samples.room().labels;
        let base = self.base.prepare(object.value(), max_labels);
        if base.is_cut() {
            samples.count_exceeded(Limit::LabelsPerSample);
        }
        for draft in &drafts {
            if samples.is_full() {
                return;
            }
            let mut free = free_for_stars(&base, &draft.labels, max_labels);
            let mut is_cut = false;
            let mut sample = samples.sample();
            for label in merged(&base, &draft.labels) {
                if label.is_from_star() {
                    if free == 0 {
                        is_cut = true;
                        continue;
                    }
                    free -= 1;
                }
                sample = match label {
                    Merged::Own(own) | Merged::Both(_, own) => {
                        sample.unchecked_label(&own.name, &*own.value)
                    }
                    Merged::Base(base) => sample.unchecked_label_text(base.name, base.text),
                };
            }
            sample.value(draft.value);
            if is_cut {
                samples.count_exceeded(Limit::LabelsPerSample);
            }
        }
    }
}

/// A label of a sample.
enum Merged<'p, 'v> {
    Base(BaseLabel<'p>),
    Own(&'p Label<'v>),
    /// A label of the element that replaces a base label with the same name.
    Both(BaseLabel<'p>, &'p Label<'v>),
}

// === impl Merged ===

impl Merged<'_, '_> {
    /// Whether only keys with `*` set the label.
    fn is_from_star(&self) -> bool {
        match self {
            Self::Base(base) => base.is_from_star,
            Self::Own(own) => own.is_from_star,
            Self::Both(base, own) => base.is_from_star && own.is_from_star,
        }
    }
}

/// Merges the base labels with the labels of an element. Both are sorted by name, and so is the result.
fn merged<'p, 'v>(
    base: &'p Prepared<'_>,
    own: &'p [Label<'v>],
) -> impl Iterator<Item = Merged<'p, 'v>> {
    let (mut base, mut own) = (base.iter().peekable(), own.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (base.peek(), own.peek()) {
            (Some(base), Some(own)) => base.name.cmp(&*own.name),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let base = base.next_if(|_| order.is_le());
        let own = own.next_if(|_| order.is_ge());
        match (base, own) {
            (Some(base), Some(own)) => Some(Merged::Both(base, own)),
            (Some(base), None) => Some(Merged::Base(base)),
            (None, own) => own.map(Merged::Own),
        }
    })
}

/// Returns how many labels from keys with `*` a sample may have, so that all other labels of the sample stay.
fn free_for_stars(base: &Prepared<'_>, own: &[Label<'_>], max_labels: usize) -> usize {
    if base.len() + own.len() <= max_labels {
        return max_labels;
    }
    let named = merged(base, own).filter(|label| !label.is_from_star());
    max_labels.saturating_sub(named.count())
}

// === impl Evaluation ===

impl<'v> Evaluation<'v> {
    fn error(&self, what: &str, problem: &str) {
        if self.meter.is_interrupted() {
            return;
        }
        self.has_failed.set(true);
        self.errors
            .record(|| format!("{}: {what}: {problem}", self.object.key()));
    }

    fn run(&mut self) {
        let each = self.each;
        let element = each.path.find(self.object.value());
        if each.expr.is_some() {
            if let Some(element) = element {
                self.elements(element, false);
            }
            return;
        }
        match &each.kind {
            EachKind::Gauge {
                value_from,
                direct,
                nil_is_zero,
            } => self.gauge(element, value_from, direct.as_deref(), *nil_is_zero),
            EachKind::StateSet {
                value_from,
                label_name,
                list,
            } => self.state_set(element, value_from, label_name, list),
            EachKind::Info => self.info(element),
        }
    }

    /// Whether the limits allow no further sample. If a limit is reached, this method also records that a sample is
    /// missing.
    fn is_full(&mut self) -> bool {
        let reached = if self.meter.is_exceeded() {
            Limit::ExpressionCost
        } else if self.room.samples == 0 {
            Limit::SamplesPerFamily
        } else if self.room.text == 0 {
            self.room.text_limit
        } else {
            return false;
        };
        self.lost_samples = Some(reached);
        true
    }

    fn push(&mut self, labels: LabelSet<'v>, value: f64) {
        if self.is_full() {
            return;
        }
        self.lost_labels |= labels.is_cut();
        self.room.samples -= 1;
        self.room.text = self.room.text.saturating_sub(labels.cost() + 1);
        self.drafts.push(Draft {
            labels: labels.sorted(),
            value,
        });
    }

    fn own_labels(&self, element: &'v Value, key: Option<&'v str>) -> LabelSet<'v> {
        let mut labels = LabelSet::new(self.room.labels);
        if let Some(key) = key.filter(|key| !key.is_empty())
            && !self.each.label_from_key.is_empty()
        {
            let name = self.each.label_from_key.as_str();
            labels.set(Cow::Borrowed(name), Cow::Borrowed(key));
        }
        self.each.labels.fill(element, &mut labels);
        self.expression_labels(element, key, &mut labels);
        labels
    }

    fn expression_labels(
        &self,
        element: &'v Value,
        key: Option<&'v str>,
        labels: &mut LabelSet<'v>,
    ) {
        if self.each.expr_labels.is_empty() {
            return;
        }
        let variables = Variables {
            object: self.object.value(),
            item: element,
            key,
            meter: self.meter,
        };
        let problem = self.each.expr_labels.fill(&variables, labels);
        if let Err(problem) = problem {
            self.error("labelsFromExpr", &problem);
        }
    }

    // === gauges ===

    fn gauge(
        &mut self,
        element: Option<&'v Value>,
        value_from: &'v Path,
        direct: Option<&str>,
        nil_is_zero: bool,
    ) {
        match element {
            Some(Value::Array(items)) => {
                for item in items {
                    if self.is_full() {
                        return;
                    }
                    let value = read(Some(item), value_from, nil_is_zero);
                    self.gauge_sample(value, || item, None);
                }
            }
            Some(element @ Value::Object(map)) => {
                for (key, child) in sorted(map) {
                    if self.is_full() {
                        return;
                    }
                    let value = self.child(child, value_from, direct == Some(key), nil_is_zero);
                    let Some(value) = value else { continue };
                    let mut labels = self.own_labels(child, Some(key));
                    // If the map and one of its entries set the same label, the value from the map takes precedence.
                    self.each.labels.fill(element, &mut labels);
                    self.push(labels, value);
                }
            }
            scalar => {
                let value = read(scalar, value_from, nil_is_zero);
                self.gauge_sample(value, || scalar.unwrap_or(&NULL), None);
            }
        }
    }

    fn gauge_sample(
        &mut self,
        value: Result<f64, Unread>,
        element: impl FnOnce() -> &'v Value,
        key: Option<&'v str>,
    ) {
        match value {
            Ok(value) => {
                let labels = self.own_labels(element(), key);
                self.push(labels, value);
            }
            Err(Unread::Nothing) => {}
            Err(Unread::NoNumber) => self.error("gauge", "the value is not a number"),
            // Absent values are common. A message is built only if it becomes an example, which saves time.
            Err(Unread::Missing) => {
                self.has_failed.set(true);
                self.errors.record(|| {
                    let path = match self.each.path.fields() {
                        path if path.is_empty() => path,
                        path => format!(" at the path {path}"),
                    };
                    format!("{}: gauge: there is no value{path}", self.object.key())
                });
            }
        }
    }

    /// Reads a number from one value of a map. If `direct` is true, `valueFrom` selects this value, so the value itself
    /// is the number.
    fn child(
        &self,
        child: &Value,
        value_from: &Path,
        direct: bool,
        nil_is_zero: bool,
    ) -> Option<f64> {
        if !direct {
            // In many maps, some entries have no number at `valueFrom`. This is not an error.
            return read(Some(child), value_from, nil_is_zero).ok();
        }
        let value = read(Some(child), &Path::default(), nil_is_zero);
        if value.is_err() {
            self.error("gauge", "the value is not a number");
        }
        value.ok()
    }

    // === state sets ===

    fn state_set(
        &mut self,
        element: Option<&'v Value>,
        value_from: &'v Path,
        label_name: &'v str,
        list: &'v [String],
    ) {
        match element {
            None => {}
            Some(Value::Array(items)) => {
                for item in items {
                    if self.is_full() {
                        return;
                    }
                    self.states(item, value_from.find(item), label_name, list);
                }
            }
            Some(element) => self.states(element, value_from.find(element), label_name, list),
        }
    }

    fn states(
        &mut self,
        element: &'v Value,
        value: Option<&Value>,
        label_name: &'v str,
        list: &'v [String],
    ) {
        let Some(value) = value else { return };
        let Some(current) = value.as_str() else {
            return self.error("stateSet", "the state is not a string");
        };
        if !list.iter().any(|state| state == current) {
            self.errors.note(|| {
                let key = self.object.key();
                if self.errors.is_of_secrets() || self.each.reads_secret() {
                    return format!(
                        "{key}: the state is not in `list`, so all samples are 0; the state is hidden, because it may \
                         be secret"
                    );
                }
                format!("{key}: `{current}` is not in `list`, so all samples are 0")
            });
        }
        for state in list {
            let mut labels = LabelSet::new(self.room.labels);
            labels.set(Cow::Borrowed(label_name), Cow::Borrowed(state));
            self.each.labels.fill(element, &mut labels);
            self.expression_labels(element, None, &mut labels);
            self.push(labels, f64::from(u8::from(state == current)));
        }
    }

    // === infos ===

    fn info(&mut self, element: Option<&'v Value>) {
        match element {
            None => {}
            Some(Value::Array(items)) => {
                for item in items.iter().filter(|item| !item.is_null()) {
                    if self.is_full() {
                        return;
                    }
                    self.info_sample(item, None);
                }
            }
            Some(element) => {
                if let Value::Object(map) = element {
                    for (key, child) in sorted(map) {
                        if self.is_full() {
                            return;
                        }
                        self.info_sample(child, Some(key));
                    }
                }
                let labels = self.own_labels(element, None);
                let key = &self.each.label_from_key;
                if !key.is_empty() && element.is_object() && labels.has(key) {
                    self.error("info", "labelFromKey and labelsFromPath set the same label");
                }
                if !labels.is_empty() {
                    self.push(labels, 1.0);
                }
            }
        }
    }

    fn info_sample(&mut self, element: &'v Value, key: Option<&'v str>) {
        let labels = self.own_labels(element, key);
        if !labels.is_empty() {
            self.push(labels, 1.0);
        }
    }

    // === expressions ===

    /// Visits each item of a list. If `spread` is true, visits each value of a map. Any other value is one element.
    fn elements(&mut self, elements: &'v Value, spread: bool) {
        match elements {
            Value::Null => {}
            Value::Array(items) => {
                for item in items {
                    if self.is_full() {
                        return;
                    }
                    self.element(item, None);
                }
            }
            Value::Object(map) if spread => {
                for (key, item) in sorted(map) {
                    if self.is_full() {
                        return;
                    }
                    self.element(item, Some(key));
                }
            }
            single => self.element(single, None),
        }
    }

    fn element(&mut self, item: &'v Value, key: Option<&'v str>) {
        let each = self.each;
        let computed = match &each.expr {
            None => None,
            Some(expr) => {
                let variables = Variables {
                    object: self.object.value(),
                    item,
                    key,
                    meter: self.meter,
                };
                match expr.evaluate(&variables) {
                    Ok(value) => Some(value),
                    Err(problem) => return self.error("expr", &problem),
                }
            }
        };
        match &each.kind {
            EachKind::Gauge {
                value_from,
                nil_is_zero,
                ..
            } => {
                let value = match &computed {
                    // `null` as the result of an expression means that there is no value.
                    Some(Value::Null) if *nil_is_zero => Ok(0.0),
                    Some(Value::Null) => Err(Unread::Nothing),
                    Some(value) => to_number(value).ok_or(Unread::NoNumber),
                    None => read(Some(item), value_from, *nil_is_zero),
                };
                self.gauge_sample(value, || item, key);
            }
            EachKind::StateSet {
                value_from,
                label_name,
                list,
            } => match &computed {
                Some(Value::Null) => {}
                Some(value) => self.states(item, Some(value), label_name, list),
                None => self.states(item, value_from.find(item), label_name, list),
            },
            EachKind::Info => self.info_sample(item, key),
        }
    }
}

/// Returns the entries of a map, sorted by key. Without the sort, their order would depend on a cargo feature of
/// `serde_json`.
fn sorted(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// Reads the number that a path finds in an element.
fn read(element: Option<&Value>, path: &Path, nil_is_zero: bool) -> Result<f64, Unread> {
    let element = element.filter(|element| !element.is_null());
    match element.and_then(|element| path.find(element)) {
        Some(value) => to_number(value).ok_or(Unread::NoNumber),
        None if nil_is_zero => Ok(0.0),
        None if element.is_none() => Err(Unread::Missing),
        None => Err(Unread::Nothing),
    }
}

#[cfg(test)]
mod tests;
