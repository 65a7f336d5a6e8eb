//! What can go wrong, and with which requests.

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Any,
    /// The first or only page of a list.
    List,
    /// A page that is not the first.
    NextPage,
    StreamingList,
    Watch,
    Get,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A response with this code and reason.
    Status(u16, &'static str),
    /// The same, and how many seconds to stay away.
    RetryAfter(u16, u64),
    /// The connection is refused.
    Refused,
    /// No response ever.
    Hang,
    /// The body breaks off with an error after so many bytes.
    Cut(usize),
    /// The body ends, as if complete, after so many bytes.
    Truncate(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// The body comes in pieces of so many bytes, a second apart.
    Slow(usize),
    /// Another body.
    Body(&'static str),
    /// A good watch that consists of an `ERROR` event of this code and reason.
    ErrorEvent(u16, &'static str),
}
