//! The registry of an application: its resources with their stores and settings, and the order of the exposition.
//!
//! An application registers resources with a [`Builder`], which checks them and builds a [`StateMetrics`]. The
//! [`StateMetrics`] has the stores, and the plan: the order of the families in the exposition.

mod builder;
#[cfg(feature = "custom-resources")]
pub mod check;
#[cfg(feature = "custom-resources")]
mod configured;
mod current_plan;
#[cfg(feature = "custom-resources")]
mod custom_resources;
mod errors;
mod feeds;
mod host_fed;
mod join_settings;
mod registration;
mod settings;
mod state_metrics;

pub use crate::joins::{Join, JoinConfig, JoinError};
pub use crate::limits::{Limit, Limits};
pub use crate::scope::{Shard, ShardError};
pub use builder::Builder;
#[cfg(feature = "custom-resources")]
pub use custom_resources::{CustomResources, ResourceChanges};
pub use errors::{BuildError, BuildProblem};
pub use feeds::FeedError;
pub use state_metrics::StateMetrics;
