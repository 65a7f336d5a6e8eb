//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::options::Address;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("{flag}: cannot find the address of `{host}`: {source}")]
    Resolve {
        flag: &'static str,
        host: String,
        source: io::Error,
    },
    #[error("{flag}: cannot listen on {address}: {source}; choose another address or port")]
    Bind {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
}

/// Listens on an address. `::` stands for IPv4 as well, alone where there is no IPv6.
///
/// # Errors
///
/// Names the address and the flag (`--port` or the like) to change.
pub(crate) async fn listen(
    flag: &'static str,
    address: &Address,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "::" } else { host };
    let resolve = |source| ListenError::Resolve {
        flag,
        host: host.to_owned(),
        source,
    };
    let mut found = tokio::net::lookup_host((host, address.port))
        .await
        .map_err(resolve)?;
    let first = found
        .next()
        .ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    let bound = match bind(first) {
        Err(error) if is_any_v6(first) && lacks_v6(&error) => {
            bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), first.port()))
        }
        bound => bound,
    };
    let bound = bound.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| ListenError::Bind {
        flag,
        address: first,
        source,
    })
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
