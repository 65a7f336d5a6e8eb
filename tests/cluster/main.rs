//! Watches a real control plane, and compares the exposition with the objects of its API.
//!
//! `KUBECONFIG` must select a cluster that the tests may damage. The cluster must have the controller manager, the
//! scheduler and simulated nodes. `CLUSTER_SH` is the path of the script that controls the cluster
//! (`restart-apiserver`, `restart-etcd`). See docs/explanation/testing.md.

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
