//! Linked stores: the families that a configuration adds to a resource with families in Rust.
//!
//! These families have a separate store, so that they are added and removed without a change to the
//! resource's other samples. A writer of the resource's store that applies JSON feeds both stores:
//! there is one watch, and an object is parsed once, into a value from which its type is read.

#[cfg(not(feature = "custom-resources"))]
mod disabled;
#[cfg(feature = "custom-resources")]
mod enabled;

#[cfg(not(feature = "custom-resources"))]
pub(super) use disabled::LinkedWriter;
#[cfg(feature = "custom-resources")]
pub(super) use enabled::LinkedWriter;
