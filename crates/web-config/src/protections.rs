//! [`Protections`]: what a configuration requires of connections and clients. The module also finds the protections
//! that a changed configuration would disable.

/// What a configuration requires of connections and clients.
///
/// ```
/// use prometheus_web_config::{Protections, WebConfig};
///
/// let open = WebConfig::default().protections();
/// assert_eq!(open, Protections::default());
/// let mut before = open;
/// before.passwords = true;
/// assert_eq!(before.lost_in(open), ["passwords (basic_auth_users)"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protections {
    /// Connections are encrypted.
    pub tls: bool,
    /// Each client must have a certificate that an authority of `client_ca` or `client_ca_file` signed.
    pub client_certificates: bool,
    /// The certificate of each client must have one of the names in `client_allowed_sans`.
    pub client_names: bool,
    /// Each request needs a user and a password.
    pub passwords: bool,
}

// === impl Protections ===

impl Protections {
    /// Returns the names of the protections that `self` has and `after` lacks. Each name includes the key in the file.
    #[must_use]
    pub fn lost_in(self, after: Self) -> Vec<&'static str> {
        let lost = [
            (self.tls, after.tls, "TLS (tls_server_config)"),
            (
                self.client_certificates,
                after.client_certificates,
                "certificates of clients (client_auth_type)",
            ),
            (
                self.client_names,
                after.client_names,
                "names of clients (client_allowed_sans)",
            ),
            (
                self.passwords,
                after.passwords,
                "passwords (basic_auth_users)",
            ),
        ];
        let lost = lost
            .into_iter()
            .filter(|(before, after, _)| *before && !after);
        lost.map(|(_, _, name)| name).collect()
    }
}
