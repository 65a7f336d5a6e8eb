//! [`Listener`]: the TCP socket from which a server accepts connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Maximum number of new connections in the queue of the kernel, from which the server accepts connections.
const BACKLOG: i32 = 1024;

/// A TCP socket that listens for connections.
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    address: SocketAddr,
}

/// The reason why the server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The host name does not resolve.
    #[error("cannot resolve `{host}`: {source}; use an address of this machine")]
    Resolve {
        /// The host name that does not resolve.
        host: String,
        /// The error of the resolver.
        source: io::Error,
    },
    /// The address belongs to another machine.
    #[error("{address} is not an address of this machine; choose an address of this machine")]
    NotLocal {
        /// The address of the other machine.
        address: IpAddr,
    },
    /// The socket cannot be bound, usually because another program uses the port.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Bind {
        /// The address and port that cannot be bound.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

// === impl Listener ===

impl Listener {
    /// Listens on a port of a host. `host` is a name, or an address with or without brackets.
    ///
    /// If the host is empty or `::`, the socket listens on all IPv6 and IPv4 addresses of the machine. If the machine
    /// has no IPv6, the socket listens on its IPv4 addresses only. If the port is 0, the operating system chooses a
    /// port. The socket has the option `SO_REUSEADDR`. With this option, a program can listen on the port immediately
    /// after a restart, while the kernel still keeps closed connections of the previous process.
    ///
    /// # Errors
    ///
    /// Returns an error if the host name does not resolve, if the address belongs to another machine, or if the port
    /// cannot be bound.
    pub async fn bind(host: &str, port: u16) -> Result<Self, ListenError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "::" } else { host };
        let resolve = |source| ListenError::Resolve {
            host: host.to_owned(),
            source,
        };
        let mut found = tokio::net::lookup_host((host, port))
            .await
            .map_err(resolve)?;
        let first = found
            .next()
            .ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
        let bound = with_fallback(first, bind).and_then(|tcp| {
            let address = tcp.local_addr()?;
            Ok(Self { tcp, address })
        });
        bound.map_err(|source| match source.kind() {
            io::ErrorKind::AddrNotAvailable => ListenError::NotLocal {
                address: first.ip(),
            },
            _ => ListenError::Bind {
                address: first,
                source,
            },
        })
    }

    /// Returns the address of the socket. If the requested port was 0, this address has the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Binds an address. Falls back to `0.0.0.0` if the address is `::` and the machine has no IPv6.
fn with_fallback<T>(
    address: SocketAddr,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    match bind(address) {
        Err(error) if is_any_v6(address) && lacks_v6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn is_any_v6(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(ip) if ip.is_unspecified())
}

/// Returns `true` if an error may mean that the machine has no IPv6. An error about a port that is in use or forbidden
/// has another cause, so the function returns `false`.
fn lacks_v6(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_any_v6(address))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a machine without IPv6, and returns the address that is bound in place of `address`.
    fn without_v6(address: &str) -> io::Result<SocketAddr> {
        with_fallback(address.parse().unwrap(), |address| match address {
            // On a machine without IPv6, the creation of the socket fails with EAFNOSUPPORT (97).
            SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(97)),
            SocketAddr::V4(_) => Ok(address),
        })
    }

    #[test]
    fn all_addresses_fall_back_to_ipv4_without_ipv6() {
        assert_eq!(
            without_v6("[::]:80").unwrap(),
            "0.0.0.0:80".parse().unwrap()
        );
        // For an explicit IPv6 address, there is no fallback to IPv4.
        assert!(without_v6("[::1]:80").is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_tried_once() {
        let tries = std::cell::Cell::new(0);
        let bound = with_fallback::<()>("[::]:80".parse().unwrap(), |_| {
            tries.set(tries.get() + 1);
            Err(io::ErrorKind::AddrInUse.into())
        });
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(tries.get(), 1);
    }
}
