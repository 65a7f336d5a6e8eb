//! Certificates that Go's `crypto/x509` accepts and rustls' webpki does not.
//!
//! webpki verifies nearly every chain, and keeps doing so here. It treats four kinds that clusters have
//! otherwise than Go, since it implements the rules for public authorities:
//!
//! | certificate | webpki | Go | here |
//! |---|---|---|---|
//! | trusted itself, as a leaf among the authorities | treated as an authority: whatever its key signs is accepted | this certificate alone is accepted | as Go |
//! | self-signed with `CA:TRUE` and used by a server | refused, since an authority is no server | accepted if it is among the authorities | as Go |
//! | X.509 version 1 | not parsed | presented, and accepted from clients that an authority signed directly | as Go |
//! | signed by an authority that has expired | accepted | refused | as Go |
//!
//! A certificate that is not of these kinds never reaches code of this crate that accepts. The code for
//! these kinds checks what Go checks: signature, period, name and purpose.

#![forbid(unsafe_code)]

mod authorities;
mod certificate;
mod client;
mod identity;
mod rejection;
mod server;
mod signature;

pub use authorities::{Authorities, NoAuthority};
pub use client::ClientVerifier;
pub use identity::{IdentityError, certified_key};
pub use rejection::Rejection;
pub use server::{ExplainedVerifier, ServerVerifier, UncheckedServer};

#[cfg(test)]
mod tests;
