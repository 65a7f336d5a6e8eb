//! The integration tests of the library, in one binary, so that dependencies are linked once.
//!
//! A module needs the features named in front of it. `support` holds the API server, the strict
//! parser of expositions and the golden files, which several modules use. Two binaries stand beside
//! this one: `footprint` counts all allocations of its process, so no other test may run in it, and
//! `cluster` breaks the real cluster that it is given, so nothing else starts it.

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
#[cfg(all(target_os = "linux", feature = "manifests"))]
mod secrecy;
#[cfg(feature = "http")]
mod service;
mod support;
#[cfg(feature = "watch")]
mod watch;
