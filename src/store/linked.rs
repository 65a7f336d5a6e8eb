//! Companions: the families that a configuration adds to a kind with families in Rust.
//!
//! They have a store of their own, so that they come and go without a touch on the kind's other
//! samples. Whoever feeds the kind's store with JSON feeds both: there is one watch, and an object
//! is parsed once, into a value that its type is then read from.

#[cfg(not(feature = "custom-resources"))]
mod disabled;
#[cfg(feature = "custom-resources")]
mod enabled;

#[cfg(not(feature = "custom-resources"))]
pub(super) use disabled::{Companion, Link};
#[cfg(feature = "custom-resources")]
pub(super) use enabled::{Companion, Link};
