//! Sources: what feeds the stores with objects.

#[cfg(feature = "manifests")]
pub mod manifests;
#[cfg(feature = "watch")]
pub mod watch;
