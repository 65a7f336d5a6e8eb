//! [`SamplePolicy`]: the labels and samples that enter a store.
//!
//! All output of a generator passes through the policy before it becomes a cell, in every family.
//! Rules for single labels or samples, such as limits, belong here.

use std::borrow::Cow;

use super::descriptor::MetricType;
use crate::filter::LabelAllowlist;

/// Decides which labels and samples of one family enter the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SamplePolicy<'a> {
    reserved_names: &'a [Cow<'static, str>],
    is_counter: bool,
    allowlist: Option<&'a LabelAllowlist>,
}

/// The reasons why samples do not enter the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// An earlier sample of the object in the family has the same labels.
    RepeatedSeries,
    /// The value of a counter is negative or not a number.
    InvalidCounter,
    /// A generator or the closure of a base label panicked.
    Panic,
}

/// The number of dropped samples, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DropCounts {
    pub(crate) repeated_series: u64,
    pub(crate) invalid_counters: u64,
    pub(crate) panics: u64,
}

// === impl SamplePolicy ===

impl<'a> SamplePolicy<'a> {
    /// The policy of a family. `reserved_names` are the names of its constant and base labels;
    /// `allowlist` is that of a family of labels or annotations.
    pub(crate) fn new(
        metric_type: MetricType,
        reserved_names: &'a [Cow<'static, str>],
        allowlist: Option<&'a LabelAllowlist>,
    ) -> Self {
        Self {
            reserved_names,
            is_counter: metric_type == MetricType::Counter,
            allowlist,
        }
    }

    /// Whether the samples have labels before those of the generator.
    pub(super) fn has_reserved_names(&self) -> bool {
        !self.reserved_names.is_empty()
    }

    /// Whether a sample may have a label. A name occurs once per sample, and the first label wins:
    /// constant labels, base labels, then those that the generator has written.
    pub(super) fn admits_label<'n>(
        &self,
        name: &[u8],
        mut earlier_names: impl Iterator<Item = &'n [u8]>,
    ) -> bool {
        !self
            .reserved_names
            .iter()
            .any(|reserved| reserved.as_bytes() == name)
            && !earlier_names.any(|earlier| earlier == name)
    }

    /// Whether a family of labels or annotations shows a key.
    pub(super) fn admits_key(&self, key: &str) -> bool {
        self.allowlist.is_some_and(|list| list.matches(key))
    }

    /// Whether a sample enters the store. `is_repeated` returns whether the object has a sample
    /// with the same labels in the family.
    pub(super) fn admit(
        &self,
        value: f64,
        is_repeated: impl FnOnce() -> bool,
    ) -> Result<(), DropReason> {
        if self.is_counter && (value < 0.0 || value.is_nan()) {
            return Err(DropReason::InvalidCounter);
        }
        if is_repeated() {
            return Err(DropReason::RepeatedSeries);
        }
        Ok(())
    }
}

// === impl DropCounts ===

impl DropCounts {
    pub(super) fn add(&mut self, reason: DropReason) {
        let count = match reason {
            DropReason::RepeatedSeries => &mut self.repeated_series,
            DropReason::InvalidCounter => &mut self.invalid_counters,
            DropReason::Panic => &mut self.panics,
        };
        *count += 1;
    }
}
