//! [`Accepted`]: the last connection settings from which the exporter created a client.

use std::path::PathBuf;

use kube::config::ExecConfig;
use secrecy::ExposeSecret as _;

use super::access::{Connection, is_header, read_token};
use super::authority_bundle::AuthorityBundle;
use super::plugin;
use super::tls::Identity;
use crate::file_limits;

/// The last connection settings from which the exporter created a client.
///
/// A kubeconfig, or a file that it names, may become unusable. The credentials in use are then renewed from these
/// settings. So credentials that expire do not interrupt the watches until somebody repairs the file.
#[derive(Clone)]
pub(super) struct Accepted {
    connection: Connection,
    /// The client certificate that is not from a plugin.
    identity: Option<Identity>,
}

// === impl Accepted ===

impl Accepted {
    pub(super) fn new(connection: Connection, identity: Option<Identity>) -> Self {
        Self {
            connection,
            identity,
        }
    }

    /// The plugin that provides the credentials.
    pub(super) fn plugin(&self) -> Option<&ExecConfig> {
        plugin::in_use(&self.connection.config.auth_info)
    }

    /// Whether the configured file of certificate authorities is empty. The exporter then trusts the authorities of the
    /// system.
    pub(super) fn trusts_system(&self) -> bool {
        self.connection.empty_authority.is_some()
    }

    /// Whether the last certificate authority had no end.
    pub(super) fn has_cut_authority(&self) -> bool {
        self.connection.cut_authority.is_some()
    }

    /// The files from which the credentials and the certificate authorities are read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let user = &self.connection.config.auth_info;
        let certificate = [&user.client_certificate, &user.client_key];
        let certificate = certificate.into_iter().flatten().map(PathBuf::from);
        let own = [&self.connection.token_file, &self.connection.authority_file];
        own.into_iter()
            .flatten()
            .cloned()
            .chain(certificate)
            .collect()
    }

    /// Reads the files again. If a file cannot be used now, its last usable content stays. The call blocks.
    pub(super) fn read_again(&self) -> Self {
        let mut new = self.clone();
        let user = &mut new.connection.config.auth_info;
        let token = self.connection.token_file.as_deref().map(read_token);
        if let Some(token) = token.and_then(Result::ok).filter(is_header) {
            user.token = Some(token);
        }
        if let Ok(Some(identity)) = Identity::of_user(user)
            && identity.is_usable()
        {
            new.identity = Some(identity);
        }
        let authority = self.connection.authority_file.as_deref();
        let authority = authority.and_then(|path| {
            let content = config_file::read(path, file_limits::CERTIFICATES).ok()?;
            let bundle = AuthorityBundle::parse(&content);
            // A program may be writing the file.
            let is_usable = bundle.broken().is_none() && !bundle.certificates.is_empty();
            is_usable.then_some(bundle.certificates)
        });
        if let Some(roots) = authority {
            new.connection.config.root_cert = Some(roots);
            new.connection.empty_authority = None;
            new.connection.broken_authorities = None;
            new.connection.cut_authority = None;
        }
        new
    }

    /// Whether the other settings have the same token, client certificate and authorities.
    pub(super) fn has_same_content(&self, other: &Self) -> bool {
        let [own, its] = [self, other].map(|one| &one.connection.config);
        let [own_token, its_token] = [own, its].map(|one| {
            let token = one.auth_info.token.as_ref();
            token.map(|token| token.expose_secret())
        });
        let is_same_identity = match (&self.identity, &other.identity) {
            (None, None) => true,
            (Some(own), Some(its)) => own.is_same(its),
            _ => false,
        };
        own_token == its_token && is_same_identity && own.root_cert == its.root_cert
    }

    pub(super) fn into_parts(self) -> (Connection, Option<Identity>) {
        (self.connection, self.identity)
    }
}
