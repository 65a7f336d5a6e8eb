//! Watching a real control plane: what is exposed is what the API says.
//!
//! Needs `KUBECONFIG` of a cluster that may be broken, with the controller manager, the scheduler and
//! pretend nodes, and in `CLUSTER_SH` the path of the script that runs it (`restart-apiserver`,
//! `restart-etcd`); see docs/explanation/testing.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[cfg(feature = "custom-resources")]
mod custom;
mod following;
mod rights;
mod scope;
mod sharding;
mod support;
