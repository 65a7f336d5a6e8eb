//! Tests of configured families: the cases of the specification, families with the same name, the examples, and
//! configurations with the same structure as published ones.

mod cases;
#[cfg(all(feature = "manifests", feature = "cel"))]
mod examples;
mod families;
#[cfg(feature = "manifests")]
mod published;
