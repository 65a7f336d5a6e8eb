//! [`SplitError`]: why a response of the API server cannot be split into its objects.

use kube_protobuf::Malformed;

use super::representation::ONLY_METADATA;

/// Maximum size of a resource version. API servers use numbers.
pub(super) const MAX_VERSION: usize = 1 << 10;
/// Maximum size of the token for the next page. API servers put an etcd key into the token.
pub(super) const MAX_TOKEN: usize = 16 << 10;

/// Why a response cannot be split into objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("the response is not valid protobuf: {0}")]
    Malformed(Malformed),
    #[error("the response is truncated")]
    Truncated,
    #[error("the response is not a list of objects")]
    NotAList,
    #[error("{}", ONLY_METADATA)]
    OnlyMetadata,
    #[error(
        "the list states that objects remain (remainingItemCount), but has no token of the next page (continue)"
    )]
    NoToken,
    #[error("the list has no resourceVersion")]
    NoVersion,
    #[error("the resourceVersion of the list is longer than {} KiB", MAX_VERSION >> 10)]
    LongVersion,
    #[error("the token of the next page is longer than {} KiB", MAX_TOKEN >> 10)]
    LongToken,
}

impl From<Malformed> for SplitError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Truncated => Self::Truncated,
            malformed => Self::Malformed(malformed),
        }
    }
}
