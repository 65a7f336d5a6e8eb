//! Families of a configuration: the cases of the specification, families of one name, the examples,
//! and configurations written like published ones.

mod cases;
#[cfg(all(feature = "manifests", feature = "cel"))]
mod examples;
mod families;
#[cfg(feature = "manifests")]
mod published;
