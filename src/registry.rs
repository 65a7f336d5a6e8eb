//! The registry: the resources of an application, their settings, and the plan in force.
//!
//! A [`Builder`] checks what an application registers and yields a [`StateMetrics`], which holds the
//! stores and the plan of the exposition.

mod builder;
#[cfg(feature = "custom-resources")]
mod configured;
mod current_plan;
#[cfg(feature = "custom-resources")]
mod custom_resources;
mod errors;
mod registration;
mod settings;
mod state_metrics;

pub use builder::Builder;
#[cfg(feature = "custom-resources")]
pub use custom_resources::ResourceChanges;
pub use errors::{BuildError, BuildProblem};
pub use state_metrics::{NotRegistered, StateMetrics};
