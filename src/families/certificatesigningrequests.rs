//! `certificatesigningrequests`.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::Collector;

/// The families of certificatesigningrequests.
#[must_use]
pub fn certificatesigningrequests() -> Collector<CertificateSigningRequest> {
    Collector::new()
}
