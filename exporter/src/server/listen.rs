//! Listening sockets. Errors name the flag to change.

use bounded_http::Listener;

use crate::options::Address;

/// The flags that set where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressFlags {
    host: &'static str,
    port: &'static str,
}

/// An address on which the program cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {source}{}", cure.as_deref().unwrap_or_default())]
pub(crate) struct ListenError {
    flag: &'static str,
    source: bounded_http::ListenError,
    /// The flags with which to choose another address or port.
    cure: Option<String>,
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

/// Listens on an address.
///
/// # Errors
///
/// If the program cannot listen. The error names the address and the flag to change, which is the flag of the host or
/// of the port.
pub(crate) async fn listen(
    flags: AddressFlags,
    address: &Address,
) -> Result<Listener, ListenError> {
    let AddressFlags { host, port } = flags;
    let listener = Listener::bind(&address.host, address.port).await;
    listener.map_err(|source| match source {
        bounded_http::ListenError::Bind { .. } => ListenError {
            flag: port,
            source,
            cure: Some(format!(
                " with {host} or {port}; {port}=0 selects a free port"
            )),
        },
        _ => ListenError {
            flag: host,
            source,
            cure: None,
        },
    })
}
