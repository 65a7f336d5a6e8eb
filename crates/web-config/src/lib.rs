#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod basic_auth;
mod config;
mod document;
pub mod duration;
mod error;
pub mod fair_queue;
mod file_reader;
pub mod fingerprint;
mod headers;
mod layer;
mod password_checks;
mod protections;
mod rate_limit;
mod reload;
mod stream;
mod tls;

pub use config::{Rejection, WebConfig};
pub use error::WebConfigError;
pub use layer::{PasswordVerified, WebConfigLayer, WebConfigService};
pub use protections::Protections;
pub use reload::{ReloadObserver, WebConfigFile};
pub use stream::WebStream;
pub use tls::AcceptError;
