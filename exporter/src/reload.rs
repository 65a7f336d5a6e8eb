//! Replaces the configuration while the exporter runs.

mod configuration;
mod handover;
mod retry;
pub(crate) mod web_config;

pub(crate) use configuration::{Configuration, ConfigurationError};
pub(crate) use handover::{Patience, wait_for_coverage, wait_for_manifests};
pub(crate) use retry::Retry;
