//! [`SplitError`]: why a response cannot be split into objects.

/// The maximum size of an object. etcd limits requests to about 1.5 MiB by default.
pub(super) const MAX_OBJECT: usize = 64 << 20;

/// Why a response cannot be split into objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("the response is truncated")]
    Truncated,
    #[error("the response is not a list of objects")]
    NotAList,
    #[error("the list has no resourceVersion")]
    NoVersion,
    #[error("an object of the response is larger than {} MiB", MAX_OBJECT >> 20)]
    TooLarge,
}
