//! What it takes to make a store: filters, allowlists and constant labels of one registry.

use std::borrow::Cow;

use parking_lot::RwLock;

use crate::exposition::ConstantLabels;
use crate::filter::{AllowlistConfig, MetricFilter};
use crate::scope::ObjectFilter;

/// What it takes to make a store, now or later.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) metrics: MetricFilter,
    pub(super) labels: AllowlistConfig,
    pub(super) annotations: AllowlistConfig,
    pub(crate) constants: ConstantLabels,
    pub(super) constant_names: Vec<Cow<'static, str>>,
    /// What stores take; a shard that changes while running changes it.
    pub(crate) filter: RwLock<ObjectFilter>,
}
