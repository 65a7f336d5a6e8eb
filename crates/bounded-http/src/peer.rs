//! [`Peer`]: the address of the client of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of a client. The extensions of every request contain the `Peer` of its connection.
///
/// ```
/// use bounded_http::Peer;
/// use http::Request;
///
/// fn describe<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<Peer>() {
///         Some(peer) => format!("a request of {}", peer.address()),
///         None => "a request of unknown origin".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(SocketAddr);

// === impl Peer ===

impl Peer {
    /// Creates a peer from the address of a client. If this address is an IPv4-mapped IPv6 address (`::ffff:10.1.2.3`),
    /// the peer has the IPv4 address (`10.1.2.3`).
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Returns the address and port of the peer.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// Returns the address by which the limits distinguish clients: the IPv4 address, or the first 64 bits of the IPv6
    /// address.
    ///
    /// The reason: one client can usually use all addresses of an IPv6 network of 64 bits.
    pub fn group(&self) -> IpAddr {
        match self.0.ip() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into()
            }
            ip => ip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_one_network_are_one_group() {
        let group = |address: &str| Peer::new(address.parse().unwrap()).group().to_string();
        assert_eq!(group("10.1.2.3:4"), "10.1.2.3");
        assert_eq!(group("[::ffff:10.1.2.3]:4"), "10.1.2.3");
        assert_eq!(group("[2001:db8:1:2:3:4:5:6]:7"), "2001:db8:1:2::");
        assert_eq!(group("[::1]:7"), "::1");
    }
}
