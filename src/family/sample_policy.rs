//! [`SamplePolicy`]: decides which labels and samples a store keeps.
//!
//! The policy checks all samples that a generator writes, before the store keeps them. Rules for a label or a sample,
//! and limits on the number of labels or samples, belong in this module.

use std::borrow::Cow;

use super::descriptor::MetricType;
use super::work;
use crate::filter::LabelAllowlist;
use crate::limits::{Limit, Limits};

/// Decides which labels and samples of one family the store keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SamplePolicy<'a> {
    reserved_names: &'a [Cow<'static, str>],
    joined_names: &'a [Cow<'static, str>],
    /// Whether a label that the generator writes replaces a joined label with the same name.
    own_wins: bool,
    is_counter: bool,
    allowlist: Option<&'a LabelAllowlist>,
    max_samples: usize,
    max_labels: usize,
    /// Maximum length of the text of all samples of the family, in bytes.
    max_family_text: usize,
    /// Maximum length of the text of all samples of the object, in bytes.
    max_text: usize,
    #[cfg(feature = "custom-resources")]
    expression_cost: u64,
    /// Length of the base labels, which the exposition repeats for each sample.
    base_len: usize,
}

/// The limit on the text of a family is this number of bytes times the maximum number of samples.
const TEXT_PER_SAMPLE: usize = 1 << 10;

/// The numbers of samples and bytes that generators have written for an object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Number of samples of the current family, including the samples that the policy dropped.
    pub(super) samples: usize,
    /// Length of the exposition text of the current family, in bytes.
    pub(super) family_text: usize,
    /// Length of the exposition text of all families, in bytes.
    pub(super) text: usize,
}

/// The numbers of samples, labels and bytes that a family may still write for an object.
#[cfg(feature = "custom-resources")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) samples: usize,
    /// Maximum number of labels per sample.
    pub(crate) labels: usize,
    /// Maximum length of the text of all further samples, in bytes.
    pub(crate) text: usize,
    /// The limit that determines `text`: either the limit on the text of the object, or the limit of the family.
    pub(crate) text_limit: Limit,
    /// Maximum cost of the expressions of the family.
    pub(crate) expression_cost: u64,
}

/// The reasons why the store does not keep a sample or a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The object has an earlier sample with the same labels in the same family.
    RepeatedSeries,
    /// The value of a counter is negative or not a number.
    InvalidCounter,
    /// A generator or the closure of a base label panicked.
    Panic,
    /// A label that a generator wrote replaces a joined label with the same name.
    JoinedLabel,
    /// The samples of the object exceed a limit.
    Limit(Limit),
}

/// How often the store did not keep a sample or a label, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DropCounts {
    pub(crate) repeated_series: u64,
    pub(crate) invalid_counters: u64,
    pub(crate) panics: u64,
    /// Joined labels that were not added to samples, because a generator wrote a label with the same name.
    pub(crate) joined_labels: u64,
    /// Families that exceeded [`Limits::samples_per_family`].
    pub(crate) over_sample_limit: u64,
    /// Families with a sample that exceeded [`Limits::labels_per_sample`].
    pub(crate) over_label_limit: u64,
    /// Families that lost samples because the object exceeded [`Limits::text_per_object`].
    pub(crate) over_text_limit: u64,
    /// Families whose expressions exceeded [`Limits::expression_cost`].
    pub(crate) over_expression_limit: u64,
}

// === impl SamplePolicy ===

