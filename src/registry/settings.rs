//! [`Settings`]: the options that the stores of one registry have in common.

use std::borrow::Cow;

use parking_lot::RwLock;

use super::host_fed::HostFed;
use super::join_settings::JoinSettings;
use crate::exposition::ConstantLabels;
use crate::filter::{AllowlistConfig, MetricFilter};
use crate::limits::Limits;
use crate::scope::ObjectFilter;

/// The options of all stores. The registry keeps them after startup, because a changed configuration can add stores.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) metrics: MetricFilter,
    pub(super) labels: AllowlistConfig,
    pub(super) annotations: AllowlistConfig,
    pub(crate) constants: ConstantLabels,
    pub(super) constant_names: Vec<Cow<'static, str>>,
    pub(super) host_fed: HostFed,
    pub(crate) joins: JoinSettings,
    pub(crate) limits: Limits,
    /// The filter for the objects that stores accept. The filter changes if the shard changes at run time.
    pub(crate) filter: RwLock<ObjectFilter>,
}
