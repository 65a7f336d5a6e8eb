//! The maximum size of each kind of file that the exporter reads, in bytes. Manifests are not in this list, because the
//! library limits their size.

/// The options file.
pub(crate) const OPTIONS: u64 = 1 << 20;
/// A configuration of custom resources.
pub(crate) const CUSTOM_RESOURCES: u64 = 16 << 20;
/// A kubeconfig, which may have the certificates of many clusters.
pub(crate) const KUBECONFIG: u64 = 16 << 20;
/// Files with certificates of authorities, with a certificate of a user, or with a key.
pub(crate) const CERTIFICATES: u64 = 4 << 20;
/// A token.
pub(crate) const TOKEN: u64 = 1 << 20;
