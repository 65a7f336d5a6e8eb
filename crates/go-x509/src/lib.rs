//! Checks certificates by the rules of Go's `crypto/x509` where webpki, which rustls uses, has other rules.
//!
//! This crate uses webpki to build and verify chains of version 3 certificates. webpki reads only the name, the key and
//! the name constraints of a trusted authority. The rules of webpki are made for public authorities. webpki and Go
//! decide differently in these cases:
//!
//! | certificate | webpki | Go | here |
//! |---|---|---|---|
//! | itself trusted: a leaf among the authorities | treated as an authority: certificates that its key signs are accepted | only this certificate is accepted | as Go |
//! | self-signed with `CA:TRUE` and used by a server | refused, because an authority is not a server | accepted if it is among the authorities | as Go |
//! | X.509 version 1 | not parsed | a program may present it; a server accepts it from a client if an authority signed it directly | as Go |
//! | signed by a trusted authority outside its validity period | accepted | refused | as Go |
//! | signed by a trusted authority whose extended key usages lack the purpose | accepted | refused | as Go |
//! | chain longer than the path length of its trusted authority | accepted | refused | as Go |
//! | signed by a trusted authority with an unknown critical extension | accepted | refused | as Go |
//! | signed by an intermediate certificate whose key usage lacks `keyCertSign` | accepted | refused | as Go |
//! | extended key usage `anyExtendedKeyUsage` | for no purpose | for every purpose | as Go |
//! | trusted, with a validity period that starts before 1970 | treated as an authority | accepted | ignored, because `x509-cert` does not parse it |
//!
//! This crate accepts two kinds of certificates without webpki: a certificate that is itself trusted, and a version 1
//! certificate of a client. For these certificates, this crate makes the same checks as Go: signature, validity period,
//! name, purpose and critical extensions. This crate does not trust certificates that it cannot parse.

#![forbid(unsafe_code)]

mod authorities;
mod certificate;
mod chain;
mod client;
mod identity;
mod pem;
mod rejection;
mod server;
mod signature;

pub use authorities::{Authorities, NoAuthority};
pub use client::ClientVerifier;
pub use identity::{IdentityError, certified_key};
pub use pem::{PemError, certificates_of_pem};
pub use rejection::Rejection;
pub use server::{ExplainedVerifier, ServerVerifier, UncheckedServer};

#[cfg(test)]
mod tests;
