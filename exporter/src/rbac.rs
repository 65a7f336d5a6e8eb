//! Computes the permissions that the exporter needs at the API server, and writes roles that grant these permissions.
//!
//! [`Permissions::of`] computes the permissions from the options, and [`Account::manifests`] writes roles. [`review`]
//! asks the API server which permissions are missing. If the API server forbids resources, [`missing_rules`] lists the
//! rules that the roles lack for these resources.

mod custom_kinds;
mod forbidden;
mod manifest;
mod needs;
mod permission;
mod review;

pub(crate) use custom_kinds::{CustomKinds, served_kinds};
pub(crate) use forbidden::missing_rules;
pub(crate) use manifest::Account;
pub(crate) use permission::Permissions;
pub(crate) use review::review;

#[cfg(test)]
mod tests;