impl<'a> SamplePolicy<'a> {
    /// The policy of a family. `reserved_names` are the names of the constant labels and base labels. `base_len` is the
    /// length of the base labels in bytes. Only the families `*_labels` and `*_annotations` have an `allowlist`.
    pub(crate) fn new(
        metric_type: MetricType,
        reserved_names: &'a [Cow<'static, str>],
        allowlist: Option<&'a LabelAllowlist>,
        limits: Limits,
        base_len: usize,
    ) -> Self {
        let or_none = |limit| if limit == 0 { usize::MAX } else { limit };
        let max_samples = or_none(limits.samples_per_family);
        Self {
            reserved_names,
            joined_names: &[],
            own_wins: false,
            is_counter: metric_type == MetricType::Counter,
            allowlist,
            max_samples,
            max_labels: or_none(limits.labels_per_sample),
            max_family_text: max_samples.saturating_mul(TEXT_PER_SAMPLE),
            max_text: or_none(limits.text_per_object),
            #[cfg(feature = "custom-resources")]
            expression_cost: match limits.expression_cost {
                0 => u64::MAX,
                cost => cost,
            },
            base_len,
        }
    }

    /// Sets the names of the joined labels, which must be sorted. If `own_wins` is true, a label that the generator
    /// writes replaces a joined label with the same name. Otherwise, the policy drops the label that the generator
    /// writes.
    pub(crate) fn with_joined(mut self, names: &'a [Cow<'static, str>], own_wins: bool) -> Self {
        self.joined_names = names;
        self.own_wins = own_wins;
        self
    }

    /// Limits the samples of the family to `left` units of work (see `family::work`). If the generator needs more
    /// units, the samples are incomplete, and the caller must discard them.
    pub(crate) fn within_work(mut self, left: u64) -> Self {
        let (samples, text) = work::room(left);
        self.max_samples = self.max_samples.min(samples);
        self.max_family_text = self.max_family_text.min(text);
        self
    }

    /// The limit that the samples of the object have reached; `None` if the family may write another sample.
    pub(super) fn reached(&self, written: Written) -> Option<Limit> {
        if written.samples >= self.max_samples || written.family_text >= self.max_family_text {
            Some(Limit::SamplesPerFamily)
        } else if written.text >= self.max_text {
            Some(Limit::TextPerObject)
        } else {
            None
        }
    }

    /// Whether the object may have `text` bytes of text.
    pub(super) fn admits_text(&self, text: usize) -> bool {
        text <= self.max_text
    }

    /// The length of the base labels, which the exposition repeats for each sample.
    pub(super) fn base_len(&self) -> usize {
        self.base_len
    }

    /// The numbers of samples, labels and bytes that a family may still write.
    #[cfg(feature = "custom-resources")]
    pub(super) fn room(&self, written: Written) -> Room {
        let of_family = self.max_family_text.saturating_sub(written.family_text);
        let of_object = self.max_text.saturating_sub(written.text);
        Room {
            samples: self.max_samples.saturating_sub(written.samples),
            labels: self.max_labels,
            expression_cost: self.expression_cost,
            text: of_family.min(of_object),
            text_limit: if of_object < of_family {
                Limit::TextPerObject
            } else {
                Limit::SamplesPerFamily
            },
        }
    }

    /// The maximum number of labels that the generator may write in one sample.
    pub(super) fn max_labels(&self) -> usize {
        self.max_labels
    }

    /// Whether the samples have constant labels or base labels, which precede the labels of the generator.
    pub(super) fn has_reserved_names(&self) -> bool {
        !self.reserved_names.is_empty()
    }

    /// Whether the name is reserved, so that a label with this name is dropped. The names of constant labels and base
    /// labels are reserved, so that no name occurs twice in a sample. If `own_wins` is false, the names of joined
    /// labels are also reserved.
    pub(super) fn is_reserved(&self, name: &[u8]) -> bool {
        let is_name = |reserved: &Cow<'static, str>| reserved.as_bytes() == name;
        self.reserved_names.iter().any(is_name) || !self.own_wins && self.is_joined(name)
    }

    /// Whether a label of the generator with this name replaces a joined label.
    pub(super) fn replaces_joined(&self, name: &[u8]) -> bool {
        self.own_wins && self.is_joined(name)
    }

    fn is_joined(&self, name: &[u8]) -> bool {
        let names = self.joined_names;
        names
            .binary_search_by(|own| own.as_bytes().cmp(name))
            .is_ok()
    }

    /// Whether the allowlist matches the key of a label or an annotation.
    pub(super) fn admits_key(&self, key: &str) -> bool {
        self.allowlist.is_some_and(|list| list.matches(key))
    }

    /// Accepts a sample, or returns the reason why the store must drop it. `is_repeated` returns whether the object has
    /// an earlier sample with the same labels in the family.
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
            DropReason::JoinedLabel => &mut self.joined_labels,
            DropReason::Limit(Limit::SamplesPerFamily) => &mut self.over_sample_limit,
            DropReason::Limit(Limit::LabelsPerSample) => &mut self.over_label_limit,
            DropReason::Limit(Limit::TextPerObject) => &mut self.over_text_limit,
            DropReason::Limit(Limit::ExpressionCost) => &mut self.over_expression_limit,
        };
        *count += 1;
    }
}
