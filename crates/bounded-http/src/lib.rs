#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acceptor;
mod close_reason;
mod connection;
mod limits;
mod listener;
mod observer;
mod registry;
mod server;
mod state;
mod tracked;

pub use acceptor::{Accepted, Acceptor, Plain};
pub use close_reason::CloseReason;
pub use limits::Limits;
pub use listener::{ListenError, Listener};
pub use observer::Observer;
pub use server::{Server, ServerBuilder};
