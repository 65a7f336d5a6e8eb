//! Listening sockets. Errors name the flag that the user must change.

use bounded_http::Listener;

use crate::options::Address;

/// The flags that set where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressFlags {
    host: &'static str,
    port: &'static str,
}

/// The error of an address on which the exporter cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {source}{}", cure.as_deref().unwrap_or_default())]
pub(crate) struct ListenError {
    flag: &'static str,
    source: bounded_http::ListenError,
    /// A hint that names the flags for another address or port.
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
/// Returns an error if the exporter cannot listen on the address. The error names the address, and the flag of the host
/// or of the port, which the user must change.
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
