//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::options::Address;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The flags that say where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressFlags {
    host: &'static str,
    port: &'static str,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error(
        "{flag}: cannot find the address of `{host}`: {source}; give an address of this machine"
    )]
    Resolve {
        flag: &'static str,
        host: String,
        source: io::Error,
    },
    #[error("{flag}: {address} is not an address of this machine; choose one that is")]
    Elsewhere { flag: &'static str, address: IpAddr },
    #[error("{flag}: cannot listen on {address}: {source}; choose another address or port")]
    Bind {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
}

// === impl AddressFlags ===

impl AddressFlags {
    pub(crate) const MAIN: Self = Self {
        host: "--host",
        port: "--port",
    };
    pub(crate) const TELEMETRY: Self = Self {
        host: "--telemetry-host",
        port: "--telemetry-port",
    };
}

/// Listens on an address. `::` stands for IPv4 as well, alone where there is no IPv6.
///
/// # Errors
///
/// Names the address and the flag to change: the one of the host, or the one of the port.
pub(crate) async fn listen(
    flags: AddressFlags,
    address: &Address,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "::" } else { host };
    let resolve = |source| ListenError::Resolve {
        flag: flags.host,
        host: host.to_owned(),
        source,
    };
    let mut found = tokio::net::lookup_host((host, address.port))
        .await
        .map_err(resolve)?;
    let first = found
        .next()
        .ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    let bound = with_fallback(first, bind).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrNotAvailable => ListenError::Elsewhere {
            flag: flags.host,
            address: first.ip(),
        },
        _ => ListenError::Bind {
            flag: flags.port,
            address: first,
            source,
        },
    })
}

/// Binds an address; where it is `::` and the machine has no IPv6, `0.0.0.0`.
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

/// Whether an error says that the machine has no IPv6, rather than that the port is taken.
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
    // A restart finds its port although old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a machine without IPv6 listens that is told to listen on `address`.
    fn without_v6(address: &str) -> io::Result<SocketAddr> {
        with_fallback(address.parse().unwrap(), |address| match address {
            // EAFNOSUPPORT, from the making of the socket.
            SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(97)),
            SocketAddr::V4(_) => Ok(address),
        })
    }

    #[test]
    fn all_addresses_are_those_of_ipv4_where_there_is_no_ipv6() {
        assert_eq!(
            without_v6("[::]:80").unwrap(),
            "0.0.0.0:80".parse().unwrap()
        );
        // One that was asked for is not replaced by others.
        assert!(without_v6("[::1]:80").is_err());
    }

    #[test]
    fn a_port_that_is_taken_is_not_tried_elsewhere() {
        let tries = std::cell::Cell::new(0);
        let bound = with_fallback::<()>("[::]:80".parse().unwrap(), |_| {
            tries.set(tries.get() + 1);
            Err(io::ErrorKind::AddrInUse.into())
        });
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(tries.get(), 1);
    }
}
