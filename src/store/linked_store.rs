//! Linked stores contain the families that a configuration adds to a built-in resource, or to a collector of the host.
//!
//! The configured families have a separate store. So they can be added and removed while the other samples of the
//! resource stay unchanged. Both stores need only one watch: a writer that applies JSON or protobuf to the store of the
//! resource also feeds the linked store.

#[cfg(not(feature = "custom-resources"))]
mod disabled;
#[cfg(feature = "custom-resources")]
mod enabled;

#[cfg(not(feature = "custom-resources"))]
pub(super) use disabled::LinkedWriter;
#[cfg(feature = "custom-resources")]
pub(super) use enabled::LinkedWriter;
