//! The maximum size of each kind of file that the exporter reads, in bytes. The library limits the size of manifests.

/// The options file.
pub(crate) const OPTIONS: u64 = 1 << 20;
/// A configuration of custom resources.
pub(crate) const CUSTOM_RESOURCES: u64 = 16 << 20;
/// A kubeconfig, which may have the certificates of many clusters.
pub(crate) const KUBECONFIG: u64 = 16 << 20;
/// Certificates of authorities or of a user, and a key.
pub(crate) const CERTIFICATES: u64 = 4 << 20;
/// A token.
pub(crate) const TOKEN: u64 = 1 << 20;
