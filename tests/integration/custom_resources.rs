//! Tests of families that a Custom Resource State configuration declares. The tests use four kinds of configurations:
//! - cases for the specification
//! - families with the same name
//! - the examples of this project
//! - configurations with the same structure as published configurations

mod cases;
#[cfg(all(feature = "manifests", feature = "cel"))]
mod examples;
mod families;
#[cfg(feature = "manifests")]
mod published;
