//! [`Variables`]: the objects that an expression can name.

use serde_json::Value;

/// The variables of an expression.
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read it")
)]
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Variables<'a> {
    /// `object`: the whole object.
    pub(in super::super) object: &'a Value,
    /// `item`: the element.
    pub(in super::super) item: &'a Value,
    /// `key`: the key of the element if it is an entry of a map.
    pub(in super::super) key: Option<&'a str>,
}

// === impl Variables ===

impl<'a> Variables<'a> {
    /// The object as its only element.
    pub(in super::super) fn of(object: &'a Value) -> Self {
        Self {
            object,
            item: object,
            key: None,
        }
    }
}
