#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accept;
mod acceptor;
mod body;
mod busy;
mod close_reason;
mod connection;
mod frame_budget;
mod host;
mod limits;
mod listener;
mod observer;
mod peer;
mod registry;
mod server;
mod state;
mod streams;
mod tracked;

pub use acceptor::{Accepted, Acceptor, Plain};
pub use close_reason::CloseReason;
pub use limits::Limits;
pub use listener::{ListenError, Listener};
pub use observer::Observer;
pub use peer::Peer;
pub use server::{Server, ServerBuilder};
