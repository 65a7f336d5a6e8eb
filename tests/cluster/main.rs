//! Watches a real control plane: the exposition agrees with the API.
//!
//! Needs `KUBECONFIG` of a cluster that the tests may break, with the controller manager, the
//! scheduler and simulated nodes, and in `CLUSTER_SH` the path of the script that controls it
//! (`restart-apiserver`, `restart-etcd`); see docs/explanation/testing.md.

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
