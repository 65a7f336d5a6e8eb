//! The faults that the simulated server can have, and the requests to which a fault applies.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::requests::ApiRequest;

/// The pieces of a body, in the order in which the server sends the pieces.
pub(crate) type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// The requests to which a fault applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Any,
    /// The first or only page of a list.
    List,
    /// Any page of a list except the first.
    NextPage,
    StreamingList,
    Watch,
    Get,
}

/// A fault that a test injects into a response.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A response with this status code and reason.
    Status(u16, &'static str),
    /// A response with this status code, and with this number of seconds in the header `Retry-After`.
    RetryAfter(u16, u64),
    /// The connection is refused.
    Refused,
    /// No response is ever sent.
    Hang,
    /// The body ends with an error after this number of bytes.
    Cut(usize),
    /// The body ends without an error after this number of bytes, like a complete body.
    Truncate(usize),
    /// The server stops sending after this number of bytes, but does not close the connection.
    Stall(usize),
    /// The server sends the body in pieces of this number of bytes, one piece per second.
    Slow(usize),
    /// A response with this body.
    Body(&'static str),
    /// A watch with one event. This event is of type `ERROR`, and has this status code and reason.
    ErrorEvent(u16, &'static str),
    /// A response with this status code. The function returns its body.
    Script(u16, fn(&ApiRequest) -> ByteStream),
}
