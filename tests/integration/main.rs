//! The integration tests of the library. All tests are in one binary, so that cargo links the dependencies only once.
//!
//! The attribute before a module states the features that the module needs. `support` has code that several modules
//! share: the simulated API server, the strict parser of expositions, and golden files.
//!
//! The library has two other test binaries. `footprint` counts all allocations of its process, so it must not contain
//! other tests. `cluster` damages the cluster that it tests, so it runs only on request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

#[cfg(all(
    feature = "custom-resources",
    feature = "http",
    feature = "manifests",
    feature = "watch"
))]
mod api;
mod conformance;
#[cfg(feature = "custom-resources")]
mod custom_resources;
mod docs;
#[cfg(all(feature = "http", feature = "manifests", feature = "watch"))]
mod examples;
mod language;
mod layers;
#[cfg(all(
    target_os = "linux",
    feature = "manifests",
    feature = "custom-resources"
))]
mod linear;
mod mixin;
#[cfg(all(target_os = "linux", feature = "manifests"))]
mod secrecy;
#[cfg(feature = "http")]
mod service;
mod support;
#[cfg(feature = "watch")]
mod watch;
