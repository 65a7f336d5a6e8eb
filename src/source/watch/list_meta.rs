//! [`ListMeta`]: the metadata of a list.

use serde::{Deserialize, Deserializer};

use super::split_error::{MAX_TOKEN, MAX_VERSION, SplitError};

/// The metadata of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListMeta {
    pub(super) version: String,
    /// Token of the next page.
    pub(super) next: Option<String>,
    /// Number of objects after this page, if the server sends this number.
    pub(super) remaining: Option<u64>,
    /// The value of the parameter `shardSelector` that the server has applied. With this parameter, the server sends
    /// only objects of some shards.
    pub(super) shard: Option<String>,
}

/// The metadata as the server sends it, before the sizes are checked.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMetaFields {
    resource_version: Option<String>,
    r#continue: Option<String>,
    #[serde(deserialize_with = "lenient_count")]
    remaining_item_count: Option<i64>,
    shard_info: Option<ShardInfo>,
}

#[derive(Deserialize)]
struct ShardInfo {
    selector: String,
}

/// Reads an integer. A value of another type is read as `None`, because a list can be read without this number.
fn lenient_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_i64())
}

// === impl ListMetaFields ===

impl ListMetaFields {
    /// Returns the metadata. Returns an error if the version is missing, if the version or the token is too long, or if
    /// the token is missing although objects remain.
    pub(super) fn checked(self) -> Result<ListMeta, SplitError> {
        let given = |text: &String| !text.is_empty();
        let version = self.resource_version.filter(given);
        let version = version.ok_or(SplitError::NoVersion)?;
        let next = self.r#continue.filter(given);
        if version.len() > MAX_VERSION {
            return Err(SplitError::LongVersion);
        }
        if next.as_ref().is_some_and(|token| token.len() > MAX_TOKEN) {
            return Err(SplitError::LongToken);
        }
        let remaining = self.remaining_item_count;
        let remaining = remaining.and_then(|own| own.try_into().ok());
        // A complete list has no number of remaining objects. Without this check, the remaining objects would be
        // deleted.
        if next.is_none() && remaining.is_some_and(|own: u64| own > 0) {
            return Err(SplitError::NoToken);
        }
        Ok(ListMeta {
            version,
            next,
            remaining,
            shard: self.shard_info.map(|info| info.selector),
        })
    }
}
