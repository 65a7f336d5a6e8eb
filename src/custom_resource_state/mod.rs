//! Metrics of arbitrary kinds from a configuration, compatible with the Custom Resource State
//! files of kube-state-metrics (feature `custom-resources`).
//!
//! A [`Config`] is parsed once and names all its errors at once. Resolved against the
//! [kinds that exist](KnownKind) it yields [`CustomResourceCollector`]s. Where a kind has a Rust
//! type, families in Rust ([`Family`](crate::Family)) say more and cost less; see
//! `docs/custom-resources.md`.

mod base;
mod check;
mod collector;
mod compile;
mod config;
mod document;
mod errors;
mod evaluate;
mod expr;
mod kinds;
mod labels;
mod live;
mod number;
mod object;
mod path;
mod problem;
mod yaml;

pub use check::{CheckReport, check, check_as};
pub use collector::CustomResourceCollector;
pub use config::Config;
pub use errors::FamilyErrors;
pub use kinds::KnownKind;
pub use live::ResourceChanges;
pub(crate) use live::{Custom, Registered, join};
pub use object::CustomObject;
pub use problem::{ConfigError, ConfigProblem};

#[cfg(test)]
mod tests;

/// The guide's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/custom-resources.md")]
struct Guide;
